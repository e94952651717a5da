// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// opaque is a configuration with a provider that introspects, beside one whose tokens are verified.
func opaque(provider, introspection, rule string) string {
	return `{"providers":[
		{"name":"jwt","issuer":"https://idp.example","audiences":["orders"],"jwks":{"inline":` + testKeys + `}},
		{"name":"opaque"` + provider + `,"introspection":{"cluster":"idp","authority":"idp.example","path":"/introspect",
			"clientId":"gate:way","clientSecretEnv":"SECRET"` + introspection + `}}],
		"rules":[{"name":"all"` + rule + `}]}`
}

// asker sends requests with tokens, and counts the questions.
type asker struct {
	t      *testing.T
	p      *Policy
	answer string // of the endpoint; empty: it fails
	asked  int
	body   string // of the last question
	sent   [][2]string
}

func (a *asker) judge(token string, at time.Time) *verdict.Verdict {
	a.t.Helper()
	d := a.begin(token, at)
	if d.Step() == decide.Introspect {
		q := d.Inquiry()
		if d.Verdict().Admits() {
			a.t.Error("a request that waits is admitted")
		}
		headers, body, ok := q.Send()
		if !ok {
			a.t.Fatal("nobody else has asked")
		}
		a.asked++
		a.sent, a.body = headers, string(body)
		if a.answer == "" {
			q.Fail()
		} else if err := q.Answer(a.answer, at); err != nil && !strings.HasPrefix(err.Error(), "the answer") {
			a.t.Error(err)
		}
		a.p.DecideAfterInquiry(d, asked(request("GET", "/", bearerHeader(token)), at), q)
		d.Run(goWorld)
	}
	explained(d)
	return d.Verdict()
}

func (a *asker) begin(token string, at time.Time) *Decision {
	d := &Decision{}
	a.p.Decide(d, asked(request("GET", "/", bearerHeader(token)), at))
	d.Run(goWorld)
	return d
}

func active(changes ...claims) string {
	c := claims{"active": true, "sub": "ann", "scope": "orders:read", "client_id": "app"}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	return string(must(json.Marshal(c)))
}

// J34: what endpoints answer, and what becomes of the request.
func TestIntrospection(t *testing.T) {
	unix := now.Unix()
	named := `,"issuer":"https://as.example","audiences":["orders"]`
	for _, c := range []struct {
		name, provider, answer string
		want                   *verdict.Code
	}{
		{"active", "", active(), verdict.OK},
		{"not active", "", `{"active":false}`, TokenInactive},
		{"not active, with claims", "", active(claims{"active": false}), TokenInactive},
		{"without a scope", "", active(claims{"scope": "x"}), InsufficientScope},
		{"of the issuer and for the audience", named, active(claims{"iss": "https://as.example", "aud": "orders"}),
			verdict.OK},
		{"of another issuer", named, active(claims{"iss": "https://evil.example", "aud": "orders"}), TokenIssuer},
		{"of nobody", named, active(claims{"aud": "orders"}), TokenIssuer},
		{"for another audience", named, active(claims{"iss": "https://as.example", "aud": []string{"x"}}), TokenAudience},
		{"for nobody", named, active(claims{"iss": "https://as.example"}), TokenAudience},
		{"of any issuer, where none is asked for", "", active(claims{"iss": "https://x.example", "aud": "x"}), verdict.OK},
		{"expired, but active", "", active(claims{"exp": unix - 31}), TokenExpired},
		{"not valid yet, but active", "", active(claims{"nbf": unix + 31}), TokenNotYetValid},
		{"without the exp that is asked for", `,"requireExpiry":true`, active(), TokenMalformed},
		{"with the exp that is asked for", `,"requireExpiry":true`, active(claims{"exp": unix + 9}), verdict.OK},
		{"active is a text", "", active(claims{"active": "true"}), IntrospectionUnavailable},
		{"active is a number", "", active(claims{"active": 1}), IntrospectionUnavailable},
		{"active is null", "", active(claims{"active": nil}), IntrospectionUnavailable},
		{"active is missing", "", `{"sub":"ann","scope":"orders:read"}`, IntrospectionUnavailable},
		{"active twice", "", `{"active":false,"active":true,"scope":"orders:read"}`, IntrospectionUnavailable},
		{"a claim twice", "", `{"active":true,"scope":"x","scope":"orders:read"}`, IntrospectionUnavailable},
		{"Active", "", `{"Active":true,"scope":"orders:read"}`, IntrospectionUnavailable},
		{"active within", "", `{"data":{"active":true},"scope":"orders:read"}`, IntrospectionUnavailable},
		{"in a list", "", "[" + active() + "]", IntrospectionUnavailable},
		{"with more behind it", "", active() + "{}", IntrospectionUnavailable},
		{"exp is a text", "", active(claims{"exp": "2000000000"}), IntrospectionUnavailable},
		{"cut off", "", active()[:20], IntrospectionUnavailable},
		{"it does not expire, in null", "", active(claims{"exp": nil, "nbf": nil}), verdict.OK},
		{"it does not expire, in 0", "", active(claims{"exp": 0}), verdict.OK},
		{"exp 0, where one is asked for", `,"requireExpiry":true`, active(claims{"exp": 0}), TokenMalformed},
		{"nbf is negative", "", active(claims{"nbf": -1}), IntrospectionUnavailable},
		{"HTML", "", "<html>", IntrospectionUnavailable},
		{"too long", "", active(claims{"x": strings.Repeat("x", 32<<10)}), IntrospectionUnavailable},
		{"no answer", "", "", IntrospectionUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &asker{t: t, answer: c.answer,
				p: parse(t, opaque(c.provider, "", `,"require":{"scopes":{"all":["orders:read"]}}`))}
			if v := a.judge("secret-token", now); v.Code != c.want {
				t.Fatalf("%s (%s), want %s", v.Code.Name, v.Why, c.want.Name)
			}
			// What is unavailable is asked for again, and everything else is known.
			again := 1
			if c.want == IntrospectionUnavailable {
				again = 2
			}
			if v := a.judge("secret-token", now); v.Code != c.want || a.asked != again {
				t.Errorf("again: %s, asked %d times", v.Code.Name, a.asked)
			}
			if v := a.judge("another-token", now); v.Code != c.want || a.asked != again+1 {
				t.Errorf("another: %s, asked %d times", v.Code.Name, a.asked)
			}
		})
	}
}

// RFC 7662 §2.1, RFC 6749 §2.3.1: what is asked, and who asks.
func TestIntrospectionRequest(t *testing.T) {
	const token = `a+b/c=&x=é%`
	for _, auth := range []string{"basic", "post"} {
		a := &asker{t: t, answer: active(), p: parse(t, opaque("", `,"clientAuth":"`+auth+`"`, ""))}
		ask := strings.ReplaceAll(token, "é", "~")
		if v := a.judge(ask, now); v.Code != verdict.OK {
			t.Fatal(v.Code.Name)
		}
		form, err := url.ParseQuery(a.body)
		if err != nil || form.Get("token") != ask || form.Get("token_type_hint") != "access_token" ||
			len(form["token"]) != 1 {
			t.Errorf("%s: %s", auth, a.body)
		}
		authorization := ""
		for _, h := range a.sent {
			if h[0] == "authorization" {
				authorization = h[1]
			}
		}
		if auth == "basic" {
			want := "Basic " + base64.StdEncoding.EncodeToString([]byte("gate%3Away:s%3Ae%20c%2Br%25t"))
			if authorization != want || form.Has("client_secret") {
				t.Errorf("basic: %s, %s", authorization, a.body)
			}
		} else if form.Get("client_id") != "gate:way" || form.Get("client_secret") != "s:e c+r%t" || authorization != "" {
			t.Errorf("post: %s, %s", authorization, a.body)
		}
	}
}

// What was active is known until ttl or exp, what was not until negativeTtl, and no longer.
func TestIntrospectionCache(t *testing.T) {
	second := func(n int) time.Time { return now.Add(time.Duration(n) * time.Second) }
	for _, c := range []struct {
		name, introspection, answer string
		known                       int // the last second
	}{
		{"active, by default", "", active(), 59},
		{"active, with a ttl", `,"cache":{"ttl":"10s"}`, active(), 9},
		{"active until exp", "", active(claims{"exp": now.Unix() + 20}), 19},
		{"active, never kept", `,"cache":{"ttl":"0s"}`, active(), 0},
		{"active, no room", `,"cache":{"entries":0}`, active(), 0},
		{"inactive, by default", "", `{"active":false}`, 4},
		{"inactive, with a ttl", `,"cache":{"negativeTtl":"30s"}`, `{"active":false}`, 29},
		{"inactive, never kept", `,"cache":{"negativeTtl":"0s"}`, `{"active":false}`, 0},
		{"inactive, no room", `,"cache":{"entries":0}`, `{"active":false}`, 0},
	} {
		a := &asker{t: t, answer: c.answer, p: parse(t, opaque("", c.introspection, ""))}
		want := a.judge("token", now).Code
		if c.known > 0 {
			if v := a.judge("token", second(c.known)); v.Code != want || a.asked != 1 {
				t.Errorf("%s, in the last second: %s, asked %d times", c.name, v.Code.Name, a.asked)
			}
		}
		if v := a.judge("token", second(c.known+1)); v.Code != want || a.asked != 2 {
			t.Errorf("%s, a second later: %s, asked %d times", c.name, v.Code.Name, a.asked)
		}
	}
	// The clock is set back before the token was issued.
	early := &asker{t: t, answer: active(claims{"iat": now.Unix()}), p: parse(t, opaque("", "", ""))}
	early.judge("token", now)
	if v := early.judge("token", second(-31)); v.Code != TokenNotYetValid || early.asked != 1 {
		t.Errorf("before it was issued: %s, asked %d times", v.Code.Name, early.asked)
	}
	// Revoked meanwhile: the next answer counts.
	a := &asker{t: t, answer: active(), p: parse(t, opaque("", "", ""))}
	a.judge("token", now)
	a.answer = `{"active":false}`
	if v := a.judge("token", second(60)); v.Code != TokenInactive {
		t.Errorf("revoked: %s", v.Code.Name)
	}
}

// J36: who sends many tokens takes no more memory than a few.
func TestIntrospectionBounds(t *testing.T) {
	a := &asker{t: t, answer: `{"active":false}`, p: parse(t, opaque("", `,"cache":{"entries":16}`, ""))}
	s := a.p.provider("opaque").introspection
	for i := range 100 {
		a.judge(fmt.Sprint("token", i), now)
	}
	if len(s.refused) > 16 || len(s.inflight) != 0 {
		t.Errorf("%d are remembered, %d wait", len(s.refused), len(s.inflight))
	}
	a.answer = active()
	for i := range 100 {
		a.judge(fmt.Sprint("good", i), now)
	}
	if s.known.count != 16 {
		t.Errorf("%d are known", s.known.count)
	}
	for i := range maxInquiries {
		d := a.begin(fmt.Sprint("waits", i), now)
		if d.Step() != decide.Introspect {
			t.Fatalf("%d: %s", i, d.Verdict().Code.Name)
		}
		if i > 0 {
			d.Inquiry().Send()
		}
	}
	a.begin("not-sent", now) // takes no place
	first := a.begin("waits0", now)
	if _, _, ok := first.Inquiry().Send(); !ok {
		t.Error("nobody has sent it")
	}
	if d := a.begin("one-too-many", now); d.Verdict().Code != IntrospectionUnavailable {
		t.Errorf("one too many: %s", d.Verdict().Code.Name)
	}
	second := a.begin("waits0", now)
	if _, _, ok := second.Inquiry().Send(); ok || first.Inquiry() != second.Inquiry() {
		t.Error("two questions for one token")
	}
	for name, token := range map[string]string{"too long": strings.Repeat("x", 16385), "not ASCII": "tokené",
		"a tab": "a\tb"} {
		if d := a.begin(token, now); d.Verdict().Code != TokenMalformed {
			t.Errorf("%s: %s", name, d.Verdict().Code.Name)
		}
	}
	// Whoever does not wait any longer is refused, and takes nobody's answer for its own.
	d := a.begin("waits1", now)
	q := d.Inquiry()
	a.p.DecideAfterInquiry(d, asked(request("GET", "/", bearerHeader("waits1")), now), q)
	if d.Verdict().Code != IntrospectionUnavailable {
		t.Errorf("without an answer: %s", d.Verdict().Code.Name)
	}
	if err := q.Answer(active(), now); err != nil {
		t.Fatal(err)
	}
	a.p.DecideAfterInquiry(d, asked(request("GET", "/", bearerHeader("waits2")), now), q)
	if d.Step() != decide.Introspect {
		t.Errorf("by another token's answer: %s", d.Verdict().Code.Name)
	}
}

// J37: which tokens are verified, and which are asked for.
func TestWhoIntrospects(t *testing.T) {
	good, foreign := es256(t, good()), es256(t, good(claims{"iss": "https://other.example"}))
	for _, c := range []struct {
		name, introspection, rule, token string
		asks                             bool
		want                             *verdict.Code
	}{
		{"an opaque token", "", "", "opaque", true, verdict.OK},
		{"a JWT of an issuer with keys", "", "", good, false, verdict.OK},
		{"a JWT of another issuer", "", "", foreign, false, TokenIssuer},
		{"a JWT that is tampered with", "", "", tamper(good), false, TokenSignature},
		{"J14 a JWE", "", "", "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", true, verdict.OK},
		{"a PASETO", "", "", "v2.local.abc", true, verdict.OK},
		{"J1 alg none", "", "", "eyJhbGciOiJub25lIn0.e30.", false, TokenIssuer},
		{"J13 a header with padding", "", "", "eyJhbGciOiJub25lIn0=.e30.", false, TokenMalformed},
		{"all: a JWT of an issuer with keys", `,"for":"all"`, "", good, false, verdict.OK},
		{"all: a JWT of another issuer", `,"for":"all"`, "", foreign, true, verdict.OK},
		{"all: a JWT of an issuer with keys, by a rule that takes the other only", `,"for":"all"`,
			`,"require":{"providers":["opaque"]}`, good, true, verdict.OK},
		{"a rule that takes JWTs only", "", `,"require":{"providers":["jwt"]}`, "opaque", false, TokenMalformed},
		{"a JWT, by a rule that takes the other only", "", `,"require":{"providers":["opaque"]}`, good, false, TokenIssuer},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &asker{t: t, answer: active(), p: parse(t, opaque("", c.introspection, c.rule))}
			for range 2 {
				if v := a.judge(c.token, now); v.Code != c.want || (a.asked == 1) != c.asks {
					t.Errorf("%s, asked %d times; want %s", v.Code.Name, a.asked, c.want.Name)
				}
			}
		})
	}
	// A token is asked for only where its provider's may stand.
	elsewhere := opaque(`,"token":{"header":"x-opaque"}`, "", "")
	a := &asker{t: t, answer: active(), p: parse(t, elsewhere)}
	if v := a.judge("opaque", now); v.Code != TokenMalformed || a.asked != 0 {
		t.Errorf("where another provider's stand: %s", v.Code.Name)
	}
	// Whatever comes first in the configuration, a JWT is its issuer's with keys.
	first := strings.Replace(opaque("", "", ""), `{"name":"jwt"`, `{"name":"before","issuer":"https://idp.example",`+
		`"token":{"cookie":"c"},"introspection":{"cluster":"c","authority":"a","path":"/","clientId":"i",`+
		`"clientSecretEnv":"SECRET"}},{"name":"jwt"`, 1)
	a = &asker{t: t, answer: active(), p: parse(t, first)}
	if v := a.judge(good, now); v.Code != verdict.OK || a.asked != 0 {
		t.Errorf("behind an endpoint of the same issuer: %s", v.Code.Name)
	}
	// An endpoint has no keys, whatever its issuer is called.
	tenants := opaque(`,"issuer":{"template":"https://login.example/{tid}","anyValue":true}`, "", "")
	a = &asker{t: t, answer: active(), p: parse(t, tenants)}
	if v := a.judge(es256(t, claims{"iss": "https://login.example/t", "tid": "t"}), now); v.Code != TokenIssuer {
		t.Errorf("a JWT of an endpoint's tenant: %s", v.Code.Name)
	}
	// A token that is known by its keys is asked for where the rule takes the endpoint's word only.
	config := strings.Replace(opaque("", `,"for":"all"`, ""), `"rules":[`,
		`"rules":[{"name":"ask","match":[{"paths":["/ask"]}],"require":{"providers":["opaque"]}},`, 1)
	p := parse(t, config)
	var d Decision
	p.Decide(&d, asked(request("GET", "/", bearerHeader(good)), now))
	d.Run(goWorld)
	p.Decide(&d, asked(request("GET", "/ask", bearerHeader(good)), now))
	if d.Step() != decide.Introspect {
		t.Errorf("a token that is known by its keys: %s", d.Verdict().Code.Name)
	}
}

// J34: a token that is bound needs its sender's proof, whoever vouches for it.
func TestIntrospectedBinding(t *testing.T) {
	p := parse(t, opaque(`,"senderConstraint":"dpop"`, "", ""))
	const token = "opaque-token"
	answer := active(claims{"cnf": claims{"jkt": thumbprint(t, &otherKey.PublicKey)}})
	judge := func(proofs ...string) *verdict.Code {
		headers := dpopRequest("GET", "/any", "DPoP", token, proofs...)
		var d Decision
		p.Decide(&d, asked(headers, now))
		if d.Step() == decide.Introspect {
			if err := d.Inquiry().Answer(answer, now); err != nil {
				t.Fatal(err)
			}
			p.DecideAfterInquiry(&d, asked(headers, now), d.Inquiry())
		}
		d.Run((&sender{}).world())
		return d.Verdict().Code
	}
	if code := judge(); code != TokenUnbound {
		t.Errorf("without a proof: %s", code.Name)
	}
	if code := judge(proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token))); code != verdict.OK {
		t.Errorf("with a proof: %s", code.Name)
	}
	if code := judge(proof(t, jose.ES256, ecKey, "dpop+jwt", nil, proofClaims(token))); code != TokenUnbound {
		t.Errorf("with another's proof: %s", code.Name)
	}
}
