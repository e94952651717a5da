// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

const anyComponent = "want the name of a header in lower case, or one of @method, @target-uri, @authority, @scheme, " +
	"@request-target, @path, @query"

const noMeaning = "has no meaning beside signature: it is about stamps"

// Every fault is named with its path, all at once.
func TestConfigFaults(t *testing.T) {
	trust := func(more string) string {
		return meshConfig(`"trust":[` +
			merge(`{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":`+
				string(mint.Set(edge))+`}}`, more) + `]`)
	}
	key := func(more string) string { return edgeConfig(`"keys":[{"kid":"k",` + more + `}]`) }
	rule := func(text string) string { return `"rules":[` + text + `]` }
	for _, c := range []struct{ name, config, want string }{
		{"nothing", "{}", "role: is required\nrules: is required"},
		{"another role", `{"role":"both","rules":[{"name":"a"}]}`, "role: want sign or verify"},
		{"another role's keys", edgeConfig(`"trust":[],"replay":{}`), "replay: unknown key\ntrust: unknown key"},
		{"the other role's keys", meshConfig(`"keys":[],"publish":"/x"`), "keys: unknown key\npublish: unknown key"},
		{"another profile", edgeConfig(`"profile":"rfc9422"`), "profile: want jws, rfc9421 or txn-token; did you mean rfc9421?"},
		{"headers that mean something else", edgeConfig(`"header":"Signature"`),
			"header: has another meaning: choose a header of its own"},
		{"a stamp where credentials stand", edgeConfig(`"header":"Authorization"`),
			"header: clients have their credentials there"},
		{"a stamp of the edge where credentials stand", meshConfig(`"header":"authorization"`),
			"header: clients have their credentials there"},
		{"sizes and times", edgeConfig(`"bodyBytes":0,"bodyTimeout":"1ms","ttl":"1500ms"`),
			"bodyBytes: must be from 1 to 16777216\nbodyTimeout: must be from 1s to 10m\nttl: want whole seconds: a " +
				"stamp has no smaller ones"},
		{"no issuer, audience and keys", `{"role":"sign","rules":[{"name":"all","sign":true}]}`,
			"issuer: is required\naudience: is required\nkeys: is required"},
		{"bound to nothing", edgeConfig(`"bind":[]`), "bind: binds the stamp to nothing: it would do for any request"},
		{"unknown and repeated parts", edgeConfig(`"bind":["path","path","host"]`),
			"bind[2]: want method, authority, path, query or body"},
		{"claims of its own", edgeConfig(`"copyClaims":["sub","iss","sub"]`),
			"copyClaims[1]: is a claim that the stamp has of its own"},
		{"signatures of others", botConfig(`"label":"Sig","tag":"edge-stamp","components":["@target","Host","","@status"],
			"maxAge":"25h","nonce":"never","alg":"x"`, ""),
			"trust[0].signature.label: is no label: want lower-case letters, digits and any of _ - . *, the first a " +
				"letter or *; or any\ntrust[0].signature.tag: is the tag of stamps: trust the issuer of a stamp without " +
				"signature\ntrust[0].signature.components[0]: " + anyComponent + "\ntrust[0].signature.components[1]: " +
				anyComponent + "\ntrust[0].signature.components[2]: must not be empty\n" +
				"trust[0].signature.components[3]: " + anyComponent + "\ntrust[0].signature.maxAge: must be from 1s to 24h\n" +
				"trust[0].signature.nonce: want optional or once\ntrust[0].signature.alg: unknown key"},
		{"a header that Envoy has not", botConfig(`"components":["host","x-host","@authority"]`, ""),
			`trust[0].signature.components[0]: is never there, as Envoy has the host in :authority: want "@authority"`},
		{"a signature of nothing", botConfig(`"components":[],"tag":1`, ""),
			"trust[0].signature.tag: want a string, got a number\ntrust[0].signature.components: the list is empty"},
		{"any tag", botConfig(`"tag":true`, ""), "trust[0].signature.tag: want a string, got true or false"},
		{"an empty tag", botConfig(`"tag":""`, ""), "trust[0].signature.tag: must not be empty"},
		{"a label that begins with a digit", botConfig(`"label":"1"`, ""), "trust[0].signature.label: is no label"},
		{"the label of stamps", botConfig(`"label":"edge"`, `,"profile":"rfc9421"`),
			"trust[0].signature.label: is the label of stamps"},
		{"what stamps have beside a signature", meshConfig(`"trust":[{"name":"bots","issuer":"x","audiences":["x"],
			"maxTtl":"1s","forwardIdp":true,"require":{},"signature":{},"algorithms":["EdDSA","PS256"]}]`),
			"trust[0].issuer: " + noMeaning + "\ntrust[0].audiences: " + noMeaning + "\ntrust[0].maxTtl: " + noMeaning +
				"\ntrust[0].require: " + noMeaning + "\ntrust[0].forwardIdp: " + noMeaning +
				"\ntrust[0].jwks: is required\ntrust[0].algorithms: PS256 is no algorithm of RFC 9421: want EdDSA, ES256, " +
				"ES384, PS512, RS256 or HS256"},
		{"any audience beside a signature", meshConfig(`"trust":[{"name":"bots","anyAudience":true,"signature":{},
			"jwks":{"inline":` + string(withoutKID(bot)) + `}}]`), "trust[0].anyAudience: " + noMeaning},
		{"one iss for two", meshConfig(`"trust":[` + botTrust("") + `,{"name":"edge","issuer":"bots","audiences":["mesh"],
			"jwks":{"inline":` + string(mint.Set(edge)) + `}}]`),
			"trust[0].name: is the issuer of stamps, too: both are published as iss, and nobody could tell them apart"},
		{"one name for two", meshConfig(`"trust":[` + botTrust("") + "," + botTrust("") + `]`),
			"trust[1].name: is in use already"},
		{"metadata of no issuer", meshConfig(`"trust":[{"name":"bots","signature":{},"jwks":{"remote":{"cluster":"a",
			"authority":"a","discover":true}}}]`), "trust[0].jwks.remote.discover: needs an issuer"},
		{"an empty context", edgeConfig(`"profile":"txn-token","copyClaims":{"tctx":{}}`),
			"copyClaims.tctx: is empty: name at least one claim, or leave the key out"},
		{"a list of claims for a Txn-Token", edgeConfig(`"profile":"txn-token","copyClaims":["sub"]`),
			"copyClaims: want an object, got a list"},
		{"an object of claims for a stamp", edgeConfig(`"copyClaims":{"sub":["sub"]}`), "copyClaims: want a list, got an object"},
		{"claims of a Txn-Token", edgeConfig(`"profile":"txn-token",
			"copyClaims":{"sub":"sub","scope":[],"tctx":{"a":[1],"b":"c"},"rctx":["x"],"azd":{}}`),
			"copyClaims.sub: want a list, got a string\n" +
				"copyClaims.scope: the list is empty: name at least one, or leave the key out\n" +
				"copyClaims.tctx.a[0]: want a string, got a number\ncopyClaims.tctx.b: want a list, got a string\n" +
				"copyClaims.rctx: want an object, got a list\ncopyClaims.azd: unknown key"},
		{"no rules", edgeConfig(`"rules":[]`), "rules: the list is empty: name at least one, or leave the key out"},
		{"rules of the edge", edgeConfig(
			rule(`{"name":"a"},{"name":"a","sign":false,"bind":["path"],"access":"public"}`)),
			"rules[0].sign: is required\nrules[1].name: is in use already\nrules[1].access: unknown key"},
		{"rules of the mesh", meshConfig(
			rule(`{"name":"a","access":"public","require":{"replay":"off"},"peers":["edge","spiffe://a/*"],"sign":true}`)),
			"rules[0].require: contradicts access: public, under which no stamp is looked at\nrules[0].peers: want " +
				"SPIFFE IDs such as spiffe://edge.example/ns/gateway/sa/edge\nrules[0].peers: want SPIFFE IDs such " +
				"as spiffe://edge.example/ns/gateway/sa/edge\nrules[0].sign: unknown key"},

		{"a key without anything", edgeConfig(`"keys":[{}]`),
			"keys[0].kid: is required\nkeys[0].alg: is required\nkeys[0]: name one of env, pem, jwk and publicOnly"},
		{"a key from two sources", key(`"alg":"ES256","env":"EDGE","pem":"x"`),
			"keys[0]: name one of env, pem, jwk and publicOnly"},
		{"no such variable", key(`"alg":"ES256","env":"NONE"`), `keys[0].env: the VM's environment has no variable "NONE"`},
		{"an empty variable", key(`"alg":"ES256","env":"EMPTY"`),
			`keys[0].env: the variable "EMPTY" of the VM's environment is empty`},
		{"a variable that is no key", key(`"alg":"ES256","env":"SECRET"`),
			"keys[0].env: not a PEM that holds a private key, each line on a line of its own"},
		{"another kid in the key", key(`"alg":"ES256","env":"EDGE"`), "keys[0].env: the JWK's kid is not the one"},
		{"another algorithm in the key", edgeConfig(`"keys":[{"kid":"edge-1","alg":"ES384","env":"EDGE"}]`), "keys[0].env: "},
		{"a secret that is too short", key(`"alg":"HS256","env":"SHORT"`),
			"keys[0].env: the secret must be at least as long as the hash"},
		{"a secret that all can read", key(`"alg":"HS256","pem":"a secret of 32 bytes or more, as HS256 wants"`),
			"keys[0].pem: a secret comes by env only"},
		{"a secret that all can read, as a JWK",
			key(`"alg":"HS256","jwk":{"kty":"oct","k":"YSBzZWNyZXQgb2YgMzIgYnl0ZXMgb3IgbW9yZSwgYXM"}`),
			"keys[0].jwk: a secret comes by env only"},
		{"a public key that signs", edgeConfig(`"keys":[{"kid":"edge-1","alg":"ES256","publicOnly":{"kty":"EC"}}]`),
			"keys[0].publicOnly: "},
		{"a public key in the first place",
			edgeConfig(`"keys":[{"kid":"x","alg":"RS256","publicOnly":` + rsaKey.PublicJWK() + `}]`),
			"keys[0]: the first key signs: give it by env, pem or jwk"},
		{"a kid that RFC 9421 does not have",
			edgeConfig(`"profile":"rfc9421","keys":[{"kid":"é","alg":"HS256","env":"SECRET"}]`),
			"keys[0].kid: want printable ASCII: a keyid of RFC 9421 is nothing else"},
		{"a kid that is too long",
			edgeConfig(`"keys":[{"kid":"` + strings.Repeat("k", 257) + `","alg":"HS256","env":"SECRET"}]`),
			"keys[0].env: kid is not a string of 1 to 256 bytes"},
		{"a public key with its private half",
			edgeConfig(`"keys":[{"kid":"edge-1","alg":"ES256","env":"EDGE"},{"kid":"x","alg":"RS256","publicOnly":` +
				mint.New("x", jose.RS256).PrivateJWK() + `}]`), "keys[1].publicOnly: the key has private members: a " +
				"verifier is given public keys only"},
		{"a kid twice", edgeConfig(
			`"keys":[{"kid":"edge-1","alg":"ES256","env":"EDGE"},{"kid":"edge-1","alg":"ES256","env":"FORGER"}]`),
			"keys[1].kid: another key has the same"},
		{"publishing nowhere", edgeConfig(`"publish":"keys"`), "publish: a path starts with a slash"},
		{"publishing at what is no plain path", edgeConfig(`"publish":"/a%2fb"`),
			"publish: want a plain path, without query, escapes and ; parameters"},
		{"publishing with a query", edgeConfig(`"publish":"/a?b"`),
			"publish: want a plain path, without query, escapes and ; parameters"},

		{"a trust without anything", meshConfig(`"trust":[{}]`),
			"trust[0].name: is required\ntrust[0].issuer: is required\ntrust[0].audiences: is required, or " +
				"anyAudience: true to accept stamps made for anybody\ntrust[0].jwks: is required"},
		{"a trust twice", meshConfig(`"trust":[{"name":"a","issuer":"i","anyAudience":true,"jwks":{"inline":` +
			string(mint.Set(edge)) +
			`}},{"name":"a","issuer":"i","anyAudience":true,"audiences":["x"],"jwks":{"inline":` +
			string(mint.Set(edge)) + `}}]`),
			"trust[1].name: is in use already\ntrust[1].issuer: is trusted under another name already: a stamp's iss " +
				"must select one\ntrust[1].audiences: contradicts anyAudience"},
		{"times", trust(`"maxTtl":"1h","clockSkew":"301s"`),
			"trust[0].clockSkew: must be from 0s to 5m\ntrust[0].maxTtl: must be from 1s to 10m"},
		{"a secret in a key set", trust(`"algorithms":["HS256"]`),
			"trust[0].algorithms: HS256 needs keys: [{kid, alg, env}]: a secret stands in no key set\n"},
		{"keys and a key set", trust(`"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]`),
			"trust[0].jwks: contradicts keys: give one of them"},
		{"a public algorithm among secrets",
			meshConfig(`"trust":[{"name":"a","issuer":"i","anyAudience":true,"algorithms":["HS512"],"keys":[{"kid":"h","alg":"ES256","env":"EDGE"},{"kid":"h","alg":"HS256","env":"SECRET"},{"kid":"h","alg":"HS256","env":"SECRET"}]}]`),
			"trust[0].keys[0].alg: want HS256, HS384 or HS512: public keys stand in jwks\ntrust[0].keys[0].env: the " +
				"JWK's kid is not the one that the key is configured with\ntrust[0].keys[2]: another key has the same kid"},
		{"a secret that all can read, to verify with",
			meshConfig(`"trust":[{"name":"a","issuer":"i","anyAudience":true,"keys":[{"kid":"h","alg":"HS256","pem":"a secret of 32 bytes or more, as HS256 wants"}]}]`), "trust[0].keys[0].pem: a secret comes by env only"},
		{"forwardIdp with a bound stamp", trust(`"forwardIdp":true`),
			"trust[0].forwardIdp: needs require: {bind: [], replay: off}"},
		{"forwardIdp that may be replayed, and does not say so", trust(`"forwardIdp":true,"require":{"bind":[]}`),
			"trust[0].forwardIdp: needs require: {bind: [], replay: off}"},
		{"forwardIdp in messages",
			merge(trust(`"forwardIdp":true,"require":{"bind":[],"replay":"off"}`), `"profile":"rfc9421"`),
			"trust[0].forwardIdp: needs profile: jws"},
		{"an edge that demands less for itself", trust(`"require":{"bind":[]}`),
			"trust[0].require: belongs to a trust with forwardIdp"},
		{"nobody to ask", meshConfig(`"require":{"replay":"onceGlobal"}`),
			"replay: global is required: replay: onceGlobal has to ask the rate-limit service"},
		{"half of whom to ask", meshConfig(
			`"replay":{"entries":0,"global":{"timeout":"1m","onError":"allow"}},"require":{"replay":"onceGlobal"}`),
			"replay.entries: must be from 1 to 1048576\nreplay.global.cluster: is required\nreplay.global.authority: " +
				"is required\nreplay.global.domain: is required\nreplay.global.timeout: must be from 1ms to " +
				"10s\nreplay.global.onError: want deny or local"},
		{"a forwarded header that is the stamp's",
			meshConfig(`"forward":{"claimHeaders":[{"path":["sub"],"header":"x_edge_stamp"}]}`),
			"forward: writes x-edge-stamp, where the stamp stands"},
		{"misspelt", meshConfig(`"requires":{}`), "requires: unknown key; did you mean require?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.config, surroundings)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
			for _, secret := range []string{"a secret of 32", "too short", `"d"`} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("S14 a secret is in the fault: %v", err)
				}
			}
		})
	}
}

// One mistake is one fault.
func TestOneFault(t *testing.T) {
	for config, want := range map[string]string{
		edgeConfig(`"keys":[{"kid":"k","alg":"ES256","env":""}]`): "keys[0].env: must not be empty",
		edgeConfig(`"publish":""`):                                "publish: must not be empty",
		edgeConfig(`"keys":[{"kid":"k","alg":"ES256","env":7}]`):  "keys[0].env: want a string, got a number",
		edgeConfig(`"keys":[{"kid":"k","alg":"ES256","jwk":7}]`):  "keys[0].jwk: want an object, got a number",
	} {
		if _, err := Parse(config, surroundings); err == nil || err.Error() != want {
			t.Errorf("got\n%v\nwant\n%s", err, want)
		}
	}
}

// YAML 1.1 makes false of a bare off.
func TestReplayOff(t *testing.T) {
	for _, value := range []string{`"off"`, "false"} {
		p := parse(t, meshConfig(`"require":{"replay":`+value+`}`))
		if p.ReplayEntries() != 0 || p.rules[0].demand.replay != off {
			t.Errorf("%s: %+v", value, p.rules[0].demand)
		}
		if list := p.Warnings(); len(list) != 1 ||
			list[0].String() != "rules[0].require.replay: is off: a stamp can be used again until it expires" {
			t.Errorf("the warnings are %v", list)
		}
	}
	if _, err := Parse(meshConfig(`"require":{"replay":true}`), surroundings); err == nil {
		t.Error("true is off, too")
	}
}

// Whoever turns one key, in an outage say, is not refused because another one has no effect any more.
func TestHarmless(t *testing.T) {
	global := `"replay":{"global":{"cluster":"r","authority":"r","domain":"d"}}`
	for _, c := range []struct{ name, config, want string }{
		{"a rule that binds and does not sign", edgeConfig(`"rules":[{"name":"a","sign":false,"bind":["path"]}]`),
			"rules[0].bind: has no effect beside sign: false, under which nothing is bound"},
		{"a part twice", edgeConfig(`"bind":["path","path"]`), "bind[1]: is in the list already: once is enough"},
		{"a claim twice", edgeConfig(`"copyClaims":["sub","azp","sub"]`),
			"copyClaims[2]: is in the list already: once is enough"},
		{"publishing a secret", edgeConfig(`"publish":"/keys","keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]`),
			"publish: has no effect: a secret is not published, so there is nothing to publish"},
		{"nobody who asks", meshConfig(global), "replay: global has no effect: no rule requires replay: onceGlobal"},
		{"nobody who asks, since it is off", merge(meshConfig(global), `"require":{"replay":"off"}`),
			"replay: global has no effect: no rule requires replay: onceGlobal\nrules[0].require.replay: is off: a " +
				"stamp can be used again until it expires"},
		{"an algorithm of no secret",
			meshConfig(`"trust":[{"name":"a","issuer":"i","anyAudience":true,"algorithms":["HS512","HS256","HS256"],"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]}]`),
			"trust[0].algorithms[2]: is in the list already: once is enough\ntrust[0].algorithms: HS512 has no " +
				"effect: keys has no key for it"},
		{"an audience and a peer twice",
			meshConfig(`"trust":[{"name":"a","issuer":"i","audiences":["m","m"],"algorithms":["HS256"],"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]}],"rules":[{"name":"a","peers":["spiffe://a/b","spiffe://a/b"]}]`),
			"trust[0].audiences[1]: is in the list already: once is enough\nrules[0].peers[1]: is in the list " +
				"already: once is enough"},
	} {
		p := parse(t, c.config)
		if got := conf.Faults(p.Warnings()).Error(); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if p := parse(t, edgeConfig(`"copyClaims":["sub","azp","sub"]`)); len(p.signer.copyClaims) != 2 {
		t.Errorf("a claim would stand in the stamp twice: %q", p.signer.copyClaims)
	}
	if p := parse(t, meshConfig(global)); p.Global() != nil {
		t.Error("a service that nobody asks is made ready")
	}
}

func TestWarnings(t *testing.T) {
	for signature, want := range map[string]string{
		"": "trust[0].signature.components: lacks @method, @path, @query: a signature made for another request may " +
			"do\ntrust[0].signature.nonce: is optional: a signature can be used again until it expires",
		`"components":["@method","@target-uri"],"nonce":"once"`: "",
		`"components":["@authority","@request-target"],"nonce":"once"`: "trust[0].signature.components: lacks @method: " +
			"a signature made for another request may do",
	} {
		if p := parse(t, botConfig(signature, "")); conf.Faults(p.Warnings()).Error() != want {
			t.Errorf("%s: the warnings are %v", signature, p.Warnings())
		}
	}
	if list := parse(t, botConfig(`"components":["@method","@target-uri"],"nonce":"once"`,
		`,"require":{"bind":[],"replay":"off"}`)).Warnings(); len(list) != 0 {
		t.Errorf("where no stamp is looked at: %v", list)
	}
	const anyBody = "has body, which is asked of stamps only: a signature of others need not cover it here, unless its " +
		"trust's components have content-digest"
	whole := `"components":["@method","@target-uri"%s],"nonce":"once"`
	bodies := `,"require":{"bind":["method","authority","path","query","body"]},"rules":[{"name":"a","access":"public"},
		{"name":"b"},{"name":"c","require":{"bind":["method","authority","path","query"]}}]`
	for more, want := range map[string]string{"": "rules[1].require.bind: " + anyBody, `,"content-digest"`: ""} {
		trust := `"trust":[` + botTrust(fmt.Sprintf(whole, more))
		for _, config := range []string{trust + "]", trust + "," + fmt.Sprintf(edgeTrust, mint.Set(edge)) + "]"} {
			if list := parse(t, meshConfig(config+bodies)).Warnings(); conf.Faults(list).Error() != want {
				t.Errorf("a signature over %s and a bound body: %v", more, list)
			}
		}
	}
	if list := parse(t, meshConfig(strings.TrimPrefix(bodies, ","))).Warnings(); len(list) != 0 {
		t.Errorf("stamps alone: %v", list)
	}
	for label, ok := range map[string]bool{"any": true, "*": true, "sig-1_x.*": true, "a": true, "-a": false, "A": false,
		"a b": false, "é": false} {
		if _, err := Parse(botConfig(`"label":"`+label+`"`, ""), surroundings); (err == nil) != ok {
			t.Errorf("label %s: %v", label, err)
		}
	}
	list := parse(t, meshConfig(
		`"require":{"bind":["path"]},"rules":[{"name":"a"},{"name":"b","access":"public"}]`)).Warnings()
	if len(list) != 1 || list[0].String() != "rules[0].require.bind: lacks method, authority, query: a stamp made "+
		"for another request may do" {
		t.Errorf("%v", list)
	}
	if list := parse(t, edgeConfig("")).Warnings(); list != nil {
		t.Errorf("the edge: %q", list)
	}
}
