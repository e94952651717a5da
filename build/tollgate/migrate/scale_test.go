// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// many are policies, each for a workload of its own, in one namespace whose tokens one resource verifies.
func many(t testing.TB, n int) []byte {
	var b strings.Builder
	b.WriteString(withKeys(t))
	for i := range n {
		b.WriteString(strings.Replace(
			authz(fmt.Sprintf(`{selector: {matchLabels: {app: a%d}}, rules: [{to: [{operation: {paths: ["/a%d/*"]}}], when: [{key: "request.auth.claims[role]", values: [a]}]}]}`, i, i)), "name: policy", fmt.Sprintf("name: p%d", i), 1))
	}
	return []byte(b.String())
}

// Policies by their number: twice as many take twice as long.
func BenchmarkPolicies(b *testing.B) {
	for _, n := range []int{500, 1000, 2000} {
		text := many(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				m := &Migrator{}
				m.Add("p.yaml", text)
				if r := m.Result(); len(r.Configurations) != n+1 {
					b.Fatalf("%d configurations", len(r.Configurations))
				}
			}
		})
	}
}

// Thousands of policies of a cluster are no more work for each than hundreds.
func TestLinear(t *testing.T) {
	took := func(n int) time.Duration {
		text := many(t, n)
		start := time.Now()
		m := &Migrator{}
		m.Add("p.yaml", text)
		if r := m.Result(); len(r.Configurations) != n+1 {
			t.Fatalf("%d configurations", len(r.Configurations))
		}
		return time.Since(start)
	}
	few, more := took(200), took(1600)
	t.Logf("200 policies: %v, 1,600: %v", few, more)
	if more > 24*few { // 64 times as long where each is compared with each
		t.Errorf("eight times as many policies take %.0f times as long", float64(more)/float64(few))
	}
}
