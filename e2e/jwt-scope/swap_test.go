// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func swapConfig(paths string) string {
	return fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"jwks":{"inline":%s}}],"rules":[{"name":"all","match":[{"paths":[%s]}],"require":{"scopes":{"all":["orders:read"]}}}]}`,
		issuer, mint.Set(ecKey, rsaKey), paths)
}

// W21: a configuration is exchanged while requests run: none fails, the new one counts within
// seconds, and one with a mistake in it never opens anything.
func TestSwap(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		watched := harness.NewWatched(t, "jwt-scope")
		push := func(configuration string) {
			watched.Push(bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"), Configuration: configuration})
		}
		push(swapConfig(`"/orders/{**}"`))
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: 4, Filters: []bootstrap.M{watched.Filter()}})
		token := bearer(ecKey.Token(good()))
		ask := func(path string, headers ...[2]string) *harness.Message {
			return harness.HTTP1(t, envoy.Main(), harness.Request("GET", path, headers...))
		}
		var stop atomic.Bool
		var served atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				client := harness.NewClient1(t, envoy.Main())
				for !stop.Load() {
					if a := client.Do(harness.Request("GET", "/orders/7", token)); a.Status() != 200 {
						t.Errorf("a good request during the exchange: %s %s", a.Start, a.Body)
						return
					}
					if a := client.Do(harness.Request("GET", "/orders/7")); a.Status() != 401 {
						t.Errorf("a request without token during the exchange: %s %s", a.Start, a.Body)
						return
					}
					served.Add(2)
				}
			})
		}
		for round := range 3 {
			before := served.Load()
			path := fmt.Sprintf("/new%d", round)
			if a := ask(path, token); a.Status() != 403 {
				t.Errorf("before the exchange: %s", a.Start)
			}
			began := time.Now()
			push(swapConfig(fmt.Sprintf(`"/orders/{**}", "/new%d"`, round)))
			if err := envoy.Await(func() bool { return ask(path, token).Status() == 200 }, 20*time.Second); err != nil {
				t.Fatalf("the new configuration never counted: %v", err)
			}
			t.Logf("round %d: the new configuration counts after %s, %d requests meanwhile", round,
				time.Since(began).Round(time.Millisecond), served.Load()-before)
		}
		stop.Store(true)
		wg.Wait()
		push(`{"rules": 1}`)
		envoy.WaitLog("rules: want a list")
		// Each worker has a VM of its own; over many connections all are met.
		for range 20 {
			if a := ask("/orders/7"); a.Status() != 401 {
				t.Errorf("a request without token after a refused configuration: %s", a.Start)
			}
			if a := ask("/orders/7", token); a.Status() != 200 {
				t.Errorf("a good request after a refused configuration: %s %s", a.Start, a.Body)
			}
			if a := ask("/new2", token); a.Status() != 200 {
				t.Errorf("the last good configuration no longer counts: %s", a.Start)
			}
		}
	})
}
