// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"slices"
	"strings"
)

// Index answers which rules a request falls under. It is built once and then only read.
//
// Per host pattern it holds a tree over path segments; a leaf lists its entries by method. An entry is one (rule, condition, path) of the configuration, numbered
// in the order of writing, so that the first rule that fits is the lowest number found.
type Index struct {
	entries []entry
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
	literal map[string]*node
	wild    *node
	exact   *leaf // paths that end here
	below   *leaf // {**}: paths that end here or go on
	always  *leaf // at the root only: entries without paths
}

type leaf struct {
	methods map[string][]int32
	any     []int32
}

// Hit is a rule that fits, with the path variables of the entry it was found by.
type Hit struct {
	Rule  int
	entry *entry
	req   *Request
}

// NewIndex compiles the rules' conditions: rules[i] are those of rule i, and a rule without conditions fits every request.
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
	return x
}

func (x *Index) add(rule int, c Condition) {
	templates := c.Paths
	if templates == nil {
		templates = []Template{{}}
	}
	for _, t := range templates {
		number := int32(len(x.entries))
		x.entries = append(x.entries, entry{rule: rule, template: t, hasPath: c.Paths != nil})
		if c.Hosts == nil {
			x.any.add(t, c, number)
		}
		for _, h := range c.Hosts {
			table, name := x.hosts, h
			if strings.HasPrefix(h, "*.") {
				table, name = x.suffix, h[2:]
			}
			if table[name] == nil {
				table[name] = &node{}
			}
			table[name].add(t, c, number)
		}
	}
}

func (n *node) add(t Template, c Condition, number int32) {
	for _, s := range t.segments {
		next := &n.wild
		if !s.wild {
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			child := n.literal[s.literal]
			if child == nil {
				child = &node{}
				n.literal[s.literal] = child
			}
			n = child
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
		*l = &leaf{methods: map[string][]int32{}}
	}
	if c.Methods == nil {
		(*l).any = append((*l).any, number)
	}
	for _, m := range c.Methods {
		if list := (*l).methods[m]; len(list) == 0 || list[len(list)-1] != number {
			(*l).methods[m] = append(list, number)
		}
	}
}

// First returns the first rule that fits r. A request whose ;parameters, or whose encoded ? or #, make the difference between two rules, or between two values of a path variable, is
// ambiguous.
func (x *Index) First(r *Request) (hit Hit, ok bool, err error) {
	best := x.first(r, r.segments)
	for _, other := range r.others {
		if !x.same(best, x.first(r, other), r, other) {
			return Hit{}, false, ErrParameters
		}
	}
	if best < 0 {
		return Hit{}, false, nil
	}
	e := &x.entries[best]
	return Hit{e.rule, e, r}, true, nil
}

func (x *Index) first(r *Request, segments []string) int32 {
	best := int32(-1)
	x.walk(r, segments, func(list []int32) {
		if best < 0 || list[0] < best {
			best = list[0]
		}
	})
	return best
}

// All appends every rule that fits r to dst, each once, in order. Other readings of the path are treated as in First.
func (x *Index) All(r *Request, dst []Hit) ([]Hit, error) {
	start := len(dst)
	dst = x.all(r, r.segments, dst)
	for _, other := range r.others {
		hits := x.all(r, other, nil)
		if len(hits) != len(dst)-start {
			return dst[:start], ErrParameters
		}
		for i, h := range dst[start:] {
			if h.Rule != hits[i].Rule || !sameVariables(h.entry, hits[i].entry, r, other) {
				return dst[:start], ErrParameters
			}
		}
	}
	return dst, nil
}

func (x *Index) all(r *Request, segments []string, dst []Hit) []Hit {
	var found []int32
	x.walk(r, segments, func(list []int32) { found = append(found, list...) })
	slices.Sort(found)
	last := -1
	for _, number := range found {
		if e := &x.entries[number]; e.rule != last {
			last = e.rule
			dst = append(dst, Hit{e.rule, e, r})
		}
	}
	return dst
}

// same reports whether two readings of a path come to the same rule with the same variables.
func (x *Index) same(sent, read int32, r *Request, other []string) bool {
	if sent < 0 || read < 0 {
		return sent == read
	}
	a, b := &x.entries[sent], &x.entries[read]
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

// walk calls found with the entries of every leaf that fits; each list is sorted and not empty.
func (x *Index) walk(r *Request, segments []string, found func([]int32)) {
	visit := func(root *node) {
		if root == nil {
			return
		}
		root.always.visit(r.Method, found)
		if r.Path != "*" {
			root.walk(segments, r.Method, found)
		}
	}
	visit(x.any)
	if r.Host == "" {
		return
	}
	visit(x.hosts[r.Host])
	if len(x.suffix) > 0 && r.Host[0] != '[' {
		for rest := r.Host; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			rest = rest[i+1:]
			visit(x.suffix[rest])
		}
	}
}

func (n *node) walk(segments []string, method string, found func([]int32)) {
	if n.below != nil {
		n.below.visit(method, found)
	}
	if len(segments) == 0 {
		n.exact.visit(method, found)
		return
	}
	// A wildcard is exactly one segment, and an empty one (a trailing slash) is none.
	if n.wild != nil && segments[0] != "" {
		n.wild.walk(segments[1:], method, found)
	}
	if child := n.literal[segments[0]]; child != nil {
		child.walk(segments[1:], method, found)
	}
}

func (l *leaf) visit(method string, found func([]int32)) {
	if l == nil {
		return
	}
	if len(l.any) > 0 {
		found(l.any)
	}
	if list := l.methods[method]; len(list) > 0 {
		found(list)
	}
}

// Variable returns the value that the path has for {name}, decoded; ok is false where the entry that fitted has no such variable.
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

// unescapeSeparators decodes what Set left encoded under ambiguousPath: literal, so that a variable is what the upstream will see.
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
