// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// R3 R4 R5: 16 workers that all begin at once with one bucket admit exactly what there is, lose
// nothing to each other, and have an answer for every request.
func TestContention(t *testing.T) {
	const workers, connections, each, burst = 16, 64, 200, 5000
	once := M{"requests": 1, "per": "24h", "burst": burst} // nothing comes back meanwhile
	open := M{"requests": 1_000_000, "per": "1s"}          // everybody writes, nobody is refused
	harness.Each(t, func(t *testing.T, version string) {
		filter := limiter(t, limits(
			M{"name": "once", "match": []M{{"paths": []string{"/once"}}}, "key": []M{{"header": "x-key"}}, "rate": once},
			M{"name": "open", "match": []M{{"paths": []string{"/open"}}}, "key": []M{{"header": "x-key"}}, "rate": open},
		))
		listener := spread(bootstrap.Listener("main", 0, []M{filter.Filter()}, bootstrap.Answer(200, "ok"), nil))
		envoy := harness.Start(t,
			harness.Config{Version: version, Concurrency: workers, LogLevel: "error", Listeners: []M{listener}})
		for _, c := range []struct {
			limit    string
			admitted int
		}{{"once", burst}, {"open", connections * each}} {
			request := harness.Request("GET", "/"+c.limit, [2]string{"x-key", "hot"})
			var mu sync.Mutex
			var took []time.Duration
			answers := map[string]int{}
			began := time.Now()
			added := envoy.Change(func() {
				var wg sync.WaitGroup
				for range connections {
					wg.Go(func() {
						client := harness.NewClient1(t, envoy.Main())
						mine, got := make([]time.Duration, 0, each), map[string]int{}
						for range each {
							sent := time.Now()
							m := client.Do(request)
							mine = append(mine, time.Since(sent))
							got[m.Start]++
						}
						mu.Lock()
						defer mu.Unlock()
						took = append(took, mine...)
						for start, n := range got {
							answers[start] += n
						}
					})
				}
				wg.Wait()
			})
			refused := connections*each - c.admitted
			want := map[string]uint64{"rate_limit.rule." + c.limit + ".outcome.allowed.code.ok": uint64(c.admitted)}
			if refused > 0 {
				want["rate_limit.rule."+c.limit+".outcome.denied.code.rate_limited"] = uint64(refused)
			}
			wantChange(t, c.limit, added, want)
			if answers["HTTP/1.1 200 OK"] != c.admitted || answers["HTTP/1.1 429 Too Many Requests"] != refused {
				t.Errorf("%s: %v, want %d admitted and %d refused", c.limit, answers, c.admitted, refused)
			}
			slices.Sort(took)
			at := func(percent int) time.Duration { return took[len(took)*percent/100].Round(10 * time.Microsecond) }
			t.Logf("%s: %d requests of %d connections in %v: p50 %v, p99 %v, longest %v", c.limit, len(took),
				connections, time.Since(began).Round(time.Millisecond), at(50), at(99), took[len(took)-1])
		}
		wantWorkers(t, envoy, workers)
	})
}
