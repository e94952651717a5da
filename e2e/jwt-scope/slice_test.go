// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

const issuer = "https://idp.example/realms/shop"

var (
	ecKey  = mint.New("ec", jose.ES256)
	rsaKey = mint.New("rsa", jose.RS256)
	forger = mint.New("ec", jose.ES256) // another key with a kid of the issuer's
)

type claims map[string]any

func good(changes ...claims) claims {
	c := claims{"iss": issuer, "aud": "orders-api", "sub": "ann", "exp": time.Now().Unix() + 300, "scope": "orders:read"}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	return c
}

func config(t testing.TB, more string) string {
	t.Helper()
	text := fmt.Sprintf(`{%s
	 "providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "jwks": {"inline": %s}, "clockSkew": "0s"}],
	 "rules": [
	  {"name": "health", "match": [{"paths": ["/healthz"]}], "access": "public"},
	  {"name": "read-orders", "match": [{"paths": ["/orders/{**}"], "methods": ["GET", "HEAD"]}], "require": {"scopes": {"any": ["orders:read", "orders:admin"]}}},
	  {"name": "write-orders", "match": [{"paths": ["/orders/{**}"], "methods": ["POST"]}], "require": {"scopes": {"all": ["orders:write"]}}},
	  {"name": "maybe", "match": [{"paths": ["/maybe"]}], "access": "optional"},
	  {"name": "trial", "match": [{"paths": ["/trial"]}], "mode": "shadow"},
	  {"name": "rpc", "match": [{"paths": ["/shop.Orders/{*}"]}], "require": {"scopes": {"all": ["orders:write"]}}}
	 ],
	 "errors": {"realm": "orders"}}`, more, issuer, mint.Set(ecKey, rsaKey))
	if !json.Valid([]byte(text)) {
		t.Fatal("the test's configuration is not JSON")
	}
	return text
}

func bearer(token string) [2]string { return [2]string{"Authorization", "Bearer " + token} }

// Every reason of the slice, seen from outside.
func TestDecisions(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config(t, ""))}})
		now := time.Now().Unix()
		token := ecKey.Token(good())
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
		wrong := `Bearer realm="orders", error="invalid_token"`
		for _, c := range []struct {
			name, method, path string
			headers            [][2]string
			status             int
			rule, code         string
			challenge          string
		}{
			{"an ES256 token", "GET", "/orders/7", [][2]string{bearer(token)}, 200, "read-orders", "ok", ""},
			{"an RS256 token", "GET", "/orders", [][2]string{bearer(rsaKey.Token(good()))}, 200, "read-orders", "ok", ""},
			{"the scope as a list", "GET", "/orders/",
				[][2]string{bearer(ecKey.Token(good(claims{"scope": []string{"x", "orders:admin"}})))}, 200,
				"read-orders", "ok", ""},
			{"a public path", "GET", "/healthz", nil, 200, "health", "ok", ""},
			{"a public path with a bad token", "GET", "/healthz", [][2]string{bearer("x")}, 200, "health", "ok", ""},
			{"an optional path without token", "GET", "/maybe", nil, 200, "maybe", "ok", ""},
			{"J20 an optional path with a bad token", "GET", "/maybe", [][2]string{bearer("x")}, 401, "maybe",
				"token_malformed", wrong},
			{"no token", "GET", "/orders/7", nil, 401, "read-orders", "token_missing", `Bearer realm="orders"`},
			{"no token, and a path with a query", "GET", "/orders/7?access_token=" + token, nil, 401, "read-orders",
				"token_missing", `Bearer realm="orders"`},
			{"J16 two headers", "GET", "/orders/7", [][2]string{bearer(token), bearer(token)}, 400, "read-orders",
				"token_ambiguous", `Bearer realm="orders", error="invalid_request"`},
			{"J14 not a token", "GET", "/orders/7", [][2]string{bearer("abc")}, 401, "read-orders", "token_malformed", wrong},
			{"expired", "GET", "/orders/7", [][2]string{bearer(ecKey.Token(good(claims{"exp": now - 1})))}, 401,
				"read-orders", "token_expired", wrong},
			{"not yet valid", "GET", "/orders/7", [][2]string{bearer(ecKey.Token(good(claims{"nbf": now + 60})))}, 401,
				"read-orders", "token_not_yet_valid", wrong},
			{"another audience", "GET", "/orders/7", [][2]string{bearer(ecKey.Token(good(claims{"aud": "billing"})))},
				401, "read-orders", "token_audience", wrong},
			{"another issuer", "GET", "/orders/7",
				[][2]string{bearer(ecKey.Token(good(claims{"iss": "https://evil.example"})))}, 401, "read-orders",
				"token_issuer", wrong},
			{"a forged signature", "GET", "/orders/7", [][2]string{bearer(forger.Token(good()))}, 401, "read-orders",
				"token_signature", wrong},
			{"a kid that no key has", "GET", "/orders/7",
				[][2]string{bearer(mint.New("gone", jose.ES256).Token(good()))}, 401, "read-orders", "token_key_unknown", wrong},
			{"J1 alg none", "GET", "/orders/7", [][2]string{bearer(none + "." + strings.Split(token, ".")[1] + ".")},
				401, "read-orders", "token_algorithm", wrong},
			{"another scope", "POST", "/orders/7", [][2]string{bearer(token)}, 403, "write-orders",
				"insufficient_scope", `Bearer realm="orders", error="insufficient_scope", scope="orders:write"`},
			{"no rule for the method", "DELETE", "/orders/7", [][2]string{bearer(token)}, 403, "-", "no_rule", ""},
			{"no rule for the path", "GET", "/", nil, 403, "-", "no_rule", ""},
			{"P1 an empty segment", "GET", "//healthz", nil, 400, "-", "path_ambiguous", ""},
			{"P2 a dot segment", "GET", "/healthz/../orders", nil, 400, "-", "path_ambiguous", ""},
			{"P1 an encoded slash", "GET", "/x%2fhealthz", nil, 400, "-", "path_ambiguous", ""},
			{"P3 parameters that select another rule", "GET", "/healthz;x", nil, 400, "-", "path_ambiguous", ""},
			{"shadow mode goes on", "GET", "/trial", nil, 200, "trial", "token_missing", ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := envoy.Tollgate()
				answer := harness.HTTP1(t, envoy.Main(), harness.Request(c.method, c.path, c.headers...))
				reached := up.Take()
				if answer.Status() != c.status || answer.Header("www-authenticate") != c.challenge {
					t.Errorf("%s\n%q, want %d\n%q", answer.Start, answer.Header("www-authenticate"), c.status, c.challenge)
				}
				outcome := "denied"
				switch {
				case c.code == "ok":
					outcome = "allowed"
				case c.status == 200:
					outcome = "would_deny"
				}
				if c.status == 200 {
					if len(reached) != 1 || reached[0].Start != c.method+" "+c.path+" HTTP/1.1" {
						t.Errorf("what reached the upstream: %+v", reached)
					}
				} else {
					want := fmt.Sprintf(`,"status":%d,"code":"%s"}`, c.status, c.code)
					if len(reached) != 0 || answer.Header("content-type") != "application/problem+json" ||
						!strings.HasSuffix(answer.Body, want) {
						t.Errorf("refused, but the upstream has %d requests and the answer is %s %s", len(reached),
							answer.Header("content-type"), answer.Body)
					}
				}
				name := "jwt_scope.rule." + c.rule + ".outcome." + outcome + ".code." + c.code
				after := envoy.Tollgate()
				for counter, value := range after {
					if want := before[counter]; counter == name && value != want+1 || counter != name && value != want {
						t.Errorf("%s went from %d to %d", counter, want, value)
					}
				}
				if after[name] == 0 {
					t.Errorf("%s was not counted", name)
				}
			})
		}
		log := envoy.Log()
		if part := strings.Split(token, ".")[1]; strings.Contains(log, part) {
			t.Error("J28 a token's claims are in the log")
		}
	})
}

func TestHTTP2AndGRPC(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config(t, ""))}})
		token := [2]string{"authorization", "Bearer " + ecKey.Token(good())}

		if answer := harness.HTTP2(t, envoy.Main(), harness.Pseudo("GET", "/orders/7", token),
			""); answer.Status() != 200 || len(up.Take()) != 1 {
			t.Errorf("allowed: %+v", answer)
		}
		if answer := harness.HTTP2(t, envoy.Main(), harness.Pseudo("GET", "/orders/7"), ""); answer.Status() != 401 ||
			!strings.Contains(answer.Body, `"code":"token_missing"`) {
			t.Errorf("no token: %+v", answer)
		}
		if answer := harness.HTTP2(t, envoy.Main(), harness.Pseudo("GET", "/orders/7", token, token),
			""); answer.Status() != 400 {
			t.Errorf("J16 two headers: %+v", answer)
		}
		for _, c := range []struct {
			name, path, status, message string
			headers                     [][2]string
		}{
			{"P18 no token", "/shop.Orders/Put", "16", "token_missing", nil},
			{"P18 another scope", "/shop.Orders/Put", "7", "insufficient_scope", [][2]string{token}},
			{"P18 two tokens", "/shop.Orders/Put", "3", "token_ambiguous", [][2]string{token, token}},
			{"P18 no rule", "/other/Put", "7", "no_rule", nil},
		} {
			answer := harness.GRPC(t, envoy.Main(), c.path, c.headers...)
			if answer.Status() != 200 || answer.Header("grpc-status") != c.status ||
				answer.Header("grpc-message") != c.message || answer.Body != "" ||
				answer.Header("content-type") != "application/grpc" {
				t.Errorf("%s: %+v", c.name, answer)
			}
		}
		web := harness.HTTP2(t, envoy.Main(),
			harness.Pseudo("POST", "/shop.Orders/Put", [2]string{"content-type", "application/grpc-web+proto"}), "")
		if web.Status() != 200 || web.Header("grpc-status") != "16" || web.Header("grpc-message") != "token_missing" {
			t.Errorf("gRPC-Web: %+v", web)
		}
		if n := len(up.Take()); n != 0 {
			t.Errorf("%d refused requests reached the upstream", n)
		}
	})
}

// A wrong configuration does not start, and the log names every fault with its path.
func TestRefusedConfiguration(t *testing.T) {
	harness.Alone(t, "in a chain faults are told from its top: filters/tollgate/chain")
	harness.Each(t, func(t *testing.T, version string) {
		for name, c := range map[string]struct {
			config string
			want   []string
		}{
			"three faults": {`{"providers":[{"name":"corp","issuer":"i","audience":["a"],"jwks":{"inline":{"keys":[]}}}],"rules":[{"name":"a","require":{"scopes":{"any":[7]}}}]}`, []string{
				"jwt_scope: the configuration is refused:", "providers[0].audience: unknown key; did you " +
					"mean audiences?", "providers[0].jwks.inline: no key for verifying signatures",
				"rules[0].require.scopes.any[0]: want a string, got a number",
			}},
			"none at all": {"", []string{"the configuration is empty"}},
		} {
			log := harness.StartRefused(t,
				harness.Config{Version: version, Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", c.config)}})
			for _, want := range c.want {
				if !strings.Contains(log, want) {
					t.Errorf("%s: the log does not say %q:\n%s", name, want, log)
				}
			}
		}
	})
}

// W1: a fault of the filter is a refusal of that request, counted, and the next one is served by
// the same VM. Not even a public path passes.
func TestFault(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		filter := bootstrap.Wasm{Name: "jwt-scope", Module: probetest.Build(t, "e2e/jwt-scope/faulty"),
			Configuration: config(t, "")}.Filter()
		envoy := harness.Start(t, harness.Config{Version: version, Upstream: up.Port(), Filters: []bootstrap.M{filter}})
		fault := [2]string{"x-fault", "s3cr3t"}
		for range 3 {
			answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/healthz", fault))
			if answer.Status() != 500 ||
				answer.Body != `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}` {
				t.Errorf("%+v", answer)
			}
			if answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/healthz")); answer.Status() != 200 {
				t.Errorf("the next request: %+v", answer)
			}
		}
		rpc := harness.GRPC(t, envoy.Main(), "/healthz", fault)
		if rpc.Status() != 200 || rpc.Header("grpc-status") != "13" || rpc.Header("grpc-message") != "internal" {
			t.Errorf("P18 a fault in a gRPC request: %+v", rpc)
		}
		if n := len(up.Take()); n != 3 {
			t.Errorf("%d requests reached the upstream, want 3", n)
		}
		if n := envoy.Tollgate()["jwt_scope.rule.-.outcome.error.code.internal"]; n != 4 {
			t.Errorf("%d faults were counted, want 4", n)
		}
		envoy.WaitLog("jwt_scope: fault in proxy_on_request_headers: runtime error: index out of range [6] with length 0")
		if log := envoy.Log(); strings.Contains(log, "s3cr3t") || strings.Contains(log, "goroutine ") {
			t.Error("the log has the header, or a stack")
		}
	})
}
