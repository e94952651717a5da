// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J42: RFC 9470: a user who has given a password is asked for a code, too, where a rule wants that, and for
// the password again where it was long ago. The challenge says what, the client passes it on to Keycloak,
// whose flow has levels of authentication, and comes back with a token that says it.
func TestStepUp(t *testing.T) {
	s := running(t)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		// The test waits for maxAge and the skew. With none, the filter is up to a second ahead of Keycloak,
		// which counts whole seconds: it would send a user back without asking anything.
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: 2, Upstream: up.Port(),
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", fmt.Sprintf(`{
			 "providers": [{"name": "shop", "issuer": %q, "audiences": ["orders-api"], "clockSkew": "1s", "senderConstraint": "whenPresent",
			  "jwks": {"remote": {"cluster": "keycloak", "authority": %q, "path": %q}}}],
			 "rules": [
			  {"name": "read", "match": [{"paths": ["/orders/{**}"]}]},
			  {"name": "pay", "match": [{"paths": ["/payments"]}], "require": {"authentication": {"acr": ["gold"], "maxAge": "5m"}}},
			  {"name": "move", "match": [{"paths": ["/address"]}], "require": {"authentication": {"maxAge": "5s"}}}
			 ],
			 "dpop": {"nonce": "required"},
			 "forward": {"claimHeaders": [{"path": ["acr"], "header": "x-acr"}]}}`, s.Issuer(), s.Authority, s.CertsPath()))},
			Clusters: []bootstrap.M{bootstrap.Cluster("keycloak", s.Port(), false)}})
		at := func(path string) string { return "http://" + envoy.Main() + path }
		for name, kind := range map[string]string{"shop-page": "bearer", "shop-app": "dpop"} {
			t.Run(name, func(t *testing.T) {
				c := startClient(t, s, name, kind == "dpop", "")
				tells := func(told []string, want ...string) {
					t.Helper()
					if !slices.Equal(told, want) {
						t.Fatalf("the client\n  %s\nwant\n  %s", strings.Join(told, "\n  "), strings.Join(want, "\n  "))
					}
				}
				silver, gold := "gets "+kind+" silver", "gets "+kind+" gold"
				refused := "401 authentication_insufficient: " + kind
				better := refused + " acr_values=gold error=insufficient_user_authentication max_age=300"
				newer := refused + " error=insufficient_user_authentication max_age=5"
				want := map[string]uint64{"read.outcome.allowed.code.ok": 1,
					"pay.outcome.denied.code.authentication_insufficient": 4, "pay.outcome.allowed.code.ok": 3,
					"move.outcome.denied.code.authentication_insufficient": 3, "move.outcome.allowed.code.ok": 2}
				counted := envoy.Change(func() {
					tells(c.login(nil), "asks for a login", "the user gives the password", silver)
					first := c.authTime
					if kind == "dpop" {
						tells(c.get(at("/orders/7"), 1), "401 dpop_nonce: dpop error=use_dpop_nonce", "200")
						want["read.outcome.denied.code.dpop_nonce"] = 1
					} else {
						tells(c.get(at("/orders/7"), 1), "200")
					}
					tells(c.get(at("/payments"), 1), better)
					tells(c.login(nil), "asks for a login", silver) // another token of the same login
					tells(c.get(at("/payments"), 1), better)
					tells(c.follow(at("/payments")), better, "asks for a login acr_values=gold max_age=300",
						"the user gives the code", gold, "200")
					second := c.authTime
					tells(c.get(at("/payments"), 1), "200")

					// The token is good for long; that its user was there is soon too long ago.
					tells(c.get(at("/address"), 1), "200")
					time.Sleep(time.Until(time.Unix(second+6, 1e8))) // maxAge and the skew
					tells(c.get(at("/address"), 1), newer)
					tells(c.get(at("/payments"), 1), "200")
					tells(c.login(nil), "asks for a login", silver)
					tells(c.get(at("/address"), 1), newer)
					if c.authTime != second {
						t.Errorf("auth_time is %d of a token for which nobody has logged in, before it was %d", c.authTime, second)
					}
					tells(c.follow(at("/address")), newer, "asks for a login max_age=5", "the user gives the password", silver,
						"200")
					if first == 0 || second < first || c.authTime <= second+5 {
						t.Errorf("auth_time was %d, then %d, then %d", first, second, c.authTime)
					}
					tells(c.get(at("/payments"), 1), better) // the code was for that login only
				})
				for rule, n := range want {
					if name := "jwt_scope.rule." + rule; counted[name] != n {
						t.Errorf("%s: %d, want %d", name, counted[name], n)
					}
					delete(counted, "jwt_scope.rule."+rule)
				}
				if len(counted) > 0 {
					t.Errorf("and other counters: %v", counted)
				}
				var passed []string
				for _, m := range up.Take() {
					passed = append(passed, strings.TrimSuffix(m.Start, " HTTP/1.1")+" "+m.Header("x-acr"))
				}
				if want := []string{"GET /orders/7 silver", "GET /payments gold", "GET /payments gold", "GET /address gold",
					"GET /payments gold", "GET /address silver"}; !slices.Equal(passed, want) {
					t.Errorf("what reached the upstream: %q, want %q", passed, want)
				}
			})
		}
	})
}
