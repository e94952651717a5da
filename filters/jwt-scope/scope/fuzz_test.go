// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Headers, cookies and queries of any shape: nobody gets in with another token than the one that
// was signed, however it is wrapped, and what is forwarded has none of the client's own values
// under our names.
func FuzzHeaders(f *testing.F) {
	config := strings.Replace(with(testConfig,
		`"forward":{"token":"strip","payloadHeader":"x-jwt-payload","claimHeaders":[{"path":["sub"],"header":"x-user-id"}]}`),
		`"name": "corp",`, `"name": "corp", "senderConstraint": "whenPresent", "token": [{"header": "authorization", "scheme": "Bearer"}, {"header": "x-token"}, {"cookie": "session"}, {"query": "token"}],`, 1)
	p := parse(f, config)
	token := es256(f, good())
	for _, seed := range [][3]string{
		{"authorization", "Bearer TOKEN", "/orders/7"}, {"authorization", "bearer  TOKEN", "/orders/7"},
		{"authorization", "Bearer TOKEN,Bearer TOKEN", "/orders/7"}, {"authorization", "Bearer TOKEN ", "/orders/7"},
		{"authorization", "DPoP TOKEN", "/orders/7"}, {"authorization", "BearerTOKEN", "/orders/7"}, {"authorization",
			"Basic YTpi, Bearer TOKEN", "/orders/7"}, {"x-token", "TOKEN", "/orders/7"}, {"x_token", "TOKEN", "/orders/7"},
		{"cookie", "a=b; session=TOKEN", "/orders/7"}, {"cookie", `session="TOKEN"; session=TOKEN`, "/orders/7"}, {"x",
			"y", "/orders/7?token=TOKEN"}, {"x", "y", "/orders/7?token=TOKEN&token=TOKEN"},
		{"x-user-id", "root", "/orders/7?token=TOKEN"}, {"X_USER-ID", "root", "/orders/7?token=TOKEN"}, {"dpop",
			"TOKEN", "/orders/7?token=TOKEN"}, {":path", "/healthz", "/orders/7"},
		{"authorization", "Bearer TOKEN", "/orders/%37;a=b"},
	} {
		f.Add(seed[0], seed[1], seed[2], "x", "y")
		f.Add("x", "y", seed[2], seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value, path, otherName, otherValue string) {
		fill := func(s string) string { return strings.ReplaceAll(s, "TOKEN", token) }
		headers := [][2]string{{":method", "GET"}, {":authority", "api.example"}, {":path", fill(path)}}
		for _, h := range [][2]string{{name, fill(value)}, {otherName, fill(otherValue)}} {
			if !strings.HasPrefix(h[0], ":") {
				headers = append(headers, [2]string{strings.ToLower(h[0]), h[1]})
			}
		}
		var d Decision
		p.Decide(&d, asked(headers, now))
		if d.Run(goWorld) != decide.Done {
			return
		}
		var e forward.Effect
		d.Effect(&e)
		given := false
		for _, h := range headers {
			given = given || strings.Contains(h[1], token)
		}
		if v := d.Verdict(); v.Code == verdict.OK && v.Rule >= 0 && p.rules[v.Rule].access == required &&
			(d.verified == nil || !given || d.credential.token != token) {
			t.Fatalf("%q is admitted by rule %s", headers, p.RuleName(v.Rule))
		}
		for _, h := range headers {
			if folded := forward.Fold(h[0]); (folded == "x-user-id" || folded == "x-jwt-payload") && !contains(e.Remove, h[0]) {
				t.Fatalf("%q is not removed: %q", h, e.Remove)
			}
		}
	})
}

// Whatever an introspection endpoint answers: who is admitted has an answer that every reader takes
// for active, and now.
func FuzzIntrospection(f *testing.F) {
	for _, seed := range []string{"", "<html>", "[]", `{"active":true}`, `{"active":false}`, `{"active":"true"}`,
		`{"active":false,"active":true}`, `{"\u0061ctive":true}`, `{"active":true,"exp":1}`, `{"active":true,"exp":1e400}`,
		`{"active":true,"nbf":9999999999}`, `{"active":true,"iss":"https://x","aud":["a",1]}`, "\ufeff" + `{"active":true}`,
		`{"active":true} {}`, `{"Active":true}`, `{"a":{"active":true}}`, `{"active":true,"exp":1700000010}`,
	} {
		f.Add(seed)
	}
	p := parse(f, opaque("", "", ""))
	f.Fuzz(func(t *testing.T, body string) {
		q := &Inquiry{service: p.provider("opaque").introspection, token: "token"}
		if q.Answer(body, now) != nil || q.code != nil {
			if q.found != nil || q.code == nil {
				t.Fatalf("a refused answer has claims: %q", body)
			}
			return
		}
		var answer map[string]any
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer["active"] != true {
			t.Fatalf("%q is taken for active: %v", body, err)
		}
		if exp, ok := answer["exp"].(float64); ok && exp <= float64(now.Unix()-30) {
			t.Fatalf("%q has expired", body)
		}
	})
}
