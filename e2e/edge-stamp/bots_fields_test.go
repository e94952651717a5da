// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
)

// S29: a body whose digest a bot has signed cannot be exchanged by putting another digest, or that one, into
// a String that spans lines.
func TestBotsDigests(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := startBots(t, version, M{})
		digest := func(body string) [2]string {
			sum := sha256.Sum256([]byte(body))
			return [2]string{"content-digest", httpsig.ContentDigest(sum[:])}
		}
		signed := w.sign(t, `("@authority" "content-digest";key="sha-256")`+w.params("n", 0), digest("hello"))
		split := [][2]string{{"content-digest", `a="x`}, digest("evil"), {"content-digest", `", ` + digest("hello")[1]}}
		for _, c := range []struct {
			name, body string
			headers    [][2]string
			code       string
		}{
			{"as it was made", "hello", signed, ""},
			{"another body", "evil", signed, "stamp_mismatch"},
			{"another body, its digest in a String", "evil", append(split, signed[1:]...), "stamp_mismatch"},
			{"the body, another's digest in a String", "hello", append(split, signed[1:]...), ""},
		} {
			want, status := allowed("bots"), 200
			if c.code != "" {
				want, status = denied("bots", c.code), 401
			}
			got := w.envoy.Change(func() {
				length := [2]string{"content-length", fmt.Sprint(len(c.body))}
				answer := harness.HTTP1(t, w.envoy.Main(), harness.Request("GET", stampedPath, append(c.headers, length)...)+c.body)
				reached := w.up.Take()
				if answer.Status() != status || len(reached) != 1 && status == 200 || len(reached) != 0 && status != 200 {
					t.Errorf("%s: %s, %d reached", c.name, answer.Start, len(reached))
				}
			})
			if got[want] != 1 {
				t.Errorf("%s: counted %v, want %s", c.name, got, want)
			}
		}
	})
}
