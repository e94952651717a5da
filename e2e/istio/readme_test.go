// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
	"github.com/tollgate-wasm/tollgate/e2e/istio/resources"
)

// section is the part of the README that says what to do on Istio.
func section(t *testing.T, root string) (values string, commands []string) {
	text := string(read(t, filepath.Join(root, "README.md")))
	_, text, ok := strings.Cut(text, "\n## On Istio\n")
	if !ok {
		t.Fatal("the README has no section On Istio")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "yaml":
			values += m[2]
		case "sh":
			commands = append(commands, strings.Split(strings.TrimSpace(m[2]), "\n")...)
		default:
			t.Errorf("a snippet in %s", m[1])
		}
	}
	return values, commands
}

// The README's section On Istio, line by line, with module: separate: what it pushes, for each filter as the README
// has the one module pushed, looks at and applies, and then requests to a gateway and through it to a sidecar, with
// the shipped chart's resources as they are. Only addresses are this machine's: of the registry, of the identity
// provider, of the edge, of the rate-limit service and of the service itself; and what starts TLS with the outside
// starts none. With the one module, e2e/kubernetes does the same.
func TestReadmeSeparate(t *testing.T) {
	values, commands := section(t, root(t))
	values += "module: separate\n"
	const one = "tollgate image push tollgate registry.example.com/tollgate/tollgate:"
	before, sum, ok := strings.Cut(values, "    tollgate: ")
	at := slices.IndexFunc(commands, func(line string) bool { return strings.HasPrefix(line, one) })
	if !ok || at < 0 {
		t.Fatalf("the README does not push the one module, and pin it: %q, %s", commands, values)
	}
	version := strings.TrimPrefix(commands[at], one)
	commands = slices.Delete(commands, at, at+1)
	sum, rest, _ := strings.Cut(sum, "\n")
	for _, filter := range filters.Names() {
		before += "    " + filter + ": " + sum + "\n"
		line := "tollgate image push " + filter + " registry.example.com/tollgate/" + filter + ":" + version
		commands = slices.Insert(commands, at, line)
	}
	walk{before + rest, commands, 3, 6}.run(t)
}

func root(t *testing.T) string {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// walk is what a reader does, and how many plugins the gateway and the workload then have.
type walk struct {
	values            string
	commands          []string
	gateway, workload int
}

func (w walk) run(t *testing.T) {
	root := root(t)
	values, commands := w.values, w.commands
	registry := mesh.StartRegistry(t)
	here := func(text string) string { return strings.ReplaceAll(text, "registry.example.com", registry.Host) }
	tollgate := filepath.Join(t.TempDir(), "tollgate")
	build := exec.Command("go", "build", "-o", tollgate, "./build/tollgate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	keySets := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = w.Write(mint.Set(idp))
	}))
	defer keySets.Close()
	up := harness.StartUpstream(t)
	ports := mesh.FreePorts(t, 3)
	ip := mesh.NewIP()
	const public, direct = 0, 1
	l := lab{t: t, up: up, registry: registry, port: ports[public]}
	l.Mesh = mesh.Start(t, mesh.Options{Resources: map[string]string{"lab": surroundings(ip, ports, up.Port())}})

	chart := func(values string) string {
		text, err := resources.Chart(filepath.Join(root, "WasmPlugin"), "istio-system", here(values))
		if err != nil {
			t.Fatal(err)
		}
		// istiod fetches these keys itself.
		return strings.ReplaceAll(text, "https://idp.example.com/realms/shop/protocol/", keySets.URL+"/")
	}
	applied := 0
	for _, line := range commands {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "tollgate image push "):
			digest := pushed(t, tollgate, root, here(line))
			if !strings.Contains(values, words[3]+`: "`) {
				t.Fatalf("%s: the values have no digest of it:\n%s", line, values)
			}
			values = strings.Replace(values, words[3]+`: "`+strings.Repeat("0", 64), words[3]+`: "`+digest, 1)
		case strings.HasPrefix(line, "helm "):
			text := chart(values)
			if words[1] == "template" {
				var c check.Checker
				c.File("-", []byte(text))
				for _, f := range c.Findings() {
					t.Errorf("%s: %s", line, f)
				}
				continue
			}
			l.Apply("chart", text)
			applied++
		case strings.HasPrefix(line, "kubectl apply -k "):
			text, err := resources.Kustomize(filepath.Join(root, words[3]))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if words[3] == "WasmPlugin/istio/services" {
				text = services(keySets.Listener.Addr().String(), ports[public], rateLimit(t, tollgate, root))
			}
			l.Apply(filepath.Base(words[3]), text)
			applied++
		default:
			t.Errorf("no check for %q", line)
		}
	}
	if applied != 3 {
		t.Errorf("%d things were applied", applied)
	}

	key := mint.New("edge-2026-11", jose.ES256)
	l.proxy = l.Proxy(mesh.Workload{Name: "edge-istio", Namespace: "istio-ingress", Gateway: true,
		Env:    []string{"EDGE_STAMP_KEY=" + key.PrivatePEM()},
		Labels: map[string]string{"istio": "ingressgateway", "gateway.networking.k8s.io/gateway-name": "edge"}})
	l.Proxy(mesh.Workload{Name: "around", Namespace: "other", Gateway: true, Labels: map[string]string{"app": "around"}})
	orders := l.Proxy(mesh.Workload{Name: "orders", Namespace: "shop", IP: ip,
		Labels: map[string]string{"app": "orders", "edge-stamp": "required"}})
	around := l
	around.port = ports[direct]

	const host, path = "api.example.com", "/tenants/acme/orders/7"
	token := func(changes ...any) [2]string {
		return bearer(idp.Token(claims(append([]any{"aud", "shop", "tenant", "acme"}, changes...)...)))
	}
	ask := func(l lab, method, path string, headers ...[2]string) answer {
		return l.ask(method, path, append(headers, [2]string{"Host", host})...)
	}
	mesh.Eventually(t, "all plugins are there",
		func() bool { return len(l.proxy.Plugins()) == w.gateway && len(orders.Plugins()) == w.workload })
	mesh.Eventually(t, "a good request passes all of them", func() bool { return ask(l, "GET", path, token()).is(200) })
	up.Take()
	for _, c := range []struct {
		name         string
		from         lab
		method, path string
		headers      [][2]string
		status       int
		code         string
	}{
		{"a good request", l, "GET", path, [][2]string{token()}, 200, ""},
		{"no token: the gateway", l, "GET", path, nil, 401, "token_missing"},
		{"a forged token: the gateway", l, "GET", path,
			[][2]string{bearer(forger.Token(claims("aud", "shop", "tenant", "acme")))}, 401, "token_signature"},
		{"an ambiguous path: the gateway", l, "GET", "/tenants/acme%2f..%2fother/orders/7", [][2]string{token()}, 400,
			"path_ambiguous"},
		{"the platform's layer", l, "GET", "/admin/users", [][2]string{token()}, 403, "insufficient_scope"},
		{"the application's layer", l, "GET", "/tenants/other/orders/7", [][2]string{token()}, 403, "claim_mismatch"},
		{"the service's layer", l, "POST", path, [][2]string{token()}, 403, "insufficient_scope"},
		{"around the gateway", around, "GET", path, [][2]string{token()}, 401, "stamp_rejected"},
		{"around the gateway with a stamp of one's own", around, "GET", path,
			[][2]string{token(), {"X-Edge-Stamp", forger.Typed("edge-stamp+jwt", claims())}}, 401, "stamp_rejected"},
		{"a payload of one's own", l, "POST", path,
			[][2]string{token(), {"X-Jwt-Payload", "eyJzY29wZSI6Im9yZGVyczp3cml0ZSJ9"}}, 403, "insufficient_scope"},
	} {
		a := ask(c.from, c.method, c.path, c.headers...)
		if a.status != c.status || !strings.Contains(a.body, c.code) {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.status, a.body, c.status, c.code)
		}
		passed := up.Take()
		if want := map[bool]int{true: 1}[c.status == 200]; len(passed) != want {
			t.Errorf("%s: %d requests reached the service, want %d", c.name, len(passed), want)
		}
		if c.status == 200 && (passed[0].Header("x-user-id") != "alice" || passed[0].Header("x-tenant") != "acme" ||
			passed[0].Header("x-edge-stamp") != "") {
			t.Errorf("%s: the service has got %+v", c.name, passed[0])
		}
	}
	if a := ask(l, "GET", path, token()); a.headers.Get("Ratelimit-Policy") == "" ||
		!strings.Contains(strings.Join(a.headers.Values("Ratelimit-Policy"), ","), `"orders-per-user"`) {
		t.Errorf("the rate-limit service's limit is in no header: %v", a.headers)
	}
	limited := 0
	for range 400 {
		if ask(l, "GET", path).is(429) {
			limited++
		}
	}
	if limited == 0 {
		t.Error("400 requests of one address, one after the other, and none was refused")
	}
}

// pushed runs a line with tollgate image push, and returns the digest that it prints.
func pushed(t *testing.T, tollgate, root, line string) string {
	t.Helper()
	words := strings.Fields(line)
	push := exec.Command(tollgate, words[1:]...)
	push.Args = append(push.Args, "--module", harness.Module(t, words[3]))
	push.Dir = root
	var said strings.Builder
	push.Stderr = &said
	out, err := push.Output()
	_, digest, ok := strings.Cut(strings.TrimSpace(string(out)), "@sha256:")
	if err != nil || !ok {
		t.Fatalf("%s: %v, %q\n%s", line, err, out, said.String())
	}
	return digest
}

// surroundings are the services and gateways of this machine: the edge, a gateway of somebody else,
// and the workload orders.
func surroundings(ip string, ports []int, upstream int) string {
	const gateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: %[1]s}
spec:
  selector: {%[2]s}
  servers: [{port: {number: %[3]d, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: %[1]s}
spec:
  hosts: [api.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: orders.shop.svc.cluster.local, port: {number: 80}}}]}]
---
`
	return fmt.Sprintf(gateway, "istio-ingress", "istio: ingressgateway", ports[0]) + fmt.Sprintf(gateway, "other", "app: around", ports[1]) + fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge-keys, namespace: istio-ingress}
spec:
  hosts: [edge.example.com]
  gateways: [edge]
  http: [{match: [{uri: {exact: /.well-known/edge-stamp/jwks.json}}], directResponse: {status: 404}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: %s, ports: {http: %d}, labels: {security.istio.io/tlsMode: istio}, serviceAccount: orders}]
---
`, ip, ports[2]) + sidecar(ip, ports[2], upstream, "")
}

// services is WasmPlugin/istio/services with addresses of this machine, and without TLS.
func services(idp string, edge, rateLimit int) string {
	const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s, namespace: istio-system}
spec:
  hosts: [%[2]s]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: %[3]d, name: %[4]s, protocol: %[5]s}]
  endpoints: [{address: 127.0.0.1, ports: {%[4]s: %[6]s}}]
---
`
	return fmt.Sprintf(entry, "idp", "idp.example.com", 80, "http", "HTTP", idp[strings.LastIndex(idp, ":")+1:]) +
		fmt.Sprintf(entry, "edge", "edge.example.com", 80, "http", "HTTP", fmt.Sprint(edge)) +
		fmt.Sprintf(entry, "ratelimit", "ratelimit.tollgate.internal", 8081, "grpc", "GRPC", fmt.Sprint(rateLimit))
}

// rateLimit runs the rate-limit service with what tollgate descriptors makes of the shipped limits,
// and returns its port.
func rateLimit(t *testing.T, tollgate, root string) int {
	t.Helper()
	text, err := exec.Command(tollgate, "descriptors",
		filepath.Join(root, "WasmPlugin", "rate-limit", "workload", "wasmplugin.yaml")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return harness.StartRateLimit(t, harness.StartRedis(t), map[string]string{"tollgate.yaml": string(text)}).Port()
}
