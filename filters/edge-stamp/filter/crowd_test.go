// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// S8 W1: what requests hold that wait for their bodies is bounded, in bytes and in number; when
// their time is up they are refused in as many callbacks as it takes.
func TestCrowdOfBodies(t *testing.T) {
	for _, c := range []struct {
		name  string
		noise int // bytes of headers
		waits int // requests that may wait
	}{
		{"with large headers", 56 << 10, 16 << 20 / (56 << 10)},
		{"with small headers", 10, 4096},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, wasmhost.Options{})
			worker := w.worker(sign("edge-1", "ES256", "EDGE", `,"bind":["body"],"bodyTimeout":"2s"`))
			headers := get([2]string{"x-noise", strings.Repeat("z", c.noise)})
			var waiting []*wasmhost.Stream
			for {
				s := worker.Request(headers, false)
				if s.Outcome() != "waits" {
					w.want("one too many", s, "overloaded")
					break
				}
				waiting = append(waiting, s)
				if len(waiting) > c.waits {
					t.Fatalf("%d requests wait", len(waiting))
				}
			}
			if len(waiting) < c.waits*9/10 {
				t.Errorf("%d requests wait, want about %d", len(waiting), c.waits)
			}
			if n := worker.Memory(); n > 80<<20 {
				t.Errorf("the VM has %d MiB", n>>20)
			}
			waiting[0].Close()
			last := worker.Request(headers, false)
			w.want("when one has gone away", last, "waits")
			waiting[1].Body("x", true)
			w.want("whose body is there", waiting[1], "ok")
			waiting = append(waiting[2:], last)

			// The longer the queue is, the sooner its head is given up, and not before.
			lead := wait.Lead(2*time.Second, len(waiting)-1)
			w.clock = w.clock.Add(2*time.Second - lead - time.Millisecond)
			worker.Tick()
			w.want("before its time is up", waiting[0], "waits")
			w.clock = w.clock.Add(time.Millisecond)
			worker.Tick()
			w.want("before the others'", waiting[0], "body_timeout")
			w.want("after it", waiting[len(waiting)-1], "waits")
			w.clock = w.clock.Add(lead)
			for turns := 2; ; turns++ {
				worker.Tick()
				w.clock = w.clock.Add(time.Duration(worker.TickPeriods()[0]) * time.Millisecond)
				answered := 0
				for _, s := range waiting {
					if s.Reply != nil {
						answered++
					}
				}
				if answered > 64*turns {
					t.Fatalf("%d requests were answered in %d callbacks", answered, turns)
				}
				if answered == len(waiting) {
					break
				}
				if turns > len(waiting)/64+2 {
					t.Fatalf("after %d callbacks %d of %d are answered", turns, answered, len(waiting))
				}
			}
			for _, s := range waiting {
				w.want("when its time is up", s, "body_timeout")
			}
			if lines := strings.Count(w.proxy.LogText(), "allow_on_headers_stop_iteration"); lines != 1 {
				t.Errorf("the log has it %d times that no body has come", lines)
			}
			if n := w.proxy.VMs(); n != 1 {
				t.Errorf("%d VMs", n)
			}
		})
	}
}
