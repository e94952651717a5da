// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// envoyGatewayVersion is what make kubernetes compiles.
const envoyGatewayVersion = "v1.9.1"

// The namespace of Envoy Gateway, and of the proxies that it makes; and that of the Gateways here.
const (
	egNamespace = "envoy-gateway-system"
	edge        = "edge"
)

// gatewayLab is a cluster with Envoy Gateway.
type gatewayLab struct {
	*lab
	files *files
	pods  map[string]*corev1.Pod // of the proxies, by Gateway
}

// files are what https://downloads.example.com has.
type files struct{ byPath map[string][]byte }

const filesHost = "downloads.example.com"

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := f.byPath[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(text)
}

// envoyGateway is the program, and the folder of its sources, which have its charts.
func envoyGateway(t *testing.T, f fetched) (program, source string) {
	t.Helper()
	program = filepath.Join(f.Cache, "envoy-gateway", envoyGatewayVersion, "envoy-gateway")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; run: make kubernetes", err)
	}
	list := exec.Command("go", "mod", "download", "-json", "github.com/envoyproxy/gateway@"+envoyGatewayVersion)
	list.Dir = t.TempDir() // in no module: it is none of ours
	list.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off")
	out, err := list.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Fatalf("the sources of Envoy Gateway are not there: %v; run: make kubernetes\n%s", err, out)
	}
	return program, module.Dir
}

// startGateway starts a cluster with Envoy Gateway, installed by its own chart.
func startGateway(t *testing.T) *gatewayLab {
	t.Helper()
	f := found(t)
	program, source := envoyGateway(t, f)
	dir, err := os.MkdirTemp("", "kubernetes-")
	if err != nil {
		t.Fatal(err)
	}
	echo, err := cluster.Echo()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(dir, []cluster.Image{echo,
		{Name: "gateway", Entrypoint: []string{"/usr/local/bin/envoy-gateway"}, User: 65532,
			Files: map[string]string{"/usr/local/bin/envoy-gateway": program}},
		{Name: "envoy", Entrypoint: []string{"/usr/local/bin/envoy"}, User: 65532,
			Files: map[string]string{"/usr/local/bin/envoy": f.Envoy}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	g := &gatewayLab{&lab{Cluster: c, fetched: f, dir: dir,
		registry: &images{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}},
		&files{map[string][]byte{}}, map[string]*corev1.Pod{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the containers have printed last:\n%s", c.Node.Logs(3000))
		}
	})
	keys := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(mint.Set(idp)) })
	for name, handler := range map[string]http.Handler{idpHost: keys, filesHost: g.files} {
		if _, err := c.World.Serve(handler, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.World.Serve(g.registry, ourImages, itsImages); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	// The sources have the chart without its values, as a release's has them.
	chart := filepath.Join(dir, "gateway-helm")
	if err := os.CopyFS(chart, os.DirFS(filepath.Join(source, "charts/gateway-helm"))); err != nil {
		t.Fatal(err)
	}
	values, err := os.ReadFile(filepath.Join(chart, "values.tmpl.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values = []byte(strings.NewReplacer("${GatewayImage}", "docker.io/envoyproxy/gateway:"+envoyGatewayVersion,
		"${GatewayImagePullPolicy}", "IfNotPresent").Replace(string(values)))
	if err := os.WriteFile(filepath.Join(chart, "values.yaml"), values, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Helm(t, "install", "eg", chart, "--namespace", egNamespace, "--create-namespace", "--wait", "--timeout", "3m",
		"--set", "config.envoyGateway.extensionApis.enableEnvoyPatchPolicy=true")
	t.Logf("measured: Envoy Gateway is ready after %.1f s", time.Since(begin).Seconds())
	return g
}

// proxy is the pod of a Gateway's proxy, once it is ready.
func (g *gatewayLab) proxy(t *testing.T, gateway string) *corev1.Pod {
	t.Helper()
	if g.pods[gateway] == nil {
		g.pods[gateway] = g.pod(t, egNamespace, "gateway.envoyproxy.io/owning-gateway-name", gateway)
	}
	return g.pods[gateway]
}

// ask sends a request to a Gateway's proxy, by HTTPS where that is the edge, and by HTTP else.
func (g *gatewayLab) ask(t *testing.T, gateway, host, method, path string, headers ...[2]string) answer {
	t.Helper()
	ip := g.proxy(t, gateway).Status.PodIP
	// Envoy Gateway has its proxies listen above 10000: they need no rights for it.
	scheme, port := "http", "10080"
	if gateway == edge {
		scheme, port = "https", "10443"
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: g.World.Authority.Pool()},
		Dial: func(network, _ string) (net.Conn, error) { return net.Dial(network, net.JoinHostPort(ip, port)) }}
	request, err := http.NewRequest(method, scheme+"://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(&http.Client{Timeout: 10 * time.Second, Transport: transport}, request, headers...)
}

// conditions are what Envoy Gateway says of a policy, a line for each.
func (g *gatewayLab) conditions(t *testing.T, kind, name string) string {
	t.Helper()
	var o struct {
		Status struct {
			Ancestors []struct {
				Conditions []struct{ Type, Status, Reason, Message string }
			}
		}
	}
	text := g.Kubectl(t, "get", kind, name, "--namespace", edge, "--output", "json")
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range o.Status.Ancestors {
		for _, c := range a.Conditions {
			lines = append(lines, fmt.Sprintf("%s=%s (%s): %s", c.Type, c.Status, c.Reason, c.Message))
		}
	}
	return strings.Join(lines, "\n")
}

// route is an HTTPRoute of a Gateway to the service orders.
func route(name, gateway, host, prefix string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: edge}
spec:
  parentRefs: [{name: %s}]
  hostnames: [%s]
  rules:
  - matches: [{path: {type: PathPrefix, value: %s}}]
    backendRefs: [{name: orders, port: 80}]
`, name, gateway, host, prefix)
}

// Envoy Gateway on a Kubernetes of its own: the README's way, and what its policies come to.
func TestEnvoyGateway(t *testing.T) {
	if cluster.Apart(t) {
		return
	}
	g := startGateway(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Readme", g.readme},
	} {
		if !t.Run(step.name, step.run) {
			return
		}
	}
}

// readme goes the README's way, line by line.
func (g *gatewayLab) readme(t *testing.T) {
	lines, _ := snippets(t, filepath.Join(g.Root, "README.md"), "On Envoy Gateway")
	g.Apply(t, `{apiVersion: v1, kind: Namespace, metadata: {name: edge}}`)
	g.certificate(t, edge, apiHost)
	g.Apply(t, workload(edge, "orders", "echo", 8080, "{app: orders}", ""))
	g.Apply(t, route("orders", edge, apiHost, "/orders")+route("other", edge, apiHost, "/"))
	begin, digest := time.Now(), ""
	for _, line := range lines {
		line = strings.Replace(line, "DIGEST", digest, 1)
		out := g.sh(t, line)
		if strings.HasPrefix(line, "tollgate image push ") {
			_, digest, _ = strings.Cut(strings.TrimSpace(out), "@sha256:")
		}
	}
	t.Logf("measured: the README's lines take %.1f s", time.Since(begin).Seconds())
	begin = time.Now()
	g.proxy(t, edge)
	t.Logf("measured: the proxy is ready after %.1f s more", time.Since(begin).Seconds())
	good := bearer(idp.Token(claims()))
	took := cluster.Eventually(t, "a good request passes", func() bool {
		a := g.ask(t, edge, apiHost, "GET", "/x")
		if a.status == 200 {
			t.Fatalf("a request without a token passes: %s", a)
		}
		return g.ask(t, edge, apiHost, "GET", "/orders/7", good).status == 200
	})
	t.Logf("measured: a good request passes after %.1f s more, and none without a token before", took.Seconds())
	t.Logf("measured: the policy's conditions: %s", g.conditions(t, "envoyextensionpolicy", "tollgate"))
}
