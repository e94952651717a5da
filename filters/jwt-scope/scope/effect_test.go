// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	ours "github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// effect decides and tells what becomes of the request.
func effect(t *testing.T, p *Policy, headers ...[2]string) (verdict.Verdict, forward.Effect) {
	t.Helper()
	var d Decision
	p.Decide(&d, asked(headers, now))
	d.Run(goWorld)
	var e forward.Effect
	d.Effect(&e)
	return *d.Verdict(), e
}

func with(config, more string) string { return strings.Replace(config, "{", "{"+more+",", 1) }

const forwardConfig = `"forward":{"payloadHeader":"x-jwt-payload","claimHeaders":[{"path":["sub"],"header":"X-User-ID"},{"path":["roles"],"header":"x-roles"}]}`

func TestForward(t *testing.T) {
	p := parse(t, with(testConfig, forwardConfig))
	token := es256(t, good(claims{"roles": []string{"a", "b"}}))
	payload := strings.Split(token, ".")[1]
	forged := [][2]string{{"x-user-id", "root"}, {"x_user_id", "root"}, {"x-roles", "admin"}, {"x_roles", "admin"},
		{"x-jwt_payload", "e30"}, {"x-other", "1"}}
	removed := []string{"x-user-id", "x_user_id", "x-roles", "x_roles", "x-jwt_payload"}
	for _, path := range []string{"/any", "/maybe", "/healthz", "/nowhere", "//", "/trial"} {
		_, e := effect(t, p, request("GET", path, forged...)...)
		if !reflect.DeepEqual(e.Remove, removed) || len(e.Set) != 0 || e.Identity != "" {
			t.Errorf("P9 P10 without token, %s: %+v", path, e)
		}
	}
	v, e := effect(t, p, request("GET", "/any", append(forged, bearerHeader(token))...)...)
	want := [][2]string{{"x-jwt-payload", payload}, {"x-user-id", "ann"}, {"x-roles", "a,b"}}
	if !v.Admits() || !reflect.DeepEqual(e.Remove, removed) || !reflect.DeepEqual(e.Set, want) {
		t.Errorf("with a token: %+v", e)
	}
	b, _ := base64.RawURLEncoding.DecodeString(payload)
	if e.Identity != string(b) || !json.Valid(b) {
		t.Errorf("the identity is %s", e.Identity)
	}
	// A token that is not verified says nothing, not even in shadow mode.
	if v, e := effect(t, p, request("GET", "/trial", bearerHeader(token+"A"))...); !v.Admits() || len(e.Set) != 0 ||
		e.Identity != "" {
		t.Errorf("a bad token in shadow mode: %+v", e)
	}
	// One that is verified, but lacks the scope, is known for what it is.
	if v, e := effect(t, p, request("GET", "/trial", bearerHeader(token))...); v.Outcome() != verdict.WouldDeny ||
		len(e.Set) != 3 || e.Identity == "" {
		t.Errorf("a token without the scope in shadow mode: %+v", e)
	}
	if _, e := effect(t, p, request("GET", "/any",
		bearerHeader(es256(t, good(claims{"sub": "a\nb", "roles": claims{"x": 1}}))))...); len(e.Set) != 1 {
		t.Errorf("P9 claims that are no header values: %+v", e.Set)
	}
}

func TestStripToken(t *testing.T) {
	places := `"token":[{"header":"authorization","scheme":"Bearer"},{"header":"x-token"},{"cookie":"session"},{"query":"access_token"}],"issuer"`
	p := parse(t, strings.Replace(with(testConfig, `"forward":{"token":"strip"}`), `"issuer"`, places, 1))
	token := es256(t, good())
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    forward.Effect
	}{
		{"a header with scheme", request("GET", "/any", bearerHeader(token)),
			forward.Effect{Remove: []string{"authorization"}}},
		{"a header without", request("GET", "/any", [2]string{"x-token", token}),
			forward.Effect{Remove: []string{"x-token"}}},
		{"the only cookie", request("GET", "/any", [2]string{"cookie", "session=" + token}),
			forward.Effect{Remove: []string{"cookie"}}},
		{"a cookie among others", request("GET", "/any", [2]string{"cookie", "a=1; session=" + token + "; b=2"}),
			forward.Effect{Remove: []string{"cookie"}, Set: [][2]string{{"cookie", "a=1; b=2"}}}},
		{"the only parameter", request("GET", "/any?access_token="+token),
			forward.Effect{Set: [][2]string{{":path", "/any"}}}},
		{"a parameter among others", request("GET", "/any?a=1&access_token="+token+"&b=%20?"),
			forward.Effect{Set: [][2]string{{":path", "/any?a=1&b=%20?"}}}},
		{"the same bytes in two places",
			request("GET", "/any", bearerHeader(token), [2]string{"cookie", "a=1; session=" + token}),
			forward.Effect{Remove: []string{"authorization", "cookie"}, Set: [][2]string{{"cookie", "a=1"}}}},
		{"another scheme stays", request("GET", "/maybe", [2]string{"authorization", "Basic YTpi"}), forward.Effect{}},
	} {
		v, e := effect(t, p, c.headers...)
		e.Identity = ""
		if !v.Admits() || strings.Join(e.Remove, " ") != strings.Join(c.want.Remove, " ") ||
			!(len(e.Set) == 0 && len(c.want.Set) == 0 || reflect.DeepEqual(e.Set, c.want.Set)) {
			t.Errorf("J16 %s: %s, %+v", c.name, v.Code.Name, e)
		}
	}
	for name, headers := range map[string][][2]string{
		"a header and the query": request("GET", "/any?access_token="+token+"x", bearerHeader(token)),
		"two cookies":            request("GET", "/any", [2]string{"cookie", "session=" + token + "; session=x"}),
		"two parameters":         request("GET", "/any?access_token="+token+"&access_token="+token),
		"two plain headers":      request("GET", "/any", [2]string{"x-token", token}, [2]string{"x-token", token}),
		"a bad header and a cookie": request("GET", "/any", [2]string{"authorization", "Bearer a b"},
			[2]string{"cookie", "session=" + token}),
		"a header and a cookie":      request("GET", "/any", bearerHeader(token), [2]string{"cookie", "session=x"}),
		"a plain header with a list": request("GET", "/any", [2]string{"x-token", token + "," + token}),
	} {
		if v, _ := effect(t, p, headers...); v.Code != TokenAmbiguous {
			t.Errorf("J16 %s: %s", name, v.Code.Name)
		}
	}
	for name, headers := range map[string][][2]string{
		"an empty cookie":    request("GET", "/maybe", [2]string{"cookie", "session="}),
		"an empty parameter": request("GET", "/maybe?access_token"),
		"an empty header":    request("GET", "/maybe", [2]string{"x-token", ""}),
	} {
		if v, _ := effect(t, p, headers...); v.Code != TokenMalformed {
			t.Errorf("J20 %s: %s", name, v.Code.Name)
		}
	}
	// A place is one provider's: the other's tokens are not taken from it.
	if v, _ := effect(t, p, request("GET", "/any",
		[2]string{"x-token", es256(t,
			good(claims{"iss": "https://short.example", "iat": now.Unix()}))})...); v.Code != TokenIssuer {
		t.Errorf("a token where its issuer's are not: %s", v.Code.Name)
	}
}

// What goes on without a verified token goes on without a credential, too: in shadow mode, and
// where a server would take another header for the token's.
func TestStripEveryCredential(t *testing.T) {
	places := `"token":[{"header":"authorization","scheme":"Bearer"},{"header":"x-token"},{"cookie":"session"},{"cookie":"sid"},{"query":"access_token"},{"query":"t"}],"issuer"`
	p := parse(t, strings.Replace(with(testConfig, `"forward":{"token":"strip"}`), `"issuer"`, places, 1))
	token := es256(t, good())
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    forward.Effect
	}{
		{"J16 two headers of the same name", request("GET", "/trial", bearerHeader(token), bearerHeader(token)),
			forward.Effect{Remove: []string{"authorization"}}},
		{"J16 a list in one", request("GET", "/trial", bearerHeader(token+",Bearer "+token)),
			forward.Effect{Remove: []string{"authorization"}}},
		{"J16 two headers", request("GET", "/trial", bearerHeader(token), [2]string{"x-token", token}),
			forward.Effect{Remove: []string{"authorization", "x-token"}}},
		{"J16 all places", request("GET", "/trial?a=1&t=x&access_token="+token, bearerHeader(token),
			[2]string{"x-token", token}, [2]string{"cookie", "session=x; b=2"}, [2]string{"cookie", "sid=y"}),
			forward.Effect{Remove: []string{"authorization", "x-token", "cookie"},
				Set: [][2]string{{":path", "/trial?a=1"}, {"cookie", "b=2"}}}},
		{"an empty one", request("GET", "/trial", [2]string{"x-token", ""}), forward.Effect{Remove: []string{"x-token"}}},
		{"P10 a name that folds to the token's",
			request("GET", "/any", bearerHeader(token), [2]string{"x_token", "root"}, [2]string{"x_token", "more"}),
			forward.Effect{Remove: []string{"x_token", "authorization"}}},
		{"P10 only that", request("GET", "/maybe", [2]string{"x_token", "root"}),
			forward.Effect{Remove: []string{"x_token"}}},
		{"another scheme stays",
			request("GET", "/trial", [2]string{"authorization", "Basic YTpi"}, [2]string{"cookie", "a=b"}), forward.Effect{}},
		{"a public path: nobody has looked",
			request("GET", "/healthz", bearerHeader(token), [2]string{"x_token", "root"}), forward.Effect{}},
	} {
		v, e := effect(t, p, c.headers...)
		e.Identity = ""
		slices.Sort(e.Remove)
		slices.Sort(c.want.Remove)
		if !v.Admits() || !slices.Equal(e.Remove, c.want.Remove) || !slices.Equal(e.Set, c.want.Set) {
			t.Errorf("%s: %s, %+v, want %+v", c.name, v.Code.Name, e, c.want)
		}
	}
}

func TestTypes(t *testing.T) {
	p := parse(t, strings.Replace(testConfig, `"issuer"`, `"types":["at+jwt"],"issuer"`, 1))
	for typ, want := range map[string]*verdict.Code{"at+jwt": verdict.OK, "AT+JWT": verdict.OK,
		"application/at+jwt": verdict.OK, "Application/At+Jwt": verdict.OK,
		"JWT": TokenType, "": TokenType, "logout+jwt": TokenType, "x/at+jwt": TokenType, "at+jwtx": TokenType} {
		token := sign(t, "ES256", ecKey, "ec", good(), jose.ContentType(typ))
		if v := judge(p, now, request("GET", "/any", bearerHeader(token))...); v.Code != want {
			t.Errorf("J29 typ %q: %s, want %s", typ, v.Code.Name, want.Name)
		}
	}
}

const trustedConfig = `{"providers":[{"name":"mesh","issuer":"https://idp.example","audiences":["orders"],"trustedPayload":{"header":"X-JWT-Payload"}}],
 "rules":[{"name":"maybe","match":[{"paths":["/maybe"]}],"access":"optional"},{"name":"read","require":{"scopes":{"all":["orders:read"]}}}]}`

func TestTrustedPayload(t *testing.T) {
	p := parse(t, trustedConfig)
	encode := func(c any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(c))) }
	padded := base64.URLEncoding.EncodeToString(must(json.Marshal(good(claims{"x": "12"}))))
	for _, c := range []struct {
		name   string
		values []string
		want   *verdict.Code
	}{
		{"good claims", []string{encode(good())}, verdict.OK},
		{"with padding", []string{padded}, verdict.OK},
		{"none", nil, PayloadMissing},
		{"J16 twice", []string{encode(good()), encode(good())}, PayloadMalformed},
		{"not base64url", []string{"{}"}, PayloadMalformed},
		{"not JSON", []string{"aGVsbG8"}, PayloadMalformed},
		{"a list", []string{encode([]any{})}, PayloadMalformed},
		{"empty", []string{""}, PayloadMalformed},
		{"a whole token", []string{es256(t, good())}, PayloadMalformed},
		{"J8 a claim twice", []string{
			base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"a","iss":"https://idp.example"}`))}, PayloadMalformed},
		{"two joined by the proxy", []string{encode(good()) + "," + encode(good())}, PayloadMalformed},
		{"J19 another issuer", []string{encode(good(claims{"iss": "x"}))}, TokenIssuer},
		{"J19 another audience", []string{encode(good(claims{"aud": "x"}))}, TokenAudience},
		{"expired", []string{encode(good(claims{"exp": now.Unix() - 30}))}, TokenExpired},
		{"J17 exp is a string", []string{encode(good(claims{"exp": "1"}))}, PayloadMalformed},
		{"not yet valid", []string{encode(good(claims{"nbf": now.Unix() + 31}))}, TokenNotYetValid},
		{"another scope", []string{encode(good(claims{"scope": "x"}))}, InsufficientScope},
	} {
		var headers [][2]string
		for _, v := range c.values {
			headers = append(headers, [2]string{"x-jwt-payload", v})
		}
		if v := judge(p, now, request("GET", "/x", headers...)...); v.Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Code.Name, c.want.Name)
		}
		if v := judge(p, now, request("GET", "/maybe", headers...)...); v.Admits() != (c.want == verdict.OK ||
			c.want == PayloadMissing || c.want == InsufficientScope) {
			t.Errorf("J20 %s, under access optional: %s", c.name, v.Code.Name)
		}
	}
	if v := judge(p, now, request("GET", "/x", bearerHeader(es256(t, good())))...); v.Code != PayloadMissing ||
		v.Challenge != `Bearer realm="tollgate"` {
		t.Errorf("a token where a payload is asked for: %+v", v)
	}
	if v := judge(p, now, request("GET", "/x", [2]string{"x_jwt_payload", encode(good())})...); v.Code != PayloadMissing {
		t.Errorf("P10 another spelling of the header: %s", v.Code.Name)
	}
}

// J31: what is remembered of a token ends with its validity, its keys and its place in the cache.
func TestCache(t *testing.T) {
	p := parse(t, with(testConfig, `"cache":{"entries":2}`))
	token := func(sub string) string { return es256(t, good(claims{"sub": sub})) }
	a, b, c := token("a"), token("b"), token("c")
	verifications := 0
	ask := func(token string, seconds int64) *verdict.Code {
		var d Decision
		p.Decide(&d, asked(request("GET", "/any", bearerHeader(token)), now.Add(time.Duration(seconds)*time.Second)))
		d.Run(&decide.World{Verify: func(v ours.Verification) (bool, error) {
			verifications++
			return proxycrypto.Verify(v)
		}})
		return d.Verdict().Code
	}
	step := func(what, token string, seconds int64, want *verdict.Code, wantVerifications int) {
		t.Helper()
		before := verifications
		if got := ask(token, seconds); got != want || verifications-before != wantVerifications {
			t.Errorf("%s: %s after %d verifications, want %s after %d", what, got.Name, verifications-before, want.Name,
				wantVerifications)
		}
	}
	step("the first time", a, 0, verdict.OK, 1)
	step("again", a, 0, verdict.OK, 0)
	step("J31 until it expires", a, 89, verdict.OK, 0)
	step("J31 when it has expired", a, 90, TokenExpired, 0)
	step("J31 another token with the same beginning", a[:len(a)-1]+"B", 0, TokenMalformed, 0)
	step("a second token", b, 0, verdict.OK, 1)
	step("the first is still there", a, 0, verdict.OK, 0)
	step("a third pushes out the one not used for longest", c, 0, verdict.OK, 1)
	step("which was the second", b, 0, verdict.OK, 1)
	step("and not the first", c, 0, verdict.OK, 0)
	forged := sign(t, "ES256", otherKey, "ec", good(claims{"sub": "a"}))
	step("a refused token", forged, 0, TokenSignature, 1)
	step("is not remembered", forged, 0, TokenSignature, 1)
	p.providers[0].keys = parse(t, testConfig).providers[0].keys
	step("J31 other keys", c, 0, verdict.OK, 1)
	if n := p.cache.count; n > 2 {
		t.Errorf("%d tokens are remembered, want at most 2", n)
	}
	p = parse(t, with(testConfig, `"cache":{"entries":0}`))
	step("without a cache", a, 0, verdict.OK, 1)
	step("without a cache, again", a, 0, verdict.OK, 1)
}

// A remembered token is asked for what this rule asks for.
func TestCacheAsksTheRule(t *testing.T) {
	p := parse(t, testConfig)
	token := bearerHeader(es256(t, good(claims{"scope": "guest"})))
	for path, want := range map[string]*verdict.Code{"/any": verdict.OK, "/orders/7": InsufficientScope,
		"/staff": InsufficientScope, "/corp": verdict.OK} {
		for range 2 {
			if v := judge(p, now, request("GET", path, token)...); v.Code != want {
				t.Errorf("%s: %s, want %s", path, v.Code.Name, want.Name)
			}
		}
	}
	short := bearerHeader(es256(t, good(claims{"iss": "https://short.example", "iat": now.Unix()})))
	for path, want := range map[string]*verdict.Code{"/any": verdict.OK, "/corp": TokenIssuer} {
		for range 2 {
			if v := judge(p, now, request("GET", path, short)...); v.Code != want {
				t.Errorf("J19 %s: %s, want %s", path, v.Code.Name, want.Name)
			}
		}
	}
}

// J31: every byte of a token counts, wherever it stands.
func TestSame(t *testing.T) {
	text := []byte(strings.Repeat("0123456789abcdef", 5))
	for n := range text {
		for skew := range 9 { // at every alignment
			a := string(text[skew/2 : n/2+skew/2])
			if !same(a, string([]byte(a))) {
				t.Fatalf("%q is not itself", a)
			}
			for i := range len(a) {
				other := []byte(a)
				other[i] ^= 1
				if same(a, string(other)) {
					t.Fatalf("%q is %q", a, other)
				}
			}
			if same(a, a+"x") || a != "" && same(a, a[:len(a)-1]) {
				t.Fatalf("%q is longer or shorter than itself", a)
			}
		}
	}
}

// knownToken gives a policy that has verified the token of a request before.
func knownToken(t testing.TB) (*Policy, *Decision, [][2]string) {
	t.Helper()
	p := parse(t, testConfig)
	headers := request("GET", "/orders/7", bearerHeader(es256(t, good())))
	var d Decision
	p.Decide(&d, asked(headers, now))
	d.Run(goWorld)
	return p, &d, headers
}

func TestKnownTokenAllocatesLittle(t *testing.T) {
	p, d, headers := knownToken(t)
	var e forward.Effect
	if n := testing.AllocsPerRun(100, func() {
		p.Decide(d, asked(headers, now))
		if !d.Verdict().Admits() {
			t.Fatal(d.Verdict().Code.Name)
		}
		d.Effect(&e)
	}); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkKnownToken(b *testing.B) {
	p, d, headers := knownToken(b)
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(d, asked(headers, now))
	}
}

// A token that is not known yet, but for its signature, which the proxy checks.
func BenchmarkNewToken(b *testing.B) {
	p := parse(b, with(testConfig, `"cache": {"entries": 0}`))
	w := &decide.World{Verify: func(ours.Verification) (bool, error) { return true, nil }}
	for name, token := range map[string]string{"ES256": es256(b, good()),
		"RS256": sign(b, jose.RS256, rsaKey, "rsa", good())} {
		b.Run(name, func(b *testing.B) {
			headers := request("GET", "/orders/7", bearerHeader(token))
			var d Decision
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(&d, asked(headers, now))
				if d.Run(w); !d.Verdict().Admits() {
					b.Fatal(d.Verdict().Code.Name)
				}
			}
		})
	}
}

// P9: a claim that a header cannot carry goes on where it is encoded.
func TestForwardEncoded(t *testing.T) {
	p := parse(t, with(testConfig, `"forward":{"claimHeaders":[{"path":["name"],"header":"x-plain"},`+
		`{"path":["name"],"header":"x-percent","encoding":"percent"},{"path":["name"],"header":"x-base64","encoding":"base64url"}]}`))
	_, e := effect(t, p, request("GET", "/any", bearerHeader(es256(t, good(claims{"name": "José\r\n"}))))...)
	want := [][2]string{{"x-percent", "Jos%C3%A9%0D%0A"}, {"x-base64", "Sm9zw6kNCg"}}
	if !reflect.DeepEqual(e.Set, want) {
		t.Errorf("%q", e.Set)
	}
}
