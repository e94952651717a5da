// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// R1 R2 R8: more keys than the table has places, as a client makes them that names itself in
// x-forwarded-for. Memory stays where it is; nobody's debt is forgotten, neither that of who has
// asked all along nor that of who asked once; and who comes when all is full gets no more than what
// the full buckets have for such keys.
func TestManyKeys(t *testing.T) {
	const (
		entries, keys, clients = 4096, 20_000, 8
		buckets                = 2 * entries / 32
		places                 = buckets * 32
		most                   = places + buckets // each bucket has one burst, of one request here, for all who find no place
	)
	harness.Each(t, func(t *testing.T, version string) {
		config := limits(limit("each", 1,
			M{"rate": M{"requests": 1, "per": "24h"}, "key": []M{{"forwardedAddress": M{"trustedHops": 1}}}}))
		config["table"] = M{"entries": entries}
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: 2, LogLevel: "error",
			Filters: []M{limiter(t, config).Filter()}})
		as := func(c *harness.Client1, address string) int {
			return c.Do(harness.Request("GET", "/", [2]string{"x-forwarded-for", address})).Status()
		}
		address := func(i int64) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
		const offender = "192.0.2.1"
		one := harness.NewClient1(t, envoy.Main())
		if first, second := as(one, offender), as(one, offender); first != 200 || second != 429 {
			t.Fatalf("a limit of one request: %d, then %d", first, second)
		}
		before := envoy.Counter(created)
		resident := func() int64 {
			memory, err := envoy.Memory()
			if err != nil {
				t.Fatal(err)
			}
			return memory
		}
		each := func(do func(c *harness.Client1)) {
			var wg sync.WaitGroup
			for range clients {
				c := harness.NewClient1(t, envoy.Main())
				wg.Go(func() { do(c) })
			}
			wg.Wait()
		}
		var sent, admitted, refused atomic.Int64
		each(func(c *harness.Client1) { // until the heaps of the VMs have their size, which refusals have them reach first
			for range 10_000 / clients {
				if status := as(c, offender); status != 429 {
					t.Errorf("the offender, alone: %d", status)
				}
			}
		})
		warm := resident()
		wave := func(until int64) int64 {
			each(func(c *harness.Client1) {
				for i := sent.Add(1); i <= until; i = sent.Add(1) {
					switch status := as(c, address(i)); status {
					case 200:
						admitted.Add(1)
					case 429:
						refused.Add(1)
					default:
						t.Errorf("key %d: %d", i, status)
					}
					if i%50 == 0 {
						if status := as(c, offender); status != 429 {
							t.Errorf("the offender, after %d other keys: %d", i, status)
						}
					}
				}
			})
			sent.Store(until)
			return resident()
		}
		early := wave(1000)
		if admitted.Load() != 1000 {
			t.Errorf("%d of 1000 keys admitted, for which there was room", admitted.Load())
		}
		full := wave(keys / 2)
		end := wave(keys)
		t.Logf("%d keys admitted, %d refused; resident: %d MiB before them, %d MiB after 1000, %d MiB after %d, %d "+
			"MiB after %d", admitted.Load(), refused.Load(), warm>>20, early>>20, full>>20, keys/2, end>>20, keys)
		if n := admitted.Load() + 1; n < places || n > most { // one: the offender
			t.Errorf("%d keys have been admitted; there are %d places, and %d more for those without", n, places, buckets)
		}
		if growth := end - warm; growth > 8<<20 {
			t.Errorf("memory has grown by %d KiB", growth>>10)
		}
		for i := range int64(1000) {
			if status := as(one, address(i+1)); status != 429 {
				t.Errorf("key %d, which was there before the table was full: %d", i, status)
			}
		}
		if after := envoy.Counter(created); after != before {
			t.Errorf("%d VMs were made anew", after-before)
		}
		if got := envoy.Tollgate(); len(got) != 2 ||
			got["rate_limit.rule.each.outcome.allowed.code.ok"] != uint64(admitted.Load()+1) {
			t.Errorf("counted %v", got)
		}
	})
}
