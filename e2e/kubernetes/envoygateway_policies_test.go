// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

// Envoy Gateway on a Kubernetes of its own: the README's way, and what its policies come to.
func TestEnvoyGateway(t *testing.T) {
	t.Parallel()
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

// gatewayReadme goes the README's way, line by line.
func (g *gatewayLab) gatewayReadme(t *testing.T) {
	lines, _ := snippets(t, filepath.Join(g.Root, "README.md"), "On Envoy Gateway")
	begin, digest := time.Now(), ""
	after := hooks{"kubectl create namespace edge": func(t *testing.T) {
		hooked := time.Now()
		for _, host := range []string{apiHost, edgeHost} {
			g.certificate(t, edge, host)
		}
		g.Apply(t, workload(edge, "orders", "echo", 8080, "{app: orders}", ""))
		g.Apply(t, route("orders", edge, apiHost, "/orders")+route("other", edge, apiHost, "/"))
		begin = begin.Add(time.Since(hooked)) // it is none of the README's lines
	}}
	for _, line := range lines {
		line = strings.Replace(line, "DIGEST", digest, 1)
		out := g.line(t, line, after)
		if strings.HasPrefix(line, "tollgate image push ") {
			digest = printedDigest(t, out)
		}
	}
	after.done(t)
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
	for path, want := range map[string]int{"/.well-known/edge-stamp/jwks.json": 200, "/orders/7": 404} {
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

// gatewayChange changes the Gateway's policy: another image and another configuration in it. The old ones decide until
// the new ones do.
func (g *gatewayLab) gatewayChange(t *testing.T) {
	digest := g.push(t, "tollgate", "ghcr.io/tollgate-wasm/tollgate:0.2.0 --version v0.2.0")
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
