// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"cmp"
	"slices"
	"strings"
)

// truth has a third value for what depends on something that jwt-scope does not look at: the peer,
// an address.
type truth int8

const (
	no truth = iota
	unknown
	yes
)

// condition is what a rule of the originals asks of a request whose path, host and method fit. A
// request has either no token or a valid one, so the two are kept apart: of the first nothing more
// is to be known, and nothing that is asked of a claim holds.
type condition struct {
	bare  truth // whether it holds without a token
	token dnf   // of which tokens it holds
}

// dnf is a list of conjunctions, of which one has to hold. Empty: none does.
type dnf []conj

// conj holds for a token when its issuer is one of issuers, a set of bits, and every literal does.
type conj struct {
	issuers  uint64
	literals []literal // in order of key, each once
}

type kind int8

const (
	claimAny     kind = iota // the claim, or an item of it, is one of values
	claimNone                // not claimAny
	claimGlob                // the claim, or an item of it, begins or ends so
	claimNoGlob              // not claimGlob
	claimText                // the claim, or an item of it, is a text with at least one letter
	claimNoText              // not claimText
	scopeAny                 // one of values is among the scopes
	scopeNone                // not scopeAny
	claimThere               // there is such a claim, whatever it is
	claimMissing             // not claimThere
	foreign                  // what jwt-scope does not look at
	foreignNot
)

func (c conj) equal(o conj) bool {
	return c.issuers == o.issuers &&
		slices.EqualFunc(c.literals, o.literals, func(a, b literal) bool { return a.compare(b) == 0 })
}

// negation of each kind: they stand in pairs.
func (k kind) negation() kind { return k ^ 1 }

type literal struct {
	kind   kind
	path   []string // of claims
	values []string // sorted, each once; of a glob the pattern, of foreign what it is
}

func (l literal) compare(o literal) int {
	return cmp.Or(slices.Compare(l.path, o.path), cmp.Compare(l.kind, o.kind), slices.Compare(l.values, o.values))
}

func set(values ...string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func minus(a []string, unwanted func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(a), unwanted)
}

// globFits reports whether a text fits a pattern in which each * stands for any run of bytes.
func globFits(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return text == pattern
	}
	last := len(parts) - 1
	text, begins := strings.CutPrefix(text, parts[0])
	for _, part := range parts[1:last] {
		_, rest, found := strings.Cut(text, part)
		text, begins = rest, begins && found
	}
	return begins && strings.HasSuffix(text, parts[last])
}

// implies reports whether o holds wherever l does. It may miss that it does.
func (l literal) implies(o literal) bool {
	if !slices.Equal(l.path, o.path) {
		return false
	}
	switch {
	case l.kind == o.kind && (l.kind == claimAny || l.kind == scopeAny):
		return subset(l.values, o.values)
	case l.kind == o.kind && (l.kind == claimNone || l.kind == scopeNone):
		return subset(o.values, l.values)
	case l.kind == claimAny && o.kind == claimText:
		return !slices.Contains(l.values, "")
	case l.kind == claimAny && o.kind == claimGlob:
		return !slices.ContainsFunc(l.values, func(s string) bool { return !globFits(o.values[0], s) })
	case l.kind == claimGlob && o.kind == claimText:
		return true // a pattern has a letter
	case l.kind == claimNoText && o.kind == claimNone:
		return !slices.Contains(o.values, "")
	case l.kind == claimNoText && o.kind == claimNoGlob:
		return true
	}
	return l.compare(o) == 0
}

// algebra counts with the conditions of one workload.
type algebra struct {
	all      uint64 // its issuers
	overflow bool   // a condition has grown beyond what anybody writes; what came of it is of no use
}

// How many conjunctions a condition may come to, and how many before some are put together.
const (
	maxConj   = 256
	maxMerged = 4096
)

func (a *algebra) true() dnf { return dnf{{issuers: a.all}} }

func (a *algebra) always() condition { return condition{yes, a.true()} }
func (a *algebra) never() condition  { return condition{no, nil} }

// foreign is a condition on something that jwt-scope does not look at.
func (a *algebra) foreign(what string) condition {
	return condition{unknown, dnf{{a.all, []literal{{kind: foreign, values: []string{what}}}}}}
}

// token is a condition on a claim or a scope, which no request without a token fulfils.
func (a *algebra) tokenHas(k kind, path []string, values ...string) condition {
	c, ok := simplify(conj{a.all, []literal{{k, path, set(values...)}}})
	if !ok {
		return a.never()
	}
	return condition{no, dnf{c}}
}

// issuedBy is a condition on the token's issuer.
func (a *algebra) issuedBy(issuers uint64) condition {
	if issuers &= a.all; issuers == 0 {
		return a.never()
	}
	return condition{no, dnf{{issuers: issuers}}}
}

func (a *algebra) and(x, y condition) condition {
	return condition{min(x.bare, y.bare), a.andTokens(x.token, y.token)}
}

func (a *algebra) or(x, y condition) condition {
	return condition{max(x.bare, y.bare), a.orTokens(x.token, y.token)}
}

func (a *algebra) not(x condition) condition {
	result := a.true()
	for _, c := range x.token {
		var negated dnf
		if rest := a.all &^ c.issuers; rest != 0 {
			negated = append(negated, conj{issuers: rest})
		}
		for _, l := range c.literals {
			l.kind = l.kind.negation()
			if n, ok := simplify(conj{a.all, []literal{l}}); ok {
				negated = append(negated, n)
			}
		}
		result = a.andTokens(result, negated)
	}
	return condition{yes - x.bare, result}
}

func (a *algebra) andTokens(x, y dnf) dnf {
	if len(x)*len(y) > maxMerged {
		a.overflow = true
		return nil
	}
	var result dnf
	for _, c := range x {
		for _, d := range y {
			if both, ok := simplify(conj{c.issuers & d.issuers, slices.Concat(c.literals, d.literals)}); ok {
				result = append(result, both)
			}
		}
	}
	return a.merged(result)
}

func (a *algebra) orTokens(x, y dnf) dnf { return a.merged(slices.Concat(x, y)) }

// simplify leaves out what another literal implies. ok is false where no token fulfils all.
func simplify(c conj) (_ conj, ok bool) {
	if c.issuers == 0 {
		return c, false
	}
	var list []literal
	for _, l := range c.literals { // what is refused, together
		if i := slices.IndexFunc(list,
			func(o literal) bool { return o.kind == l.kind && slices.Equal(o.path, l.path) }); i >= 0 &&
			(l.kind == claimNone || l.kind == scopeNone) {
			list[i].values = set(slices.Concat(list[i].values, l.values)...)
			continue
		}
		list = append(list, l)
	}
	for i := range list { // what is asked for, without what is refused
		for _, o := range list {
			if !slices.Equal(list[i].path, o.path) {
				continue
			}
			switch {
			case list[i].kind == claimAny && o.kind == claimNone, list[i].kind == scopeAny && o.kind == scopeNone:
				list[i].values = minus(list[i].values, func(s string) bool { return slices.Contains(o.values, s) })
			case list[i].kind == claimAny && o.kind == claimNoGlob:
				list[i].values = minus(list[i].values, func(s string) bool { return globFits(o.values[0], s) })
			case list[i].kind == claimAny && o.kind == claimNoText:
				list[i].values = minus(list[i].values, func(s string) bool { return s != "" })
			case list[i].kind < foreign && list[i].kind.negation() == o.kind && slices.Equal(list[i].values, o.values),
				list[i].kind == claimGlob && o.kind == claimNoText:
				return c, false
			}
		}
		if len(list[i].values) == 0 && (list[i].kind == claimAny || list[i].kind == scopeAny) {
			return c, false
		}
	}
	slices.SortFunc(list, literal.compare)
	list = slices.CompactFunc(list, func(a, b literal) bool { return a.compare(b) == 0 })
	c.literals = nil
	for i, l := range list {
		implied := false
		for j, o := range list {
			implied = implied || i != j && o.implies(l)
		}
		if !implied {
			c.literals = append(c.literals, l)
		}
	}
	return c, true
}

// implies reports whether o holds of every token of which c does. It may miss that it does.
func (c conj) implies(o conj) bool {
	return c.issuers&^o.issuers == 0 && !slices.ContainsFunc(o.literals, func(want literal) bool {
		return !slices.ContainsFunc(c.literals, func(l literal) bool { return l.implies(want) })
	})
}

// merged puts together what can stand in one conjunction, and leaves out what another one covers.
// The order stays that in which the originals' rules stand.
func (a *algebra) merged(d dnf) dnf {
	var list dnf
	for _, c := range d {
		for at, j := len(list), 0; ; {
			if j < len(list) {
				both, ok := union(list[j], c)
				if !ok {
					j++
					continue
				}
				list, c, at = slices.Delete(list, j, j+1), both, min(at, j)
				j = 0 // what is wider now may cover what came before
				continue
			}
			list = slices.Insert(list, min(at, len(list)), c)
			break
		}
		if len(list) > maxConj {
			a.overflow = true
			return nil
		}
	}
	return list
}

// union is a conjunction that holds where one of two does; ok is false where there is none.
func union(a, b conj) (conj, bool) {
	switch {
	case a.implies(b):
		return b, true
	case b.implies(a):
		return a, true
	case a.equal(conj{a.issuers, b.literals}):
		return conj{a.issuers | b.issuers, a.literals}, true
	case a.issuers != b.issuers || len(a.literals) != len(b.literals):
		return conj{}, false
	}
	lacks := func(c, o conj) (list []literal) {
		for _, l := range c.literals {
			if !slices.ContainsFunc(o.literals, func(m literal) bool { return l.compare(m) == 0 }) {
				list = append(list, l)
			}
		}
		return list
	}
	inA, inB := lacks(a, b), lacks(b, a)
	if len(inA) != 1 || len(inB) != 1 || !slices.Equal(inA[0].path, inB[0].path) {
		return conj{}, false
	}
	l, o := inA[0], inB[0]
	rest := slices.DeleteFunc(slices.Clone(a.literals), func(m literal) bool { return m.compare(l) == 0 })
	switch {
	case l.kind == o.kind && (l.kind == claimAny || l.kind == scopeAny):
		rest = append(rest, literal{l.kind, l.path, set(slices.Concat(l.values, o.values)...)})
		slices.SortFunc(rest, literal.compare)
		return conj{a.issuers, rest}, true
	case l.kind < foreign && l.kind.negation() == o.kind && slices.Equal(l.values, o.values):
		return conj{a.issuers, rest}, true
	}
	return conj{}, false
}
