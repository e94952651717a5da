// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
)

// style has a colour for each thing, in light and in dark. On paper it is always light.
const style = `
:root { color-scheme: light dark; --page:#fff; --soft:#f5f6f8; --line:#dfe3e8; --ink:#17202b; --muted:#56616f;
 --jwt-scope:#2f66c9; --rate-limit:#8250c4; --edge-stamp:#0c8080; --tollgate:#a04a7a; --hop:#a8b1bd; --upstream:#6a7686; --outside:#d9dee5; --watch:#eceff3;
 --allowed:#2e8555; --would_deny:#b97900; --denied:#c93f38; --error:#5b3fa6; --own:#eef1f5; }
@media screen and (prefers-color-scheme: dark) { :root { --page:#10151c; --soft:#181f28; --line:#2d3743; --ink:#e8ecf1; --muted:#a0abb9;
 --jwt-scope:#6c9bf0; --rate-limit:#b08ae6; --edge-stamp:#35b5b0; --tollgate:#d98ab5; --hop:#66717f; --upstream:#8e99a8; --outside:#3a4451; --watch:#2a323d;
 --allowed:#4fb37e; --would_deny:#e0a63a; --denied:#ef6f66; --error:#a48be8; --own:#1d2530; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 36px 40px 28px; max-width: 1200px; background: var(--page); color: var(--ink); font: 14px/1.5 Inter, system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; font-variant-numeric: tabular-nums }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 32px; border-bottom: 1px solid var(--line); padding-bottom: 18px }
h1 { font-size: 26px; line-height: 1.2; letter-spacing: -.01em; margin: 0 0 4px }
h2 { font-size: 18px; margin: 0 0 4px }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; overflow-wrap: anywhere }
h3 span { font-weight: 400; color: var(--muted) }
p { margin: 0 0 14px; color: var(--muted); max-width: 140ch }
header p { margin: 0 }
.keys { display: flex; gap: 28px; text-align: right; white-space: nowrap }
.keys b { display: block; font-size: 22px; line-height: 1.25 }
.keys span { color: var(--muted); font-size: 12px }
section { margin-top: 26px; break-inside: avoid }
svg { display: block; width: 100%; height: auto; overflow: visible }
text { font-size: 13px; fill: var(--ink) }
text.name { font-size: 14px; font-weight: 600 }
text.big { font-size: 20px; font-weight: 600; letter-spacing: -.01em }
text.small { font-size: 12px; fill: var(--muted) }
text.proxy-name { font-size: 13px; font-weight: 600; fill: var(--muted) }
text.strong { font-weight: 600 }
text.muted { fill: var(--muted) }
.middle { text-anchor: middle } .end { text-anchor: end }
.muted { color: var(--muted) }
.card { fill: var(--page); stroke: var(--line) } .proxy { fill: var(--soft) }
.way { stroke: var(--muted); stroke-width: 1.5 } .way.home { stroke-dasharray: 4 4 } .tip { fill: var(--muted) }
.grid { stroke: var(--line) } .own { fill: var(--own) } .veil { fill: var(--page); opacity: .45 }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round } .area { opacity: .14 }
/* classes */
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; color: var(--muted); font-size: 13px }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; background: currentColor }
.grid3 > div { min-width: 0 } .grid3 { display: grid; grid-template-columns: repeat(3, 1fr); gap: 22px 44px }
.limit + .limit { margin-top: 14px } .limit h3 { color: var(--ink); margin: 0 } .limit .legend { margin: 0 0 4px; align-items: baseline }
table { border-collapse: collapse; width: 100%; margin-top: 14px; font-size: 12px }
th { text-align: left; font-weight: 600; vertical-align: bottom } thead span { font-weight: 400; color: var(--muted) }
th, td { padding: 5px 0 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap } th:first-child { padding-left: 0 }
.n { text-align: right } .strong { font-weight: 600 } .ends { color: var(--denied); font-weight: 600 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px; margin: 0; font-size: 12.5px } dt { color: var(--muted) } dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 900px) { .grid3 { grid-template-columns: 1fr } header { display: block } .keys { text-align: left; margin-top: 12px; flex-wrap: wrap } .scroll { overflow-x: auto } }
@media print { body { padding: 0; font-size: 12px; print-color-adjust: exact; -webkit-print-color-adjust: exact } @page { size: A4 landscape; margin: 12mm } }
`

// classes are those with a colour, each the name of a variable in style.
var classes = append(filters.Modules(), "hop", "upstream", "outside", "watch", "allowed", "would_deny", "denied",
	"error")

func styles() string {
	var b strings.Builder
	for _, c := range classes {
		fmt.Fprintf(&b, ".fill.%[1]s, .area.%[1]s { fill: var(--%[1]s); } i.%[1]s { background: var(--%[1]s); } "+
			".curve.%[1]s { stroke: var(--%[1]s); }\n", c)
	}
	return strings.Replace(style, "/* classes */\n", b.String(), 1)
}

// HTML is the whole page. Its policy lets nothing be loaded and nothing run: it is a document.
func (r *Report) HTML() []byte {
	var b strings.Builder
	b.WriteString(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Tollgate: report of the local loop</title><style>` + styles() + "</style></head><body>\n")
	r.head(&b)
	r.paths(&b)
	r.decided(&b)
	r.limited(&b)
	r.made(&b)
	b.WriteString("</body></html>\n")
	return []byte(b.String())
}

func (r *Report) head(b *strings.Builder) {
	fmt.Fprintf(b, "<header><div><h1>Tollgate: what the filters do, and what they take</h1><p>Report of the local "+
		"loop, %s</p></div>\n", r.Made.Format("2 January 2006, 15:04:05 MST"))
	b.WriteString(`<div class="keys">`)
	if len(r.Paths) > 0 {
		p := r.Paths[0]
		fmt.Fprintf(b, "<div><b>%s</b><span>a typical request</span></div><div><b>%s</b><span>of it in five "+
			"filters</span></div>", duration(p.Typical.Total), duration(inFilters(p)))
	}
	var decided, denied float64
	for _, d := range r.Decisions {
		decided += d.Count
		if d.Outcome == "denied" {
			denied += d.Count
		}
	}
	fmt.Fprintf(b, "<div><b>%s</b><span>decisions</span></div><div><b>%s</b><span>of them "+
		"refusals</span></div></div></header>\n", count(decided), count(denied))
}

// inFilters is what all filters take of a typical request, both ways.
func inFilters(p Path) (sum time.Duration) {
	for _, place := range Places() {
		if place.Proxy != "" {
			sum += p.Typical.There[place] + p.Typical.Back[place]
		}
	}
	return sum
}

func dot(class, text string) string {
	return fmt.Sprintf(`<span><i class="dot %s"></i>%s</span>`, class, html.EscapeString(text))
}

func (r *Report) paths(b *strings.Builder) {
	b.WriteString(`<section id="path"><h2>The way of a request</h2>` + "\n")
	if len(r.Paths) == 0 {
		b.WriteString("<p>No request was measured.</p></section>\n")
		return
	}
	first := r.Paths[0]
	sent, dropped := 0, 0
	for _, p := range r.Paths {
		sent, dropped = sent+p.Total.N, dropped+p.Dropped
	}
	fmt.Fprintf(b, "<p>What each station adds to a request, there and back: medians of %s requests with %s (%s), and "+
		"what 99 %% of them stay under.</p>\n",
		count(float64(first.Total.N)), html.EscapeString(first.Name), html.EscapeString(first.Answer))
	b.WriteString(chain(first))
	b.WriteString(`</section><section id="bars"><h2>Where the time goes, and where a refused request ends</h2>` + "\n")
	note := ""
	if dropped > 0 {
		note = fmt.Sprintf(" %s more are left out: the machine’s clock was set meanwhile.", count(float64(dropped)))
	}
	fmt.Fprintf(b, "<p>%s requests, one after the other. A typical request is the mean of the fifth around the "+
		"median, so that its parts add up. Stopwatches between the plugins note the time; one takes %s itself on the "+
		"way there and %s on the way back, as two with nothing between them tell. That is taken off the plugins’ "+
		"times and shown by itself. Red: where a refused request ends.%s</p>\n",
		count(float64(sent)), duration(r.Watch.There.P50), duration(r.Watch.Back.P50), note)
	b.WriteString(`<div class="legend">`)
	told := map[string]bool{}
	for _, p := range Places() {
		if c := class(p); p.Proxy != "" && !told[c] {
			told[c] = true
			b.WriteString(dot(c, legend(p)))
		}
	}
	b.WriteString(dot("hop", "between the proxies") + dot("upstream", "upstream") +
		dot("outside", "client and connection") + dot("watch", "the stopwatches") + "</div>\n")
	b.WriteString(bars(r.Paths))
	b.WriteString(`<div class="scroll">` + table(r.Paths) + `</div></section>` + "\n")
}

// legend is what a plugin is called beside its colour: a chain by its filters.
func legend(p Place) string {
	var names []string
	for _, s := range steps(p) {
		names = append(names, s.Filter)
	}
	if len(names) == 1 {
		return names[0]
	}
	return "the chain of the " + p.Proxy + ": " + strings.Join(names, ", ")
}

func (r *Report) decided(b *strings.Builder) {
	b.WriteString(`<section id="decisions"><h2>Decisions by code</h2><p>All since the proxies were started, as Prometheus has them. The fainter end of a bar is what was decided while this report sent its own requests.</p>` + "\n")
	b.WriteString(`<div class="legend">` + dot("allowed", "allowed") +
		dot("would_deny", "would be denied (shadow mode), or marked") + dot("denied", "denied") +
		dot("error", "error: could not decide") + `</div><div class="grid3">` + "\n")
	for _, p := range r.panels() {
		var list []Decision
		for _, d := range r.Decisions {
			if d.Proxy == p.Proxy && d.Filter == p.Name {
				list = append(list, d)
			}
		}
		fmt.Fprintf(b, "<div><h3>%s <span>%s</span></h3>%s</div>\n", html.EscapeString(p.Name),
			html.EscapeString(p.Proxy), decisions(list))
	}
	b.WriteString("</div></section>\n")
}

// panels are the filters that have a panel: the chain's, then any other that has decided something.
func (r *Report) panels() (places []Place) {
	for _, p := range Places() {
		if p.Proxy != "" {
			places = append(places, p)
		}
	}
	for _, d := range r.Decisions {
		if p := (Place{d.Proxy, d.Filter}); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places
}

// lead is how much is shown of the time before a limit's first request.
const lead = 10 * time.Second

func (r *Report) limited(b *strings.Builder) {
	b.WriteString(`<section id="limits"><h2>Limits over time</h2><p>Requests per second that a limit has let pass and refused, from what Prometheus has asked the edge every two seconds, since the first one or for a quarter of an hour.</p>` + "\n")
	var names []string
	var from, to time.Time
	for _, s := range r.Limits.Series {
		if !slices.Contains(names, s.Limit) {
			names = append(names, s.Limit)
		}
		for _, p := range s.Points {
			if early := p.Time.Add(-lead); p.Value > 0 && (from.IsZero() || early.Before(from)) {
				from = early
			}
			if p.Time.After(to) {
				to = p.Time
			}
		}
	}
	if from.IsZero() {
		from = to.Add(-lead)
	}
	slices.Sort(names)
	from, to = from.In(r.Made.Location()), to.In(r.Made.Location())
	for _, name := range names {
		var series []Series
		var legend string
		for _, s := range r.Limits.Series {
			if s.Limit == name {
				s.Points = slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool { return p.Time.Before(from) })
				series = append(series, s)
			}
		}
		slices.SortFunc(series, func(a, b Series) int { return rank(a.Outcome) - rank(b.Outcome) })
		for _, s := range series {
			legend += dot(colour(s.Outcome), count(counted(s))+" "+strings.ReplaceAll(s.Outcome, "_", " "))
		}
		fmt.Fprintf(b, `<div class="limit"><div class="legend"><h3>%s</h3>%s</div>%s</div>`+"\n",
			html.EscapeString(name), legend, limit(series, r.Limits.Own, from, to))
	}
	if names == nil {
		b.WriteString("<p>No limit has been counted yet.</p>\n")
	}
	b.WriteString("</section>\n")
}

func (r *Report) made(b *strings.Builder) {
	b.WriteString(`<section id="made"><h2>What ran</h2><dl>` + "\n")
	for _, f := range r.Facts {
		fmt.Fprintf(b, "<dt>%s</dt><dd>%s</dd>\n", html.EscapeString(f.Name), html.EscapeString(f.Value))
	}
	b.WriteString("</dl></section>\n")
}
