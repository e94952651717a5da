// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
)

// The plugins of both proxies in their order, one filter or a chain each. A stopwatch stands before
// the first, between two, and behind the last. The edge has two before the first: what they tell
// apart is what one of them takes.
var (
	Edge = namesOf("edge")
	Mesh = namesOf("mesh")
)

func namesOf(proxy string) (names []string) {
	for _, p := range mounts.Way(proxy) {
		names = append(names, p.Name)
	}
	return names
}

// Hop is the way from the edge's last filter to the mesh's first, and back; Upstream is all that is
// behind the mesh's last.
var (
	Hop      = Place{"", "mutual TLS"}
	Upstream = Place{"", "upstream"}
)

// Places are all stations in the order of the way there.
func Places() (places []Place) {
	for _, name := range Edge {
		places = append(places, Place{"edge", name})
	}
	places = append(places, Hop)
	for _, name := range Mesh {
		places = append(places, Place{"mesh", name})
	}
	return append(places, Upstream)
}

// Sent is a request as its client has seen it.
type Sent struct {
	Kind, Answer string // requests with both the same make one Path
	Trace        string // its W3C trace id
	Direct       bool   // to the mesh, around the edge
	Total        time.Duration
}

// Line is what a proxy's access log tells of a request. Times are in microseconds of the proxies' clock.
type Line struct {
	Proxy, Trace string
	There, Back  []int64
}

// ParseLog finds the access log's lines in the output of docker compose logs, which writes the
// service's name before each. Other lines are passed over.
func ParseLog(text string) (lines []Line) {
	for l := range strings.Lines(text) {
		at := strings.IndexByte(l, '{')
		if at < 0 {
			continue
		}
		var entry struct{ Proxy, Trace, Times string }
		if json.Unmarshal([]byte(l[at:]), &entry) != nil || entry.Proxy == "" || entry.Trace == "" {
			continue
		}
		there, back, err := parseTimes(entry.Times)
		if err != nil {
			continue
		}
		lines = append(lines, Line{entry.Proxy, entry.Trace, there, back})
	}
	return lines
}

// parseTimes reads what the stopwatches have noted: < before a time on the way there, > before one on the way back.
func parseTimes(text string) (there, back []int64, err error) {
	for text != "" {
		mark := text[0]
		end := strings.IndexAny(text[1:], "<>") + 1
		if end == 0 {
			end = len(text)
		}
		t, err := strconv.ParseInt(text[1:end], 10, 64)
		switch {
		case err != nil:
			return nil, nil, err
		case mark == '<' && back == nil:
			there = append(there, t)
		case mark == '>':
			back = append(back, t)
		default:
			return nil, nil, fmt.Errorf("%q is no time of a stopwatch", text)
		}
		text = text[end:]
	}
	return there, back, nil
}

// ErrStopwatches means that a proxy's log has other times than its stopwatches would note.
var ErrStopwatches = errors.New("the proxies' logs have no times, or others than expected")

// Missing are the requests that the lines do not tell yet: of one that the upstream has answered, both proxies do.
func Missing(sent []Sent, lines []Line) (n int) {
	edge, mesh := byTrace(lines)
	for _, s := range sent {
		_, inEdge := edge[s.Trace]
		_, inMesh := mesh[s.Trace]
		if !s.Direct && !inEdge || (s.Direct || complete(edge[s.Trace])) && !inMesh {
			n++
		}
	}
	return n
}

// complete: a request that has passed all of the edge's filters.
func complete(edge Line) bool { return len(edge.There) == len(Edge)+2 }

func byTrace(lines []Line) (edge, mesh map[string]Line) {
	edge, mesh = map[string]Line{}, map[string]Line{}
	for _, l := range lines {
		if l.Proxy == "edge" {
			edge[l.Trace] = l
		} else {
			mesh[l.Trace] = l
		}
	}
	return edge, mesh
}

// interval is the time between two stopwatches, which has one stopwatch's own in it: on the way
// there, on the way back, or, where the one is on the way there and the other on the way back,
// neither as measured.
type interval struct {
	us     int64
	within int
}

const (
	turn = iota // not subtracted from
	there
	back
)

// trip is one request, taken apart.
type trip struct {
	total, outside, pairs int64
	watch                 [3][]int64 // by what it is within
	there, back           map[Place]interval
	ends                  Place
}

// Join takes the requests apart by the proxies' lines, and sums up each kind.
func Join(sent []Sent, lines []Line) (paths []Path, watch Watch, err error) {
	edge, mesh := byTrace(lines)
	type kind struct {
		trips   []trip
		dropped int
	}
	kinds := map[[2]string]*kind{}
	var order [][2]string
	var watches [3][]int64
	for _, s := range sent {
		key := [2]string{s.Kind, s.Answer}
		k := kinds[key]
		if k == nil {
			k = &kind{}
			kinds[key], order = k, append(order, key)
		}
		t, err := takeApart(s, edge[s.Trace], mesh[s.Trace])
		if err != nil {
			return nil, Watch{}, fmt.Errorf("%w: %s, %s", err, s.Kind, s.Answer)
		}
		if t.backwards() {
			k.dropped++
			continue
		}
		k.trips = append(k.trips, t)
		watches[there] = append(watches[there], t.watch[there]...)
		watches[back] = append(watches[back], t.watch[back]...)
	}
	watch = Watch{stat(watches[there]), stat(watches[back])}
	own := [3]int64{there: watch.There.P50.Microseconds(), back: watch.Back.P50.Microseconds()}
	for _, key := range order {
		p := sumUp(kinds[key].trips, own)
		p.Name, p.Answer, p.Dropped = key[0], key[1], kinds[key].dropped
		paths = append(paths, p)
	}
	// Those that reach the upstream first, as they were sent, then the others in the order of where they end.
	slices.SortStableFunc(paths, func(a, b Path) int { return cmp.Compare(a.end(), b.end()) })
	return paths, watch, nil
}

// end is how far a path's requests get; the upstream comes first.
func (p Path) end() int {
	return slices.IndexFunc(p.Stations[:len(p.Stations)-1], func(s Station) bool { return s.Ends })
}

func takeApart(s Sent, edge, mesh Line) (trip, error) {
	t := trip{total: s.Total.Microseconds(), there: map[Place]interval{}, back: map[Place]interval{}}
	outer := edge
	if s.Direct {
		outer = mesh
	}
	if len(outer.There) == 0 || len(outer.Back) == 0 {
		return t, ErrStopwatches
	}
	t.outside = t.total - (outer.Back[len(outer.Back)-1] - outer.There[0])
	if !s.Direct {
		if len(edge.There) < 2 || len(edge.Back) != len(Edge)+2 {
			return t, ErrStopwatches
		}
		pairThere, pairBack := edge.There[1]-edge.There[0], edge.Back[len(Edge)+1]-edge.Back[len(Edge)]
		t.watch[there], t.watch[back] = []int64{pairThere}, []int64{pairBack}
		t.pairs = pairThere + pairBack
		if err := t.proxy("edge", Edge, edge.There[1:], edge.Back[:len(Edge)+1]); err != nil || !complete(edge) {
			return t, err
		}
		if len(mesh.There) == 0 || len(mesh.Back) == 0 {
			return t, ErrStopwatches
		}
		t.there[Hop] = interval{mesh.There[0] - edge.There[len(edge.There)-1], there}
		t.back[Hop] = interval{edge.Back[0] - mesh.Back[len(mesh.Back)-1], back}
	}
	if err := t.proxy("mesh", Mesh, mesh.There, mesh.Back); err != nil || len(mesh.There) != len(Mesh)+1 {
		return t, err
	}
	t.there[Upstream] = interval{mesh.Back[0] - mesh.There[len(Mesh)], turn}
	t.ends = Upstream
	return t, nil
}

// proxy takes the filters of one apart. The filter behind which no stopwatch has noted the way
// there has answered by itself, and its answer has gone back through all filters, also through
// those that the request has not reached: Envoy's local replies do.
func (t *trip) proxy(name string, filters []string, way, home []int64) error {
	n := len(filters)
	if len(way) < 1 || len(way) > n+1 || len(home) != n+1 {
		return ErrStopwatches
	}
	for i, f := range filters {
		p := Place{name, f}
		switch {
		case i+1 < len(way):
			t.there[p] = interval{way[i+1] - way[i], there}
		case i+1 == len(way):
			t.there[p] = interval{home[0] - way[i], turn}
			t.ends = p
		}
		t.back[p] = interval{home[n-i] - home[n-i-1], back}
	}
	return nil
}

func (t trip) backwards() bool {
	for _, m := range []map[Place]interval{t.there, t.back} {
		for _, i := range m {
			if i.us < 0 {
				return true
			}
		}
	}
	return t.outside < 0 || t.pairs < 0
}

// net are the times without the stopwatches, and what those took.
func (t trip) net(own [3]int64) (way, home map[Place]int64, watches int64) {
	watches = t.pairs
	less := func(m map[Place]interval) map[Place]int64 {
		n := map[Place]int64{}
		for place, i := range m {
			n[place] = max(0, i.us-own[i.within])
			watches += i.us - n[place]
		}
		return n
	}
	return less(t.there), less(t.back), watches
}

func sumUp(trips []trip, own [3]int64) Path {
	slices.SortFunc(trips, func(a, b trip) int { return cmp.Compare(a.total, b.total) })
	var totals []int64
	way, home := map[Place][]int64{}, map[Place][]int64{}
	ends := map[Place]bool{}
	typical := Typical{There: map[Place]time.Duration{}, Back: map[Place]time.Duration{}}
	first := min(len(trips)*2/5, max(0, len(trips)-1)/2)
	last := len(trips) - first
	for n, t := range trips {
		there, back, watches := t.net(own)
		share := time.Duration(0)
		if n >= first && n < last {
			share = 1
		}
		for place, us := range there {
			way[place] = append(way[place], us)
			typical.There[place] += share * time.Duration(us)
		}
		for place, us := range back {
			home[place] = append(home[place], us)
			typical.Back[place] += share * time.Duration(us)
		}
		totals = append(totals, t.total)
		typical.Total += share * time.Duration(t.total)
		typical.Outside += share * time.Duration(t.outside)
		typical.Watches += share * time.Duration(watches)
		ends[t.ends] = true
	}
	if last > first {
		mean := func(sum *time.Duration) { *sum = *sum * time.Microsecond / time.Duration(last-first) }
		for _, m := range []map[Place]time.Duration{typical.There, typical.Back} {
			for place, sum := range m {
				mean(&sum)
				m[place] = sum
			}
		}
		mean(&typical.Total)
		mean(&typical.Outside)
		mean(&typical.Watches)
	}
	p := Path{Total: stat(totals), Typical: typical}
	for _, place := range Places() {
		p.Stations = append(p.Stations,
			Station{Place: place, Reached: way[place] != nil, Ends: ends[place], There: stat(way[place]),
				Back: stat(home[place])})
	}
	return p
}

// stat takes the nearest rank: a value that was measured.
func stat(us []int64) Stat {
	if len(us) == 0 {
		return Stat{}
	}
	sorted := slices.Sorted(slices.Values(us))
	rank := func(q float64) time.Duration {
		return time.Duration(sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]) * time.Microsecond
	}
	return Stat{N: len(sorted), P50: rank(0.5), P99: rank(0.99)}
}

// Counter is a counter's value as it was scraped.
type Counter struct {
	Limit, Outcome string
	Points         []Point
}

// SeriesOf makes of counters what was counted per second up to each scrape but the first. Counters
// of the same limit and outcome, which have other codes, are summed up. One that is not there yet
// is 0; one that goes down has begun anew.
func SeriesOf(scrapes []time.Time, counters []Counter) (list []Series) {
	for _, c := range counters {
		values := map[int64]float64{}
		for _, p := range c.Points {
			values[p.Time.UnixMilli()] = p.Value
		}
		i := slices.IndexFunc(list, func(s Series) bool { return s.Limit == c.Limit && s.Outcome == c.Outcome })
		if i < 0 {
			i = len(list)
			list = append(list, Series{Limit: c.Limit, Outcome: c.Outcome})
			for n, t := range scrapes {
				if n > 0 {
					list[i].Points = append(list[i].Points, Point{Time: t})
				}
			}
		}
		last := 0.0
		for n, t := range scrapes {
			value, ok := values[t.UnixMilli()]
			if !ok {
				continue // not counted yet, or not scraped
			}
			if n > 0 {
				added := value - last
				if added < 0 {
					added = value
				}
				if seconds := t.Sub(scrapes[n-1]).Seconds(); seconds > 0 {
					list[i].Points[n-1].Value += added / seconds
				}
			}
			last = value
		}
	}
	return list
}
