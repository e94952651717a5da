// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// gauge is the value of one gauge; one that Envoy does not know yet is 0.
func gauge(t *testing.T, e *harness.Envoy, name string) (value uint64) {
	t.Helper()
	text, err := e.Admin("/stats?format=json&type=Gauges&filter=^" + name + "$")
	if err != nil {
		t.Error(err)
	}
	var stats struct {
		Stats []struct {
			Name  string
			Value uint64
		}
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		t.Error(err)
	}
	for _, s := range stats.Stats {
		if s.Name == name {
			value = s.Value
		}
	}
	return value
}

// Below Envoy's default of requests that a cluster may have under way, 1024.
const (
	abortRounds = 10
	abortsEach  = 300
	abortBytes  = 12 << 10 // of each request: what is kept for it
)

// R14: clients go away while their requests wait for a service that hangs. What it says later is
// nobody's: it is not counted, and harms neither the filter nor whoever comes next. Nothing of them
// stays in memory: neither in the proxy's, nor in what the VM tells of itself.
func (f *failures) aborts(t *testing.T) {
	e := f.envoy
	key := f.newKey()
	// The service may still have a connection to a Redis of before, which fails once.
	serves := func() bool {
		m := f.conns["patient"].Do(get(client(key)))
		return m.Status() == 200 && strings.Contains(m.Header("ratelimit"), ";r=")
	}
	if err := e.Await(serves, recovery); err != nil {
		t.Fatal(err)
	}
	errorsBefore := e.Counter("http.patient.downstream_rq_5xx")
	var first int64
	large := get(client(key), [2]string{"x-large", strings.Repeat("x", abortBytes)})
	got := harness.Change([]*harness.Envoy{e}, func() {
		for round := range abortRounds {
			f.service.Freeze()
			began := e.Counter("http.patient.downstream_rq_total")
			var conns []*harness.Conn
			for range abortsEach {
				c := harness.Dial(t, e.Address("patient"))
				c.Send(large)
				conns = append(conns, c)
			}
			if err := e.Await(func() bool { return e.Counter("http.patient.downstream_rq_total") == began+abortsEach },
				10*time.Second); err != nil {
				t.Fatal(err)
			}
			for _, c := range conns {
				c.Close()
			}
			if err := e.Await(func() bool { return gauge(t, e, "http.patient.downstream_rq_active") == 0 },
				10*time.Second); err != nil {
				t.Fatal(err)
			}
			f.service.Thaw()
			// All calls are answered, or given up.
			if err := e.Await(func() bool { return gauge(t, e, "cluster.ratelimit.upstream_rq_active") == 0 },
				10*time.Second); err != nil {
				t.Fatal(err)
			}
			// The first round takes what it needs for as many at once; the others need no more.
			memory, err := e.Memory()
			if err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				first = memory
			}
			if round == abortRounds-1 {
				const most = abortRounds * abortsEach * abortBytes * 2 / 3
				if t.Logf("memory has grown by %.1f MiB from the first round to the last",
					float64(memory-first)/(1<<20)); memory-first > most {
					t.Errorf("memory has grown by %d bytes, want at most %d", memory-first, most)
				}
			}
		}
	})
	wantCounts(t, "requests that were given up", got, map[string]uint64{})
	if n := e.Counter("http.patient.downstream_rq_5xx") - errorsBefore; n != 0 {
		t.Errorf("%d answers were 5xx", n)
	}
	if err := e.Await(serves, recovery); err != nil {
		t.Error("requests are no longer served")
	}
	if log := e.Log(); strings.Contains(log, "fault in") || strings.Contains(log, "Proxy-Wasm plugin in-VM backtrace") {
		t.Errorf("a fault:\n%s", log)
	}
}

// watchMemory looks at what the VMs tell of their memory, from now on until the function that it
// returns is called. They tell every ten seconds, and all by one gauge: also that of the main
// thread, which never sees a request.
func (f *failures) watchMemory(t *testing.T) (stop func()) {
	const most = abortRounds * abortsEach * abortBytes * 2 / 3
	end, ended := make(chan struct{}), make(chan struct{})
	var largest uint64
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
				largest = max(largest, gauge(t, f.envoy, "wasmcustom.tollgate.rate_limit.vm.memory_bytes"))
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		if t.Logf("R14: a VM has at most %.1f MiB", float64(largest)/(1<<20)); largest > most {
			t.Errorf("R14: a VM has %d bytes, want at most %d after %d requests of %d bytes that were given up",
				largest, most, abortRounds*abortsEach, abortBytes)
		}
	}
}
