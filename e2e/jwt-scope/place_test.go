// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// P23: what Envoy answers itself, a redirect or a fixed response, is behind the filter, too; and a
// route that turns the filter off has none of it, which is the route's owner's decision.
func TestRoutes(t *testing.T) {
	rules := `{"name": "all", "match": [{"paths": ["/{**}"]}]}`
	routes := []bootstrap.M{
		{"match": bootstrap.M{"prefix": "/redirect"}, "redirect": bootstrap.M{"path_redirect": "/elsewhere"}},
		{"match": bootstrap.M{"prefix": "/fixed"},
			"direct_response": bootstrap.M{"status": 200, "body": bootstrap.M{"inline_string": "fixed"}}},
		{"match": bootstrap.M{"prefix": "/off"}, "route": bootstrap.M{"cluster": "upstream"},
			"typed_per_filter_config": bootstrap.M{
				"jwt-scope": bootstrap.M{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}}},
		{"match": bootstrap.M{"prefix": "/"}, "route": bootstrap.M{"cluster": "upstream"}},
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t, harness.Config{Version: version, Upstream: up.Port(), Routes: routes,
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope",
				requestConfig(t, `"forward": {"claimHeaders": [{"path": ["sub"], "header": "x-user-id"}]},`, rules))}})
		token := bearer(ecKey.Token(good()))
		for _, c := range []struct {
			path            string
			without, within int // status without and with a token
		}{{"/redirect", 401, 301}, {"/fixed", 401, 200}, {"/other", 401, 200}, {"/off", 200, 200}, {"/unmatched", 401, 200}} {
			if a := harness.HTTP1(t, envoy.Main(), harness.Request("GET", c.path)); a.Status() != c.without {
				t.Errorf("%s without token: %s, want %d", c.path, a.Start, c.without)
			}
			if a := harness.HTTP1(t, envoy.Main(), harness.Request("GET", c.path, token)); a.Status() != c.within {
				t.Errorf("%s with a token: %s, want %d", c.path, a.Start, c.within)
			}
		}
		up.Take()
		harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/off", [2]string{"x-user-id", "forged"}))
		harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/other", token, [2]string{"x-user-id", "forged"}))
		got := up.Take()
		if len(got) != 2 || got[0].Header("x-user-id") != "forged" || got[1].Header("x-user-id") != "ann" {
			t.Errorf("the upstream got %+v; where the filter is off, nothing is stripped, and the README says so", got)
		}
	})
}

// callable are the names of what the module imports and exports. They are read with wazero's
// interpreter, which does not turn the module into machine code first.
var callable = sync.OnceValues(func() (names []string, err error) {
	root, err := envoybin.Root()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(root, "build", "out", "jwt-scope.wasm"))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	module, err := runtime.CompileModule(ctx, b)
	if err != nil {
		return nil, err
	}
	for _, f := range module.ImportedFunctions() {
		_, name, _ := f.Import()
		names = append(names, name)
	}
	for name := range module.ExportedFunctions() {
		names = append(names, name)
	}
	return names, nil
})

// capabilities are the names that a VM under capability restriction must be allowed for the module
// to work: what it imports and what it exports.
func capabilities(t *testing.T, without ...string) bootstrap.M {
	t.Helper()
	names, err := callable()
	if err != nil {
		t.Fatal(err)
	}
	allowed := bootstrap.M{}
	for _, name := range names {
		allowed[name] = bootstrap.M{}
	}
	for _, name := range without {
		delete(allowed, name)
	}
	return bootstrap.M{"allowed_capabilities": allowed}
}

// W15: a VM that may do no more than the module needs works; one that may do less refuses.
func TestCapabilities(t *testing.T) {
	rules := `{"name": "all", "match": [{"paths": ["/{**}"]}]}`
	harness.Each(t, func(t *testing.T, version string) {
		token := bearer(ecKey.Token(good()))
		cases := []struct {
			without string
			status  int
		}{{"", 200}, {"proxy_set_property", 500}, {"proxy_get_header_map_pairs", 500},
			{"proxy_get_current_time_nanoseconds", 500}, {"proxy_increment_metric", 500}, {"proxy_call_foreign_function", 500}}
		// of one Envoy, which compiles the module once. Each has a VM of its own by its id: what a
		// VM may do is settled when it is made
		var listeners []bootstrap.M
		for _, c := range cases {
			filter := harness.Filter(t, "jwt-scope", requestConfig(t, "", rules))
			filter["typed_config"].(bootstrap.M)["config"].(bootstrap.M)["capability_restriction_config"] =
				capabilities(t, c.without)
			vm := filter["typed_config"].(bootstrap.M)["config"].(bootstrap.M)["vm_config"].(bootstrap.M)
			vm["vm_id"] = "without " + c.without
			listeners = append(listeners,
				bootstrap.Listener("without "+c.without, 0, []bootstrap.M{filter}, bootstrap.Answer(200, "admitted"), nil))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners})
		for _, c := range cases {
			address := envoy.Address("without " + c.without)
			if a := harness.HTTP1(t, address, harness.Request("GET", "/", token)); a.Status() != c.status {
				t.Errorf("without %q: %s %s, want %d", c.without, a.Start, a.Body, c.status)
			}
			if c.without != "" {
				envoy.WaitLog("Attempted call to restricted proxy-wasm capability: " + c.without)
			}
			if a := harness.HTTP1(t, address, harness.Request("GET", "/")); a.Status() == 200 {
				t.Errorf("without %q, and without token: %s", c.without, a.Start)
			}
		}
	})
}

// P8 P22: headers that proxies write for each other are nothing to go by: with any of them, in any
// spelling, a request is decided as without.
func TestProxyHeaders(t *testing.T) {
	rules := `{"name": "public", "match": [{"paths": ["/public"]}], "access": "public"}, {"name": "internal", "match": [{"hosts": ["internal.example"], "paths": ["/internal"]}], "access": "public"}, {"name": "all", "match": [{"paths": ["/{**}"]}]}`
	harness.Each(t, func(t *testing.T, version string) {
		envoy := harness.Start(t,
			harness.Config{Version: version,
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", requestConfig(t, "", rules))},
				HTTP:    bootstrap.M{"use_remote_address": true}})
		client := harness.NewClient1(t, envoy.Main())
		for _, h := range [][2]string{
			{"x-envoy-internal", "true"}, {"x-envoy-original-path", "/public"}, {"x-envoy-original-host",
				"internal.example"}, {"x-envoy-external-address", "127.0.0.1"}, {"x-envoy-force-trace", "true"},
			{"x-envoy-decorator-operation", "public"}, {"x-envoy-peer-metadata", "e30"},
			{"x-envoy-upstream-rq-timeout-ms", "1"}, {"x-forwarded-for", "127.0.0.1"}, {"x-forwarded-for",
				"10.0.0.1, 127.0.0.1"},
			{"x-forwarded-host", "internal.example"}, {"x-forwarded-proto", "https"}, {"x-forwarded-client-cert",
				"By=spiffe://a;URI=spiffe://b"}, {"forwarded", "for=127.0.0.1;host=internal.example"}, {"x-real-ip", "127.0.0.1"},
			{"x-original-url", "/public"}, {"x_forwarded_for", "127.0.0.1"},
		} {
			for _, path := range []string{"/orders/7", "/internal"} {
				if a := client.Do(harness.Request("GET", path, h)); a.Status() != 401 ||
					!strings.Contains(a.Body, "token_missing") {
					t.Errorf("%s with %s: %s: %s %s", path, h[0], h[1], a.Start, a.Body)
				}
			}
		}
		if a := client.Do(harness.Request("GET", "/orders/7", bearer(ecKey.Token(good())),
			[2]string{"x-forwarded-for", "1.2.3.4"})); a.Status() != 200 {
			t.Errorf("a good request through a proxy: %s", a.Start)
		}
	})
}
