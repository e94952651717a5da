// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestPrintLatency(t *testing.T) {
	r := Report{Rows: []Result{
		{Name: nothing, P50s: []float64{100, 90, 300}, P99s: []float64{200}}, {Name: "ratelimit", P50s: []float64{500},
			P99s: []float64{200}},
		{Name: "rate-limit", P50s: []float64{700, 500}, P99s: []float64{900}, Versus: "ratelimit"},
	}}
	var b strings.Builder
	r.printLatency(&b)
	text := regexp.MustCompile(` +`).ReplaceAllString(b.String(), " ")
	if !strings.Contains(text, " no filter 100 200 \n ratelimit 500 400 200 0 \n rate-limit 600 500 1.25 900 700 \n") {
		t.Error(text)
	}
}

// The rows are held against one that is there.
func TestServiceRows(t *testing.T) {
	names := map[string]bool{"": true}
	for _, r := range serviceRows("") {
		if names[r.name] || !names[r.versus] || r.request == "" {
			t.Errorf("%+v", r)
		}
		names[r.name] = true
	}
}
