// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"
)

// The rows of two proxies are held against one that is there, and each but the first has filters at both.
func TestChainRows(t *testing.T) {
	names := map[string]bool{"": true}
	rows := chainRows("", time.Millisecond)
	for _, r := range rows {
		names[r.name] = true
	}
	for _, r := range rows {
		if !names[r.versus] || r.request == "" ||
			(r.name != nothing) != (len(r.filters) > 0 && len(r.behind) > 0 && r.refused != "") {
			t.Errorf("%+v", r)
		}
	}
}

// The plot is well-formed, and has each row's name and what it adds.
func TestPlot(t *testing.T) {
	r := Report{Envoy: "1.2.3",
		Rows: []Result{{Name: nothing, P50s: []float64{100}, P99s: []float64{200}, CPU: []float64{50}},
			{Name: "a <b>", P50s: []float64{350}, P99s: []float64{900}, CPU: []float64{80}}}}
	r.finish()
	svg := r.plot()
	for _, want := range []string{"a &lt;b&gt;", "+250 µs", "+700 µs", "+30 µs"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in\n%s", want, svg)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
