// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/loop/browser"
	"github.com/tollgate-wasm/tollgate/build/loop/report"
)

// reported makes the report of the running loop, in which try has been, and looks at its numbers and at its pictures.
func (l *loop) reported(ctx context.Context, step func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	r, err := l.reportOf(ctx)
	if err != nil {
		return err
	}
	if err := believable(r); err != nil {
		return err
	}
	page := r.HTML()
	if at := bytes.Index(page, []byte("eyJ")); at >= 0 { // as every JWS begins
		return errors.New("the page has a token or a stamp")
	}
	step("a typical request takes %s", r.Paths[0].Typical.Total.Round(time.Microsecond))

	program, err := backends.Chromium(os.Stdout)
	if err != nil {
		return notRun(os.Stderr, "the report in a browser", err)
	}
	dir, err := os.MkdirTemp("", "tollgate-report-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := browser.Start(program)
	if err != nil {
		return err
	}
	defer b.Stop()
	show := func(name string, page []byte, dark bool) (*browser.Shown, error) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, page, 0o644); err != nil {
			return nil, err
		}
		return b.Show(file, pictureWidth, 1, dark)
	}
	// What is looked for below is found where it is.
	bad, err := show("bad.html", []byte(badPage), false)
	if err != nil {
		return err
	}
	if err := drawn(bad, color.White); bad.Requests == nil || bad.Problems == nil || bad.Overlaps() == nil ||
		bad.Wider <= 0 || err == nil {
		return fmt.Errorf("a page with every fault is taken: the test tests nothing: %+v", bad.Problems)
	}
	paper, night := color.RGBA{0xff, 0xff, 0xff, 0xff}, color.RGBA{0x10, 0x15, 0x1c, 0xff}
	for _, c := range []struct {
		name       string
		page       []byte
		dark       bool
		background color.Color
	}{
		{"report.html", page, false, paper}, {"report.html", page, true, night},
		{"empty.html", (&report.Report{Made: r.Made}).HTML(), false, paper}, {"hard.html", hard(r.Made).HTML(), false, paper},
	} {
		shown, err := show(c.name, c.page, c.dark)
		if err == nil && c.name != "empty.html" {
			err = drawn(shown, c.background)
		}
		if err == nil && len(shown.Requests)+len(shown.Problems)+len(shown.Overlaps())+max(0, shown.Wider) > 0 {
			err = fmt.Errorf("it has asked for %q, complained of %q; texts lie over each other: %q; it is %d "+
				"pixels too wide", shown.Requests, shown.Problems, shown.Overlaps(), shown.Wider)
		}
		if err != nil {
			return fmt.Errorf("%s in the browser, dark %v: %w", c.name, c.dark, err)
		}
	}
	step("the page is drawn, in light and in dark")
	return nil
}

// believable holds the numbers against what try and the report's own sample have done.
func believable(r *report.Report) error {
	ends := map[report.Place]bool{}
	for _, p := range r.Paths {
		parts := p.Typical.Outside + p.Typical.Watches
		for _, s := range p.Stations {
			parts += p.Typical.There[s.Place] + p.Typical.Back[s.Place]
			if s.Reached && s.There.P50 <= 0 {
				return fmt.Errorf("%s: %s takes no time", p.Name, s.Place)
			}
			if s.Ends {
				ends[s.Place] = true
			}
		}
		if off := (parts - p.Typical.Total).Abs(); off > 50*time.Microsecond { // each part is rounded
			return fmt.Errorf("%s: the parts are %s, the whole is %s", p.Name, parts, p.Typical.Total)
		}
	}
	for _, place := range []report.Place{{Proxy: "edge", Name: filters.Module}, {Proxy: "mesh", Name: "edge-stamp"},
		report.Upstream} {
		if !ends[place] {
			return fmt.Errorf("no request has ended at %s", place)
		}
	}
	if len(r.Paths[0].Stations) != len(report.Places()) || r.Paths[0].Total.N+r.Paths[0].Dropped != rounds {
		return fmt.Errorf("the first kind of request was measured at %d places, %d times", len(r.Paths[0].Stations),
			r.Paths[0].Total.N)
	}
	counted := map[string]float64{}
	for _, d := range r.Decisions {
		if d.During < 0 || d.During > d.Count {
			return fmt.Errorf("a decision was counted %v times, %v of them meanwhile: %+v", d.Count, d.During, d)
		}
		counted[strings.Join([]string{d.Proxy, d.Filter, d.Outcome, d.Code}, " ")] = d.Count
	}
	for _, want := range []string{
		"edge jwt-scope allowed ok", "edge jwt-scope denied token_missing", "edge jwt-scope denied insufficient_scope",
		"edge jwt-scope denied no_rule", "edge jwt-scope denied path_ambiguous",
		"edge jwt-scope denied token_signature", "edge jwt-scope denied token_expired", "edge rate-limit allowed ok",
		"edge rate-limit denied rate_limited", "edge edge-stamp allowed ok",
		"mesh edge-stamp allowed ok", "mesh edge-stamp denied stamp_missing", "mesh edge-stamp denied stamp_signature",
		"mesh edge-stamp denied stamp_mismatch", "mesh edge-stamp denied peer_untrusted",
		"mesh edge-stamp denied stamp_replayed", "mesh jwt-scope allowed ok",
	} {
		if counted[want] < 1 {
			return fmt.Errorf("nobody has counted %q: %v", want, counted)
		}
	}
	for _, want := range []string{"reports allowed", "reports denied", "per-user allowed"} {
		n := 0.0
		for _, s := range r.Limits.Series {
			if s.Limit+" "+s.Outcome != want {
				continue
			}
			for _, p := range s.Points {
				if !p.Time.Before(r.Limits.Own[0].From) {
					n += p.Value
				}
			}
		}
		if n <= 0 {
			return fmt.Errorf("over time, there is no %q: %+v", want, r.Limits.Series)
		}
	}
	facts := fmt.Sprint(r.Facts)
	for _, want := range []string{"edge Envoy 1.", "mesh Envoy 1.", "sha256", filters.Module + ".wasm"} {
		if !strings.Contains(facts, want) {
			return fmt.Errorf("%q is not among the facts: %s", want, facts)
		}
	}
	return nil
}

// drawn looks at a page's picture: as wide as it should be, on the right background, and with
// something in many colours in every section.
func drawn(s *browser.Shown, background color.Color) error {
	picture, err := png.Decode(bytes.NewReader(s.PNG))
	if err != nil {
		return err
	}
	if picture.Bounds().Dx() != pictureWidth {
		return fmt.Errorf("the picture is %d pixels wide", picture.Bounds().Dx())
	}
	if r, g, b, _ := picture.At(2,
		2).RGBA(); (color.RGBA64{uint16(r), uint16(g), uint16(b), 0xffff}) != color.RGBA64Model.Convert(background) {
		return fmt.Errorf("the background is %v", picture.At(2, 2))
	}
	if len(s.Sections) != 5 {
		return fmt.Errorf("there are %d sections", len(s.Sections))
	}
	for _, part := range s.Sections {
		area := image.Rect(int(part.Left), int(part.Top), int(part.Right), int(part.Bottom)).Intersect(picture.Bounds())
		colours, other := map[color.Color]bool{}, 0
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				c := picture.At(x, y)
				if colours[c] = true; c != picture.At(2, 2) {
					other++
				}
			}
		}
		if len(colours) < 10 || other < area.Dx()*area.Dy()/100 {
			return fmt.Errorf("the section %s has %d colours, and %d of its %d pixels are drawn", part.Text,
				len(colours), other, area.Dx()*area.Dy())
		}
	}
	return nil
}

// badPage has a picture of somebody else's, letters over letters, what is wider than any window, and nothing else.
const badPage = `<!doctype html><meta http-equiv="Content-Security-Policy" content="img-src 'none'"><link rel="stylesheet" href="http://127.0.0.1:9/style.css"><img src="http://127.0.0.1:9/picture.png">
<section id="path"><p style="position:absolute;left:0;top:0">one</p><p style="position:absolute;left:0;top:0">other</p><div style="width:4000px">wide</div></section>`

// hard is a report that is difficult to draw.
func hard(made time.Time) *report.Report {
	long := strings.Repeat("a-very-long-name", 6)
	r := &report.Report{Made: made,
		Facts: []report.Fact{{Name: "<script>", Value: strings.Repeat("0123456789abcdef", 40)}}}
	for n, total := range []time.Duration{time.Hour, time.Microsecond, 0} {
		p := report.Path{Name: long, Answer: long, Total: report.Stat{N: 1e9, P50: total, P99: 100 * time.Hour},
			Typical: report.Typical{Total: total, Outside: total}}
		for _, place := range report.Places() {
			p.Stations = append(p.Stations,
				report.Station{Place: place, Reached: n < 2,
					There: report.Stat{N: 1, P50: total, P99: 1000 * time.Hour}, Back: report.Stat{N: 1, P50: total}})
		}
		r.Paths = append(r.Paths, p)
	}
	for _, outcome := range []string{"allowed", "denied", "would_deny", "marked", "error", "new"} {
		r.Decisions = append(r.Decisions,
			report.Decision{Proxy: "edge", Filter: "jwt-scope", Outcome: outcome, Code: long, Count: 1e12, During: 1},
			report.Decision{Proxy: "edge", Filter: "another", Outcome: outcome, Code: outcome, Count: math.MaxFloat64})
		r.Limits.Series = append(r.Limits.Series,
			report.Series{Limit: long, Outcome: outcome,
				Points: []report.Point{{Time: made, Value: 1e15}, {Time: made.Add(time.Second), Value: 1}}},
			report.Series{Limit: "one", Outcome: outcome, Points: []report.Point{{Time: made}}})
	}
	r.Limits.Own = []report.Span{{From: made, To: made.Add(time.Second)}}
	return r
}
