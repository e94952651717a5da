// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
)

const issuer = "https://idp.example.com/realms/shop"

var (
	idp    = mint.New("2026-11", jose.ES256)
	forger = mint.New(idp.ID, jose.ES256)
)

// claims of a good token, with changes.
func claims(changes ...any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": "orders-api", "sub": "alice", "scope": "orders:read",
		"exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i].(string)] = changes[i+1]
	}
	return c
}

func bearer(token string) [2]string { return [2]string{"Authorization", "Bearer " + token} }

// module is the filter as it ships.
func module(t testing.TB, filter string) []byte {
	t.Helper()
	return read(t, harness.Module(t, filter))
}

// released is the filter as another release would have it: the same code, other bytes, by a custom
// section with its name.
func released(t testing.TB, filter, release string) []byte {
	section := append([]byte{byte(len(release))}, release...)
	return append(module(t, filter), append([]byte{0, byte(len(section))}, section...)...)
}

// push pushes a filter.
func push(t testing.TB, r *mesh.Registry, filter string) mesh.Image {
	t.Helper()
	return r.Push(t, filter, "v1", image.OCI, module(t, filter))
}

// policy is jwt-scope's configuration: GET and POST of orders by scope, and one more path.
func policy(more string) string {
	return fmt.Sprintf(`{"providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "jwks": {"inline": %s}}],
      "rules": [{"name": "read-orders", "match": [{"paths": ["/orders/{**}", %q], "methods": ["GET"]}], "require": {"scopes": {"any": ["orders:read"]}}},
        {"name": "write-orders", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"all": ["orders:write"]}}}]}`, issuer, mint.Set(idp), more)
}

// plugin is a WasmPlugin for the workload with the label app.
func plugin(name, namespace, app, url, config string, more ...string) string {
	return fmt.Sprintf(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: %s}
spec:
  selector: {matchLabels: {app: %s}}
  url: %q
  failStrategy: FAIL_RELOAD
  pluginConfig: %s
%s`, name, namespace, app, url, config, indent(strings.Join(append([]string{"phase: AUTHN"}[min(len(more), 1):], more...), "\n"), 2))
}

func indent(text string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad) + "\n"
}

// gateway are the resources of a gateway with the label app on a port, and of what it routes to.
func gateway(app string, port, destinationPort int) string {
	return gatewayTo(app, fmt.Sprintf("{number: %d, name: http, protocol: HTTP}", port), "", "upstream.shop.internal") +
		external(destinationPort)
}

// external is what a gateway routes to: a server outside of the mesh, here on a port of this machine.
func external(port int) string {
	return fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: upstream, namespace: edge}
spec:
  hosts: [upstream.shop.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %d}}]
`, port)
}

// gatewayTo are a gateway's resources; tls is the server's, in YAML.
func gatewayTo(app, port, tls, host string) string {
	if tls != "" {
		tls = "\n    tls: " + tls
	}
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: %[1]s, namespace: edge}
spec:
  selector: {app: %[1]s}
  servers:
  - port: %[2]s
    bind: 127.0.0.1
    hosts: ["*"]%[3]s
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %[1]s, namespace: edge}
spec:
  hosts: ["*"]
  gateways: [%[1]s]
  http:
  - route:
    - destination: {host: %[4]s, port: {number: 80}}
`, app, port, tls, host)
}

// lab is the least that decides: a mesh with one gateway before an upstream.
type lab struct {
	*mesh.Mesh
	t        *testing.T
	up       *harness.Upstream
	registry *mesh.Registry
	proxy    *mesh.Proxy
	port     int
}

func newLab(t *testing.T, env ...string) *lab { return newLabWith(t, mesh.Options{}, env...) }

func newLabWith(t *testing.T, o mesh.Options, env ...string) *lab {
	l := &lab{t: t, up: harness.StartUpstream(t), registry: mesh.StartRegistry(t), port: mesh.FreePorts(t, 1)[0]}
	o.Resources = map[string]string{"gateway": gateway("gateway", l.port, l.up.Port())}
	l.Mesh = mesh.Start(t, o)
	l.proxy = l.Proxy(mesh.Workload{Name: "gateway", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "gateway"}, Env: env})
	mesh.Eventually(t, "the gateway routes", func() bool { return l.ask("GET", "/orders/7").status == 200 })
	l.up.Take()
	return l
}

// until waits for an answer.
func (l *lab) until(what string, is func(answer) bool, method, path string, headers ...[2]string) time.Duration {
	l.t.Helper()
	return mesh.Eventually(l.t, what, func() bool { return is(l.ask(method, path, headers...)) })
}

// decides checks jwt-scope's verdicts on a token that may read, one that may write, and none: and
// that what is refused does not get through.
func (l *lab) decides(what string) {
	l.t.Helper()
	l.up.Take()
	reader, writer := bearer(idp.Token(claims())), bearer(idp.Token(claims("scope", "orders:write")))
	for _, c := range []struct {
		method  string
		headers [][2]string
		status  int
	}{
		{"GET", [][2]string{reader}, 200},
		{"GET", nil, 401},
		{"GET", [][2]string{bearer(forger.Token(claims()))}, 401},
		{"GET", [][2]string{writer}, 403},
		{"POST", [][2]string{reader}, 403},
		{"POST", [][2]string{writer}, 200},
	} {
		a := l.ask(c.method, "/orders/7", c.headers...)
		if a.status != c.status {
			l.t.Errorf("%s: %s is answered %d %s, want %d", what, c.method, a.status, a.body, c.status)
		}
		if reached := len(l.up.Take()); reached != map[bool]int{true: 1}[c.status == 200] {
			l.t.Errorf("%s: %s with %d: %d requests reached the upstream", what, c.method, c.status, reached)
		}
	}
}

// answer to a request. Status 0: there was none.
type answer struct {
	status  int
	headers http.Header
	body    string
}

func (a answer) is(status int) bool { return a.status == status }

func isStatus(status int) func(answer) bool { return func(a answer) bool { return a.is(status) } }

func (l *lab) ask(method, path string, headers ...[2]string) answer {
	return ask(http.DefaultClient, method, fmt.Sprintf("http://127.0.0.1:%d%s", l.port, path), headers...)
}

func ask(client *http.Client, method, url string, headers ...[2]string) answer {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		panic(err) // a mistake in a test
	}
	for _, h := range headers {
		if h[0] == "Host" {
			request.Host = h[1]
		} else {
			request.Header.Add(h[0], h[1])
		}
	}
	r, err := client.Do(request)
	if err != nil {
		return answer{}
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}
	}
	return answer{r.StatusCode, r.Header, string(body)}
}

// load sends good requests, and requests without a token, until it is stopped.
type load struct {
	stop   atomic.Bool
	wg     sync.WaitGroup
	served atomic.Int64
	mu     sync.Mutex
	wrong  map[string]int // answers that are neither, and how many
}

// underLoad starts it with two clients.
func (l *lab) underLoad(token [2]string) *load {
	f := &load{wrong: map[string]int{}}
	for range 2 {
		f.wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !f.stop.Load() {
				f.expect("a good request", 200, ask(client, "GET", fmt.Sprintf("http://127.0.0.1:%d/orders/7", l.port), token))
				f.expect("a request without a token", 401, ask(client, "GET", fmt.Sprintf("http://127.0.0.1:%d/orders/7", l.port)))
			}
		})
	}
	return f
}

func (f *load) expect(what string, status int, a answer) {
	f.served.Add(1)
	if a.status != status {
		f.mu.Lock()
		f.wrong[fmt.Sprintf("%s: %d %s", what, a.status, a.body)]++
		f.mu.Unlock()
	}
}

// end stops it and returns how many requests it has sent and which of them were answered as they should not be.
func (f *load) end() (int64, map[string]int) {
	f.stop.Store(true)
	f.wg.Wait()
	return f.served.Load(), f.wrong
}

// insecure is a client that shows no certificate and believes every server's.
func insecure() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
