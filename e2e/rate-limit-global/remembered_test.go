// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var (
	remembered = config("remembered", M{"recheck": "24h"}, limit("daily", 3, "24h"),
		limit("secondly", 1, "1s", by("x-second")))
	rechecked = config("rechecked", M{"recheck": "250ms"}, limit("rechecked", 3, "24h"))
	dear      = config("dear", M{"recheck": "24h"},
		limit("dear", 100, "24h", M{"cost": M{"header": "x-cost", "default": 0, "max": 100}}))
)

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
	wantCounts(t, "the first refusal", harness.Change(w.proxies, func() { get429(name, 1) }),
		map[string]uint64{answered: 1, outcome("daily", "denied", "rate_limited"): 1})
	wantCounts(t, "refusals that are remembered", harness.Change(w.proxies, func() { get429(name, 200) }),
		map[string]uint64{outcome("daily", "denied", "rate_limited"): 200})
	wantCounts(t, "another key", harness.Change(w.proxies, func() { conn.Do(get(client("other" + w.version))) }),
		map[string]uint64{answered: 1, outcome("daily", "allowed", "ok"): 1})

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

// A counter that is gone from Redis is seen after a while: until then one request at a time asks,
// and the others are refused without a call.
func (w *world) rechecked(t *testing.T) {
	within(t, day, time.Minute)
	conn, name := w.dial(t, 0, "rechecked"), "again"+w.version
	for range 3 {
		if m := conn.Do(get(client(name))); m.Status() != 200 {
			t.Fatalf("%+v", m)
		}
	}
	begun := time.Now()
	counts := harness.Change(w.proxies, func() {
		for i := range 200 {
			if m := conn.Do(get(client(name))); verdictOf(m) != "429 rate_limited" || m.Header("retry-after") == "" {
				t.Fatalf("request %d: %+v", i, m)
			}
		}
	})
	if calls, most := counts[answered], 1+uint64(time.Since(begun)/(250*time.Millisecond)); calls < 1 || calls > most+1 {
		t.Errorf("R20: %d calls for 200 refusals, want %d at most", calls, most+1)
	}
	for _, key := range w.redis.Keys() {
		if strings.HasPrefix(key, "rechecked_") {
			if _, err := w.redis.Do("DEL", key); err != nil {
				t.Fatal(err)
			}
		}
	}
	emptied := time.Now()
	for conn.Do(get(client(name))).Status() != 200 {
		if time.Since(emptied) > 5*time.Second {
			t.Fatal("the counter is gone, and the key is refused for five seconds")
		}
	}
	if m := conn.Do(get(client(name))); m.Status() != 200 {
		t.Errorf("the next one: %+v", m)
	}
}

// What is refused for its cost says nothing of cheaper requests: they are asked for. The service
// counts what it refuses, so that it refuses them, too; what costs nothing goes on.
func (w *world) refusedCosts(t *testing.T) {
	within(t, day, time.Minute)
	conn, name := w.dial(t, 0, "dear"), "dear"+w.version
	for i, row := range []struct {
		cost, want string
		calls      uint64
	}{{"60", "200", 1}, {"80", "429 rate_limited", 1}, {"80", "429 rate_limited", 0}, {"1", "429 rate_limited", 1},
		{"1", "429 rate_limited", 0}, {"30", "429 rate_limited", 0}, {"0", "200", 1}} {
		counts := harness.Change(w.proxies, func() {
			if m := conn.Do(get(client(name), [2]string{"x-cost", row.cost})); verdictOf(m) != row.want {
				t.Errorf("request %d, of cost %s: %+v, want %s", i, row.cost, m, row.want)
			}
		})
		if counts[answered] != row.calls {
			t.Errorf("request %d, of cost %s: %d calls, want %d", i, row.cost, counts[answered], row.calls)
		}
	}
}
