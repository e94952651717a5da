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
	"sync"
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
type files struct {
	mu     sync.Mutex
	byPath map[string][]byte
}

const filesHost = "downloads.example.com"

func (f *files) set(path string, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byPath[path] = text
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	text, ok := f.byPath[r.URL.Path]
	f.mu.Unlock()
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
		&files{byPath: map[string][]byte{}}, map[string]*corev1.Pod{}}
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
		"--set", "config.envoyGateway.extensionApis.enableEnvoyPatchPolicy=true",
		"--set", "config.envoyGateway.extensionApis.enableLua=true")
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

// open counts the requests without a token that pass a Gateway until done is called, and for how long they do: the time
// in which Envoy has a route's new configuration, and not yet the filter that it speaks of (W33). Where the pages say
// that none passes, tests want none; where they say that some do, it is printed.
func (g *gatewayLab) open(t *testing.T, gateway, host, path string) (done func() (passed int, span time.Duration)) {
	t.Helper()
	g.proxy(t, gateway)
	stop := make(chan struct{})
	var all sync.WaitGroup
	var first, last time.Time
	passed := 0
	all.Go(func() {
		for {
			if g.ask(t, gateway, host, "GET", path).status == 200 {
				if last = time.Now(); passed == 0 {
					first = last
				}
				passed++
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return func() (int, time.Duration) {
		close(stop)
		all.Wait()
		return passed, last.Sub(first)
	}
}

// remove deletes resources; of a test that has failed it prints first what Envoy Gateway says of its policies.
func (g *gatewayLab) remove(t *testing.T, resources string) {
	t.Helper()
	if t.Failed() {
		t.Log(g.Kubectl(t, "get", "envoyextensionpolicies,envoypatchpolicies,securitypolicies,httproutes", "--namespace", edge,
			"--output", "jsonpath={range .items[*]}{.kind} {.metadata.name} {.status}{'\\n'}{end}"))
	}
	g.Delete(t, resources)
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

// decides puts requests to the edge.
func (g *gatewayLab) decides(t *testing.T, list []asked) {
	t.Helper()
	g.lab.decides(t, list, func(method, path string, headers ...[2]string) answer {
		return g.ask(t, edge, apiHost, method, path, headers...)
	}, g.pod(t, edge, "app", "orders"))
}

// expired is a token that was good.
func expired() string { return idp.Token(claims("exp", time.Now().Add(-time.Hour).Unix())) }

// extensionPolicy is an EnvoyExtensionPolicy with one filter of wasm: code is its member of that name, in YAML.
func extensionPolicy(name, kind, target, code, config string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: %s, namespace: edge}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s}]
  wasm:
  - name: %[1]s
    code: %[4]s
    config: %[5]s
`, name, kind, target, code, config)
}

// plainGateway is a Gateway that listens by HTTP, with the proxies of an EnvoyProxy.
func plainGateway(name, proxy string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: edge}
spec:
  gatewayClassName: tollgate
  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: %s}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`, name, proxy)
}

// image pushes one of ours to where the shipped resources look for it, and returns its digest.
func (g *gatewayLab) image(t *testing.T, module string) string {
	t.Helper()
	return g.push(t, module, "ghcr.io/tollgate-wasm/"+module+":0.1.0")
}

// shipped is a file of WasmPlugin with the digests of images that are there.
func (g *gatewayLab) shipped(t *testing.T, file, module string) string {
	t.Helper()
	return strings.ReplaceAll(g.file(t, "envoy-gateway/"+file), zeros, g.image(t, module))
}
