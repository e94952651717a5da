// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"slices"
	"strings"
)

// Index answers which rules a request falls under. It is built once and then only read.
//
// Per host pattern it holds a tree over path segments; a leaf lists its entries by method. An entry
// is one (rule, condition, path) of the configuration, numbered in the order of writing, so that
// the first rule that fits is the lowest number found.
//
// A number found is twice the entry's, and one more: the even one before it stands for the same
// entry where a header that it asks for is ambiguous.
type Index struct {
	entries []entry
	names   *names           // of the headers that entries ask for; nil: none do
	any     *node            // entries without hosts
	hosts   map[string]*node // exact hosts
	suffix  map[string]*node // "*.example.com" under "example.com"
}

type entry struct {
	rule     int
	template Template
	hasPath  bool
}

// node is a place in the tree: all paths that begin with the same segments.
type node struct {
	literal []child // sorted by segment
	wild    *node
	exact   *leaf // paths that end here
	below   *leaf // {**}: paths that end here or go on
	always  *leaf // at the root only: entries without paths

	byName map[string]*node // the literal ones while the tree grows
}

// child is a node below another. Sorted lists are faster than maps here: most are short, and a
// lookup touches less code and memory, which in a proxy is not in the processor's cache.
type child struct {
	segment string
	node    *node
}

// leaf is where paths end: its entries, each list sorted and not empty.
type leaf struct {
	any     []int32 // for every method
	methods []methodEntries
	asking  []asking // those of its entries that ask for headers stand here only
}

type methodEntries struct {
	method  string
	entries []int32
}

// Hit is a rule that fits, with the path variables of the entry it was found by.
type Hit struct {
	Rule  int
	entry *entry
	req   *Request
}

// NewIndex compiles the rules' conditions: rules[i] are those of rule i, and a rule without
// conditions fits every request.
func NewIndex(rules [][]Condition) *Index {
	x := &Index{any: &node{}, hosts: map[string]*node{}, suffix: map[string]*node{}}
	for rule, conditions := range rules {
		if len(conditions) == 0 {
			conditions = []Condition{{}}
		}
		for _, c := range conditions {
			x.add(rule, c)
		}
	}
	x.any.sort()
	for _, table := range []map[string]*node{x.hosts, x.suffix} {
		for _, n := range table {
			n.sort()
		}
	}
	return x
}

// sort ends the growth of a tree.
func (n *node) sort() {
	n.byName = nil
	sortChildren(n.literal)
	for _, c := range n.literal {
		c.node.sort()
	}
	if n.wild != nil {
		n.wild.sort()
	}
}

// sortChildren is heapsort: package slices' sort takes 50 KB of the module.
func sortChildren(list []child) {
	down := func(root, end int) {
		for {
			next := 2*root + 1
			if next >= end {
				return
			}
			if next+1 < end && list[next].segment < list[next+1].segment {
				next++
			}
			if list[root].segment >= list[next].segment {
				return
			}
			list[root], list[next] = list[next], list[root]
			root = next
		}
	}
	for i := len(list)/2 - 1; i >= 0; i-- {
		down(i, len(list))
	}
	for end := len(list) - 1; end > 0; end-- {
		list[0], list[end] = list[end], list[0]
		down(0, end)
	}
}

func (x *Index) add(rule int, c Condition) {
	templates := c.Paths
	if templates == nil {
		templates = []Template{{}}
	}
	headers := x.byPlace(c.Headers)
	for _, t := range templates {
		number := int32(len(x.entries))<<1 | 1
		x.entries = append(x.entries, entry{rule: rule, template: t, hasPath: c.Paths != nil})
		if c.Hosts == nil {
			x.any.add(t, c, number, headers)
		}
		for _, h := range c.Hosts {
			table, name := x.hosts, h
			if strings.HasPrefix(h, "*.") {
				table, name = x.suffix, h[2:]
			}
			if table[name] == nil {
				table[name] = &node{}
			}
			table[name].add(t, c, number, headers)
		}
	}
}

func (n *node) add(t Template, c Condition, number int32, headers []condition) {
	for _, s := range t.segments {
		next := &n.wild
		if !s.wild {
			next := n.byName[s.literal]
			if next == nil {
				if n.byName == nil {
					n.byName = map[string]*node{}
				}
				next = &node{}
				n.byName[s.literal] = next
				n.literal = append(n.literal, child{s.literal, next})
			}
			n = next
			continue
		}
		if *next == nil {
			*next = &node{}
		}
		n = *next
	}
	l := &n.exact
	switch {
	case c.Paths == nil:
		l = &n.always
	case t.tail:
		l = &n.below
	}
	if *l == nil {
		*l = &leaf{}
	}
	switch {
	case headers != nil:
		(*l).ask(c.Methods, number, headers)
		return
	case c.Methods == nil:
		(*l).any = append((*l).any, number)
	}
	for _, m := range c.Methods {
		(*l).add(m, number)
	}
}

func (l *leaf) add(method string, number int32) {
	for i := range l.methods {
		if m := &l.methods[i]; m.method == method {
			if m.entries[len(m.entries)-1] != number { // the configuration may name a method twice
				m.entries = append(m.entries, number)
			}
			return
		}
	}
	l.methods = append(l.methods, methodEntries{method, []int32{number}})
}

// What follows is kept out of its callers: called at several places it would stand there several
// times, and code that is not in the processor's cache is what a request costs.

// child returns the node below n for a literal segment; nil: there is none.
//
//go:noinline
func (n *node) child(segment string) *node {
	if len(n.literal) > 8 {
		return n.search(segment)
	}
	for i := range n.literal {
		if c := &n.literal[i]; c.segment == segment {
			return c.node
		}
	}
	return nil
}

//go:noinline
func (n *node) search(segment string) *node {
	low, high := 0, len(n.literal)
	for low < high {
		middle := (low + high) / 2
		if n.literal[middle].segment < segment {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(n.literal) && n.literal[low].segment == segment {
		return n.literal[low].node
	}
	return nil
}

// First returns the first rule that fits r. A request whose ;parameters, or whose encoded ? or #,
// make the difference between two rules, or between two values of a path variable, is ambiguous. So
// is one with a header that could be read in two ways, where a rule asks for it and no rule before
// that fits: with ErrHeaders the hit is that rule.
func (x *Index) First(r *Request) (hit Hit, ok bool, err error) {
	if x.names != nil {
		r.begin(x.names)
	}
	best := x.first(r, r.segments)
	for i := 0; i < len(r.others) && !isAmbiguous(best); i++ {
		read := x.first(r, r.others[i])
		if isAmbiguous(read) {
			best = read
		} else if !x.same(best, read, r, r.others[i]) {
			return Hit{}, false, ErrParameters
		}
	}
	if best < 0 {
		return Hit{}, false, nil
	}
	e := &x.entries[best>>1]
	if isAmbiguous(best) {
		return Hit{e.rule, e, r}, false, ErrHeaders
	}
	return Hit{e.rule, e, r}, true, nil
}

func isAmbiguous(number int32) bool { return number >= 0 && number&1 == 0 }

// noEntry is behind every entry.
const noEntry = 1<<31 - 1

// first keeps the lowest entry only: it decides every request, so it is small.
func (x *Index) first(r *Request, segments []string) int32 {
	best := x.any.first(r, segments, noEntry)
	if len(x.hosts)+len(x.suffix) > 0 {
		best = x.firstOfHost(r, segments, best)
	}
	if best == noEntry {
		return -1
	}
	return best
}

//go:noinline
func (x *Index) firstOfHost(r *Request, segments []string, best int32) int32 {
	x.ofHost(r, func(n *node) { best = n.first(r, segments, best) })
	return best
}

func (n *node) first(r *Request, segments []string, best int32) int32 {
	if n.always != nil {
		best = n.always.first(r, best)
	}
	if r.Path == "*" {
		return best
	}
	return n.firstBelow(r, segments, best)
}

func (n *node) firstBelow(r *Request, segments []string, best int32) int32 {
	for {
		if n.below != nil {
			best = n.below.first(r, best)
		}
		if len(segments) == 0 {
			if n.exact != nil {
				best = n.exact.first(r, best)
			}
			return best
		}
		// A wildcard is exactly one segment, and an empty one (a trailing slash) is none.
		if n.wild != nil && segments[0] != "" {
			best = n.wild.firstBelow(r, segments[1:], best)
		}
		if n = n.child(segments[0]); n == nil {
			return best
		}
		segments = segments[1:]
	}
}

//go:noinline
func (l *leaf) first(r *Request, best int32) int32 {
	if len(l.any) > 0 {
		best = min(best, l.any[0])
	}
	if list := l.of(r.Method); len(list) > 0 {
		best = min(best, list[0])
	}
	if l.asking != nil {
		best = l.look(r, best, false)
	}
	return best
}

func (l *leaf) of(method string) []int32 {
	for i := range l.methods {
		if l.methods[i].method == method {
			return l.methods[i].entries
		}
	}
	return nil
}

// All appends every rule that fits r to dst, each once, in order. Other readings of the path are
// treated as in First. A header that could be read in two ways is ambiguous wherever it is asked for.
func (x *Index) All(r *Request, dst []Hit) ([]Hit, error) {
	if x.names != nil {
		r.begin(x.names)
	}
	start := len(dst)
	dst, err := x.all(r, r.segments, dst)
	if err == nil && len(r.others) > 0 {
		err = x.allSame(r, dst[start:])
	}
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// allSame returns an error unless all readings of r's path come to the same rules with the same variables.
//
//go:noinline
func (x *Index) allSame(r *Request, sent []Hit) error {
	for _, other := range r.others {
		hits, err := x.all(r, other, nil)
		if err != nil {
			return err
		}
		if len(hits) != len(sent) {
			return ErrParameters
		}
		for i, h := range sent {
			if h.Rule != hits[i].Rule || !sameVariables(h.entry, hits[i].entry, r, other) {
				return ErrParameters
			}
		}
	}
	return nil
}

func (x *Index) all(r *Request, segments []string, dst []Hit) ([]Hit, error) {
	r.found = r.found[:0]
	x.any.all(r, segments)
	if len(x.hosts)+len(x.suffix) > 0 {
		x.ofHost(r, func(n *node) { n.all(r, segments) })
	}
	last := -1
	for _, number := range r.found {
		if isAmbiguous(number) {
			return dst, ErrHeaders
		}
		if e := &x.entries[number>>1]; e.rule != last {
			last = e.rule
			dst = append(dst, Hit{e.rule, e, r})
		}
	}
	return dst, nil
}

// all has r find every entry that the path comes to, as first does the lowest.
func (n *node) all(r *Request, segments []string) {
	if n.always != nil {
		r.find(n.always)
	}
	if r.Path != "*" {
		n.allBelow(r, segments)
	}
}

func (n *node) allBelow(r *Request, segments []string) {
	for {
		if n.below != nil {
			r.find(n.below)
		}
		if len(segments) == 0 {
			if n.exact != nil {
				r.find(n.exact)
			}
			return
		}
		if n.wild != nil && segments[0] != "" {
			n.wild.allBelow(r, segments[1:])
		}
		if len(n.literal) == 0 {
			return
		}
		if n = n.child(segments[0]); n == nil {
			return
		}
		segments = segments[1:]
	}
}

// find notes a leaf's entries for the request's method among those found, in order.
//
//go:noinline
func (r *Request) find(l *leaf) {
	r.insert(l.any)
	if len(l.methods) > 0 {
		r.insert(l.of(r.Method))
	}
	if l.asking != nil {
		l.look(r, noEntry, true)
	}
}

func (r *Request) insert(list []int32) {
	for _, number := range list {
		i := len(r.found)
		r.found = append(r.found, number)
		for ; i > 0 && r.found[i-1] > number; i-- {
			r.found[i] = r.found[i-1]
		}
		r.found[i] = number
	}
}

// same reports whether two readings of a path come to the same rule with the same variables.
func (x *Index) same(sent, read int32, r *Request, other []string) bool {
	if sent < 0 || read < 0 {
		return sent == read
	}
	a, b := &x.entries[sent>>1], &x.entries[read>>1]
	return a.rule == b.rule && sameVariables(a, b, r, other)
}

func sameVariables(sent, read *entry, r *Request, other []string) bool {
	names := sent.template.Variables()
	if !slices.Equal(names, read.template.Variables()) {
		return false
	}
	for _, name := range names {
		a, _ := sent.variable(name, r.segments)
		if b, _ := read.variable(name, other); a != b {
			return false
		}
	}
	return true
}

// ofHost visits the trees of the request's host.
func (x *Index) ofHost(r *Request, visit func(*node)) {
	if r.Host == "" {
		return
	}
	if n := x.hosts[r.Host]; n != nil {
		visit(n)
	}
	if r.Host[0] == '[' {
		return
	}
	for rest := r.Host; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return
		}
		rest = rest[i+1:]
		if n := x.suffix[rest]; n != nil {
			visit(n)
		}
	}
}

// Variable returns the value that the path has for {name}, decoded; ok is false where the entry
// that fitted has no such variable.
func (h Hit) Variable(name string) (value string, ok bool) {
	return h.entry.variable(name, h.req.segments)
}

// Template is the pattern that fitted, or empty where the rule does not look at the path.
func (h Hit) Template() string { return h.entry.template.text }

func (e *entry) variable(name string, segments []string) (string, bool) {
	for i, s := range e.template.segments {
		if s.variable == name {
			return unescapeSeparators(segments[i]), true
		}
	}
	return "", false
}

// unescapeSeparators decodes what Set left encoded under ambiguousPath: literal, so that a variable
// is what the upstream will see.
func unescapeSeparators(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String()
}
