// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is what was measured of one row. Times are microseconds.
type Result struct {
	Name   string    `json:"name"`
	CPU    []float64 `json:"cpuPerRequest"` // a value for each round, in their order
	Min    float64   `json:"min"`
	Median float64   `json:"median"`
	Max    float64   `json:"max"`
	Added  float64   `json:"added"` // median less that of the row Beyond, or of the one without filters
	Beyond string    `json:"beyond,omitempty"`
	Versus string    `json:"versus,omitempty"`
	Ratio  float64   `json:"ratio,omitempty"` // added over the added of that row
	took   []time.Duration
	P50    float64   `json:"p50"`
	P99    float64   `json:"p99"`
	P50s   []float64 `json:"p50PerRound"`
	P99s   []float64 `json:"p99PerRound"`
	// What a request takes longer than without filters: the rounds' medians are compared.
	AddedP50 float64 `json:"addedP50"`
	AddedP99 float64 `json:"addedP99"`
}

// Report is a run of the benchmark.
type Report struct {
	Envoy     string   `json:"envoy"`
	Processes int      `json:"envoys"` // one behind the other
	Answer    string   `json:"answer"` // who answers the requests
	Rounds    int      `json:"rounds"`
	Requests  int      `json:"requestsPerRound"`
	Rate      int      `json:"fixedRate"`
	Rows      []Result `json:"rows"`
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// percentile of sorted values.
func percentile(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return micros(sorted[min(len(sorted)-1, int(float64(len(sorted))*p))])
}

// median of values in any order; 0 where there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// finish works out what follows from the measurements.
func (r *Report) finish() {
	byName := map[string]*Result{}
	for i := range r.Rows {
		row := &r.Rows[i]
		sorted := slices.Sorted(slices.Values(row.CPU))
		slices.Sort(row.took)
		row.P50, row.P99 = percentile(row.took, 0.50), percentile(row.took, 0.99)
		row.Min, row.Median, row.Max = sorted[0], median(sorted), sorted[len(sorted)-1]
		byName[row.Name] = row
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		base := byName[row.Beyond]
		if base == nil {
			base = byName[nothing]
		}
		row.Added = row.Median - base.Median
		if bare := byName[nothing]; bare != nil {
			row.AddedP50, row.AddedP99 = median(row.P50s)-median(bare.P50s), median(row.P99s)-median(bare.P99s)
		}
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		if versus := byName[row.Versus]; versus != nil && versus.Added > 0 {
			row.Ratio = row.Added / versus.Added
		}
	}
}

func (r *Report) print(w io.Writer) {
	processes := "the whole process"
	if r.Processes > 1 {
		processes = fmt.Sprintf("%d processes, one behind the other,", r.Processes)
	}
	fmt.Fprintf(w, "Envoy %s, one worker, HTTP/1.1, %s; CPU of %s per request, %d rounds of %d requests; latency at "+
		"%d requests/s\n\n", r.Envoy, r.Answer, processes, r.Rounds, r.Requests, r.Rate)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "CPU µs/request\tmin\tmedian\tmax\tadded\tratio\tp50 µs\tp99 µs\t")
	for _, row := range r.Rows {
		added, ratio := "", ""
		if row.Name != nothing {
			added = fmt.Sprintf("%.1f", row.Added)
		}
		if row.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%s\t%s\t%.0f\t%.0f\t\n", row.Name, row.Min, row.Median, row.Max, added,
			ratio, row.P50, row.P99)
	}
	t.Flush()
	fmt.Fprintln(w, "\nadded: median over that of the row without filters, or, for what verifies a stamp, of the row "+
		"that only signs it")
	fmt.Fprintln(w, "ratio: added over that of Envoy's own filter for the same: jwt_authn+rbac with the same "+
		"algorithm and no token cache, as Istio configures them; local_ratelimit; ratelimit. Of stamps, over a bare "+
		"call of sign, and of verifying them, over jwt_authn")
}
