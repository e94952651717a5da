// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// amount is how much of something there is: what a variable of the environment says, or what takes some seconds.
func amount(t *testing.T, variable string) int64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return 20_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1000 {
		t.Fatalf("%s=%q: want a number of at least 1000", variable, text)
	}
	return n
}

// S16: however many stamps there are, each is admitted, and what remembers them does not grow: they
// expire, and what has expired makes room.
func TestStamps(t *testing.T) {
	secret := map[string]string{"SECRET": "a secret that both sides of this test have"}
	stamp := func(name, config string) bootstrap.M {
		return bootstrap.Wasm{Name: name, Module: harness.Module(t, "edge-stamp"), Configuration: config,
			Env: secret}.Filter()
	}
	filters := []bootstrap.M{
		stamp("sign", `{"role":"sign","issuer":"https://edge","audience":"mesh","ttl":"1s","keys":[{"kid":"h","alg":"HS256","env":"SECRET"}],"rules":[{"name":"all","sign":true}]}`),
		stamp("verify", `{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"keys":[{"kid":"h","alg":"HS256","env":"SECRET"}],"clockSkew":"1s"}],"replay":{"entries":65536},"rules":[{"name":"all"}]}`),
	}
	envoy := harness.Start(t, harness.Config{Version: harness.Versions(t)[0], Concurrency: 2, LogLevel: "error",
		Filters: filters})
	const created = "wasm.envoy.wasm.runtime.v8.created"
	before := envoy.Counter(created)
	total := amount(t, "TOLLGATE_STAMPS")
	var sent, wrong atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c := harness.NewClient1(t, envoy.Main())
			for i := sent.Add(1); i <= total; i = sent.Add(1) {
				if answer := c.Do(harness.Request("GET", fmt.Sprint("/orders/", i%1000, "?i=", i))); answer.Status() != 200 {
					if wrong.Add(1) < 10 {
						t.Errorf("request %d: %s %s", i, answer.Start, answer.Body)
					}
				}
			}
		})
	}
	var warm, most int64
	for step := int64(1); step <= 10; step++ {
		if err := envoy.Await(func() bool { return sent.Load() >= total*step/10 }, time.Hour); err != nil {
			t.Fatal(err)
		}
		memory, err := envoy.Memory()
		if err != nil {
			t.Fatal(err)
		}
		if step == 2 {
			warm = memory
		}
		most = max(most, memory)
		t.Logf("%s: %d stamps, %d MiB resident", time.Since(began).Round(time.Second), total*step/10, memory>>20)
	}
	wg.Wait()
	if growth := most - warm; growth > warm/10+16<<20 {
		t.Errorf("memory has grown by %d MiB over %d MiB", growth>>20, warm>>20)
	}
	if after := envoy.Counter(created); after != before {
		t.Errorf("%d VMs were made anew", after-before)
	}
	// Both filters count under the same names: a request is allowed by the one and by the other.
	if got := envoy.Tollgate()["edge_stamp.rule.all.outcome.allowed.code.ok"]; got != uint64(2*total) {
		t.Errorf("%d times allowed, want %d: %v", got, 2*total, envoy.Tollgate())
	}
}
