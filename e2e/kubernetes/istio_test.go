// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
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

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// The names of the world that the shipped resources have, as they stand there.
const (
	issuer    = "https://idp.example.com/realms/shop"
	idpHost   = "idp.example.com"
	keySet    = "/realms/shop/protocol/openid-connect/certs"
	apiHost   = "api.example.com"
	edgeHost  = "edge.example.com"
	ourImages = "ghcr.io" // the shipped files' registry
	itsImages = "registry.example.com"
)

var idp = mint.New("2026-11", jose.ES256)

// lab is a cluster with Istio.
type lab struct {
	*cluster.Cluster
	fetched
	dir      string
	registry *images
	once     installed
	lines    map[string]bool // of READMEs, that are run once
}

// images is a registry that may want credentials.
type images struct {
	http.Handler
	mu   sync.Mutex
	user string // "user:password"; empty: everybody may read
}

// lock has it answer nobody but that user ("user:password").
func (r *images) lock(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.user = user
}

func (r *images) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	want := r.user
	r.mu.Unlock()
	if user, password, _ := request.BasicAuth(); want != "" && user+":"+password != want {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	r.Handler.ServeHTTP(w, request)
}

// A cluster with Istio: the READMEs' ways to it, and what happens to it then. It runs beside the test of Envoy Gateway,
// which has a cluster of its own: both wait more than they compute.
func TestIstio(t *testing.T) {
	t.Parallel()
	l, err := start(t, found(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"PullSecret", l.istioPullSecret},
		{"Status", l.istioStatus},
		{"Readme", l.istioReadme},
		{"Release", l.istioRelease},
		{"Scale", l.istioScale},
		{"Teams", l.istioTeams},
		{"Upgrade", l.istioUpgrade},
		{"Overlays", l.istioOverlays},
		{"Waypoint", l.istioWaypoint},
	} {
		t.Run(step.name, step.run)
	}
	if t.Failed() {
		t.Logf("what the containers have printed last:\n%s", l.Node.Logs(3000))
	}
}

func start(t *testing.T, f fetched) (*lab, error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "kubernetes-")
	if err != nil {
		return nil, err
	}
	echo, err := cluster.Echo()
	if err != nil {
		return nil, err
	}
	istio := func(name string) string { return filepath.Join(f.Cache, "istio", name) }
	// Packages that lie in the cache find their libraries by their own paths.
	caches := func(env []string) map[string]string {
		if env == nil {
			return map[string]string{}
		}
		return map[string]string{f.Cache: f.Cache}
	}
	proxy := cluster.Image{Name: "proxyv2", Entrypoint: []string{"/usr/local/bin/pilot-agent"}, Env: f.Iptables.Env,
		User: 1337, Files: caches(f.Iptables.Env)}
	proxy.Files["/usr/local/bin/pilot-agent"] = istio("pilot-agent")
	proxy.Files["/usr/local/bin/envoy"] = f.Envoy
	// The template of the bootstrap without its one part that Istio's own build of Envoy alone has.
	template, err := os.ReadFile(filepath.Join(f.Istio, "tools/packaging/common/envoy_bootstrap.json"))
	if err != nil {
		return nil, err
	}
	bootstrap := filepath.Join(dir, "envoy_bootstrap_tmpl.json")
	if err := os.WriteFile(bootstrap, bytes.ReplaceAll(template, []byte("{{- if .metadata_discovery }}"),
		[]byte("{{- if false }}")), 0o644); err != nil {
		return nil, err
	}
	proxy.Files["/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"] = bootstrap
	redis := cluster.Image{Name: "redis", Entrypoint: []string{f.Redis.Path}, Env: f.Redis.Env, User: 1000,
		Files: caches(f.Redis.Env)}
	c, err := cluster.Start(dir, []cluster.Image{echo, proxy, redis,
		{Name: "pilot", Entrypoint: []string{"/usr/local/bin/pilot-discovery"}, User: 1337,
			Files: map[string]string{"/usr/local/bin/pilot-discovery": istio("pilot-discovery")}},
		{Name: "ratelimit", Entrypoint: []string{"/bin/ratelimit"}, User: 1000,
			Files: map[string]string{"/bin/ratelimit": f.RateLimit.Path}},
	})
	if err != nil {
		return nil, err
	}
	l := &lab{Cluster: c, fetched: f, dir: dir,
		registry: &images{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}}
	t.Logf("measured: Kubernetes is ready after %.1f s", time.Since(begin).Seconds())
	if _, err := c.World.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != keySet {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(mint.Set(idp))
	}), idpHost); err != nil {
		return nil, err
	}
	if _, err := c.World.Serve(l.registry, ourImages, itsImages); err != nil {
		return nil, err
	}
	begin = time.Now()
	if err := l.install(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.Node.Logs(4000))
	}
	t.Logf("measured: Istio is ready after %.1f s", time.Since(begin).Seconds())
	return l, nil
}

// istioValues are of Istio's own chart. Images are this machine's, by their names; and what is not in Envoy's own
// release is turned off: metadata exchange, telemetry and ALPN.
const istioValues = `
global:
  hub: docker.io/istio
  tag: test
  proxy: {logLevel: warning, componentLogLevel: "wasm:info"}
  istiod: {enableAnalysis: true} # what is wrong stands in the status of resources
autoscaleEnabled: false
env:
  PILOT_ENABLE_AMBIENT: "true"
  PILOT_ENABLE_METADATA_EXCHANGE: "false"
  PILOT_ENABLE_ALPN_FILTER: "false"
  AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT: "false"
telemetry: {enabled: false}
meshConfig:
  accessLogFile: /dev/stdout
  defaultProviders: {accessLogging: [envoy]}
  defaultConfig: {concurrency: 2, proxyMetadata: {PEER_METADATA_DISCOVERY: "false", ISTIO_META_ENABLE_HBONE: "true"}}
`

// install has helm install Istio, as its documentation says.
func (l *lab) install() error {
	admin := cluster.Tool{Kubeconfig: l.Kubeconfig}
	charts := filepath.Join(l.Istio, "manifests", "charts")
	values := filepath.Join(l.dir, "istio.yaml")
	if err := os.WriteFile(values, []byte(istioValues), 0o644); err != nil {
		return err
	}
	for _, line := range [][]string{
		{"kubectl", "apply", "--server-side", "-f", filepath.Join(l.GatewayAPI, "config/crd/standard")},
		{"helm", "install", "istio-base", filepath.Join(charts, "base"), "--namespace", "istio-system", "--create-namespace"},
		{"helm", "install", "istiod", filepath.Join(charts, "istio-control", "istio-discovery"), "--namespace",
			"istio-system",
			"--values", values, "--wait", "--timeout", "3m"},
	} {
		if out, err := admin.Run(line[0], line[1:]...); err != nil {
			return fmt.Errorf("%w%s", err, out)
		}
	}
	return nil
}

// proxyOf is a gateway's pod, once it is ready.
func (l *lab) proxyOf(t *testing.T, namespace, gateway string) *corev1.Pod {
	t.Helper()
	return l.pod(t, namespace, "gateway.networking.k8s.io/gateway-name", gateway)
}

// pod is one with a label, once it is ready.
func (l *lab) pod(t *testing.T, namespace, label, value string) (p *corev1.Pod) {
	t.Helper()
	defer func() {
		if p == nil { // what a test takes away when it ends must have been seen before
			t.Log(l.Node.Logs(2000))
		}
	}()
	cluster.Eventually(t, "a pod with "+label+"="+value+" is ready", func() bool {
		p = l.Node.Pod(namespace, map[string]string{label: value})
		return p != nil
	})
	return p
}

// admin asks the administration interface of a pod's Envoy, which listens on the pod's own loopback interface.
func (l *lab) admin(p *corev1.Pod, path string) string { return l.Node.Get(p, 15000, path) }

// plugins are the names of the Wasm filters that a pod's Envoy has.
func (l *lab) plugins(p *corev1.Pod) (names []string) {
	var dump struct {
		Configs []struct {
			Filter struct {
				Name string `json:"name"`
			} `json:"ecds_filter"`
		} `json:"configs"`
	}
	if json.Unmarshal([]byte(l.admin(p, "/config_dump?resource=ecds_filters")), &dump) != nil {
		return nil
	}
	for _, c := range dump.Configs {
		names = append(names, c.Filter.Name)
	}
	return names
}

// answer to a request. Status 0: there was none.
type answer struct {
	status  int
	headers http.Header
	body    string
}

func (a answer) String() string { return fmt.Sprint(a.status, " ", strings.TrimSpace(a.body)) }

// ask sends a request to a proxy by HTTPS, as a client of the host does.
func (l *lab) ask(p *corev1.Pod, host, method, path string, headers ...[2]string) answer {
	client := l.client(p)
	defer client.CloseIdleConnections()
	request, err := http.NewRequest(method, "https://"+host+path, nil)
	if err != nil {
		panic(err) // a mistake in a test
	}
	return do(client, request, headers...)
}

// askPlain is ask by HTTP, to port 80.
func (l *lab) askPlain(p *corev1.Pod, host, method, path string, headers ...[2]string) answer {
	request, err := http.NewRequest(method, "http://"+p.Status.PodIP+path, nil)
	if err != nil {
		panic(err) // a mistake in a test
	}
	request.Host = host
	return do(&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, request,
		headers...)
}

// client speaks to a pod's port 443, whoever is asked for.
func (l *lab) client(p *corev1.Pod) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: l.World.Authority.Pool()},
		Dial:            func(network, _ string) (net.Conn, error) { return net.Dial(network, p.Status.PodIP+":443") },
	}}
}

func do(client *http.Client, request *http.Request, headers ...[2]string) answer {
	for _, h := range headers {
		request.Header.Add(h[0], h[1])
	}
	r, err := client.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{r.StatusCode, r.Header, string(body)}
}

// asked is a request, and what is to become of it.
type asked struct {
	name         string
	method, path string
	token        string
	status       int
	code         string // of the answer to what is refused
	stamped      bool   // what reaches the service
}

// decides puts requests by ask, and looks at what is answered and at what reaches the services: nothing of what is
// refused.
func (l *lab) decides(t *testing.T, list []asked, ask func(method, path string, headers ...[2]string) answer,
	services ...*corev1.Pod) {
	t.Helper()
	reached := func() (n int) {
		for _, p := range services {
			n += l.reached(t, p)
		}
		return n
	}
	for _, c := range list {
		var headers [][2]string
		if c.token != "" {
			headers = append(headers, bearer(c.token))
		}
		before := reached()
		a := ask(c.method, c.path, headers...)
		if a.status != c.status || !strings.Contains(a.body, c.code) {
			t.Errorf("%s: %s, want %d %s", c.name, a, c.status, c.code)
		}
		if got, want := reached()-before, map[bool]int{true: 1}[c.status == 200]; got != want {
			t.Errorf("%s: %d requests reached the service, want %d", c.name, got, want)
		}
		if c.status == 200 && (echoed(a).Get("X-Edge-Stamp") != "") != c.stamped {
			t.Errorf("%s: the service gets the headers %v, want a stamp: %t", c.name, echoed(a), c.stamped)
		}
	}
}

// echoed are the headers that the service echo has got.
func echoed(a answer) http.Header {
	var e cluster.Echoed
	if json.Unmarshal([]byte(a.body), &e) != nil {
		return nil
	}
	return e.Headers
}

// certificate is a Secret for a gateway's listener.
func (l *lab) certificate(t *testing.T, namespace, host string) {
	t.Helper()
	cert, key, err := l.World.Authority.Issue(host, nil, host)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(host, ".", "-")
	for file, text := range map[string]string{name + ".pem": cert, name + "-key.pem": key} {
		if err := os.WriteFile(filepath.Join(l.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := l.Kubectl(t, "create", "secret", "tls", name, "--namespace", namespace, "--cert",
		filepath.Join(l.dir, name+".pem"), "--key", filepath.Join(l.dir, name+"-key.pem"), "--dry-run=client", "-o", "yaml")
	l.Apply(t, text)
}

// claims of a good token, with changes.
func claims(changes ...any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": "shop", "sub": "alice", "scope": "orders:read", "tenant": "acme",
		"exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	return c
}

func bearer(token string) [2]string { return [2]string{"Authorization", "Bearer " + token} }

// work is where lines of READMEs are run: a folder that looks like the project's to them.
func (l *lab) work() string { return filepath.Join(l.dir, "work") }

// try runs a line of shell as somebody.
func (l *lab) try(kubeconfig, line string) (string, error) {
	bin := filepath.Join(l.dir, "bin")
	if _, err := os.Stat(bin); err != nil {
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return "", err
		}
		if err := os.MkdirAll(l.work(), 0o755); err != nil {
			return "", err
		}
		build := exec.Command("go", "build", "-o", filepath.Join(bin, "tollgate"), "./build/tollgate")
		build.Dir = l.Root
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		for _, name := range []string{"kubectl", "helm"} {
			path, err := cluster.Program(name)
			if err != nil {
				return "", err
			}
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				return "", err
			}
		}
		for _, name := range []string{"WasmPlugin", "build", "filters", "shared", "go.mod", "go.sum", "Makefile"} {
			if err := os.Symlink(filepath.Join(l.Root, name), filepath.Join(l.work(), name)); err != nil {
				return "", err
			}
		}
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = l.work()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "SSL_CERT_FILE="+l.Node.Roots(),
		"PATH="+bin+":"+os.Getenv("PATH"), "HELM_CACHE_HOME="+l.dir, "HELM_CONFIG_HOME="+l.dir, "HELM_DATA_HOME="+l.dir)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s%s", line, err, out, problems.String())
	}
	return string(out), nil
}
