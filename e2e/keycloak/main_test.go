// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// shared is the Keycloak of all tests; nil before the first one and after the test that ends it.
// Tests run one after the other.
var shared *Server

// What the realm's user alice logs in with.
var password, seed = rand.Text(), rand.Text()

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Stop()
	}
	os.Exit(code)
}

// running is a Keycloak that serves. It starts the first time, and again for whatever runs after
// the test that ends it, so that their order does not matter.
func running(t *testing.T) *Server {
	t.Helper()
	if shared == nil {
		s, err := Start(os.Stderr, "testdata/realm/shop-realm.json")
		if err != nil {
			t.Fatal(err)
		}
		shared = s
		if err := s.AddAlice(password, seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() && shared != nil {
			t.Logf("the log of Keycloak:\n%s", shared.Log())
		}
	})
	return shared
}

// policy is the filter's configuration for the realm; remote are more keys of jwks.remote.
func policy(t *testing.T, s *Server, remote string) string {
	t.Helper()
	text := fmt.Sprintf(`{
	 "providers": [{"name": "shop", "issuer": %q, "audiences": ["orders-api"], "jwks": {"remote": {"cluster": "keycloak", "authority": %q, "path": %q%s}}}],
	 "rules": [
	  {"name": "read-orders", "match": [{"paths": ["/orders/{**}"], "methods": ["GET"]}], "require": {"scopes": {"any": ["orders:read", "orders:admin"]}}},
	  {"name": "write-orders", "match": [{"paths": ["/orders/{**}"], "methods": ["POST"]}], "require": {"scopes": {"all": ["orders:write"]}}},
	  {"name": "approve", "match": [{"paths": ["/approvals/{*}"]}], "require": {"claims": [{"path": ["resource_access", "orders-api", "roles"], "any": ["clerk", "admin"]}]}},
	  {"name": "buy", "match": [{"paths": ["/cart"]}], "require": {"claims": [{"path": ["realm_access", "roles"], "any": ["buyer"]}]}}
	 ],
	 "forward": {"claimHeaders": [{"path": ["azp"], "header": "x-client"}]},
	 "errors": {"realm": "orders"}}`, s.Issuer(), s.Authority, s.CertsPath(), remote)
	if !json.Valid([]byte(text)) {
		t.Fatal("the test's configuration is not JSON")
	}
	return text
}

// start runs an Envoy with four workers, whose filter has the realm's keys fetched.
func start(t *testing.T, s *Server, version string, upstream int, remote string) *harness.Envoy {
	t.Helper()
	return harness.Start(t, harness.Config{Version: version, Concurrency: 4, Upstream: upstream,
		Filters:  []bootstrap.M{harness.Filter(t, "jwt-scope", policy(t, s, remote))},
		Clusters: []bootstrap.M{bootstrap.Cluster("keycloak", s.Port(), false)}})
}

// issue is a token, or the end of the test.
func issue(t *testing.T, s *Server, client string, scopes ...string) string {
	t.Helper()
	token, err := s.Token(client, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func get(token string) string {
	return harness.Request("GET", "/orders/7", [2]string{"Authorization", "Bearer " + token})
}

// connections is enough of them that each of four workers has some: that one has none happens once
// in two thousand times.
const connections = 32

// pool are kept connections to one Envoy.
type pool []*harness.Conn

func dial(t *testing.T, e *harness.Envoy) pool {
	t.Helper()
	var p pool
	for range connections {
		p = append(p, harness.Dial(t, e.Main()))
	}
	return p
}

// answers sends the request over every connection and returns what came, each outcome with how
// often: "200", "401 token_key_unknown".
func (p pool) answers(request string) map[string]int {
	counts := map[string]int{}
	for _, c := range p {
		counts[outcome(c.Do(request))]++
	}
	return counts
}

// only reports whether every connection gets this outcome.
func (p pool) only(request, want string) bool { return p.answers(request)[want] == len(p) }

func outcome(m *harness.Message) string {
	if m.Status() == 200 {
		return "200"
	}
	_, code, _ := strings.Cut(m.Body, `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return fmt.Sprintf("%d %s", m.Status(), code)
}
