// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// What answers cost in the test of accuracy: told in the body, less than the reserve and more.
const (
	tokensPerSecond = 100_000
	tokensAtOnce    = 50_000
	tokenReserve    = 100
)

var tokenCosts = []int{40, 120, 170}

// spending is an exchange with what its answer has cost; 0: it was refused.
type spending struct {
	sent, answered time.Time
	cost           int
}

// spend asks for more than the limit allows, over as many connections.
func spend(t *testing.T, address string, connections int, window time.Duration) (all []spending) {
	t.Helper()
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(connections)
	for c := range connections {
		done.Go(func() {
			client := harness.NewClient1(t, address)
			warm := client.Do(harness.Request("GET", "/free")) // so that the connection is there
			ready.Done()
			if warm.Status() != 200 {
				t.Errorf("a request without a limit: %+v", warm)
				return
			}
			var mine []spending
			<-start
			began, refused := time.Now(), false
			for i := c; ; i++ {
				sent := time.Now()
				if took := sent.Sub(began); took > window && (refused || took > patience) {
					break
				}
				cost := tokenCosts[i%len(tokenCosts)]
				m := client.Do(harness.Request("GET", fmt.Sprintf("/tokens/%d", cost)))
				switch m.Status() {
				case 429:
					cost, refused = 0, true
				case 200:
				default:
					t.Errorf("%s %s", m.Start, m.Body)
				}
				mine = append(mine, spending{sent, time.Now(), cost})
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return all
}

// What answers have cost is within one percent of the limit, with 1 to 16 workers that share it, once they
// are settled: never more than burst + rate × time + what was reserved too little for those that were on
// their way.
func TestSettledAccuracy(t *testing.T) {
	newest := harness.Versions(t)[0]
	harness.Each(t, func(t *testing.T, version string) {
		measured := "| workers | answered | refused | of the limit |\n|---|---|---|---|\n"
		for _, workers := range []int{1, 4, 16} {
			if version != newest && workers == 4 {
				continue
			}
			var routes []M
			for _, n := range tokenCosts {
				routes = append(routes, M{"match": M{"path": fmt.Sprintf("/tokens/%d", n)},
					"direct_response": M{"status": 200, "body": M{"inline_string": usage(n)}}})
			}
			routes = append(routes, M{"match": M{"prefix": "/"}, "direct_response": M{"status": 200}})
			config := limits(M{"name": "tokens", "match": []M{{"paths": []string{"/tokens/{n}"}}},
				"rate": M{"requests": tokensPerSecond, "per": "1s", "burst": tokensAtOnce},
				"cost": M{"response": M{"json": []string{"usage", "total_tokens"}, "reserve": tokenReserve, "max": 1000}}})
			envoy := harness.Start(t, harness.Config{Version: version, Own: true, Concurrency: workers, LogLevel: "error",
				Listeners: []M{spread(bootstrap.Listener("main", 0, []M{limiter(t, config).Filter()}, routes, nil))}})
			connections := max(8, 2*workers)
			all := spend(t, envoy.Main(), connections, 2*time.Second)
			wantWorkers(t, envoy, workers)
			counters := envoy.Tollgate()
			envoy.Stop() // the next one is to have the machine for itself
			total, answered, refused := 0, 0, 0
			first, last := all[0].sent, all[0].answered
			for _, s := range all {
				if s.sent.Before(first) {
					first = s.sent
				}
				if s.cost == 0 {
					refused++
					continue
				}
				answered, total = answered+1, total+s.cost
				if s.answered.After(last) {
					last = s.answered
				}
			}
			if answered == 0 || refused == 0 {
				t.Fatalf("%d workers: %d answered, %d refused: that is no load", workers, answered, refused)
			}
			allowed := tokensAtOnce + tokensPerSecond*last.Sub(first).Seconds()
			// All that were on their way at the end may have been the dearest.
			under := connections * (tokenCosts[2] - tokenReserve)
			share := 100 * float64(total) / allowed
			t.Logf("%d workers: %d answered, %d refused, %d tokens, %.2f %% of the limit", workers, answered, refused, total, share)
			if float64(total) > 1.0005*allowed+float64(under) || share < 99 {
				t.Errorf("%d workers: %d tokens, the limit allows %.0f, and %d more", workers, total, allowed, under)
			}
			if counters["rate_limit.rule.tokens.cost.settled"] != uint64(total) ||
				counters["rate_limit.rule.tokens.cost.lost"] != 0 ||
				counters["rate_limit.rule.tokens.cost.reserved"] != uint64(answered*tokenReserve) {
				t.Errorf("%d workers: %d tokens in %d answers, counted are %v", workers, total, answered, counters)
			}
			measured += fmt.Sprintf("| %d | %d | %d | %.1f %% |\n", workers, answered, refused, share)
		}
		if version != newest {
			return
		}
		holdTable(t, "settled", measured)
	})
}
