// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package scale measures what one configuration with the rules of thousands of namespaces costs.
package scale

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

const issuer = "https://idp.example.com/realms/shop"

var idp = mint.New("2026-11", jose.ES256)

// policy has two rules for each namespace: on its own host, who may read and who may write.
func policy(namespaces int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"providers":[{"name":"corp","issuer":%q,"audiences":["mesh"],"jwks":{"inline":%s}}],"rules":[`,
		issuer, mint.Set(idp))
	for n := range namespaces {
		if n > 0 {
			b.WriteByte(',')
		}
		ns := namespace(n)
		fmt.Fprintf(&b, `{"name":"%[1]s-read","match":[{"hosts":["%[1]s.example.com"],"paths":["/api/{**}"],"methods":["GET","HEAD"]}],"require":{"scopes":{"any":["%[1]s:read"]}}},`, ns)
		fmt.Fprintf(&b, `{"name":"%[1]s-write","match":[{"hosts":["%[1]s.example.com"],"paths":["/api/{**}"]}],"require":{"scopes":{"all":["%[1]s:write"]}}}`, ns)
	}
	b.WriteString("]}")
	return b.String()
}

func namespace(n int) string { return fmt.Sprintf("team-%04d", n) }

// What TestNamespaces measures for one size.
type figures struct {
	parse    time.Duration
	memory   int64         // of the process, with its workers, after a configuration has been exchanged
	decision time.Duration // the median of a request that is admitted, at the last rule but one
	exchange time.Duration // until a changed configuration counts
	pause    time.Duration // the longest that a request took meanwhile
}

// One configuration with the rules of 35 namespaces (7,000 over 200 clusters), of 1,000, and of all
// 7,000: each namespace's rules decide its requests and nobody else's, and what that costs is
// printed.
func TestNamespaces(t *testing.T) {
	const workers = 2
	base := measure(t, 1, workers)
	for _, namespaces := range []int{35, 1000, 7000} {
		f := measure(t, namespaces, workers)
		t.Logf("measured: %d namespaces, %d workers: %.2f MB of configuration, read in %d ms natively; %.1f MiB more "+
			"than with one namespace, %.1f for each VM; a decision takes %+.0f µs; a change counts after %d ms, in "+
			"which a request waits %d ms at most",
			namespaces, workers, float64(len(policy(namespaces)))/1e6, f.parse.Milliseconds(),
			mib(f.memory-base.memory), mib(f.memory-base.memory)/(workers+1),
			float64((f.decision-base.decision).Nanoseconds())/1e3, f.exchange.Milliseconds(), f.pause.Milliseconds())
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func measure(t *testing.T, namespaces, workers int) (f figures) {
	text := policy(namespaces)
	began := time.Now()
	if _, err := scope.Parse(text, scope.Surroundings{}); err != nil {
		t.Fatal(err)
	}
	f.parse = time.Since(began)

	watched := harness.NewWatched(t, "jwt-scope")
	push := func(configuration string) {
		watched.Push(bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"), Configuration: configuration})
	}
	push(text)
	envoy := harness.Start(t,
		harness.Config{Version: harness.Versions(t)[0], Concurrency: workers, Filters: []bootstrap.M{watched.Filter()}})
	defer envoy.Stop()

	client := harness.NewClient1(t, envoy.Main())
	ask := func(host, method, scopes string) int {
		token := idp.Token(map[string]any{"iss": issuer, "aud": "mesh", "sub": "alice", "scope": scopes,
			"exp": time.Now().Add(time.Hour).Unix()})
		return client.Do(harness.Request(method, "/api/things/7", [2]string{"Host", host},
			[2]string{"Authorization", "Bearer " + token})).Status()
	}
	for _, n := range []int{0, namespaces / 2, namespaces - 1} {
		ns := namespace(n)
		for _, c := range []struct {
			host, method, scopes string
			status               int
		}{
			{ns + ".example.com", "GET", ns + ":read", 200},
			{ns + ".example.com", "GET", ns + ":write", 403},
			{ns + ".example.com", "POST", ns + ":write", 200},
			{ns + ".example.com", "GET", namespace(n+1) + ":read", 403},
			{namespace(namespaces) + ".example.com", "GET", ns + ":read", 403},
		} {
			if status := ask(c.host, c.method, c.scopes); status != c.status {
				t.Errorf("%d namespaces: %s of %s with %s is answered %d, want %d", namespaces, c.method, c.host,
					c.scopes, status, c.status)
			}
		}
	}

	ns := namespace(namespaces - 1)
	token := idp.Token(map[string]any{"iss": issuer, "aud": "mesh", "sub": "alice", "scope": ns + ":read",
		"exp": time.Now().Add(time.Hour).Unix()})
	request := harness.Request("GET", "/api/things/7", [2]string{"Host", ns + ".example.com"},
		[2]string{"Authorization", "Bearer " + token})
	const requests = 2000
	took := make([]time.Duration, requests)
	for i := range took {
		began := time.Now()
		if status := client.Do(request).Status(); status != 200 {
			t.Fatalf("%d namespaces: a good request is answered %d", namespaces, status)
		}
		took[i] = time.Since(began)
	}
	f.decision = median(took)

	var stop atomic.Bool
	var wg sync.WaitGroup
	var longest atomic.Int64
	for range 2 * workers { // every worker has connections
		wg.Go(func() {
			client := harness.NewClient1(t, envoy.Main())
			for !stop.Load() {
				began := time.Now()
				if status := client.Do(request).Status(); status != 200 {
					t.Errorf("%d namespaces: a good request during the exchange is answered %d", namespaces, status)
					return
				}
				for took := int64(time.Since(began)); ; {
					if before := longest.Load(); took <= before || longest.CompareAndSwap(before, took) {
						break
					}
				}
			}
		})
	}
	began = time.Now()
	push(strings.Replace(text, `"/api/{**}"`, `"/api/{**}", "/new"`, 1))
	if err := envoy.Await(func() bool {
		token := idp.Token(map[string]any{"iss": issuer, "aud": "mesh", "sub": "alice", "scope": namespace(0) + ":read",
			"exp": time.Now().Add(time.Hour).Unix()})
		return harness.HTTP1(t, envoy.Main(),
			harness.Request("GET", "/new", [2]string{"Host", namespace(0) + ".example.com"},
				[2]string{"Authorization", "Bearer " + token})).Status() == 200
	}, time.Minute); err != nil {
		t.Fatalf("%d namespaces: the new configuration never counted: %v", namespaces, err)
	}
	f.exchange = time.Since(began)
	stop.Store(true)
	wg.Wait()
	f.pause = time.Duration(longest.Load())
	var err error
	if f.memory, err = envoy.Memory(); err != nil {
		t.Fatal(err)
	}
	return f
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
