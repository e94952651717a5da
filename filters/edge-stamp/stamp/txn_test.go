// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const (
	txnTyp     = "txntoken+jwt"
	txnProfile = `"profile":"txn-token"`
	known      = `{"sub":"ann","scope":"orders:read orders:write","order":{"id":7,"tags":["a"]},"amr":["pwd"]}`
)

// txnClaims are those of a good Txn-Token for GET /orders/7?a=1.
func txnClaims(changes ...map[string]any) map[string]any {
	own := map[string]any{"txn": "t-1", "scope": "orders:read", "req_wl": "https://edge"}
	return claims(append([]map[string]any{own}, changes...)...)
}

// go-jose takes what the edge makes, with the claims that the draft has as REQUIRED, and so does
// the mesh; nothing of it is there that the configuration does not name.
func TestTxnToken(t *testing.T) {
	x := &proxy{identity: known}
	p := parse(t, edgeConfig(txnProfile+`,"copyClaims":{"tctx":{"order":["order","id"],"labels":["order","tags"],
		"none":["order","none"]},"rctx":{"authn \"":["amr"]}}`))
	out := x.stamp(t, p, request("GET", asked))
	if header(out, "x-edge-stamp") != "" {
		t.Errorf("it stands under another profile's header: %v", out)
	}
	token, err := jwt.ParseSigned(header(out, "txn-token"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if h := token.Headers[0]; h.ExtraHeaders["typ"] != txnTyp || h.KeyID != "edge-1" || h.Algorithm != "ES256" {
		t.Errorf("the header is %+v", h)
	}
	got := map[string]any{}
	if err := token.Claims(edge.Public(), &got); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"jti", "txn"} {
		if b, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(got[id])); err != nil || len(b) != 16 {
			t.Errorf("%s is %v", id, got[id])
		}
	}
	if got["jti"] == got["txn"] {
		t.Error("the transaction is called as its token")
	}
	want := claims(map[string]any{"jti": got["jti"], "txn": got["txn"], "req_wl": "https://edge",
		"scope": "orders:read orders:write", "iat": float64(now.Unix()), "exp": float64(now.Unix() + 30),
		"tctx": map[string]any{"order": 7.0, "labels": []any{"a"}}, "rctx": map[string]any{`authn "`: []any{"pwd"}}})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the claims are\n%v, want\n%v", got, want)
	}
	d := (&proxy{}).decide(parse(t, meshConfig(txnProfile)), out)
	if d.Verdict().Code != verdict.OK || !strings.Contains(d.identity, `"txn":"`+got["txn"].(string)) {
		t.Errorf("the mesh: %s, %s", d.Verdict().Code.Name, d.identity)
	}
	for _, profile := range []string{"jws", "rfc9421"} {
		mesh := parse(t, meshConfig(`"header":"txn-token","profile":"`+profile+`"`))
		if d := (&proxy{}).decide(mesh, out); d.Verdict().Admits() {
			t.Errorf("a mesh of profile %s takes it", profile)
		}
	}
}

// S20: what a Txn-Token says of the transaction comes from claims that a filter has verified; where
// they have not what the draft has as REQUIRED there is no token.
func TestTxnTokenClaims(t *testing.T) {
	for _, c := range []struct{ name, identity, config, sub, scope, txn, lacks string }{
		{name: "a new transaction", identity: known, sub: "ann", scope: "orders:read orders:write"},
		{name: "one that has begun", identity: `{"sub":"ann","scope":"a","txn":"t \"1\""}`, sub: "ann", scope: "a",
			txn: `t "1"`},
		{name: "one without a name", identity: `{"sub":"ann","scope":"a","txn":null}`, sub: "ann", scope: "a"},
		{name: "the longest name", identity: `{"sub":"ann","scope":"a","txn":"` + strings.Repeat("t", 256) + `"}`,
			sub: "ann", scope: "a", txn: strings.Repeat("t", 256)},
		{name: "other paths", identity: `{"user":{"id":"u1"},"scp":["a","b"]}`,
			config: `,"copyClaims":{"sub":["user","id"],"scope":["scp"]}`, sub: "u1", scope: "a b"},
		{name: "nobody is known", lacks: "sub"},
		{name: "no subject", identity: `{"scope":"a"}`, lacks: "sub"},
		{name: "an empty subject", identity: `{"sub":"","scope":"a"}`, lacks: "sub"},
		{name: "a subject that is no text", identity: `{"sub":7,"scope":"a"}`, lacks: "sub"},
		{name: "no scope", identity: `{"sub":"ann"}`, lacks: "scope"},
		{name: "an empty scope", identity: `{"sub":"ann","scope":""}`, lacks: "scope"},
		{name: "a scope of nothing", identity: `{"sub":"ann","scope":null}`, lacks: "scope"},
		{name: "an empty list of scopes", identity: `{"sub":"ann","scope":[]}`, lacks: "scope"},
		{name: "a list with what is no scope", identity: `{"sub":"ann","scope":["a",1,"b"]}`, lacks: "scope"},
		{name: "a list with an empty scope", identity: `{"sub":"ann","scope":["a",""]}`, lacks: "scope"},
		{name: "all characters of a scope", identity: `{"sub":"ann","scope":"!#$%&'()*+,-./09:;<=>?@AZ[]^_` + "`" + `az{|}~ b"}`, sub: "ann",
			scope: "!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~ b"},
		{name: "a scope of one space", identity: `{"sub":"ann","scope":" "}`, lacks: "scope"},
		{name: "a scope with a space before it", identity: `{"sub":"ann","scope":" a"}`, sub: "ann", scope: "a"},
		{name: "a scope with a space behind it", identity: `{"sub":"ann","scope":"a "}`, sub: "ann", scope: "a"},
		{name: "many spaces between scopes", identity: `{"sub":"ann","scope":"a   b     c"}`, sub: "ann", scope: "a b c"},
		{name: "a tab between scopes", identity: `{"sub":"ann","scope":"a\tb"}`, lacks: "scope"},
		{name: "a scope with a quotation mark", identity: `{"sub":"ann","scope":"a \"b"}`, lacks: "scope"},
		{name: "a scope with a backslash", identity: `{"sub":"ann","scope":"a\\b"}`, lacks: "scope"},
		{name: "a scope that is no ASCII", identity: `{"sub":"ann","scope":"caf\u00e9"}`, lacks: "scope"},
		{name: "a scope with a delete", identity: `{"sub":"ann","scope":"a\u007f"}`, lacks: "scope"},
		{name: "a list with two scopes in one", identity: `{"sub":"ann","scope":["a b"]}`, lacks: "scope"},
		{name: "a list with a scope of one space", identity: `{"sub":"ann","scope":["a"," "]}`, lacks: "scope"},
		{name: "a list with what is no character of a scope", identity: `{"sub":"ann","scope":["a","b\n"]}`, lacks: "scope"},
		{name: "a scope that is no text", identity: `{"sub":"ann","scope":{}}`, lacks: "scope"},
		{name: "a transaction that is no text", identity: `{"sub":"ann","scope":"a","txn":1}`, lacks: "txn"},
		{name: "a transaction with an empty name", identity: `{"sub":"ann","scope":"a","txn":""}`, lacks: "txn"},
		{name: "a transaction with too long a name", lacks: "txn",
			identity: `{"sub":"ann","scope":"a","txn":"` + strings.Repeat("t", 257) + `"}`},
	} {
		p := parse(t, edgeConfig(txnProfile+c.config))
		// What a client sends is never looked at, and never goes on.
		theirs := edge.Typed(txnTyp, txnClaims(map[string]any{"txn": "theirs", "sub": "eve"}))
		h := request("GET", asked, [2]string{"txn-token", theirs}, [2]string{"txn_token", theirs})
		d := (&proxy{identity: c.identity}).decide(p, h)
		out := effect(d, h)
		if len(values(out, "txn_token")) != 0 || strings.Contains(fmt.Sprint(out), theirs) {
			t.Errorf("%s: the client's goes on: %v", c.name, out)
		}
		if c.lacks != "" {
			why := fmt.Sprint(d.Explain())
			if d.Verdict().Code != ClaimsMissing || header(out, "txn-token") != "" || !strings.Contains(why, "fails") ||
				!strings.Contains(d.Lacks(), " "+c.lacks+" ") {
				t.Errorf("%s: %s, %s, %v", c.name, d.Verdict().Code.Name, d.Lacks(), out)
			}
			continue
		}
		v := (&proxy{}).decide(parse(t, meshConfig(txnProfile)), out)
		says := func(name string) string { return v.stamped.claims.Get(name).String() }
		if v.Verdict().Code != verdict.OK || says("sub") != c.sub || says("scope") != c.scope ||
			c.txn != "" && says("txn") != c.txn || c.txn == "" && len(says("txn")) != 22 {
			t.Errorf("%s: %s, %s", c.name, v.Verdict().Code.Name, v.identity)
		}
	}
	// Each transaction has a name of its own.
	seen := map[string]bool{}
	p, x := parse(t, edgeConfig(txnProfile)), &proxy{identity: known}
	for range 100 {
		d := (&proxy{}).decide(parse(t, meshConfig(txnProfile)), x.stamp(t, p, request("GET", asked)))
		for _, name := range []string{"txn", "jti"} {
			if id := d.stamped.claims.Get(name).Str; seen[id] {
				t.Fatalf("%s %s comes twice", name, id)
			} else {
				seen[id] = true
			}
		}
	}
	pss := mint.New("k", jose.PS256) // whose salt is random, too
	environ["PSS"] = pss.PrivateJWK()
	salted := parse(t, edgeConfig(txnProfile+`,"keys":[{"kid":"k","alg":"PS256","env":"PSS"}]`))
	out := x.stamp(t, salted, request("GET", asked))
	if token, err := jwt.ParseSigned(header(out, "txn-token"), []jose.SignatureAlgorithm{jose.PS256}); err != nil ||
		token.Claims(pss.Public(), &map[string]any{}) != nil {
		t.Errorf("PS256: %v", err)
	}
	if d := (&proxy{identity: `{"sub":"ann","scope":"` + strings.Repeat("x", 12000) + `"}`}).decide(p,
		request("GET", asked)); d.Verdict().Code != StampTooLarge {
		t.Errorf("a large one: %s", d.Verdict().Code.Name)
	}
}

// S20: what the mesh takes for a Txn-Token, of our edge and of any other issuer.
func TestVerifyTxnToken(t *testing.T) {
	type change = map[string]any
	unbound := change{"htm": nil, "hth": nil, "htp": nil, "qsh": nil}
	const further = `"require":{"bind":[],"replay":"off"}`
	for _, c := range []struct {
		name   string
		token  string
		config string
		at     time.Duration
		want   *verdict.Code
	}{
		{name: "a good one", token: edge.Typed(txnTyp, txnClaims()), want: verdict.OK},
		{name: "of the whole media type", token: edge.Typed("application/TxnToken+JWT", txnClaims()), want: verdict.OK},
		{name: "with contexts", token: edge.Typed(txnTyp, txnClaims(change{"tctx": change{"a": 1}, "rctx": change{}})),
			want: verdict.OK},
		{name: "of another profile", token: edge.Typed(stampTyp, txnClaims()), want: StampMalformed},
		{name: "of no type", token: edge.Typed("", txnClaims()), want: StampMalformed},
		{name: "an access token", token: edge.Typed("at+jwt", txnClaims()), want: StampMalformed},
		{name: "without txn", token: edge.Typed(txnTyp, txnClaims(change{"txn": nil})), want: StampMalformed},
		{name: "without sub", token: edge.Typed(txnTyp, txnClaims(change{"sub": nil})), want: StampMalformed},
		{name: "without scope", token: edge.Typed(txnTyp, txnClaims(change{"scope": nil})), want: StampMalformed},
		{name: "without req_wl", token: edge.Typed(txnTyp, txnClaims(change{"req_wl": nil})), want: StampMalformed},
		{name: "with an empty scope", token: edge.Typed(txnTyp, txnClaims(change{"scope": ""})), want: StampMalformed},
		{name: "with a scope of one space", token: edge.Typed(txnTyp, txnClaims(change{"scope": " "})), want: StampMalformed},
		{name: "with an empty scope among others", token: edge.Typed(txnTyp, txnClaims(change{"scope": "a  b"})),
			want: StampMalformed},
		{name: "with a scope that ends in a space", token: edge.Typed(txnTyp, txnClaims(change{"scope": "a "})),
			want: StampMalformed},
		{name: "with what is no character of a scope", token: edge.Typed(txnTyp, txnClaims(change{"scope": "a\nb"})),
			want: StampMalformed},
		{name: "with several scopes", token: edge.Typed(txnTyp, txnClaims(change{"scope": "a b:c"})), want: verdict.OK},
		{name: "over before it begins", token: edge.Typed(txnTyp, txnClaims(change{"exp": now.Unix() - 1})),
			want: StampMalformed},
		{name: "with a list of scopes", token: edge.Typed(txnTyp, txnClaims(change{"scope": []string{"a"}})),
			want: StampMalformed},
		{name: "with a tctx that is no object", token: edge.Typed(txnTyp, txnClaims(change{"tctx": "a"})),
			want: StampMalformed},
		{name: "with an rctx that is no object", token: edge.Typed(txnTyp, txnClaims(change{"rctx": []int{1}})),
			want: StampMalformed},
		{name: "for another domain", token: edge.Typed(txnTyp, txnClaims(change{"aud": "mesh2"})), want: StampAudience},
		{name: "of nobody", token: edge.Typed(txnTyp, txnClaims(change{"iss": nil})), want: StampIssuer},
		{name: "expired", token: edge.Typed(txnTyp, txnClaims()), at: 35 * time.Second, want: StampExpired},
		{name: "forged", token: forger.Typed(txnTyp, txnClaims()), want: StampSignature},
		{name: "of another request", token: edge.Typed(txnTyp, txnClaims(change{"htp": "/orders/8"})),
			want: StampMismatch},
		{name: "bound to nothing", token: edge.Typed(txnTyp, txnClaims(unbound)), want: StampUnbound},
		{name: "bound to nothing, where that will do", config: further, want: verdict.OK,
			token: edge.Typed(txnTyp, txnClaims(unbound, change{"jti": nil}))},
		{name: "of another request, further down the chain", config: further, want: verdict.OK,
			token: edge.Typed(txnTyp, txnClaims(change{"htp": "/orders/8", "bdh": sum("other")}))},
		{name: "of another request, where a part is demanded", config: `"require":{"bind":["method"]}`,
			token: edge.Typed(txnTyp, txnClaims(change{"htp": "/orders/8"})), want: StampMismatch},
		{name: "expired, further down the chain", config: further, at: 35 * time.Second,
			token: edge.Typed(txnTyp, txnClaims(unbound)), want: StampExpired},
		{name: "a jti that is no text", token: edge.Typed(txnTyp, txnClaims(change{"jti": 1})), want: StampMalformed},
		{name: "an empty jti", token: edge.Typed(txnTyp, txnClaims(change{"jti": ""})), want: StampMalformed},
		{name: "too long a txn for an id", want: StampMalformed,
			token: edge.Typed(txnTyp, txnClaims(change{"jti": nil, "txn": strings.Repeat("t", 257)}))},
	} {
		x := &proxy{now: now.Add(c.at)}
		more := txnProfile
		if c.config != "" {
			more += "," + c.config
		}
		d := x.decide(parse(t, meshConfig(more)),
			request("GET", asked, [2]string{"txn-token", c.token}))
		if d.Verdict().Code != c.want {
			t.Errorf("%s: %s, want %s", c.name, d.Verdict().Code.Name, c.want.Name)
		}
	}
	// Without a jti, the transaction is what must not come twice.
	for _, one := range []change{{}, {"jti": nil}} {
		x, p := &proxy{}, parse(t, meshConfig(txnProfile))
		h := request("GET", asked, [2]string{"txn-token", edge.Typed(txnTyp, txnClaims(change{"jti": "id-1"}, one))})
		for _, want := range []*verdict.Code{verdict.OK, StampReplayed} {
			if d := x.decide(p, h); d.Verdict().Code != want {
				t.Errorf("%v: %s, want %s", one, d.Verdict().Code.Name, want.Name)
			}
		}
		again := request("GET", asked, [2]string{"txn-token",
			edge.Typed(txnTyp, txnClaims(change{"jti": "id-1"}, one, change{"txn": "t-2"}))})
		want := StampReplayed // of the same jti
		if _, without := one["jti"]; without {
			want = verdict.OK
		}
		if d := x.decide(p, again); d.Verdict().Code != want {
			t.Errorf("%v, of another transaction: %s, want %s", one, d.Verdict().Code.Name, want.Name)
		}
	}
	// It is no access token of an identity provider that signs with the same keys.
	idp := parse(t, meshConfig(`"require":{"bind":[],"replay":"off"},"trust":[{"name":"idp","issuer":"https://edge",
		"audiences":["mesh"],"forwardIdp":true,"algorithms":["ES256"],"jwks":{"inline":{"keys":[`+edge.PublicJWK()+`]}}}]`))
	for typ, want := range map[string]*verdict.Code{"JWT": verdict.OK, txnTyp: StampMalformed, stampTyp: StampMalformed} {
		if d := (&proxy{}).decide(idp, withStamp(edge.Typed(typ, txnClaims()))); d.Verdict().Code != want {
			t.Errorf("%s for the provider's own: %s", typ, d.Verdict().Code.Name)
		}
	}
	// It goes on as it came, unless it is stripped.
	for strip, want := range map[string]int{"keep": 1, "strip": 0} {
		h := request("GET", asked, [2]string{"txn-token", edge.Typed(txnTyp, txnClaims())})
		d := (&proxy{}).decide(parse(t, meshConfig(txnProfile+`,"forward":{"stamp":"`+strip+`"}`)), h)
		var e forward.Effect
		d.Effect(&e)
		if out := values(e.Apply(h), "txn-token"); len(out) != want {
			t.Errorf("%s: %v", strip, out)
		}
	}
}
