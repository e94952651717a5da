// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// R1 R11: what requests hold that wait for the service is bounded, in bytes and in number. One
// beyond is decided as onError says.
func TestCrowdWaits(t *testing.T) {
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
			worker := w.worker(config(global(`,"onError":"deny"`), `,"key":[{"header":"x-client"}],"scope":"global"`))
			noise := strings.Repeat("z", c.noise)
			ask := func(i int) *wasmhost.Stream {
				return worker.Request(get([2]string{"x-client", fmt.Sprint(i)}, [2]string{"x-noise", noise}), true)
			}
			var waiting []*wasmhost.Stream
			for {
				s := ask(len(waiting))
				if s.Outcome() != "waits" {
					w.want("one too many", s, "limiter_unavailable")
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
			w.want("when one has gone away", ask(len(waiting)), "waits")
			w.proxy.Calls()[1].Answer([][2]string{{":status", "200"}, {"content-type", "application/grpc"}},
				answer(1, 4), [][2]string{{"grpc-status", "0"}})
			w.want("which is answered", waiting[1], "ok")
			w.want("when one has been answered", ask(len(waiting)+1), "waits")
			w.want("and no more", ask(len(waiting)+2), "limiter_unavailable")
		})
	}
}
