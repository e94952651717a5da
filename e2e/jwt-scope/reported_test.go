// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Tokens as issuers make them, and the places where gateways put them.
func TestTokensOfTheWorld(t *testing.T) {
	const session = "CognitoIdentityServiceProvider.c.u.accessToken"
	config := fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"jwks":{"inline":%s},
	 "token":[{"header":"authorization","scheme":"Bearer"},{"header":"authorization"},{"cookie":%q}]}],
	 "rules":[{"name":"all"}],"forward":{"token":"strip"}}`, issuer, mint.Set(ecKey), session)
	clients := map[string]any{}
	for i := range 140 {
		clients[fmt.Sprint("client-", i)] = map[string]any{"roles": []string{"r"}}
	}
	large := good()
	large["resource_access"] = clients
	token, other, many := ecKey.Token(good()), ecKey.Token(good()), ecKey.Token(large)
	if len(many) > 8192 {
		t.Fatalf("the token has %d bytes", len(many))
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Upstream: up.Port(),
				Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
		for _, c := range []struct {
			name    string
			headers [][2]string
			status  int
			code    string
		}{
			{"roles at 140 clients", [][2]string{bearer(many)}, 200, ""},
			{"a scheme, where the whole value may be a token", [][2]string{bearer(token)}, 200, ""},
			{"no scheme", [][2]string{{"authorization", token}}, 200, ""},
			{"a cookie with dots", [][2]string{{"cookie", "a=1; " + session + "=" + token}}, 200, ""},
			{"the same token in a header and a cookie",
				[][2]string{bearer(token), {"cookie", "a=1; " + session + "=" + token}}, 200, ""},
			{"J16 another token in the cookie", [][2]string{bearer(token), {"cookie", session + "=" + other}}, 400,
				"token_ambiguous"},
		} {
			up.Take()
			m := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/", c.headers...))
			if m.Status() != c.status || !strings.Contains(m.Body, c.code) {
				t.Errorf("%s: %s %s", c.name, m.Start, m.Body)
			}
			for _, got := range up.Take() {
				if got.Header("authorization") != "" || strings.Contains(got.Header("cookie"), session) {
					t.Errorf("%s: the upstream gets the token: %v", c.name, got.Headers)
				}
			}
		}
		huge := good()
		for i := range 1100 {
			huge[fmt.Sprint("c", i)] = i
		}
		if m := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/", bearer(ecKey.Token(huge)))); m.Status() != 401 {
			t.Errorf("over a limit: %s", m.Start)
		}
	})
}
