// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var (
	lease    = M{"replicas": 4, "lease": M{"requests": 20, "per": "1h"}}
	leased   = config("leased", lease, limit("leased", 1_000_000, "24h"))
	unleased = config("unleased", nil, limit("unleased", 1_000_000, "24h"))
	scarce   = config("scarce", lease, limit("scarce", 200, "24h"))
)

// hot sends requests for one key to n proxies at once, over a connection to each, and returns how
// many were admitted and how long the middle one of the answers took.
func (w *world) hot(t *testing.T, proxies, requests int, domain string, headers ...[2]string) (admitted int32,
	p50 time.Duration) {
	var all sync.WaitGroup
	var ok atomic.Int32
	took := make([][]time.Duration, proxies)
	for i := range proxies {
		conn := w.dial(t, i, domain)
		all.Go(func() {
			for range requests {
				began := time.Now()
				conn.Send(get(headers...))
				status := conn.Receive().Status()
				took[i] = append(took[i], time.Since(began))
				switch status {
				case 200:
					ok.Add(1)
				case 429:
				default:
					t.Errorf("an answer is %d", status)
				}
			}
		})
	}
	all.Wait()
	sorted := slices.Concat(took...)
	slices.Sort(sorted)
	return ok.Load(), sorted[len(sorted)/2]
}

// What leases save, and what they cost: calls, latency, and no hit more than the limit.
func (w *world) leases(t *testing.T) {
	within(t, day, 2*time.Minute)
	const requests = 300
	var b strings.Builder
	b.WriteString("| proxies | requests | calls | calls with `lease: {requests: 20}` | times fewer | added latency, " +
		"median | with leases |\n|---|---|---|---|---|---|---|\n")
	for _, n := range []int{1, 2, 4} {
		calls, added := map[string]uint64{}, map[string]time.Duration{}
		for _, domain := range []string{"unleased", "leased"} {
			w.hot(t, n, 20, domain)                  // the connections are there, and the code is warm
			_, base := w.hot(t, n, requests, domain) // without a key: what everything else takes
			calls[domain] = harness.Change(w.proxies, func() {
				admitted, p50 := w.hot(t, n, requests, domain, client(fmt.Sprint("hot", n, w.version)))
				if added[domain] = p50 - base; int(admitted) != n*requests {
					t.Errorf("%d of %d requests were admitted", admitted, n*requests)
				}
			})[answered]
		}
		if calls["unleased"] != uint64(n*requests) {
			t.Errorf("%d proxies made %d calls for %d requests without leases", n, calls["unleased"], n*requests)
		}
		if calls["leased"]*10 > calls["unleased"] {
			t.Errorf("%d proxies made %d calls with leases, and %d without: want 10 times fewer", n, calls["leased"],
				calls["unleased"])
		}
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.0f | %d µs | %d µs |\n", n, n*requests, calls["unleased"],
			calls["leased"], float64(calls["unleased"])/float64(max(calls["leased"], 1)),
			added["unleased"].Microseconds(), max(added["leased"], 0).Microseconds())
	}
	t.Logf("leases:\n%s", b.String())
	const most = 200
	for _, n := range []int{1, 2, 4} {
		admitted, _ := w.hot(t, n, 2*most/n, "scarce", client(fmt.Sprint("scarce", n, w.version)))
		t.Logf("%d proxies have let through %d of a limit of %d", n, admitted, most)
		if admitted > most || admitted < most/2 {
			t.Errorf("%d proxies have let through %d of a limit of %d", n, admitted, most)
		}
	}
	// The figures are of the machine that wrote them.
	figure := regexp.MustCompile(`\d+`)
	measured := b.String()
	kept := readmeTable(t, "leases", measured, w.version == envoybin.Default)
	if figure.ReplaceAllString(kept, "N") != figure.ReplaceAllString(measured, "N") {
		t.Errorf("the README has another table than is measured; -update writes this:\n%s", measured)
	}
}
