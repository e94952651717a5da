// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const jwks = `{keys: [{kty: EC, crv: P-256, kid: a, x: f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU, y: x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0}]}`

var digest = strings.Repeat("7a", 32)

// wasmPlugin is one with more members of its spec; config begins on line 9.
func wasmPlugin(filter, phase, more, config string) string {
	return fmt.Sprintf(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: shop}
spec:
  url: oci://registry.example.com/%s@sha256:%s
  phase: %s
  %s
  pluginConfig:
%s  match: [{mode: SERVER}]
`, filter, filter, digest, phase, more, indent(config))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

const (
	scopes = `providers: [{name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {inline: ` + jwks + `}}]
rules:
- name: all`
	limits = `limits:
- name: a
  rate: {requests: 5, per: 1s}`
	edge = `role: sign
issuer: https://edge
audience: mesh
keys: [{kid: a, alg: ES256, env: KEY}]
rules: [{name: all, sign: true}]`
	mesh = `role: verify
trust: [{name: edge, issuer: https://edge, audiences: [mesh], jwks: {inline: ` + jwks + `}}]
rules: [{name: all}]`
	trusted = `providers: [{name: idp, issuer: https://idp, audiences: [api], trustedPayload: {header: x-payload}}]
rules: [{name: all}]`
	bodies = `'{"role": "sign", "issuer": "https://edge", "audience": "mesh", "keys": [{"kid": "a", "alg": "ES256", "env": "KEY"}], "bind": ["method", "body"], "rules": [{"name": "all", "sign": true}]}'`
	reload = "failStrategy: FAIL_RELOAD"
)

const request = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: idp, namespace: shop}
spec: {jwtRules: [{issuer: https://idp, audiences: [%s], outputPayloadToHeader: %s}]}
`

var zeros = strings.Repeat("0", 64)

// policy is one of Envoy Gateway; more is on line 9, and config begins on line 11.
func policy(filter, config, more string) string {
	return fmt.Sprintf(`apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: %s, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  wasm:
  - name: %s
    code: {type: Image, image: {url: registry.example.com/%s:v1, sha256: '%s'}}
    %s
    config:
%s`, filter, filter, filter, digest, more, "      "+strings.ReplaceAll(strings.TrimSpace(config), "\n", "\n      ")+"\n")
}

func envoyFilter(policy, value string) string {
	return `name: limits
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
  config:
    name: limits
    ` + policy + `
    vm_config: {code: {local: {filename: /etc/envoy/rate-limit.wasm}}}
    configuration:
      "@type": type.googleapis.com/google.protobuf.StringValue
      value: ` + value
}

// plugin is one of jwt-scope's, of a name.
func plugin(name, more, config string) string {
	return strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload+"\n  "+more, config), "name: jwt-scope,",
		"name: "+name+",", 1)
}

// lua is a policy of Envoy Gateway on something called route.
func lua(kind, more string) string {
	return "kind: EnvoyExtensionPolicy\nmetadata: {name: lua, namespace: shop}\nspec: {lua: [{type: Inline, inline: " +
		"x}], targetRefs: [{kind: " + kind + ", name: route}]" + more + "}\n"
}

// merged is a patch onto a filter of that name, or one that is looked for by it.
func merged(name, looked, config string) string {
	if name != "" {
		name = "name: " + name + ", "
	}
	return "{kind: EnvoyFilter, metadata: {name: a}, spec: {configPatches: [{applyTo: HTTP_FILTER, match: {listener: " +
		"{filterChain: {filter: {subFilter: {name: '" + looked + "'}}}}}, patch: {operation: MERGE, value: {" + name +
		"typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {" + config +
		"}}}}}]}}"
}

func asks(action string) string {
	return "kind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {action: " + action +
		", rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}\n"
}

// chained is a list of Envoy's filters.
func chained(configs ...string) string {
	text := "http_filters:\n"
	for i, config := range configs {
		text += fmt.Sprintf("- {name: f%d, typed_config: {'@type': "+
			"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {name: jwt-scope, "+
			"failure_policy: FAIL_RELOAD, configuration: {value: %q}}}}\n", i, config)
	}
	return text
}

func deeper(text string) string { return "        " + strings.ReplaceAll(text, "\n", "\n        ") }

const strip = scopes + "\nforward: {token: strip}"

// manager is a connection manager with a filter of that configuration, whose route mirrors requests.
func manager(config string) string {
	return `- http_filters: [{name: a, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {name: a, failure_policy: FAIL_RELOAD, configuration: {value: '` + config + `'}}}}]
  route_config:
    virtual_hosts: [{routes: [{route: {request_mirror_policies: [{cluster: copy}]}}]}]
`
}

// Envoy reads the number of FAIL_OPEN in each spelling that YAML has for it.
func TestNumberOfFailOpen(t *testing.T) {
	for _, word := range []string{"3", "3.0", "0x3", "+3", "0o3", "0b11", "3e0", "'3'", "03", "FAIL_OPEN", "fail_open"} {
		c := &Checker{}
		c.File("a", []byte(strings.ReplaceAll(envoyFilter("failure_policy: "+word, "|\n"+deeper(scopes)), "rate-limit",
			"jwt-scope")))
		if list := c.Findings(); len(list) != 1 || !strings.Contains(list[0].Problem, "is FAIL_OPEN") {
			t.Errorf("%s: %v", word, list)
		}
	}
	for _, word := range []string{"1", "2", "30", "0x31", "FAIL_CLOSED"} {
		c := &Checker{}
		c.File("a", []byte(strings.ReplaceAll(envoyFilter("failure_policy: "+word, "|\n"+deeper(scopes)), "rate-limit",
			"jwt-scope")))
		if list := c.Findings(); len(list) != 0 {
			t.Errorf("%s: %v", word, list)
		}
	}
}

// Each case is all findings of its files, a line each; nothing else is found.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"a good plugin", []string{wasmPlugin("jwt-scope", "AUTHN", reload, scopes)}, ""},
		{"a good chain", []string{wasmPlugin("edge-stamp", "AUTHN",
			reload+"\n  vmConfig: {env: [{name: KEY, valueFrom: HOST}]}", edge),
			wasmPlugin("edge-stamp", "AUTHN", reload, mesh)}, ""},
		{"faults, each where it stands",
			[]string{wasmPlugin("jwt-scope", "AUTHN", reload,
				scopes+"\n  acess: public\n- name: all\n  require: {scopes: {any: [7]}}")},
			"0:12:7: error: WasmPlugin shop/jwt-scope: spec.pluginConfig.rules[0].acess: unknown key; did you mean access?\n" +
				"0:13:7: error: WasmPlugin shop/jwt-scope: spec.pluginConfig.rules[1].name: is in use already\n" +
				"0:14:32: error: WasmPlugin shop/jwt-scope: spec.pluginConfig.rules[1].require.scopes.any[0]: want a " +
				"string, got a number"},
		{"a key twice", []string{limits + "\n  rate: {requests: 6, per: 1s}"},
			"0:4:3: error: limits[0].rate: stands here twice"},
		{"a key twice in JSON", []string{`{"limits": [], "limits": []}`},
			"0:1:16: error: limits: stands here twice\n0:1:16: error: limits: the list is empty"},
		{"a bare configuration of each", []string{scopes, limits, edge, mesh}, ""},
		{"words that are booleans to Kubernetes",
			[]string{wasmPlugin("edge-stamp", "AUTHN", reload, mesh+"\nrequire: {replay: off}")},
			"0:11:13: warning: WasmPlugin shop/edge-stamp: spec.pluginConfig.rules[0].require.replay: is off"},
		{"FAIL_OPEN", []string{wasmPlugin("jwt-scope", "AUTHN", "failStrategy: FAIL_OPEN", scopes),
			wasmPlugin("rate-limit", "AUTHN", "failStrategy: FAIL_OPEN", limits)},
			"0:7:17: error: WasmPlugin shop/jwt-scope: spec.failStrategy: is FAIL_OPEN: while jwt-scope cannot run, " +
				"for want of its image or after a trap, every request goes on unchecked\n" +
				"1:7:17: warning: WasmPlugin shop/rate-limit: spec.failStrategy: is FAIL_OPEN: while the filter " +
				"cannot run, nothing is limited"},
		{"no strategy, no phase",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", "priority: 10", scopes), "phase: AUTHN",
				"priority: 9", 1)},
			"0:5:3: warning: WasmPlugin shop/jwt-scope: spec.failStrategy: want FAIL_RELOAD\n0:5:3: warning: " +
				"WasmPlugin shop/jwt-scope: spec.phase: is not set"},
		{"a URL that istiod discards",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "oci://registry.example.com",
				"registry.example.com:5000", 1)},
			"0:5:8: error: WasmPlugin shop/jwt-scope: spec.url: has no scheme: istiod takes the host for one and " +
				"discards the plugin"},
		{"a URL without scheme",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "oci://", "", 1)},
			"0:5:8: warning: WasmPlugin shop/jwt-scope: spec.url: has no scheme: write oci://registry"},
		{"a tag", []string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "@sha256:"+digest, ":v1",
			1)}, "0:5:8: warning: WasmPlugin shop/jwt-scope: spec.url: is not pinned"},
		{"a tag with the manifest's digest",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload+"\n  sha256: "+digest, scopes),
				"@sha256:"+digest, ":v1", 1)}, ""},
		{"a digest that is a number",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload+"\n  sha256: "+strings.Repeat("1", 64),
				scopes), "@sha256:"+digest, ":v1", 1)},
			"0:8:11: error: WasmPlugin shop/jwt-scope: spec.sha256: is no text of 64 hexadecimal digits"},
		{"a bound body", []string{wasmPlugin("edge-stamp", "AUTHN", reload,
			strings.Replace(mesh, "{name: all}", "{name: all, require: {bind: [method, authority, path, query, body]}}",
				1))}, "0:11:74: error: WasmPlugin shop/edge-stamp: spec.pluginConfig: binds the body, for which " +
			"Istio has no field"},
		{"a bound body in Envoy",
			[]string{strings.ReplaceAll(envoyFilter("failure_policy: FAIL_RELOAD", bodies), "rate-limit",
				"edge-stamp")}, "0:5:5: error: allow_on_headers_stop_iteration: want true"},
		{"a bound body that Envoy shows",
			[]string{strings.ReplaceAll(
				envoyFilter("failure_policy: FAIL_RELOAD\n    allow_on_headers_stop_iteration: true", bodies),
				"rate-limit", "edge-stamp")}, ""},
		{"a placeholder", []string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), digest, zeros, 1)},
			"0:5:8: warning: WasmPlugin shop/jwt-scope: spec.url: is a placeholder: put the digest that tollgate " +
				"image push prints"},
		{"a placeholder beside a tag",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload+"\n  sha256: '"+zeros+"'", scopes),
				"@sha256:"+digest, ":v1", 1)},
			"0:8:11: warning: WasmPlugin shop/jwt-scope: spec.sha256: is a placeholder"},
		{"every listener", []string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes),
			"  match: [{mode: SERVER}]", "", 1)}, "0:5:3: warning: WasmPlugin shop/jwt-scope: spec.match: does not " +
			"say which listeners"},
		{"every listener, said",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "mode: SERVER",
				"ports: [{number: 80}]", 1)}, "0:12:10: warning: WasmPlugin shop/jwt-scope: spec.match: does not say " +
				"which listeners"},
		{"a gateway's listeners, by its labels",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "match: [{mode: SERVER}]",
				"selector: {matchLabels: {istio: ingressgateway}}", 1)}, ""},
		{"a gateway's listeners, by its name",
			[]string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "match: [{mode: SERVER}]",
				"targetRefs: [{kind: Gateway, name: edge}]", 1)}, ""},
		{"a policy of Envoy Gateway",
			[]string{policy("jwt-scope", scopes, "failOpen: false") + "---\n" +
				strings.Replace(policy("edge-stamp", edge, "env: {hostKeys: [KEY]}"), "name: edge}]", "name: other}]", 1)}, ""},
		{"two policies of Envoy Gateway on one target",
			[]string{policy("jwt-scope", scopes, "failOpen: false") + "---\n" +
				policy("edge-stamp", edge, "env: {hostKeys: [KEY]}")}, "0:15:1: error: EnvoyExtensionPolicy " +
				"shop/edge-stamp: spec.targetRefs: has a target that EnvoyExtensionPolicy shop/jwt-scope has as well"},
		{"a policy on a route", []string{strings.Replace(policy("jwt-scope", scopes, "failOpen: false"), "kind: Gateway",
			"kind: HTTPRoute", 1)}, "0:1:1: note: EnvoyExtensionPolicy shop/jwt-scope: spec.targetRefs: is a route: when " +
			"a proxy that runs gets its filter"},
		{"a policy of limits on a route", []string{strings.Replace(policy("rate-limit", limits, "failOpen: false"),
			"kind: Gateway", "kind: HTTPRoute", 1)}, ""},
		{"a policy on a route beside one on its Gateway",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("HTTPRoute", "")},
			"1:1:1: error: EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of EnvoyExtensionPolicy " +
				"shop/jwt-scope"},
		{"a policy on a route, merged",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("GRPCRoute", ", mergeType: StrategicMerge")}, ""},
		{"a policy on a route, merged, with wasm of its own",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("HTTPRoute", ", mergeType: StrategicMerge, wasm: []")},
			"1:1:1: error: EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of EnvoyExtensionPolicy " +
				"shop/jwt-scope, which is attached to more and runs jwt-scope: requests there go on unchecked, " +
				"unless it has jwt-scope as well: its own wasm replaces the list, whatever its mergeType"},
		{"a policy on a route, in a word that merges nothing",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("HTTPRoute", ", mergeType: Replace")},
			"1:1:1: error: EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of EnvoyExtensionPolicy " +
				"shop/jwt-scope, which is attached to more and runs jwt-scope: requests there go on unchecked, " +
				"unless it is merged (mergeType: StrategicMerge or JSONMerge, since Envoy Gateway 1.9)"},
		{"a policy on a ListenerSet beside one on the Gateway",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("ListenerSet", "")},
			"1:1:1: error: EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of"},
		{"a policy on a route beside one on a ListenerSet",
			[]string{strings.Replace(policy("jwt-scope", scopes, "failOpen: false"), "kind: Gateway",
				"kind: ListenerSet", 1), lua("HTTPRoute", "")}, "1:1:1: error: EnvoyExtensionPolicy shop/lua: " +
				"spec.targetRefs: takes the place of"},
		{"a policy on a kind that nobody knows",
			[]string{policy("jwt-scope", scopes, "failOpen: false"), lua("Doors", "")}, "1:1:1: error: " +
				"EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of"},
		{"a policy on a route beside a limit on its Gateway",
			[]string{policy("rate-limit", limits, "failOpen: false"), lua("HTTPRoute", "")},
			"1:1:1: warning: EnvoyExtensionPolicy shop/lua: spec.targetRefs: takes the place of"},
		{"a plugin that takes the token of the next away",
			[]string{plugin("a", "priority: 20", strip), plugin("b", "priority: 10", scopes)},
			"1:5:3: error: WasmPlugin shop/b: spec.pluginConfig: decides by the header authorization, which " +
				"WasmPlugin shop/a before it takes away (forward.token: strip)"},
		{"a plugin that takes the token away as the last",
			[]string{plugin("a", "priority: 20", scopes), plugin("b", "priority: 10", strip)}, ""},
		{"plugins whose order is that of their creation",
			[]string{plugin("a", "priority: 10", scopes), plugin("b", "priority: 10", strip)},
			"0:5:3: error: WasmPlugin shop/a: spec.pluginConfig: decides by"},
		{"plugins of two phases", []string{strings.Replace(plugin("a", "priority: 1", strip), "AUTHN", "AUTHZ", 1),
			plugin("b", "priority: 0", scopes)}, ""},
		{"a plugin of the namespace and one of a workload",
			[]string{plugin("a", "priority: 10", strip), plugin("b", "selector: {matchLabels: {app: orders}}", scopes)},
			"1:5:3: error: WasmPlugin shop/b"},
		{"a plugin of the root namespace",
			[]string{strings.Replace(plugin("a", "priority: 10", strip), "namespace: shop", "namespace: istio-system",
				1), plugin("b", "priority: 1", scopes)}, "1:5:3: error: WasmPlugin shop/b"},
		{"plugins of two namespaces",
			[]string{strings.Replace(plugin("a", "priority: 10", strip), "namespace: shop", "namespace: bank", 1),
				plugin("b", "priority: 1", scopes)}, ""},
		{"plugins of two workloads",
			[]string{plugin("a", "selector: {matchLabels: {app: bills}}", strip),
				plugin("b", "selector: {matchLabels: {app: orders}}", scopes)}, ""},
		{"plugins that a workload may both have",
			[]string{plugin("a", "selector: {matchLabels: {tier: web}}\n  priority: 9", strip),
				plugin("b", "selector: {matchLabels: {app: orders}}", scopes)}, "1:5:3: warning: WasmPlugin shop/b"},
		{"plugins of one target", []string{plugin("a", "targetRefs: [{kind: Gateway, name: g}]\n  priority: 9", strip),
			plugin("b", "targetRefs: [{name: g, kind: Gateway}, {kind: Gateway, name: h}]", scopes)},
			"1:5:3: error: WasmPlugin shop/b"},
		{"a token elsewhere", []string{plugin("a", "priority: 20", strip),
			plugin("b", "priority: 10", strings.Replace(scopes, "algorithms:", "token: {header: x-token}, algorithms:",
				1))}, ""},
		{"a limit by a token that is gone",
			[]string{plugin("a", "priority: 20", strip),
				strings.ReplaceAll(plugin("b", "priority: 10", limits+"\n  key: [{header: Authorization}]"),
					"jwt-scope", "rate-limit")},
			"1:5:3: warning: WasmPlugin shop/b: spec.pluginConfig: decides by the header authorization\n1:13:7: " +
				"warning: WasmPlugin shop/b: spec.pluginConfig.limits[0].key: is chosen by clients"},
		{"a limit whose match asks for a header that is gone",
			[]string{plugin("a", "priority: 20", strip),
				strings.ReplaceAll(plugin("b", "priority: 10",
					limits+"\n  match: [{headers: [{name: Authorization, present: false}]}]"), "jwt-scope", "rate-limit")},
			"1:5:3: warning: WasmPlugin shop/b: spec.pluginConfig: decides by the header authorization"},
		{"a DENY behind a plugin that takes the token away", []string{plugin("a", "priority: 20", strip), asks("DENY")},
			"1:1:1: error: AuthorizationPolicy shop/p: spec: has conditions on the token, which WasmPlugin shop/a takes away"},
		{"an ALLOW behind a plugin that takes the token away",
			[]string{plugin("a", "priority: 20", strip), asks("ALLOW")}, "1:1:1: warning: AuthorizationPolicy " +
				"shop/p: spec: has conditions on the token"},
		{"a DENY behind a plugin that keeps the token", []string{plugin("a", "priority: 20", scopes), asks("DENY")}, ""},
		{"two filters of a chain", []string{chained(strip, scopes)},
			"0:3:180: error: configuration.value: decides by the header authorization, which jwt-scope before it takes away"},
		{"two filters of a chain, in the right order", []string{chained(scopes, strip)}, ""},
		{"another vendor's plugin of a name that has ours in it",
			[]string{strings.ReplaceAll(wasmPlugin("key-rate-limit", "AUTHN", reload,
				"limit_by_header: x\nlimit_keys: [{key: a, query_per_second: 1}]"), "  phase", "  phase")}, ""},
		{"another vendor's plugin of our name",
			[]string{wasmPlugin("rate-limit", "AUTHN", reload, "limit_by_header: x")}, ""},
		{"another vendor's rules", []string{wasmPlugin("transformer", "AUTHN", reload, "rules: [{a: b}]\nlimits: 7")}, ""},
		{"ours by the name of its image, with mistakes",
			[]string{wasmPlugin("my-jwt-scope", "AUTHN", reload, "rules: []\nproviders: []")},
			"0:9:5: error: WasmPlugin shop/my-jwt-scope: spec.pluginConfig.rules: the list is empty\n0:10:5: error: " +
				"WasmPlugin shop/my-jwt-scope: spec.pluginConfig.providers: the list is empty"},
		{"ours by its configuration", []string{wasmPlugin("gatekeeper", "AUTHN", "failStrategy: FAIL_OPEN", scopes)},
			"0:7:17: error: WasmPlugin shop/gatekeeper: spec.failStrategy: is FAIL_OPEN"},
		{"ours by its filter", []string{wasmPlugin("gatekeeper", "AUTHN", "failStrategy: FAIL_OPEN",
			"filter: rate-limit\n"+limits)}, "0:7:17: warning: WasmPlugin shop/gatekeeper: spec.failStrategy: is FAIL_OPEN"},
		{"a configuration of two", []string{scopes + "\nlimits: {tokenBytes: 100}"}, ""},
		{"bounds of tokens alone", []string{"limits: {tokenBytes: 100}"},
			"0:1:1: error: providers: is required\n0:1:1: error: rules: is required"},
		{"its filter says so", []string{"filter: edge-stamp\nlimits: []"},
			"0:1:1: error: role: is required\n0:1:1: error: rules: is required"},
		{"an EnvoyFilter without Wasm", []string{"kind: EnvoyFilter\nmetadata: {name: a}\nspec: {configPatches: []}"}, ""},
		{"an EnvoyFilter of another vendor",
			[]string{"kind: EnvoyFilter\nmetadata: {name: a}\nspec:\n  configPatches:\n  - patch:\n      value:\n" +
				deeper(strings.NewReplacer("rate-limit", "other", "limits", "others").Replace(envoyFilter("", "'{}'")))}, ""},
		{"fail open in the other spelling",
			[]string{strings.NewReplacer("rate-limit", "jwt-scope", "vm_config", "vmConfig", "typed_config",
				"typedConfig").Replace(envoyFilter("failOpen: true", "|\n"+deeper(scopes)))},
			"0:5:5: error: failure_policy: is FAIL_OPEN"},
		{"a failure policy in the other spelling",
			[]string{strings.ReplaceAll(envoyFilter("failurePolicy: FAIL_OPEN", "|\n"+deeper(scopes)), "rate-limit",
				"jwt-scope")}, "0:5:5: error: failure_policy: is FAIL_OPEN"},
		{"a failure policy by its number",
			[]string{strings.ReplaceAll(envoyFilter("failure_policy: 3", "|\n"+deeper(scopes)), "rate-limit",
				"jwt-scope")}, "0:5:5: error: failure_policy: is FAIL_OPEN"},
		{"a merged patch that fails open", []string{merged("jwt-scope", "", "failOpen: true")},
			"0:1:304: error: EnvoyFilter a: failure_policy: is FAIL_OPEN"},
		{"a merged patch that fails open, in the other spelling",
			[]string{merged("jwt-scope", "", "fail_open: true, vm_config: {runtime: x}")}, "0:1:304: error: " +
				"EnvoyFilter a: failure_policy: is FAIL_OPEN"},
		{"a merged patch with a failure policy", []string{merged("jwt-scope", "", "failure_policy: FAIL_OPEN")},
			"0:1:304: error: EnvoyFilter a: failure_policy: is FAIL_OPEN"},
		{"a merged patch of a plugin's filter",
			[]string{merged("extenstions.istio.io/wasmplugin/shop.edge-stamp", "", "failurePolicy: 3.0")},
			"0:1:342: error: EnvoyFilter a: failure_policy: is FAIL_OPEN"},
		{"a merged patch that names its filter where it is looked for",
			[]string{merged("", "jwt-scope", "failurePolicy: 0x3")}, "0:1:296: error: EnvoyFilter a: failure_policy: " +
				"is FAIL_OPEN"},
		{"a merged patch of rate-limit", []string{merged("rate-limit", "", "failurePolicy: 3")},
			"0:1:305: warning: EnvoyFilter a: failure_policy: is FAIL_OPEN"},
		{"a merged patch that reloads", []string{merged("jwt-scope", "", "failurePolicy: FAIL_RELOAD")}, ""},
		{"a merged patch without a policy", []string{merged("jwt-scope", "", "vm_config: {vm_id: x}")}, ""},
		{"a merged patch of another", []string{merged("other", "", "failOpen: true")}, ""},
		{"a merged patch of another's code",
			[]string{merged("jwt-scope", "", "failOpen: true, vm_config: {code: {local: {filename: /other.wasm}}}")}, ""},
		{"a failure policy in both spellings",
			[]string{strings.ReplaceAll(envoyFilter("failurePolicy: FAIL_OPEN\n    failure_policy: FAIL_RELOAD",
				"|\n"+deeper(scopes)), "rate-limit", "jwt-scope")}, "0:5:5: error: failure_policy: is FAIL_OPEN"},
		{"fail open without a configuration",
			[]string{"kind: EnvoyFilter\nspec:\n  value:\n    '@type': " +
				"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config: {name: jwt-scope, failOpen: yes}"},
			"0:5:13: error: failure_policy: is FAIL_OPEN\n0:5:13: error: configuration.value: is not there"},
		{"a good failure policy in the other spelling",
			[]string{strings.ReplaceAll(envoyFilter("failurePolicy: FAIL_RELOAD", "|\n"+deeper(scopes)), "rate-limit",
				"jwt-scope")}, ""},
		{"a TypedStruct", []string{"kind: EnvoyFilter\nspec:\n  value:\n    '@type': " +
			"type.googleapis.com/udpa.type.v1.TypedStruct\n    typeUrl: " +
			"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    value: {config: {name: jwt-scope, " +
			"failurePolicy: FAIL_OPEN, configuration: {value: '{}'}}}"},
			"0:6:21: error: failure_policy: is FAIL_OPEN\n0:6:88: error: configuration.value.providers: is " +
				"required\n0:6:88: error: configuration.value.rules: is required"},
		{"a policy of Envoy Gateway that is wrong",
			[]string{policy("jwt-scope", scopes+"\n  acess: public", "failOpen: true")},
			"0:9:15: error: EnvoyExtensionPolicy shop/jwt-scope: spec.wasm[0].failOpen: is true: while jwt-scope\n" +
				"0:14:9: error: EnvoyExtensionPolicy shop/jwt-scope: spec.wasm[0].config.rules[0].acess: unknown key"},
		{"a policy that fails open before a limit", []string{policy("rate-limit", limits, "failOpen: true")},
			"0:9:15: warning: EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].failOpen: is true"},
		{"a policy without a digest",
			[]string{strings.Replace(policy("rate-limit", limits, "failOpen: false"), ", sha256: '"+digest+"'", "", 1)},
			"0:8:32: warning: EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].code.image.sha256: is not set"},
		{"a policy with a placeholder",
			[]string{strings.Replace(policy("rate-limit", limits, "failOpen: false"), digest, zeros, 1)},
			"0:8:82: warning: EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].code.image.sha256: is a placeholder"},
		{"a policy without the key's variable", []string{policy("edge-stamp", edge, "env: {hostKeys: [OTHER]}")},
			"0:14:40: error: EnvoyExtensionPolicy shop/edge-stamp: spec.wasm[0].env.hostKeys: has no KEY"},
		{"a policy that believes a header", []string{policy("jwt-scope", trusted, "failOpen: false")},
			"0:11:86: warning: EnvoyExtensionPolicy shop/jwt-scope: spec.wasm[0].config: trustedPayload believes the " +
				"header x-payload"},
		{"a policy without a configuration",
			[]string{"kind: EnvoyExtensionPolicy\nmetadata: {name: a}\nspec: {wasm: [{name: jwt-scope}]}"},
			"0:3:15: error: EnvoyExtensionPolicy a: spec.wasm[0].code.image.url: is required\n0:3:15: error: " +
				"EnvoyExtensionPolicy a: spec.wasm[0].config: is required"},
		{"a policy with no list", []string{"kind: EnvoyExtensionPolicy\nspec: {wasm: {}}"},
			"0:2:14: error: spec.wasm: want a list"},
		{"a policy of somebody else", []string{"kind: EnvoyExtensionPolicy\nspec: {wasm: [{name: other, config: {}}]}"}, ""},
		{"two digests", []string{wasmPlugin("jwt-scope", "AUTHN", reload+"\n  sha256: "+strings.Repeat("1b", 32),
			scopes)}, "0:8:11: error: WasmPlugin shop/jwt-scope: spec.sha256: differs from the digest in url"},
		{"ftp", []string{strings.Replace(wasmPlugin("jwt-scope", "AUTHN", reload, scopes), "oci:", "ftp:", 1)},
			"0:5:8: error: WasmPlugin shop/jwt-scope: spec.url: has the scheme ftp"},
		{"no configuration", []string{"kind: WasmPlugin\nmetadata: {name: jwt-scope}\nspec: {url: " +
			"'file:///jwt-scope.wasm', phase: AUTHN, failStrategy: FAIL_RELOAD, match: [{mode: SERVER}]}"},
			"0:3:7: error: WasmPlugin jwt-scope: spec.pluginConfig: is required"},
		{"a key that nobody brings", []string{wasmPlugin("edge-stamp", "AUTHN", reload, edge)},
			"0:12:38: error: WasmPlugin shop/edge-stamp: spec.vmConfig.env: has no KEY"},
		{"a key in the resource",
			[]string{wasmPlugin("edge-stamp", "AUTHN", reload+"\n  vmConfig: {env: [{name: KEY, value: secret}]}",
				edge)}, "0:8:20: warning: WasmPlugin shop/edge-stamp: spec.vmConfig.env: gives KEY by value"},
		{"a payload that anybody can send", []string{wasmPlugin("jwt-scope", "AUTHZ", reload, trusted)},
			"0:9:84: error: WasmPlugin shop/jwt-scope: spec.pluginConfig: trustedPayload believes the header x-payload"},
		{"a payload that Istio sets",
			[]string{wasmPlugin("jwt-scope", "AUTHZ", reload, trusted) + "---\n" +
				fmt.Sprintf(request, "api", "X-Payload")}, ""},
		{"a payload of another header",
			[]string{wasmPlugin("jwt-scope", "AUTHZ", reload, trusted), fmt.Sprintf(request, "api", "x-other")},
			"0:9:84: error: "},
		{"a payload before it is there",
			[]string{wasmPlugin("jwt-scope", "AUTHN", reload, trusted), fmt.Sprintf(request, "api", "x-payload")},
			"0:6:10: error: WasmPlugin shop/jwt-scope: spec.phase: is AUTHN: the payload"},
		{"audiences that exclude each other",
			[]string{wasmPlugin("jwt-scope", "AUTHN", reload, scopes), fmt.Sprintf(request, "other", "x-payload")},
			"0:9:61: error: WasmPlugin shop/jwt-scope: spec.pluginConfig: audiences: none is among those of " +
				"RequestAuthentication shop/idp"},
		{"an audience that the mesh has not", []string{edge, strings.Replace(mesh, "[mesh]", "[other]", 1)},
			"1:2:55: error: trust: audiences has not mesh, for which 0 signs"},
		{"another profile", []string{edge, mesh + "\nprofile: rfc9421"},
			"1:4:10: error: profile is rfc9421, and 0 signs in jws"},
		{"another header", []string{edge + "\nheader: X-Stamp", mesh + "\nheader: x-other"},
			"1:4:9: error: header is x-other, and 0 signs in x-stamp"},
		{"a part that nobody binds", []string{edge + "\nbind: [method, path]", mesh},
			"1:1:1: error: require.bind demands authority, query, which no rule of 0 binds"},
		{"nobody signs", []string{strings.Replace(edge, "https://edge", "https://other", 1), mesh},
			"1:2:30: warning: trust: none of these files signs as https://edge"},
		{"an Envoy filter", []string{envoyFilter("failure_policy: FAIL_RELOAD",
			`'{"limits": [{"name": "a", "rate": {"requests": 5, "per": "1s"}}]}'`)}, ""},
		{"an Envoy filter that is wrong, in a block",
			[]string{envoyFilter("fail_open: true",
				"|\n        limits:\n        - name: a\n          rate: {requests: 0, per: 1s}\n")},
			"0:5:5: warning: failure_policy: is FAIL_OPEN\n0:13:10: error: " +
				"configuration.value.limits[0].rate.requests: must be from 1 to"},
		{"an Envoy filter that is wrong, on one line", []string{envoyFilter("vm_id: x", `'{"limits": []}'`)},
			"0:5:5: warning: failure_policy: is not set\n0:10:14: error: configuration.value.limits: the list is empty"},
		{"a filter of somebody else",
			[]string{strings.NewReplacer("rate-limit", "other", "limits", "others").Replace(envoyFilter("", "'{}'"))},
			"0: error: nothing here is known"},
		{"warnings of the filter", []string{limits + "\n  key: [{header: x-key}]"},
			"0:4:3: warning: limits[0].key: is chosen by clients"},
		{"warnings of a filter in a resource",
			[]string{wasmPlugin("rate-limit", "AUTHN", reload,
				"{limits: [{name: a, scope: global, rate: {requests: 5, per: 1s}}], global: {cluster: r, authority: "+
					"r, domain: d, onError: deny, replicas: 4}}")},
			"0:9:133: warning: WasmPlugin shop/rate-limit: spec.pluginConfig.global.replicas: has no effect"},
		{"an Envoy filter with nothing", []string{envoyFilter("failure_policy: FAIL_RELOAD", `""`)},
			"0:10:14: error: configuration.value: is empty"},
		{"an Envoy filter with two documents",
			[]string{envoyFilter("failure_policy: FAIL_RELOAD", `"limits: []\n---\nlimits: []"`)},
			"0:10:14: error: configuration.value: has several documents"},
		{"an Envoy filter with a Struct",
			[]string{strings.Replace(envoyFilter("failure_policy: FAIL_RELOAD", "{limits: []}"), "StringValue",
				"Struct", 1)}, "0:10:15: error: configuration.value.limits: the list is empty"},
		{"an Envoy filter with a number", []string{envoyFilter("failure_policy: FAIL_RELOAD", "7")},
			"0:10:14: error: configuration.value: want a string with JSON"},
		{"no YAML", []string{"a: b: c"}, "0:1:1: error: yaml: mapping values are not allowed in this context"},
		{"no YAML behind other documents", []string{limits + "\n---\n" + limits + "\n---\nx: 1\na: b: c\n"},
			"0:10:1: error: yaml: mapping values are not allowed in this context"},
		{"no YAML between other documents",
			[]string{"limits: []\n---\na: b: c\n---\nlimits: []\n...\n--- # the last\nx: [\n"},
			"0:1:1: error: limits: the list is empty\n0:3:1: error: yaml: mapping values\n0:5:1: error: limits: the " +
				"list is empty\n0:8:1: error: yaml: did not find expected node content"},
		{"a key at the wrong depth",
			[]string{"a: 1\n---\nlimits:\n- name: a\n  rate: {requests: 1, per: 1s}\n - name: b\n"},
			"0:6:1: error: yaml: did not find expected"},
		{"a directive and a mark of order", []string{"\ufeff%YAML 1.1\n---\nlimits: []\n"},
			"0:3:1: error: limits: the list is empty"},
		{"a cluster that a bootstrap lacks", []string{bootstrapWith("clusters: [{name: other}]", "")},
			`0:11:20: error: configuration.value.providers[0].jwks.remote.cluster: there is no cluster "idp" in this bootstrap, which has other: every call`},
		{"a bootstrap without clusters", []string{bootstrapWith("", "")},
			`0:10:20: error: configuration.value.providers[0].jwks.remote.cluster: there is no cluster "idp" in this bootstrap, which has none: every call`},
		{"a cluster that a bootstrap has", []string{bootstrapWith("clusters: [{name: idp}]", "")}, ""},
		{"a bootstrap that discovers clusters", []string{bootstrapWith("", "dynamicResources: {cdsConfig: {ads: {}}}")}, ""},
		{"copies of what is signed as it arrives", []string{wasmPlugin("edge-stamp", "AUTHN", reload, edge),
			"kind: VirtualService\nmetadata: {name: shop}\nspec:\n  http:\n  - mirror: {host: copy}\n    retries: " +
				"{attempts: 3, retryOn: 'connect-failure, 5xx'}\n  - retries: {attempts: 0}\n  - retries: {attempts: " +
				"2, retryOn: 'connect-failure,refused-stream'}\n"},
			"0:12:38: error: WasmPlugin shop/edge-stamp: spec.vmConfig.env: has no KEY\n1:5:5: warning: " +
				"VirtualService shop: mirror: mirrors requests: the stamp\n1:6:5: warning: VirtualService shop: " +
				"retries: retries requests: the stamp"},
		{"copies of what nobody signs",
			[]string{"kind: VirtualService\nmetadata: {name: shop}\nspec:\n  http:\n  - mirror: {host: copy}\n"}, ""},
		{"copies in Envoy of what is signed as it arrives",
			[]string{manager("{role: sign, issuer: i, audience: a, keys: [{kid: k, alg: ES256, env: K}], rules: " +
				"[{name: a, sign: true}]}")},
			"0:3:40: warning: request_mirror_policies: mirrors requests: the stamp"},
		{"copies in Envoy of what is not signed",
			[]string{manager("{limits: [{name: a, rate: {requests: 5, per: 1s}}]}")}, ""},
		{"another resource", []string{"kind: Service\nmetadata: {name: a}\n"}, ""},
		{"a list", []string{"kind: List\nitems:\n- kind: Service\n- kind: WasmPlugin\n  metadata: {name: " +
			"rate-limit}\n  spec: {url: 'file:///x', phase: STATS, failStrategy: FAIL_RELOAD, match: [{mode: " +
			"SERVER}], pluginConfig: {limits: []}}"}, "0:6:109: error: WasmPlugin rate-limit: " +
			"spec.pluginConfig.limits: the list is empty"},
		{"an alias of itself", []string{"kind: WasmPlugin\nspec: &a [*a, *a]"}, "0:1:1: error: its aliases come to more"},
		{"an alias", []string{strings.Replace(limits, "per: 1s", "per: &p 1s", 1) +
			"\n- {name: b, rate: {requests: 1, per: *p}}"}, ""},
		{"a TrafficExtension", []string{"kind: TrafficExtension\nmetadata: {name: a}\nspec:\n  wasm:\n    url: " +
			"oci://r/rate-limit:v1\n    failStrategy: FAIL_RELOAD\n    pluginConfig: {limits: []}\n  phase: AUTHN\n  " +
			"match: [{mode: SERVER}]\n"},
			"0:5:10: warning: TrafficExtension a: spec.wasm.url: is not pinned\n0:7:20: error: TrafficExtension a: " +
				"spec.wasm.pluginConfig.limits: the list is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantFindings(t, c.files, c.want)
		})
	}
}

// What a whole cluster has is read, and as quickly as it comes.
func TestLarge(t *testing.T) {
	start := time.Now()
	var namespaces, list strings.Builder
	namespaces.WriteString(scopes + "\n  match: [{paths: [")
	for i := range 70_000 {
		fmt.Fprintf(&namespaces, "%q, ", fmt.Sprintf("/namespaces/n%d", i))
	}
	namespaces.WriteString("/x]}]\n")
	list.WriteString("kind: WasmPluginList\nitems:\n")
	for i := range 2400 {
		text := strings.Replace(plugin(fmt.Sprint("p", i), fmt.Sprintf("selector: {matchLabels: {app: a%d}}", i),
			strip), "apiVersion", "- apiVersion", 1)
		list.WriteString(strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n")
	}
	for name, text := range map[string]string{"namespaces": namespaces.String(), "list": list.String()} {
		var c Checker
		c.File(name, []byte(text))
		if found := c.Findings(); len(found) > 0 {
			t.Errorf("%s: %d findings: %v", name, len(found), found[0])
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("this took %v", took)
	}
}

// Secrets that stand in the wrong place are not repeated.
func TestNothingSecret(t *testing.T) {
	var c Checker
	c.File("f", []byte(strings.Replace(edge, "env: KEY", "pem: hunter2", 1)))
	for _, f := range c.Findings() {
		if strings.Contains(f.String(), "hunter2") {
			t.Error(f)
		}
	}
	if len(c.findings) == 0 {
		t.Error("a key that is none is taken")
	}
}

func FuzzFile(f *testing.F) {
	f.Add(wasmPlugin("jwt-scope", "AUTHN", reload, scopes))
	f.Add(envoyFilter("fail_open: true", "|\n        limits:\n        - name: a\n"))
	f.Add(edge + "\n---\n" + mesh + "\n---\n" + fmt.Sprintf(request, "a", "b"))
	f.Add(policy("edge-stamp", edge, "failOpen: true"))
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		var c Checker
		c.File("f", []byte(text))
		for _, f := range c.Findings() {
			if f.Line > strings.Count(text, "\n")+1 || f.Problem == "" {
				t.Errorf("%s: a text of %d lines", f, strings.Count(text, "\n")+1)
			}
		}
	})
}

// bootstrapWith is a bootstrap of Envoy whose jwt-scope fetches keys from the cluster idp.
func bootstrapWith(clusters, more string) string {
	var lines []string
	for _, line := range []string{more, "static_resources:", "  " + clusters, "  listeners:", "  - filter_chains:",
		"    - filters:", "      - '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
		"        config:", "          failure_policy: FAIL_RELOAD", "          name: jwt-scope", "          configuration:",
		`            value: '{"providers": [{"name": "p", "issuer": "i", "audiences": ["a"], "jwks": {"remote": {"cluster": "idp", "authority": "idp", "path": "/keys"}}}], "rules": [{"name": "r"}]}'`} {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// wantFindings checks files together: each finding begins with a line of want, in this order.
func wantFindings(t *testing.T, files []string, want string) {
	t.Helper()
	var checker Checker
	for i, text := range files {
		checker.File(fmt.Sprint(i), []byte(text))
	}
	var got, wanted []string
	for _, f := range checker.Findings() {
		got = append(got, f.String())
	}
	if want != "" {
		wanted = strings.Split(want, "\n")
	}
	for i := range max(len(got), len(wanted)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", wanted[i])
		case i >= len(wanted):
			t.Errorf("got  %s\nwant nothing", got[i])
		case !strings.HasPrefix(got[i], wanted[i]):
			t.Errorf("got  %s\nwant %s", got[i], wanted[i])
		}
	}
}

// What is no digest is called that, in every resource and for every kind of code.
func TestDigests(t *testing.T) {
	plugin := wasmPlugin("jwt-scope", "AUTHN", reload+"\n  sha256: SUM", scopes)
	image := strings.Replace(policy("rate-limit", limits, "failOpen: false"), "'"+digest+"'", "SUM", 1)
	http := strings.Replace(image, "type: Image, image: {url: registry.example.com/rate-limit:v1",
		"type: HTTP, http: {url: 'https://files.example.com/rate-limit.wasm'", 1)
	traffic := "kind: TrafficExtension\nmetadata: {name: a}\nspec:\n  wasm:\n    url: oci://r/rate-limit@sha256:" + digest +
		"\n    sha256: SUM\n    failStrategy: FAIL_RELOAD\n    pluginConfig: {limits: [{name: a, rate: {requests: 1, " +
		"per: 1s}}]}\n  phase: AUTHN\n  match: [{mode: SERVER}]\n"
	for _, r := range []struct{ resource, text, at string }{
		{"WasmPlugin shop/jwt-scope", plugin, "0:8:11: error: WasmPlugin shop/jwt-scope: spec.sha256: "},
		{"an image", image, "0:8:82: error: EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].code.image.sha256: "},
		{"a file", http, "0:8:89: error: EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].code.http.sha256: "},
		{"TrafficExtension a", traffic, "0:6:13: error: TrafficExtension a: spec.wasm.sha256: "},
	} {
		wantFindings(t, []string{strings.Replace(r.text, "SUM", "'"+digest+"'", 1)}, "")
		for _, sum := range []string{"DIGEST", "abc", "sha256:" + digest, digest + "0", strings.ToUpper(digest), "''",
			strings.Repeat("1", 64), "[]"} {
			wantFindings(t, []string{strings.Replace(r.text, "SUM", sum, 1)}, r.at+"is no text of 64 hexadecimal digits")
		}
	}
	remote := strings.Replace(envoyFilter("failure_policy: FAIL_RELOAD",
		`'{"limits": [{"name": "a", "rate": {"requests": 1, "per": "1s"}}]}'`), "local: {filename: /etc/envoy/rate-limit.wasm}",
		"remote: {sha256: abc, http_uri: {uri: 'https://files/rate-limit.wasm'}}", 1)
	wantFindings(t, []string{remote}, "0:7:41: error: vm_config.code.remote.sha256: is no text of 64 hexadecimal digits")
	other := strings.Repeat("1b", 32)
	bare := func(text string) string { return strings.Replace(text, "\n  sha256: SUM", "", 1) }
	for text, want := range map[string]string{
		strings.Replace(image, ":v1, sha256: SUM", "@sha256:DIGEST", 1): "0:8:38: error: EnvoyExtensionPolicy shop/rate-limit: " +
			"spec.wasm[0].code.image.url: has no digest of 64 hexadecimal digits behind @sha256:",
		strings.Replace(image, ":v1, sha256: SUM", "@sha256:"+digest, 1): "",
		strings.Replace(image, ":v1, sha256: SUM", "@sha256:"+digest+", sha256: "+other, 1): "0:8:151: error: " +
			"EnvoyExtensionPolicy shop/rate-limit: spec.wasm[0].code.image.sha256: differs from the digest in url",
		bare(strings.Replace(plugin, "@sha256:"+digest, "@sha256:DIGEST", 1)):                                    "0:5:8: error: WasmPlugin shop/jwt-scope: spec.url: has no digest of 64 hexadecimal digits behind @sha256:",
		bare(strings.Replace(traffic, "@sha256:"+digest+"\n  ", "@sha256:abc\n", 1)):                             "0:5:10: error: TrafficExtension a: spec.wasm.url: has no digest of 64 hexadecimal digits behind @sha256:",
		strings.Replace(http, "rate-limit.wasm', sha256: SUM", "a@sha256:x/rate-limit.wasm', sha256: "+other, 1): "",
	} {
		wantFindings(t, []string{text}, want)
	}
}
