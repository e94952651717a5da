// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Every algorithm in real Envoy, BoringSSL's part and ours, with a token and with the same token of another key.
func TestAlgorithms(t *testing.T) {
	var names []string
	var keys, forgers []*mint.Key
	for _, a := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512} {
		names = append(names, string(a))
		keys, forgers = append(keys, mint.New(string(a), a)), append(forgers, mint.New(string(a), a))
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"algorithms":%s,"jwks":{"inline":%s}}],"rules":[{"name":"all"}]}`, issuer, list, mint.Set(keys...))
	harness.Each(t, func(t *testing.T, version string) {
		envoy := harness.Start(t,
			harness.Config{Version: version, Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
		for i, k := range keys {
			for range 2 { // the second time from the cache
				if answer := harness.HTTP1(t, envoy.Main(),
					harness.Request("GET", "/", bearer(k.Token(good())))); answer.Status() != 200 {
					t.Errorf("%s: %s %s", k.Algorithm, answer.Start, answer.Body)
				}
			}
			if answer := harness.HTTP1(t, envoy.Main(),
				harness.Request("GET", "/", bearer(forgers[i].Token(good())))); answer.Status() != 401 ||
				!strings.Contains(answer.Body, "token_signature") {
				t.Errorf("%s of another key: %s %s", k.Algorithm, answer.Start, answer.Body)
			}
		}
	})
}

// What the service behind gets to see: on every outcome only what the filter has written itself.
func TestForward(t *testing.T) {
	more := `"forward": {"token": "strip", "payloadHeader": "x-jwt-payload", "claimHeaders": [{"path": ["sub"], "header": "x-user-id"}, {"path": ["realm_access", "roles"], "header": "x-roles"}]},`
	forged := [][2]string{{"X-User-ID", "root"}, {"x_user_id", "root"}, {"x-User_Id", "root"}, {"X-JWT-Payload", "e30"},
		{"x-roles", "admin"}, {"x-roles", "more"}, {"X-Kept", "1"}}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config(t, more))},
				HTTP: bootstrap.M{"access_log": bootstrap.AccessLog(
					map[string]string{"identity": "%FILTER_STATE(wasm.tollgate.identity:PLAIN)%"})}})
		token := ecKey.Token(good(claims{"realm_access": claims{"roles": []string{"clerk", "audit"}}}))
		for _, path := range []string{"/healthz", "/maybe", "/trial", "/orders/7"} {
			for _, headers := range [][][2]string{forged, append(forged[:len(forged):len(forged)], bearer(token))} {
				answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", path, headers...))
				reached := up.Take()
				if path == "/orders/7" && len(headers) == len(forged) {
					if answer.Status() != 401 || len(reached) != 0 {
						t.Errorf("%s without token: %+v", path, answer)
					}
					continue
				}
				if len(reached) != 1 {
					t.Fatalf("%s: %+v", path, answer)
				}
				got := reached[0]
				verified := len(headers) > len(forged) && path != "/healthz"
				want := map[string]string{"x-user-id": "", "x-roles": "", "x-jwt-payload": ""}
				if verified {
					want = map[string]string{"x-user-id": "ann", "x-roles": "clerk,audit",
						"x-jwt-payload": strings.Split(token, ".")[1]}
				}
				for name, value := range want {
					if values := got.Values(name); strings.Join(values, "|") != value || len(values) > 1 {
						t.Errorf("P9 %s %s: %q, want %q", path, name, values, value)
					}
				}
				for _, h := range got.Headers {
					if strings.Contains(h[1], "root") || strings.Contains(h[1], "admin") {
						t.Errorf("P10 %s: %s: %s reached the upstream", path, h[0], h[1])
					}
				}
				if got.Header("x-kept") != "1" {
					t.Errorf("%s: another header was removed", path)
				}
				if verified && got.Header("authorization") != "" {
					t.Errorf("%s: the token reached the upstream", path)
				}
			}
		}
		envoy.WaitLog(`\"sub\":\"ann\"`)
	})
}

// A claim compared with the path, and the other operators, once around in real Envoy.
func TestClaims(t *testing.T) {
	config := fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"types":["at+jwt","JWT"],"jwks":{"inline":%s},
	  "token":[{"header":"authorization","scheme":"Bearer"},{"cookie":"session"},{"query":"access_token"}]}],
	 "rules":[{"name":"tenant","match":[{"paths":["/tenants/{tenant}/{**}"]}],"require":{"claims":[{"path":["tenant"],"equals":{"pathVariable":"tenant"}},{"path":["level"],"any":[2,3]},{"path":["banned"],"exists":false}]}}]}`,
		issuer, mint.Set(ecKey))
	harness.Each(t, func(t *testing.T, version string) {
		envoy := harness.Start(t,
			harness.Config{Version: version, Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
		token := ecKey.Token(good(claims{"tenant": "acme", "level": 3}))
		for _, c := range []struct {
			name, path string
			headers    [][2]string
			status     int
			code       string
		}{
			{"its own tenant", "/tenants/acme/7", [][2]string{bearer(token)}, 200, ""},
			{"its own tenant, spelt with an escape", "/tenants/ac%6De/7", [][2]string{bearer(token)}, 200, ""},
			{"another tenant", "/tenants/umbrella/7", [][2]string{bearer(token)}, 403, "claim_mismatch"},
			{"P3 a parameter in the tenant", "/tenants/acme;x/7", [][2]string{bearer(token)}, 400, "path_ambiguous"},
			{"J33 a number as a string", "/tenants/acme/7",
				[][2]string{bearer(ecKey.Token(good(claims{"tenant": "acme", "level": "3"})))}, 403, "claim_mismatch"},
			{"a claim that must not be", "/tenants/acme/7",
				[][2]string{bearer(ecKey.Token(good(claims{"tenant": "acme", "level": 3, "banned": true})))}, 403,
				"claim_mismatch"},
			{"the token in a cookie", "/tenants/acme/7", [][2]string{{"Cookie", "a=b; session=" + token}}, 200, ""},
			{"the token in the query", "/tenants/acme/7?access_token=" + token, nil, 200, ""},
			{"the same in two places", "/tenants/acme/7?access_token=" + token, [][2]string{bearer(token)}, 200, ""},
			{"J16 others in two places", "/tenants/acme/7?access_token=" +
				ecKey.Token(good(claims{"tenant": "acme", "level": 3})), [][2]string{bearer(token)}, 400, "token_ambiguous"},
			{"J16 two cookies", "/tenants/acme/7",
				[][2]string{{"Cookie", "session=" + token}, {"Cookie", "session=" + token}}, 400, "token_ambiguous"},
		} {
			answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", c.path, c.headers...))
			if answer.Status() != c.status || !strings.Contains(answer.Body, c.code) {
				t.Errorf("%s: %s %s", c.name, answer.Start, answer.Body)
			}
		}
	})
}

// Behind Envoy's own jwt_authn, which verifies the token and writes its claims into a header, as
// Istio's RequestAuthentication has it do.
func TestTrustedPayload(t *testing.T) {
	native := bootstrap.Filter("envoy.filters.http.jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
		bootstrap.M{
			"providers": bootstrap.M{"idp": bootstrap.M{"issuer": issuer, "audiences": []string{"orders-api"},
				"forward": true, "forward_payload_header": "x-jwt-payload",
				"local_jwks": bootstrap.M{"inline_string": string(mint.Set(ecKey))}}},
			"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"},
				"requires": bootstrap.M{
					"requires_any": bootstrap.M{"requirements": []bootstrap.M{{"provider_name": "idp"},
						{"allow_missing": bootstrap.M{}}}}}}},
		})
	config := fmt.Sprintf(`{"providers":[{"name":"mesh","issuer":%q,"audiences":["orders-api"],"trustedPayload":{"header":"x-jwt-payload"}}],
	 "rules":[{"name":"read-orders","match":[{"paths":["/orders/{**}"]}],"require":{"scopes":{"all":["orders:read"]}}}]}`, issuer)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{native, harness.Filter(t, "jwt-scope", config)}})
		payload := func(c claims) [2]string {
			b, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			return [2]string{"x-jwt-payload", base64.RawURLEncoding.EncodeToString(b)}
		}
		for _, c := range []struct {
			name    string
			headers [][2]string
			status  int
		}{
			{"a token", [][2]string{bearer(ecKey.Token(good()))}, 200},
			{"no token", nil, 401},
			{"another scope", [][2]string{bearer(ecKey.Token(good(claims{"scope": "x"})))}, 403},
			{"a forged token", [][2]string{bearer(forger.Token(good()))}, 401},
			{"a token and a forged payload", [][2]string{payload(good()), bearer(ecKey.Token(good(claims{"scope": "x"})))}, 403},
		} {
			if answer := harness.HTTP1(t, envoy.Main(),
				harness.Request("GET", "/orders/7", c.headers...)); answer.Status() != c.status {
				t.Errorf("%s: %s %s, want %d", c.name, answer.Start, answer.Body, c.status)
			}
		}
		expired := payload(good(claims{"exp": time.Now().Unix() - 100}))
		if answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/orders/7", expired)); answer.Status() != 401 {
			t.Errorf("an expired payload: %s %s", answer.Start, answer.Body)
		}
	})
}
