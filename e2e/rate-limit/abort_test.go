// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// silent is an upstream that takes requests and never answers.
func silent(t *testing.T) (port int, taken *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed with the test
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return // the proxy has given up
					}
					if line == "\r\n" {
						taken.Add(1)
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, taken
}

// gauge is the memory of the VM as it told last.
func gauge(t *testing.T, envoy *harness.Envoy) int {
	t.Helper()
	text, err := envoy.Admin("/stats?filter=rate_limit.vm.memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(text, ": ")
	bytes, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || bytes == 0 {
		t.Fatalf("the VM has not told its memory: %q", text)
	}
	return bytes
}

// R14: a request whose client has gone leaves nothing behind, though headers were owed to its
// answer: the VM has no more memory than one whose requests were all answered.
func TestAborts(t *testing.T) {
	const rounds, batch = 80, 50
	config := with(limits(limit("some", 1_000_000, M{"key": []M{{"header": "x-key"}}})), M{"headers": "both"})
	request := harness.Request("GET", "/", key(strings.Repeat("k", 1000)))
	harness.Each(t, func(t *testing.T, version string) {
		t.Parallel() // the versions: most of the time each waits for its VM to tell its memory
		port, taken := silent(t)
		control := harness.Start(t,
			harness.Config{Version: version, Own: true, LogLevel: "error", Filters: []M{limiter(t, config).Filter()}})
		envoy := harness.Start(t,
			harness.Config{Version: version, Own: true, LogLevel: "error", Filters: []M{limiter(t, config).Filter()},
				Upstream: port})
		client := harness.NewClient1(t, control.Main())
		for range rounds * batch {
			if m := client.Do(request); m.Status() != 200 {
				t.Fatalf("%+v", m)
			}
		}
		for round := range rounds {
			var open []net.Conn
			for range batch {
				c, err := net.Dial("tcp", envoy.Main())
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, c)
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
			}
			if err := envoy.Await(func() bool { return taken.Load() == int64((round+1)*batch) }, 20*time.Second); err != nil {
				t.Fatalf("%d of %d requests have reached the upstream: %v", taken.Load(), (round+1)*batch, err)
			}
			for i, c := range open {
				if i%2 == 0 {
					_ = c.(*net.TCPConn).SetLinger(0) // a reset; it cannot fail on a connection that is open
				}
				c.Close()
			}
		}
		const active = "http.main.downstream_rq_active: 0\n"
		if err := envoy.Await(func() bool {
			text, err := envoy.Admin("/stats?filter=http.main.downstream_rq_active")
			return err == nil && text == active
		}, 20*time.Second); err != nil {
			t.Fatalf("requests stay: %v", err)
		}
		if n := envoy.Counter("http.main.downstream_cx_destroy_remote_active_rq"); n != rounds*batch {
			t.Errorf("%d clients went away during their requests, want %d", n, rounds*batch)
		}
		wantChange(t, "aborted", envoy.Tollgate(),
			map[string]uint64{"rate_limit.rule.some.outcome.allowed.code.ok": rounds * batch})
		time.Sleep(11 * time.Second) // each VM tells its memory every ten seconds, and nothing shows when
		aborted, answered := gauge(t, envoy), gauge(t, control)
		t.Logf("%d requests: %d KiB in the VM where they were answered, %d KiB where they were aborted", rounds*batch,
			answered>>10, aborted>>10)
		if aborted > answered+2<<20 {
			t.Errorf("the VM has %d bytes after aborted requests, %d after answered ones", aborted, answered)
		}
	})
}
