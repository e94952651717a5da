// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/match"
)

// pattern is a path pattern of jwt-scope. The zero value is no pattern at all: every path, that of OPTIONS * included.
type pattern struct {
	is       bool
	segments []segment
	tail     bool // {**} behind: the path itself and everything below
}

type segment struct {
	wild bool   // one segment with at least one letter
	is   string // in the form in which requests are compared
	text string // as it is written
}

func (p pattern) String() string {
	if !p.is {
		return ""
	}
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteString("/" + s.text)
	}
	if p.tail {
		b.WriteString("/{**}")
	}
	return b.String()
}

func (p pattern) equal(o pattern) bool {
	return p.is == o.is && p.tail == o.tail &&
		slices.EqualFunc(p.segments, o.segments, func(a, b segment) bool { return a.wild == b.wild && a.is == b.is })
}

// meet is the pattern of the paths that fit both.
func (p pattern) meet(o pattern) (both pattern, ok bool) {
	switch {
	case !p.is:
		return o, true
	case !o.is:
		return p, true
	case len(p.segments) < len(o.segments):
		p, o = o, p
	}
	if len(p.segments) > len(o.segments) && !o.tail {
		return both, false
	}
	both = pattern{is: true, segments: slices.Clone(p.segments), tail: p.tail}
	if len(p.segments) == len(o.segments) {
		both.tail = p.tail && o.tail
	}
	for i, s := range o.segments {
		switch b := &both.segments[i]; {
		case s.wild && b.wild:
		case s.wild:
			if b.is == "" { // behind a slash at the end is nothing that a wildcard could be
				return both, false
			}
		case b.wild:
			if s.is == "" {
				return both, false
			}
			*b = s
		case s.is != b.is:
			return both, false
		}
	}
	return both, true
}

func (p pattern) within(o pattern) bool {
	both, ok := p.meet(o)
	return ok && both.equal(p)
}

// before puts what is within another before it.
func (p pattern) before(o pattern) int {
	wild := func(p pattern) (n int) {
		for _, s := range p.segments {
			if s.wild {
				n++
			}
		}
		return n
	}
	return cmp.Or(after(p.is, o.is), cmp.Compare(len(o.segments), len(p.segments)), -after(p.tail, o.tail),
		cmp.Compare(wild(p), wild(o)))
}

// after is 1 where only b is true.
func after(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return 1
	}
	return -1
}

// paths is what a rule of the originals says of paths: a pattern, and what of it does not fit.
// Istio's /orders/* is every path that begins with /orders/, and /orders/{**} is that and /orders.
type paths struct {
	pattern
	except *pattern
}

func (p paths) covers(region pattern) bool {
	return region.within(p.pattern) && (p.except == nil || !region.within(*p.except))
}

// readPattern reads a path in which wild stands for one segment, and a last tail for everything
// below. ok is false where jwt-scope cannot be told.
func readPattern(text, wild, tail string) (p pattern, ok bool) {
	p.is = true
	if !strings.HasPrefix(text, "/") {
		return p, false
	}
	parts := strings.Split(text[1:], "/")
	for i, part := range parts {
		switch {
		case wild != "" && part == wild:
			p.segments = append(p.segments, segment{wild: true, text: "{*}"})
		case tail != "" && part == tail && i == len(parts)-1:
			p.tail = true
		case strings.ContainsAny(part, "{}*"):
			return p, false
		default:
			probe := "/" + part
			if i < len(parts)-1 {
				probe += "/x"
			}
			if _, problem := match.ParseTemplate(probe, false); problem != "" {
				return p, false
			}
			var r match.Request
			if err := r.Set("GET", "", probe, false); err != nil {
				return p, false
			}
			p.segments = append(p.segments, segment{is: strings.Split(r.Path[1:], "/")[0], text: part})
		}
	}
	return p, true
}

// around is a pattern that has every path in it that begins like text, up to its first character of meaning.
func around(text string) paths {
	if i := strings.IndexAny(text, "*{?#;%"); i >= 0 {
		text = text[:i]
	}
	for {
		i := strings.LastIndexByte(text, '/')
		if i <= 0 {
			return paths{}
		}
		text = text[:i]
		if p, ok := readPattern(text, "", ""); ok {
			p.tail = true
			return paths{pattern: p}
		}
	}
}

// The hosts of jwt-scope: "" for every host, "*.example.com" for those below one, and names.

func hostWithin(a, b string) bool {
	switch {
	case b == "" || a == b:
		return true
	case a == "" || !strings.HasPrefix(b, "*."):
		return false
	}
	return strings.HasSuffix(a, b[1:])
}

func hostRank(h string) (int, int) {
	switch {
	case h == "":
		return 2, 0
	case strings.HasPrefix(h, "*."):
		return 1, -len(h)
	}
	return 0, 0
}

func hostBefore(a, b string) int {
	ra, la := hostRank(a)
	rb, lb := hostRank(b)
	return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(la, lb))
}

// cell are the requests that fit a host, a path, a method and headers, but for those of the cells
// within it.
type cell struct {
	host    string
	path    pattern
	method  string   // "" for every method
	headers []region // of the plan's header names
}

func (c cell) within(o cell) bool {
	for i, r := range c.headers {
		if !r.within(o.headers[i]) {
			return false
		}
	}
	return hostWithin(c.host, o.host) && c.path.within(o.path) && (o.method == "" || o.method == c.method)
}

func (c cell) disjoint(o cell) bool {
	for i, r := range c.headers {
		if !r.within(o.headers[i]) && !o.headers[i].within(r) {
			return true
		}
	}
	_, meet := c.path.meet(o.path)
	return !meet || !hostWithin(c.host, o.host) && !hostWithin(o.host, c.host) || c.method != o.method &&
		c.method != "" && o.method != ""
}

// area is what one entry of a rule's operations says of requests. Lists that are nil say nothing.
type area struct {
	hosts, notHosts     []string
	methods, notMethods []string
	paths, notPaths     []paths
	headers             []asked
}

// covers reports whether the area has the whole cell in it; else it has nothing of it, since the
// cells are made of what all areas say. What is asked of the value of a header that is there twice
// holds or not, as unsure says.
func (a *area) covers(c cell, names []string, repeated map[string]bool, unsure bool) bool {
	for _, h := range a.headers {
		holds := h.covers(c.headers[slices.Index(names, h.name)])
		if repeated[h.name] && h.byValue() {
			holds = unsure
		}
		if !holds {
			return false
		}
	}
	inHost := func(h string) bool { return hostWithin(c.host, h) }
	inPath := func(p paths) bool { return p.covers(c.path) }
	inMethod := func(m string) bool { return m == "" || m == c.method }
	return (a.hosts == nil || slices.ContainsFunc(a.hosts, inHost)) && !slices.ContainsFunc(a.notHosts, inHost) &&
		(a.methods == nil || slices.ContainsFunc(a.methods, inMethod)) && !slices.ContainsFunc(a.notMethods, inMethod) &&
		(a.paths == nil || slices.ContainsFunc(a.paths, inPath)) && !slices.ContainsFunc(a.notPaths, inPath)
}

// How many there may be. More is nothing that people write, and would take long.
const (
	maxPatterns = 512
	maxCells    = 4096
)

// cells are all that the areas tell apart, what is within another before it. names are the headers
// that they may ask for. ok is false where there are too many.
func cells(areas []area, names []string) (list []cell, ok bool) {
	hosts, methods, patterns := []string{""}, []string{""}, []pattern{{}}
	add := func(p pattern) {
		if !slices.ContainsFunc(patterns, p.equal) {
			patterns = append(patterns, p)
		}
	}
	for _, a := range areas {
		hosts, methods = slices.Concat(hosts, a.hosts, a.notHosts), slices.Concat(methods, a.methods, a.notMethods)
		for _, p := range slices.Concat(a.paths, a.notPaths) {
			add(p.pattern)
			if p.except != nil {
				add(*p.except)
			}
		}
	}
	// What fits two patterns may be decided differently from what fits one.
	for i := 0; i < len(patterns); i++ {
		for j := 0; j < i; j++ {
			if both, ok := patterns[i].meet(patterns[j]); ok {
				add(both)
			}
		}
		if len(patterns) > maxPatterns {
			return nil, false
		}
	}
	slices.SortStableFunc(patterns, pattern.before)
	hosts = unique(hosts)
	slices.SortStableFunc(hosts, hostBefore)
	methods = unique(methods)
	methods = append(methods[1:], "")
	headers := [][]region{nil}
	for _, name := range names {
		var longer [][]region
		own := regions(areas, name)
		for _, r := range headers {
			for _, one := range own {
				longer = append(longer, append(slices.Clone(r), one))
			}
		}
		if headers = longer; len(headers) > maxCells {
			return nil, false
		}
	}
	if len(hosts)*len(methods)*len(patterns)*len(headers) > maxCells {
		return nil, false
	}
	for _, h := range hosts {
		for _, p := range patterns {
			for _, m := range methods {
				for _, r := range headers {
					list = append(list, cell{h, p, m, r})
				}
			}
		}
	}
	return list, true
}

// unique keeps the first of each, in order.
func unique(list []string) (result []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			result = append(result, s)
		}
	}
	return result
}
