// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// R17: a limit by address, then jwt-scope, then a limit by identity. Made-up tokens cost jwt-scope no more than the first limit lets through, and a token in somebody's name that is not theirs
// spends nothing of what they have.
func TestOrder(t *testing.T) {
	forger := mint.New(idp.ID, jose.ES256)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		address, identity := limiter(t, limits(limit("address", 5, M{"key": []M{{"sourceAddress": true}}}))), limiter(t, limits(limit("identity", 3, M{"key": []M{{"claim": []string{"sub"}}}, "onMissingKey": "deny"})))
		address.Name, identity.Name = "rate-limit-address", "rate-limit-identity"
		filters := []M{address.Filter(), tokens(t, "required"), identity.Filter()}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: []M{proxied(bootstrap.Listener("main", 0, filters, bootstrap.To("upstream"), M{"use_remote_address": true}))},
			Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		const (
			limited = "rate_limit.rule.address.outcome.denied.code.rate_limited"
			passed  = "rate_limit.rule.address.outcome.allowed.code.ok"
			good    = "jwt_scope.rule.anyone.outcome.allowed.code.ok"
			spent   = "rate_limit.rule.identity.outcome.allowed.code.ok"
		)
		for i, attack := range []struct {
			name, code string
			token      func(n int) string
		}{
			{"garbage", "token_malformed", func(n int) string { return fmt.Sprint("garbage-", n) }},
			{"a token in ann's name with another key", "token_signature", func(n int) string { return forger.Token(claims(M{"sub": "ann", "jti": fmt.Sprint(n)})) }},
		} {
			wantChange(t, attack.name, envoy.Change(func() {
				for n := range 30 {
					m := harness.HTTP1(t, envoy.Main(), from(fmt.Sprint("203.0.113.", i+1))+harness.Request("GET", "/", [2]string{"authorization", "Bearer " + attack.token(n)}, [2]string{"x-forwarded-for", fmt.Sprint("198.51.100.", n)}))
					what := fmt.Sprintf("%s, request %d", attack.name, n)
					if n >= 5 {
						wantAnswer(t, what, m, "rate_limited")
						wantStandard(t, what, m, about{"address", 5, 0, 3600})
						continue
					}
					if m.Status() != 401 {
						t.Errorf("%s: %s %s", what, m.Start, m.Body)
					}
					wantStandard(t, what, m, about{"address", 5, 4 - n, 720 * (n + 1)})
				}
			}), map[string]uint64{limited: 25, passed: 5, "jwt_scope.rule.anyone.outcome.denied.code." + attack.code: 5})
		}
		if got := up.Take(); len(got) != 0 {
			t.Errorf("%d requests without a good token have reached the upstream", len(got))
		}
		ask := func(source, sub string) *harness.Message {
			return harness.HTTP1(t, envoy.Main(), from(source)+harness.Request("GET", "/", bearer(M{"sub": sub})))
		}
		wantChange(t, "ann", envoy.Change(func() {
			for n := range 3 {
				// Answers pass the filters from the last to the first.
				wantStandard(t, "ann", ask(fmt.Sprint("192.0.2.", n), "ann"), about{"identity", 3, 2 - n, 1200 * (n + 1)}, about{"address", 5, 4, 720})
			}
			m := ask("192.0.2.3", "ann")
			wantAnswer(t, "ann, once too often", m, "rate_limited")
			wantStandard(t, "ann, once too often", m, about{"identity", 3, 0, 3600}, about{"address", 5, 4, 720})
			wantAnswer(t, "bob, from an address of ann's", ask("192.0.2.3", "bob"), "")
		}), map[string]uint64{passed: 5, good: 5, spent: 4, "rate_limit.rule.identity.outcome.denied.code.rate_limited": 1})
		if got := up.Take(); len(got) != 4 {
			t.Errorf("%d requests have reached the upstream, want 4", len(got))
		}
	})
}
