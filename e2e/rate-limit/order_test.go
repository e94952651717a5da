// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// R17: a limit by address, then jwt-scope, then a limit by identity. Made-up tokens cost jwt-scope
// no more than the first limit lets through, and a token in somebody's name that is not theirs
// spends nothing of what they have.
func TestOrder(t *testing.T) {
	forger := mint.New(idp.ID, jose.ES256)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		address, identity := limiter(t, limits(limit("address", 5, M{"key": []M{{"sourceAddress": true}}}))), limiter(t,
			limits(limit("identity", 3, M{"key": []M{{"claim": []string{"sub"}}}, "onMissingKey": "deny"})))
		address.Name, identity.Name = "rate-limit-address", "rate-limit-identity"
		filters := []M{address.Filter(), tokens(t, "required"), identity.Filter()}
		envoy := harness.Start(t,
			harness.Config{Version: version,
				Listeners: []M{proxied(bootstrap.Listener("main", 0, filters, bootstrap.To("upstream"),
					M{"use_remote_address": true}))},
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
			{"a token in ann's name with another key", "token_signature",
				func(n int) string { return forger.Token(claims(M{"sub": "ann", "jti": fmt.Sprint(n)})) }},
		} {
			wantChange(t, attack.name, envoy.Change(func() {
				for n := range 30 {
					m := harness.HTTP1(t, envoy.Main(), from(fmt.Sprint("203.0.113.", i+1))+
						harness.Request("GET", "/", [2]string{"authorization", "Bearer " + attack.token(n)},
							[2]string{"x-forwarded-for", fmt.Sprint("198.51.100.", n)}))
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
				wantStandard(t, "ann", ask(fmt.Sprint("192.0.2.", n), "ann"),
					about{"identity", 3, 2 - n, 1200 * (n + 1)}, about{"address", 5, 4, 720})
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

// In front of Envoy's cors filter a limit counts preflights, and browsers may not read its
// refusals. Behind it, preflights are answered before the limit, and refusals have CORS headers.
func TestCORS(t *testing.T) {
	policy := bootstrap.Typed("extensions.filters.http.cors.v3.CorsPolicy",
		M{"allow_origin_string_match": []M{{"exact": "https://app.example"}}, "allow_methods": "GET"})
	routes := bootstrap.To("upstream") // Envoy's filter does nothing for a route without an upstream
	routes[0]["typed_per_filter_config"] = M{"cors": policy}
	cors := bootstrap.Filter("cors", "extensions.filters.http.cors.v3.Cors", nil)
	harness.Each(t, func(t *testing.T, version string) {
		listener := func(name string, filters ...M) M { return bootstrap.Listener(name, 0, filters, routes, nil) }
		up := harness.StartUpstream(t)
		envoy := harness.Start(t,
			harness.Config{Version: version, Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}, Listeners: []M{
				listener("in-front", limiter(t, limits(limit("in-front", 2))).Filter(), cors),
				listener("behind", cors, limiter(t, limits(limit("behind-cors", 2))).Filter()),
			}})
		origin := [2]string{"origin", "https://app.example"}
		for _, c := range []struct {
			listener           string
			preflights, admits int // of three
			readable           bool
		}{{"in-front", 2, 0, false}, {"behind", 3, 2, true}} {
			preflights, admits := 0, 0
			for range 3 {
				m := harness.HTTP1(t, envoy.Address(c.listener),
					harness.Request("OPTIONS", "/", origin, [2]string{"access-control-request-method", "GET"}))
				if m.Status() == 200 && m.Header("access-control-allow-methods") == "GET" {
					preflights++
				}
			}
			for range 3 {
				m := harness.HTTP1(t, envoy.Address(c.listener), harness.Request("GET", "/", origin))
				readable := m.Header("access-control-allow-origin") == "https://app.example"
				if m.Status() == 200 {
					admits++
				} else if m.Status() != 429 || readable != c.readable {
					t.Errorf("%s: %s %v", c.listener, m.Start, m.Headers)
				}
			}
			if preflights != c.preflights || admits != c.admits {
				t.Errorf("%s: %d preflights answered, %d requests admitted, want %d and %d", c.listener, preflights,
					admits, c.preflights, c.admits)
			}
		}
	})
}

// One balancer of the operator's stands in front and appends the client. With use_remote_address
// Envoy then appends the balancer, which has to be counted: each client has its own bucket,
// whatever it sends.
func TestBehindBalancer(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		var listeners []M
		for name, hops := range map[string]int{"appending": 2, "not-appending": 1} {
			filter := limiter(t, limits(limit(name, 1, M{"key": []M{{"forwardedAddress": M{"trustedHops": hops}}}}))).Filter()
			listeners = append(listeners,
				bootstrap.Listener(name, 0, []M{filter}, bootstrap.Answer(200, "ok"), M{"use_remote_address": name == "appending"}))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners})
		for _, name := range []string{"appending", "not-appending"} {
			for i, c := range []struct {
				forwarded string // the last is the balancer's
				status    int
			}{{"192.0.2.1", 200}, {"192.0.2.1", 429}, {"192.0.2.2", 200}, {"6.6.6.6, 192.0.2.2", 429}, {"192.0.2.3", 200}} {
				if m := harness.HTTP1(t, envoy.Address(name),
					harness.Request("GET", "/", [2]string{"x-forwarded-for", c.forwarded})); m.Status() != c.status {
					t.Errorf("%s, request %d: %s, want %d", name, i, m.Start, c.status)
				}
			}
		}
	})
}

// Each tier of a key has a budget of its own. Who may get tokens of several plans spends them all,
// unless a limit without tiers counts the same key.
func TestPlansOfOneSubject(t *testing.T) {
	rate := func(n int) M { return M{"requests": n, "per": "1h"} }
	subject := M{"key": []M{{"claim": []string{"sub"}}}}
	tiered := func(name string) M {
		return limit(name, 1, subject,
			M{"tiers": M{"claim": []string{"plan"}, "values": M{"a": rate(2), "b": rate(3), "c": rate(5)}}})
	}
	harness.Each(t, func(t *testing.T, version string) {
		var listeners []M
		for name, config := range map[string]M{"apart": limits(tiered("apart")),
			"together": limits(tiered("each-plan"), limit("all-plans", 5, subject))} {
			listeners = append(listeners,
				bootstrap.Listener(name, 0, []M{tokens(t, "required"), limiter(t, config).Filter()},
					bootstrap.Answer(200, "ok"), nil))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners})
		for name, want := range map[string]int{"apart": 10, "together": 5} {
			admitted := 0
			for _, plan := range []string{"a", "b", "c"} {
				for range 6 {
					if harness.HTTP1(t, envoy.Address(name),
						harness.Request("GET", "/", bearer(M{"sub": "ann", "plan": plan}))).Status() == 200 {
						admitted++
					}
				}
			}
			if admitted != want {
				t.Errorf("%s: %d requests admitted, want %d", name, admitted, want)
			}
		}
	})
}
