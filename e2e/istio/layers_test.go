// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
)

// sidecar are the resources of a workload with a sidecar, the service orders in namespace shop:
// what is inside of its pod listens on inner, its sidecar on port.
func sidecar(ip string, port, inner int, tls string) string {
	protocol := "HTTP"
	if tls != "" {
		protocol, tls = "HTTPS", "\n    tls: "+tls
	}
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: orders, namespace: shop}
spec:
  workloadSelector: {labels: {app: orders}}
  ingress:
  - port: {number: %[2]d, name: http, protocol: %[5]s}
    bind: %[1]s
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:%[3]d%[4]s
`, ip, port, inner, tls, protocol)
}

// strict is the mesh where nobody speaks without a certificate of it.
const strict = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`

// orders is the service as the gateway's mesh knows it.
func orders(ip string, port int, identity string) string {
	return fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: edge}
spec:
  hosts: [orders.shop.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: %s, ports: {http: %d}, labels: {security.istio.io/tlsMode: istio}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: edge}
spec:
  host: orders.shop.internal
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: [%q]}}
`, ip, port, identity)
}

// shop is a mesh with a gateway and, behind it and mTLS, the sidecar of a service.
type shop struct {
	lab
	sidecar     *mesh.Proxy
	sidecarPort int
}

func newShop(t *testing.T, gatewayEnv ...string) *shop {
	ports := mesh.FreePorts(t, 2)
	s := &shop{lab: lab{t: t, up: harness.StartUpstream(t), registry: mesh.StartRegistry(t), port: ports[0]},
		sidecarPort: ports[1]}
	ip := mesh.NewIP()
	s.Mesh = mesh.Start(t, mesh.Options{Resources: map[string]string{
		"gateway": gatewayTo("gateway", fmt.Sprintf("{number: %d, name: http, protocol: HTTP}", s.port), "",
			"orders.shop.internal") + orders(ip, s.sidecarPort, "spiffe://cluster.local/ns/shop/sa/orders"),
		"sidecar": sidecar(ip, s.sidecarPort, s.up.Port(), "") + strict,
	}})
	s.proxy = s.Proxy(mesh.Workload{Name: "gateway", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "gateway"}, Env: gatewayEnv})
	s.sidecar = s.Proxy(mesh.Workload{Name: "orders", Namespace: "shop", IP: ip,
		Labels: map[string]string{"app": "orders", "security.istio.io/tlsMode": "istio"}})
	mesh.Eventually(t, "the gateway reaches the service", func() bool { return s.ask("GET", "/orders/7").status == 200 })
	s.up.Take()
	return s
}

// around asks the sidecar itself, without a certificate.
func (s *shop) around() answer {
	return ask(http.DefaultClient, "GET", fmt.Sprintf("http://%s:%d/orders/7", s.sidecar.IP, s.sidecarPort))
}

// A sidecar decides as a gateway does, and there is no way around it.
func TestSidecar(t *testing.T) {
	s := newShop(t)
	pushed := push(t, s.registry, "jwt-scope")
	s.Apply("plugin", plugin("jwt-scope", "shop", "orders", pushed.Pinned(), policy("/"), "phase: AUTHN",
		"match: [{mode: SERVER}]"))
	s.until("the sidecar decides", isStatus(401), "GET", "/orders/7")
	s.decides("through the gateway")
	if a := s.around(); a.status != 0 {
		t.Errorf("the sidecar answers a client without a certificate: %d", a.status)
	}
}

// authentication is a RequestAuthentication that writes the claims that it has verified into a header.
func authentication(namespace, app string) string {
	return fmt.Sprintf(`apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: corp, namespace: %s}
spec:
  selector: {matchLabels: {app: %s}}
  jwtRules:
  - issuer: %s
    audiences: [orders-api]
    jwks: '%s'
    outputPayloadToHeader: x-jwt-payload
    forwardOriginalToken: true
`, namespace, app, issuer, mint.Set(idp))
}

// trusting is jwt-scope's configuration behind it.
func trusting() string {
	return fmt.Sprintf(`{"providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "trustedPayload": {"header": "x-jwt-payload"}}],
      "rules": [{"name": "read-orders", "match": [{"paths": ["/orders/{**}"], "methods": ["GET"]}], "require": {"providers": ["corp"], "scopes": {"any": ["orders:read"]}}},
        {"name": "write-orders", "match": [{"paths": ["/orders/{**}"]}], "require": {"providers": ["corp"], "scopes": {"all": ["orders:write"]}}}]}`, issuer)
}

// Istio verifies the token once, and jwt-scope decides on the claims that it has verified; those
// that a client writes itself get nobody in.
func TestTrustedPayload(t *testing.T) {
	l := newLab(t)
	pushed := push(t, l.registry, "jwt-scope")
	l.Apply("authentication", authentication("edge", "gateway"))
	l.Apply("plugin", plugin("jwt-scope", "edge", "gateway", pushed.Pinned(), trusting(), "phase: AUTHZ"))
	l.until("jwt-scope decides", isStatus(401), "GET", "/orders/7")
	l.until("Istio verifies", isStatus(200), "GET", "/orders/7", bearer(idp.Token(claims())))
	l.decides("on the claims that Istio has verified")

	forged, err := json.Marshal(claims("scope", "orders:read orders:write"))
	if err != nil {
		t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(forged)
	l.up.Take()
	for _, c := range []struct {
		name    string
		status  int
		headers [][2]string
	}{
		{"claims of one's own, no token", 401, [][2]string{{"x-jwt-payload", payload}}},
		{"claims of one's own in capitals", 401, [][2]string{{"X-JWT-PAYLOAD", payload}}},
		{"claims of one's own and a token with less", 403,
			[][2]string{{"x-jwt-payload", payload}, bearer(idp.Token(claims("scope", "")))}},
		{"claims of one's own and a forged token", 401,
			[][2]string{{"x-jwt-payload", payload}, bearer(forger.Token(claims()))}},
		{"claims of one's own and an expired token", 401,
			[][2]string{{"x-jwt-payload", payload}, bearer(idp.Token(claims("exp", 1)))}},
	} {
		if a := l.ask("GET", "/orders/7", c.headers...); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.body, c.status)
		}
	}
	if passed := l.up.Take(); len(passed) > 0 {
		t.Errorf("%d of them got through", len(passed))
	}
}

// signing is edge-stamp's configuration at the gateway.
const signing = `{"role": "sign", "issuer": "https://edge.example.com", "audience": "mesh.internal", "keys": [{"kid": "edge-1", "alg": "ES256", "env": "EDGE_STAMP_KEY"}],
      "copyClaims": ["sub", "scope"], "rules": [{"name": "all", "sign": true}]}`

// verifying is edge-stamp's configuration in the mesh, for requests from that peer.
func verifying(key *mint.Key, peer string) string {
	return fmt.Sprintf(`{"role": "verify", "trust": [{"name": "edge", "issuer": "https://edge.example.com", "audiences": ["mesh.internal"], "algorithms": ["ES256"], "jwks": {"inline": %s}}],
      "rules": [{"name": "everything", "access": "stamped", "peers": [%q]}], "forward": {"stamp": "strip"}}`, mint.Set(key), peer)
}

// One plugin with a chain at the gateway, and one at the sidecar behind RequestAuthentication, where
// WasmPlugin/tollgate/mesh has it: a step believes the claims that Istio has verified, whatever stands
// before it in the chain.
func TestChains(t *testing.T) {
	key := mint.New("edge-1", jose.ES256)
	s := newShop(t, "EDGE_STAMP_KEY="+key.PrivateJWK())
	module := push(t, s.registry, filters.Module)
	step := func(name, filter, config string) string {
		return fmt.Sprintf(`{"name": %q, "filter": %q, "config": %s}`, name, filter, config)
	}
	s.Apply("authentication", authentication("shop", "orders"))
	const limits = `{"limits": [{"name": "per-address", "key": [{"sourceAddress": {}}], "rate": {"requests": 1000000, "per": "1s"}}]}`
	s.Apply("gateway-chain", plugin("chain", "edge", "gateway", module.Pinned(), `{"chain": [`+
		step("addresses", "rate-limit", limits)+", "+step("sign", "edge-stamp", signing)+"]}",
		"phase: AUTHN", "vmConfig: {env: [{name: EDGE_STAMP_KEY, valueFrom: HOST}]}"))
	s.Apply("mesh-chain", plugin("chain", "shop", "orders", module.Pinned(), `{"chain": [`+
		step("stamps", "edge-stamp", verifying(key, "spiffe://cluster.local/ns/edge/sa/gateway"))+", "+
		step("baseline", "jwt-scope", trusting())+"]}", "phase: AUTHZ", "match: [{mode: SERVER}]"))
	s.until("the sidecar decides", isStatus(401), "GET", "/orders/7")
	s.until("both do", isStatus(200), "GET", "/orders/7", bearer(idp.Token(claims())))
	s.decides("by chains")
	if a := s.ask("GET", "/orders/7", bearer(idp.Token(claims()))); a.headers.Get("Ratelimit-Policy") == "" {
		t.Errorf("the first step's header is not in the answer: %v", a.headers)
	}
	forged := [2]string{"x-jwt-payload", base64.RawURLEncoding.EncodeToString([]byte(`{"iss": "` + issuer +
		`", "aud": "orders-api", "scope": "orders:read", "exp": 4000000000}`))}
	if a := s.ask("GET", "/orders/7", forged); !a.is(401) {
		t.Errorf("claims of one's own are answered %d %s", a.status, a.body)
	}

	s.Delete("gateway-chain")
	stampless := func(a answer) bool { return a.status == 401 && strings.Contains(a.body, "stamp_rejected") }
	s.until("the gateway no longer signs", stampless, "GET", "/orders/7", bearer(idp.Token(claims())))
	s.up.Take()
	if a := s.ask("GET", "/orders/7"); !stampless(a) {
		t.Errorf("the second step answers first: %d %s", a.status, a.body)
	}
	if a := s.ask("GET", "/orders/7", bearer(forger.Token(claims()))); !a.is(401) || stampless(a) {
		t.Errorf("a forged token is not RequestAuthentication's, before the chain: %d %s", a.status, a.body)
	}
	if passed := s.up.Take(); len(passed) > 0 {
		t.Errorf("%d requests without a stamp got through", len(passed))
	}
}

// Three plugins of three owners on one workload, and one at the gateway: the platform's for the
// whole mesh, the application team's for its namespace, the service team's for its workload. Phase
// and priority say which comes first, whatever they are called and whenever they were made: here
// they come in the wrong order.
func TestLayers(t *testing.T) {
	key := mint.New("edge-1", jose.ES256)
	s := newShop(t, "EDGE_STAMP_KEY="+key.PrivateJWK())
	stamp, scope, limit := push(t, s.registry, "edge-stamp"), push(t, s.registry, "jwt-scope"), push(t, s.registry,
		"rate-limit")
	const gatewayIdentity = "spiffe://cluster.local/ns/edge/sa/gateway"

	// The service team: 5 requests an hour for each subject that has been verified.
	s.Apply("a-service", plugin("a-limit", "shop", "orders", limit.Pinned(),
		`{"limits": [{"name": "per-subject", "scope": "local", "rate": {"requests": 5, "per": "1h"}, "key": [{"claim": ["sub"]}]}]}`,
		"phase: AUTHN", "priority: 10", "match: [{mode: SERVER}]"))
	// The application team: the whole namespace.
	s.Apply("b-application",
		strings.Replace(plugin("b-scope", "shop", "none", scope.Pinned(), policy("/"), "phase: AUTHN", "priority: 50",
			"match: [{mode: SERVER}]"), "  selector: {matchLabels: {app: none}}\n", "", 1))
	// The platform team: the whole mesh. The gateway signs.
	s.Apply("c-platform", plugin("c-stamp-sign", "edge", "gateway", stamp.Pinned(), signing, "phase: AUTHN",
		"priority: 100", "vmConfig: {env: [{name: EDGE_STAMP_KEY, valueFrom: HOST}]}")+"---\n"+
		strings.Replace(plugin("c-stamp-verify", mesh.RootNamespace, "none", stamp.Pinned(),
			verifying(key, gatewayIdentity), "phase: AUTHN", "priority: 100",
			"match: [{mode: SERVER, ports: [{number: "+fmt.Sprint(s.sidecarPort)+"}]}]"), "  selector: {matchLabels: "+
			"{app: none}}\n", "", 1))

	token := func(sub string) [2]string { return bearer(idp.Token(claims("sub", sub))) }
	s.until("all layers are there", func(a answer) bool { return a.status == 200 && len(s.sidecar.Plugins()) == 3 },
		"GET", "/orders/7", token("carol"))
	s.until("the service team's limit counts", isStatus(429), "GET", "/orders/7", token("carol"))
	s.decides("with all layers") // alice: two of her five
	s.up.Take()

	// Each layer answers what its own is about, and what comes first answers first: a request that
	// offends several is answered by the first of them.
	for range 3 {
		s.ask("GET", "/orders/7", token("alice"))
	}
	if a := s.ask("GET", "/orders/7", token("alice")); !a.is(429) || a.headers.Get("Retry-After") == "" {
		t.Errorf("the sixth request of a subject: %d %s", a.status, a.body)
	}
	if a := s.ask("GET", "/orders/7", token("bob")); !a.is(200) {
		t.Errorf("another subject is limited, too: %d %s", a.status, a.body)
	}
	if a := s.ask("POST", "/orders/7", token("alice")); !a.is(403) {
		t.Errorf("a request that both the application's and the service's layer refuse is answered %d %s", a.status, a.body)
	}

	// Without the gateway's plugin there are no stamps, and the platform's layer answers before the
	// others, whatever the token is.
	s.Apply("c-platform", strings.Replace(plugin("c-stamp-verify", mesh.RootNamespace, "none", stamp.Pinned(),
		verifying(key, gatewayIdentity), "phase: AUTHN", "priority: 100", "match: [{mode: SERVER}]"),
		"  selector: {matchLabels: {app: none}}\n", "", 1))
	stampless := func(a answer) bool { return a.status == 401 && strings.Contains(a.body, "stamp_rejected") }
	s.until("the gateway no longer signs", stampless, "GET", "/orders/7", token("bob"))
	s.up.Take()
	for name, headers := range map[string][][2]string{"a good token": {token("dave")}, "no token": nil,
		"a limited subject": {token("alice")}} {
		if a := s.ask("GET", "/orders/7", headers...); !stampless(a) {
			t.Errorf("%s without a stamp: %d %s", name, a.status, a.body)
		}
	}
	if passed := s.up.Take(); len(passed) > 0 {
		t.Errorf("%d requests without a stamp got through", len(passed))
	}
}
