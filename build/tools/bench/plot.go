// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"html"
	"strings"
)

// plot draws what each row adds to a request: the medians of the rounds of the median latency, of
// its 99th percentile, and of the CPU time, each with a scale of its own. The result is SVG.
func (r *Report) plot() string {
	panels := []struct {
		title string
		added func(Result) float64
	}{
		{"latency, median", func(row Result) float64 { return row.AddedP50 }},
		{"latency, 99th percentile", func(row Result) float64 { return row.AddedP99 }},
		{"CPU of both proxies", func(row Result) float64 { return row.Added }},
	}
	const width, label, bar, gap, top, unit = 920, 400, 22, 8, 64, 34
	colours := []string{"#8a8f98", "#b4553c", "#8c3a24", "#2c7a5b", "#3b6ea5"}
	height := top
	var b strings.Builder
	for _, p := range panels {
		highest := 1.0
		for _, row := range r.Rows {
			highest = max(highest, p.added(row))
		}
		fmt.Fprintf(&b, `<text x="16" y="%d" font-weight="600">%s</text>`+"\n", height, html.EscapeString(p.title))
		height += 12
		colour := 0
		for _, row := range r.Rows {
			if row.Name == nothing {
				continue
			}
			added := p.added(row)
			length := max(1, int((width-label-120)*added/highest))
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="%s"/><text x="%d" y="%d">+%.0f µs</text>`+"\n",
				label-10, height+16, html.EscapeString(row.Name), label, height, length, bar,
				colours[colour%len(colours)], label+length+8, height+16, added)
			height += bar + gap
			colour++
		}
		height += unit
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="14" fill="#1d2129"><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", width, height)
	return head + fmt.Sprintf(
		`<text x="16" y="26" font-size="17" font-weight="600">What two proxies add to a request (Envoy %s, %d requests/s, %d rounds)</text>`+"\n", html.EscapeString(r.Envoy), r.Rate, r.Rounds) + b.String() + "</svg>\n"
}
