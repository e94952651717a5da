// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// ruled is a configuration of one provider and one rule, with more keys at the top, in the provider and in the rule.
func ruled(top, provider, rule string) string {
	if provider == "" {
		provider = `"audiences": ["orders-api"]`
	}
	if !strings.Contains(provider, "trustedPayload") {
		provider += `, "jwks": {"inline": ` + string(mint.Set(ecKey, rsaKey)) + `}`
	}
	if rule != "" {
		rule = ", " + rule
	}
	return fmt.Sprintf(`{%s "providers": [{"name": "corp", "issuer": %q, %s}], "rules": [{"name": "rule"%s}]}`, top,
		issuer, provider, rule)
}

type keyRequest struct {
	name, method, path string // GET / where empty
	headers            [][2]string
	status             int
	code               string // "ok": it reaches the upstream
}

type keySetting struct {
	name, config string
	requests     []keyRequest
}

// keySettings are what the configuration's keys and the reasons' table promise, key by key and
// reason by reason, at both sides of each edge. What takes a fixture of its own stands elsewhere:
// remote keys, bound tokens, forwarding, places of tokens, algorithms and Envoy's own part of a
// path. The tokens are made for now.
func keySettings(t *testing.T) []keySetting {
	now := time.Now().Unix()
	token := func(c claims) [][2]string { return [][2]string{bearer(ecKey.Token(c))} }
	from := func(before, after int64) claims { return claims{"iat": now - before, "exp": now + after} }
	without := func(name string) claims {
		c := good()
		delete(c, name)
		return c
	}
	payload := func(c claims) [2]string {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{"x-jwt-payload", base64.RawURLEncoding.EncodeToString(b)}
	}
	host := func(name string) [][2]string { return append(token(good()), [2]string{"Host", name}) }
	condition := func(text string) string { return ruled("", "", `"require": {"claims": [`+text+`]}`) }
	nested := good(claims{"tenant": "acme", "level": 3, "active": true,
		"realm_access": claims{"roles": []string{"clerk", "audit"}}, "a.b": "dotted", "host": "a", "nothing": nil})
	const audience = `"audiences": ["orders-api"]`
	return []keySetting{
		{"as it comes", ruled("", "", ""), []keyRequest{
			{"a good token", "", "", token(good()), 200, "ok"},
			{"expired within the skew", "", "", token(good(claims{"exp": now - 20})), 200, "ok"},
			{"expired beyond it", "", "", token(good(claims{"exp": now - 40})), 401, "token_expired"},
			{"not yet valid", "", "", token(good(claims{"nbf": now + 60})), 401, "token_not_yet_valid"},
			{"from the future", "", "", token(good(claims{"iat": now + 60})), 401, "token_not_yet_valid"},
			{"without exp", "", "", token(without("exp")), 401, "token_malformed"},
			{"exp is a text", "", "", token(good(claims{"exp": fmt.Sprint(now + 60)})), 401, "token_malformed"},
			{"another audience", "", "", token(good(claims{"aud": "orders-api/"})), 401, "token_audience"},
			{"no audience", "", "", token(without("aud")), 401, "token_audience"},
			{"another issuer", "", "", token(good(claims{"iss": issuer + "/"})), 401, "token_issuer"},
			{"an algorithm that is not the default's", "", "",
				[][2]string{bearer(mint.New("ec", "ES384").Token(good()))}, 401, "token_algorithm"},
			{"a kid that no key has", "", "", [][2]string{bearer(mint.New("gone", "ES256").Token(good()))}, 401,
				"token_key_unknown"},
			{"a forged signature", "", "", [][2]string{bearer(forger.Token(good()))}, 401, "token_signature"},
			{"no token", "", "", nil, 401, "token_missing"},
			{"two tokens", "", "", append(token(good()), token(good())...), 400, "token_ambiguous"},
			{"longer than tokenBytes", "", "", token(good(claims{"x": strings.Repeat("x", 16384)})), 401, "token_malformed"},
			{"a dot segment", "", "/a/%2e%2e/b", nil, 400, "path_ambiguous"},
			{"an encoded slash", "", "/a%2fb", token(good()), 400, "path_ambiguous"},
		}},
		{"clockSkew", ruled("", audience+`, "clockSkew": "300s"`, ""), []keyRequest{
			{"expired within the skew", "", "", token(good(claims{"exp": now - 280})), 200, "ok"},
			{"expired beyond it", "", "", token(good(claims{"exp": now - 310})), 401, "token_expired"},
			{"from within the skew", "", "", token(good(claims{"nbf": now + 290, "iat": now + 290})), 200, "ok"},
		}},
		{"requireExpiry", ruled("", audience+`, "requireExpiry": false`, ""), []keyRequest{
			{"without exp", "", "", token(without("exp")), 200, "ok"},
			{"expired", "", "", token(good(claims{"exp": now - 40})), 401, "token_expired"},
		}},
		{"maxLifetime", ruled("", audience+`, "maxLifetime": "10m"`, ""), []keyRequest{
			{"as long as may be", "", "", token(good(from(300, 300))), 200, "ok"},
			{"a second longer", "", "", token(good(from(300, 301))), 401, "token_lifetime"},
			{"without iat", "", "", token(good()), 401, "token_lifetime"},
		}},
		{"types", ruled("", audience+`, "types": ["at+jwt"]`, ""), []keyRequest{
			{"another type", "", "", token(good()), 401, "token_type"},
		}},
		{"anyAudience", ruled("", `"anyAudience": true`, ""), []keyRequest{
			{"another audience", "", "", token(good(claims{"aud": "billing"})), 200, "ok"},
			{"no audience", "", "", token(without("aud")), 200, "ok"},
		}},
		{"scopeClaims", ruled("", audience+`, "scopeClaims": ["permissions"]`,
			`"require": {"scopes": {"all": ["orders:read"]}}`), []keyRequest{
			{"a list under that name", "", "",
				token(good(claims{"scope": "", "permissions": []string{"x", "orders:read"}})), 200, "ok"},
			{"a text under that name", "", "", token(good(claims{"permissions": "x orders:read"})), 200, "ok"},
			{"the usual name", "", "", token(good()), 403, "insufficient_scope"},
		}},
		{"limits", ruled(`"limits": {"tokenBytes": 400, "jsonDepth": 2, "jsonMembers": 8},`, "", ""), []keyRequest{
			{"within them", "", "", token(good(claims{"a": claims{"b": 1}})), 200, "ok"},
			{"too long", "", "", token(good(claims{"x": strings.Repeat("x", 400)})), 401, "token_malformed"},
			{"too deep", "", "", token(good(claims{"a": claims{"b": claims{}}})), 401, "token_malformed"},
			{"too many members", "", "", token(good(claims{"a": 1, "b": 2, "c": 3, "d": 4})), 401, "token_malformed"},
		}},
		{"without a cache", ruled(`"cache": {"entries": 0},`, "", ""), []keyRequest{
			{"a good token", "", "", token(good()), 200, "ok"},
			{"the like again", "", "", token(good()), 200, "ok"},
			{"a forged one", "", "", [][2]string{bearer(forger.Token(good()))}, 401, "token_signature"},
		}},
		{"default deny", ruled("", "", `"match": [{"paths": ["/a"]}]`),
			[]keyRequest{{"no rule", "", "/b", token(good()), 403, "no_rule"}}},
		{"default allow", ruled(`"default": "allow",`, "", `"match": [{"paths": ["/a"]}]`), []keyRequest{
			{"no rule", "", "/b", nil, 200, "ok"}, {"a rule", "", "/a", nil, 401, "token_missing"},
			{"a path that may mean another", "", "/b/..;/a", nil, 400, "path_ambiguous"},
		}},
		{"ambiguousPath", ruled(`"ambiguousPath": "literal",`, "",
			`"match": [{"paths": ["/files/{name}"]}], "require": {"claims": [{"path": ["file"], "equals": {"pathVariable": "name"}}]}`), []keyRequest{
			{"an encoded slash", "", "/files/a%2fb", token(good(claims{"file": "a/b"})), 200, "ok"},
			{"an encoded percent sign", "", "/files/a%252fb", token(good(claims{"file": "a%2fb"})), 200, "ok"},
			{"an encoded backslash", "", "/files/a%5Cb", token(good(claims{"file": `a\b`})), 200, "ok"},
			{"of another", "", "/files/a%2fc", token(good(claims{"file": "a/b"})), 403, "claim_mismatch"},
			{"a dot segment is refused nevertheless", "", "/files/%2e%2e", token(good()), 400, "path_ambiguous"},
		}},
		{"match", ruled("", "", `"match": [{"hosts": ["*.shop.example", "shop.example"], "methods": ["GET", "PATCH"], "paths": ["/a/{*}/b", "/c/{**}"]}]`), []keyRequest{
			{"all three", "", "/a/x/b", host("SHOP.example.:80"), 200, "ok"}, {"below a host", "PATCH", "/c",
				host("a.b.shop.example"), 200, "ok"}, {"below a path", "", "/c/d/e", host("shop.example"), 200, "ok"},
			{"another host", "", "/c", host("notshop.example"), 403, "no_rule"}, {"another method", "POST", "/c",
				host("shop.example"), 403, "no_rule"},
			{"two segments for one", "", "/a/x/y/b", host("shop.example"), 403, "no_rule"},
			{"another case", "", "/C", host("shop.example"), 403, "no_rule"},
		}},
		{"access optional", ruled("", "", `"access": "optional"`), []keyRequest{
			{"no token", "", "", nil, 200, "ok"}, {"a good one", "", "", token(good()), 200, "ok"}, {"a bad one", "",
				"", [][2]string{bearer("x")}, 401, "token_malformed"},
		}},
		{"access public", ruled("", "", `"access": "public"`),
			[]keyRequest{{"a bad token", "", "", [][2]string{bearer("x")}, 200, "ok"}}},
		{"scopes any", ruled("", "", `"require": {"scopes": {"any": ["orders:admin", "orders:read"]}}`), []keyRequest{
			{"one of them", "", "", token(good()), 200, "ok"}, {"none of them", "", "",
				token(good(claims{"scope": "orders:reader"})), 403, "insufficient_scope"},
		}},
		{"scopes all and none", ruled("", "", `"require": {"scopes": {"all": ["a", "b"], "none": ["guest"]}}`), []keyRequest{
			{"all", "", "", token(good(claims{"scope": "b a"})), 200, "ok"}, {"not all", "", "",
				token(good(claims{"scope": "a"})), 403, "insufficient_scope"},
			{"all, and a bad one", "", "", token(good(claims{"scope": "a b guest"})), 403, "insufficient_scope"},
			{"separated by something else", "", "", token(good(claims{"scope": "a,b"})), 403, "insufficient_scope"},
		}},
		{"claims any", condition(
			`{"path": ["realm_access", "roles"], "any": ["boss", "audit"]}, {"path": ["level"], "any": [3]}, {"path": ["active"], "any": [true]}`), []keyRequest{
			{"all fit", "", "", token(nested), 200, "ok"}, {"a text for a number", "", "",
				token(good(claims{"realm_access": claims{"roles": "audit"}, "level": "3", "active": true})), 403, "claim_mismatch"},
		}},
		{"claims all", condition(`{"path": ["realm_access", "roles"], "all": ["clerk", "audit"]}`), []keyRequest{
			{"both", "", "", token(nested), 200, "ok"}, {"one", "", "",
				token(good(claims{"realm_access": claims{"roles": []string{"clerk"}}})), 403, "claim_mismatch"},
		}},
		{"claims none and exists",
			condition(`{"path": ["tenant"], "none": ["evil"]}, {"path": ["nothing"], "exists": false}, {"path": ["a.b"], "exists": true}`), []keyRequest{
				{"they fit", "", "", token(nested), 200, "ok"}, {"a bad one", "", "",
					token(good(claims{"tenant": "evil", "a.b": 1})), 403, "claim_mismatch"},
				{"nested is not dotted", "", "", token(good(claims{"a": claims{"b": 1}})), 403, "claim_mismatch"},
			}},
		{"claims glob and host",
			condition(`{"path": ["tenant"], "glob": "ac*e"}, {"path": ["host"], "equals": {"host": true}}, {"path": ["tenant"], "equals": {"header": "x-tenant"}}`), []keyRequest{
				{"they fit", "", "", append(token(nested), [2]string{"x-tenant", "acme"}, [2]string{"Host", "a"}), 200, "ok"},
				{"another header", "", "", append(token(nested), [2]string{"x-tenant", "acm"}, [2]string{"Host", "a"}), 403,
					"claim_mismatch"},
				{"another host", "", "",
					append(token(good(claims{"tenant": "acme", "host": "b"})), [2]string{"x-tenant", "acme"},
						[2]string{"Host", "a"}), 403, "claim_mismatch"},
				{"another text", "", "",
					append(token(good(claims{"tenant": "acmee!", "host": "a"})), [2]string{"x-tenant", "acmee!"},
						[2]string{"Host", "a"}), 403, "claim_mismatch"},
			}},
		{"provider require", ruled("", audience+`, "require": {"scopes": {"all": ["base"]}, "claims": [{"path": ["azp"], "any": ["web"]}]}`, ""),
			[]keyRequest{
				{"both", "", "", token(good(claims{"scope": "base", "azp": "web"})), 200, "ok"},
				{"another scope", "", "", token(good(claims{"azp": "web"})), 403, "insufficient_scope"},
				{"another claim", "", "", token(good(claims{"scope": "base", "azp": "app"})), 403, "claim_mismatch"},
			}},
		{"anyOf", ruled("", "", `"require": {"anyOf": [{"scopes": {"all": ["admin"]}}, {"claims": [{"path": ["level"], "atLeast": 2, "atMost": 4}]}]}`),
			[]keyRequest{
				{"the first", "", "", token(good(claims{"scope": "admin"})), 200, "ok"},
				{"the second", "", "", token(good(claims{"level": 4})), 200, "ok"},
				{"neither", "", "", token(good(claims{"level": 5})), 403, "insufficient_scope"},
			}},
		{"each item", ruled("", "", `"require": {"claims": [{"path": ["permissions", "*", "scopes"], "any": ["write"]}]}`), []keyRequest{
			{"one has it", "", "", token(good(claims{"permissions": []claims{{"scopes": []string{"read"}},
				{"scopes": []string{"write"}}}})),
				200, "ok"},
			{"none has it", "", "", token(good(claims{"permissions": []claims{{"scopes": []string{"read"}},
				{"x": "write"}}})), 403,
				"claim_mismatch"},
		}},
		{"scopeSeparator", ruled("", audience+`, "scopeSeparator": "comma"`, `"require": {"scopes": {"all": ["r", "w"]}}`), []keyRequest{
			{"commas", "", "", token(good(claims{"scope": "r,w"})), 200, "ok"},
			{"spaces", "", "", token(good(claims{"scope": "r w"})), 403, "insufficient_scope"},
		}},
		{"template", strings.Replace(ruled("", "", ""), `"issuer": "`+issuer+`"`,
			`"issuer": {"template": "https://login.example/{tid}/v2.0", "values": ["acme"]}`, 1), []keyRequest{
			{"its tenant", "", "", token(good(claims{"iss": "https://login.example/acme/v2.0", "tid": "acme"})), 200, "ok"},
			{"J38 a neighbour", "", "", token(good(claims{"iss": "https://login.example/evil/v2.0", "tid": "evil"})),
				401, "token_issuer"},
			{"J38 a neighbour with its claim", "", "", token(good(claims{"iss": "https://login.example/evil/v2.0",
				"tid": "acme"})), 401,
				"token_issuer"},
			{"J38 a neighbour's claim", "", "", token(good(claims{"iss": "https://login.example/acme/v2.0",
				"tid": "evil"})), 401,
				"token_issuer"},
		}},
		{"headers", ruled("", "", `"match": [{"headers": [{"name": "X-Tool", "any": ["a", "b"]}]}]`), []keyRequest{
			{"one of them", "", "", append(token(good()), [2]string{"x-tool", "b"}), 200, "ok"},
			{"another", "", "", append(token(good()), [2]string{"x-tool", "c"}), 403, "no_rule"},
			{"twice", "", "", append(token(good()), [2]string{"x-tool", "a"}, [2]string{"x-tool", "a"}), 400,
				"header_ambiguous"},
		}},
		{"authentication", ruled("", "", `"require": {"authentication": {"acr": ["gold"], "maxAge": "5m"}}`), []keyRequest{
			{"J42 as asked for", "", "", token(good(claims{"acr": "gold", "auth_time": now - 200})), 200, "ok"},
			{"too long ago", "", "", token(good(claims{"acr": "gold", "auth_time": now - 400})), 401,
				"authentication_insufficient"},
			{"another acr", "", "", token(good(claims{"acr": "silver", "auth_time": now})), 401, "authentication_insufficient"},
			{"neither", "", "", token(good()), 401, "authentication_insufficient"},
		}},
		{"shadow", ruled(`"mode": "shadow",`, "", ""),
			[]keyRequest{{"no token", "", "", nil, 200, "ok"},
				{"a forged one", "", "", [][2]string{bearer(forger.Token(good()))}, 200, "ok"}}},
		{"trusted payload", ruled("", audience+`, "trustedPayload": {"header": "x-jwt-payload"}`,
			`"require": {"scopes": {"all": ["orders:read"]}}`), []keyRequest{
			{"claims", "", "", [][2]string{payload(good())}, 200, "ok"},
			{"none", "", "", nil, 401, "payload_missing"},
			{"a token for a payload", "", "", token(good()), 401, "payload_missing"},
			{"twice", "", "", [][2]string{payload(good()), payload(good())}, 400, "payload_malformed"},
			{"not base64url", "", "", [][2]string{{"x-jwt-payload", "{}"}}, 400, "payload_malformed"},
			{"not JSON", "", "", [][2]string{{"x-jwt-payload", "AAAA"}}, 400, "payload_malformed"},
			{"expired", "", "", [][2]string{payload(good(claims{"exp": now - 40}))}, 401, "token_expired"},
			{"another issuer", "", "", [][2]string{payload(good(claims{"iss": "x"}))}, 401, "token_issuer"},
			{"another audience", "", "", [][2]string{payload(good(claims{"aud": "x"}))}, 401, "token_audience"},
			{"another scope", "", "", [][2]string{payload(good(claims{"scope": "x"}))}, 403, "insufficient_scope"},
		}},
	}
}

func TestEveryKeyAndReason(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		var listeners []bootstrap.M
		for _, s := range keySettings(t) {
			listeners = append(listeners,
				bootstrap.Listener(s.name, 0, []bootstrap.M{harness.Filter(t, "jwt-scope", s.config)},
					bootstrap.Answer(200, "upstream"), nil))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners})
		seen := map[string]bool{}
		for _, s := range keySettings(t) {
			client := harness.NewClient1(t, envoy.Address(s.name))
			for _, r := range s.requests {
				method, path := "GET", "/"
				if r.method != "" {
					method = r.method
				}
				if r.path != "" {
					path = r.path
				}
				answer := client.Do(harness.Request(method, path, r.headers...))
				code := "ok"
				if answer.Body != "upstream" {
					var problem struct{ Code string }
					if err := json.Unmarshal([]byte(answer.Body), &problem); err != nil {
						t.Errorf("%s, %s: %s %s", s.name, r.name, answer.Start, answer.Body)
					}
					code = problem.Code
				}
				if seen[code] = true; answer.Status() != r.status || code != r.code {
					t.Errorf("%s, %s: %d %s, want %d %s", s.name, r.name, answer.Status(), code, r.status, r.code)
				}
			}
		}
		for _, code := range slices.Concat(verdict.Common, scope.Codes) {
			// keys, proofs and endpoints have fixtures of their own: remote_test.go, constraint_test.go, introspection_test.go
			elsewhere := code == verdict.KeysUnavailable || code == scope.TokenUnbound || code == verdict.Internal ||
				code == scope.ProofNonce || code == scope.TokenInactive || code == scope.IntrospectionUnavailable
			if !seen[code.Name] && !elsewhere {
				t.Errorf("no request was answered with %s", code.Name)
			}
		}
	})
}

// J26: the last good keys serve for maxStale and not longer, whatever the issuer answers.
func TestMaxStale(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey)
		envoy := startRemote(t, version, idp.Port, `,"refresh":"1s","maxStale":"4s"`)
		if code, body := status(t, envoy, ecKey); code != 200 {
			t.Fatalf("with fresh keys: %d %s", code, body)
		}
		idp.Set(500, "")
		down := time.Now()
		for time.Since(down) < 2*time.Second {
			if code, body := status(t, envoy, ecKey); code != 200 {
				t.Fatalf("%s after the issuer went down: %d %s", time.Since(down), code, body)
			}
		}
		if err := envoy.Await(func() bool { code, _ := status(t, envoy, ecKey); return code == 503 },
			10*time.Second); err != nil {
			t.Errorf("keys that nobody has confirmed for %s still serve", time.Since(down))
		}
		idp.Set(200, string(mint.Set(ecKey)))
		if err := envoy.Await(func() bool { code, _ := status(t, envoy, ecKey); return code == 200 },
			40*time.Second); err != nil {
			t.Error("the issuer is back, and nobody has noticed")
		}
	})
}
