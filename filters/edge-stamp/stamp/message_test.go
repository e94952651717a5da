// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	ourjose "github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const line4 = `("@method" "@authority" "@path" "@query")`

// signMessage signs a request with these signature parameters, as an edge would that says what it likes.
func signMessage(t testing.TB, k *mint.Key, params string, headers [][2]string) [][2]string {
	t.Helper()
	inputs, err := httpsig.ParseInputs("edge=" + params)
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	base, err := inputs[0].Base(&httpsig.Message{Method: header(headers, ":method"), Scheme: "https",
		Authority: header(headers, ":authority"), Path: header(headers, ":path"), Fields: headers})
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	return append(headers[:len(headers):len(headers)], [2]string{"signature-input", "edge=" + params},
		[2]string{"signature", "edge=:" + base64.StdEncoding.EncodeToString(signText(t, k, base)) + ":"})
}

func signText(t testing.TB, k *mint.Key, text string) []byte {
	t.Helper()
	alg, _ := ourjose.ParseAlgorithm(string(k.Algorithm))
	key, err := ourjose.ParsePrivateKey(k.PrivateJWK(), k.ID, alg)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Algorithm().ByProxy() {
		signature, err := key.Sign(text, make([]byte, key.SaltSize()))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	signature, err := proxycrypto.Sign(key.Signing(text))
	if err == nil {
		signature, err = key.Finish(signature)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func parameters(changes ...string) string {
	p := map[string]string{"created": fmt.Sprint(now.Unix()), "expires": fmt.Sprint(now.Unix() + 30), "nonce": `"n"`,
		"keyid": `"edge-1"`, "tag": `"edge-stamp"`}
	for i := 0; i < len(changes); i += 2 {
		if p[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(p, changes[i])
		}
	}
	s := ""
	for _, name := range []string{"created", "expires", "nonce", "keyid", "alg", "tag", "x"} {
		if p[name] != "" {
			s += ";" + name + "=" + p[name]
		}
	}
	return s
}

// S2 S5 S6 S7 S9: what a verifier of the profile rfc9421 takes and what it does not.
func TestVerifyMessage(t *testing.T) {
	get := request("GET", asked)
	sign := func(params string, headers ...[2]string) [][2]string {
		return signMessage(t, edge, params, request("GET", asked, headers...))
	}
	with := func(more ...[2]string) [][2]string { return append(sign(line4+parameters()), more...) }
	edited := func(edit func(h [][2]string)) [][2]string {
		h := sign(line4 + parameters())
		edit(h)
		return h
	}
	body := func(c string) string { return base64.RawURLEncoding.EncodeToString([]byte(c)) }
	for _, c := range []struct {
		name    string
		headers [][2]string
		config  string
		at      time.Duration
		want    *verdict.Code
	}{
		{name: "a good stamp", headers: sign(line4 + parameters()), want: verdict.OK},
		{name: "with its algorithm", headers: sign(line4 + parameters("alg", `"ecdsa-p256-sha256"`)), want: verdict.OK},
		{name: "that covers more",
			headers: sign(`("@method" "@authority" "@path" "@query" "x-b" "@scheme")`+parameters(),
				[2]string{"x-b", "1"}), want: verdict.OK},
		{name: "beside another signature",
			headers: edited(func(h [][2]string) {
				h[4][1] = `client=("@path");keyid="c", ` +
					h[4][1]
				h[5][1] += ", client=:YQ==:"
			}), want: verdict.OK},
		{name: "no signature", headers: get, want: StampMissing},
		{name: "another's signature only",
			headers: append(get, [2]string{"signature-input", `client=("@path")`},
				[2]string{"signature", "client=:YQ==:"}), want: StampMissing},
		{name: "no Signature", headers: sign(line4 + parameters())[:5], want: StampMalformed},
		{name: "no Signature-Input", headers: append(get, [2]string{"signature", "edge=:YQ==:"}), want: StampMalformed},
		{name: "not a dictionary",
			headers: append(get, [2]string{"signature-input", "("}, [2]string{"signature", "edge=:YQ==:"}),
			want:    StampMalformed},
		{name: "a Signature that is no dictionary", headers: edited(func(h [][2]string) { h[5][1] = "(" }),
			want: StampMalformed},
		{name: "not a dictionary, and no Signature of ours",
			headers: append(get, [2]string{"signature-input", "("}, [2]string{"signature", "client=:YQ==:"}),
			want:    StampMissing},
		{name: "another's signature that is no dictionary",
			headers: append(get, [2]string{"signature-input", `client=("@path")`}, [2]string{"signature", "("}),
			want:    StampMissing},
		{name: "beside a label that does not parse",
			headers: with([2]string{"signature-input", `sig1=afd37b, sig2=("@method");created="161", sig3;keyid=k`},
				[2]string{"signature", `sig1=:AAAA:;v=1`}), want: verdict.OK},
		{name: "beside a label that stands there twice",
			headers: with([2]string{"signature-input", `sig1=("@method" "@method"), sig1=()`},
				[2]string{"signature", `sig1=:AAAA:, sig1=:AAAB:`}), want: verdict.OK},
		{name: "behind a label that does not parse, in one line", headers: edited(func(h [][2]string) {
			h[4][1] = `sig1=((, ` + h[4][1]
			h[5][1] = `keyId="a",signature="eA==", ` + h[5][1]
		}), want: verdict.OK},
		{name: "beside more labels than anybody reads",
			headers: with([2]string{"signature-input", strings.Repeat("a=(), ", 5000) + "b=()"}), want: verdict.OK},
		{name: "beside what is no dictionary",
			headers: with([2]string{"signature", `keyId="a",algorithm="rsa-sha256",signature="eA=="`}), want: verdict.OK},
		{name: "behind a String that does not end",
			headers: edited(func(h [][2]string) { h[4][1] = `sig1="a, ` + h[4][1] }), want: StampMalformed},
		{name: "S7 the label twice, once where nothing else can be read",
			headers: with([2]string{"signature-input", `((, edge=("@path")`}), want: StampMalformed},
		{name: "S7 the label twice in Signature only", headers: with([2]string{"signature", `((, edge=:AAAA:`}),
			want: StampMalformed},
		{name: "S7 the label as a flag", headers: with([2]string{"signature", "edge"}), want: StampMalformed},
		{name: "S7 the label twice", headers: with([2]string{"signature-input", "edge=" + line4 + parameters()}),
			want: StampMalformed},
		// another label is another's
		{name: "S7 the tag twice",
			headers: edited(func(h [][2]string) {
				h[4][1] += `, other=("@path");tag="edge-stamp"`
				h[5][1] += ", other=:YQ==:"
			}), want: verdict.OK},
		{name: "S7 the tag under another label",
			headers: edited(func(h [][2]string) { h[4][1] = strings.Replace(h[4][1], "edge=", "other=", 1) }),
			want:    StampMalformed},
		{name: "S7 the label with another tag", headers: sign(line4 + parameters("tag", `"x"`)), want: StampMalformed},
		{name: "S7 the label without tag", headers: sign(line4 + parameters("tag", "")), want: StampMalformed},
		{name: "S7 a parameter twice", headers: edited(func(h [][2]string) { h[4][1] += ";created=1" }),
			want: StampMalformed},
		{name: "S7 a component twice",
			headers: edited(func(h [][2]string) {
				h[4][1] = strings.Replace(h[4][1], `"@path"`, `"@path" "@path"`,
					1)
			}), want: StampMalformed},
		{name: "without created", headers: sign(line4 + parameters("created", "")), want: StampMalformed},
		{name: "without expires", headers: sign(line4 + parameters("expires", "")), want: StampMalformed},
		{name: "without nonce", headers: sign(line4 + parameters("nonce", "")), want: StampMalformed},
		{name: "with an empty nonce", headers: sign(line4 + parameters("nonce", `""`)), want: StampMalformed},
		{name: "without keyid", headers: sign(line4 + parameters("keyid", "")), want: StampMalformed},
		{name: "created beyond all years", headers: sign(line4 + parameters("created", "253402300800")),
			want: StampMalformed},
		{name: "of another key", headers: sign(line4 + parameters("keyid", `"edge-2"`)), want: StampKeyUnknown},
		{name: "S6 by another algorithm than the key's", headers: sign(line4 + parameters("alg", `"hmac-sha256"`)),
			want: StampAlgorithm},
		{name: "S6 by an algorithm that is not allowed", headers: sign(line4 + parameters()), want: StampAlgorithm,
			config: `"trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["RS256"],"jwks":{"inline":` + string(mint.Set(edge, rsaKey)) + `}}]`},
		{name: "forged", headers: signMessage(t, forger, line4+parameters(), get), want: StampSignature},
		{name: "expired", headers: sign(line4 + parameters()), at: 35 * time.Second, want: StampExpired},
		{name: "in its last second", headers: sign(line4 + parameters()), at: 35*time.Second - 1, want: verdict.OK},
		{name: "from the future", headers: sign(line4 + parameters()), at: -6 * time.Second, want: StampNotYetValid},
		{name: "as long as maxTtl", headers: sign(line4 + parameters("expires", fmt.Sprint(now.Unix()+60))),
			want: verdict.OK},
		{name: "a second longer", headers: sign(line4 + parameters("expires", fmt.Sprint(now.Unix()+61))),
			want: StampLifetime},
		{name: "S12 over when it begins", headers: sign(line4 + parameters("expires", fmt.Sprint(now.Unix()))),
			want: verdict.OK},
		{name: "S12 over before it begins", headers: sign(line4 + parameters("expires", fmt.Sprint(now.Unix()-1))),
			want: StampMalformed},
		{name: "S5 without the method", headers: sign(`("@authority" "@path" "@query")` + parameters()), want: StampUnbound},
		{name: "S5 without the host", headers: sign(`("@method" "@path" "@query")` + parameters()), want: StampUnbound},
		{name: "S5 without the path", headers: sign(`("@method" "@authority" "@query")` + parameters()), want: StampUnbound},
		{name: "S5 without the query", headers: sign(`("@method" "@authority" "@path")` + parameters()), want: StampUnbound},
		{name: "S5 without the body", headers: sign(line4 + parameters()), config: `"require":{"bind":["body"]}`,
			want: StampUnbound},
		{name: "S5 a parameter of the query for the query",
			headers: sign(`("@method" "@authority" "@path" "@query-param";name="a")` + parameters()), want: StampUnbound},
		{name: "S3 another method", headers: edited(func(h [][2]string) { h[0][1] = "PUT" }), want: StampSignature},
		{name: "S3 another host", headers: edited(func(h [][2]string) { h[1][1] = "api.example" }), want: StampSignature},
		{name: "S3 another path", headers: edited(func(h [][2]string) { h[2][1] = "/orders/8?a=1" }), want: StampSignature},
		{name: "S3 another query", headers: edited(func(h [][2]string) { h[2][1] = "/orders/7?a=2" }), want: StampSignature},
		{name: "the host in another case", headers: edited(func(h [][2]string) { h[1][1] = "api.EXAMPLE:8443" }),
			want: verdict.OK},
		{name: "a covered header is gone",
			headers: append(sign(`("@method" "@authority" "@path" "@query" "x-b")`+parameters(),
				[2]string{"x-b", "1"})[:4:4], sign(`("@method" "@authority" "@path" "@query" "x-b")`+
				parameters(), [2]string{"x-b", "1"})[5:]...), want: StampMismatch},
		{name: "a component that nobody knows",
			headers: edited(func(h [][2]string) { h[4][1] = strings.Replace(h[4][1], `"@query"`, `"@query" "@x"`, 1) }),
			want:    StampUnbound},
		{name: "the status of a response", want: StampUnbound, headers: edited(func(h [][2]string) {
			h[4][1] = strings.Replace(h[4][1], `"@query"`, `"@query" "@status"`, 1)
		})},

		{name: "claims that are covered",
			headers: sign(`("@method" "@authority" "@path" "@query" "x-edge-stamp")`+parameters(),
				[2]string{"x-edge-stamp", body(`{"iss":"https://edge","aud":"mesh","sub":"ann"}`)}), want: verdict.OK},
		{name: "claims that are not",
			headers: with([2]string{"x-edge-stamp", body(`{"iss":"https://edge","aud":"mesh","sub":"root"}`)}),
			want:    StampUnbound},
		{name: "claims of another",
			headers: sign(`("@method" "@authority" "@path" "@query" "x-edge-stamp")`+parameters(),
				[2]string{"x-edge-stamp", body(`{"iss":"https://x","aud":"mesh"}`)}), want: StampIssuer},
		{name: "claims for another",
			headers: sign(`("@method" "@authority" "@path" "@query" "x-edge-stamp")`+parameters(),
				[2]string{"x-edge-stamp", body(`{"iss":"https://edge","aud":"x"}`)}), want: StampAudience},
		{name: "claims that are none",
			headers: sign(`("@method" "@authority" "@path" "@query" "x-edge-stamp")`+parameters(),
				[2]string{"x-edge-stamp", "{}"}), want: StampMalformed},
		{name: "claims twice", headers: sign(`("@method" "@authority" "@path" "@query" "x-edge-stamp")`+parameters(),
			[2]string{"x-edge-stamp", "e30"}, [2]string{"x-edge-stamp", "e30"}), want: StampMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := meshConfig(`"profile":"rfc9421"`)
			if c.config != "" {
				config = merge(config, c.config)
			}
			d := (&proxy{now: now.Add(c.at)}).decide(parse(t, config), c.headers)
			if got := d.Verdict().Reason(); got != c.want {
				t.Errorf("%s, want %s", got.Name, c.want.Name)
			}
		})
	}
}

// S8: a digest that a signature covers is compared with the body, asked for or not.
func TestMessageBody(t *testing.T) {
	const covers = `("@method" "@authority" "@path" "@query" "content-digest")`
	digest := func(value string) [][2]string {
		return signMessage(t, edge, covers+parameters(), request("POST", asked, [2]string{"content-digest", value}))
	}
	hello := base64.StdEncoding.EncodeToString(func() []byte {
		b,
			_ := base64.RawURLEncoding.DecodeString(sum("hello"))
		return b
	}())
	for _, c := range []struct {
		name    string
		headers [][2]string
		x       proxy
		want    *verdict.Code
	}{
		{"the body", digest("sha-256=:" + hello + ":"), proxy{body: "hello"}, verdict.OK},
		{"another body", digest("sha-256=:" + hello + ":"), proxy{body: "hellO"}, StampMismatch},
		{"no body", digest("sha-256=:" + hello + ":"), proxy{}, StampMismatch},
		{"another hash beside it", digest("x=:YQ==:, sha-256=:" + hello + ":"), proxy{body: "hello"}, verdict.OK},
		{"another hash only", digest("sha-512=:" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + ":"),
			proxy{body: "hello"}, StampUnbound},
		{"no digest", digest("x"), proxy{body: "hello"}, StampUnbound},
		{"gRPC", append(digest("sha-256=:"+hello+":"), [2]string{"content-type", "application/grpc"}),
			proxy{body: "hello"}, StampUnbound},
		{"covered in another form",
			signMessage(t, edge, `("@method" "@authority" "@path" "@query" "content-digest";bs)`+parameters(),
				request("POST", asked, [2]string{"content-digest", "sha-256=:" + hello + ":"})), proxy{body: "hellO"},
			StampMismatch},
	} {
		if d := c.x.decide(parse(t, meshConfig(`"profile":"rfc9421"`)), c.headers); d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
	}
}

// S1: a nonce does once, in the name of its issuer.
func TestMessageReplay(t *testing.T) {
	p, x := parse(t, meshConfig(`"profile":"rfc9421"`)), &proxy{}
	h := signMessage(t, edge, line4+parameters(), request("GET", asked))
	again := signMessage(t, edge, line4+parameters("expires", fmt.Sprint(now.Unix()+31)), request("GET", asked))
	for i, c := range []struct {
		headers [][2]string
		want    *verdict.Code
	}{{h, verdict.OK}, {h, StampReplayed}, {again, StampReplayed}} {
		if d := x.decide(p, c.headers); d.Verdict().Code != c.want {
			t.Errorf("request %d: %s", i, d.Verdict().Code.Name)
		}
	}
}

// S2: no bit of the signature's fields can be changed so that it is another signature that is taken.
func TestEveryBitOfMessage(t *testing.T) {
	p := parse(t, meshConfig(`"profile":"rfc9421"`))
	good := (&proxy{}).stamp(t, parse(t, edgeConfig(`"profile":"rfc9421"`)), request("GET", asked))
	if d := (&proxy{}).decide(p, good); d.Verdict().Code != verdict.OK {
		t.Fatal(d.Verdict().Code.Name)
	}
	taken := 0
	for field := 4; field < len(good); field++ {
		for i := range len(good[field][1]) {
			for bit := range 8 {
				h := append([][2]string{}, good...)
				b := []byte(h[field][1])
				b[i] ^= 1 << bit
				h[field][1] = string(b)
				if d := (&proxy{}).decide(p, h); d.Verdict().Admits() {
					taken++
					t.Errorf("%s, byte %d, bit %d: %s is taken", h[field][0], i, bit, b)
				}
			}
		}
	}
}

// A trust whose keys are not there does not keep another's stamps from being verified.
func TestMessageTrusts(t *testing.T) {
	other := mint.New("other-1", jose.EdDSA)
	config := meshConfig(`"profile":"rfc9421","trust":[{"name":"far","issuer":"https://far","audiences":["mesh"],"jwks":{"remote":{"cluster":"c","authority":"a","path":"/"}}},
		{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":` + string(mint.Set(edge)) + `}},{"name":"other","issuer":"https://other","audiences":["mesh"],"algorithms":["EdDSA"],"jwks":{"inline":` + string(mint.Set(other)) + `}}]`)
	p := parse(t, config)
	if d := (&proxy{}).decide(p,
		signMessage(t, edge, line4+parameters(), request("GET", asked))); d.Verdict().Code != verdict.OK ||
		d.stamped.trust.name != "edge" {
		t.Errorf("the edge's: %s", d.Verdict().Code.Name)
	}
	environ["OTHER1"] = other.PrivateJWK()
	out := (&proxy{}).stamp(t,
		parse(t, edgeConfig(`"profile":"rfc9421","keys":[{"kid":"other-1","alg":"EdDSA","env":"OTHER1"}]`)),
		request("GET", asked))
	if d := (&proxy{}).decide(p, out); d.Verdict().Code != verdict.OK || d.stamped.trust.name != "other" {
		t.Errorf("the other's: %s", d.Verdict().Code.Name)
	}
	unknown := signMessage(t, edge, line4+parameters("keyid", `"far-1"`), request("GET", asked))
	d := (&proxy{}).decide(p, unknown)
	if d.KeysWanted() == nil || d.Verdict().Admits() {
		t.Errorf("a key that the far one may have: %s", d.Verdict().Code.Name)
	}
	p.DecideAfterWait(d, toDecide(unknown, true, now))
	if d.Verdict().Code != verdict.KeysUnavailable || d.KeysWanted() != nil {
		t.Errorf("and after the wait: %s", d.Verdict().Code.Name)
	}
}
