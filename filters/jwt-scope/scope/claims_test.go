// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// withRule is the test configuration with one rule instead of its own.
func withRule(rule string) string {
	return testConfig[:strings.Index(testConfig, `"rules"`)] + `"rules": [` + rule + `]}`
}

func TestClaimConditions(t *testing.T) {
	token := es256(t, good(claims{
		"tenant": "acme", "realm_access": claims{"roles": []any{"clerk", "audit"}}, "level": 3, "half": 1.5,
		"big": raw("9007199254740993"), "active": true, "nothing": nil,
		"https://example.com/dept": "sales", "a.b": "dotted", "a": claims{"b": "nested"}, "null": raw("null"),
		"mixed": []any{1, "two", true}, "empty": []any{}, "host": "api.example",
	}))
	for _, c := range []struct {
		name, condition string
		fits            bool
	}{
		{"any of a string", `{"path":["tenant"],"any":["x","acme"]}`, true},
		{"none of any", `{"path":["tenant"],"any":["x","ACME"]}`, false},
		{"any in a list", `{"path":["realm_access","roles"],"any":["admin","clerk"]}`, true},
		{"all in a list", `{"path":["realm_access","roles"],"all":["audit","clerk"]}`, true},
		{"not all in a list", `{"path":["realm_access","roles"],"all":["clerk","admin"]}`, false},
		{"all of a string", `{"path":["tenant"],"all":["acme"]}`, true},
		{"none in a list", `{"path":["realm_access","roles"],"none":["admin"]}`, true},
		{"one that must not be", `{"path":["realm_access","roles"],"none":["admin","clerk"]}`, false},
		{"none of an absent claim", `{"path":["zzz"],"none":["x"]}`, true},
		{"any of an absent claim", `{"path":["zzz"],"any":["x"]}`, false},
		{"all of an absent claim", `{"path":["zzz"],"all":["x"]}`, false},
		{"J33 a number", `{"path":["level"],"any":[3]}`, true},
		{"J33 a number written otherwise", `{"path":["level"],"any":[3.0]}`, true},
		{"J33 a string is not a number", `{"path":["level"],"any":["3"]}`, false},
		{"J33 a number is not a string", `{"path":["tenant"],"any":[0]}`, false},
		{"J33 a fraction", `{"path":["half"],"any":[1.5]}`, true},
		{"J33 a number beyond exact floats", `{"path":["big"],"any":[9007199254740993]}`, true},
		{"J33 its neighbour, the same float", `{"path":["big"],"any":[9007199254740992]}`, false},
		{"J33 true", `{"path":["active"],"any":[true]}`, true},
		{"J33 true is not false", `{"path":["active"],"any":[false]}`, false},
		{"J33 true is not a string", `{"path":["active"],"any":["true"]}`, false},
		{"J33 null is absent", `{"path":["null"],"exists":true}`, false},
		{"J33 null does not exist", `{"path":["null"],"exists":false}`, true},
		{"exists", `{"path":["tenant"],"exists":true}`, true},
		{"an empty list exists", `{"path":["empty"],"exists":true}`, true},
		{"nothing is in an empty list", `{"path":["empty"],"any":["x"]}`, false},
		{"J33 dots in a name", `{"path":["a.b"],"any":["dotted"]}`, true},
		{"J33 a path is not dots", `{"path":["a","b"],"any":["nested"]}`, true},
		{"J33 a URL as a name", `{"path":["https://example.com/dept"],"any":["sales"]}`, true},
		{"J33 a path into a string", `{"path":["tenant","x"],"exists":true}`, false},
		{"a mixed list", `{"path":["mixed"],"all":[1,"two",true]}`, true},
		{"glob", `{"path":["tenant"],"glob":"ac*"}`, true},
		{"glob in a list", `{"path":["realm_access","roles"],"glob":"aud*"}`, true},
		{"glob of a number", `{"path":["level"],"glob":"*"}`, false},
		{"glob that does not fit", `{"path":["tenant"],"glob":"b*"}`, false},
		{"equals the path variable", `{"path":["tenant"],"equals":{"pathVariable":"tenant"}}`, true},
		{"differs from the path variable", `{"path":["sub"],"equals":{"pathVariable":"tenant"}}`, false},
		{"equals a header", `{"path":["tenant"],"equals":{"header":"X-Tenant"}}`, true},
		{"differs from a header", `{"path":["sub"],"equals":{"header":"x-tenant"}}`, false},
		{"equals a header that is not there", `{"path":["tenant"],"equals":{"header":"x-none"}}`, false},
		{"P11 one of two headers differs", `{"path":["tenant"],"equals":{"header":"x-two"}}`, false},
		{"equals the host", `{"path":["host"],"equals":{"host":true}}`, true},
		{"differs from the host", `{"path":["tenant"],"equals":{"host":true}}`, false},
		{"two conditions that fit", `{"path":["tenant"],"exists":true},{"path":["level"],"any":[3]}`, true},
		{"two conditions of which one fits", `{"path":["tenant"],"exists":true},{"path":["level"],"any":[4]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parse(t, withRule(`{"name":"r","match":[{"paths":["/t/{tenant}/{**}"]}],"require":{"claims":[`+
				c.condition+`]}}`))
			v := judge(p, now, request("GET", "/t/acme/7", bearerHeader(token), [2]string{"x-tenant", "acme"},
				[2]string{"x-two", "acme"}, [2]string{"x-two", "other"})...)
			want := verdict.OK
			if !c.fits {
				want = ClaimMismatch
			}
			if v.Code != want {
				t.Fatalf("%s, want %s", v.Code.Name, want.Name)
			}
			if !c.fits && v.Challenge != `Bearer realm="tollgate", error="insufficient_scope"` {
				t.Errorf("the challenge is %s", v.Challenge)
			}
		})
	}
}
