// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var remembered = config("remembered", nil, limit("daily", 3, "24h"), limit("secondly", 1, "1s", by("x-second")))

// R20: a key that is over its limit costs no call, until its limit begins anew. R12: it is 429 all the same.
func (w *world) remembered(t *testing.T) {
	within(t, day, time.Minute)
	// Over one connection, and so by one worker: each remembers for itself.
	conn := w.dial(t, 0, "remembered")
	get429 := func(name string, n int) {
		for i := range n {
			if m := conn.Do(get(client(name))); verdictOf(m) != "429 rate_limited" || m.Header("retry-after") == "" {
				t.Fatalf("%s, request %d: %+v", name, i, m)
			}
		}
	}
	name := "over" + w.version
	for range 3 {
		if m := conn.Do(get(client(name))); m.Status() != 200 {
			t.Fatalf("%+v", m)
		}
	}
	wantCounts(t, "the first refusal", harness.Change(w.proxies, func() { get429(name, 1) }), map[string]uint64{answered: 1, outcome("daily", "denied", "rate_limited"): 1})
	wantCounts(t, "refusals that are remembered", harness.Change(w.proxies, func() { get429(name, 200) }), map[string]uint64{outcome("daily", "denied", "rate_limited"): 200})
	wantCounts(t, "another key", harness.Change(w.proxies, func() { conn.Do(get(client("other" + w.version))) }), map[string]uint64{answered: 1, outcome("daily", "allowed", "ok"): 1})

	// Until its reset, and no longer.
	second := [2]string{"x-second", w.version}
	deadline := time.Now().Add(10 * time.Second)
	for conn.Do(get(second)).Status() != 429 {
		if time.Now().After(deadline) {
			t.Fatal("more than one in a second, and never refused")
		}
	}
	refused := time.Now()
	for conn.Do(get(second)).Status() != 200 {
		if time.Since(refused) > 5*time.Second {
			t.Fatal("a limit of one in a second refuses for five")
		}
	}
}
