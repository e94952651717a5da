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

	"github.com/tollgate-wasm/tollgate/build/mint"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

var everyAlgorithm = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512}

// go-jose verifies what is signed, by every algorithm, and our own verifier takes it, in both profiles; of another key it takes none.
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
		want := claims(map[string]any{"jti": got["jti"], "sub": nil, "iat": float64(now.Unix()), "exp": float64(now.Unix() + 30)})
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
	if x.stamp(t, b, request("GET", asked)); !slices.Equal(x.steps, []Step{Sign}) {
		t.Errorf("RS256 by the proxy takes the steps %v", x.steps)
	}
}

// S11 P9 P10: whatever a client sends where stamps stand is removed, whether the request is signed or not, and other signatures stay.
func TestInboundStamps(t *testing.T) {
	theirs := [2]string{"signature-input", `client=("@path");created=1;keyid="c", edge=("@path");created=1;keyid="e";tag="edge-stamp"`}
	sent := func(more ...[2]string) [][2]string {
		return request("GET", asked, append([][2]string{{"x-edge-stamp", "forged"}, {"x_edge_stamp", "forged"}, {"x-edge-stamp", "twice"}, {"x-b", "1"}, theirs,
			{"signature", "edge=:Zg==:"}, {"signature", "client=:YQ==:"}, {"signature_input", "x"}}, more...)...)
	}
	for name, config := range map[string]string{
		"signed": edgeConfig(""), "a rule that does not sign": edgeConfig(`"rules":[{"name":"all","sign":false}]`), "no rule": edgeConfig(`"default":"allow","rules":[{"name":"all","sign":true,"match":[{"paths":["/x"]}]}]`),
		"no rule in shadow mode": edgeConfig(`"mode":"shadow","rules":[{"name":"all","sign":true,"match":[{"paths":["/x"]}]}]`), "rfc9421": edgeConfig(`"profile":"rfc9421"`),
		"rfc9421, not signed": edgeConfig(`"profile":"rfc9421","rules":[{"name":"all","sign":false}]`),
	} {
		out := effect((&proxy{}).decide(parse(t, config), sent()), sent())
		stamp := header(out, "x-edge-stamp")
		text := strings.Replace(fmt.Sprint(out), stamp, "", 1)
		if strings.Contains(text, "forged") || strings.Contains(text, "twice") || strings.Contains(text, "Zg==") || strings.Contains(text, `keyid="e"`) {
			t.Errorf("%s: %v", name, out)
		}
		for _, h := range out {
			if strings.Contains(h[0], "_") {
				t.Errorf("%s: %s is left", name, h[0])
			}
		}
		if !strings.HasPrefix(header(out, "signature-input"), `client=("@path");created=1;keyid="c"`) || !strings.HasPrefix(header(out, "signature"), "client=:YQ==:") || header(out, "x-b") != "1" {
			t.Errorf("%s: what is not ours is gone: %v", name, out)
		}
		if (stamp != "") != (name == "signed") {
			t.Errorf("%s: the stamp is %q", name, stamp)
		}
	}
	broken := request("GET", asked, [2]string{"signature", "client=:YQ==:, ("}, [2]string{"signature-input", "edge"})
	if out := effect((&proxy{}).decide(parse(t, edgeConfig("")), broken), broken); header(out, "signature") != "" || header(out, "signature-input") != "" {
		t.Errorf("signatures that nobody can read: %v", out)
	}
	none := request("GET", asked)
	if out := effect((&proxy{}).decide(parse(t, edgeConfig(`"rules":[{"name":"all","sign":false}]`)), none), none); len(out) != 4 {
		t.Errorf("nothing to remove: %v", out)
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
		if got.Iat != now.Unix() || got.Exp != now.Unix()+30 || got.Iss != "https://edge" || got.Aud != "mesh" || got.Sub != `ann "<&>" é` || string(got.Roles) != `["x",{"y":1.50}]` || string(got.N) != "12345678901234567890" || got.Other != nil || got.JTI == "theirs" || strings.Contains(d.identity, "nothing") {
			t.Errorf("%s: the identity is %s", profile, d.identity)
		}
		if e := effect(d, out); header(e, "x-scope") != "a b" {
			t.Errorf("%s: %v", profile, e)
		}
	}
	x = &proxy{} // nobody is known: the stamp says nothing of anybody
	out := x.stamp(t, parse(t, edgeConfig(copied+`,"profile":"rfc9421"`)), request("GET", asked, [2]string{"x-edge-stamp", "e30"}))
	if header(out, "x-edge-stamp") != "" {
		t.Errorf("without identity: %v", out)
	}
}

// What rules bind is what stamps have.
func TestBind(t *testing.T) {
	names := map[string]string{"method": "htm", "authority": "hth", "path": "htp", "query": "qsh", "body": "bdh"}
	for part, name := range names {
		x := &proxy{body: "hello"}
		out := x.stamp(t, parse(t, edgeConfig(`"rules":[{"name":"all","sign":true,"bind":["`+part+`"]}]`)), request("POST", asked))
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
		if input := header(out, "signature-input"); !strings.HasPrefix(input, `edge=("`+component+`");created=1800000000;expires=1800000030;nonce="`) || !strings.HasSuffix(input, `";keyid="edge-1";tag="edge-stamp"`) {
			t.Errorf("bind %s: %s", part, input)
		}
	}
	whole := parse(t, edgeConfig(`"bind":["method","authority","path","query","body"]`))
	for name, c := range map[string]struct {
		x    proxy
		more [2]string
		want string
	}{
		"a body": {proxy{body: "hello"}, [2]string{"a", "b"}, sum("hello")}, "no body": {proxy{}, [2]string{"a", "b"}, sum("")},
		"gRPC": {proxy{body: "hello"}, [2]string{"content-type", "application/grpc"}, ""}, "an upgrade": {proxy{body: "hello"}, [2]string{"upgrade", "websocket"}, ""},
	} {
		out := c.x.stamp(t, whole, request("POST", asked, c.more))
		var got struct{ BDH string }
		payload, _ := base64.RawURLEncoding.DecodeString(parts3(header(out, "x-edge-stamp"))[1])
		if err := json.Unmarshal(payload, &got); err != nil || got.BDH != c.want {
			t.Errorf("%s: %s", name, payload)
		}
	}
	if d := (&proxy{body: "x"}).decide(whole, request("POST", asked, [2]string{"content-length", "1048577"})); d.Verdict().Code != BodyTooLarge {
		t.Errorf("too long: %s", d.Verdict().Code.Name)
	}
}

// S17: no two stamps have the same id.
func TestIDs(t *testing.T) {
	p, seen := parse(t, edgeConfig(`"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}]`)), map[string]bool{}
	for range 10000 {
		var c struct{ JTI string }
		payload, _ := base64.RawURLEncoding.DecodeString(parts3(header((&proxy{}).stamp(t, p, request("GET", asked)), "x-edge-stamp"))[1])
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
	if !ok || status != 200 || header(headers, "cache-control") != "public, max-age=300" || header(headers, "content-type") != "application/jwk-set+json" {
		t.Fatalf("%v %d %v", ok, status, headers)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil || len(set.Keys) != 4 {
		t.Fatalf("%v: %s", err, body)
	}
	for i, k := range []*mint.Key{edge, ed, pss, old} {
		if got := set.Keys[i]; got.KeyID != k.ID || got.Algorithm != string(k.Algorithm) || got.Use != "sig" || !got.IsPublic() || !reflect.DeepEqual(got.Key, k.Public()) {
			t.Errorf("key %d is %+v", i, got)
		}
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
		if strings.Contains(body, `"`+name+`"`) {
			t.Errorf("the set has a member %s", name)
		}
	}
	etag := header(headers, "etag")
	if status, _, body, ok := ask("GET", path, [2]string{"if-none-match", `"x", ` + etag}); !ok || status != 304 || body != "" {
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
	for path, want := range map[string]*verdict.Code{"/a": verdict.OK, "/b": verdict.OK, "/c": verdict.NoRule, "//": verdict.PathAmbiguous} {
		d := (&proxy{}).decide(parse(t, config), request("GET", path))
		if d.Verdict().Code != want || (len(d.set) > 0) != (path == "/b") {
			t.Errorf("%s: %s, %v", path, d.Verdict().Code.Name, d.set)
		}
	}
}

// What the glue asks of a configuration, it may ask of either role.
func TestRoles(t *testing.T) {
	signs, verifies := parse(t, edgeConfig("")), parse(t, meshConfig(globalConfig))
	if signs.Signer() == nil || signs.Remotes() != nil || signs.ReplayEntries() != 0 || signs.Global() != nil || signs.RuleName(-1) != "-" || signs.RuleName(0) != "all" {
		t.Error("the edge's")
	}
	if verifies.Signer() != nil || verifies.ReplayEntries() != 65536 || verifies.Global().Domain != "d" || parse(t, meshConfig(`"rules":[{"name":"all","access":"public"}]`)).ReplayEntries() != 0 {
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
	for path, want := range map[string]*verdict.Code{"/caf\u00e9": verdict.PathAmbiguous, "/a?\x7f": verdict.PathAmbiguous, `/a"b`: verdict.OK} {
		if d := (&proxy{}).decide(parse(t, edgeConfig(`"profile":"rfc9421"`)), request("GET", path)); d.Verdict().Code != want {
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
