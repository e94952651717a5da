// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"time"
)

// outcomes in the order of the page. Another one, of a later filter, comes behind them and has the colour of an error.
var outcomes = []string{"allowed", "marked", "would_deny", "denied", "error"}

func rank(outcome string) int {
	if i := slices.Index(outcomes, outcome); i >= 0 {
		return i
	}
	return len(outcomes)
}

func colour(outcome string) string {
	if rank(outcome) == len(outcomes) {
		return "error"
	}
	if outcome == "marked" { // it goes on, as in shadow mode
		return "would_deny"
	}
	return outcome
}

// decisions draws what one filter of one proxy has decided, the codes of it from the most frequent to the least.
func decisions(list []Decision) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Decision) int {
		return cmp.Or(cmp.Compare(rank(a.Outcome), rank(b.Outcome)), cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Code, b.Code))
	})
	const width, row, label, number = 344, 24, 200, 56
	d := &drawing{width: width, height: float64(max(1, len(list)) * row)}
	highest := 1.0
	for _, l := range list {
		highest = max(highest, l.Count)
	}
	for i, l := range list {
		y := float64(i * row)
		code := l.Code
		if l.Outcome == "would_deny" {
			code = "would: " + code
		} else if l.Outcome == "marked" {
			code = "marked: " + code
		}
		d.fitted("label", 0, y+16, label-8, 13, code)
		// At least three units: what has been once is not nothing.
		w := max(3, (width-label-number)*(l.Count/highest))
		during := math.Round(w * min(1, max(0, l.During/max(1, l.Count))))
		d.add(`<g><title>%s, %s: %s, of which %s while this report sent its requests</title>`,
			html.EscapeString(l.Outcome), html.EscapeString(l.Code), count(l.Count), count(l.During))
		d.rect("fill "+colour(l.Outcome), label, y+5, w, 14, 2)
		d.rect("veil", label+w-during, y+5, during, 14, 2)
		d.add(`</g>`)
		d.text("label strong", label+w+7, y+16, count(l.Count))
	}
	if len(list) == 0 {
		d.text("label muted", 0, 16, "nothing yet")
	}
	return d.svg("Decisions by code")
}

// limit draws one limit's outcomes over time. from and to are the edges of all of them.
func limit(series []Series, own []Span, from, to time.Time) string {
	const left, right, top, tall, bottom = 44, 12, 22, 118, 24
	d := &drawing{width: pageWidth, height: top + tall + bottom}
	highest := 0.0
	for _, s := range series {
		for _, p := range s.Points {
			if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
				highest = max(highest, p.Value)
			}
		}
	}
	step := nice(highest / 3)
	highest = step * math.Ceil(max(highest, step)/step*(1-1e-9))
	span := max(to.Sub(from), time.Second)
	x := func(t time.Time) float64 {
		return left + (pageWidth-left-right)*min(1, max(0, t.Sub(from).Seconds()/span.Seconds()))
	}
	y := func(v float64) float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			v = 0
		}
		return top + tall*(1-min(1, max(0, v/highest)))
	}
	for _, o := range own {
		if o.To.Before(from) || o.From.After(to) {
			continue
		}
		d.rect("own", x(o.From), top-18, max(2, x(o.To)-x(o.From)), tall+18, 0)
		anchor, at := "small middle", (x(o.From)+x(o.To))/2
		if at > pageWidth-80 {
			anchor, at = "small end", pageWidth-right-3
		} else if at < left+70 {
			anchor, at = "small", left+3
		}
		d.text(anchor, at, top-6, "this report's requests")
	}
	for n := range 5 {
		v := float64(n) * step
		if !(v <= highest*(1+1e-9)) {
			break
		}
		d.line("grid", left, y(v), pageWidth-right, y(v))
		d.text("small end", left-8, y(v)+4, rate(v))
	}
	every := tick(span)
	for t := from.Truncate(every).Add(every); !t.After(to); t = t.Add(every) {
		if x(t) < left+30 || x(t) > pageWidth-right-30 {
			continue
		}
		d.line("grid", x(t), top+tall, x(t), top+tall+4)
		d.text("small middle", x(t), top+tall+18, t.Format(time.TimeOnly))
	}
	for _, s := range series {
		switch len(s.Points) {
		case 0:
		case 1:
			d.add(`<circle class="fill %s" cx="%s" cy="%s" r="3.5"/>`, colour(s.Outcome), px(x(s.Points[0].Time)),
				px(y(s.Points[0].Value)))
		default:
			path := ""
			for i, p := range s.Points {
				path += fmt.Sprintf("%c%s %s", "ML"[min(1, i)], px(x(p.Time)), px(y(p.Value)))
			}
			first, last := s.Points[0].Time, s.Points[len(s.Points)-1].Time
			d.add(`<path class="area %s" d="%sL%s %sL%s %sZ"/>`, colour(s.Outcome), path, px(x(last)), px(y(0)),
				px(x(first)), px(y(0)))
			d.add(`<path class="curve %s" d="%s"/>`, colour(s.Outcome), path)
		}
	}
	if len(series) == 0 {
		d.text("label muted", left+8, top+24, "nothing yet")
	}
	return d.svg("Requests per second over time")
}

// tick is a distance between marks on the axis of time of which there are ten at most.
func tick(span time.Duration) time.Duration {
	for _, t := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
		30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		if span <= 10*t {
			return t
		}
	}
	return (span / 10).Truncate(time.Hour) + time.Hour
}

// counted is how many a series stands for: each point counts for the time since the one before it,
// the first for as long as the second.
func counted(s Series) (sum float64) {
	for i, p := range s.Points {
		switch {
		case i > 0:
			sum += p.Value * p.Time.Sub(s.Points[i-1].Time).Seconds()
		case len(s.Points) > 1:
			sum += p.Value * s.Points[1].Time.Sub(p.Time).Seconds()
		default:
			sum += p.Value
		}
	}
	return sum
}
