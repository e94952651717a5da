// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package crowd has thousands of requests wait at once, for whatever a filter has to fetch, and
// ends their waiting at once.
package crowd

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// size is how many requests wait: six times as many as Envoy 1.40 could answer in one callback of a
// VM before that trapped.
const size = 2000

// shape is how a crowd comes.
type shape struct {
	version     string
	workers     int
	http2       bool
	connections int
}

func each(t *testing.T, test func(t *testing.T, s shape)) {
	harness.Each(t, func(t *testing.T, version string) {
		shapes := []shape{{version, 1, true, 1}, {version, 4, false, size}, {version, 4, true, 20}, {version, 1, false, size}}
		if version != envoybin.Default {
			shapes = shapes[:2]
		}
		for _, s := range shapes {
			protocol := "HTTP1"
			if s.http2 {
				protocol = "HTTP2"
			}
			t.Run(fmt.Sprintf("%s on %d connections, %d workers", protocol, s.connections, s.workers),
				func(t *testing.T) { test(t, s) })
		}
	})
}

// crowd is what happens to one.
type crowd struct {
	filters, clusters []bootstrap.M
	headers           func(i int) [][2]string
	begin             func(e *harness.Envoy) // before the crowd comes
	release           func()                 // when all of it waits
	want              int                    // the status of each answer; 0: the crowd goes away without one
	open              bool                   // its requests' bodies do not come
	own               bool                   // the proxy is changed in a way that no other test could bear
	deadline          time.Duration          // after which a request does not wait any more
}

// run has a crowd come and go, with requests to a rule that asks for nothing all the while.
func (s shape) run(t *testing.T, c crowd) {
	t.Helper()
	upstream := harness.StartUpstream(t)
	e := harness.Start(t, harness.Config{
		Version: s.version, Concurrency: s.workers, Filters: c.filters, Upstream: upstream.Port(), Own: c.own,
		Routes: append([]bootstrap.M{{"match": bootstrap.M{"path": "/bystander"},
			"route": bootstrap.M{"cluster": "upstream"}}}, bootstrap.Answer(200, "")...),
		HTTP: bootstrap.M{"access_log": bootstrap.AccessLog(map[string]string{"crowd": "%REQ(:PATH)%", "took": "%DURATION%"}),
			"http2_protocol_options": bootstrap.M{"max_concurrent_streams": 2 * size}},
		Clusters: c.clusters,
	})
	if c.begin != nil {
		c.begin(e)
	}
	control := s.control(t, e, 1)
	stop, bystanders := bystand(t, e, s.workers)
	before := e.Counter("http.main.downstream_rq_total")
	got := harness.Crowd{Address: e.Main(), HTTP2: s.http2, Connections: s.connections, Requests: size / s.connections,
		Headers: c.headers, Open: c.open, Abandon: c.want == 0, Sent: func() {
			arrived := func() bool { return e.Counter("http.main.downstream_rq_total")-before >= size }
			if err := e.Await(arrived, 10*time.Second); err != nil {
				t.Errorf("not all of the crowd has arrived: %v", err)
			}
			if c.release != nil {
				c.release()
			}
		}}.Run(t)
	if c.want == 0 {
		gone := func() bool {
			return e.Counter("http.main.downstream_rq_rx_reset")+
				e.Counter("http.main.downstream_cx_destroy_remote_active_rq") >= size
		}
		if err := e.Await(gone, 10*time.Second); err != nil {
			t.Errorf("the crowd has not gone away: %v", err)
		}
	}
	stop()
	worst, sent := bystanders()
	if c.want != 0 && !c.own { // the machine may have become slower meanwhile
		control = max(control, s.control(t, e, 2))
	}
	longest := longest(t, e, "/", 1)
	statuses := map[int]int{}
	for _, a := range got {
		statuses[a.Status]++
	}
	if len(statuses) != 1 || statuses[c.want] != size {
		t.Errorf("the crowd's answers are %v, want %d times %d", statuses, size, c.want)
	}
	// What a crowd takes that waits for nothing, and what a bystander does, are what the machine
	// and the worker are late by.
	if late := longest - c.deadline - control - worst; late > 50*time.Millisecond {
		t.Errorf("an answer came %v after its request, whose deadline was after %v; a crowd that waits for nothing "+
			"takes %v, and a bystander waited for %v", longest, c.deadline, control, worst)
	}
	if log := e.Log(); strings.Contains(log, "RangeError") || strings.Contains(log, "Failed to") {
		t.Error("the VM has trapped")
	}
	if n := e.Counter("wasm.envoy.wasm.runtime.v8.crash"); n > 0 {
		t.Errorf("%d VMs have crashed", n)
	}
	t.Logf("measured: the longest of %d answers took %v; the slowest of %d bystanders %v; the longest of a crowd "+
		"that waits for nothing %v", size, longest.Round(time.Millisecond), sent, worst.Round(time.Millisecond), control)
}

// control is the longest that a request of such a crowd takes that waits for nothing, the nth that is sent.
func (s shape) control(t *testing.T, e *harness.Envoy, n int) time.Duration {
	t.Helper()
	headers := func(int) [][2]string { return harness.Pseudo("GET", "/control") }
	for _, a := range (harness.Crowd{Address: e.Main(), HTTP2: s.http2, Connections: s.connections,
		Requests: size / s.connections, Headers: headers}).Run(t) {
		if a.Status != 200 {
			t.Fatalf("a request that waits for nothing got %d", a.Status)
		}
	}
	return longest(t, e, "/control", n)
}

// longest is the longest that a request of the nth crowd on a path was in the proxy, by its access
// log: the time that the requests take to get there is not the filter's.
func longest(t *testing.T, e *harness.Envoy, path string, n int) (longest time.Duration) {
	t.Helper()
	line := regexp.MustCompile(`"crowd":"` + path + `","took":(\d+)`)
	var lines [][]string
	if err := e.Await(func() bool { lines = line.FindAllStringSubmatch(e.Log(), -1); return len(lines) >= n*size },
		10*time.Second); err != nil {
		t.Fatalf("the access log has %d requests of the crowd: %v", len(lines), err)
	}
	for _, l := range lines[len(lines)-size:] {
		ms, err := strconv.Atoi(l[1])
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Duration(ms)*time.Millisecond)
	}
	return longest
}

// bystand sends requests to a public rule, at most two hundred a second on each of connections
// enough to meet every worker, until it is stopped. All must be answered 200.
func bystand(t *testing.T, e *harness.Envoy, workers int) (stop func(), result func() (worst time.Duration, n int)) {
	t.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for range 3 * workers {
		conn := harness.Dial(t, e.Main())
		all.Go(func() {
			for pace := time.NewTicker(5 * time.Millisecond); ; {
				select {
				case <-done:
					pace.Stop()
					return
				case <-pace.C:
				}
				began := time.Now()
				m := conn.Do(harness.Request("GET", "/bystander"))
				if m.Status() != 200 {
					t.Errorf("a bystander got %s", m.Start)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	return func() { close(done); all.Wait() }, func() (time.Duration, int) { return slices.Max(took), len(took) }
}
