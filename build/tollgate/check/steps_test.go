// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The same steps as the filters' own samples of this package, in flow style, so that a step is one line.
const (
	whoStep    = `{name: who, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {inline: ` + jwks + `}}], rules: [{name: all}]}}`
	stripStep  = `{name: strips, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {inline: ` + jwks + `}}], rules: [{name: all}], forward: {token: strip}}}`
	believes   = `{name: believes, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], trustedPayload: {header: x-payload}}], rules: [{name: all}]}}`
	remoteStep = `{name: who, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], jwks: {remote: {cluster: idp, authority: idp, path: /keys}}}], rules: [{name: all}]}}`
	usersStep  = `{name: users, filter: rate-limit, config: {limits: [{name: a, key: [{claim: [sub]}], rate: {requests: 5, per: 1s}}]}}`
	countStep  = `{name: counts, filter: rate-limit, config: {limits: [{name: a, rate: {requests: 5, per: 1s}}]}}`
	signStep   = `{name: signs, filter: edge-stamp, config: {role: sign, issuer: https://edge, audience: mesh, keys: [{kid: a, alg: ES256, env: KEY}], copyClaims: [tenant], rules: [{name: all, sign: true}]}}`
	bodyStep   = `{name: signs, filter: edge-stamp, config: {role: sign, issuer: https://edge, audience: mesh, keys: [{kid: a, alg: ES256, env: KEY}], bind: [method, body], rules: [{name: all, sign: true}]}}`
	verifyStep = `{name: stamped, filter: edge-stamp, config: {role: verify, trust: [{name: edge, issuer: https://edge, audiences: [mesh], jwks: {inline: ` + jwks + `}}], rules: [{name: all}]}}`
	badStep    = `{name: bad, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {inline: ` + jwks + `}}], rules: [{name: all, match: [{paths: [orders]}]}]}}`
	fromHost   = "\n  vmConfig: {env: [{name: KEY, valueFrom: HOST}]}"
)

func chainOf(steps ...string) string { return "chain:\n- " + strings.Join(steps, "\n- ") }

// asJSON is a document in JSON, in one line: as Envoy's configuration has a filter's.
func asJSON(t *testing.T, text string) string {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	b, err := ToJSON(n.Content[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// envoyChain is a filter of Envoy's with the module's configuration in a string.
func envoyChain(t *testing.T, policy, text string) string {
	t.Helper()
	quoted, err := json.Marshal(asJSON(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(envoyFilter(policy, string(quoted)), "rate-limit.wasm", "tollgate.wasm")
}

// column puts the number in the place of a column that is written as what begins there: 0:3:{orders}: error.
func column(t *testing.T, want string, files []string) string {
	t.Helper()
	head, rest, ok := strings.Cut(want, ":{")
	if !ok || strings.Contains(head, " ") {
		return want
	}
	text, rest, _ := strings.Cut(rest, "}: ")
	var file, line int
	if _, err := fmt.Sscanf(head, "%d:%d", &file, &line); err != nil {
		t.Fatal(err)
	}
	at := strings.Index(strings.Split(files[file], "\n")[line-1], text)
	if at < 0 {
		t.Fatalf("line %d has no %s", line, text)
	}
	return fmt.Sprintf("%s:%d: %s", head, at+1, rest)
}

// In a chain everything is found that is found for the filters as plugins one behind the other. Each case is all
// findings of its files, a line each.
func TestChains(t *testing.T) {
	all := func(more string, steps ...string) string {
		return wasmPlugin("tollgate", "AUTHN", more, chainOf(steps...))
	}
	const at = "WasmPlugin shop/tollgate: spec.pluginConfig."
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"a bare chain", []string{chainOf(whoStep, usersStep, signStep)}, ""},
		{"a chain in a WasmPlugin", []string{all(reload+fromHost, countStep, whoStep, usersStep, signStep)}, ""},
		{"a chain in JSON", []string{asJSON(t, chainOf(whoStep, usersStep))}, ""},
		{"one filter of the module", []string{wasmPlugin("tollgate", "AUTHN", reload, "filter: rate-limit\n"+limits)}, ""},
		{"a fault of a step, bare", []string{chainOf(countStep, badStep)},
			"0:3:{orders]}: error: chain[1].config.rules[0].match[0].paths[0]: a path starts with a slash"},
		{"a fault of a step, in lines of its own", []string{"chain:\n- name: counts\n  filter: rate-limit\n  config:\n" +
			"    limits:\n    - name: a\n      rate: {requests: 0, per: 1s}\n"},
			"0:7:{requests: 0}: error: chain[0].config.limits[0].rate.requests: must be from 1 to"},
		{"a fault of a step, in a WasmPlugin", []string{all(reload, countStep, badStep)},
			"0:11:{orders]}: error: " + at + "chain[1].config.rules[0].match[0].paths[0]: a path starts with a slash"},
		{"faults of the chain beside those of its steps", []string{all(reload,
			"{name: a, filter: rate-limits, config: {}}", "{filter: rate-limit}", badStep) + "---\n"},
			"0:10:{filter: rate}: error: " + at +
				"chain[0].filter: want jwt-scope, edge-stamp or rate-limit; did you mean rate-limit?\n" +
				"0:11:7: error: " + at + "chain[1].name: is required\n0:11:7: error: " + at + "chain[1].config: is required\n" +
				"0:12:{orders]}: error: " + at + "chain[2].config.rules[0].match[0].paths[0]: a path starts with a slash"},
		{"a warning of a step", []string{chainOf(countStep, strings.Replace(usersStep, "claim: [sub]", "header: x-key", 1))},
			"0:3:{key: [}: warning: chain[1].config.limits[0].key: is chosen by clients"},
		{"the module without filter or chain", []string{wasmPlugin("tollgate", "AUTHN", reload, limits)},
			"0:9:5: error: " + at + "filter: is required, or chain: this module carries jwt-scope, edge-stamp, rate-limit"},
		{"the module without anything", []string{wasmPlugin("tollgate", "AUTHN", reload, "publishIdentity: true")},
			"0:9:5: error: " + at + "filter: is required, or chain"},
		{"a filter that there is not", []string{wasmPlugin("tollgate", "AUTHN", reload, "filter: jwt-scopes\n"+scopes)},
			"0:9:5: error: " + at + "filter: want jwt-scope"},
		{"a filter that there is not, and nothing else",
			[]string{wasmPlugin("tollgate", "AUTHN", reload, "filter: jwt-scopes")},
			"0:9:5: error: " + at + "filter: want jwt-scope, edge-stamp or rate-limit; did you mean jwt-scope?"},
		{"a chain on a filter's image", []string{wasmPlugin("jwt-scope", "AUTHN", reload, chainOf(whoStep))},
			"0:10:5: error: WasmPlugin shop/jwt-scope: spec.pluginConfig.chain: is for tollgate, which carries all " +
				"filters, and the image is that of jwt-scope alone, which refuses it: use the image tollgate"},
		{"another filter's configuration on a filter's image",
			[]string{wasmPlugin("jwt-scope", "AUTHN", reload, "filter: rate-limit\n"+limits)},
			"0:9:13: error: WasmPlugin shop/jwt-scope: spec.pluginConfig.filter: is rate-limit, and the image is that of " +
				"jwt-scope, which refuses it: use the image rate-limit or tollgate"},
		{"a chain under another name", []string{strings.ReplaceAll(all(reload, badStep), "tollgate", "gateway")},
			"0:10:{orders]}: error: WasmPlugin shop/gateway: " +
				"spec.pluginConfig.chain[0].config.rules[0].match[0].paths[0]: a path"},
		{"another vendor's chain", []string{strings.ReplaceAll(wasmPlugin("tollgate", "AUTHN", reload,
			"chain: [{name: a, plugin: b}]"), "tollgate", "gateway")}, ""},
		{"a TrafficExtension", []string{"kind: TrafficExtension\nmetadata: {name: a}\nspec:\n  wasm:\n    url: " +
			"oci://r/tollgate@sha256:" + digest + "\n    failStrategy: FAIL_RELOAD\n    pluginConfig: {chain: [" + badStep +
			"]}\n  phase: AUTHN\n  match: [{mode: SERVER}]\n"},
			"0:7:{orders]}: error: TrafficExtension a: " +
				"spec.wasm.pluginConfig.chain[0].config.rules[0].match[0].paths[0]: a path"},
		{"an EnvoyExtensionPolicy", []string{policy("tollgate", chainOf(badStep, signStep), "failOpen: true")},
			"0:9:15: error: EnvoyExtensionPolicy shop/tollgate: spec.wasm[0].failOpen: is true: while jwt-scope and " +
				"edge-stamp cannot run\n" +
				"0:12:{orders]}: error: EnvoyExtensionPolicy shop/tollgate: spec.wasm[0].config.chain[0].config.rules[0].match[0]" +
				".paths[0]: a path\n" +
				"0:13:{KEY}: error: EnvoyExtensionPolicy shop/tollgate: spec.wasm[0].env.hostKeys: has no KEY"},
		{"an EnvoyExtensionPolicy that believes a header", []string{policy("tollgate", chainOf(believes), "failOpen: false")},
			"0:12:{{header}: warning: EnvoyExtensionPolicy shop/tollgate: spec.wasm[0].config.chain[0].config: trustedPayload " +
				"believes the header x-payload"},
		{"a policy of Envoy Gateway beside one that has the limits only", []string{policy("tollgate",
			chainOf(countStep, whoStep, strings.Replace(countStep, "counts", "again", 1)), "failOpen: false"),
			strings.Replace(policy("rate-limit", limits, "failOpen: false"), "name: rate-limit,", "name: other,", 1)},
			"1:1:1: error: EnvoyExtensionPolicy shop/other: spec.targetRefs: has a target that EnvoyExtensionPolicy " +
				"shop/tollgate has as well, and Envoy Gateway applies the older of the two alone: without jwt-scope"},
		{"an Envoy filter", []string{envoyChain(t, "failure_policy: FAIL_RELOAD", chainOf(badStep, usersStep))},
			"0:10:14: error: configuration.value.chain[0].config.rules[0].match[0].paths[0]: a path starts with a slash"},
		{"an Envoy filter in a block", []string{strings.ReplaceAll(envoyFilter("failure_policy: FAIL_RELOAD", "|\n"+
			deeper(chainOf(countStep, badStep))), "rate-limit.wasm", "tollgate.wasm")},
			"0:13:319: error: configuration.value.chain[1].config.rules[0].match[0].paths[0]: a path starts with a slash"},
		{"an Envoy filter that fails open", []string{envoyChain(t, "fail_open: true", chainOf(countStep, whoStep))},
			"0:5:5: error: failure_policy: is FAIL_OPEN: while jwt-scope cannot run"},
		{"an Envoy filter of limits that fails open", []string{envoyChain(t, "fail_open: true", chainOf(countStep))},
			"0:5:5: warning: failure_policy: is FAIL_OPEN: while the filter cannot run, nothing is limited"},
		{"an Envoy filter with the module of one filter", []string{strings.ReplaceAll(envoyChain(t,
			"failure_policy: FAIL_RELOAD", chainOf(whoStep)), "tollgate.wasm", "rate-limit-1.2.wasm")},
			"0:10:14: error: configuration.value.chain: is for tollgate, which carries all filters, and the image is that " +
				"of rate-limit alone"},
		{"an EnvoyFilter", []string{merged("tollgate", "", "configuration: {value: '{\"chain\": []}'}")},
			"0:1:{'{\"chain}: error: EnvoyFilter a: configuration.value.chain: the list is empty"},
		{"a bound body in Envoy", []string{envoyChain(t, "failure_policy: FAIL_RELOAD", chainOf(whoStep, bodyStep))},
			"0:5:5: error: allow_on_headers_stop_iteration: want true"},
		{"a bound body in Istio", []string{all(reload+fromHost, whoStep, bodyStep)},
			"0:12:{body]}: error: WasmPlugin shop/tollgate: spec.pluginConfig: binds the body, for which Istio has no field"},
		{"a cluster that a bootstrap lacks", []string{strings.Replace(strings.Replace(bootstrapWith("clusters: "+
			"[{name: other}]", ""), "name: jwt-scope", "name: tollgate", 1), "value: '{", "value: '"+
			asJSON(t, chainOf(countStep, remoteStep))+"' # '{", 1)},
			`0:11:20: error: configuration.value.chain[1].config.providers[0].jwks.remote.cluster: there is no cluster "idp"`},
		{"copies in Envoy of what a step signs", []string{manager(asJSON(t, chainOf(whoStep, signStep)))},
			"0:3:40: warning: request_mirror_policies: mirrors requests: the stamp"},
		{"copies of what a step signs", []string{all(reload+fromHost, whoStep, signStep),
			"kind: VirtualService\nmetadata: {name: shop}\nspec:\n  http:\n  - mirror: {host: copy}\n"},
			"1:5:5: warning: VirtualService shop: mirror: mirrors requests: the stamp"},
		{"FAIL_OPEN", []string{all("failStrategy: FAIL_OPEN"+fromHost, countStep, whoStep, signStep)},
			"0:7:17: error: WasmPlugin shop/tollgate: spec.failStrategy: is FAIL_OPEN: while jwt-scope and edge-stamp " +
				"cannot run"},
		{"a key that nobody brings", []string{all(reload, whoStep, signStep)},
			"0:11:{KEY}: error: WasmPlugin shop/tollgate: spec.vmConfig.env: has no KEY"},
		{"a step that takes the token of the next away", []string{all(reload, stripStep,
			strings.Replace(whoStep, "{name: who", "{name: again", 1))},
			"0:11:{{providers}: error: " + at +
				"chain[1].config: decides by the header authorization, which the step strips of " +
				"WasmPlugin shop/tollgate before it takes away (forward.token: strip): a request then looks as if it had none, " +
				"and what lets such requests pass lets all pass; let the last one strip it, and put the others before it"},
		{"a step that takes the token away as the last", []string{all(reload, whoStep, stripStep)}, ""},
		{"a step that takes the token of another plugin away", []string{all("priority: 20\n  "+reload, stripStep, countStep),
			plugin("b", "priority: 10", scopes)},
			"1:5:3: error: WasmPlugin shop/b: spec.pluginConfig: decides by the header authorization, which the step " +
				"strips of WasmPlugin shop/tollgate before it takes away"},
		{"a DENY behind a step that takes the token away", []string{all(reload, countStep, stripStep), asks("DENY")},
			"1:1:1: error: AuthorizationPolicy shop/p: spec: has conditions on the token, which the step strips of " +
				"WasmPlugin shop/tollgate takes away"},
		{"a payload that anybody can send", []string{strings.Replace(all(reload, countStep, believes), "AUTHN", "AUTHZ", 1)},
			"0:11:{{header}: error: " + at[:len(at)-1] + ".chain[1].config: trustedPayload believes the header x-payload"},
		{"a payload that Istio sets", []string{strings.Replace(all(reload, countStep, believes), "AUTHN", "AUTHZ", 1),
			fmt.Sprintf(request, "api", "x-payload")}, ""},
		{"a payload before it is there", []string{all(reload, believes), fmt.Sprintf(request, "api", "x-payload")},
			"0:6:10: error: WasmPlugin shop/tollgate: spec.phase: is AUTHN: the payload"},
		{"a payload that an earlier step writes", []string{chainOf(strings.Replace(whoStep, "rules:",
			"forward: {payloadHeader: x-payload}, rules:", 1), believes)},
			"0:3:{header: x-payload}: error: chain[1].config.providers[0].trustedPayload.header: is written by the " +
				"earlier step who"},
		{"a mesh that takes no stamp of the edge", []string{chainOf(whoStep, signStep),
			chainOf(strings.Replace(verifyStep, "[mesh]", "[other]", 1))},
			"1:2:{[other]}: error: chain[0].config: trust: audiences has not mesh, for which 0 signs: every stamp is refused"},
		{"a limit by claims before who verifies them", []string{all(reload, usersStep, whoStep)},
			"0:10:{{name: a,}: error: " + at +
				"chain[0].config.limits[0]: goes by verified claims, and the step who of WasmPlugin " +
				"shop/tollgate, which verifies them, comes behind it: they are missing here; put the step who of WasmPlugin " +
				"shop/tollgate before it"},
		{"a tier by claims before who verifies them", []string{chainOf(strings.Replace(countStep, "}]}}",
			", tiers: {claim: [plan], values: {gold: {requests: 9, per: 1s}}}}]}}", 1), verifyStep)},
			"0:2:{{name: a,}: error: chain[0].config.limits[0]: goes by verified claims, and the step stamped, which"},
		{"claims for the stamp before who verifies them", []string{chainOf(signStep, whoStep)},
			"0:2:{[tenant]}: error: chain[0].config.copyClaims: goes by verified claims, and the step who"},
		{"a transaction before who verifies whose it is", []string{
			chainOf(strings.Replace(signStep, "copyClaims: [tenant]", "profile: txn-token", 1), whoStep)},
			"0:2:{txn-token}: error: chain[0].config.profile: goes by verified claims, and the step who"},
		{"a limit by claims that nobody verifies", []string{chainOf(countStep, usersStep)},
			"0:3:{{name: a,}: warning: chain[1].config.limits[0]: goes by verified claims, and no step before it verifies any"},
		{"a limit by claims that another plugin verifies", []string{plugin("b", "priority: 10", scopes),
			all("priority: 5\n  "+reload, countStep, usersStep)}, ""},
		{"filters apart, the limit first", []string{plugin("b", "priority: 5", scopes),
			wasmPlugin("rate-limit", "AUTHN", reload+"\n  priority: 10", limits+"\n  key: [{claim: [sub]}]")},
			"1:11:7: error: WasmPlugin shop/rate-limit: spec.pluginConfig.limits[0]: goes by verified claims, and " +
				"WasmPlugin shop/b, which verifies them, comes behind it: they are missing here; put WasmPlugin shop/b before"},
		{"filters apart that a workload may both have, the limit first", []string{
			plugin("b", "selector: {matchLabels: {tier: web}}\n  priority: 5", scopes),
			wasmPlugin("rate-limit", "AUTHN", reload+"\n  selector: {matchLabels: {app: orders}}\n  priority: 10",
				limits+"\n  key: [{claim: [sub]}]")}, "1:12:7: warning: WasmPlugin shop/rate-limit: spec.pluginConfig.limits[0]"},
		{"a limit by itself", []string{wasmPlugin("rate-limit", "AUTHN", reload, limits+"\n  key: [{claim: [sub]}]")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Split(c.want, "\n")
			for i := range want {
				want[i] = column(t, want[i], c.files)
			}
			wantFindings(t, c.files, strings.Join(want, "\n"))
		})
	}
}
