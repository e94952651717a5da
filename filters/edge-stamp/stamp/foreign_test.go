// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

var (
	bot     = mint.New("bot-1", jose.EdDSA)
	partner = mint.New("partner-1", jose.ES256)
	botName = thumbprint(bot)
)

// thumbprint is that of RFC 7638, as go-jose computes it.
func thumbprint(k *mint.Key) string {
	jwk := jose.JSONWebKey{Key: k.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// signedBy signs a request under a label with these signature parameters.
func signedBy(t testing.TB, k *mint.Key, label, params string, headers [][2]string) [][2]string {
	t.Helper()
	inputs, err := httpsig.ParseInputs(label + "=" + params)
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	base, err := inputs[0].Base(&httpsig.Message{Method: header(headers, ":method"), Scheme: header(headers, ":scheme"),
		Authority: header(headers, ":authority"), Path: header(headers, ":path"), Fields: headers})
	if err != nil {
		base = "what nobody can compute"
	}
	return append(headers[:len(headers):len(headers)], [2]string{"signature-input", label + "=" + params},
		[2]string{"signature", label + "=:" + base64.StdEncoding.EncodeToString(signText(t, k, base)) + ":"})
}

// botParams are signature parameters of Web Bot Auth, with changes.
func botParams(changes ...string) string {
	return parameters(append([]string{"keyid", `"` + botName + `"`, "tag", `"web-bot-auth"`}, changes...)...)
}

// botConfig is a mesh that takes signatures of bots only; of signature and trust there is more.
func botConfig(signature, more string) string {
	return meshConfig(`"trust":[` + botTrust(signature) + `]` + more)
}

func botTrust(signature string) string {
	return `{"name":"bots","signature":{` + signature + `},"jwks":{"inline":` + string(withoutKID(bot)) + `}}`
}

// withoutKID is a directory whose keys are called by their thumbprints only.
func withoutKID(keys ...*mint.Key) []byte {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(mint.Set(keys...), &set); err != nil {
		panic(err)
	}
	for _, k := range set.Keys {
		delete(k, "kid")
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return b
}

const host = `("@authority")`

// S21 S22 S23 S24: which signatures of others are taken, and which are not.
func TestForeignSignature(t *testing.T) {
	sign := func(params string, more ...[2]string) [][2]string {
		return signedBy(t, bot, "sig1", params, request("GET", asked, more...))
	}
	good := sign(host + botParams())
	agent := [2]string{"signature-agent", `sig1="https://bot.example";type=directory, other="https://x.example"`}
	edited := func(edit func(h [][2]string) [][2]string) [][2]string { return edit(slices.Clone(good)) }
	last := len(good) - 1
	for _, c := range []struct {
		name      string
		headers   [][2]string
		signature string
		at        time.Duration
		want      *verdict.Code
	}{
		{name: "a good one", headers: good, want: verdict.OK},
		{name: "with its algorithm", headers: sign(host + botParams("alg", `"ed25519"`)), want: verdict.OK},
		{name: "with another algorithm", headers: sign(host + botParams("alg", `"rsa-pss-sha512"`)), want: StampAlgorithm},
		{name: "without expires", headers: sign(host + botParams("expires", "")), want: verdict.OK},
		{name: "without nonce", headers: sign(host + botParams("nonce", "")), want: verdict.OK},
		{name: "over the whole target instead", headers: sign(`("@target-uri")` + botParams()), want: verdict.OK},
		{name: "with a member of Signature-Agent", want: verdict.OK,
			headers: sign(`("@authority" "signature-agent";key="sig1")`+botParams(), agent)},
		{name: "with Signature-Agent as it was once", want: verdict.OK,
			headers: sign(`("@authority" "signature-agent")`+botParams(), [2]string{"signature-agent", `"https://bot.example"`})},
		{name: "with another member of Signature-Agent", want: StampSignature,
			headers: replaceHeader(sign(`("@authority" "signature-agent";key="sig1")`+botParams(), agent), "signature-agent",
				`sig1="https://evil.example"`)},
		{name: "without the member of Signature-Agent that it covers", want: StampMismatch,
			headers: replaceHeader(sign(`("@authority" "signature-agent";key="sig1")`+botParams(), agent), "signature-agent",
				`other="https://bot.example"`)},
		{name: "S21 of another label, where one is named", headers: good, signature: `"label":"sig2"`, want: StampMissing},
		{name: "S21 of the label that is named", headers: good, signature: `"label":"sig1"`, want: verdict.OK},
		{name: "S21 of another tag", headers: sign(host + botParams("tag", `"other"`)), want: StampMissing},
		{name: "S21 of no tag", headers: sign(host + botParams("tag", "")), want: StampMissing},
		{name: "S21 of no tag, where there must be none", headers: sign(host + botParams("tag", "")),
			signature: `"tag":false`, want: verdict.OK},
		{name: "S21 of a tag, where there must be none", headers: good, signature: `"tag":false`, want: StampMissing},
		{name: "S21 of an empty tag, where there must be none", headers: sign(host + botParams("tag", `""`)),
			signature: `"tag":false`, want: StampMissing},
		{name: "S21 a label exchanged", want: verdict.OK, // it is not signed (RFC 9421 §4.1)
			headers: edited(func(h [][2]string) [][2]string {
				h[last-1][1] = strings.Replace(h[last-1][1], "sig1", "x", 1)
				h[last][1] = strings.Replace(h[last][1], "sig1", "x", 1)
				return h
			})},
		{name: "S21 a tag exchanged", want: StampSignature,
			headers: edited(func(h [][2]string) [][2]string {
				h[last-1][1] = sign(host + botParams("tag", `"other"`))[last-1][1]
				h[last-1][1] = strings.Replace(h[last-1][1], `"other"`, `"web-bot-auth"`, 1)
				h[last][1] = sign(host + botParams("tag", `"other"`))[last][1]
				return h
			})},
		{name: "no signature", headers: request("GET", asked), want: StampMissing},
		{name: "an empty field", want: StampMissing,
			headers: append(request("GET", asked), [2]string{"signature-input", ""})},
		{name: "no Signature", headers: good[:last], want: StampMalformed},
		{name: "no Signature-Input", headers: slices.Delete(slices.Clone(good), last-1, last), want: StampMissing},
		{name: "no dictionary", want: StampMalformed,
			headers: append(request("GET", asked), [2]string{"signature-input", `keyId="a",algorithm="x`})},
		{name: "S24 beside another's in two fields", want: verdict.OK,
			headers: append(slices.Clone(good), [2]string{"signature-input", `a=("@path");keyid="a"`},
				[2]string{"signature", "a=:YQ==:"})},
		{name: "S24 the label twice", want: StampMalformed,
			headers: append(slices.Clone(good), good[last-1])},
		{name: "S24 the label twice, where it is named", signature: `"label":"sig1"`, want: StampMalformed,
			headers: append(slices.Clone(good), good[last-1])},
		{name: "S24 its signature twice", want: StampMalformed, headers: append(slices.Clone(good), good[last])},
		{name: "S24 a parameter of the signature", want: StampMalformed,
			headers: edited(func(h [][2]string) [][2]string { h[last][1] += ";a"; return h })},
		{name: "S24 a field of more than is read", want: StampMalformed,
			headers: append(slices.Clone(good), [2]string{"signature-input", "a=();x=\"" + strings.Repeat("x", 9000) + `"`})},
		{name: "S24 what cannot be read beside it", want: StampMalformed,
			headers: append(slices.Clone(good), [2]string{"signature-input", `a=("@path`})},
		{name: "S24 what cannot be read beside it, where its label is named", signature: `"label":"sig1"`, want: verdict.OK,
			headers: append(slices.Clone(good), [2]string{"signature-input", `a=("@path`}, [2]string{"signature", "?!"})},
		{name: "S24 eight with its tag", want: verdict.OK, headers: slices.Concat(good, others(7))},
		{name: "S24 nine with its tag", want: StampAmbiguous, headers: slices.Concat(good, others(8))},
		{name: "without keyid", headers: sign(host + botParams("keyid", "")), want: StampMalformed},
		{name: "with an empty keyid", headers: sign(host + botParams("keyid", `""`)), want: StampMalformed},
		{name: "S22 of a key that nobody has", headers: sign(host + botParams("keyid", `"bot-2"`)), want: StampKeyUnknown},
		{name: "by a kid that the directory has not", headers: sign(host + botParams("keyid", `"bot-1"`)), want: StampKeyUnknown},
		{name: "forged", want: StampSignature,
			headers: signedBy(t, mint.New("bot-1", jose.EdDSA), "sig1", host+botParams(), request("GET", asked))},
		{name: "S23 covers less", headers: good, signature: `"components":["@authority","@path"]`, want: StampUnbound},
		{name: "S23 covers a part of it", want: StampUnbound, signature: `"components":["@query"]`,
			headers: sign(`("@authority" "@query-param";name="a")` + botParams())},
		{name: "S23 covers a wrapped form", want: StampUnbound, signature: `"components":["x-b"]`,
			headers: sign(`("x-b";bs)`+botParams(), [2]string{"x-b", "1"})},
		{name: "S23 covers a member", want: StampUnbound, signature: `"components":["x-b"]`,
			headers: sign(`("x-b";key="a")`+botParams(), [2]string{"x-b", "a=1"})},
		{name: "S23 covers Signature-Agent in a wrapped form", want: StampUnbound,
			signature: `"components":["signature-agent"]`, headers: sign(`("signature-agent";bs)`+botParams(), agent)},
		{name: "S23 the target for the scheme", want: verdict.OK, signature: `"components":["@scheme"]`,
			headers: sign(`("@target-uri")` + botParams())},
		{name: "S23 covers nothing", headers: sign("()" + botParams()), want: StampUnbound},
		{name: "S23 covers all of it", want: verdict.OK, signature: `"components":["@method","@target-uri","x-b"]`,
			headers: sign(`("x-b" "@method" "@target-uri" "x-c")`+botParams(), [2]string{"x-b", "1"}, [2]string{"x-c", "1"})},
		{name: "S23 the request target for path and query", want: verdict.OK,
			signature: `"components":["@path","@query"]`, headers: sign(`("@request-target")` + botParams())},
		{name: "S23 the request target for the host", want: StampUnbound, headers: sign(`("@request-target")` + botParams())},
		{name: "S23 path and query for the target", want: StampUnbound, signature: `"components":["@target-uri"]`,
			headers: sign(`("@scheme" "@authority" "@path" "@query")` + botParams())},
		{name: "S23 a member of Signature-Agent is enough", want: verdict.OK, signature: `"components":["signature-agent"]`,
			headers: sign(`("signature-agent";key="sig1")`+botParams(), agent)},
		{name: "S23 covers what is not there", headers: sign(`("@authority" "x-b")` + botParams()), want: StampMismatch},
		{name: "S23 covers what nobody computes", want: StampUnbound, headers: sign(`("@authority" "x-b";tr)`+botParams(),
			[2]string{"x-b", "1"})},
		{name: "S23 covers the status of a response", headers: sign(`("@authority" "@status")` + botParams()), want: StampUnbound},
		{name: "S23 covers an unknown part", headers: sign(`("@authority" "@here")` + botParams()), want: StampUnbound},
		{name: "S23 covers more, and that differs", want: StampSignature,
			headers: replaceHeader(sign(`("@authority" "x-b")`+botParams(), [2]string{"x-b", "1"}), "x-b", "2")},
		{name: "S23 another host", want: StampSignature, headers: replaceHeader(good, ":authority", "other.example")},
		{name: "the host in another case", want: verdict.OK, headers: replaceHeader(good, ":authority", "api.EXAMPLE:8443")},
		{name: "S23 a trailing dot, which RFC 9421 does not take off", want: StampSignature,
			headers: replaceHeader(good, ":authority", "api.example.:8443")},
		{name: "S22 without created", headers: sign(host + botParams("created", "")), want: StampMalformed},
		{name: "S22 of the year 10000", want: StampMalformed,
			headers: sign(host + botParams("created", "253402300800", "expires", ""))},
		{name: "S22 until the year 10000", want: StampMalformed,
			headers: sign(host + botParams("expires", "253402300800"))},
		{name: "S22 until the last day of 9999", want: verdict.OK,
			headers: sign(host + botParams("expires", "253402300799"))},
		{name: "S22 expires before it begins", want: StampMalformed,
			headers: sign(host + botParams("expires", fmt.Sprint(now.Unix()-1)))},
		{name: "S22 in its last moment", headers: good, at: 35*time.Second - 1000, want: verdict.OK},
		{name: "S22 expired", headers: good, at: 35 * time.Second, want: StampExpired},
		{name: "S22 made as far ahead as the skew", headers: good, at: -5 * time.Second, want: verdict.OK},
		{name: "S22 made later", headers: good, at: -5*time.Second - 1000, want: StampNotYetValid},
		{name: "S22 as old as may be", headers: sign(host + botParams("expires", fmt.Sprint(now.Unix()+86400))),
			at: 305*time.Second - 1000, want: verdict.OK},
		{name: "S22 too old", headers: sign(host + botParams("expires", fmt.Sprint(now.Unix()+86400))),
			at: 305 * time.Second, want: StampExpired},
		{name: "S22 too old, without expires", headers: sign(host + botParams("expires", "")),
			at: 305 * time.Second, want: StampExpired},
		{name: "S22 as old as another maxAge has it", headers: sign(host + botParams("expires", "")), signature: `"maxAge":"1h"`,
			at: 3605*time.Second - 1000, want: verdict.OK},
		{name: "S22 without nonce, where it does once", headers: sign(host + botParams("nonce", "")),
			signature: `"nonce":"once"`, want: StampMalformed},
		{name: "S22 with too long a nonce", headers: sign(host + botParams("nonce", `"`+strings.Repeat("n", 257)+`"`)),
			signature: `"nonce":"once"`, want: StampMalformed},
		{name: "S22 with the longest nonce", headers: sign(host + botParams("nonce", `"`+strings.Repeat("n", 256)+`"`)),
			signature: `"nonce":"once"`, want: verdict.OK},
	} {
		x := &proxy{now: now.Add(c.at)}
		d := x.decide(parse(t, botConfig(c.signature, "")), c.headers)
		if d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
		want := ""
		if c.want == verdict.OK {
			want = `{"iss":"bots","keyid":"` + botName + `"}`
		}
		if d.identity != want {
			t.Errorf("%s: the identity is %s", c.name, d.identity)
		}
	}
}

// others are signatures with the bots' tag of keys that nobody has.
func others(n int) (h [][2]string) {
	for i := range n {
		h = append(h, [2]string{"signature-input", fmt.Sprintf(`o%d=("@authority")%s`, i, botParams("keyid", `"unknown"`))},
			[2]string{"signature", fmt.Sprintf("o%d=:YQ==:", i)})
	}
	return h
}

func replaceHeader(headers [][2]string, name, value string) [][2]string {
	headers = slices.Clone(headers)
	for i := range headers {
		if headers[i][0] == name {
			headers[i][1] = value
		}
	}
	return headers
}

// S22: with nonce: once a signature does once, in whatever way its key is called and whichever trust takes it.
func TestForeignReplay(t *testing.T) {
	trusts := func(signature string) string {
		return `"trust":[{"name":"bots","signature":{` + signature + `},"jwks":{"inline":` + string(mint.Set(bot)) + `}},
			{"name":"more","signature":{"tag":"more",` + signature + `},"jwks":{"inline":` + string(mint.Set(bot)) + `}}]`
	}
	once, optional := parse(t, meshConfig(trusts(`"nonce":"once"`))), parse(t, meshConfig(trusts(`"nonce":"optional"`)))
	if once.ReplayEntries() != 65536 || optional.ReplayEntries() != 0 {
		t.Errorf("%d and %d entries", once.ReplayEntries(), optional.ReplayEntries())
	}
	if p := parse(t, botConfig(`"nonce":"once"`, `,"rules":[{"name":"all","access":"public"}]`)); p.ReplayEntries() != 0 {
		t.Error("memory for what is never looked at")
	}
	sign := func(params ...string) [][2]string {
		return signedBy(t, bot, "sig1", host+botParams(params...), request("GET", asked))
	}
	x := &proxy{}
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    *verdict.Code
	}{
		{"the first time", sign(), verdict.OK},
		{"again", sign(), StampReplayed},
		{"the nonce again, later", sign("created", fmt.Sprint(now.Unix()+1)), StampReplayed},
		{"the nonce again, the key by its other name", sign("keyid", `"bot-1"`), StampReplayed},
		{"another nonce", sign("nonce", `"m"`), verdict.OK},
		{"the nonce for another trust", sign("tag", `"more"`), verdict.OK},
		{"and again", sign("tag", `"more"`), StampReplayed},
	} {
		d := x.decide(once, c.headers)
		if d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
		if c.want == verdict.OK && !strings.Contains(d.identity, `"keyid":"bot-1"`) {
			t.Errorf("%s: one key has two names: %s", c.name, d.identity)
		}
	}
	secret := mint.New("s", jose.HS256)
	environ["SHARED"] = secret.PrivateJWK()
	for _, k := range []struct{ keys, id string }{
		{`"jwks":{"inline":` + string(mint.Set(bot)) + `}`, "bot-1"},
		{`"keys":[{"kid":"s","alg":"HS256","env":"SHARED"}]`, "s"},
	} {
		p := parse(t, meshConfig(`"trust":[{"name":"named","signature":{"label":"a","nonce":"once"},`+k.keys+`},
			{"name":"any","signature":{"nonce":"once","maxAge":"1h"},"clockSkew":"20s",`+k.keys+`},
			{"name":"often","signature":{"maxAge":"2h"},`+k.keys+`},
			{"name":"other","signature":{"tag":"other","nonce":"once","maxAge":"2h"},`+k.keys+`}]`))
		key := bot
		if k.id == "s" {
			key = secret
		}
		z := &proxy{}
		for i, label := range []string{"b", "a"} { // the label is not signed
			h := signedBy(t, key, label, host+botParams("keyid", `"`+k.id+`"`, "expires", ""), request("GET", asked))
			want := []*verdict.Code{verdict.OK, StampReplayed}[i]
			if d := z.decide(p, h); d.Verdict().Code != want {
				t.Errorf("%s, under the label %s: %s", k.id, label, d.Verdict().Code.Name)
			}
			for _, until := range z.seen { // as long as the trust that takes it longest
				if at := until.Sub(now); at != time.Hour+21*time.Second {
					t.Errorf("%s, under the label %s: remembered for %v", k.id, label, at)
				}
			}
		}
	}
	environ["OTHER"] = mint.New("s", jose.HS256).PrivateJWK()
	var ids []string
	for _, env := range []string{"SHARED", "OTHER"} { // nonces of two secrets may be the same
		p := parse(t, meshConfig(`"trust":[{"name":"a","signature":{"nonce":"once"},"keys":[{"kid":"s","alg":"HS256","env":"`+
			env+`"}]}]`))
		k, _, _, err := p.verifier.others[0].keys.Set(now).ByKeyID("s", jwks.ByKID, p.verifier.others[0].algorithms)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.Fingerprint())
	}
	if ids[0] == ids[1] || ids[0] == "" {
		t.Errorf("secrets are told apart by %q", ids)
	}
	two := parse(t, meshConfig(`"trust":[{"name":"two","signature":{"nonce":"once"},"algorithms":["EdDSA","ES256"],
		"jwks":{"inline":`+string(mint.Set(bot, partner))+`}}]`))
	ofPartner := signedBy(t, partner, "s", host+botParams("keyid", `"partner-1"`), request("GET", asked))
	y := &proxy{}
	for _, h := range [][][2]string{sign(), ofPartner} { // nonces of two keys may be the same
		if d := y.decide(two, h); d.Verdict().Code != verdict.OK {
			t.Errorf("the nonce of another key: %s", d.Verdict().Code.Name)
		}
	}
	for _, until := range x.seen { // no longer than it could be used, and no shorter
		if at := until.Sub(now); at < 35*time.Second || at > 37*time.Second {
			t.Errorf("remembered for %v", at)
		}
	}
	for range 2 {
		if d := x.decide(optional, sign()); d.Verdict().Code != verdict.OK {
			t.Errorf("optional: %s", d.Verdict().Code.Name)
		}
	}
	if d := (&proxy{full: true}).decide(once, sign()); d.Verdict().Code != ReplayFull {
		t.Errorf("full: %s", d.Verdict().Code.Name)
	}
	global := parse(t, meshConfig(trusts(`"nonce":"once"`)+`,"require":{"replay":"onceGlobal"},
		"replay":{"global":{"cluster":"c","authority":"a","domain":"d"}}`))
	x = &proxy{}
	if d := x.decide(global, sign()); d.Verdict().Code != verdict.OK || len(x.global) != 1 {
		t.Errorf("over all proxies: %s, %v", d.Verdict().Code.Name, x.steps)
	}
	if d := (&proxy{global: x.global}).decide(global, sign()); d.Verdict().Code != StampReplayed {
		t.Errorf("at another proxy: %s", d.Verdict().Code.Name)
	}
}

// S25: a stamp and signatures of several: which of them is asked, and whose identity it is.
func TestForeignTrusts(t *testing.T) {
	config := func(profile string) *Policy {
		return parse(t, meshConfig(`"profile":"`+profile+`","forward":{"stamp":"strip",
			"payloadHeader":"x-payload","claimHeaders":[{"path":["keyid"],"header":"x-bot"}]},
			"trust":[{"name":"partner","signature":{"label":"p","tag":"orders"},"algorithms":["ES256"],
				"jwks":{"inline":`+string(mint.Set(partner))+`}},`+botTrust("")+`,
			{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":`+string(mint.Set(edge))+`}}]`))
	}
	get := request("GET", asked)
	ofBot := signedBy(t, bot, "sig1", host+botParams(), get)[len(get):]
	ofPartner := signedBy(t, partner, "p", host+botParams("keyid", `"partner-1"`, "tag", `"orders"`), get)[len(get):]
	byOther := signedBy(t, partner, "sig1", host+botParams("keyid", `"partner-1"`), get)[len(get):]
	stamp := func(profile, token string) [][2]string {
		if profile == "jws" {
			return [][2]string{{"x-edge-stamp", token}}
		}
		k := edge
		if token == "bad" {
			k = forger
		}
		return signMessage(t, k, line4+parameters(), get)[len(get):]
	}
	for _, profile := range []string{"jws", "rfc9421"} {
		p := config(profile)
		token := edge.Typed(stampTyp, claims())
		for _, c := range []struct {
			name  string
			more  [][2]string
			want  *verdict.Code
			whose string // a part of the identity
		}{
			{"a bot", ofBot, verdict.OK, `"bots"`},
			{"a partner", ofPartner, verdict.OK, `"partner"`},
			{"both: by the order of the trusts", slices.Concat(ofBot, ofPartner), verdict.OK, `"partner"`},
			{"S22 a key of another trust", byOther, StampKeyUnknown, ""},
			{"S25 a stamp beside a signature", slices.Concat(ofBot, stamp(profile, token)), verdict.OK, `"https://edge"`},
			{"S25 a stamp that does not do beside one", slices.Concat(ofBot, stamp(profile, "bad")), nil, ""},
			{"S25 a bad signature first", slices.Concat(replaceHeader(ofPartner, "signature", "p=:YQ==:"), ofBot),
				StampSignature, ""},
		} {
			h := slices.Concat(get, c.more, [][2]string{{"x-bot", "forged"}, {"x_payload", "forged"}})
			d := (&proxy{}).decide(p, h)
			code := d.Verdict().Code
			if code != c.want && (c.want != nil || code == verdict.OK) {
				t.Errorf("%s, %s: %s", profile, c.name, code.Name)
			}
			if profile == "rfc9421" && c.whose == `"https://edge"` {
				c.whose = "" // without copied claims it names nobody
			}
			if !strings.Contains(d.identity, c.whose) || c.whose == "" && d.identity != "" {
				t.Errorf("%s, %s: the identity is %s", profile, c.name, d.identity)
			}
			out := effect(d, h)
			for _, name := range []string{"signature", "signature-input"} { // theirs go on, as they came
				var theirs []string
				for _, line := range values(h, name) {
					if profile == "jws" || !strings.HasPrefix(line, "edge=") {
						theirs = append(theirs, line)
					}
				}
				if !slices.Equal(values(out, name), theirs) {
					t.Errorf("%s, %s: %s goes on as %q", profile, c.name, name, values(out, name))
				}
			}
			keyid := map[string]string{`"bots"`: botName, `"partner"`: "partner-1"}[c.whose]
			payload, _ := base64.RawURLEncoding.DecodeString(header(out, "x-payload"))
			if header(out, "x-bot") != keyid || string(payload) != d.identity || header(out, "x_payload") != "" {
				t.Errorf("%s, %s: %q, %q", profile, c.name, header(out, "x-bot"), payload)
			}
		}
	}
	// Nobody's stamps are taken where only signatures are: one beside it says nothing.
	p := parse(t, botConfig("", ""))
	d := (&proxy{}).decide(p, slices.Concat(get, ofBot, [][2]string{{"x-edge-stamp", "x"}}))
	if d.Verdict().Code != verdict.OK {
		t.Errorf("a header that means nothing here: %s", d.Verdict().Code.Name)
	}
	d = (&proxy{}).decide(p, slices.Concat(get, stamp("jws", edge.Typed(stampTyp, claims()))))
	if d.Verdict().Code != StampMissing {
		t.Errorf("a stamp where nobody's are taken: %s", d.Verdict().Code.Name)
	}
}

// A body whose digest is covered is compared with it.
func TestForeignBody(t *testing.T) {
	digest := func(body string) [2]string { return [2]string{"content-digest", httpsig.ContentDigest(sumOf(body))} }
	sign := func(headers ...[2]string) [][2]string {
		return signedBy(t, bot, "sig1", `("@authority" "content-digest")`+botParams(), request("POST", asked, headers...))
	}
	const demand = `"components":["@authority","content-digest"]`
	sha512 := [2]string{"content-digest", "sha-512=:" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + ":"}
	for _, c := range []struct {
		name, body, signature string
		headers               [][2]string
		want                  *verdict.Code
	}{
		{"S23 as it was made", "hello", demand, sign(digest("hello")), verdict.OK},
		{"S23 another body", "hello!", demand, sign(digest("hello")), StampMismatch},
		{"S23 another body, without demand", "hello!", "", sign(digest("hello")), StampMismatch},
		{"S23 no body", "", demand, sign(digest("hello")), StampMismatch},
		{"S23 not covered", "hello", demand,
			signedBy(t, bot, "sig1", host+botParams(), request("POST", asked, digest("hello"))), StampUnbound},
		{"S23 a digest that is not computed", "hello", demand, sign([2]string{"content-digest", "sha-512=:YQ==:"}),
			StampUnbound},
		{"S23 another member of it covered than is compared", "evil", "",
			append(signedBy(t, bot, "sig1", `("@authority" "content-digest";key="sha-512")`+botParams(),
				request("POST", asked, sha512)), digest("evil")), StampUnbound},
		{"S23 the member that is compared", "hello", "",
			append(signedBy(t, bot, "sig1", `("@authority" "content-digest";key="sha-256")`+botParams(),
				request("POST", asked, digest("hello"))), sha512), verdict.OK},
		{"S23 the member that is compared, and another body", "evil", "",
			append(signedBy(t, bot, "sig1", `("@authority" "content-digest";key="sha-256")`+botParams(),
				request("POST", asked, digest("hello"))), sha512), StampMismatch},
		{"S23 both members", "hello", "", signedBy(t, bot, "sig1",
			`("@authority" "content-digest";key="sha-256" "content-digest";key="sha-512")`+botParams(),
			request("POST", asked, digest("hello"), sha512)), verdict.OK},
		{"S23 as a dictionary", "hello", "", signedBy(t, bot, "sig1", `("@authority" "content-digest";sf)`+botParams(),
			request("POST", asked, digest("hello"))), verdict.OK},
		{"S23 a body that cannot be waited for", "hello", demand,
			sign(digest("hello"), [2]string{"content-type", "application/grpc"}), StampUnbound},
	} {
		d := (&proxy{body: c.body}).decide(parse(t, botConfig(c.signature, "")), c.headers)
		if d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
	}
}

// S26: keyids that a directory has not have it fetched again, once in a while, and no other.
func TestForeignKeys(t *testing.T) {
	remote := func(name, tag string) string {
		return fmt.Sprintf(`{"name":%q,"signature":{"tag":%q},"jwks":{"remote":{"cluster":%q,"authority":"a.example",
			"path":"/.well-known/http-message-signatures-directory"}}}`, name, tag, name)
	}
	p := parse(t, meshConfig(`"trust":[`+remote("one", "web-bot-auth")+`,`+remote("two", "web-bot-auth")+`,`+
		remote("three", "x")+`]`))
	set, _, err := jwks.ReadDocument(string(withoutKID(bot)))
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := jwks.ReadDocument(string(mint.Set(partner)))
	remotes := p.Remotes()
	if len(remotes) != 3 {
		t.Fatalf("%d remotes", len(remotes))
	}
	good := signedBy(t, bot, "sig1", host+botParams(), request("GET", asked))
	unknown := signedBy(t, bot, "sig1", host+botParams("keyid", `"unknown"`), request("GET", asked))
	decided := func(name string, h [][2]string, waited bool, want *jwks.Remote, code *verdict.Code) {
		t.Helper()
		d := &Decision{}
		if waited {
			p.DecideAfterWait(d, toDecide(h, true, now))
		} else {
			p.Decide(d, toDecide(h, true, now))
		}
		d.Run((&proxy{}).world(d))
		if d.KeysWanted() != want || want == nil && d.Verdict().Code != code {
			t.Errorf("%s: %s, %+v", name, d.Verdict().Code.Name, d.KeysWanted())
		}
	}
	decided("no keys yet", good, false, remotes[0], nil)
	decided("none come", good, true, nil, verdict.KeysUnavailable)
	fetched := jwks.Record{Version: 1, Fetched: now.UnixMicro()}
	remotes[1].Source.Update(fetched, set)
	decided("the second has it", good, false, nil, verdict.OK)
	decided("the first may have it", unknown, false, remotes[0], nil)
	remotes[0].Source.Update(fetched, other)
	decided("nobody has it", unknown, false, remotes[0], nil)
	forced := fetched
	forced.Forced = now.UnixMicro() - 1
	remotes[0].Source.Update(forced, other)
	decided("the other is asked, too", unknown, false, remotes[1], nil)
	remotes[1].Source.Update(forced, set)
	decided("both have just been asked", unknown, false, nil, StampKeyUnknown)
	forced.Forced = now.Add(-time.Minute).UnixMicro()
	remotes[1].Source.Update(forced, set)
	decided("it is remembered as unknown", unknown, false, nil, StampKeyUnknown)
	again := signedBy(t, bot, "sig1", host+botParams("keyid", `"unknown-2"`), request("GET", asked))
	decided("another has it asked for", again, false, remotes[1], nil)
	decided("it has waited", again, true, nil, StampKeyUnknown)

	// Of two that may be asked again, the one that was longest ago is.
	older := forced
	older.Forced--
	remotes[0].Source.Update(forced, other)
	remotes[1].Source.Update(older, set)
	third := signedBy(t, bot, "sig1", host+botParams("keyid", `"unknown-3"`), request("GET", asked))
	decided("longest ago", third, false, remotes[1], nil)
	older.Forced -= 2
	remotes[0].Source.Update(older, other)
	decided("longest ago, the first", third, false, remotes[0], nil)
	// What is unknown to one is not thereby unknown to another, whose label and tag it has not.
	of := func(label, tag, keyid string) [][2]string {
		h := request("GET", asked)
		return signedBy(t, bot, label, host+botParams("keyid", `"`+keyid+`"`, "tag", `"`+tag+`"`), h)[len(h):]
	}
	remotes[2].Source.Update(forced, set)
	both := slices.Concat(request("GET", asked), of("a", "web-bot-auth", "unknown-4"), of("b", "x", "unknown-5"))
	decided("both unknown", both, true, nil, StampKeyUnknown)
	for _, c := range []struct {
		remote *jwks.Remote
		keyid  string
		may    bool
	}{{remotes[0], "unknown-4", false}, {remotes[0], "unknown-5", true}, {remotes[2], "unknown-4", true},
		{remotes[2], "unknown-5", false}} {
		if got := c.remote.Source.MayForce(c.keyid, now); got != c.may {
			t.Errorf("%s may ask %s: %v", c.keyid, c.remote.Name, got)
		}
	}
}

// What a Thumbprint names, by go-jose.
func TestKeyNames(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.ES384, jose.RS256, jose.PS512} {
		k := mint.New("k", alg)
		for _, keyid := range []string{"k", thumbprint(k)} {
			p := parse(t, meshConfig(fmt.Sprintf(`"trust":[{"name":"a","algorithms":[%q],"signature":{},"jwks":{"inline":%s}}]`, alg,
				mint.Set(k))))
			d := (&proxy{}).decide(p, signedBy(t, k, "s", host+botParams("keyid", `"`+keyid+`"`), request("GET", asked)))
			if d.Verdict().Code != verdict.OK || d.identity != `{"iss":"a","keyid":"k"}` {
				t.Errorf("%s by %s: %s, %s", alg, keyid, d.Verdict().Code.Name, d.identity)
			}
		}
		if alg == jose.EdDSA {
			continue
		}
		p := parse(t, meshConfig(`"trust":[{"name":"a","algorithms":["EdDSA","`+string(alg)+`"],"signature":{},"jwks":{"inline":`+
			string(mint.Set(bot, k))+`}}]`))
		forged := signedBy(t, bot, "s", host+botParams("keyid", `"k"`), request("GET", asked))
		if d := (&proxy{}).decide(p, forged); d.Verdict().Code != StampSignature {
			t.Errorf("%s: another key's signature: %s", alg, d.Verdict().Code.Name)
		}
	}
	// A key for an algorithm that the trust does not allow.
	p := parse(t, meshConfig(`"trust":[{"name":"a","signature":{},"jwks":{"inline":`+string(mint.Set(bot, partner))+`}}]`))
	d := (&proxy{}).decide(p, signedBy(t, partner, "s", host+botParams("keyid", `"partner-1"`), request("GET", asked)))
	if d.Verdict().Code != StampAlgorithm {
		t.Errorf("another algorithm: %s", d.Verdict().Code.Name)
	}
	// A secret that both sides have.
	secret := mint.New("s", jose.HS256)
	environ["SHARED"] = secret.PrivateJWK()
	p = parse(t, meshConfig(`"trust":[{"name":"a","signature":{},"keys":[{"kid":"s","alg":"HS256","env":"SHARED"}]}]`))
	d = (&proxy{}).decide(p, signedBy(t, secret, "s", host+botParams("keyid", `"s"`, "alg", `"hmac-sha256"`), request("GET", asked)))
	if d.Verdict().Code != verdict.OK {
		t.Errorf("a secret: %s", d.Verdict().Code.Name)
	}
}

// Why a signature does not do is told to whoever has the request.
func TestForeignExplained(t *testing.T) {
	demand := `"components":["@authority","@path"]`
	good := signedBy(t, bot, "sig1", `("@authority" "@path" "x-b")`+botParams(), request("GET", asked, [2]string{"x-b", "1"}))
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    string
	}{
		{"less", signedBy(t, bot, "sig1", host+botParams(), request("GET", asked)), "@path: the signature does not cover it, and the trust demands that"},
		{"of no value", replaceHeader(good, "x-b", "\x01"),
			"x-b: expected a value that is covered: a covered component has a value that cannot be signed"},
		{"unknown", signedBy(t, bot, "sig1", `("@authority" "@path" "x-b";tr)`+botParams(),
			request("GET", asked, [2]string{"x-b", "1"})), `"x-b";tr: expected a value that is covered: a covered component or one of its parameters is not known here`},
		{"of a response", signedBy(t, bot, "sig1", `("@authority" "@path" "@status")`+botParams(), request("GET", asked)),
			`@status: expected a value that is covered: a covered component or one of its parameters is not known here`},
	} {
		d := (&proxy{}).decide(parse(t, botConfig(demand, "")), c.headers)
		if said := fmt.Sprint(d.Explain().Checks); !strings.Contains(said, c.want) {
			t.Errorf("%s: %s", c.name, said)
		}
	}
	stamp := signMessage(t, edge, line4+parameters(), request("GET", asked))
	stamp[4][1] = strings.Replace(stamp[4][1], `"@query"`, `"@query" "@status"`, 1)
	ofStamp := (&proxy{}).decide(parse(t, meshConfig(`"profile":"rfc9421"`)), stamp)
	if said := fmt.Sprint(ofStamp.Differences()); !strings.Contains(said, "@status: expected a value that is covered: ") {
		t.Errorf("of a stamp: %s", said)
	}
	d := (&proxy{}).decide(parse(t, botConfig(demand, "")), replaceHeader(good, ":path", "/orders/8"))
	const begin = "\"@authority\": api.example:8443\n\"@path\": /orders/8\n"
	if base := d.SignatureBase(); d.Verdict().Code != StampSignature || !strings.HasPrefix(base, begin) {
		t.Errorf("%s: %q", d.Verdict().Code.Name, base)
	}
	var e forward.Effect
	d.Effect(&e)
	if e.Identity != "" {
		t.Errorf("an identity for %s", d.Verdict().Code.Name)
	}
}

func sumOf(body string) []byte {
	sum := sha256.Sum256([]byte(body))
	return sum[:]
}
