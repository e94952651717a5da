// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J26: Keycloak ends. The last good keys serve, beyond a refresh that fails; a proxy that never had any refuses.
func TestStopped(t *testing.T) {
	s := running(t)
	token := issue(t, s, "shop-web")
	var proxies []*harness.Envoy
	for _, version := range harness.Versions(t) {
		e := start(t, s, version, 0, `,"refresh":"1s"`)
		if got := dial(t, e).answers(get(token)); got["200"] != connections {
			t.Fatalf("Envoy %s, before: %v", version, got)
		}
		proxies = append(proxies, e)
	}
	shared = nil // whatever runs after this starts another
	s.Stop()
	for _, e := range proxies {
		// Two refreshes that failed: more than a period has passed since the set was fetched.
		if err := e.Await(func() bool { return strings.Count(e.Log(), "; the keys in use stay") >= 2 },
			30*time.Second); err != nil {
			t.Fatalf("Envoy %s has not tried to refresh the keys: %v", e.Version, err)
		}
		p := dial(t, e)
		for _, c := range []struct{ name, token, want string }{
			{"issued before", token, "200"},
			{"altered", alter(t, token, 1, "scope", "orders:admin"), "401 token_signature"},
			{"a kid that nobody has seen", alter(t, token, 0, "kid", "made-up"), "401 token_key_unknown"},
		} {
			if got := p.answers(get(c.token)); got[c.want] != len(p) {
				t.Errorf("Envoy %s, a token %s: %v, want %s", e.Version, c.name, got, c.want)
			}
		}
		late := start(t, s, e.Version, 0, `,"timeout":"500ms"`)
		if got := outcome(harness.HTTP1(t, late.Main(), get(token))); got != "503 keys_unavailable" {
			t.Errorf("Envoy %s, started after Keycloak ended: %s", e.Version, got)
		}
	}
}
