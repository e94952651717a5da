// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
)

const pageWidth = 1120 // of every drawing

// steps are the filters of a station with what each is there for.
func steps(p Place) []mounts.Step {
	for _, plugin := range mounts.Way(p.Proxy) {
		if plugin.Name == p.Name {
			return plugin.Steps
		}
	}
	return nil
}

// class is the colour of a place: a filter has the same one in both proxies, and a chain one of its own.
func class(p Place) string {
	switch p {
	case Hop:
		return "hop"
	case Upstream:
		return "upstream"
	}
	return p.Name
}

// chain draws the way of a kind of request through both proxies, with what each station adds.
func chain(p Path) string {
	d := &drawing{width: pageWidth, height: 214}
	at := map[Place]Station{}
	for _, s := range p.Stations {
		at[s.Place] = s
	}
	const card, gap, top, tall = 134, 10, 36, 148
	const way, home = top + 66, top + 124
	arrow := func(from, to, y float64, class string) {
		back := 1.0
		if to < from {
			back = -1
		}
		d.line("way "+class, from, y, to-6*back, y)
		d.add(`<path class="tip" d="M%s %s l%s -4 v8 z"/>`, px(to), px(y), px(-8*back))
	}

	end := func(x, w float64, name, value, small string) {
		d.rect("card", x, top, w, tall, 8)
		d.text("name middle", x+w/2, top+28, name)
		d.text("big middle", x+w/2, top+72, value)
		d.text("small middle", x+w/2, top+92, small)
	}
	proxy := func(x float64, name string, filters []string) float64 {
		cards := 0
		for _, f := range filters {
			cards += len(steps(Place{name, f}))
		}
		w := float64(cards*(card+gap) + gap)
		d.rect("proxy", x, 0, w, top+tall+14, 12)
		d.text("proxy-name", x+gap+2, 23, name)
		left := x + gap
		for _, f := range filters {
			s, list := at[Place{name, f}], steps(Place{name, f})
			wide := float64(len(list)*(card+gap) - gap) // a chain is one card with all its filters
			d.rect("card", left, top, wide, tall, 8)
			for i, step := range list {
				column := left + float64(i*(card+gap))
				d.rect("fill "+step.Filter, column, top, card, 5, 2.5)
				d.text("name", column+12, top+28, step.Filter)
				d.fitted("small", column+12, top+45, card-14, 12, step.Task)
			}
			if s.There.N > 0 {
				d.text("big", left+12, top+78, "+"+duration(s.There.P50))
				d.text("small", left+12, top+97, "99 %: "+duration(s.There.P99))
				d.text("small", left+12, top+127, "back: +"+duration(s.Back.P50))
			} else {
				d.text("big muted", left+12, top+78, "—")
			}
			left += wide + gap
		}
		return x + w
	}
	arrow(107, 127, way, "")
	arrow(127, 107, home, "home")
	end(0, 104, "client", duration(p.Total.P50), "99 %: "+duration(p.Total.P99))
	x := proxy(130, "edge", Edge)
	hop := at[Hop]
	d.text("small middle", x+49, top+28, Hop.Name)
	d.text("name middle", x+49, way-12, "+"+duration(hop.There.P50))
	arrow(x+5, x+93, way, "")
	arrow(x+93, x+5, home, "home")
	d.text("small middle", x+49, home+20, "back: +"+duration(hop.Back.P50))
	x = proxy(x+98, "mesh", Mesh)
	arrow(x+3, 1013, way, "")
	arrow(1013, x+3, home, "home")
	up := at[Upstream]
	end(1016, 104, Upstream.Name, duration(up.There.P50), "99 %: "+duration(up.There.P99))
	return d.svg(fmt.Sprintf("The way of a request (%s) through edge and mesh: %s in all", p.Name, duration(p.Total.P50)))
}

// segment is a part of a bar.
type segment struct {
	class, what string
	value       time.Duration
}

// segments are a typical request's in the order of time; what has no place in it stands at the end. They add up.
func segments(p Path) (list []segment) {
	name := func(s Station) string { return strings.TrimSpace(s.Proxy + " " + s.Name) }
	for _, s := range p.Stations {
		if s.Reached {
			list = append(list, segment{class(s.Place), name(s), p.Typical.There[s.Place]})
		}
	}
	for _, s := range slices.Backward(p.Stations) {
		if s.Back.N > 0 {
			list = append(list, segment{class(s.Place), name(s) + ", back", p.Typical.Back[s.Place]})
		}
	}
	return append(list, segment{"outside", "client and connection", p.Typical.Outside},
		segment{"watch", "the stopwatches", p.Typical.Watches})
}

// bars draws all kinds of requests on one scale.
func bars(paths []Path) string {
	const row, label, top = 44, 208, 30
	d := &drawing{width: pageWidth, height: float64(top + row*len(paths))}
	longest := time.Microsecond
	for _, p := range paths {
		longest = max(longest, p.Typical.Total)
	}
	const room = pageWidth - label - 78
	scale := func(v time.Duration) float64 { return room * float64(v) / float64(longest) }
	step := max(time.Microsecond, time.Duration(nice(float64(longest.Microseconds())/8))*time.Microsecond)
	for n := range longest/step + 1 { // ten at most
		t := n * step
		d.line("grid", label+scale(t), top-8, label+scale(t), d.height-8)
		d.text("small middle", label+scale(t), 13, duration(t))
	}
	for i, p := range paths {
		y := float64(top + row*i)
		d.fitted("name", 0, y+13, label-12, 14, p.Name)
		d.fitted("small", 0, y+30, label-12, 12, count(float64(p.Total.N))+" × "+p.Answer)
		x := float64(label)
		for _, s := range segments(p) {
			w := scale(s.value)
			d.add(`<rect class="fill %s" x="%s" y="%s" width="%s" height="22"><title>%s: %s</title></rect>`, s.class,
				px(x), px(y+4), px(max(0, w)), html.EscapeString(s.what), duration(s.value))
			x += w
		}
		d.text("name", x+9, y+20, duration(p.Typical.Total))
	}
	return d.svg("Where the time of each kind of request goes")
}

// table has the numbers of the bars.
func table(paths []Path) string {
	var b strings.Builder
	head := func(class, name, small string) {
		mark := ""
		if class != "" {
			mark = `<i class="dot ` + class + `"></i>`
		}
		fmt.Fprintf(&b, `<th class="n">%s%s<br><span>%s</span></th>`, mark, html.EscapeString(name), html.EscapeString(small))
	}
	b.WriteString(`<table><thead><tr><th>a typical request</th>`)
	for _, p := range Places() {
		switch p {
		case Hop:
			head(class(p), p.Name, "there")
		case Upstream:
			head(class(p), p.Name, "")
		default:
			head(class(p), p.Name, p.Proxy)
		}
	}
	head("", "way back", "filters, TLS")
	head("outside", "client", "connection")
	head("watch", "watches", "all")
	head("", "total", "")
	head("", "99 %", "of all")
	b.WriteString("</tr></thead><tbody>\n")
	cell := func(class, text string) { fmt.Fprintf(&b, `<td class="n%s">%s</td>`, class, text) }
	for _, p := range paths {
		fmt.Fprintf(&b, `<tr><th title="%s">%s</th>`, html.EscapeString(p.Name), html.EscapeString(short(p.Name, 26)))
		var home time.Duration
		for _, s := range p.Stations {
			there := duration(p.Typical.There[s.Place])
			switch {
			case s.Ends && s.Place != Upstream:
				cell(" ends", there)
			case s.Reached:
				cell("", there)
			default:
				cell(" muted", "–")
			}
			home += p.Typical.Back[s.Place]
		}
		cell("", duration(home))
		cell("", duration(p.Typical.Outside))
		cell("", duration(p.Typical.Watches))
		cell(" strong", duration(p.Typical.Total))
		cell("", duration(p.Total.P99))
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody></table>\n")
	return b.String()
}
