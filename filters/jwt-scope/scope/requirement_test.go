// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// twoIssuers is a configuration of the issuers https://a.example and https://b.example with more of each, and one rule.
func twoIssuers(a, b, rule string) string {
	provider := func(name, more string) string {
		return fmt.Sprintf(`{"name":%q,"issuer":"https://%s.example","anyAudience":true,"jwks":{"inline":%s}%s}`,
			name, name, testKeys, more)
	}
	return `{"providers":[` + provider("a", a) + `,` + provider("b", b) + `],"rules":[{"name":"all"` + rule + `}]}`
}

// What a provider, a rule and its alternatives ask of a token.
func TestRequirements(t *testing.T) {
	of := func(issuer string, changes ...claims) claims {
		return good(append([]claims{{"iss": "https://" + issuer + ".example", "aud": nil}}, changes...)...)
	}
	anyOf := `,"require":{"anyOf":[` +
		`{"providers":["a"],"claims":[{"path":["client_id"],"any":["app"]}]},` +
		`{"providers":["b"],"scopes":{"all":["orders:write"]},"claims":[{"path":["azp"],"any":["app"]}]}]}`
	for _, c := range []struct {
		name       string
		a, b, rule string
		claims     claims
		want       *verdict.Code
		scope      string // of the challenge
	}{
		{"a provider asks for a scope that is there", `,"require":{"scopes":{"all":["orders:read"]}}`, "", "",
			of("a"), verdict.OK, ""},
		{"a provider asks for a scope that is not there", `,"require":{"scopes":{"all":["base"]}}`, "",
			`,"require":{"scopes":{"all":["orders:read"]}}`, of("a"), InsufficientScope, "orders:read base"},
		{"another provider asks for a scope that is not there", `,"require":{"scopes":{"all":["base"]}}`, "", "",
			of("b"), verdict.OK, ""},
		{"a provider asks for a claim that is not there",
			`,"require":{"claims":[{"path":["azp"],"any":["app"]}]}`, "", "", of("a"), ClaimMismatch, ""},
		{"a provider asks for a claim, and access is optional", `,"require":{"claims":[{"path":["azp"],"any":["app"]}]}`,
			"", `,"access":"optional"`, of("a"), ClaimMismatch, ""},
		{"the first alternative", "", "", anyOf, of("a", claims{"client_id": "app"}), verdict.OK, ""},
		{"the second alternative", "", "", anyOf, of("b", claims{"azp": "app", "scope": "orders:write"}), verdict.OK, ""},
		{"J45 the claim of another provider's alternative", "", "", anyOf, of("a", claims{"azp": "app", "scope": "orders:write"}),
			ClaimMismatch, ""},
		{"an alternative without its scope", "", "", anyOf, of("b", claims{"azp": "app"}), InsufficientScope, "orders:write"},
		{"an alternative without its scope and its claim", "", "", anyOf, of("b"), ClaimMismatch, ""},
		{"J45 a token of no alternative's provider", "", "",
			`,"require":{"anyOf":[{"providers":["a"]}]}`, of("b"), TokenIssuer, ""},
		{"alternatives beside the rest", "", "",
			strings.Replace(anyOf, `"anyOf"`, `"scopes":{"all":["admin"]},"anyOf"`, 1), of("a", claims{"client_id": "app"}),
			InsufficientScope, "admin"},
		{"at least", "", "", `,"require":{"claims":[{"path":["level"],"atLeast":2}]}`, of("a", claims{"level": 2}),
			verdict.OK, ""},
		{"less than that", "", "", `,"require":{"claims":[{"path":["level"],"atLeast":2}]}`, of("a", claims{"level": raw("1.99")}),
			ClaimMismatch, ""},
		{"at most", "", "", `,"require":{"claims":[{"path":["level"],"atMost":2}]}`, of("a", claims{"level": 2}),
			verdict.OK, ""},
		{"more than that", "", "", `,"require":{"claims":[{"path":["level"],"atMost":2}]}`, of("a", claims{"level": 3}),
			ClaimMismatch, ""},
		{"within both", "", "", `,"require":{"claims":[{"path":["level"],"atLeast":2,"atMost":4}]}`,
			of("a", claims{"level": []int{1, 3}}), verdict.OK, ""},
		{"each bound by another item", "", "", `,"require":{"claims":[{"path":["level"],"atLeast":2,"atMost":4}]}`,
			of("a", claims{"level": []int{1, 5}}), ClaimMismatch, ""},
		{"a number in a string", "", "", `,"require":{"claims":[{"path":["level"],"atLeast":2}]}`,
			of("a", claims{"level": "3"}), ClaimMismatch, ""},
		{"no number", "", "", `,"require":{"claims":[{"path":["level"],"atMost":2}]}`, of("a"), ClaimMismatch, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(parse(t, twoIssuers(c.a, c.b, c.rule)), now, request("GET", "/", bearerHeader(es256(t, c.claims)))...)
			scope := ""
			if c.scope != "" {
				scope = `, scope="` + c.scope + `"`
			}
			if v.Reason() != c.want || !strings.HasSuffix(v.Challenge, scope) ||
				scope == "" && strings.Contains(v.Challenge, "scope=\"") {
				t.Errorf("%s, %s; want %s, %s", v.Reason().Name, v.Challenge, c.want.Name, scope)
			}
		})
	}
}

// A * in a path is each item of a list.
func TestEachItem(t *testing.T) {
	permissions := raw(`{"permissions":[{"rsname":"orders","scopes":["read"]},{"rsname":"stock","scopes":["write","count"]},
		{"rsname":"none"},7,null],"one":"write","object":{"scopes":["write"]},"nothing":[null]}`)
	for _, c := range []struct {
		condition string
		fits      bool
	}{
		{`"path":["authorization","permissions","*","scopes"],"any":["write"]`, true},
		{`"path":["authorization","permissions","*","scopes","*"],"any":["write"]`, true},
		{`"path":["authorization","permissions","*","scopes"],"any":["delete"]`, false},
		{`"path":["authorization","permissions","*","scopes"],"all":["write","count"]`, true},
		{`"path":["authorization","permissions","*","scopes"],"all":["read","count"]`, false}, // of two items
		{`"path":["authorization","one","*"],"none":["write"]`, false},
		{`"path":["authorization","one","*"],"any":["write"]`, false},
		{`"path":["authorization","object","*","scopes"],"none":["write"]`, false},
		{`"path":["authorization","object","*","scopes"],"exists":false`, false},
		{`"path":["authorization","nothing","*"],"exists":true`, false},
		{`"path":["authorization","one","*"],"exists":false`, true},
		{`"path":["authorization","permissions","*"],"exists":false`, false},
		{`"path":["authorization","permissions","*","scopes"],"all":["read","delete"]`, false},
		{`"path":["authorization","permissions","*","scopes"],"none":["delete"]`, true},
		{`"path":["authorization","permissions","*","scopes"],"none":["delete","count"]`, false},
		{`"path":["authorization","permissions","*","rsname"],"exists":true`, true},
		{`"path":["authorization","permissions","*","rsid"],"exists":true`, false},
		{`"path":["authorization","permissions","*","rsid"],"exists":false`, true},
		{`"path":["authorization","permissions","*","rsname"],"glob":"st*"`, true},
		{`"path":["authorization","*","rsname"],"any":["orders"]`, false},
		{`"path":["authorization","permissions","*"],"atLeast":7`, true},
		{`"path":["authorization","permissions","*"],"atLeast":8`, false},
	} {
		p := parse(t, twoIssuers("", "", `,"require":{"claims":[{`+c.condition+`}]}`))
		token := es256(t, good(claims{"iss": "https://a.example", "authorization": permissions}))
		want := verdict.OK
		if !c.fits {
			want = ClaimMismatch
		}
		if v := judge(p, now, request("GET", "/", bearerHeader(token))...); v.Reason() != want {
			t.Errorf("%s: %s", c.condition, v.Reason().Name)
		}
	}
}

// J32: a string of scopes is split as the provider says, and no otherwise.
func TestScopeSeparator(t *testing.T) {
	for _, c := range []struct {
		separator, scope string
		fits             bool
	}{
		{"space", "r w", true},
		{"space", "r,w", false},
		{"comma", "r,w", true},
		{"comma", "r, w", true},
		{"comma", "r w", false},
		{"comma", "r w,x", false},
		{"any", "r,w", true},
		{"any", "r w", true},
		{"any", "r, w", true},
		{"any", "r;w", false},
		{"any", "r\tw", false},
		{"any", "r\u00a0w", false},
		{"any", "rw,ww", false},
	} {
		p := parse(t, twoIssuers(`,"scopeSeparator":"`+c.separator+`"`, "", `,"require":{"scopes":{"all":["r","w"]}}`))
		v := judge(p, now, request("GET", "/", bearerHeader(es256(t, good(claims{"iss": "https://a.example",
			"scope": c.scope}))))...)
		if fits := v.Reason() == verdict.OK; fits != c.fits {
			t.Errorf("%+v: %s", c, v.Reason().Name)
		}
	}
	p := parse(t, twoIssuers(`,"scopeSeparator":"any"`, "", `,"require":{"scopes":{"all":["r"]}}`))
	v := judge(p, now, request("GET", "/", bearerHeader(es256(t, good(claims{"iss": "https://a.example",
		"scope": []string{"r,w"}}))))...)
	if v.Reason() != InsufficientScope {
		t.Errorf("an item of a list was split: %s", v.Reason().Name)
	}
}

// J19 J38: an issuer's template accepts the tenants that it names, and whose tokens say the same in the claim.
func TestIssuerTemplate(t *testing.T) {
	const template = `"template":"https://login.example/{tid}/v2.0"`
	for _, c := range []struct {
		name, issuer, iss string
		tid               any
		want              *verdict.Code
	}{
		{"a tenant of the list", template + `,"values":["t1","t2"]`, "https://login.example/t2/v2.0", "t2", verdict.OK},
		{"a neighbour", template + `,"values":["t1","t2"]`, "https://login.example/t3/v2.0", "t3", TokenIssuer},
		{"another tenant's claim", template + `,"values":["t1","t2"]`, "https://login.example/t1/v2.0", "t2", TokenIssuer},
		{"no claim", template + `,"values":["t1"]`, "https://login.example/t1/v2.0", nil, TokenIssuer},
		{"the claim in a list", template + `,"values":["t1"]`, "https://login.example/t1/v2.0", []string{"t1"}, TokenIssuer},
		{"any tenant", template + `,"anyValue":true`, "https://login.example/t3/v2.0", "t3", verdict.OK},
		{"two segments", template + `,"anyValue":true`, "https://login.example/t3/x/v2.0", "t3/x", TokenIssuer},
		{"no segment", template + `,"anyValue":true`, "https://login.example//v2.0", "", TokenIssuer},
		{"a dot segment", template + `,"anyValue":true`, "https://login.example/../v2.0", "..", TokenIssuer},
		{"an escape", template + `,"anyValue":true`, "https://login.example/a%2fb/v2.0", "a%2fb", TokenIssuer},
		{"the template itself", template + `,"anyValue":true`, "https://login.example/{tid}/v2.0", "{tid}", verdict.OK},
		{"more behind", template + `,"anyValue":true`, "https://login.example/t1/v2.0/", "t1", TokenIssuer},
		{"another host", template + `,"anyValue":true`, "https://evil.example/t1/v2.0", "t1", TokenIssuer},
		{"a part of the name", template + `,"values":["t1"]`, "https://login.example/t11/v2.0", "t11", TokenIssuer},
		{"at the end", `"template":"https://login.example/{tid}","values":["t1"]`, "https://login.example/t1", "t1", verdict.OK},
		{"at the end, with a path", `"template":"https://login.example/{tid}","anyValue":true`, "https://login.example/t1/v2.0",
			"t1/v2.0", TokenIssuer},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := strings.Replace(twoIssuers("", "", ""), `"https://a.example"`, `{`+c.issuer+`}`, 1)
			token := es256(t, good(claims{"iss": c.iss, "tid": c.tid}))
			if v := judge(parse(t, config), now, request("GET", "/", bearerHeader(token))...); v.Reason() != c.want {
				t.Errorf("%s, want %s", v.Reason().Name, c.want.Name)
			}
		})
	}
	// A tenant with a provider of its own is that one's.
	config := strings.Replace(twoIssuers("", `,"require":{"scopes":{"all":["own"]}}`, ""), `"https://a.example"`,
		`{`+template+`,"anyValue":true}`, 1)
	config = strings.Replace(config, "https://b.example", "https://login.example/t1/v2.0", 1)
	token := es256(t, good(claims{"iss": "https://login.example/t1/v2.0", "tid": "t1"}))
	if v := judge(parse(t, config), now, request("GET", "/", bearerHeader(token))...); v.Reason() != InsufficientScope {
		t.Errorf("a tenant with a provider of its own: %s", v.Reason().Name)
	}
}

// J38: templates that one iss may fit are a fault.
func TestTemplatesOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b     string
		overlaps bool
	}{
		{`"template":"https://l/{tid}/v2","anyValue":true`, `"template":"https://l/{tid}/v2","values":["x"]`, true},
		{`"template":"https://l/{tid}/v2","values":["y"]`, `"template":"https://l/{tid}/v2","values":["x"]`, false},
		{`"template":"https://l/{tid}/v2","values":["y","x"]`, `"template":"https://l/{tid}/v2","values":["x"]`, true},
		{`"template":"https://l/{tid}/v2","anyValue":true`, `"template":"https://l/{tid}/v1","anyValue":true`, false},
		{`"template":"https://l/{tid}/v2","anyValue":true`, `"template":"https://l/{tid}","anyValue":true`, false},
		{`"template":"https://l/{a}/b","anyValue":true`, `"template":"https://l/a/{b}","anyValue":true`, true},
		{`"template":"https://l/{a}/b","values":["x"]`, `"template":"https://l/a/{b}","anyValue":true`, false},
		{`"template":"https://l/{a}/b","anyValue":true`, `"template":"https://l/a/{b}","values":["c"]`, false},
		{`"template":"https://l/{a}/b/c","anyValue":true`, `"template":"https://l/a/{b}/c","anyValue":true`, true},
		{`"template":"https://l/{a}/b/d","anyValue":true`, `"template":"https://l/a/{b}/c","anyValue":true`, false},
		{`"template":"https://l/{a}/b","anyValue":true`, `"template":"https://m/a/{b}","anyValue":true`, false},
	} {
		for _, swapped := range []bool{false, true} {
			if swapped {
				c.a, c.b = c.b, c.a
			}
			config := strings.Replace(twoIssuers("", "", ""), `"https://a.example"`, `{`+c.a+`}`, 1)
			config = strings.Replace(config, `"https://b.example"`, `{`+c.b+`}`, 1)
			_, err := Parse(config, surroundings)
			if overlaps := err != nil; overlaps != c.overlaps {
				t.Errorf("%s and %s: %v", c.a, c.b, err)
			}
		}
	}
}

// J42: RFC 9470: how and when the user was authenticated.
func TestAuthentication(t *testing.T) {
	const both = `,"require":{"authentication":{"acr":["gold","silver"],"maxAge":"5m"}}`
	const challenge = `, error="insufficient_user_authentication", acr_values="gold silver", max_age="300"`
	at := func(ago int64) int64 { return now.Unix() - ago }
	for _, c := range []struct {
		name   string
		rule   string
		claims claims
		want   *verdict.Code
	}{
		{"as asked for", both, claims{"acr": "silver", "auth_time": at(10)}, verdict.OK},
		{"another acr", both, claims{"acr": "bronze", "auth_time": at(10)}, AuthenticationInsufficient},
		{"no acr", both, claims{"auth_time": at(10)}, AuthenticationInsufficient},
		{"a list of acr", both, claims{"acr": []string{"gold"}, "auth_time": at(10)}, AuthenticationInsufficient},
		{"in the last second with the skew", both, claims{"acr": "gold", "auth_time": at(330)}, verdict.OK},
		{"a second later", both, claims{"acr": "gold", "auth_time": at(331)}, AuthenticationInsufficient},
		{"no auth_time", both, claims{"acr": "gold"}, AuthenticationInsufficient},
		{"auth_time in a string", both, claims{"acr": "gold", "auth_time": "1700000000"}, AuthenticationInsufficient},
		{"auth_time in the future", both, claims{"acr": "gold", "auth_time": at(-31)}, AuthenticationInsufficient},
		{"auth_time in the future, within the skew", both, claims{"acr": "gold", "auth_time": at(-30)}, verdict.OK},
		{"scopes are asked for first", strings.Replace(both, `{"auth`, `{"scopes":{"all":["x"]},"auth`, 1), claims{"acr": "no"},
			InsufficientScope},
		{"only acr", `,"require":{"authentication":{"acr":["gold"]}}`, claims{"acr": "gold"}, verdict.OK},
		{"only maxAge", `,"require":{"authentication":{"maxAge":"5m"}}`, claims{"auth_time": at(299)}, verdict.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parse(t, twoIssuers("", "", c.rule))
			headers := request("GET", "/", bearerHeader(es256(t, good(claims{"iss": "https://a.example"}, c.claims))))
			for range 2 { // the second time the token is known
				v := judge(p, now, headers...)
				if v.Reason() != c.want || (c.want == AuthenticationInsufficient) != strings.HasSuffix(v.Challenge, challenge) {
					t.Errorf("%s, %s; want %s", v.Reason().Name, v.Challenge, c.want.Name)
				}
			}
		})
	}
}
