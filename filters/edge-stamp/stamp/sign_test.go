// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

var everyAlgorithm = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512}

// go-jose verifies what is signed, by every algorithm, and our own verifier takes it, in both
// profiles; of another key it takes none.
func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range everyAlgorithm {
		key, other := mint.New("k", alg), mint.New("k", alg)
		environ["KEY"], environ["OTHER"] = key.PrivateJWK(), other.PrivateJWK()
		edgeKeys := fmt.Sprintf(`"keys":[{"kid":"k","alg":%q,"env":"KEY"}]`, alg)
		trust := func(k *mint.Key, env string) string {
			if strings.HasPrefix(string(alg), "HS") {
				return fmt.Sprintf(`"trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"keys":[{"kid":"k","alg":%q,"env":%q}]}]`, alg, env)
			}
			return fmt.Sprintf(`"trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":[%q],"jwks":{"inline":%s}}]`, alg, mint.Set(k))
		}
		x := &proxy{}
		out := x.stamp(t, parse(t, edgeConfig(edgeKeys)), request("GET", asked))
		token, err := jwt.ParseSigned(header(out, "x-edge-stamp"), []jose.SignatureAlgorithm{alg})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		got := map[string]any{}
		if err := token.Claims(key.Public(), &got); err != nil {
			t.Errorf("%s: go-jose: %v", alg, err)
		}
		id, _ := base64.RawURLEncoding.DecodeString(fmt.Sprint(got["jti"]))
		want := claims(map[string]any{"jti": got["jti"], "sub": nil, "iat": float64(now.Unix()),
			"exp": float64(now.Unix() + 30)})
		if !reflect.DeepEqual(got, want) || len(id) != 16 {
			t.Errorf("%s: the claims are %v, want %v", alg, got, want)
		}
		if h := token.Headers[0]; h.KeyID != "k" || h.ExtraHeaders["typ"] != stampTyp {
			t.Errorf("%s: the header is %+v", alg, h)
		}
		for _, profile := range []string{"", `,"profile":"rfc9421"`} {
			out := x.stamp(t, parse(t, edgeConfig(edgeKeys+profile)), request("GET", asked))
			if d := x.decide(parse(t, meshConfig(trust(key, "KEY")+profile)), out); d.Verdict().Code != verdict.OK {
				t.Errorf("%s%s: %s", alg, profile, d.Verdict().Code.Name)
			}
			if d := x.decide(parse(t, meshConfig(trust(other, "OTHER")+profile)), out); d.Verdict().Code != StampSignature {
				t.Errorf("%s%s of another key: %s", alg, profile, d.Verdict().Code.Name)
			}
		}
	}
	b := parse(t, edgeConfig(`"keys":[{"kid":"rsa-1","alg":"RS256","env":"RSA"}]`))
	b.SignByProxy()
	x := &proxy{}
	if x.stamp(t, b, request("GET", asked)); !slices.Equal(x.steps, []decide.Step{decide.Sign}) {
		t.Errorf("RS256 by the proxy takes the steps %v", x.steps)
	}
}

// S11 P9 P10: whatever a client sends where stamps stand is removed, whether the request is signed
// or not, and what is not ours stays as it is.
func TestInboundStamps(t *testing.T) {
	theirs := [2]string{"signature-input",
		`client=("@path");created=1;keyid="c",  edge=("@path");created=1;keyid="e";tag="edge-stamp"`}
	sent := func(more ...[2]string) [][2]string {
		return request("GET", asked,
			append([][2]string{{"x-edge-stamp", "forged"}, {"x_edge_stamp", "forged"}, {"x-edge-stamp", "twice"},
				{"x-b", "1"}, theirs,
				{"signature", "edge=:Zg==:"}, {"signature", "client=:YQ==:"}, {"signature_input", "edge=(), x"}}, more...)...)
	}
	for name, config := range map[string]string{
		"signed": edgeConfig(""), "a rule that does not sign": edgeConfig(`"rules":[{"name":"all","sign":false}]`),
		"no rule": edgeConfig(
			`"default":"allow","rules":[{"name":"all","sign":true,"match":[{"paths":["/x"]}]}]`),
		"no rule in shadow mode": edgeConfig(
			`"mode":"shadow","rules":[{"name":"all","sign":true,"match":[{"paths":["/x"]}]}]`),
		"rfc9421":             edgeConfig(`"profile":"rfc9421"`),
		"rfc9421, not signed": edgeConfig(`"profile":"rfc9421","rules":[{"name":"all","sign":false}]`),
		"rfc9421, stripped": meshConfig(
			`"profile":"rfc9421","forward":{"stamp":"strip"},"rules":[{"name":"all","access":"public"}]`),
		"stripped": meshConfig(`"forward":{"stamp":"strip"},"rules":[{"name":"all","access":"public"}]`),
	} {
		out := effect((&proxy{}).decide(parse(t, config), sent()), sent())
		stamp := header(out, "x-edge-stamp")
		text := strings.Replace(fmt.Sprint(out), stamp, "", 1)
		if strings.Contains(text, "forged") || strings.Contains(text, "twice") || header(out, "x_edge_stamp") != "" ||
			header(out, "x-b") != "1" {
			t.Errorf("%s: %v", name, out)
		}
		if (stamp != "") != (name == "signed") {
			t.Errorf("%s: the stamp is %q", name, stamp)
		}
		// profile jws has none of these
		wantInputs, wantSignatures, wantOther := []string{theirs[1]}, []string{"edge=:Zg==:", "client=:YQ==:"}, "edge=(), x"
		if strings.HasPrefix(name, "rfc9421") {
			wantInputs, wantSignatures, wantOther = []string{`client=("@path");created=1;keyid="c"`},
				[]string{"client=:YQ==:"}, "x"
		}
		inputs, signatures := values(out, "signature-input"), values(out, "signature")
		if name == "rfc9421" {
			if len(inputs) != 2 || !strings.HasPrefix(inputs[1], `edge=("@method"`) ||
				!strings.HasPrefix(signatures[len(signatures)-1], "edge=:") {
				t.Fatalf("%s: not signed: %q %q", name, inputs, signatures)
			}
			inputs, signatures = inputs[:1], signatures[:len(signatures)-1]
		}
		if !slices.Equal(inputs, wantInputs) || !slices.Equal(signatures, wantSignatures) ||
			header(out, "signature_input") != wantOther {
			t.Errorf("%s: %q %q %q", name, inputs, signatures, header(out, "signature_input"))
		}
	}
	none := request("GET", asked)
	if out := effect((&proxy{}).decide(parse(t, edgeConfig(`"rules":[{"name":"all","sign":false}]`)), none),
		none); len(out) != 4 {
		t.Errorf("nothing to remove: %v", out)
	}
}

// What others sign in Signature, Signature-Input and Content-Digest goes on byte for byte, in as
// many fields as it came, whoever can read it; the mesh admits the request by our stamp beside it,
// and leaves it there when it strips that.
func TestForeignSignatures(t *testing.T) {
	type fields struct{ inputs, signatures, digests []string }
	digest := func(text string) string { return "sha-512=:" + strings.Repeat("A", 85) + text + "==:" }
	for _, c := range []struct {
		name string
		fields
		unreadable bool
		want       fields // where something is ours
	}{
		{name: "none"},
		{name: "of an older scheme",
			fields: fields{signatures: []string{
				`keyId="a",algorithm="rsa-sha256",headers="(request-target) host date",signature="eA=="`}}, unreadable: true},
		{name: "of a webhook", fields: fields{signatures: []string{`t=1,v1=ab`}}, unreadable: false},
		{name: "of another", fields: fields{signatures: []string{`sha256=0123456789abcdef`}}, unreadable: true},
		{name: "base64", fields: fields{signatures: []string{`dGV4dA==`}}, unreadable: true},
		{name: "a label that does not parse",
			fields: fields{inputs: []string{`sig1=afd37b…`}, signatures: []string{`sig1=:AAAA:;v=1`}}, unreadable: true},
		{name: "parameters of wrong types",
			fields: fields{inputs: []string{`sig1=("@method");created="161";keyid=k`}, signatures: []string{`sig1=:AAAA:;v=1`}}},
		{name: "two fields, with spaces that nobody needs",
			fields: fields{inputs: []string{`sig1=( "@method"  "@path" );created=1`, `sig2=("@authority") , sig3=()`},
				signatures: []string{`sig1=:AAAA:`, `sig2=:AAAB:,sig3=:AAAC:`}}},
		{name: "with our tag", fields: fields{inputs: []string{`sig1=("@method");tag="edge-stamp"`},
			signatures: []string{`sig1=:AAAA:`}}},
		{name: "with our label in a String",
			fields: fields{inputs: []string{`sig1=();keyid="a, edge=()"`}, signatures: []string{`sig1=:AAAA:`}}},
		{name: "a digest of another algorithm", fields: fields{digests: []string{digest("w")}}},
		{name: "a digest that is none", fields: fields{digests: []string{`SHA-256=abc`, `md5=x`}}, unreadable: true},
		{name: "ours among others",
			fields: fields{inputs: []string{`sig1=() , edge=("@method");created=1,sig2=()`, `edge`},
				signatures: []string{`edge=:AAAA:, sig1=:AAAA:`, `sig2=:AAAA:`}},
			want: fields{inputs: []string{`sig1=() ,sig2=()`}, signatures: []string{`sig1=:AAAA:`, `sig2=:AAAA:`}}},
		{name: "ours among what cannot be read",
			fields: fields{inputs: []string{`((, edge=("@method");created=1;nonce="a,b", x`},
				signatures: []string{`keyId="a",signature="eA==", edge=:AAAA:`}}, unreadable: true,
			want: fields{inputs: []string{`((, x`}, signatures: []string{`keyId="a",signature="eA=="`}}},
		{name: "a digest of ours that is of another body",
			fields: fields{digests: []string{"sha-256=:" + strings.Repeat("A", 43) + "=:, " + digest("w")}},
			want:   fields{digests: []string{digest("w")}}},
	} {
		headers := request("POST", asked)
		for name, list := range map[string][]string{"signature-input": c.inputs, "signature": c.signatures,
			"content-digest": c.digests} {
			for _, value := range list {
				headers = append(headers, [2]string{name, value})
			}
		}
		got := func(out [][2]string) fields {
			theirs := func(name string, ours ...string) []string {
				return slices.DeleteFunc(values(out, name), func(v string) bool {
					return slices.ContainsFunc(ours, func(o string) bool { return strings.HasPrefix(v, o) })
				})
			}
			return fields{theirs("signature-input", "edge="), theirs("signature", "edge="), theirs("content-digest", "sha-256=")}
		}
		for name, rules := range map[string]string{"signed": `"bind":["method","authority","path","query","body"]`,
			"not signed": `"rules":[{"name":"all","sign":false}]`} {
			x := &proxy{body: "text"}
			// Profile jws has nothing there.
			if out := effect(x.decide(parse(t, edgeConfig(rules)), headers),
				headers); !slices.Equal(values(out, "signature-input"), c.inputs) ||
				!slices.Equal(values(out, "signature"), c.signatures) || !slices.Equal(values(out, "content-digest"), c.digests) {
				t.Errorf("%s, jws, %s: %q", c.name, name, out)
			}
			d := x.decide(parse(t, edgeConfig(`"profile":"rfc9421",`+rules)), headers)
			if !d.Verdict().Admits() {
				t.Fatalf("%s, %s: %s", c.name, name, d.Verdict().Code.Name)
			}
			out := effect(d, headers)
			want := c.fields
			if c.want.inputs != nil {
				want.inputs, want.signatures = c.want.inputs, c.want.signatures
			}
			if c.want.digests != nil && name == "signed" {
				want.digests = c.want.digests
			}
			if name == "not signed" {
				want.digests = nil
				if theirs := values(out, "content-digest"); !slices.Equal(theirs, c.digests) {
					t.Errorf("%s: a digest is touched that nobody asked for: %q", c.name, theirs)
				}
				out = slices.DeleteFunc(out, func(h [2]string) bool { return h[0] == "content-digest" })
			}
			if got := got(out); !slices.Equal(got.inputs, want.inputs) ||
				!slices.Equal(got.signatures, want.signatures) || !slices.Equal(got.digests, want.digests) {
				t.Errorf("%s, %s: got\n%q\nwant\n%q", c.name, name, got, want)
			}
			if wantUnreadable := c.unreadable && (name == "signed" || c.digests == nil); d.Unreadable() != wantUnreadable {
				t.Errorf("%s, %s: unreadable: %v", c.name, name, d.Unreadable())
			}
			mesh := parse(t, meshConfig(
				`"profile":"rfc9421","require":{"bind":["method","authority","path","query","body"]},"forward":{"stamp":"strip"}`))
			v := (&proxy{body: "text"}).decide(mesh, out)
			if name != "signed" {
				if v.Verdict().Code != StampMissing {
					t.Errorf("%s, not signed: the mesh says %s", c.name, v.Verdict().Code.Name)
				}
				continue
			}
			if v.Verdict().Code != verdict.OK {
				t.Errorf("%s: the mesh says %s of\n%q", c.name, v.Verdict().Code.Name, out)
			}
			if stripped := effect(v, out); slices.ContainsFunc(values(stripped, "signature"),
				func(s string) bool { return strings.Contains(s, "edge=:") }) ||
				!slices.Equal(got(stripped).inputs, want.inputs) || !slices.Equal(got(stripped).signatures, want.signatures) {
				t.Errorf("%s: stripped: %q", c.name, stripped)
			}
			// Whoever joins the lines on the way changes nothing.
			var joined [][2]string
			for _, h := range out {
				if i := slices.IndexFunc(joined, func(j [2]string) bool { return j[0] == h[0] }); i >= 0 {
					joined[i][1] += ", " + h[1]
				} else {
					joined = append(joined, h)
				}
			}
			if v := (&proxy{body: "text"}).decide(mesh, joined); v.Verdict().Code != verdict.OK {
				t.Errorf("%s, joined: the mesh says %s of\n%q", c.name, v.Verdict().Code.Name, joined)
			}
		}
	}
}

// S11: a stamp that a client has from elsewhere does not get through the edge, however it is
// wrapped: neither in each line nor in all of them joined does the mesh find it.
func TestNoStampIsSmuggled(t *testing.T) {
	stolen := (&proxy{}).stamp(t, parse(t, edgeConfig(`"profile":"rfc9421"`)), request("GET", asked))
	input, signature := header(stolen, "signature-input"), header(stolen, "signature")
	edge, mesh := parse(t, edgeConfig(`"profile":"rfc9421","rules":[{"name":"all","sign":false}]`)), parse(t,
		meshConfig(`"profile":"rfc9421"`))
	for name, wrap := range map[string]func(member string) []string{
		"as it is":                                    func(m string) []string { return []string{m} },
		"behind another":                              func(m string) []string { return []string{"a=(), " + m} },
		"behind what cannot be read":                  func(m string) []string { return []string{"((, " + m} },
		"behind a String that does not end":           func(m string) []string { return []string{`a="x, ` + m} },
		"where a String ends that another line began": func(m string) []string { return []string{`a="x`, `y", ` + m} },
		"behind an escape that does not end":          func(m string) []string { return []string{`a="x\`, m} },
		"in many members": func(m string) []string {
			return []string{strings.Repeat("a=1,", 1000) + m}
		},
		"behind a tab":                    func(m string) []string { return []string{"((,\t" + m} },
		"in front of what cannot be read": func(m string) []string { return []string{m + ", (("} },
		"twice":                           func(m string) []string { return []string{m, m} },
		"between two Strings of which only the joined lines end": func(m string) []string { return []string{`"`, m, `"`} },
	} {
		headers := request("GET", asked)
		for _, line := range wrap(input) {
			headers = append(headers, [2]string{"signature-input", line})
		}
		for _, line := range wrap(signature) {
			headers = append(headers, [2]string{"signature", line})
		}
		out := effect((&proxy{}).decide(edge, headers), headers)
		joined := append(request("GET", asked),
			[2]string{"signature-input", strings.Join(values(out, "signature-input"), ", ")}, [2]string{"signature",
				strings.Join(values(out, "signature"), ", ")})
		for _, h := range [][][2]string{out, joined} {
			if v := (&proxy{}).decide(mesh, h).Verdict(); v.Code != StampMissing {
				t.Errorf("%s: %s: %q", name, v.Code.Name, h)
			}
		}
	}
}

// What is copied comes from claims that a filter has verified, as they are.
func TestCopyClaims(t *testing.T) {
	const copied = `"copyClaims":["sub","scope","roles","n","missing","nothing"]`
	x := &proxy{identity: `{"iss":"idp","sub":"ann \"<&>\" é","scope":"a b","roles":["x",{"y":1.50}],"n":12345678901234567890,"nothing":null,"jti":"theirs","other":1}`}
	for _, profile := range []string{"", `,"profile":"rfc9421"`} {
		out := x.stamp(t, parse(t, edgeConfig(copied+profile)), request("GET", asked))
		d := x.decide(parse(t, meshConfig(`"forward":{"claimHeaders":[{"path":["scope"],"header":"x-scope"}]}`+profile)), out)
		if d.Verdict().Code != verdict.OK {
			t.Fatalf("%s: %s", profile, d.Verdict().Code.Name)
		}
		var got struct {
			Iat, Exp             int64
			Iss, Aud, Sub, Scope string
			Roles, N             json.RawMessage
			Other, Missing       any
			JTI                  string
		}
		if err := json.Unmarshal([]byte(d.identity), &got); err != nil {
			t.Fatalf("%s: %v: %s", profile, err, d.identity)
		}
		if got.Iat != now.Unix() || got.Exp != now.Unix()+30 || got.Iss != "https://edge" || got.Aud != "mesh" ||
			got.Sub != `ann "<&>" é` || string(got.Roles) != `["x",{"y":1.50}]` ||
			string(got.N) != "12345678901234567890" || got.Other != nil || got.JTI == "theirs" ||
			strings.Contains(d.identity, "nothing") {
			t.Errorf("%s: the identity is %s", profile, d.identity)
		}
		if e := effect(d, out); header(e, "x-scope") != "a b" {
			t.Errorf("%s: %v", profile, e)
		}
	}
	x = &proxy{} // nobody is known: the stamp says nothing of anybody
	out := x.stamp(t, parse(t, edgeConfig(copied+`,"profile":"rfc9421"`)),
		request("GET", asked, [2]string{"x-edge-stamp", "e30"}))
	if header(out, "x-edge-stamp") != "" {
		t.Errorf("without identity: %v", out)
	}
}

// What rules bind is what stamps have.
func TestBind(t *testing.T) {
	names := map[string]string{"method": "htm", "authority": "hth", "path": "htp", "query": "qsh", "body": "bdh"}
	for part, name := range names {
		x := &proxy{body: "hello"}
		out := x.stamp(t, parse(t, edgeConfig(`"rules":[{"name":"all","sign":true,"bind":["`+part+`"]}]`)),
			request("POST", asked))
		payload, _ := base64.RawURLEncoding.DecodeString(parts3(header(out, "x-edge-stamp"))[1])
		for _, other := range names {
			if strings.Contains(string(payload), `"`+other+`"`) != (other == name) {
				t.Errorf("bind %s: %s", part, payload)
			}
		}
		out = x.stamp(t, parse(t, edgeConfig(`"profile":"rfc9421","bind":["`+part+`"]`)), request("POST", asked))
		component := map[string]string{"body": "content-digest"}[part]
		if component == "" {
			component = "@" + part
		}
		if input := header(out, "signature-input"); !strings.HasPrefix(input, `edge=("`+component+
			`");created=1800000000;expires=1800000030;nonce="`) ||
			!strings.HasSuffix(input, `";keyid="edge-1";tag="edge-stamp"`) {
			t.Errorf("bind %s: %s", part, input)
		}
	}
	whole := parse(t, edgeConfig(`"bind":["method","authority","path","query","body"]`))
	for name, c := range map[string]struct {
		x    proxy
		more [2]string
		want string
	}{
		"a body": {proxy{body: "hello"}, [2]string{"a", "b"}, sum("hello")}, "no body": {proxy{}, [2]string{"a", "b"},
			sum("")},
		"gRPC":       {proxy{body: "hello"}, [2]string{"content-type", "application/grpc"}, ""},
		"an upgrade": {proxy{body: "hello"}, [2]string{"upgrade", "websocket"}, ""},
	} {
		out := c.x.stamp(t, whole, request("POST", asked, c.more))
		var got struct{ BDH string }
		payload, _ := base64.RawURLEncoding.DecodeString(parts3(header(out, "x-edge-stamp"))[1])
		if err := json.Unmarshal(payload, &got); err != nil || got.BDH != c.want {
			t.Errorf("%s: %s", name, payload)
		}
	}
	if d := (&proxy{body: "x"}).decide(whole,
		request("POST", asked, [2]string{"content-length", "1048577"})); d.Verdict().Code != BodyTooLarge {
		t.Errorf("too long: %s", d.Verdict().Code.Name)
	}
}

// S17: no two stamps have the same id.
func TestIDs(t *testing.T) {
	p, seen := parse(t, edgeConfig(`"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]`)), map[string]bool{}
	for range 10000 {
		var c struct{ JTI string }
		payload, _ := base64.RawURLEncoding.DecodeString(parts3(header((&proxy{}).stamp(t, p, request("GET", asked)),
			"x-edge-stamp"))[1])
		if err := json.Unmarshal(payload, &c); err != nil || seen[c.JTI] || len(c.JTI) != 22 {
			t.Fatalf("%s: %v", payload, err)
		}
		seen[c.JTI] = true
	}
}

// S13: the published set has every key's public half, and nothing private.
func TestPublish(t *testing.T) {
	ed, pss := mint.New("ed", jose.EdDSA), mint.New("pss", jose.PS256)
	old := mint.New("old", jose.ES384)
	p := parse(t, edgeConfig(`"publish":"/.well-known/edge-stamp/jwks.json","keys":[{"kid":"edge-1","alg":"ES256","env":"EDGE"},{"kid":"ed","alg":"EdDSA","jwk":`+ed.PrivateJWK()+`},
		{"kid":"pss","alg":"PS256","jwk":`+pss.PrivateJWK()+`},{"kid":"old","alg":"ES384","publicOnly":`+old.PublicJWK()+`},{"kid":"h","alg":"HS256","env":"SECRET"}]`))
	const path = "/.well-known/edge-stamp/jwks.json"
	ask := func(method, path string, more ...[2]string) (int, [][2]string, string, bool) {
		d := (&proxy{}).decide(p, request(method, path, more...))
		return d.Publishes()
	}
	status, headers, body, ok := ask("GET", path)
	if !ok || status != 200 || header(headers, "cache-control") != "public, max-age=300" ||
		header(headers, "content-type") != "application/jwk-set+json" {
		t.Fatalf("%v %d %v", ok, status, headers)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 4 {
		t.Fatalf("%v: %s", err, body)
	}
	for i, k := range []*mint.Key{edge, ed, pss, old} {
		if got := set.Keys[i]; got.KeyID != k.ID || got.Algorithm != string(k.Algorithm) || got.Use != "sig" ||
			!got.IsPublic() || !reflect.DeepEqual(got.Key, k.Public()) {
			t.Errorf("key %d is %+v", i, got)
		}
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
		if strings.Contains(body, `"`+name+`"`) {
			t.Errorf("the set has a member %s", name)
		}
	}
	etag := header(headers, "etag")
	if status, _, body, ok := ask("GET", path, [2]string{"if-none-match", `"x", ` + etag}); !ok || status != 304 ||
		body != "" {
		t.Errorf("with its etag: %d %s", status, body)
	}
	for _, c := range [][2]string{{"GET", path + "?a=1"}, {"HEAD", path}, {"GET", "/.well-known/edge%2Dstamp/jwks.json"}} {
		if _, _, _, ok := ask(c[0], c[1]); !ok {
			t.Errorf("%v is not answered", c)
		}
	}
	for _, c := range [][2]string{{"POST", path}, {"GET", path + "/"}, {"GET", "/"}} {
		if _, _, _, ok := ask(c[0], c[1]); ok {
			t.Errorf("%v is answered with the keys", c)
		}
	}
	x := &proxy{}
	if out := x.stamp(t, p, request("GET", "/")); header(out, "x-edge-stamp") == "" {
		t.Error("other paths are not signed")
	}
}

// The rule decides, and shadow mode lets go on what it would refuse.
func TestSignRules(t *testing.T) {
	config := edgeConfig(`"rules":[{"name":"a","match":[{"paths":["/a"]}],"sign":false},{"name":"b","match":[{"paths":["/b"]}],"sign":true}]`)
	for path, want := range map[string]*verdict.Code{"/a": verdict.OK, "/b": verdict.OK, "/c": verdict.NoRule,
		"//": verdict.PathAmbiguous} {
		d := (&proxy{}).decide(parse(t, config), request("GET", path))
		if d.Verdict().Code != want || (len(d.set) > 0) != (path == "/b") {
			t.Errorf("%s: %s, %v", path, d.Verdict().Code.Name, d.set)
		}
	}
}

// What the glue asks of a configuration, it may ask of either role.
func TestRoles(t *testing.T) {
	signs, verifies := parse(t, edgeConfig("")), parse(t, meshConfig(globalConfig))
	if signs.Signer() == nil || signs.Remotes() != nil || signs.ReplayEntries() != 0 || signs.Global() != nil ||
		signs.RuleName(-1) != "-" || signs.RuleName(0) != "all" {
		t.Error("the edge's")
	}
	if verifies.Signer() != nil || verifies.ReplayEntries() != 65536 || verifies.Global().Domain != "d" ||
		parse(t, meshConfig(`"rules":[{"name":"all","access":"public"}]`)).ReplayEntries() != 0 {
		t.Error("the mesh's")
	}
}

// Paths that need escaping in JSON are bound as they are; what a signature base cannot hold is refused in that profile.
func TestOddPaths(t *testing.T) {
	for _, path := range []string{`/a"b`, "/caf\u00e9?\u00e9", `/a?"\`, "/a?\x7f", "/a?<&>", "/a%22b", "*"} {
		method := "GET"
		if path == "*" {
			method = "OPTIONS"
		}
		x := &proxy{}
		out := x.stamp(t, parse(t, edgeConfig("")), request(method, path))
		if d := x.decide(parse(t, meshConfig("")), out); d.Verdict().Code != verdict.OK {
			t.Errorf("%q: %s", path, d.Verdict().Code.Name)
		}
	}
	for path, want := range map[string]*verdict.Code{"/caf\u00e9": verdict.PathAmbiguous,
		"/a?\x7f": verdict.PathAmbiguous, `/a"b`: verdict.OK} {
		if d := (&proxy{}).decide(parse(t, edgeConfig(`"profile":"rfc9421"`)),
			request("GET", path)); d.Verdict().Code != want {
			t.Errorf("%q in profile rfc9421: %s", path, d.Verdict().Code.Name)
		}
	}
}

// A key that does not sign is no reason to let a request go without a stamp.
func TestKeyDoesNotSign(t *testing.T) {
	p := parse(t, edgeConfig(""))
	p.signer.byProxy = false // ES256 is the proxy's alone
	if d := (&proxy{}).decide(p, request("GET", asked)); d.Verdict().Code != verdict.Internal {
		t.Error(d.Verdict().Code.Name)
	}
}

// A default port and a trailing dot count as none, whatever the scheme on either side: TLS may end
// on the way, and proxies take both off.
func TestAuthority(t *testing.T) {
	at := func(authority, scheme string) [][2]string {
		return [][2]string{{":method", "GET"}, {":authority", authority}, {":path", asked}, {":scheme", scheme}}
	}
	for _, c := range []struct {
		edge, mesh string
		want       *verdict.Code
	}{
		{"host:443", "host:443", verdict.OK}, {"host:443", "host", verdict.OK}, {"host", "host:443", verdict.OK},
		{"host:80", "host", verdict.OK}, {"host:443", "host:80", verdict.OK}, {"host.", "host", verdict.OK}, {"host",
			"HOST.", verdict.OK},
		{"host.:443", "host", verdict.OK}, {"host:", "host", verdict.OK}, {"[2001:db8::1]:443", "[2001:DB8::1]",
			verdict.OK}, {"host.:8443", "host:8443", verdict.OK},
		{"host:8443", "host", nil}, {"host", "host:8080", nil}, {"host:4433", "host:443", nil}, {"host", "hosts", nil},
		{"[2001:db8::443]", "[2001:db8::]", nil},
	} {
		for profile, differs := range map[string]*verdict.Code{"jws": StampMismatch, "rfc9421": StampSignature} {
			want := c.want
			if want == nil {
				want = differs
			}
			for _, schemes := range [][2]string{{"https", "http"}, {"http", "https"}, {"https", "https"}} {
				more := `"profile":"` + profile + `"`
				out := (&proxy{}).stamp(t, parse(t, edgeConfig(more)), at(c.edge, schemes[0]))
				out[1][1], out[3][1] = c.mesh, schemes[1]
				if got := (&proxy{}).decide(parse(t, meshConfig(more)), out).Verdict().Code; got != want {
					t.Errorf("%s: %s by %s, then %s by %s: %s, want %s", profile, c.edge, schemes[0], c.mesh,
						schemes[1], got.Name, want.Name)
				}
			}
		}
	}
	// An edge of another make binds the authority as it was sent.
	for bound, want := range map[string]*verdict.Code{"api.example:443": verdict.OK, "api.example.": verdict.OK,
		"api.example:8443": StampMismatch} {
		h := at("API.example", "https")
		h = append(h, [2]string{"x-edge-stamp", edge.Typed(stampTyp, claims(map[string]any{"hth": bound}))})
		if got := (&proxy{}).decide(parse(t, meshConfig("")), h).Verdict().Code; got != want {
			t.Errorf("bound to %s: %s, want %s", bound, got.Name, want.Name)
		}
	}
}

// The edge never sends a stamp that the mesh would take for malformed: what it sends is verified,
// and what would be too large is refused with a code of its own.
func TestStampSize(t *testing.T) {
	list := func(n, size int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf("%q", fmt.Sprintf("%0*d", size, i))
		}
		return `{"groups":[` + strings.Join(items, ",") + `]}`
	}
	for _, profile := range []string{"jws", "rfc9421"} {
		edge, mesh := parse(t, edgeConfig(`"copyClaims":["groups"],"profile":"`+profile+`"`)), parse(t,
			meshConfig(`"profile":"`+profile+`"`))
		large, sent := 0, 0
		try := func(name, identity string, want *verdict.Code) {
			t.Helper()
			x := &proxy{identity: identity}
			h := request("GET", asked)
			d := x.decide(edge, h)
			code := d.Verdict().Code
			if want != nil && code != want {
				t.Errorf("%s, %s: %s, want %s", profile, name, code.Name, want.Name)
			}
			out := effect(d, h)
			if code == StampTooLarge {
				large++
				if said := d.TooLarge(); !strings.Contains(said, "may have 16384 bytes") ||
					strings.Contains(said, "0000") || header(out, "x-edge-stamp")+header(out, "signature") != "" {
					t.Errorf("%s, %s: %s, %v", profile, name, said, out)
				}
				return
			}
			sent++
			v := (&proxy{}).decide(mesh, out)
			if v.Verdict().Code != verdict.OK {
				t.Errorf("%s, %s: the edge sends what the mesh calls %s", profile, name, v.Verdict().Code.Name)
			}
		}
		try("150 UUIDs", list(150, 36), verdict.OK)
		try("400 UUIDs", list(400, 36), StampTooLarge)
		try("1,500 short groups", list(1500, 4), verdict.OK)
		try("13 levels", `{"groups":`+strings.Repeat("[", 13)+strings.Repeat("]", 13)+`}`, verdict.OK)
		try("40 levels", `{"groups":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`, StampTooLarge)
		for n := 11500; n < 12500; n += 7 { // around the limit, to the byte
			try(fmt.Sprintf("a claim of %d bytes", n), `{"groups":"`+strings.Repeat("g", n)+`"}`, nil)
		}
		for n := 11800; n < 12300; n++ {
			if large > 200 {
				break
			}
			try(fmt.Sprintf("a claim of %d bytes", n), `{"groups":"`+strings.Repeat("g", n)+`"}`, nil)
		}
		for n := 990; n < 1030; n++ {
			members := `"m":1`
			for i := range n - 1 {
				members += fmt.Sprintf(`,"%d":1`, i)
			}
			try(fmt.Sprintf("%d members", n), `{"groups":{`+members+`}}`, nil)
		}
		if large < 10 || sent < 10 {
			t.Errorf("%s: %d too large, %d sent", profile, large, sent)
		}
	}
}
