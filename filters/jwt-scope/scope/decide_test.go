// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// surroundings have secrets for whatever needs one.
var surroundings = Surroundings{Env: func(name string) (string, bool) {
	values := map[string]string{"NONCES": strings.Repeat("n", 32), "SHORT": "short", "SECRET": "s:e c+r%t", "EMPTY": ""}
	value, ok := values[name]
	return value, ok
}}

func parse(t testing.TB, config string) *Policy {
	t.Helper()
	p, err := Parse(config, surroundings)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// goWorld checks signatures by Go's crypto, and does nothing else.
var goWorld = &decide.World{Verify: proxycrypto.Verify}

func asked(headers [][2]string, at time.Time) *decide.Request {
	return &decide.Request{Headers: headers, Now: at}
}

// judge brings a request to its verdict, and holds the explanation against it.
func judge(p *Policy, at time.Time, headers ...[2]string) verdict.Verdict {
	var d Decision
	p.Decide(&d, asked(headers, at))
	d.Run(goWorld)
	explained(&d)
	return *d.Verdict()
}

// explained panics where the explanation of a decision tells another story than the verdict.
func explained(d *Decision) {
	if d.Step() != decide.Done {
		return
	}
	e, v := d.Explain(), d.Verdict()
	for i, c := range e.Checks {
		if last := i == len(e.Checks)-1; (c.Code != nil) != (last && v.Reason() != verdict.OK) || last &&
			c.Code != nil && c.Code != v.Reason() || c.What == "decision" {
			panic(fmt.Sprintf("%s is explained by %+v", v.Reason().Name, e.Checks))
		}
	}
	for i, r := range e.Rules {
		if fits := i == len(e.Rules)-1 && v.Rule >= 0; fits != (r.Why == "") || fits && i != v.Rule {
			panic(fmt.Sprintf("rule %d is explained by %+v", v.Rule, e.Rules))
		}
	}
}

func request(method, path string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", method}, {":authority", "api.example"}, {":path", path}}, headers...)
}

func bearerHeader(token string) [2]string { return [2]string{"authorization", "Bearer " + token} }

// Every reason, at the edge where it begins.
func TestDecide(t *testing.T) {
	p := parse(t, testConfig)
	unix := now.Unix()
	for _, c := range []struct {
		name string
		want *verdict.Code
		path string // GET; "/any" where empty
		c    any    // claims
	}{
		{"a good token", verdict.OK, "", good()},
		{"the other audience", verdict.OK, "", good(claims{"aud": "billing"})},
		{"a list of audiences", verdict.OK, "", good(claims{"aud": []any{"x", "", "orders"}})},
		{"J19 a list of audiences with a number", TokenAudience, "", good(claims{"aud": []any{"orders", 7}})},
		{"J19 a list of audiences with null", TokenAudience, "", good(claims{"aud": []any{nil, "orders"}})},
		{"J19 a list of lists of audiences", TokenAudience, "", good(claims{"aud": []any{"orders", []any{"orders"}}})},
		{"J19 another audience", TokenAudience, "", good(claims{"aud": "order"})},
		{"J19 an audience that begins alike", TokenAudience, "", good(claims{"aud": "orders/"})},
		{"J19 no audience", TokenAudience, "", good(claims{"aud": nil})},
		{"J19 an empty list of audiences", TokenAudience, "", good(claims{"aud": []any{}})},
		{"J19 the audience as an object", TokenAudience, "", good(claims{"aud": claims{"orders": true}})},
		{"J19 a list of other audiences", TokenAudience, "", good(claims{"aud": []any{"x", "ORDERS"}})},
		{"J19 another issuer", TokenIssuer, "", good(claims{"iss": "https://evil.example"})},
		{"J19 the issuer with a slash", TokenIssuer, "", good(claims{"iss": "https://idp.example/"})},
		{"J19 the issuer in another case", TokenIssuer, "", good(claims{"iss": "https://IDP.example"})},
		{"J19 no issuer", TokenIssuer, "", good(claims{"iss": nil})},
		{"J19 an issuer that is no string", TokenIssuer, "", good(claims{"iss": []any{"https://idp.example"}})},
		{"J19 the key of one issuer for a token of another", TokenSignature, "",
			good(claims{"iss": "https://partner.example"})},
		{"J18 in the last second before exp + skew", verdict.OK, "", good(claims{"exp": unix - 29})},
		{"J18 at exp + skew", TokenExpired, "", good(claims{"exp": unix - 30})},
		{"J18 expired by one second", TokenExpired, "", good(claims{"exp": unix - 31})},
		{"J18 a fraction before exp + skew", verdict.OK, "", good(claims{"exp": raw("1699999970.5")})},
		{"J18 at nbf - skew", verdict.OK, "", good(claims{"nbf": unix + 30})},
		{"J18 one second before nbf - skew", TokenNotYetValid, "", good(claims{"nbf": unix + 31})},
		{"J18 a fraction before nbf - skew", TokenNotYetValid, "", good(claims{"nbf": raw("1700000030.5")})},
		{"J18 iat in the future, within the skew", verdict.OK, "", good(claims{"iat": unix + 30})},
		{"J18 iat in the future", TokenNotYetValid, "", good(claims{"iat": unix + 31})},
		{"nbf 0, as some servers write it", verdict.OK, "", good(claims{"nbf": 0})},
		{"J17 exp missing", TokenMalformed, "", good(claims{"exp": nil})},
		{"J17 exp is a string", TokenMalformed, "", good(claims{"exp": "1700000060"})},
		{"J17 exp is null", TokenMalformed, "", good(claims{"exp": raw("null")})},
		{"J17 exp is true", TokenMalformed, "", good(claims{"exp": true})},
		{"J17 exp is negative", TokenMalformed, "", good(claims{"exp": -1})},
		{"J17 exp is zero", TokenMalformed, "", good(claims{"exp": 0})},
		{"J17 exp in exponent form", verdict.OK, "", good(claims{"exp": raw("1.70000006e9")})},
		{"J17 exp beyond the year 9999", TokenMalformed, "", good(claims{"exp": raw("253402300800")})},
		{"J17 exp in the last second of the year 9999", verdict.OK, "", good(claims{"exp": raw("253402300799")})},
		{"J17 exp beyond 2^53", TokenMalformed, "", good(claims{"exp": raw("9007199254740993")})},
		{"J17 exp beyond any float", TokenMalformed, "", good(claims{"exp": raw("1e400")})},
		{"J17 nbf is a string", TokenMalformed, "", good(claims{"nbf": "0"})},
		{"J17 iat is negative", TokenMalformed, "", good(claims{"iat": -1})},
		{"J18 a lifetime as long as allowed", verdict.OK, "",
			good(claims{"iss": "https://short.example", "iat": unix, "exp": unix + 300})},
		{"J18 a lifetime one second longer", TokenLifetime, "",
			good(claims{"iss": "https://short.example", "iat": unix, "exp": unix + 301})},
		{"J18 a lifetime that iat does not tell", TokenLifetime, "", good(claims{"iss": "https://short.example"})},
		{"one of any scopes", verdict.OK, "/orders/7", good(claims{"scope": "x orders:admin"})},
		{"J32 none of any scopes", InsufficientScope, "/orders/7", good(claims{"scope": "x"})},
		{"J32 no scope claim", InsufficientScope, "/orders/7", good(claims{"scope": nil})},
		{"J32 scopes under scp as a list", verdict.OK, "/orders/7",
			good(claims{"scope": nil, "scp": []any{"x", "orders:read"}})},
		{"J32 a scope that contains another", InsufficientScope, "/orders/7",
			good(claims{"scope": "orders:read-only xorders:read"})},
		{"J32 scopes in another case", InsufficientScope, "/orders/7", good(claims{"scope": "Orders:Read"})},
		{"J32 scopes separated by a tab", InsufficientScope, "/orders/7", good(claims{"scope": "x\torders:read"})},
		{"J32 scopes separated by a comma", InsufficientScope, "/orders/7", good(claims{"scope": "x,orders:read"})},
		{"J32 scopes separated by a no-break space", InsufficientScope, "/orders/7",
			good(claims{"scope": "x\u00a0orders:read"})},
		{"J32 a list item is one scope", InsufficientScope, "/orders/7", good(claims{"scope": []any{"x orders:read"}})},
		{"J32 an empty scope", InsufficientScope, "/orders/7", good(claims{"scope": ""})},
		{"J32 the scope as an object", InsufficientScope, "/orders/7", good(claims{"scope": claims{"orders:read": true}})},
		{"a scope that must be absent is absent", verdict.OK, "/staff", good()},
		{"a scope that must be absent is present", InsufficientScope, "/staff", good(claims{"scope": "orders:read guest"})},
		{"a rule for one provider", verdict.OK, "/corp", good()},
		{"J19 a rule for another provider", TokenIssuer, "/corp", good(claims{"iss": "https://short.example", "iat": unix})},
		{"no rule", verdict.NoRule, "/nowhere", good()},
		{"P1 an ambiguous path", verdict.PathAmbiguous, "//any", good()},
		{"P3 parameters that change the rule", verdict.PathAmbiguous, "/any;x", good()},
		{"a public rule does not look at tokens", verdict.OK, "/healthz", good(claims{"exp": 1})},
		{"an optional rule takes a good token", verdict.OK, "/maybe", good()},
		{"J20 an optional rule refuses a bad token", TokenExpired, "/maybe", good(claims{"exp": 1})},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.path
			if path == "" {
				path = "/any"
			}
			v := judge(p, now, request("GET", path, bearerHeader(es256(t, c.c)))...)
			if v.Code != c.want {
				t.Fatalf("%s, want %s", v.Code.Name, c.want.Name)
			}
		})
	}
}

func TestCredential(t *testing.T) {
	p := parse(t, testConfig)
	token := es256(t, good())
	for _, c := range []struct {
		name    string
		want    *verdict.Code
		headers [][2]string
	}{
		{"none", TokenMissing, nil},
		{"a bearer token", verdict.OK, [][2]string{{"authorization", "Bearer " + token}}},
		{"J15 the scheme in another case", verdict.OK, [][2]string{{"authorization", "bEARER " + token}}},
		{"J15 several spaces", verdict.OK, [][2]string{{"authorization", "Bearer   " + token}}},
		{"J15 the scheme alone", TokenMalformed, [][2]string{{"authorization", "Bearer"}}},
		{"J15 the scheme and a space", TokenMalformed, [][2]string{{"authorization", "Bearer "}}},
		{"J15 a tab instead of a space", TokenMalformed, [][2]string{{"authorization", "Bearer\t" + token}}},
		{"J13 junk behind the token", TokenMalformed, [][2]string{{"authorization", "Bearer " + token + " junk"}}},
		{"J13 a query behind the token", TokenMalformed, [][2]string{{"authorization", "Bearer " + token + "?x"}}},
		{"J15 no scheme", TokenMissing, [][2]string{{"authorization", token}}},
		{"another scheme", TokenMissing, [][2]string{{"authorization", "Basic YTpi"}}},
		{"a scheme that begins alike", TokenMissing, [][2]string{{"authorization", "BearerX " + token}}},
		{"another scheme with a list of parameters", TokenMissing,
			[][2]string{{"authorization", `Digest username="a", realm="b"`}}},
		{"J16 two headers", TokenAmbiguous,
			[][2]string{{"authorization", "Bearer " + token}, {"authorization", "Bearer " + token}}},
		{"J16 another scheme and a token", TokenAmbiguous,
			[][2]string{{"authorization", "Basic YTpi"}, {"authorization", "Bearer " + token}}},
		{"J16 two headers joined by the proxy", TokenAmbiguous,
			[][2]string{{"authorization", "Bearer " + token + ",Bearer " + token}}},
		{"J15 a comma list that begins with another scheme", TokenAmbiguous,
			[][2]string{{"authorization", "Basic YTpi, bearer " + token}}},
		{"J14 not a token", TokenMalformed, [][2]string{{"authorization", "Bearer abc"}}},
		{"J12 longer than allowed", TokenMalformed,
			[][2]string{{"authorization", "Bearer " + token + strings.Repeat("A", 16384)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := judge(p, now, request("GET", "/any", c.headers...)...); v.Code != c.want {
				t.Fatalf("%s, want %s", v.Code.Name, c.want.Name)
			}
			want := c.want
			if want == TokenMissing {
				want = verdict.OK // what is no credential is fine where none is needed; what is a bad one is not
			}
			if v := judge(p, now, request("GET", "/maybe", c.headers...)...); v.Code != want {
				t.Fatalf("J20 under access optional: %s, want %s", v.Code.Name, want.Name)
			}
		})
	}
}

// Places that are one, and tokens that are one.
func TestPlacesOfOneCredential(t *testing.T) {
	token, other := es256(t, good()), es256(t, good())
	if token == other {
		t.Fatal("ES256 gives the same signature twice")
	}
	bearer := func(token string) [2]string { return [2]string{"authorization", "Bearer " + token} }
	cookie := func(token string) [2]string {
		return [2]string{"cookie", "CognitoIdentityServiceProvider.c.u.accessToken=" + token}
	}
	for _, c := range []struct {
		name    string
		places  string
		headers [][2]string
		want    *verdict.Code
		why     string
	}{
		{"by its scheme, where the whole value may be one, too",
			`{"header":"authorization"},{"header":"authorization","scheme":"Bearer"}`, [][2]string{bearer(token)},
			verdict.OK, ""},
		{"the whole value", `{"header":"authorization","scheme":"Bearer"},{"header":"authorization"}`,
			[][2]string{{"authorization", token}}, verdict.OK, ""},
		{"another scheme, where the whole value may be one",
			`{"header":"authorization","scheme":"Bearer"},{"header":"authorization"}`,
			[][2]string{{"authorization", "Basic YTpi"}}, TokenMalformed, "not three parts"},
		{"a header and a cookie with the same bytes",
			`{"header":"authorization","scheme":"Bearer"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`,
			[][2]string{bearer(token), cookie(token)}, verdict.OK, ""},
		{"three places with the same bytes",
			`{"header":"authorization","scheme":"Bearer"},{"header":"x-token"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`, [][2]string{{"x-token", token}, cookie(token), bearer(token)}, verdict.OK, ""},
		{"J16 a header and a cookie with other bytes",
			`{"header":"authorization","scheme":"Bearer"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`,
			[][2]string{bearer(token), cookie(other)}, TokenAmbiguous,
			"in header authorization, scheme bearer and cookie CognitoIdentityServiceProvider.c.u.accessToken"},
		{"a token, and a cookie that a logout has emptied",
			`{"header":"authorization","scheme":"Bearer"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`,
			[][2]string{bearer(token), cookie("")}, verdict.OK, ""},
		{"an emptied header, and a cookie",
			`{"header":"authorization","scheme":"Bearer"},{"header":"x-token"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`, [][2]string{{"x-token", ""}, cookie(token)}, verdict.OK, ""},
		{"nothing but an emptied cookie",
			`{"header":"authorization","scheme":"Bearer"},{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`,
			[][2]string{cookie("")}, TokenMalformed, ""},
		{"J16 the same cookie twice", `{"cookie":"CognitoIdentityServiceProvider.c.u.accessToken"}`,
			[][2]string{cookie(token), cookie(other)}, TokenAmbiguous, "(more than once)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parse(t, strings.Replace(testConfig, `"issuer"`, `"token":[`+c.places+`],"issuer"`, 1))
			for range 2 { // known by then
				if v := judge(p, now, request("GET", "/any", c.headers...)...); v.Code != c.want ||
					!strings.Contains(v.Why, c.why) {
					t.Errorf("%s (%s), want %s (%s)", v.Code.Name, v.Why, c.want.Name, c.why)
				}
			}
		})
	}
}

// A place that only another provider looks at does not keep a token from the place where its own does.
func TestPlacesOfSeveralProviders(t *testing.T) {
	config := strings.Replace(testConfig, `"providers": [`,
		`"providers": [{"name":"other","issuer":"https://other.example","anyAudience":true,"token":{"header":"x-token"},"jwks":{"inline":`+testKeys+`}},`, 1)
	p := parse(t, config)
	token := es256(t, good())
	if v := judge(p, now, request("GET", "/any", [2]string{"x-token", token},
		[2]string{"authorization", "Bearer " + token})...); v.Code != verdict.OK {
		t.Errorf("%s (%s)", v.Code.Name, v.Why)
	}
	if v := judge(p, now, request("GET", "/any", [2]string{"x-token", token})...); v.Code != TokenIssuer {
		t.Errorf("from a place of another provider: %s", v.Code.Name)
	}
}

func TestSignature(t *testing.T) {
	p := parse(t, testConfig)
	flip := func(token string, part int) string {
		parts := strings.Split(token, ".")
		b := must(base64.RawURLEncoding.DecodeString(parts[part]))
		b[len(b)/2] ^= 1
		parts[part] = base64.RawURLEncoding.EncodeToString(b)
		return strings.Join(parts, ".")
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	token := es256(t, good())
	payload := strings.Split(token, ".")[1]
	for _, c := range []struct {
		name, token string
		want        *verdict.Code
	}{
		{"ES256", token, verdict.OK},
		{"RS256", sign(t, jose.RS256, rsaKey, "rsa", good()), verdict.OK},
		{"ES256 without kid", sign(t, jose.ES256, ecKey, "", good()), verdict.OK},
		{"another key under the same kid", sign(t, jose.ES256, otherKey, "ec", good()), TokenSignature},
		{"another key without kid", sign(t, jose.ES256, otherKey, "", good()), TokenSignature},
		{"a kid that no key has", sign(t, jose.ES256, ecKey, "gone", good()), TokenKeyUnknown},
		{"a changed signature", flip(token, 2), TokenSignature},
		{"an RSA signature that was changed", flip(sign(t, jose.RS256, rsaKey, "rsa", good()), 2), TokenSignature},
		{"J21 half a signature", token[:strings.LastIndexByte(token, '.')+1] + strings.Repeat("A", 42) + "8", TokenSignature},
		{"J1 alg none", none + "." + payload + ".", TokenAlgorithm},
		{"J1 alg none with a signature", none + token[strings.IndexByte(token, '.'):], TokenAlgorithm},
		{"J1 no signature", token[:strings.LastIndexByte(token, '.')+1], TokenSignature},
		{"J2 HS256 with a secret of the attacker's",
			sign(t, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), "ec", good()), TokenAlgorithm},
		{"J3 RS512 where RS256 is allowed", sign(t, jose.RS512, rsaKey, "rsa", good()), TokenAlgorithm},
		{"J3 PS256 where RS256 is allowed", sign(t, jose.PS256, rsaKey, "rsa", good()), TokenAlgorithm},
		{"J2 the kid of a key for another algorithm", sign(t, jose.ES256, ecKey, "rsa", good()), TokenAlgorithm},
		{"J3 an algorithm that another issuer may use",
			sign(t, jose.RS256, rsaKey, "rsa", good(claims{"iss": "https://partner.example"})), TokenAlgorithm},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := judge(p, now, request("GET", "/any", bearerHeader(c.token))...); v.Code != c.want {
				t.Fatalf("%s, want %s", v.Code.Name, c.want.Name)
			}
		})
	}
}

// A token whose every byte is changed in turn is never accepted.
func TestEveryByteCounts(t *testing.T) {
	p := parse(t, testConfig)
	token := es256(t, good())
	for i := range token {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64} {
			changed := token[:i] + string([]byte{token[i] ^ bit}) + token[i+1:]
			if v := judge(p, now, request("GET", "/any", bearerHeader(changed))...); v.Admits() {
				t.Fatalf("byte %d changed by %#x is accepted", i, bit)
			}
		}
	}
}

// P10, P7: only the pseudo-headers say what the request is.
func TestOtherHeadersDoNotSelectRules(t *testing.T) {
	p := parse(t, testConfig)
	for _, h := range [][2]string{
		{"x-envoy-original-path", "/healthz"}, {"x-original-url", "/healthz"}, {"x-forwarded-uri", "/healthz"},
		{"x-rewrite-url", "/healthz"},
		{"x-http-method-override", "GET"}, {"x-forwarded-host", "other"}, {"user-agent", "kube-probe/1.30"},
	} {
		if v := judge(p, now, request("GET", "/any", h)...); v.Code != TokenMissing {
			t.Errorf("P7 P21 with %s: %s", h[0], v.Code.Name)
		}
	}
}

func TestSignatureCheckThatFails(t *testing.T) {
	p := parse(t, testConfig)
	var d Decision
	p.Decide(&d, asked(request("GET", "/trial", bearerHeader(es256(t, good()))), now))
	if d.Step() != decide.CheckSignature {
		t.Fatal("it does not wait")
	}
	if d.Verdict().Admits() {
		t.Error("while it waits it admits")
	}
	d.signatureChecked(true, errors.New("the host call failed"))
	if v := d.Verdict(); v.Code != verdict.Internal || v.Admits() {
		t.Errorf("%s, admits %v", v.Code.Name, v.Admits())
	}
	d.signatureChecked(true, nil)
	if d.Verdict().Admits() {
		t.Error("an answer that nobody asked for admits")
	}
}

func TestShadow(t *testing.T) {
	for _, c := range []struct {
		name, config, path string
		admits             bool
		outcome            verdict.Outcome
	}{
		{"a rule in shadow mode", testConfig, "/trial", true, verdict.WouldDeny},
		{"R16 other rules enforce", testConfig, "/any", false, verdict.Denied},
		{"a filter in shadow mode", strings.Replace(testConfig, "{", `{"mode":"shadow",`, 1), "/any", true,
			verdict.WouldDeny},
		{"a filter in shadow mode, no rule", strings.Replace(testConfig, "{", `{"mode":"shadow",`, 1), "/nowhere", true,
			verdict.WouldDeny},
		{"a filter in shadow mode, an ambiguous path", strings.Replace(testConfig, "{", `{"mode":"shadow",`, 1), "//",
			true, verdict.WouldDeny},
		{"a rule that enforces in a filter in shadow mode",
			strings.Replace(strings.Replace(testConfig, `"name": "any-token"`, `"name": "any-token", "mode": "enforce"`,
				1), "{", `{"mode":"shadow",`, 1),
			"/any", false, verdict.Denied},
	} {
		v := judge(parse(t, c.config), now, request("GET", c.path)...)
		if v.Admits() != c.admits || v.Outcome() != c.outcome {
			t.Errorf("%s: admits %v, %s", c.name, v.Admits(), v.Outcome())
		}
	}
}

func TestDefault(t *testing.T) {
	p := parse(t, strings.Replace(testConfig, "{", `{"default":"allow",`, 1))
	v := judge(p, now, request("GET", "/nowhere")...)
	if !v.Admits() || v.Code != verdict.OK || p.RuleName(v.Rule) != "-" {
		t.Errorf("%+v", v)
	}
	if v := judge(p, now, request("GET", "//")...); v.Code != verdict.PathAmbiguous {
		t.Errorf("an ambiguous path: %s", v.Code.Name)
	}
}

func TestChallenge(t *testing.T) {
	const metadata = `, resource_metadata="https://api.example/.well-known/oauth-protected-resource"`
	p := parse(t, testConfig)
	for _, c := range []struct {
		name, method, path, token, want string
	}{
		{"no token: no error", "GET", "/any", "", `Bearer realm="orders"` + metadata},
		{"a bad token", "GET", "/any", "x", `Bearer realm="orders", error="invalid_token"` + metadata},
		{"two tokens", "GET", "/any", "x,Bearer y", `Bearer realm="orders", error="invalid_request"` + metadata},
		{"all scopes that are needed", "POST", "/orders/7", es256(t, good()),
			`Bearer realm="orders", error="insufficient_scope", scope="orders:read orders:write"` + metadata},
		{"any of the scopes", "GET", "/orders/7", es256(t, good(claims{"scope": ""})),
			`Bearer realm="orders", error="insufficient_scope", scope="orders:read orders:admin"` + metadata},
		{"a scope too many", "GET", "/staff", es256(t, good(claims{"scope": "guest"})),
			`Bearer realm="orders", error="insufficient_scope"` + metadata},
		{"no rule", "GET", "/nowhere", "", ""},
		{"an ambiguous path", "GET", "//", "", ""},
		{"allowed", "GET", "/any", es256(t, good()), ""},
	} {
		var headers [][2]string
		if c.token != "" {
			headers = append(headers, bearerHeader(c.token))
		}
		if v := judge(p, now, request(c.method, c.path, headers...)...); v.Challenge != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, v.Challenge, c.want)
		}
	}
	plain := parse(t, testConfig[:strings.Index(testConfig, `"errors"`)]+`"mode":"enforce"}`)
	if v := judge(plain, now, request("GET", "/any")...); v.Challenge != `Bearer realm="tollgate"` {
		t.Error(v.Challenge)
	}
}

// One Decision serves many requests; nothing of one is left for the next.
func TestDecisionIsReused(t *testing.T) {
	p := parse(t, testConfig)
	var d Decision
	p.Decide(&d, asked(request("GET", "/any", bearerHeader(es256(t, good()))), now))
	d.Run(goWorld)
	if !d.Verdict().Admits() {
		t.Fatal("a good token is refused")
	}
	for _, headers := range [][][2]string{request("GET", "/any"), request("GET", "/nowhere"), request("GET", "//"), nil} {
		p.Decide(&d, asked(headers, now))
		if d.Step() != decide.Done || d.Verdict().Admits() {
			t.Errorf("%v: step %v, %+v", headers, d.Step(), d.Verdict())
		}
	}
}
