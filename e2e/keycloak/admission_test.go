// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// What the realm's clients get is admitted where it should be, and what is made of it by others nowhere.
func TestAdmission(t *testing.T) {
	s := running(t)
	published, err := s.Published()
	if err != nil {
		t.Fatal(err)
	}
	encryption := slices.IndexFunc(published,
		func(k PublishedKey) bool { return k.Use == "enc" && k.Algorithm == "RSA-OAEP" })
	if encryption < 0 {
		t.Fatalf("Keycloak publishes no encryption key, which this test is to show harmless: %+v", published)
	}
	read, write, guest, billing := issue(t, s, "shop-web"), issue(t, s, "shop-web", "orders:write"), issue(t, s,
		"shop-guest"), issue(t, s, "billing")
	admin, err := s.AdminToken()
	if err != nil {
		t.Fatal(err)
	}
	invalid := `Bearer realm="orders", error="invalid_token"`
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		envoy := start(t, s, version, up.Port(), "")
		if got := dial(t, envoy).answers(get(read)); got["200"] != connections {
			t.Errorf("a token with the default scopes, over all workers: %v", got)
		}
		if n := envoy.Counter("cluster.keycloak.upstream_rq_total"); n != 1 {
			t.Errorf("the keys were fetched %d times, want once for the proxy", n)
		}
		up.Take()
		for _, c := range []struct {
			name, token, method, path string
			outcome                   string
			rule, challenge           string
			client                    string // as the upstream sees it; none where nothing may reach it
		}{
			{"a default scope", read, "GET", "/orders/7", "200", "read-orders", "", "shop-web"},
			{"an optional scope that was not asked for", read, "POST", "/orders/7", "403 insufficient_scope",
				"write-orders", `Bearer realm="orders", error="insufficient_scope", scope="orders:write"`, ""},
			{"an optional scope that was asked for", write, "POST", "/orders/7", "200", "write-orders", "", "shop-web"},
			{"the default scope beside the optional one", write, "GET", "/orders/7", "200", "read-orders", "", "shop-web"},
			{"a role of the resource", read, "GET", "/approvals/7", "200", "approve", "", "shop-web"},
			{"a role of the resource that is missing", guest, "GET", "/approvals/7", "403 claim_mismatch", "approve",
				`Bearer realm="orders", error="insufficient_scope"`, ""},
			{"a role of the realm", read, "GET", "/cart", "200", "buy", "", "shop-web"},
			{"a role of the realm that is missing", guest, "GET", "/cart", "403 claim_mismatch", "buy",
				`Bearer realm="orders", error="insufficient_scope"`, ""},
			{"no roles, but the scope", guest, "GET", "/orders/7", "200", "read-orders", "", "shop-guest"},
			{"a client without the audience", billing, "GET", "/orders/7", "401 token_audience", "read-orders", invalid, ""},
			{"another realm of the same Keycloak", admin, "GET", "/orders/7", "401 token_issuer", "read-orders", invalid, ""},
			{"a scope written into the claims", alter(t, read, 1, "scope", "orders:read orders:write"), "POST",
				"/orders/7", "401 token_signature", "write-orders", invalid, ""},
			{"the signature of another token", read[:strings.LastIndex(read, ".")] +
				write[strings.LastIndex(write, "."):], "GET", "/orders/7", "401 token_signature", "read-orders", invalid, ""},
			{"the public key as a secret", alter(t, read, 0, "alg", "HS256"), "GET", "/orders/7", "401 token_algorithm",
				"read-orders", invalid, ""},
			{"the encryption key for verifying", alter(t, read, 0, "kid", published[encryption].ID), "GET", "/orders/7",
				"401 token_key_unknown", "read-orders", invalid, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := envoy.Tollgate()
				answer := harness.HTTP1(t, envoy.Main(),
					harness.Request(c.method, c.path, [2]string{"Authorization", "Bearer " + c.token}))
				if got := outcome(answer); got != c.outcome || answer.Header("www-authenticate") != c.challenge {
					t.Errorf("%s, challenge %q; want %s, %q", got, answer.Header("www-authenticate"), c.outcome, c.challenge)
				}
				var clients []string
				for _, m := range up.Take() {
					clients = append(clients, m.Header("x-client"))
				}
				if len(clients) > 1 || strings.Join(clients, "") != c.client || (c.client == "") != (clients == nil) {
					t.Errorf("what reached the upstream is from %q, want %q", clients, c.client)
				}
				_, code, refused := strings.Cut(c.outcome, " ")
				name := "jwt_scope.rule." + c.rule + ".outcome.denied.code." + code
				if !refused {
					name = "jwt_scope.rule." + c.rule + ".outcome.allowed.code.ok"
				}
				want := maps.Clone(before)
				want[name]++
				if after := envoy.Tollgate(); !maps.Equal(after, want) {
					t.Errorf("counters: %v, want %v", after, want)
				}
			})
		}
		if strings.Contains(envoy.Log(), "the keys in use stay") {
			t.Error("a document of Keycloak's was refused")
		}
		for _, token := range []string{read, write, guest, billing, admin} {
			for _, part := range strings.Split(token, ".")[1:] {
				if strings.Contains(envoy.Log(), part[:30]) || strings.Contains(s.Log(), part[:30]) {
					t.Error("J28 a token is in a log")
				}
			}
		}
	})
}

// alter writes one member of a token's header (part 0) or claims (part 1) anew and keeps the signature.
func alter(t *testing.T, token string, part int, name, value string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	if members[name] == nil || members[name] == value {
		t.Fatalf("%s is %v: nothing to alter", name, members[name])
	}
	members[name] = value
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	parts[part] = base64.RawURLEncoding.EncodeToString(text)
	return strings.Join(parts, ".")
}

// kid of a token.
func kid(token string) (string, error) {
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", err
	}
	var header struct {
		ID string `json:"kid"`
	}
	if err := json.Unmarshal(text, &header); err != nil || header.ID == "" {
		return "", fmt.Errorf("a token without kid (%v)", err)
	}
	return header.ID, nil
}
