// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256, jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA, jose.HS256}

// least is how many different requests each Envoy is asked about.
const least = 20_000

// workers ask at the same time, each over connections of its own.
const workers = 4

// trim takes away what is no part of a header's value (RFC 9110 §5.5).
func trim(value string) string { return strings.Trim(value, " \t") }

// requests are all that the three are asked about, each once, with golang-jwt's verdicts.
func requests(ids []*identity) []request {
	library := newLibrary(ids)
	made := make([][]request, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			made[i] = newGenerator(id, ids).generate()
			for j := range made[i] {
				made[i][j].library = library.accepts(&made[i][j])
			}
		})
	}
	wg.Wait()
	var all []request
	seen := map[string]bool{}
	for _, r := range slices.Concat(made...) {
		if key := r.key(); !seen[key] {
			seen[key] = true
			all = append(all, r)
		}
	}
	return all
}

func TestDifferential(t *testing.T) {
	var ids []*identity
	for _, alg := range algorithms {
		ids = append(ids, newIdentity(alg))
	}
	all := requests(ids)
	if len(all) < least {
		t.Fatalf("%d requests, want %d", len(all), least)
	}
	harness.Each(t, func(t *testing.T, version string) {
		envoy := start(t, version, ids)
		verdicts := make([]class, len(all))
		t.Run("ask", func(t *testing.T) {
			for w := range workers {
				t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
					t.Parallel()
					ours, native := harness.NewClient1(t, envoy.Address("ours")), harness.NewClient1(t, envoy.Address("native"))
					for i := w; i < len(all); i += workers {
						r := &all[i]
						text := harness.Request("GET", "/orders/7", r.headers...)
						accepts, ok := nativeVerdict(native.Do(text))
						if !ok {
							t.Fatalf("%s: jwt_authn gave no verdict on %q", r.kind, text)
						}
						verdicts[i] = class{r.kind, ourVerdict(ours.Do(text)), accepts, r.library}
					}
				})
			}
		})
		if t.Failed() {
			return
		}
		report(t, version, verdicts, all)
	})
}

// report holds the verdicts against the table of differences and prints how many there were of each.
func report(t *testing.T, version string, verdicts []class, all []request) {
	t.Helper()
	counts, example := map[class]int{}, map[class]*request{}
	for i, v := range verdicts {
		counts[v]++
		example[v] = &all[i]
	}
	table := readDifferences(t, version)
	var summary strings.Builder
	agreed := map[bool]int{}
	perRow := map[*difference]int{}
	for v, n := range counts {
		row := table[v]
		switch {
		case v.agreed():
			agreed[v.native] += n
		case v.ours == "ok" && !v.native && !v.library:
			t.Errorf("ACCEPTED BY jwt-scope ALONE, %d times: %s\nfor example, by a key for %s: %q", n, v,
				example[v].alg, example[v].headers)
		case row == nil:
			t.Errorf("a difference that differences.json does not explain, %d times: %s\nfor example, by a "+
				"key for %s: %q", n, v, example[v].alg, example[v].headers)
		default:
			perRow[row] += n
			delete(table, v)
		}
	}
	for v := range table {
		t.Errorf("differences.json explains what does not happen: %s", v)
	}
	for row, n := range perRow {
		fmt.Fprintf(&summary, "%6d %s, jwt_authn %s, golang-jwt %s: %s\n", n, row.Ours, row.JWTAuthn, row.GolangJWT, row.Why)
	}
	lines := strings.Split(strings.TrimSpace(summary.String()), "\n")
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(strings.TrimLeft(a, " 0123456789"), strings.TrimLeft(b, " 0123456789"))
	})
	t.Logf("%d requests of %d classes in Envoy %s: all accept %d, all refuse %d, and they differ about\n%s", len(all),
		len(counts), version, agreed[true], agreed[false], strings.Join(lines, "\n"))
	if agreed[true] < 1000 || agreed[false] < 10_000 {
		t.Errorf("%d requests were accepted by all and %d refused by all: one of the three does not do its work",
			agreed[true], agreed[false])
	}
}
