// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
)

const us = time.Microsecond

// log is what docker compose prints of two requests: one that went through, and one that the edge's
// rate-limit has refused. Stopwatches take 10 µs on the way there and 5 µs on the way back.
const log = `Attaching to edge_1
edge_1  | [2026-11-21 20:29:33.648][95][warning][wasm] keys of {a cluster}
edge_1  | {"details":"via_upstream","proxy":"edge","status":200,"times":"<1000<1010<1520>5000>5035>5040","trace":"aa"}
edge_1  | {"details":"tollgate.rate_limit.reports.rate_limited","proxy":"edge","times":"<1000<1010>1420>1425>1430","trace":"bb"}
mesh_1  | {"details":"via_upstream","proxy":"mesh","times":"<2000<2210<2420>4000>4010>4020","trace":"aa"}
mesh_1  | {"details":"via_upstream","proxy":"mesh","times":null,"trace":"cc"}
`

func TestJoin(t *testing.T) {
	sent := []Sent{{Kind: "over", Answer: "429 rate_limited", Trace: "bb", Total: 600 * us},
		{Kind: "good", Answer: "200 ok", Trace: "aa", Total: 5050 * us}}
	lines := ParseLog(log)
	if n := Missing(sent, lines); n != 0 {
		t.Errorf("%d are missing", n)
	}
	paths, watch, err := Join(sent, lines)
	if err != nil || len(paths) != 2 || watch.There.P50 != 10*us || watch.Back.P50 != 5*us || watch.There.N != 2 {
		t.Fatalf("%+v, %+v, %v", paths, watch, err)
	}
	type want struct {
		there, back   time.Duration
		reached, ends bool
	}
	for i, c := range []struct {
		name             string
		stations         []want
		outside, watches time.Duration
	}{
		// What reaches the upstream comes first.
		{"good", []want{
			{500 * us, 30 * us, true, false}, {470 * us, 975 * us, true, false},
			{200 * us, 5 * us, true, false}, {200 * us, 5 * us, true, false}, {1580 * us, 0, true, true},
		}, 1010 * us, (10 + 5 + 4*10 + 4*5) * us},
		// The plugin that refuses has the time until its answer goes back.
		{"over", []want{{410 * us, 0, true, true}, {}, {}, {}, {}}, 170 * us, (10 + 5 + 5) * us},
	} {
		p := paths[i]
		var got []want
		sum := p.Typical.Outside + p.Typical.Watches
		for _, s := range p.Stations {
			got = append(got, want{s.There.P50, s.Back.P50, s.Reached, s.Ends})
			sum += p.Typical.There[s.Place] + p.Typical.Back[s.Place]
		}
		if p.Name != c.name || !slices.Equal(got, c.stations) || p.Typical.Outside != c.outside ||
			p.Typical.Watches != c.watches || sum != p.Typical.Total || sum != p.Total.P50 {
			t.Errorf("%s:\n%+v, want\n%+v\noutside %s, watches %s, sum %s of %s", p.Name, got, c.stations,
				p.Typical.Outside, p.Typical.Watches, sum, p.Total.P50)
		}
	}
}

// A request past the edge has the mesh's times only. The answer of a plugin goes back through all,
// also through those that the request has not reached.
func TestJoinDirect(t *testing.T) {
	first, second := Place{"mesh", "edge-stamp"}, Place{"mesh", "jwt-scope"}
	for _, c := range []struct {
		times   string
		reached map[Place]time.Duration
		ends    Place
	}{
		{"<100>300>305>310", map[Place]time.Duration{first: 200 * us}, first},
		{"<100<250>300>305>310", map[Place]time.Duration{first: 150 * us, second: 50 * us}, second},
	} {
		lines := ParseLog(`x | {"proxy":"mesh","times":"` + c.times + `","trace":"aa"}`)
		sent := []Sent{{Kind: "direct", Trace: "aa", Direct: true, Total: 500 * us}}
		paths, _, err := Join(sent, lines)
		if err != nil || Missing(sent, lines) != 0 {
			t.Fatal(err)
		}
		for _, s := range paths[0].Stations {
			want, reached := c.reached[s.Place]
			if s.Reached != reached || s.Ends != (s.Place == c.ends) || s.There.P50 != want {
				t.Errorf("%s: %+v", c.times, s)
			}
		}
	}
}

func TestMissing(t *testing.T) {
	whole := Line{Proxy: "edge", Trace: "aa", There: make([]int64, len(Edge)+2)}
	refused, mesh := Line{Proxy: "edge", Trace: "aa", There: make([]int64, 2)}, Line{Proxy: "mesh", Trace: "aa"}
	for _, c := range []struct {
		what   string
		direct bool
		lines  []Line
		want   int
	}{
		{"no line", false, nil, 1},
		{"the edge's, of a request that has gone on", false, []Line{whole}, 1},
		{"both", false, []Line{whole, mesh}, 0},
		{"the edge's, of a request that was refused there", false, []Line{refused}, 0},
		{"past the edge, no line", true, nil, 1},
		{"past the edge, the mesh's", true, []Line{mesh}, 0},
	} {
		if got := Missing([]Sent{{Trace: "aa", Direct: c.direct}}, c.lines); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"no times":              ``,
		"one stopwatch":         `{"proxy":"edge","times":"<1>2","trace":"aa"}`,
		"one too few":           `{"proxy":"edge","times":"<1<2<3>5>6","trace":"aa"}`,
		"one too many":          `{"proxy":"edge","times":"<1<2<3<4>5>6>7>8","trace":"aa"}`,
		"nothing of the mesh":   `{"proxy":"edge","times":"<1<2<3>5>6>7","trace":"aa"}`,
		"times that are none":   `{"proxy":"edge","times":"<1<x>3","trace":"aa"}`,
		"times without marks":   `{"proxy":"edge","times":"12","trace":"aa"}`,
		"a way there after all": `{"proxy":"edge","times":"<1>2<3","trace":"aa"}`,
	} {
		if _, _, err := Join([]Sent{{Trace: "aa"}}, ParseLog(text)); !errors.Is(err, ErrStopwatches) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A clock that is set back makes no times: such requests are left out, and counted.
func TestJoinDropsWhatRunsBackwards(t *testing.T) {
	text := `{"proxy":"edge","times":"<1000<1010>900>905>910","trace":"aa"}` + "\n" +
		`{"proxy":"edge","times":"<1000<1010>1100>1105>1110","trace":"bb"}`
	paths, _, err := Join([]Sent{{Trace: "aa", Total: time.Second}, {Trace: "bb", Total: time.Second},
		{Trace: "bb", Total: us}}, ParseLog(text))
	if err != nil || paths[0].Dropped != 2 || paths[0].Total.N != 1 {
		t.Errorf("%+v, %v", paths, err)
	}
}

func TestStat(t *testing.T) {
	var hundred []int64
	for n := range int64(100) {
		hundred = append(hundred, 100-n)
	}
	for _, c := range []struct {
		values []int64
		want   Stat
	}{{nil, Stat{}}, {[]int64{7}, Stat{1, 7 * us, 7 * us}}, {[]int64{3, 1, 2}, Stat{3, 2 * us, 3 * us}}, {hundred,
		Stat{100, 50 * us, 99 * us}}} {
		if got := stat(c.values); got != c.want {
			t.Errorf("%v: %+v", c.values, got)
		}
	}
}

// The middle fifth, whatever is far out.
func TestTypical(t *testing.T) {
	var trips []trip
	for _, total := range []int64{1, 2, 3, 4, 10, 20, 900, 901, 902, 1_000_000} {
		trips = append(trips, trip{total: total, outside: total})
	}
	if p := sumUp(trips, [3]int64{}); p.Typical.Total != 15*us || p.Typical.Outside != 15*us {
		t.Errorf("%+v", p.Typical)
	}
	for n := 1; n < 4; n++ {
		if p := sumUp(slices.Clone(trips[4:4+n]), [3]int64{}); p.Typical.Total <= 0 {
			t.Errorf("of %d: %+v", n, p.Typical)
		}
	}
	if p := sumUp(nil, [3]int64{}); p.Typical.Total != 0 {
		t.Errorf("of none: %+v", p.Typical)
	}
}

func TestSeriesOf(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }
	scrapes := []time.Time{at(0), at(2), at(4), at(8)}
	points := func(list ...float64) (p []Point) {
		for i := 0; i < len(list); i += 2 {
			p = append(p, Point{at(int(list[i])), list[i+1]})
		}
		return p
	}
	for _, c := range []struct {
		what     string
		counters []Counter
		want     []float64
	}{
		{"a counter", []Counter{{Points: points(0, 5, 2, 7, 4, 7, 8, 15)}}, []float64{1, 0, 2}},
		{"one that was not there before", []Counter{{Points: points(4, 6, 8, 6)}}, []float64{0, 3, 0}},
		{"two codes of one outcome", []Counter{{Points: points(0, 0, 2, 2, 4, 4, 8, 4)}, {Points: points(4, 2, 8, 2)}},
			[]float64{1, 2, 0}},
		{"a proxy that was started anew", []Counter{{Points: points(0, 50, 2, 50, 4, 8, 8, 8)}}, []float64{0, 4, 0}},
		{"a look that failed", []Counter{{Points: points(0, 1, 4, 5, 8, 5)}}, []float64{0, 2, 0}},
	} {
		list := SeriesOf(scrapes, c.counters)
		var got []float64
		for _, p := range list[0].Points {
			got = append(got, p.Value)
		}
		if len(list) != 1 || !slices.Equal(got, c.want) || list[0].Points[0].Time != at(2) {
			t.Errorf("%s: %v, want %v", c.what, list, c.want)
		}
	}
	if list := SeriesOf(nil, []Counter{{Points: points(0, 1)}}); len(list) != 1 || list[0].Points != nil {
		t.Errorf("without a look: %v", list)
	}
	if list := SeriesOf(scrapes[:1], []Counter{{Points: points(0, 1)}}); list[0].Points != nil {
		t.Errorf("after one look: %v", list)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{duration(0), "0 µs"}, {duration(999 * us), "999 µs"}, {duration(1000 * us), "1 ms"}, {duration(3214 * us),
			"3.21 ms"}, {duration(32140 * us), "32.1 ms"}, {duration(999_600 * us), "1 s"},
		{duration(90 * time.Minute), "5,400 s"},
		{count(0), "0"}, {count(999), "999"}, {count(12345), "12,345"}, {count(1_234_567), "1.23 M"}, {count(1e15),
			"1 P"}, {count(math.MaxFloat64), "1.8e+308"}, {count(math.NaN()), "?"}, {count(-5), "−5"},
		{rate(0.5), "0.5"}, {rate(20), "20"}, {rate(1500), "1,500"}, {digits(9.999), "10"}, {digits(0), "0"},
		{short("abc", 3), "abc"}, {short("äbcd", 3), "äb…"}, {short("abc", 0), "…"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, c := range []struct{ v, want float64 }{{0, 1}, {-1, 1}, {math.NaN(), 1}, {math.Inf(1), 1}, {1, 1}, {1.1, 2},
		{3, 5}, {6, 10}, {0.03, 0.05}, {1e15, 1e15}} {
		if got := nice(c.v); math.Abs(got-c.want) > c.want*1e-9 {
			t.Errorf("nice(%v) = %v", c.v, got)
		}
	}
	for _, span := range []time.Duration{time.Second, 15 * time.Second, time.Minute, 15 * time.Minute, time.Hour,
		24 * time.Hour, 1000 * time.Hour} {
		if n := span / tick(span); n > 10 {
			t.Errorf("%s has %d marks", span, n)
		}
	}
}

// whole is a report with something everywhere.
func whole() *Report {
	made := time.Unix(1_800_000_000, 0).UTC()
	paths, watch, err := Join([]Sent{{Kind: "good", Answer: "200 ok", Trace: "aa", Total: 5050 * us},
		{Kind: "over", Answer: "429 rate_limited", Trace: "bb", Total: 600 * us}}, ParseLog(log))
	if err != nil {
		panic(err)
	}
	return &Report{Made: made, Facts: []Fact{{"edge", "Envoy 1.40.0"}}, Paths: paths, Watch: watch,
		Decisions: []Decision{{"edge", "jwt-scope", "allowed", "ok", 30, 10},
			{"edge", "jwt-scope", "denied", "token_missing", 4, 0}, {"mesh", "edge-stamp", "would_deny", "stamp_missing", 2, 2}},
		Limits: Limits{Own: []Span{{made.Add(-10 * time.Second), made}}, Series: []Series{
			{"per-user", "allowed", []Point{{made.Add(-20 * time.Second), 0}, {made, 20}}},
			{"reports", "denied", []Point{{made.Add(-20 * time.Second), 0}, {made, 4}}}}}}
}

func TestHTML(t *testing.T) {
	nan := whole()
	nan.Limits.Series[0].Points[0].Value, nan.Limits.Series[0].Points[1].Value, nan.Decisions[0].Count = math.NaN(),
		math.Inf(1), math.Inf(1)
	one := whole()
	one.Limits.Series = []Series{{"one", "allowed", []Point{{one.Made, 3}}}}
	evil := whole()
	const attack = `"><script>alert(1)</script><img src=x onerror='x'>&`
	evil.Facts, evil.Decisions = []Fact{{attack, attack}}, []Decision{{attack, attack, attack, attack, 1, 1}}
	evil.Paths[0].Name, evil.Paths[0].Answer, evil.Limits.Series[0].Limit, evil.Limits.Series[0].Outcome =
		attack, attack, attack, attack
	huge := whole()
	huge.Limits.Series[0].Points[1].Value, huge.Decisions[0].Count, huge.Paths[0].Typical.Total = math.MaxFloat64,
		math.MaxFloat64, math.MaxInt64
	for name, c := range map[string]struct {
		r    *Report
		want []string
	}{
		"whole": {whole(), []string{">+500 µs<", ">5.05 ms<", ">token_missing<", ">would: stamp_missing<", "reports",
			`<i class="dot tollgate"></i>the chain of the edge: jwt-scope, rate-limit, edge-stamp<`,
			"15 January 2027", "Envoy 1.40.0", "this report&#39;s requests"}},
		"empty":   {&Report{}, []string{"No request was measured", "No limit has been counted yet", ">nothing yet<"}},
		"nan":     {nan, []string{">?<"}},
		"one":     {one, []string{"<circle", ">3<"}},
		"hostile": {evil, []string{"&lt;script&gt;"}},
		"huge":    {huge, []string{">1.8e+308<"}},
	} {
		page := string(c.r.HTML())
		for _, want := range c.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: there is no %s", name, want)
			}
		}
		// Nothing is loaded, nothing runs, no number is none.
		if m := regexp.MustCompile(
			`<script|<img|<link|href=|url\(|@import|[^a-z]on[a-z]+=|="-?(NaN|\+?Inf)|[ LM](NaN|\+Inf)`).FindString(
			strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "")); m != "" &&
			(name != "hostile" || strings.HasPrefix(m, "<")) {
			t.Errorf("%s: the page has %q", name, m)
		}
		if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'"`) ||
			strings.Count(page, "<section id=") < 4 {
			t.Errorf("%s: the policy or a section is missing", name)
		}
		// Each drawing is well-formed, and what is in it is in it.
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
			if err := inside(svg); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// inside reads a drawing, and looks for rectangles outside of it.
func inside(svg string) error {
	decoder := xml.NewDecoder(strings.NewReader(svg))
	var width, height float64
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %.300s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		var x, y, w, h float64
		for _, a := range e.Attr {
			var v float64
			_, _ = fmt.Sscan(a.Value, &v) // of others, nothing
			switch a.Name.Local {
			case "viewBox":
				if _, err := fmt.Sscanf(a.Value, "0 0 %g %g", &width, &height); err != nil {
					return err
				}
			case "x":
				x = v
			case "y":
				y = v
			case "width":
				w = v
			case "height":
				h = v
			}
		}
		if e.Name.Local == "rect" && (x < 0 || y < 0 || w < 0 || h < 0 || x+w > width+1 || y+h > height+1) {
			return fmt.Errorf("a rectangle %v of %v × %v is out of it", e.Attr, width, height)
		}
	}
}

// Every class that is drawn has a colour, in light and in dark.
func TestColours(t *testing.T) {
	light, dark, ok := strings.Cut(style, "@media screen and (prefers-color-scheme: dark)")
	for _, c := range classes {
		if !ok || !strings.Contains(light, "--"+c+":#") || !strings.Contains(dark, "--"+c+":#") {
			t.Errorf("%s has no colour", c)
		}
	}
	for _, p := range Places() {
		if !slices.Contains(classes, class(p)) {
			t.Errorf("%v is drawn as %q", p, class(p))
		}
	}
	for _, o := range append(outcomes, "another") {
		if !slices.Contains(classes, colour(o)) {
			t.Errorf("%v is drawn as %q", o, colour(o))
		}
	}
}

// Letters stand out from what is behind them (WCAG 2.2, 1.4.3: 4.5 to 1), and what is drawn from
// the page (1.4.11: 3 to 1), but for the two that only fill the rest of a bar.
func TestContrast(t *testing.T) {
	light, dark, _ := strings.Cut(style, "@media screen")
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		luminance := func(name string) float64 {
			var rgb [3]int
			m := regexp.MustCompile(`--` + name + `:#([0-9a-f]+)`).FindStringSubmatch(text)
			if m == nil {
				t.Fatalf("%s has no %s", scheme, name)
			}
			code := m[1]
			if len(code) == 3 {
				code = regexp.MustCompile(`.`).ReplaceAllString(code, "$0$0")
			}
			if _, err := fmt.Sscanf(code, "%2x%2x%2x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i, share := range []float64{0.2126, 0.7152, 0.0722} {
				v := float64(rgb[i]) / 255
				if v <= 0.04045 {
					v /= 12.92
				} else {
					v = math.Pow((v+0.055)/1.055, 2.4)
				}
				sum += share * v
			}
			return sum
		}
		hold := func(a, b string, least float64) {
			x, y := luminance(a), luminance(b)
			if ratio := (max(x, y) + 0.05) / (min(x, y) + 0.05); ratio < least {
				t.Errorf("%s: %s on %s is %.2f to 1, want %.1f", scheme, a, b, ratio, least)
			}
		}
		for _, letters := range []string{"ink", "muted", "denied"} {
			hold(letters, "page", 4.5)
		}
		hold("muted", "soft", 4.5)
		hold("muted", "own", 4.5)
		for _, c := range append(filters.Modules(), "upstream", "allowed", "would_deny", "denied", "error") {
			hold(c, "page", 3)
		}
	}
}
