// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// R1 R2: however many clients there are, the table of limits does not grow, and whoever is over the
// limit stays so; clients beyond those that the table is for are slowed down, never let through
// unseen.
func TestKeys(t *testing.T) {
	const buckets = 2 * 65536 / 32 // of the default table
	config := `{"limits":[{"name":"each","key":[{"header":"x-key"}],"rate":{"requests":1,"per":"24h"}}]}`
	envoy := harness.Start(t, harness.Config{Version: harness.Versions(t)[0], Concurrency: 2, LogLevel: "error",
		Filters: []bootstrap.M{harness.Filter(t, "rate-limit", config)}})
	const created = "wasm.envoy.wasm.runtime.v8.created"
	before := envoy.Counter(created)
	total := amount(t, "TOLLGATE_KEYS")
	as := func(c *harness.Client1, key string) int {
		return c.Do(harness.Request("GET", "/", [2]string{"x-key", key})).Status()
	}
	one := harness.NewClient1(t, envoy.Main())
	if first, second := as(one, "offender"), as(one, "offender"); first != 200 || second != 429 {
		t.Fatalf("a limit of one request: %d, then %d", first, second)
	}
	var sent, answered, admitted, refused, wrong atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c := harness.NewClient1(t, envoy.Main())
			for i := sent.Add(1); i <= total; i = sent.Add(1) {
				switch as(c, fmt.Sprint("client-", i)) {
				case 200:
					admitted.Add(1)
				case 429:
					refused.Add(1)
				default:
					wrong.Add(1)
				}
				if i%100 == 0 && as(c, "offender") != 429 {
					wrong.Add(1)
				}
				answered.Add(1)
			}
		})
	}
	resident := func(what string) int64 {
		memory, err := envoy.Memory()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s, %d admitted, %d refused, %d wrong, %.1f MiB resident", time.Since(began).Round(time.Second),
			what, admitted.Load(), refused.Load(), wrong.Load(), float64(memory)/(1<<20))
		return memory
	}
	resident("begins")
	var warm, most int64
	for step := int64(1); step <= 10; step++ {
		if err := envoy.Await(func() bool { return answered.Load() >= total*step/10 }, time.Hour); err != nil {
			t.Fatal(err)
		}
		memory := resident(fmt.Sprint(total*step/10, " keys"))
		if step == 2 {
			warm = memory
		}
		most = max(most, memory)
	}
	wg.Wait()
	if growth := most - warm; growth > warm/10+16<<20 {
		t.Errorf("memory has grown by %d MiB over %d MiB", growth>>20, warm>>20)
	}
	if wrong.Load() > 0 {
		t.Errorf("%d answers are wrong", wrong.Load())
	}
	// Half of the places are for keys that fall into the same buckets: as many keys as the table is
	// for have one each. All that find none have one request for each bucket.
	if n := admitted.Load(); total <= 65536/2 && n != total || n > buckets*(32+1) {
		t.Errorf("%d of %d keys admitted", n, total)
	}
	for i := range min(total, 1000) {
		if status := as(one, fmt.Sprint("client-", i+1)); status != 429 {
			t.Errorf("client %d, again: %d", i+1, status)
		}
	}
	if after := envoy.Counter(created); after != before {
		t.Errorf("%d VMs were made anew", after-before)
	}
	if got := envoy.Tollgate(); got["rate_limit.rule.each.outcome.allowed.code.ok"] != uint64(admitted.Load())+1 ||
		len(got) != 2 {
		t.Errorf("counted %v", got)
	}
}
