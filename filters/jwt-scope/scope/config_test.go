// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

func TestConfigFaults(t *testing.T) {
	const rules = `"rules":[{"name":"a"}]`
	names := 0
	provider := func(more string) string {
		return `{"providers":[{"name":"p","issuer":"i","audiences":["a"],"jwks":{"inline":` + testKeys + `}` + more +
			`}],` + rules + `}`
	}
	rule := func(rules string) string {
		return strings.Replace(provider(""), `{"name":"a"}`, rules, 1)
	}
	template := func(issuer string) string {
		names++
		return fmt.Sprintf(`{"name":"p%d","issuer":%s,"audiences":["a"],"jwks":{"inline":%s}}`, names, issuer, testKeys)
	}
	inlineToRemote := func(config, remote string) string {
		return strings.Replace(config, `{"inline":`+testKeys+`}`, `{"remote":`+remote+`}`, 1)
	}
	inline := func(set string) string { return strings.Replace(provider(""), testKeys, set, 1) }
	private := keySet(jose.JSONWebKey{Key: ecKey, KeyID: "ec"})
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, "the configuration is empty"},
		{"no providers, no rules", `{}`, "providers: is required\nrules: is required"},
		{"empty lists", `{"providers":[],"rules":[]}`,
			"providers: the list is empty: name at least one, or leave the key out\nrules: the list is empty: name " +
				"at least one, or leave the key out"},
		{"a provider of nothing", `{"providers":[{}],` + rules + `}`,
			"providers[0].name: is required\nproviders[0].issuer: is required\nproviders[0].audiences: is required, " +
				"or anyAudience: true to accept tokens made for anybody\nproviders[0].jwks: is required"},
		{"audiences and any audience", provider(`,"anyAudience":true`),
			"providers[0].audiences: contradicts anyAudience: name audiences, or accept any"},
		{"templates", `{"providers":[` + strings.Join([]string{
			template(`{}`), template(`{"template":"https://l/{tid}","values":["a/b",""],"anyValue":true}`),
			template(`{"template":"https://{tid}.l/","anyValue":true}`), template(`{"template":"https://l/a{tid}","values":[]}`),
			template(`{"template":"https://l/x","values":["t"]}`), template(`{"template":"https://l/{a}/{b}","values":["t"]}`),
		}, ",") + `],` + rules + `}`,
			"providers[0].issuer.template: is required\nproviders[0].issuer.values: is required, or anyValue: true to accept " +
				"the tokens of every tenant\nproviders[1].issuer.values: contradicts anyValue: name values, or accept any\n" +
				"providers[2].issuer.template: {tid} must be one segment of the path: whoever may choose a part of a host is " +
				"another issuer\nproviders[3].issuer.template: {tid} must be one segment of the path: whoever may choose a part " +
				"of a host is another issuer\nproviders[3].issuer.values: the list is empty: name at least one, or leave the key " +
				"out\nproviders[4].issuer.template: want one {claim}, as in https://login.example.com/{tid}/v2.0\n" +
				"providers[5].issuer.template: want one {claim}, as in https://login.example.com/{tid}/v2.0"},
		{"requirements of a provider that ask for nothing", provider(`,"require":{}`),
			"providers[0].require: asks for nothing: name scopes, claims or both"},
		{"a path variable without a path", provider(`,"require":{"claims":[{"path":["t"],"equals":{"pathVariable":"t"}}]}`),
			"providers[0].require.claims[0].equals.pathVariable: a provider has no paths: ask for it in " +
				"rules\nproviders[0].require.claims[0].equals.pathVariable: unknown key"},
		{"alternatives", rule(`{"name":"a","require":{"providers":["p"],"anyOf":[{},{"providers":["q"]},{"scopes":{"all":["a b"]}}]}}`),
			"rules[0].require.anyOf[0]: asks for nothing: every token would do\nrules[0].require.anyOf[1].providers[0]: no " +
				"provider has this name\nrules[0].require.anyOf[2].scopes.all[0]: is not a scope (RFC 6749 §3.3): " +
				"printable ASCII without space, quotation mark and backslash"},
		{"no alternatives", rule(`{"name":"a","require":{"anyOf":[]}}`),
			"rules[0].require.anyOf: the list is empty: name at least one, or leave the key out"},
		{"no number between", rule(`{"name":"a","require":{"claims":[{"path":["l"],"atLeast":3,"atMost":2},{"path":["l"],"atLeast":"3"}]}}`),
			"rules[0].require.claims[0].atMost: is below atLeast: no number fits\nrules[0].require.claims[1].atLeast: want a number"},
		{"authentication", rule(`{"name":"a","require":{"authentication":{}}},{"name":"b","require":{"authentication":` +
			`{"acr":["a b"],"maxAge":"1500ms"}}}`),
			"rules[0].require.authentication: asks for nothing: name acr, maxAge or both\nrules[1].require.authentication.acr[0]: " +
				"cannot stand in acr_values (RFC 9470 §3): printable ASCII without space, quotation mark and backslash\n" +
				"rules[1].require.authentication.maxAge: want whole seconds: max_age of the challenge has no others"},
		{"places in subprotocols", provider(`,"token":[{"subprotocol":"a b"},{"subprotocolPrefix":"","subprotocol":"x"}]`),
			"providers[0].token[0].subprotocol: want the name of a subprotocol: the characters of an HTTP token (RFC 6455 " +
				"§11.3.4)\nproviders[0].token[1].subprotocolPrefix: must not be empty\nproviders[0].token[1].subprotocolPrefix: want " +
				"the name of a subprotocol: the characters of an HTTP token (RFC 6455 §11.3.4)\nproviders[0].token[1]: name one of " +
				"header, cookie, query, subprotocol and subprotocolPrefix; for several places give a list"},
		{"nonces", strings.Replace(rule(`{"name":"a"}`), `"rules"`,
			`"dpop":{"nonce":"always","nonceKeyEnv":"NOWHERE"},"rules"`, 1),
			"dpop.nonce: want none or required\ndpop.nonceKeyEnv: the VM's environment has no variable \"NOWHERE\""},
		{"a short key for nonces", strings.Replace(rule(`{"name":"a"}`), `"rules"`,
			`"dpop":{"nonce":"required","nonceKeyEnv":"SHORT"},"rules"`, 1),
			"dpop.nonceKeyEnv: the variable's value is too short for a key: want 32 random bytes or more"},
		{"introspection", opaque(`,"jwks":{},"algorithms":["RS256"],"audiences":[]`, `,"cluster2":"x","clientAuth":"none",`+
			`"for":"jwt","cache":{"ttl":"2h"}`, ``),
			"providers[1].jwks: contradicts introspection, under which no token is read\nproviders[1].algorithms: contradicts " +
				"introspection, under which no token is read\nproviders[1].introspection.for: want opaque or all\n" +
				"providers[1].introspection.clientAuth: want basic or post\nproviders[1].introspection.cache.ttl: must be from 0s to " +
				"1h\nproviders[1].introspection.cluster2: unknown key; did you mean cluster?\nproviders[1].audiences: the list is " +
				"empty: name at least one, or leave the key out"},
		{"introspection without a secret", strings.Replace(opaque("", "", ""), "SECRET", "NOWHERE", 1),
			"providers[1].introspection.clientSecretEnv: the VM's environment has no variable \"NOWHERE\""},
		{"introspection with an empty secret", strings.Replace(opaque("", "", ""), "SECRET", "EMPTY", 1),
			"providers[1].introspection.clientSecretEnv: the variable \"EMPTY\" of the VM's environment is empty"},
		{"two that introspect at one place", strings.Replace(opaque("", "", ""), `{"name":"jwt"`,
			`{"name":"other","introspection":{"cluster":"c","authority":"a","path":"p","clientId":"i",`+
				`"clientSecretEnv":"SECRET"}},{"name":"jwt"`, 1),
			"providers[0].introspection.path: a path starts with a slash\nrules[0].require: providers other and opaque both " +
				"introspect tokens from header authorization, scheme bearer: name one of them, or give them places of their own"},
		{"stars", rule(`{"name":"a","require":{"claims":[{"path":["*","a"],"any":["x"]},{"path":["a","*"],"all":["x","y"]},` +
			`{"path":["a"],"atLeast":9007199254740993}],"scopes":{"none":["s"]},"anyOf":[{"scopes":{"any":["s"]}}]}}`),
			"rules[0].require.claims[0].path: begins with a *: the claims are no list\nrules[0].require.claims[1].path: ends in a " +
				"*: no single item is all of the values; leave the * out\nrules[0].require.claims[2].atLeast: is beyond 2^53, where " +
				"numbers are not told apart\nrules[0].require.anyOf[0].scopes: asks for s, which the rule's scopes.none refuses"},
		{"places that are none", inlineToRemote(rule(`{"name":"a"}`), `{"cluster":"c","authority":"https://a","path":"/",`+
			`"discover":true,"discoverAuthorities":{"https://b":"b"}}`),
			"providers[0].jwks.remote.discoverAuthorities[\"https://b\"]: is not for an authority: want a host, and its port where " +
				"it is not the scheme's\nproviders[0].jwks.remote.authority: want a host, and its port where it is not the scheme's"},
		{"a resource whose paths would be refused", strings.Replace(rule(`{"name":"a"}`), `"rules"`, `"resources":[{"path":"/m",`+
			`"resource":"https://x/a//b","authorizationServers":["https://x"]},{"path":"/m\"x","resource":"https://x",`+
			`"authorizationServers":["https://x"]}],"rules"`, 1),
			"resources[0].resource: requests to it would be refused: no request can have this path: the path has an empty segment\n" +
				"resources[1].path: want ASCII without space, quotation mark and backslash: it stands in challenges"},
		{"auto without resources", rule(`{"name":"a","errors":{"resourceMetadata":"auto","scopes":"never"}}`),
			"rules[0].errors.resourceMetadata: auto names a document of resources, and there are none\nrules[0].errors.scopes: want " +
				"denied or always"},
		{"resources", strings.Replace(rule(`{"name":"a"}`), `"rules"`, `"resources":[{},{"path":"/metadata"},`+
			`{"path":"/.well-known/oauth-protected-resource/{*}"},{"path":"/.well-known/oauth-protected-resourcex",`+
			`"authorizationServers":["idp"]},{"path":"/m","resource":"https://api.example/#x","documentation":"no"},`+
			`{"path":"/.well-known/oauth-protected-resource/","authorizationServers":["https://idp"]}],"rules"`, 1),
			"resources[0].path: is required\nresources[0].authorizationServers: is required: no provider has an issuer that is a URL " +
				"of its own\nresources[1].path: want /.well-known/oauth-protected-resource with the path of the resource behind it " +
				"(RFC 9728 §3.1), or resource beside another path\nresources[1].authorizationServers: is required: no provider has an " +
				"issuer that is a URL of its own\nresources[2].path: is the path of one document: {*}, {name} and {**} stand for many\n" +
				"resources[2].authorizationServers: is required: no provider has an issuer that is a URL of its own\n" +
				"resources[3].path: want /.well-known/oauth-protected-resource with the path of the resource behind it (RFC 9728 " +
				"§3.1), or resource beside another path\nresources[3].authorizationServers[0]: want a URL such as " +
				"https://api.example.com/orders, in ASCII and without spaces, fragment and quotation mark\nresources[4].resource: want " +
				"a URL such as https://api.example.com/orders, in ASCII and without spaces, fragment and quotation " +
				"mark\nresources[4].authorizationServers: is required: no provider has an issuer that is a URL of its " +
				"own\nresources[4].documentation: want a URL such as https://api.example.com/orders, in ASCII and without spaces, " +
				"fragment and quotation mark\nresources[5].path: want /.well-known/oauth-protected-resource with the path of the " +
				"resource behind it (RFC 9728 §3.1), or resource beside another path"},
		{"no algorithms", provider(`,"algorithms":[]`),
			"providers[0].algorithms: the list is empty: name at least one, or leave the key " +
				"out\nproviders[0].jwks.inline: has no key for any of the algorithms: no token could be verified"},
		{"J1 the algorithm none", provider(`,"algorithms":["none"]`),
			"providers[0].algorithms[0]: want RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, " +
				"HS256, HS384 or HS512"},
		{"an algorithm in another case", provider(`,"algorithms":["es256"]`),
			"providers[0].algorithms[0]: want RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, " +
				"HS256, HS384 or HS512; did you mean ES256?"},
		{"no key for the algorithms", provider(`,"algorithms":["ES384"]`),
			"providers[0].jwks.inline: has no key for any of the algorithms: no token could be verified"},
		{"J18 a skew that is too long", provider(`,"clockSkew":"301s"`), "providers[0].clockSkew: must be from 0s to 5m"},
		{"J18 a lifetime without expiry", provider(`,"maxLifetime":"5m","requireExpiry":false`),
			"providers[0].maxLifetime: needs requireExpiry: a token without exp has no lifetime to compare"},
		{"J24 no keys", inline(`{"keys":[]}`), "providers[0].jwks.inline: no key for verifying signatures"},
		{"J24 a secret without an algorithm for it", inline(`{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}]}`),
			"providers[0].jwks.inline.keys[0]: a secret (kty oct) does not belong into a published key set, and " +
				"elsewhere only beside HS256, HS384 or HS512 in algorithms"},
		{"J24 a key that is no key", inline(`{"keys":[{"kty":"AKP"}]}`),
			"providers[0].jwks.inline.keys[0]: kty is not RSA, EC, OKP or oct"},
		{"a private key", inline(private),
			"providers[0].jwks.inline.keys[0]: the key has private members: a verifier is given public keys only"},
		{"a key with a member twice", inline(`{"keys":[{"kty":"EC","kty":"RSA"}]}`),
			"providers[0].jwks.inline: a member name is repeated"},
		{"no source of keys", inline(`{}`)[:0] + strings.Replace(provider(""), `{"inline":`+testKeys+`}`, `{}`, 1),
			"providers[0].jwks: want one of inline and remote"},
		{"two sources of keys", strings.Replace(provider(""), `{"inline":`, `{"remote":{},"inline":`, 1),
			"providers[0].jwks: want one of inline and remote"},
		{"a remote source", strings.Replace(provider(`,"algorithms":["HS256"]`), `{"inline":`+testKeys+`}`,
			`{"remote":{"cluster":"a b","path":"x","timeout":"1ms","refresh":"2h","maxStale":"1h","ttl":1}}`, 1),
			"providers[0].jwks.remote.cluster: has white space in it\nproviders[0].jwks.remote.authority: is " +
				"required\nproviders[0].jwks.remote.path: a path starts with a slash\n" +
				"providers[0].jwks.remote.timeout: must be from 10ms to 30s\nproviders[0].jwks.remote.maxStale: is " +
				"shorter than refresh: the keys would be too old before they are fetched again\n" +
				"providers[0].jwks.remote: cannot have keys for HS256: a secret is not " +
				"published\nproviders[0].jwks.remote.ttl: unknown key"},
		{"two providers of one name and issuer",
			strings.Replace(provider(""), `],"rules"`, `,{"name":"p","issuer":"i","anyAudience":true,"jwks":{"inline":`+
				testKeys+`}}],"rules"`, 1),
			"providers[1].name: is in use already\nproviders[1].issuer: provider p has this issuer already: a " +
				"token's iss must select one provider"},
		{"names", rule(`{"name":"A"},{"name":"-a"},{"name":"a_b"},{"name":"b"},{"name":"b"},{}`),
			"rules[0].name: want 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit\n" +
				"rules[1].name: want 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a " +
				"letter or digit\n" +
				"rules[2].name: want 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a " +
				"letter or digit\n" +
				"rules[4].name: is in use already\nrules[5].name: is required"},
		{"a public rule that requires", rule(`{"name":"a","access":"public","require":{"scopes":{"all":["x"]}}}`),
			"rules[0].require: contradicts access: public, under which tokens are not looked at"},
		{"a provider that is not there", rule(`{"name":"a","require":{"providers":["q"]}}`),
			"rules[0].require.providers[0]: no provider has this name"},
		{"scopes that ask for nothing", rule(`{"name":"a","require":{"scopes":{}}}`),
			"rules[0].require.scopes: asks for nothing: name scopes under all, any or none"},
		{"scopes under a mistyped key", rule(`{"name":"a","require":{"scopes":{"any":["x"],"noen":["y"]}}}`),
			"rules[0].require.scopes.noen: unknown key; did you mean none?"},
		{"a scope that is two", rule(`{"name":"a","require":{"scopes":{"all":["a b","c\""]}}}`),
			"rules[0].require.scopes.all[0]: is not a scope (RFC 6749 §3.3): printable ASCII without space, " +
				"quotation mark and backslash\n" +
				"rules[0].require.scopes.all[1]: is not a scope (RFC 6749 §3.3): printable ASCII without space, " +
				"quotation mark and backslash"},
		{"a scope asked for and forbidden", rule(`{"name":"a","require":{"scopes":{"any":["x"],"none":["x"]}}}`),
			"rules[0].require.scopes.none: a scope that is also asked for can never be absent and present"},
		{"the example of the specification",
			rule(`{"name":"a"},{"name":"b"},{"name":"c","require":{"scopes":{"any":[7]}}}`),
			"rules[2].require.scopes.any[0]: want a string, got a number"},
		{"an unknown key", rule(`{"name":"a","requires":{}}`), "rules[0].requires: unknown key; did you mean require?"},
		{"a realm that breaks out of its quotes",
			strings.Replace(provider(""), "{", `{"errors":{"realm":"a\", error=\"x","resourceMetadata":"/x"},`, 1),
			`errors.realm: want printable ASCII without " and \: it stands in a quoted string of WWW-Authenticate` +
				"\nerrors.resourceMetadata: want a URL such as https://api.example.com/orders, in ASCII and without spaces, fragment and quotation mark"},
		{"places for tokens", provider(
			`,"token":[{"header":"a b"},{"scheme":"Bearer"},{"cookie":"a=b"},{"query":"t","cookie":"t"},{},{"header":"host"},{"header":"x","scheme":"a b"},7]`),
			"providers[0].token[0].header: want the name of a header\nproviders[0].token[1]: name one of header, " +
				"cookie, query, subprotocol and subprotocolPrefix; for several places give a list\n" +
				"providers[0].token[2].cookie: want a cookie's name: the characters of an HTTP token (RFC 6265 " +
				"§4.1.1)\nproviders[0].token[3]: name one of header, cookie, query, subprotocol and subprotocolPrefix; for " +
				"several places give a list\n" +
				"providers[0].token[4]: name one of header, cookie, query, subprotocol and subprotocolPrefix; for " +
				"several places give a list\nproviders[0].token[5].header: this header frames the request: choose another\n" +
				"providers[0].token[6].scheme: want the name of an authentication scheme, such as " +
				"Bearer\nproviders[0].token[7]: want an object, got a number"},
		{"claim conditions", rule(
			`{"name":"a","match":[{"paths":["/a/{t}","/b"]}],"require":{"claims":[{},{"path":[],"any":[]},{"path":["a"]},{"path":["a"],"any":[null,{}],"glob":"x"},{"path":["a"],"equals":{}},{"path":["a"],"equals":{"pathVariable":"t"}},` +
				`{"path":["a"],"equals":{"host":false}},{"path":["a"],"equals":{"header":"a b"}},{"path":["a",1],"exists":1}]}}`),
			"rules[0].require.claims[0].path: is required\nrules[0].require.claims[0]: want one of any, all, none, " +
				"exists, glob, equals and atLeast or atMost\n" +
				"rules[0].require.claims[1].path: the list is empty: name at least one, or leave the key " +
				"out\nrules[0].require.claims[1].any: the list is empty: name at least one, or leave the key out\n" +
				"rules[0].require.claims[2]: want one of any, all, none, exists, glob, equals and atLeast or " +
				"atMost\nrules[0].require.claims[3].any[0]: want a string, a number, true or false\n" +
				"rules[0].require.claims[3].any[1]: want a string, a number, true or " +
				"false\nrules[0].require.claims[3]: want one of any, all, none, exists, glob, equals and atLeast or atMost\n" +
				"rules[0].require.claims[4].equals: want one of pathVariable, header and host\n" +
				"rules[0].require.claims[5].equals.pathVariable: not every path of the rule has {t}: the comparison " +
				"would have nothing to compare with\n" +
				"rules[0].require.claims[6].equals.host: want true: leave it out for no " +
				"comparison\nrules[0].require.claims[7].equals.header: want the name of a header\n" +
				"rules[0].require.claims[8].path[1]: want a string, got a number\nrules[0].require.claims[8].exists: " +
				"want true or false, got a number"},
		{"a path variable without paths",
			rule(`{"name":"a","require":{"claims":[{"path":["a"],"equals":{"pathVariable":"t"}}]}}`),
			"rules[0].require.claims[0].equals.pathVariable: not every path of the rule has {t}: the comparison " +
				"would have nothing to compare with"},
		{"forwarding", strings.Replace(provider(""), "{",
			`{"forward":{"token":"drop","payloadHeader":"Authorization","claimHeaders":[{"path":["a"],"header":"x-a"},{"path":["b"],"header":"X_A"},{"header":"content-length"}]},`, 1),
			"forward.token: want keep or strip\nforward.payloadHeader: credentials stand in this header: choose " +
				"another\nforward.claimHeaders[1].header: is written by this filter already (- and _ count as the same)\n" +
				"forward.claimHeaders[2].path: is required\nforward.claimHeaders[2].header: this header frames the " +
				"request: choose another"},
		{"a trusted payload beside what is about tokens",
			strings.Replace(provider(`,"trustedPayload":{"header":"x-p"}`), `"rules"`,
				`"forward":{"payloadHeader":"x_p"},"rules"`, 1),
			"providers[0].jwks: contradicts trustedPayload, under which no token is looked at\nforward: writes x-p, " +
				"which provider p trusts: whoever reads it next could not tell our claims from those that were verified before"},
		{"two kinds of provider under one rule",
			strings.Replace(provider(""), `],"rules"`,
				`,{"name":"m","issuer":"j","anyAudience":true,"trustedPayload":{"header":"x-p"}}],"rules"`, 1),
			"rules[0].require: providers is required: the configuration has providers with trustedPayload and " +
				"without, and a rule takes one kind"},
		{"two kinds of provider named by one rule",
			strings.Replace(strings.Replace(provider(""), `],"rules"`,
				`,{"name":"m","issuer":"j","anyAudience":true,"trustedPayload":{"header":"x-p"}}],"rules"`, 1),
				`{"name":"a"}`, `{"name":"a","require":{"providers":["p","m"]}},{"name":"b","access":"public"},{"name":"c","require":{"providers":["m"]}}`, 1),
			"rules[0].require: providers are of two kinds, some with trustedPayload and some without: a rule takes one kind"},
		{"the cache", strings.Replace(provider(""), "{", `{"cache":{"entries":-1,"size":1},`, 1),
			"cache.entries: must be from 0 to 65536\ncache.size: unknown key"},
		{"limits", strings.Replace(provider(""), "{", `{"limits":{"tokenBytes":0,"jsonDepth":65,"jsonMembers":1.5},`, 1),
			"limits.tokenBytes: must be from 1 to 65536\nlimits.jsonDepth: must be from 1 to 64\nlimits.jsonMembers: " +
				"want a whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.text, surroundings)
			if err == nil || err.Error() != c.want {
				t.Fatalf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// Whoever turns one key, in an outage say, is not refused because another one has no effect any
// more. What would make a check weaker than it looks stays refused (TestConfigFaults).
func TestHarmless(t *testing.T) {
	config := func(provider, rule string) string {
		return `{"providers":[{"name":"p","issuer":"i","audiences":["a"],"jwks":{"inline":` + testKeys + `}` +
			provider + `}],"rules":[{"name":"a"` + rule + `}]}`
	}
	const once = ": is in the list already: once is enough"
	for _, c := range []struct{ name, config, want string }{
		{"nothing", config("", ""), ""},
		{"an algorithm twice", config(`,"algorithms":["ES256","ES256"]`, ""), "providers[0].algorithms[1]" + once},
		{"a place twice", config(`,"token":[{"header":"X-T"},{"header":"x-t"}]`, ""), "providers[0].token[1]" + once},
		{"nonces that nobody needs", strings.Replace(config("", ""), `"rules"`, `"dpop":{"nonce":"required"},"rules"`, 1),
			"dpop.nonce: has no effect: no provider has senderConstraint: dpop or whenPresent"},
		{"an endpoint for tokens of others", opaque("", "", ""),
			"providers[1].introspection: without audiences beside it every active token will do, also those made for others"},
		{"an endpoint for all tokens beside keys of its issuer",
			opaque(`,"issuer":"https://idp.example","audiences":["a"]`, `,"for":"all"`, ""),
			"rules[0]: provider opaque is not asked for the JWTs of its issuer, which provider jwt has keys for; to ask for all, name " +
				"opaque alone in require.providers"},
		{"two documents at one path", strings.Replace(config("", ""), `"rules"`, `"resources":[{"path":"/m","resource":"https://a",`+
			`"authorizationServers":["https://x"]},{"path":"/m","resource":"https://b","authorizationServers":["https://x"]}],"rules"`, 1),
			"resources[1]: has the path of another, which is before it: it is never served"},
		{"a star that is a name", strings.Replace(config("", ""), `"rules"`,
			`"forward":{"claimHeaders":[{"path":["a","*"],"header":"x-a"}]},"rules"`, 1),
			"forward.claimHeaders[0].path[1]: is the name of a claim here: a list is forwarded with all of its items"},
		{"an authority that has a cluster", strings.Replace(config("", ""), `{"inline":`+testKeys+`}`,
			`{"remote":{"cluster":"c","authority":"a","discover":true,"discoverAuthorities":{"A:443":"d"}}}`, 1),
			"providers[0].jwks.remote.discoverAuthorities: has no effect for A:443: keys at the metadata's own authority come " +
				"through its cluster"},
		{"a scheme of a cookie", config(`,"token":{"cookie":"t","scheme":"Bearer"}`, ""),
			"providers[0].token.scheme: has no effect: a scheme belongs to a header"},
		{"a cookie twice, once with a scheme", config(`,"token":[{"cookie":"t"},{"cookie":"t","scheme":"Bearer"}]`, ""),
			"providers[0].token[1].scheme: has no effect: a scheme belongs to a header\nproviders[0].token[1]" + once},
		{"scopes twice", config("", `,"require":{"scopes":{"any":["x","y","x"],"none":["z","z"]}}`),
			"rules[0].require.scopes.any[2]" + once + "\nrules[0].require.scopes.none[1]" + once},
		{"types and claims of scopes twice", config(`,"types":["JWT","JWT"],"scopeClaims":["scp","scp"]`, ""),
			"providers[0].types[1]" + once + "\nproviders[0].scopeClaims[1]" + once},
		{"an issuer for many tenants",
			strings.Replace(config("", ""), `"issuer":"i"`, `"issuer":"https://login.example.com/{tenantid}/v2.0"`, 1),
			"providers[0].issuer: has a brace, and is compared byte for byte; for the issuers of several tenants use " +
				"{template: …}"},
		{"a host with its trailing dot", config("", `,"match":[{"hosts":["api.example.com."]}]`),
			"rules[0].match[0].hosts[0]: its trailing dot has no effect: it is not compared"},
	} {
		p := parse(t, c.config)
		if got := conf.Faults(p.Warnings()).Error(); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	p := parse(t, config(`,"algorithms":["ES256","ES256"],"token":[{"header":"X-T"},{"header":"x-t"}]`,
		`,"require":{"scopes":{"all":["x","x"]}}`))
	if len(p.locations) != 1 || len(p.providers[0].algorithms) != 1 || p.rules[0].needs(nil) != "x" {
		t.Errorf("what stands there twice counts twice: %d places, %v, %q", len(p.locations), p.providers[0].algorithms,
			p.rules[0].needs(nil))
	}
}

// An encryption key beside the others, as identity providers publish them, is no fault.
func TestInlineSetWithEncryptionKey(t *testing.T) {
	set := keySet(jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "enc", Use: "enc", Algorithm: "RSA-OAEP"},
		jose.JSONWebKey{Key: &ecKey.PublicKey, KeyID: "ec", Use: "sig"})
	parse(t, `{"providers":[{"name":"p","issuer":"i","audiences":["a"],"jwks":{"inline":`+set+
		`}}],"rules":[{"name":"a"}]}`)
}

func FuzzParse(f *testing.F) {
	f.Add(testConfig)
	f.Add(`{"providers":[{"name":"p","issuer":"i","anyAudience":true,"jwks":{"inline":{"keys":[]}}}],"rules":[{"name":"a","match":[{"paths":["/{**}"]}]}]}`)
	f.Add(`{"rules":[{"name":"a","require":{"scopes":{"all":["a","a"]}}}],"mode":"shadow"}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text, surroundings)
		if err != nil {
			return
		}
		// A configuration that is taken lets nothing through by itself but what it names.
		if v := judge(p, now, request("GET", "/x", bearerHeader("x.y.z"))...); v.Admits() && !p.allowDefault &&
			!v.Shadow && (v.Rule < 0 || p.rules[v.Rule].access != public) {
			t.Fatalf("%s admits a token that is none", text)
		}
	})
}
