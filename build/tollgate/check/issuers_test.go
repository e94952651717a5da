// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What providers call, and read from the environment, has to be there.
func TestProviders(t *testing.T) {
	const opaque = `{"name":"o","introspection":{"cluster":"as","authority":"as","path":"/i","clientId":"g",` +
		`"clientSecretEnv":"SECRET"},"audiences":["a"],"senderConstraint":"dpop"}`
	with := func(provider, clusters string) string {
		text := bootstrapWith("clusters: ["+clusters+"]", "")
		i := strings.Index(text, `"providers": [`) + len(`"providers": [`)
		return text[:i] + provider + "," + text[i:]
	}
	wantFindings(t, []string{with(opaque, "{name: idp}, {name: as}")}, "")
	wantFindings(t, []string{with(opaque, "{name: idp}")},
		`0:11:20: error: configuration.value.providers[0].introspection.cluster: there is no cluster "as" in this bootstrap`)
	const discovers = `{"name":"d","issuer":"https://d","audiences":["a"],"jwks":{"remote":{"cluster":"idp","authority":"d",` +
		`"discover":true,"discoverAuthorities":{"keys.d":"keys"}}}}`
	wantFindings(t, []string{with(discovers, "{name: idp}")},
		`0:11:20: error: configuration.value.providers[0].jwks.remote.discoverAuthorities["keys.d"]: there is no cluster "keys"`)
	config := "providers: [" + opaque + "]\nrules: [{name: r}]\ndpop: {nonce: required, nonceKeyEnv: NONCES}"
	wantFindings(t, []string{wasmPlugin("jwt-scope", "AUTHN", reload, config)},
		"0:9:123: error: WasmPlugin shop/jwt-scope: spec.vmConfig.env: has no SECRET\n"+
			"0:11:42: error: WasmPlugin shop/jwt-scope: spec.vmConfig.env: has no NONCES")
	wantFindings(t, []string{wasmPlugin("jwt-scope", "AUTHN", reload+"\n  vmConfig: {env: [{name: SECRET, valueFrom: HOST}, "+
		"{name: NONCES, value: x}]}", config)},
		"0:8:53: warning: WasmPlugin shop/jwt-scope: spec.vmConfig.env: gives NONCES by value")
}

// A filter that only asks things of a provider's tokens decides, too: another before it must leave it the token.
func TestRequirementsDecide(t *testing.T) {
	const provider = `{name: p, issuer: i, audiences: [a], jwks: {inline: {keys: []}}`
	for more, want := range map[string]bool{"}": true, ", require: {scopes: {all: [s]}}}": false} {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte("providers: ["+provider+more+"]\nrules: [{name: r, access: optional}]"), &document); err != nil {
			t.Fatal(err)
		}
		if got := indifferent(document.Content[0]); got != want {
			t.Errorf("%s: %v", more, got)
		}
	}
}
