// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// region is what a header may be like. The zero value is everything, a header that is not there
// included. Two regions have nothing in common, or one has all of the other: with the narrower ones
// in front, a wide one is what these leave.
type region struct {
	there  bool
	prefix string   // it begins so
	values []string // it is one of these
}

var present = region{there: true}

func (r region) within(o region) bool {
	begins := func(v string) bool { return strings.HasPrefix(v, o.prefix) }
	switch {
	case !o.there:
		return true
	case !r.there:
		return false
	case o.values != nil:
		return r.values != nil && subset(r.values, o.values)
	case r.values != nil:
		return !slices.ContainsFunc(r.values, func(v string) bool { return !begins(v) })
	}
	return begins(r.prefix)
}

// before puts what is within another before it.
func (r region) before(o region) int {
	return cmp.Or(after(r.there, o.there), after(r.values != nil, o.values != nil),
		cmp.Compare(len(o.prefix), len(r.prefix)))
}

func (r region) equal(o region) bool {
	return r.there == o.there && r.prefix == o.prefix && slices.Equal(r.values, o.values)
}

// asked is what an area says of one header: that it is in one of the regions of in, unless there are
// none, and in none of out.
type asked struct {
	name    string
	in, out []region
}

func (a asked) covers(r region) bool {
	within := func(o region) bool { return r.within(o) }
	return (len(a.in) == 0 || slices.ContainsFunc(a.in, within)) && !slices.ContainsFunc(a.out, within)
}

// regions are those of one header that the areas tell apart. Values that no area tells apart are one.
func regions(areas []area, name string) (list []region) {
	var values []string
	said := map[string]string{} // of each value, by whom
	n := 0
	for _, a := range areas {
		for _, h := range a.headers {
			if h.name != name {
				continue
			}
			for _, r := range slices.Concat(h.in, h.out) {
				n++
				for _, v := range r.values {
					if said[v] == "" {
						values = append(values, v)
					}
					said[v] += fmt.Sprint(n, " ")
				}
				if r.values == nil && !slices.ContainsFunc(list, r.equal) {
					list = append(list, r)
				}
			}
		}
	}
	for i, r := range list {
		for _, v := range values {
			if strings.HasPrefix(v, r.prefix) {
				said[v] += fmt.Sprint("prefix ", i, " ")
			}
		}
	}
	alike := map[string]int{}
	for _, v := range values {
		if i, ok := alike[said[v]]; ok {
			list[i].values = append(list[i].values, v)
			continue
		}
		alike[said[v]] = len(list)
		list = append(list, region{there: true, values: []string{v}})
	}
	list = append(list, region{})
	slices.SortStableFunc(list, region.before)
	return list
}

// node is what a match entry says of the header; nil: nothing.
func (r region) node(name string) *yaml.Node {
	m := mapping(entryOf("name", name))
	switch {
	case !r.there:
		return nil
	case len(r.values) == 1:
		return with(m, entryOf("exact", r.values[0]))
	case r.values != nil:
		return with(m, entryOf("any", texts(r.values...)))
	case r.prefix != "":
		return with(m, entryOf("prefix", r.prefix))
	}
	return with(m, entryOf("present", true))
}

// header reads the name of a header that a rule asks for. ok is false where jwt-scope does not see
// what the originals see.
func (t *translation) header(name value, text string) (_ string, ok bool) {
	text = strings.ToLower(text)
	problem := ""
	switch {
	case strings.HasPrefix(text, ":"), text == "host":
		problem = "is part of the request line: name hosts, methods or paths"
	case !isToken(text):
		problem = "names no header"
	case t.authorizer:
		problem = "may be set by the authorizer of CUSTOM, which is asked before the rules are: let this policy stay"
	case t.written(text):
		problem = "is written from the token's claims, or taken away with the token, before the rules are asked: ask " +
			"for the claim"
	}
	for _, other := range t.headerNames {
		if problem == "" && other != text && forward.Fold(other) == forward.Fold(text) {
			problem = "is " + other + " to many servers, and the rules ask for that, too: ask for one of them"
		}
	}
	if problem != "" {
		t.lost(name, problem)
		return "", false
	}
	t.headerNames = unique(append(t.headerNames, text))
	t.report(name, check.Warning, "jwt-scope compares the header as it comes: where another filter sets it first (an "+
		"authorizer, Wasm, Lua), let this policy stay. The header twice or as "+spelledOtherwise(text)+
		" is answered 400")
	return text, true
}

func spelledOtherwise(name string) string {
	if strings.Contains(name, "-") {
		return strings.ReplaceAll(name, "-", "_")
	}
	return "in another spelling"
}

// written reports whether the originals change a header before they ask their rules: it gets claims
// or the payload, or a token is taken away with it.
func (p *plan) written(name string) bool {
	is := func(v value) bool { return forward.Fold(strings.ToLower(v.text)) == forward.Fold(name) }
	for _, one := range slices.Concat(p.issuers, p.blocked) {
		if is(one.payload) || slices.ContainsFunc(one.claims, func(c claimHeader) bool { return is(c.header) }) ||
			!one.keep && slices.ContainsFunc(one.headers, func(h tokenHeader) bool {
				return strings.EqualFold(h.name.text, name)
			}) {
			return true
		}
	}
	return false
}

// asks adds what a rule asks of a header. values are read by each, which says whether there is such a
// region. possible is false where nothing fits that jwt-scope could tell.
func (t *translation) asks(name string, values, not []value, each func(v value) (region, bool)) (possible bool) {
	// A list of what fits may come out too small of a rule that admits and too big of one that
	// refuses, and what does not fit the other way round. What has a value that cannot be told is there.
	read := func(list []value, grow bool) (regions []region) {
		var exact []string
		for _, v := range list {
			switch r, ok := each(v); {
			case ok && r.values != nil:
				exact = append(exact, r.values...)
			case ok:
				regions = append(regions, r)
			case grow:
				regions = append(regions, present)
			}
		}
		if exact != nil {
			regions = append(regions, region{there: true, values: set(exact...)})
		}
		return regions
	}
	a := asked{name, read(values, !t.allow), read(not, t.allow)}
	if len(a.in)+len(a.out) > 0 {
		t.headers = append(t.headers, a)
	}
	return len(values) == 0 || len(a.in) > 0
}

// headerRegion is pilot/pkg/security/authz/matcher/header.go: HeaderMatcher.
func (t *translation) headerRegion(v value) (region, bool) {
	switch text := v.text; {
	case text == "*":
		return present, true
	case strings.HasPrefix(text, "*"):
		t.lost(v, "jwt-scope compares how a header begins and the whole of it, not how it ends: name the values")
		return region{}, false
	case strings.HasSuffix(text, "*"):
		prefix := strings.TrimSuffix(text, "*")
		return region{there: true, prefix: prefix}, t.canBe(v, prefix)
	default:
		return t.exactly(v)
	}
}

func (t *translation) exactly(v value) (region, bool) {
	fits := t.canBe(v, v.text)
	if fits && strings.TrimRight(v.text, " \t") != v.text {
		t.lost(v, noSuchValue)
		fits = false
	}
	return region{there: true, values: []string{v.text}}, fits
}

// canBe reports whether jwt-scope takes a text for how a header begins.
func (t *translation) canBe(v value, text string) bool {
	if text == "" || text[0] == ' ' || text[0] == '\t' || strings.ContainsFunc(text,
		func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		t.lost(v, noSuchValue)
		return false
	}
	return true
}

const noSuchValue = "is no value that jwt-scope asks a header for: it is empty, or has control characters or white " +
	"space around it"

// dropHeaders does without the headers that rules ask for: what a rule admits by them is refused,
// and so is all that one could refuse.
func (p *plan) dropHeaders(problem string) (dropped bool) {
	var rest []clause
	for _, c := range p.clauses {
		if c.area.headers != nil {
			dropped = true
			t := &translation{plan: p, source: c.from, allow: c.allow}
			t.lost(c.at, problem)
			if c.allow {
				continue
			}
			c.area.headers = nil
		}
		rest = append(rest, c)
	}
	p.clauses = rest
	return dropped
}

// byValue reports whether it matters which value the header has.
func (a asked) byValue() bool {
	return slices.ContainsFunc(slices.Concat(a.in, a.out), region.ofValue)
}

func (r region) ofValue() bool { return r.values != nil || r.prefix != "" }

// mindsRepeated reports whether the rules admit no more of requests that have a header twice than
// the originals. Envoy's RBAC takes the values together, with a comma between, or each by itself, of
// which one has to fit (1.38): a rule may fit then that no value alone fits. jwt-scope refuses such a
// request where a rule asks for the value, but it may come to one before that does not.
func (p *plan) mindsRepeated(all []cell, rules []ruling) bool {
	present := func(i int, r region) bool { // of the name at i: the cell that has it twice
		return r.there && !r.ofValue() || !r.there && !slices.ContainsFunc(all, func(c cell) bool {
			return c.headers[i].equal(region{there: true})
		})
	}
	if len(p.headerNames) == 0 {
		return true
	}
	p.quiet = true
	defer func() { p.quiet = false }()
	for _, c := range all {
		repeated := map[string]bool{}
		for _, one := range p.clauses {
			for _, h := range one.area.headers {
				i := slices.Index(p.headerNames, h.name)
				repeated[h.name] = repeated[h.name] || h.byValue() && present(i, c.headers[i])
			}
		}
		decided := outcome{}
		for _, r := range rules {
			if slices.ContainsFunc(r.cells, func(o cell) bool { return c.within(o) }) {
				decided = r.outcome
				break
			}
			for _, o := range r.cells {
				for i, h := range o.headers {
					if o.headers = c.headers; h.ofValue() && c.within(o) {
						repeated[p.headerNames[i]] = false // it is refused
					}
				}
			}
		}
		if !decided.refuses() && !decided.equal(p.decide(c, repeated).outcome) {
			return false
		}
	}
	return true
}
