// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"time"
)

// duration has three digits at most: 38 µs, 3.21 ms, 1.2 s.
func duration(d time.Duration) string {
	us := float64(d.Microseconds())
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 999_500:
		return digits(us/1e3) + " ms"
	case us < 999.5e6:
		return digits(us/1e6) + " s"
	}
	return count(us/1e6) + " s"
}

// count has thousands apart, and from a million on three digits and a letter.
func count(n float64) string {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return "?"
	case n < 0:
		return "−" + count(-n)
	case n >= 1e18:
		return fmt.Sprintf("%.1e", n)
	}
	for _, u := range []struct {
		unit float64
		name string
	}{{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}} {
		if n >= u.unit {
			return digits(n/u.unit) + " " + u.name
		}
	}
	s := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// rate is a number per second.
func rate(n float64) string {
	if n >= 100 {
		return count(n)
	}
	return digits(n)
}

// digits are three that matter, without zeros behind the point.
func digits(n float64) string {
	switch {
	case n >= 99.95:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n >= 9.995:
		return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
	}
	s := strconv.FormatFloat(n, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// drawing is SVG that is being written. Positions are in its own units, which are CSS pixels at 1200 of them.
type drawing struct {
	b             strings.Builder
	width, height float64
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *drawing) text(class string, x, y float64, text string) {
	d.add(`<text class="%s" x="%s" y="%s">%s</text>`, class, px(x), px(y), html.EscapeString(text))
}

// fitted is a text that has room for so many units; what is cut off is told by a tooltip. A letter
// is taken to be as wide as most are.
func (d *drawing) fitted(class string, x, y, room, size float64, text string) {
	if cut := short(text, int(room/(size*0.56))); cut != text {
		d.add(`<text class="%s" x="%s" y="%s"><title>%s</title>%s</text>`, class, px(x), px(y), html.EscapeString(text),
			html.EscapeString(cut))
		return
	}
	d.text(class, x, y, text)
}

// short has so many letters at most.
func short(text string, letters int) string {
	if r := []rune(text); len(r) > max(1, letters) {
		return string(r[:max(0, letters-1)]) + "…"
	}
	return text
}

func (d *drawing) rect(class string, x, y, w, h, radius float64) {
	d.add(`<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`, class, px(x), px(y), px(max(0, w)),
		px(max(0, h)), px(radius))
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	d.add(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

// svg is the whole of it. title tells those who do not see it what is in it.
func (d *drawing) svg(title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-label="%s">`+"\n",
		px(d.width), px(d.height), html.EscapeString(title)) + d.b.String() + "</svg>\n"
}

func px(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// nice is the least of 1, 2, 5, 10, 20, 50 … that is not less.
func nice(v float64) float64 {
	if v <= 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}
