// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
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
	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
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
		{"Readme", g.gatewayReadme},
		{"Change", g.gatewayChange},
		{"Route", g.gatewayRoute},
		{"Merge", g.gatewayMerge},
		{"Displaced", g.gatewayDisplaced},
		{"Download", g.gatewayDownload},
		{"Pull", g.gatewayPull},
		{"Trap", g.gatewayTrap},
		{"Migrate", g.gatewayMigrate},
		{"Restart", g.gatewayRestart},
	} {
		if !t.Run(step.name, step.run) {
			return
		}
	}
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
	out := g.sh(t, "tollgate image push "+module+" ghcr.io/tollgate-wasm/"+module+":0.1.0")
	_, digest, ok := strings.Cut(strings.TrimSpace(out), "@sha256:")
	if !ok {
		t.Fatalf("no digest is printed: %s", out)
	}
	return digest
}

// gatewayReadme goes the README's way, line by line.
func (g *gatewayLab) gatewayReadme(t *testing.T) {
	lines, _ := snippets(t, filepath.Join(g.Root, "README.md"), "On Envoy Gateway")
	g.Apply(t, `{apiVersion: v1, kind: Namespace, metadata: {name: edge}}`)
	for _, host := range []string{apiHost, edgeHost} {
		g.certificate(t, edge, host)
	}
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
	g.decides(t, []asked{
		{"a good request", "GET", "/orders/7", idp.Token(claims()), 200, "", true},
		{"no token", "GET", "/orders/7", "", 401, "token_missing", false},
		{"a token that has expired", "GET", "/orders/7", expired(), 401, "token_expired", false},
		{"a token for others", "GET", "/orders/7", idp.Token(claims("aud", "bank")), 401, "token_audience", false},
		{"a public path, which is not stamped", "GET", "/healthz", "", 200, "", false},
	})
	for path, want := range map[string]int{"/.well-known/edge-stamp/jwks.json": 200, "/orders/7": 401} {
		if a := g.ask(t, edge, edgeHost, "GET", path); a.status != want || want == 200 &&
			!strings.Contains(a.body, `"kid":"edge-2026-11"`) {
			t.Errorf("%s at the host of the keys: %s", path, a)
		}
	}
	if dump := g.Node.Get(g.proxy(t, edge), 19000, "/config_dump"); strings.Contains(dump, "PRIVATE KEY") ||
		!strings.Contains(dump, "EDGE_STAMP_KEY") {
		t.Error("the proxy's configuration has the key's text, or not its name")
	}
}

// shipped is a file of WasmPlugin with the digests of images that are there.
func (g *gatewayLab) shipped(t *testing.T, file, module string) string {
	t.Helper()
	return strings.ReplaceAll(g.file(t, "envoy-gateway/"+file), zeros, g.image(t, module))
}

// gatewayChange changes the Gateway's policy: another image and another configuration in it. The old ones decide until
// the new ones do.
func (g *gatewayLab) gatewayChange(t *testing.T) {
	_, digest, _ := strings.Cut(strings.TrimSpace(g.sh(t,
		"tollgate image push tollgate ghcr.io/tollgate-wasm/tollgate:0.2.0 --version v0.2.0")), "@sha256:")
	policy := strings.NewReplacer(zeros, digest, "tollgate:0.1.0", "tollgate:0.2.0", "[/healthz]", "[/livez]",
		"requests: 50, per: 1s, burst: 100", "requests: 5000, per: 1s").
		Replace(g.file(t, "envoy-gateway/edge.yaml"))
	done := g.open(t, edge, apiHost, "/orders/7")
	g.Apply(t, policy)
	good := bearer(idp.Token(claims()))
	took := cluster.Eventually(t, "the changed policy decides", func() bool {
		time.Sleep(50 * time.Millisecond) // the old policy has a limit
		if a := g.ask(t, edge, apiHost, "GET", "/orders/7", good); a.status != 200 {
			t.Fatalf("a good request meanwhile: %s", a)
		}
		return g.ask(t, edge, apiHost, "GET", "/livez").status == 200
	})
	passed, _ := done()
	t.Logf("measured: another image and configuration of the Gateway's policy count after %.1f s, and no request fails",
		took.Seconds())
	if passed != 0 {
		t.Errorf("%d requests without a token pass meanwhile", passed)
	}
}

// gatewayRoute has a route with a policy of its own: it takes the place of the Gateway's, there and nowhere else.
func (g *gatewayLab) gatewayRoute(t *testing.T) {
	policy := g.shipped(t, "route.yaml", "jwt-scope")
	token := bearer(idp.Token(claims()))
	done := g.open(t, edge, apiHost, "/orders/7")
	g.Apply(t, policy)
	defer g.remove(t, policy)
	took := cluster.Eventually(t, "the route's own policy decides", func() bool {
		return g.ask(t, edge, apiHost, "POST", "/orders/7", token).status == 403
	})
	passed, span := done()
	t.Logf("measured: a route's own policy counts after %.1f s; meanwhile %d requests without a token pass, in %.1f s",
		took.Seconds(), passed, span.Seconds())
	g.decides(t, []asked{
		{"a good request: no stamp, the Gateway's chain is displaced", "GET", "/orders/7", idp.Token(claims()), 200, "",
			false},
		{"no token", "GET", "/orders/7", "", 401, "token_missing", false},
		{"writing", "POST", "/orders/7", idp.Token(claims()), 403, "insufficient_scope", false},
		{"writing with the scope", "POST", "/orders/7", idp.Token(claims("scope", "orders:write")), 200, "", false},
		{"another route, which has the Gateway's", "POST", "/other", idp.Token(claims()), 200, "", true},
	})
	cluster.Eventually(t, "Envoy Gateway says that the Gateway's policy is displaced", func() bool {
		return strings.Contains(g.conditions(t, "envoyextensionpolicy", "tollgate"), "Overridden=True")
	})
	t.Logf("measured: what is said of the Gateway's policy: %s", g.conditions(t, "envoyextensionpolicy", "tollgate"))
}

// lua is a route's policy that adds a header, with more of its spec.
func lua(more string) string {
	return `---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: lua, namespace: edge}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  lua: [{type: Inline, inline: "function envoy_on_request(handle) handle:headers():add('x-lua', 'was here') end"}]
` + more
}

// gatewayMerge merges a route's policy with the Gateway's.
func (g *gatewayLab) gatewayMerge(t *testing.T) {
	defer g.remove(t, lua(""))
	good := bearer(idp.Token(claims()))
	byLua := func(a answer) bool { return echoed(a).Get("X-Lua") != "" }
	for _, merge := range []string{"StrategicMerge", "JSONMerge"} {
		g.Apply(t, lua("  mergeType: "+merge+"\n"))
		took := cluster.Eventually(t, merge+": the route's policy counts", func() bool {
			return byLua(g.ask(t, edge, apiHost, "GET", "/orders/7", good))
		})
		a := g.ask(t, edge, apiHost, "GET", "/orders/7", good)
		if !byLua(a) || echoed(a).Get("X-Edge-Stamp") == "" {
			t.Errorf("%s: a good request comes with %v, want the header of Lua and the stamp", merge, echoed(a))
		}
		if a := g.ask(t, edge, apiHost, "GET", "/orders/7"); a.status != 401 {
			t.Errorf("%s: without a token: %s", merge, a)
		}
		t.Logf("measured: %s: Lua and the Gateway's chain count after %.1f s: %s", merge, took.Seconds(),
			g.conditions(t, "envoyextensionpolicy", "lua"))
		// And with wasm of its own, in place of the Gateway's.
		own := strings.Replace(g.shipped(t, "route.yaml", "jwt-scope"), "spec:\n", "spec:\n  mergeType: "+merge+"\n", 1)
		g.Delete(t, lua(""))
		g.Apply(t, own)
		cluster.Eventually(t, merge+": the route's own wasm decides", func() bool {
			return g.ask(t, edge, apiHost, "POST", "/orders/7", good).status == 403
		})
		a = g.ask(t, edge, apiHost, "GET", "/orders/7", good)
		t.Logf("measured: %s with wasm of the route's own: the Gateway's chain stamps: %t", merge,
			echoed(a).Get("X-Edge-Stamp") != "")
		if a.status != 200 || echoed(a).Get("X-Edge-Stamp") != "" {
			t.Errorf("%s: a route's own wasm no longer replaces the Gateway's: WasmPlugin/README.md says it does; %s", merge, a)
		}
		g.Delete(t, own)
		cluster.Eventually(t, "the Gateway's policy decides again", func() bool {
			return echoed(g.ask(t, edge, apiHost, "GET", "/orders/7", good)).Get("X-Edge-Stamp") != ""
		})
	}
}

// gatewayDisplaced: a route's policy that verifies nothing opens the route, and the command says so before.
func (g *gatewayLab) gatewayDisplaced(t *testing.T) {
	defer g.remove(t, lua(""))
	g.Apply(t, lua(""))
	took := cluster.Eventually(t, "the route is open", func() bool {
		a := g.ask(t, edge, apiHost, "GET", "/orders/7")
		return a.status == 200 && echoed(a).Get("X-Lua") != ""
	})
	t.Logf("measured: a route with Lua alone is open, 200 without a token, after %.1f s", took.Seconds())
	security := securityPolicy("before", "Gateway", edge, shopTokens)
	for file, text := range map[string]string{"lua.yaml": lua(""), "security.yaml": security} {
		if err := os.WriteFile(filepath.Join(g.work(), file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line, names := range map[string][2]string{
		"tollgate check WasmPlugin/envoy-gateway/edge.yaml lua.yaml": {"edge/tollgate", "edge/lua"},
		"tollgate migrate security.yaml lua.yaml":                    {"SecurityPolicy edge/before", "EnvoyExtensionPolicy edge/lua"},
	} {
		out, err := g.try(g.Kubeconfig, line)
		if err == nil {
			t.Errorf("%s finds nothing: %s", line, out)
			continue
		}
		said := false
		for _, found := range strings.Split(err.Error(), "\n") {
			said = said || strings.Contains(found, " error: ") && strings.Contains(found, names[0]) &&
				strings.Contains(found, names[1])
		}
		if !said {
			t.Errorf("%s has no error with the names %v: %v", line, names, err)
		}
	}
}

// anyone is a chain that admits every good token.
const anyone = `{"chain": [{"name": "who", "filter": "jwt-scope", "config": {"providers": [{"name": "idp", "issuer": ` +
	`"https://idp.example.com/realms/shop", "audiences": ["shop"], "jwks": {"remote": {"cluster": "idp", "authority": ` +
	`"idp.example.com", "path": "/realms/shop/protocol/openid-connect/certs"}}}], "rules": [{"name": "all"}]}}]}`

// sum is a module's digest in hexadecimal.
func sum(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }

// gatewayDownload has a route's module downloaded by HTTPS, pinned by its own digest.
func (g *gatewayLab) gatewayDownload(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(g.Root, "build/out/tollgate.wasm"))
	if err != nil {
		t.Fatalf("%v; run: make build", err)
	}
	g.files.set("/tollgate.wasm", module)
	policy := extensionPolicy("download", "HTTPRoute", "orders",
		fmt.Sprintf("{type: HTTP, http: {url: %q, sha256: '%s'}}", "https://"+filesHost+"/tollgate.wasm", sum(module)), anyone)
	done := g.open(t, edge, apiHost, "/orders/7")
	g.Apply(t, policy)
	defer g.remove(t, policy)
	good := bearer(idp.Token(claims()))
	took := cluster.Eventually(t, "the downloaded module decides", func() bool {
		a := g.ask(t, edge, apiHost, "GET", "/orders/7", good)
		return a.status == 200 && echoed(a).Get("X-Edge-Stamp") == ""
	})
	cluster.Eventually(t, "without a token none passes", func() bool {
		return g.ask(t, edge, apiHost, "GET", "/orders/7").status == 401
	})
	passed, span := done()
	t.Logf("measured: a module by HTTPS decides after %.1f s; meanwhile %d requests without a token pass, in %.1f s",
		took.Seconds(), passed, span.Seconds())
	g.decides(t, []asked{{"no token", "GET", "/orders/7", "", 401, "token_missing", false}})
}

// gatewayPull: modules that cannot be had, or are others than they should be.
func (g *gatewayLab) gatewayPull(t *testing.T) {
	digest := g.image(t, "tollgate")
	list := []struct{ name, code, said string }{
		{"missing", "{type: Image, image: {url: 'ghcr.io/tollgate-wasm/missing:0.1.0'}}", "could not fetch Wasm OCI image"},
		{"guarded", "{type: Image, image: {url: 'ghcr.io/tollgate-wasm/guarded:0.1.0'}}", "could not fetch Wasm OCI image"},
		{"placeholder", "{type: Image, image: {url: 'ghcr.io/tollgate-wasm/tollgate:0.1.0', sha256: '" + zeros + "'}}",
			"does not match"},
		{"gone", "{type: Image, image: {url: 'gone.example.com/tollgate:0.1.0', sha256: '" + digest + "'}}",
			"could not fetch Wasm OCI image"},
		{"changed", "{type: HTTP, http: {url: 'https://" + filesHost + "/tollgate.wasm', sha256: '" + zeros + "'}}",
			"does not match"},
		{"no-file", "{type: HTTP, http: {url: 'https://" + filesHost + "/none.wasm', sha256: '" + digest + "'}}", "404"},
	}
	begin := time.Now()
	var policies, routes string
	for _, c := range list {
		policies += extensionPolicy(c.name, "HTTPRoute", c.name, c.code, anyone)
		routes += route(c.name, "pull", c.name+".example.com", "/")
	}
	// A SecurityPolicy beside a policy with wasm: the second lock.
	policies += securityPolicy("guarded", "HTTPRoute", "guarded", shopTokens)
	routes += route("control", "pull", "control.example.com", "/")
	g.Apply(t, policies)
	g.Apply(t, plainGateway("pull", "tollgate")+routes)
	defer g.remove(t, policies+plainGateway("pull", "tollgate")+routes)
	cluster.Eventually(t, "a route without a policy is served", func() bool {
		return g.ask(t, "pull", "control.example.com", "GET", "/").status == 200
	})
	t.Logf("measured: beside %d modules that cannot be had, a new Gateway is ready after %.1f s", len(list),
		time.Since(begin).Seconds())
	good := bearer(idp.Token(claims()))
	for _, c := range list {
		for _, headers := range [][][2]string{nil, {good}} {
			want := 500
			if c.name == "guarded" && headers == nil {
				want = 401
			}
			if a := g.ask(t, "pull", c.name+".example.com", "GET", "/", headers...); a.status != want {
				t.Errorf("%s: %s, want %d", c.name, a, want)
			}
		}
		said := g.conditions(t, "envoyextensionpolicy", c.name)
		if !strings.Contains(said, "Accepted=False") || !strings.Contains(said, c.said) {
			t.Errorf("%s: want Accepted=False with %q: %s", c.name, c.said, said)
		}
		t.Logf("measured: %s: 500, and %s", c.name, said)
	}
	// What is there at last is not looked for again, until something is changed.
	hosts := []string{"missing.example.com", "guarded.example.com"}
	for _, name := range []string{"missing", "guarded"} {
		g.sh(t, "tollgate image push tollgate ghcr.io/tollgate-wasm/"+name+":0.1.0")
	}
	for begin := time.Now(); time.Since(begin) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
		if a := g.ask(t, "pull", hosts[0], "GET", "/", good); a.status != 500 {
			t.Fatalf("Envoy Gateway has looked again by itself, WasmPlugin/README.md says it does not: %s", a)
		}
	}
	for _, c := range list[2:] { // each keeps Envoy Gateway busy
		g.Kubectl(t, "delete", "envoyextensionpolicy", c.name, "--namespace", edge)
	}
	missing, guarded := g.open(t, "pull", hosts[0], "/"), g.open(t, "pull", hosts[1], "/")
	g.touch(t, "guarded")
	g.touch(t, "missing")
	took := cluster.Eventually(t, "the modules are pulled, and decide", func() bool {
		for _, host := range hosts {
			if g.ask(t, "pull", host, "GET", "/", good).status != 200 || g.ask(t, "pull", host, "GET", "/").status != 401 {
				return false
			}
		}
		return true
	})
	passed, span := missing()
	t.Logf("measured: an image that is there at last is pulled when the policy is changed, and decides after %.1f s; "+
		"meanwhile %d requests without a token pass, in %.1f s", took.Seconds(), passed, span.Seconds())
	if passed, _ := guarded(); passed != 0 {
		t.Errorf("behind a SecurityPolicy, %d requests without a token pass", passed)
	}
}

// gatewayTrap: a VM that traps. Envoy Gateway has no field for what then becomes of it; EnvoyPatchPolicy sets it.
func (g *gatewayLab) gatewayTrap(t *testing.T) {
	faulty, err := os.ReadFile(probetest.Build(t, "e2e/chain/faulty"))
	if err != nil {
		t.Fatal(err)
	}
	g.files.set("/faulty.wasm", faulty)
	resources := extensionPolicy("trap", "Gateway", "trap",
		fmt.Sprintf("{type: HTTP, http: {url: %q, sha256: '%s'}}", "https://"+filesHost+"/faulty.wasm", sum(faulty)), anyone) +
		strings.NewReplacer("name: tollgate\n", "name: trap\n", "spec:\n  provider", "spec:\n  concurrency: 1\n  provider").
			Replace("---\n"+g.file(t, "envoy-gateway/envoyproxy.yaml")) + plainGateway("trap", "trap") +
		route("trap", "trap", "trap.example.com", "/")
	g.Apply(t, resources)
	defer g.remove(t, resources)
	good := bearer(idp.Token(claims()))
	ask := func(headers ...[2]string) answer { return g.ask(t, "trap", "trap.example.com", "GET", "/", headers...) }
	cluster.Eventually(t, "the module decides", func() bool { return ask().status == 401 && ask(good).status == 200 })
	dump := g.Node.Get(g.proxy(t, "trap"), 19000, "/config_dump")
	t.Logf("measured: failure_policy is in the configuration that Envoy Gateway writes: %t",
		strings.Contains(dump, "failure_policy"))
	trap := [2]string{"x-trap", "now"}
	if a := ask(good, trap); a.status != 503 {
		t.Errorf("the request that traps: %s", a)
	}
	const wait = 3 * time.Second // Envoy makes a VM anew after one second, where it does
	asked := 0
	for begin := time.Now(); time.Since(begin) < wait; time.Sleep(50 * time.Millisecond) {
		if a := ask(good); a.status != 503 {
			t.Fatalf("without a word of failure_policy, a request after a trap: %s", a)
		}
		asked++
	}
	t.Logf("measured: after a trap each of %d requests in %s is answered 503", asked, wait)
	_, yaml := snippets(t, filepath.Join(g.Root, "WasmPlugin/README.md"), "Reload a filter after a trap")
	if len(yaml) != 1 {
		t.Fatalf("%d snippets", len(yaml))
	}
	// As it stands there, for the edge.
	done := g.open(t, edge, apiHost, "/orders/7")
	g.Apply(t, yaml[0])
	cluster.Eventually(t, "the edge has the README's patch", func() bool {
		return strings.Contains(g.Node.Get(g.proxy(t, edge), 19000, "/config_dump"), "FAIL_RELOAD")
	})
	if passed, _ := done(); passed != 0 {
		t.Errorf("while the edge is patched, %d requests without a token pass", passed)
	}
	g.remove(t, yaml[0])
	patch := strings.NewReplacer("name: edge\n", "name: trap\n", "edge/edge/api", "edge/trap/http",
		"/edge/tollgate/", "/edge/trap/").Replace(yaml[0])
	g.Apply(t, patch)
	defer g.remove(t, patch)
	took := cluster.Eventually(t, "the patched proxy decides", func() bool {
		return strings.Contains(g.Node.Get(g.proxy(t, "trap"), 19000, "/config_dump"), "FAIL_RELOAD") &&
			ask(good).status == 200
	})
	t.Logf("measured: the patch counts after %.1f s: %s", took.Seconds(), g.conditions(t, "envoypatchpolicy", "tollgate"))
	for i := range 2 {
		if a := ask(good, trap); a.status != 503 {
			t.Errorf("the request that traps, patched: %s", a)
		}
		took := cluster.Eventually(t, "a new VM decides", func() bool {
			a := ask(good)
			if a.status != 200 && a.status != 503 {
				t.Fatalf("after a trap: %s", a)
			}
			return a.status == 200
		})
		if a := ask(); a.status != 401 {
			t.Errorf("without a token after a trap: %s", a)
		}
		t.Logf("measured: patched, trap %d: the next good request passes after %.1f s", i+1, took.Seconds())
	}
}

// gatewayRestart restarts Envoy Gateway while the registry answers nobody: then it has no modules, and its proxies
// refuse.
func (g *gatewayLab) gatewayRestart(t *testing.T) {
	good := bearer(idp.Token(claims()))
	g.lock("nobody:knows")
	defer g.lock("")
	g.sh(t, "kubectl rollout restart deployment envoy-gateway --namespace "+egNamespace)
	done := g.open(t, edge, apiHost, "/orders/7")
	took := cluster.Eventually(t, "the edge refuses", func() bool {
		return g.ask(t, edge, apiHost, "GET", "/orders/7", good).status == 500
	})
	passed, span := done()
	t.Logf("measured: after a restart without a registry every request is answered 500, from %.1f s on; meanwhile %d "+
		"requests without a token pass, in %.1f s", took.Seconds(), passed, span.Seconds())
	g.lock("")
	done = g.open(t, edge, apiHost, "/orders/7")
	g.touch(t, "tollgate")
	took = cluster.Eventually(t, "the edge decides again", func() bool {
		return g.ask(t, edge, apiHost, "GET", "/orders/7", good).status == 200 &&
			g.ask(t, edge, apiHost, "GET", "/orders/7").status == 401
	})
	passed, span = done()
	t.Logf("measured: with the registry back and the policy changed, the edge decides after %.1f s; meanwhile %d requests "+
		"without a token pass, in %.1f s", took.Seconds(), passed, span.Seconds())
}

// touch changes a policy, so that Envoy Gateway looks for its module again. An annotation would not do.
func (g *gatewayLab) touch(t *testing.T, name string) {
	t.Helper()
	g.Kubectl(t, "patch", "envoyextensionpolicy", name, "--namespace", edge, "--type", "json", "--patch",
		`[{"op": "add", "path": "/spec/wasm/0/code/pullPolicy", "value": "Always"}]`)
}

// lock has the registry want credentials: "" for none.
func (g *gatewayLab) lock(credentials string) {
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	g.registry.user = credentials
}

// shopTokens are the issuer's, by its key set.
const shopTokens = `  jwt:
    providers:
    - name: shop
      issuer: https://idp.example.com/realms/shop
      audiences: [shop]
      remoteJWKS: {uri: "https://idp.example.com/realms/shop/protocol/openid-connect/certs"}
`

// securityPolicy is one for a target; spec is the rest of its spec, in YAML.
func securityPolicy(name, kind, target, spec string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: %s, namespace: edge}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s}]
%s`, name, kind, target, spec)
}

var partner, forger = mint.New("partner-1", jose.ES256), mint.WithID(mint.New("forged", jose.ES256), "2026-11")

// securities are the policies that are migrated: the first is the Gateway's, the others are those of routes.
func securities() []string {
	inline := func(keys ...*mint.Key) string { return "{type: Inline, inline: '" + string(mint.Set(keys...)) + "'}" }
	return []string{shopTokens + `  authorization:
    defaultAction: Deny
    rules:
    - name: read
      action: Allow
      operation: {methods: [GET, HEAD]}
      principal: {jwt: {provider: shop, scopes: ["orders:read"]}}
    - name: write
      action: Allow
      operation: {methods: [POST, PUT]}
      principal: {jwt: {provider: shop, scopes: ["orders:read", "orders:write"]}}
`, `  jwt:
    optional: true
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", audiences: [shop, mobile], localJWKS: ` + inline(idp) + `}
  authorization:
    defaultAction: Allow
    rules:
    - name: robots
      action: Deny
      principal: {jwt: {provider: shop, claims: [{name: role, values: [robot]}]}}
    - name: administrators
      action: Allow
      operation: {path: {type: PathPrefix, value: /orders/admin}}
      principal: {jwt: {provider: shop, claims: [{name: groups, valueType: StringArray, values: [admins, owners]}]}}
    - name: staff
      action: Deny
      operation: {path: {type: PathPrefix, value: /orders/admin}}
      principal: {jwt: {provider: shop, claims: [{name: groups, valueType: StringArray, values: [staff]}]}}
`, `  jwt:
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", localJWKS: ` + inline(idp) + `}
    - {name: partner, issuer: "https://partner.example.net", audiences: [shop], localJWKS: ` + inline(partner) + `}
  authorization:
    defaultAction: Deny
    rules:
    - name: kept
      action: Deny
      operation: {methods: [DELETE]}
      principal: {jwt: {provider: shop, claims: [{name: role, values: [clerk]}]}}
    - name: partners
      action: Allow
      operation: {path: {type: Exact, value: /orders/7}}
      principal: {jwt: {provider: partner, scopes: ["orders:read"]}}
    - name: ours
      action: Allow
      principal: {jwt: {provider: shop, claims: [{name: role, values: [clerk, robot]}]}}
`, `  jwt:
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", audiences: [shop], localJWKS: ` + inline(idp) + `}
`}
}

// code of a refusal.
func (a answer) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &problem) // to HEAD there is none
	return problem.Code
}

// randomToken is a token in the header, a bad one, or none.
func randomToken(r *rand.Rand) (name string, headers [][2]string) {
	one := func(list ...any) any { return list[r.IntN(len(list))] }
	now := time.Now().Unix()
	c := map[string]any{"iss": issuer, "sub": "alice", "aud": one("shop", "shop", "shop", "mobile", "bank",
		[]string{"bank", "shop"}), "exp": now + 3600}
	for name, values := range map[string][]any{
		"scope":  {"orders:read", "orders:write", "orders:read orders:write", "orders", "", nil},
		"role":   {"clerk", "robot", "admin", []string{"robot"}, nil, nil},
		"groups": {[]string{"admins"}, []string{"staff", "owners"}, []string{"staff"}, "admins", nil},
	} {
		if v := values[r.IntN(len(values))]; v != nil {
			c[name] = v
		}
	}
	key := idp
	switch kind := r.IntN(16); kind {
	case 0:
		return "no token", nil
	case 1:
		return "no JWT", [][2]string{bearer("abc.def.ghi")}
	case 2:
		return "Basic", [][2]string{{"Authorization", "Basic YTpi"}}
	case 3:
		name, c["exp"] = "expired", now-3600
	case 4:
		name, c["nbf"] = "not yet", now+3600
	case 5:
		name, c["iss"] = "another issuer", "https://evil.example.com"
	case 6:
		name, key = "forged", forger
	case 7:
		name, key = "another key", mint.New("unknown", jose.ES256)
	case 8, 9, 10:
		name, key, c["iss"] = "partner's", partner, "https://partner.example.net"
	default:
		name = "good"
	}
	token := key.Token(c)
	if r.IntN(40) == 0 {
		name, token = name+", cut", token[:len(token)-4]
	}
	return fmt.Sprintf("%s %v", name, c), [][2]string{bearer(token)}
}

// gatewayMigrate puts the same requests to SecurityPolicies and to what tollgate migrate makes of them.
func (g *gatewayLab) gatewayMigrate(t *testing.T) {
	var policies, routes string
	for i, spec := range securities() {
		name := fmt.Sprint("before-", i)
		kind, target := "HTTPRoute", name
		if i == 0 {
			kind, target = "Gateway", "before"
		}
		policies += securityPolicy(name, kind, target, spec)
		routes += route(name, "before", fmt.Sprintf("h%d.example.com", i), "/")
	}
	after := strings.NewReplacer("before", "after")
	if err := os.WriteFile(filepath.Join(g.work(), "policies.yaml"), []byte(after.Replace(policies)), 0o644); err != nil {
		t.Fatal(err)
	}
	digest := g.image(t, "jwt-scope")
	migrated := g.sh(t, "tollgate migrate policies.yaml --url ghcr.io/tollgate-wasm/jwt-scope:0.1.0@sha256:"+digest)
	// The cluster that Envoy Gateway makes for a SecurityPolicy goes with it: the command says so.
	migrated = strings.ReplaceAll(migrated, "idp_example_com_443", "idp")
	g.Apply(t, migrated+policies)
	both := plainGateway("before", "tollgate") + routes
	both += after.Replace(both)
	g.Apply(t, both)
	defer g.remove(t, migrated+policies+both)
	begin := time.Now()
	good := bearer(idp.Token(claims("role", "clerk")))
	forged := bearer(forger.Token(claims()))
	sides := [2]string{"before", "after"}
	var clients [2]*http.Client
	for i, side := range sides {
		address := net.JoinHostPort(g.proxy(t, side).Status.PodIP, "10080")
		clients[i] = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			Dial: func(network, _ string) (net.Conn, error) { return net.Dial(network, address) }}}
	}
	put := func(side, policy int, method, path string, headers ...[2]string) answer {
		request, err := http.NewRequest(method, fmt.Sprintf("http://h%d.example.com%s", policy, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		return do(clients[side], request, headers...)
	}
	for side := range sides {
		for i := range securities() {
			cluster.Eventually(t, fmt.Sprint(sides[side], " decides by policy ", i), func() bool {
				return put(side, i, "GET", "/orders/7", good).status == 200 &&
					put(side, i, "GET", "/orders/7", forged).status == 401
			})
		}
	}
	t.Logf("measured: both Gateways decide after %.1f s", time.Since(begin).Seconds())
	begin = time.Now()
	r := rand.New(rand.NewPCG(19, 1))
	statuses, differ := map[string]int{}, map[string]int{}
	const most = 6000
	for n := range most {
		method := []string{"GET", "GET", "HEAD", "POST", "PUT", "DELETE"}[r.IntN(6)]
		path := []string{"/orders/7", "/orders/7?x=1", "/orders/admin", "/orders/admin/x", "/orders/administration", "/",
			"/orders/7/lines"}[r.IntN(7)]
		name, headers := randomToken(r)
		policy := n % len(securities())
		was, is := put(0, policy, method, path, headers...), put(1, policy, method, path, headers...)
		statuses[fmt.Sprint(was.status)]++
		// Envoy answers 403 to a token for others, and jwt-scope 401; and jwt-scope does not look at the token of a request
		// that no rule is for.
		differs := was.status != is.status
		if differs && was.status == 403 && is.status == 401 && is.code() != "token_missing" || was.status == 401 &&
			is.status == 403 && (is.code() == "no_rule" || method == "HEAD") {
			differ[fmt.Sprintf("%d, migrated %d %s", was.status, is.status, is.code())]++
		} else if differs {
			t.Errorf("policy %d: %s %s with %s: %d, migrated %s", policy, method, path, name, was.status, is)
		}
	}
	t.Logf("measured: %d requests put to both in %.1f s, answered %v; different: %v", most, time.Since(begin).Seconds(),
		statuses, differ)
	for _, status := range []string{"200", "401", "403"} {
		if statuses[status] < most/20 {
			t.Errorf("of %d requests %d are answered %s: too little is tried", most, statuses[status], status)
		}
	}
}

// Envoy Gateway without Kubernetes: its resources are files, and its Envoy a process beside it.
func TestEnvoyGatewayStandalone(t *testing.T) {
	f := found(t)
	program, _ := envoyGateway(t, f)
	module, err := os.ReadFile(filepath.Join(f.Root, "build/out/tollgate.wasm"))
	if err != nil {
		t.Fatalf("%v; run: make build", err)
	}
	downloads := &files{byPath: map[string][]byte{"/tollgate.wasm": module}}
	code, service := httptest.NewServer(downloads), httptest.NewServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Edge-Stamp") != "") }))
	defer code.Close()
	defer service.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Where Envoy Gateway keeps those Envoys that it has fetched.
	versions := filepath.Join(dir, "data/envoy-versions/1.40.0/bin")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.Envoy, filepath.Join(versions, "envoy")); err != nil {
		t.Fatal(err)
	}
	key := mint.New("edge-2026-11", jose.ES256)
	_, port, _ := net.SplitHostPort(service.Listener.Addr().String())
	resources := `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tollgate}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: host, namespace: envoy-gateway-system}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: host, namespace: envoy-gateway-system}
spec: {provider: {type: Host, host: {envoyVersion: 1.40.0}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  gatewayClassName: tollgate
  listeners: [{name: http, port: 8888, protocol: HTTP}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: orders, namespace: edge}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: ` + port + `}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: edge}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: orders}]}]
`
	config := `{"chain": [{"name": "who", "filter": "jwt-scope", "config": {"providers": [{"name": "idp", "issuer": ` +
		`"https://idp.example.com/realms/shop", "audiences": ["shop"], "jwks": {"inline": ` + string(mint.Set(idp)) +
		`}}], "rules": [{"name": "all"}]}}, {"name": "stamp", "filter": "edge-stamp", "config": {"role": "sign", ` +
		`"issuer": "https://edge.example.com", "audience": "mesh.internal", "keys": [{"kid": "edge-2026-11", "alg": ` +
		`"ES256", "env": "EDGE_STAMP_KEY"}], "rules": [{"name": "all", "sign": true}]}}]}`
	policy := extensionPolicy("tollgate", "Gateway", edge,
		fmt.Sprintf("{type: HTTP, http: {url: %q, sha256: '%s'}}", code.URL+"/tollgate.wasm", sum(module)), config)
	policy = strings.TrimPrefix(policy, "---\n") + "    env: {hostKeys: [EDGE_STAMP_KEY]}\n"
	write("resources/edge.yaml", resources)
	write("resources/policy.yaml", policy)
	configuration := write("envoy-gateway.yaml", fmt.Sprintf(`apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [%[1]s/resources]}}
    infrastructure:
      type: Host
      host: {configHome: %[1]s/config, dataHome: %[1]s/data, stateHome: %[1]s/state, runtimeDir: %[1]s/run}
logging: {level: {default: info}}
extensionApis: {enableBackend: true}
`, dir))
	env := append(os.Environ(), "HOME="+dir, "EDGE_STAMP_KEY="+key.PrivatePEM(), "ENVOY_GATEWAY_NAMESPACE="+egNamespace)
	certificates := exec.Command(program, "certgen", "--local", "--config-home", filepath.Join(dir, "config"))
	certificates.Env = env
	if out, err := certificates.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Else Envoy Gateway gives its proxy a certificate for the modules that it does not take itself.
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: envoy, namespace: envoy-gateway-system}\ntype: " +
		"kubernetes.io/tls\ndata:\n"
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		text, err := os.ReadFile(filepath.Join(dir, "config/certs/envoy", name))
		if err != nil {
			t.Fatal(err)
		}
		secret += "  " + name + ": " + base64.StdEncoding.EncodeToString(text) + "\n"
	}
	write("resources/secret.yaml", secret)
	// Its proxy looks for the modules under the name that Envoy Gateway has on Kubernetes, with the certificates there:
	// a machine needs both.
	const machine = `set -e; mkdir "$1/root"; mount -t tmpfs tmpfs "$1/root"; cd "$1/root"; mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; cd root
for d in /proc /dev /sys /tmp "$2"; do mkdir -p ".$d"; mount --rbind "$d" ".$d"; done
mount -t tmpfs tmpfs dev/shm; mkdir certs; cp "$1"/config/certs/envoy/* certs; echo "127.0.0.1 $3" >>etc/hosts; shift 3; exec chroot . "$@"`
	server := exec.Command("unshare", "--mount", "sh", "-c", machine, "sh", dir, f.Cache,
		"envoy-gateway."+egNamespace+".svc.cluster.local", program, "server", "--config-path", configuration)
	server.Env = env
	begin := time.Now()
	running, err := process.Start(server)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	ask := func(headers ...[2]string) answer {
		request, err := http.NewRequest("GET", "http://127.0.0.1:8888/orders/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		return do(&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, request,
			headers...)
	}
	good := bearer(idp.Token(claims()))
	if err := running.Await(func() bool {
		if a := ask(); a.status == 200 {
			t.Errorf("without a token: %s", a)
		}
		return ask(good).status == 200
	}, time.Minute); err != nil {
		t.Fatalf("%v: %s, %s\n%s", err, ask(good), ask(), running.Log())
	}
	t.Logf("measured: standalone, a good request passes after %.1f s", time.Since(begin).Seconds())
	if a := ask(good); a.body != "true" {
		t.Errorf("a good request, is it stamped: %s", a)
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{"a token that has expired": {expired(), 401}, "no token": {"", 401}, "forged": {forger.Token(claims()), 401}} {
		if a := ask(bearer(c.token)); a.status != c.status {
			t.Errorf("%s: %s, want %d", name, a, c.status)
		}
	}
	// Files are watched.
	write("resources/policy.yaml", strings.ReplaceAll(policy, sum(module), zeros))
	begin = time.Now()
	if err := running.Await(func() bool { return ask(good).status == 500 }, time.Minute); err != nil {
		t.Fatalf("another digest: %v: %s\n%s", err, ask(good), running.Log())
	}
	t.Logf("measured: standalone, another digest counts after %.1f s: 500", time.Since(begin).Seconds())
}
