// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

func key(value string) [2]string { return [2]string{"x-key", value} }

// R15 R4: a VM that traps and is made anew finds the buckets as they were, and so do the others:
// nobody gets a burst by having a VM fail.
func TestTrap(t *testing.T) {
	const workers = 2
	faulty := probetest.Build(t, "e2e/rate-limit/faulty")
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		filter := bootstrap.Wasm{Name: "rate-limit", Module: faulty,
			Configuration: text(limits(limit("five", 5, M{"key": []M{{"header": "x-key"}}})))}.Filter()
		envoy := harness.Start(t,
			harness.Config{Version: version, Concurrency: workers,
				Listeners: []M{spread(bootstrap.Listener("main", 0, []M{filter}, bootstrap.To("upstream"), nil))},
				Clusters:  []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		before := envoy.Counter(created)
		var clients []*harness.Client1 // one of each worker
		for range workers {
			clients = append(clients, harness.NewClient1(t, envoy.Main()))
		}
		ask := func(i int, headers ...[2]string) *harness.Message {
			return clients[i%workers].Do(harness.Request("GET", "/", headers...))
		}
		for i := range 8 {
			if m := ask(i, key("all")); (m.Status() == 200) != (i < 5) {
				t.Errorf("request %d of a limit of five: %s", i, m.Start)
			}
		}
		for i := range 2 {
			wantStandard(t, "two of five", ask(i, key("some")), about{"five", 5, 4 - i, 720 * (i + 1)})
		}
		wantWorkers(t, envoy, workers)
		up.Take()
		for i := range workers {
			if m := ask(i, key("all"), [2]string{"x-trap", "now"}); m.Status() != 503 {
				t.Errorf("a request whose VM traps: %+v", m)
			}
		}
		for i := range workers {
			// Envoy waits for a moment before it makes a VM anew.
			if err := envoy.Await(func() bool {
				m := ask(i, key("all"))
				if m.Status() != 503 && m.Status() != 429 {
					t.Fatalf("after a trap, over the limit: %+v", m)
				}
				return m.Status() == 429
			}, time.Minute); err != nil {
				t.Fatalf("the VM was never made anew: %v", err)
			}
		}
		if n := envoy.Counter(created) - before; n < workers {
			t.Errorf("%d VMs were made anew, want %d", n, workers)
		}
		if n := len(up.Take()); n != 0 {
			t.Errorf("%d requests that trapped or were over the limit have reached the upstream", n)
		}
		for i := range 6 {
			m := ask(i, key("some"))
			if i >= 3 {
				wantAnswer(t, "two and three of five are used up", m, "rate_limited")
				continue
			}
			wantStandard(t, "what is left of five", m, about{"five", 5, 2 - i, 720 * (i + 3)})
		}
		wantStandard(t, "who is new", ask(0, key("new")), about{"five", 5, 4, 720})
	})
}

// R15: configurations and modules are exchanged under load: no request fails, who is over a limit
// stays so, and a limit that comes new counts.
func TestSwap(t *testing.T) {
	faulty := probetest.Build(t, "e2e/rate-limit/faulty")
	harness.Each(t, func(t *testing.T, version string) {
		watched := harness.NewWatched(t, "rate-limit")
		five := limit("five", 5, M{"key": []M{{"header": "x-key"}}, "match": []M{{"paths": []string{"/orders"}}}})
		push := func(module string, list ...M) {
			watched.Push(bootstrap.Wasm{Name: "rate-limit", Module: module, Configuration: text(limits(list...))})
		}
		ours := harness.Module(t, "rate-limit")
		push(ours, five)
		envoy := harness.Start(t,
			harness.Config{Version: version, Concurrency: 4, LogLevel: "info",
				Listeners: []M{spread(bootstrap.Listener("main", 0, []M{watched.Filter()}, bootstrap.Answer(200, "ok"), nil))}})
		one := harness.NewClient1(t, envoy.Main())
		for i := range 6 {
			if m := one.Do(harness.Request("GET", "/orders", key("used"))); (m.Status() == 200) != (i < 5) {
				t.Fatalf("request %d of a limit of five: %s", i, m.Start)
			}
		}
		var stop atomic.Bool
		var served, fresh atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				client := harness.NewClient1(t, envoy.Main())
				for !stop.Load() {
					if m := client.Do(harness.Request("GET", "/orders", key("used"))); m.Status() != 429 {
						t.Errorf("over the limit, during the exchange: %s %s", m.Start, m.Body)
						return
					}
					if m := client.Do(harness.Request("GET", "/orders", key(fmt.Sprint("new-", fresh.Add(1))))); m.Status() != 200 {
						t.Errorf("within the limit, during the exchange: %s %s", m.Start, m.Body)
						return
					}
					served.Add(2)
					time.Sleep(time.Millisecond) // Envoy is to compile meanwhile
				}
			})
		}
		defer wg.Wait()
		defer stop.Store(true)
		for round, module := range []string{ours, faulty} {
			before := served.Load()
			name := fmt.Sprint("new-", round)
			began := time.Now()
			push(module, five, limit(name, 1, M{"match": []M{{"paths": []string{"/" + name}}}}))
			if err := envoy.Await(func() bool { return one.Do(harness.Request("GET", "/"+name)).Status() == 429 },
				time.Minute); err != nil {
				t.Fatalf("the new configuration never counted: %v", err)
			}
			t.Logf("round %d: the new limit counts after %s, %d requests meanwhile", round,
				time.Since(began).Round(time.Millisecond), served.Load()-before)
		}
		push(faulty, M{"name": "five"})
		envoy.WaitLog("limits[0].rate: is required")
		// Other workers than the one that has answered may still exchange theirs, or not: either
		// way the last good configuration counts.
		for i := range 8 {
			if m := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/new-1")); m.Status() != 429 {
				t.Errorf("after a refused configuration, connection %d: %s", i, m.Start)
			}
			if m := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/orders", key("used"))); m.Status() != 429 {
				t.Errorf("over the limit, after a refused configuration, connection %d: %s", i, m.Start)
			}
		}
	})
}
