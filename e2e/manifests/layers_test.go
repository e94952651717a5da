// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// plugins are the filters that istiod makes of these places (istio/istio,
// pilot/pkg/model/extensions.go): the name is that of namespace and resource, and no plugin has a
// vm_id, so that all share their data. With one, they are of the module that carries all filters, as
// WasmPlugin/one-module makes them.
func plugins(t *testing.T, one bool, list ...string) (made []bootstrap.M) {
	t.Helper()
	for _, place := range list {
		o := load(t, filepath.Join(place, "wasmplugin.yaml"))
		module := filepath.Dir(place)
		if one && module != filters.Module {
			member(o, "spec", "pluginConfig").(object)["filter"] = module
			module = filters.Module
		}
		config, err := json.Marshal(member(o, "spec", "pluginConfig"))
		if err != nil {
			t.Fatal(err)
		}
		name := member(o, "metadata", "namespace").(string) + "." + member(o, "metadata", "name").(string)
		wasm := bootstrap.Wasm{Name: name, Module: harness.Module(t, module), Configuration: string(config)}
		if env, ok := member(o, "spec", "vmConfig", "env").([]any); ok {
			wasm.HostEnv = []string{env[0].(object)["name"].(string)}
		}
		f := wasm.Filter()
		plugin := f["typed_config"].(bootstrap.M)["config"].(bootstrap.M)
		plugin["root_id"] = member(o, "spec", "pluginName")
		delete(plugin["vm_config"].(bootstrap.M), "vm_id")
		made = append(made, f)
	}
	return made
}

// authentication is Envoy's filter for istio/authentication.
func authentication(t *testing.T, keys json.RawMessage) bootstrap.M {
	t.Helper()
	var o object
	first, _, _ := strings.Cut(read(t, "istio/authentication/requestauthentication.yaml"), "\n---\n")
	if err := yaml.Unmarshal([]byte(first), &o); err != nil {
		t.Fatal(err)
	}
	rule := member(o, "spec", "jwtRules").([]any)[0].(object)
	return bootstrap.Filter("envoy.filters.http.jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
		bootstrap.M{
			"providers": bootstrap.M{"origins-0": bootstrap.M{
				"issuer": rule["issuer"], "audiences": rule["audiences"], "forward": rule["forwardOriginalToken"],
				"forward_payload_header": rule["outputPayloadToHeader"],
				"local_jwks":             bootstrap.M{"inline_string": string(keys)},
			}},
			"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"},
				"requires": bootstrap.M{
					"requires_any": bootstrap.M{"requirements": []bootstrap.M{{"provider_name": "origins-0"},
						{"allow_missing": bootstrap.M{}}}}}}},
		})
}

// A request passes the gateway and the layers of three teams on one workload, with the
// configurations of the files and in the order of TestChains; and each layer refuses what it is
// there to refuse. So it is with single modules, with the one module, and with a chain in the mesh.
func TestLayers(t *testing.T) {
	single := []string{"rate-limit/gateway", "jwt-scope/gateway", "edge-stamp/gateway"}
	for name, l := range map[string]layers{
		"separate": {false, single, []string{"edge-stamp/mesh"}, []string{"jwt-scope/mesh"}, 3, 3},
		"tollgate": {true, []string{"tollgate/gateway"}, []string{"edge-stamp/mesh"}, []string{"jwt-scope/mesh"}, 1, 1},
		// At the edge, edge-stamp has an environment, and so a VM of its own.
		"tollgate, chain in the mesh only": {true, single, nil, []string{"tollgate/mesh"}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) { l.run(t) })
	}
}

// layers are how the platform's plugins are applied.
type layers struct {
	one              bool // all plugins are of the one module
	edge             []string
	before, behind   []string // in the mesh, of Istio's RequestAuthentication
	edgeVMs, meshVMs uint64   // for each thread, and for the module as it was compiled
}

// share holds how many VMs a proxy has: plugins of one module, with one environment, share them.
func share(t *testing.T, e *harness.Envoy, want uint64) {
	t.Helper()
	const threads = 3 // a worker, the main thread, and the VM that others are copies of
	var got string
	for range 50 {
		text, err := e.Admin("/stats?filter=wasm.envoy.wasm.runtime.v8.active")
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ = strings.Cut(strings.TrimSpace(text), ": ")
		if got == strconv.FormatUint(threads*want, 10) {
			return
		}
		time.Sleep(100 * time.Millisecond) // those that tried a configuration are about to go
	}
	t.Errorf("there are %s VMs, want %d for each of %d", got, want, threads)
}

func (l layers) run(t *testing.T) {
	idp, edgeKey := mint.New("idp", jose.ES256), mint.New("edge-2026-11", jose.ES256)
	t.Setenv("EDGE_STAMP_KEY", edgeKey.PrivateJWK())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys := mint.Set(idp)
		if strings.Contains(r.URL.Path, "edge-stamp") {
			keys = mint.Set(edgeKey)
		}
		if _, err := w.Write(keys); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	clusters := []bootstrap.M{bootstrap.Cluster("outbound|80||idp.example.com", port, false),
		bootstrap.Cluster("outbound|80||edge.example.com", port, false)}

	upstream := harness.StartUpstream(t)
	chain := append(plugins(t, l.one, l.before...), authentication(t, mint.Set(idp)))
	chain = append(chain, plugins(t, l.one, l.behind...)...)
	chain = append(chain, plugins(t, l.one, "jwt-scope/namespace", "jwt-scope/workload", "rate-limit/namespace",
		"rate-limit/workload")...)
	mesh := harness.Start(t, harness.Config{Version: envoybin.Default, Filters: chain, Upstream: upstream.Port(),
		Clusters: clusters})
	_, meshPort, _ := strings.Cut(mesh.Main(), ":")
	if port, err = strconv.Atoi(meshPort); err != nil {
		t.Fatal(err)
	}
	edge := harness.Start(t,
		harness.Config{Version: envoybin.Default,
			Filters: plugins(t, l.one, l.edge...), Upstream: port, Clusters: clusters})

	share(t, edge, l.edgeVMs)
	share(t, mesh, l.meshVMs)

	token := func(scope, tenant string) string {
		claims := map[string]any{"iss": "https://idp.example.com/realms/shop", "aud": "shop", "sub": "ann",
			"scope": scope, "exp": time.Now().Add(time.Hour).Unix()}
		if tenant != "" {
			claims["tenant"] = tenant
		}
		return "Bearer " + idp.Token(claims)
	}
	for _, c := range []struct {
		name, path, token string
		to                *harness.Envoy
		status            int
		at                *harness.Envoy
		counter           string // that decides
	}{
		{"all layers let it through", "/orders/7", token("orders:read", "acme"), edge, 200, mesh,
			"jwt_scope.rule.read-orders.outcome.allowed.code.ok"},
		{"its own tenant", "/tenants/acme/orders/7", token("orders:read", "acme"), edge, 200, mesh,
			"jwt_scope.rule.tenant.outcome.allowed.code.ok"},
		{"a probe", "/healthz", "", edge, 200, mesh, "jwt_scope.rule.probes.outcome.allowed.code.ok"},
		{"no token at the gateway", "/orders/7", "", edge, 401, edge,
			"jwt_scope.rule.shop.outcome.denied.code.token_missing"},
		{"around the edge", "/orders/7", token("orders:read", "acme"), mesh, 401, mesh,
			"edge_stamp.rule.everything.outcome.denied.code.stamp_missing"},
		{"the platform's layer", "/admin/users", token("orders:read", "acme"), edge, 403, mesh,
			"jwt_scope.rule.administration.outcome.denied.code.insufficient_scope"},
		{"the application's layer", "/orders/7", token("orders:read", ""), edge, 403, mesh,
			"jwt_scope.rule.customers.outcome.denied.code.claim_mismatch"},
		{"another tenant", "/tenants/other/orders/7", token("orders:read", "acme"), edge, 403, mesh,
			"jwt_scope.rule.tenant.outcome.denied.code.claim_mismatch"},
		{"the microservice's layer", "/orders/7", token("orders:write", "acme"), edge, 403, mesh,
			"jwt_scope.rule.read-orders.outcome.denied.code.insufficient_scope"},
		{"what the microservice does not have", "/admin/users", token("platform:admin", "acme"), edge, 403, mesh,
			"jwt_scope.rule.-.outcome.denied.code.no_rule"},
	} {
		headers := [][2]string{{"x-jwt-payload", "eyJpc3MiOiJpIn0"}, {"x-user-id", "eve"}, {"x-tenant", "eve"}}
		if c.token != "" {
			headers = append(headers, [2]string{"authorization", c.token})
		}
		var answer *harness.Message
		changed := c.at.Change(func() { answer = harness.HTTP1(t, c.to.Main(), harness.Request("GET", c.path, headers...)) })
		if answer.Status() != c.status || changed[c.counter] == 0 {
			t.Errorf("%s: %d, want %d by %s; counted: %v", c.name, answer.Status(), c.status, c.counter, changed)
		}
		got := upstream.Take()
		switch {
		case (len(got) == 1) != (c.status == 200):
			t.Errorf("%s: %d requests reach the service", c.name, len(got))
		case len(got) == 1 && c.token != "":
			if m := got[0]; m.Header("x-user-id") != "ann" || m.Header("x-tenant") != "acme" ||
				len(m.Values("x-user-id")) != 1 || len(m.Values("x-edge-stamp")) != 0 || m.Header("authorization") != c.token {
				t.Errorf("%s: the service is told %+v", c.name, m)
			}
		}
	}
}
