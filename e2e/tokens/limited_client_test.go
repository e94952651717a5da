// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build python

package tokens

import (
	"strconv"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/tokens/service"
)

// With a limit in between, the library sees what it sees without, until the budget is spent: then its error for limits.
func TestLibraryLimited(t *testing.T) {
	each(t, func(t *testing.T, version string, http2 bool) {
		s := service.Start(t)
		e := gateway(t, version, s, http2, harness.Filter(t, "rate-limit", limits(every.json)))
		l := startLibrary(t, e.Main())
		talk(t, l, s, map[string]string{"x-user": "alice"})
		l.t = t
		streamed := map[string]any{"stream": true, "stream_options": map[string]any{"include_usage": true}}
		c := call{"chat", streamed, map[string]string{"x-user": "bob", "x-usage": strconv.Itoa(most) + ",0"}, 0}
		for range budget / most {
			if got := l.do(c); got.Error != "" || got.Tokens == nil || *got.Tokens != most || got.RateLimit == "" {
				t.Errorf("before the budget is spent: %+v", got)
			}
			await(t, s)
		}
		if got := l.do(c); got.Error != "RateLimitError" || got.Status != 429 || got.RetryAfter == "" {
			t.Errorf("after the budget is spent: %+v", got)
		}
	})
}
