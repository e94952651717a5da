// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// clause is a rule of the originals, for one workload: the first of them that fits decides.
type clause struct {
	from  *source
	at    value
	allow bool
	area  area
	when  condition
}

// plan is what is to be decided for one workload.
type plan struct {
	algebra
	issuers      []issuer
	scopeClaim   string // whose values are the tokens' scopes
	clauses      []clause
	allowDefault bool // where no clause fits
	admits       bool // there is an ALLOW policy
	needToken    bool // a place of tokens is not looked at, so nobody may pass for having none
	authorizer   bool // one that is not known here has its say first, and may set headers
	headerNames  []string
	quiet        bool // what is decided is not written, and nothing is told of it
	// whose tokens stand in places where a token that passes may not: they are found there, and refused
	blocked []issuer
}

// outcome is what a rule of jwt-scope can say.
type outcome struct {
	optional bool // a request without a token passes
	tokens   dnf  // one of which a token must have; empty: none passes
}

func (o outcome) equal(p outcome) bool {
	return o.optional == p.optional && len(o.tokens) == len(p.tokens) &&
		!slices.ContainsFunc(o.tokens, func(c conj) bool { return !slices.ContainsFunc(p.tokens, c.equal) })
}

func (o outcome) refuses() bool { return !o.optional && len(o.tokens) == 0 }

// ruling is a rule of jwt-scope in the making.
type ruling struct {
	cells []cell
	outcome
	by    *clause // what gives it its name; nil: the default
	order int     // of by among the clauses
}

// decide finds what is asked of the requests of a cell. Of those that have headers twice that are
// compared by value, it may be more, and is no less.
func (p *plan) decide(c cell, repeated map[string]bool) ruling {
	remaining, admitted := p.always(), p.never()
	r := ruling{cells: []cell{c}, order: len(p.clauses)}
	var covering []*clause
	for i := range p.clauses {
		one := &p.clauses[i]
		if !one.area.covers(c, p.headerNames, repeated, !one.allow) {
			continue
		}
		covering = append(covering, one)
		// Of those that have a say, the one that is about fewer requests gives the name.
		if r.by == nil || everywhere(r.by.area) && !everywhere(one.area) {
			r.by, r.order = one, i
		}
		if one.allow {
			admitted = p.or(admitted, p.and(remaining, one.when))
		} else {
			remaining = p.and(remaining, p.not(one.when))
		}
	}
	if p.allowDefault {
		admitted = p.or(admitted, remaining)
	}
	r.outcome = p.outcome(admitted, covering)
	return r
}

func everywhere(a area) bool {
	return a.hosts == nil && a.notHosts == nil && a.methods == nil && a.notMethods == nil && a.paths == nil &&
		a.notPaths == nil && a.headers == nil
}

// outcome makes of a condition what one rule can say: never more than the condition admits.
func (p *plan) outcome(admitted condition, by []*clause) outcome {
	o := outcome{optional: admitted.bare == yes && !p.needToken}
	// What depends on something that is not looked at may not hold.
	known := slices.DeleteFunc(slices.Clone(admitted.token), func(c conj) bool {
		return slices.ContainsFunc(c.literals, func(l literal) bool { return l.kind >= foreign })
	})
	report := func(severity check.Severity, problem string) {
		for _, c := range by {
			if p.quiet {
				return
			}
			if len(c.when.token) != 1 || len(c.when.token[0].literals) > 0 {
				c.from.report(c.at, severity, problem)
				return
			}
		}
	}
	for _, c := range known {
		for _, l := range c.literals {
			if l.kind == claimNoText {
				report(check.Warning, "a token that has "+strings.Join(l.path, ".")+
					" without a letter in it, or no text, is refused, too: jwt-scope asks that there be none")
			}
		}
		exact, problem := expressible(c)
		if problem != "" {
			report(check.Error, problem)
		}
		if exact != nil {
			o.tokens = append(o.tokens, *exact)
		}
	}
	o.tokens = p.merged(o.tokens)
	return o
}

// expressible makes of a conjunction one that jwt-scope has words for, and says what had to be left
// out of what it admits.
func expressible(c conj) (exact *conj, problem string) {
	var problems []string
	one := conj{issuers: c.issuers}
	for _, l := range c.literals {
		if l.kind == claimNoGlob {
			problems = append(problems, "a claim that must not begin or end so has no counterpart: tokens that have "+
				strings.Join(l.path, ".")+" at all are refused; name the values that are refused")
			l = literal{kind: claimNoText, path: l.path}
		}
		one.literals = append(one.literals, l)
	}
	problem = strings.Join(unique(problems), "; ")
	one, ok := simplify(one)
	if !ok {
		return nil, problem // nothing is left
	}
	return &one, problem
}

// rulings are the rules, in the order in which they are asked. ok is false where there are too many.
func (p *plan) rulings() (list []ruling, ok bool) {
	all, ok := p.cells()
	if !ok && p.dropHeaders("the headers that the rules ask for come to more cases than can be told apart") {
		all, ok = p.cells()
	}
	if !ok || p.overflow {
		return nil, false
	}
	list, ok = p.ruled(all)
	if ok && !p.mindsRepeated(all, list) && p.dropHeaders("the rules could refuse a request that has the header twice, "+
		"and nothing that has it once: ask for each value in one rule only") {
		return p.rulings()
	}
	return list, ok
}

// ruled makes rules of cells.
func (p *plan) ruled(all []cell) (list []ruling, ok bool) {
	// From the widest on: a cell that decides as the next around it needs no rule. What no rule fits is refused.
	var kept []ruling
	for _, c := range slices.Backward(all) {
		r := p.decide(c, nil)
		around := slices.IndexFunc(kept, func(k ruling) bool { return c.within(k.cells[0]) })
		if around < 0 && !r.refuses() || around >= 0 && !r.equal(kept[around].outcome) {
			kept = append([]ruling{r}, kept...)
		}
	}
	if p.overflow {
		return nil, false
	}
	for _, r := range kept {
		list = place(list, r)
	}
	for i := 0; i < len(list); i++ {
		list, i = joined(list, i)
	}
	// Where the order is of no meaning, it is that of the originals.
	for range list {
		for i := 1; i < len(list); i++ {
			if list[i].order < list[i-1].order && apart(list[i], list[i-1]) {
				list[i], list[i-1] = list[i-1], list[i]
			}
		}
	}
	return list, true
}

// cells are all requests that the clauses tell apart.
func (p *plan) cells() (list []cell, ok bool) {
	var areas []area
	for _, c := range p.clauses {
		areas = append(areas, c.area)
	}
	return cells(areas, p.headerNames)
}

func apart(a, b ruling) bool {
	return !slices.ContainsFunc(a.cells,
		func(c cell) bool { return slices.ContainsFunc(b.cells, func(d cell) bool { return !c.disjoint(d) }) })
}

// place puts a cell's ruling behind the others, or into one that decides alike, where none that
// comes between has requests in common with it.
func place(list []ruling, r ruling) []ruling {
	for i, other := range slices.Backward(list) {
		if other.like(r) {
			list[i].cells = append(list[i].cells, r.cells...)
			list[i].order = min(list[i].order, r.order)
			return list
		}
		if !apart(other, r) {
			break
		}
	}
	return append(list, r)
}

// like reports whether two rulings may stand in one rule.
func (r ruling) like(o ruling) bool {
	return r.equal(o.outcome) && (r.by == o.by || r.by != nil && o.by != nil && r.by.from == o.by.from)
}

// joined puts the ruling at i into a later one that decides alike, where none that comes between
// has requests in common with it. It returns where to go on behind.
func joined(list []ruling, i int) ([]ruling, int) {
	for j := i + 1; j < len(list); j++ {
		if list[j].like(list[i]) {
			list[j].cells = append(list[i].cells, list[j].cells...)
			list[j].order = min(list[i].order, list[j].order)
			return slices.Delete(list, i, i+1), i - 1
		}
		if !apart(list[i], list[j]) {
			break
		}
	}
	return list, i
}

// entry is an entry of a rule's match list.
type entry struct {
	hosts, methods []string
	paths          []string
	headers        []region
}

// entries put cells together that differ in one thing only.
func entries(list []cell) (result []entry) {
	for _, c := range list {
		e := entry{headers: slices.Clone(c.headers)}
		if c.host != "" {
			e.hosts = []string{c.host}
		}
		if c.method != "" {
			e.methods = []string{c.method}
		}
		if c.path.is {
			e.paths = []string{c.path.String()}
		}
		result = append(result, e)
	}
	join := func(alike func(a, b entry) bool, add func(a *entry, b entry)) {
		for i := 0; i < len(result); i++ {
			for j := i + 1; j < len(result); j++ {
				if alike(result[i], result[j]) {
					add(&result[i], result[j])
					result = slices.Delete(result, j, j+1)
					j--
				}
			}
		}
	}
	same := func(a, b []string) bool { return slices.Equal(a, b) }
	some := func(a, b []string) bool { return a != nil && b != nil }
	differs := 0 // which of the headers
	join(func(a, b entry) bool {
		n := 0
		for i, r := range a.headers {
			if !r.equal(b.headers[i]) {
				n++
				differs = i
			}
		}
		return n == 1 && some(a.headers[differs].values, b.headers[differs].values) && same(a.hosts, b.hosts) &&
			same(a.paths, b.paths) && same(a.methods, b.methods)
	},
		func(a *entry, b entry) {
			a.headers[differs].values = slices.Concat(a.headers[differs].values, b.headers[differs].values)
		})
	sameHeaders := func(a, b entry) bool { return slices.EqualFunc(a.headers, b.headers, region.equal) }
	join(func(a, b entry) bool {
		return some(a.methods, b.methods) && same(a.hosts, b.hosts) && same(a.paths, b.paths) && sameHeaders(a, b)
	},
		func(a *entry, b entry) { a.methods = unique(append(a.methods, b.methods...)) })
	join(func(a, b entry) bool {
		return some(a.paths, b.paths) && same(a.hosts, b.hosts) && same(a.methods, b.methods) && sameHeaders(a, b)
	},
		func(a *entry, b entry) { a.paths = unique(append(a.paths, b.paths...)) })
	join(func(a, b entry) bool {
		return some(a.hosts, b.hosts) && same(a.methods, b.methods) && same(a.paths, b.paths) && sameHeaders(a, b)
	},
		func(a *entry, b entry) { a.hosts = unique(append(a.hosts, b.hosts...)) })
	return result
}
