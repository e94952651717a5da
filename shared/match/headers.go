// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package match

import (
	"slices"

	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// Header is what a condition asks of one header: with neither of the other fields, that it is there.
type Header struct {
	Name   string   // in lower case
	Values []string // its value is one of these
	Prefix string   // its value begins so; empty where there are Values
	Absent bool     // it is not there
}

// ofValue reports whether it matters which value the header has.
func (h *Header) ofValue() bool { return h.Values != nil || h.Prefix != "" }

// names are the headers that the entries of an Index ask for; each has its place there.
type names struct {
	list    []string
	folded  map[string][]int // places, by what the names fold to
	lengths uint64           // a bit for each, modulo 64: most of a request's headers need no look into folded
}

// asked is a header that an Index asks for, as one request has it.
type asked struct {
	value string // of the first
	there bool
	twice bool
	other bool // one is there whose name folds to the same: the upstream may take it for this one
}

// begin has r looked at anew. Nothing is read of it until an entry asks.
func (r *Request) begin(n *names) { r.names, r.asked = n, r.asked[:0] }

// readHeaders looks at what an Index asks for.
//
//go:noinline
func (r *Request) readHeaders() {
	n := r.names
	if cap(r.asked) < len(n.list) {
		r.asked = make([]asked, len(n.list))
	}
	r.asked = r.asked[:len(n.list)]
	clear(r.asked)
	for i := range r.Headers {
		name := r.Headers[i][0]
		if n.lengths&(1<<(len(name)&63)) == 0 {
			continue
		}
		for _, place := range n.folded[forward.Fold(name)] {
			switch a := &r.asked[place]; {
			case n.list[place] != name:
				a.other = true
			case a.there:
				a.twice = true
			default:
				a.value, a.there = r.Headers[i][1], true
			}
		}
	}
}

// place is that of a name, which is new or not.
func (n *names) place(name string) int {
	folded := forward.Fold(name)
	for _, place := range n.folded[folded] {
		if n.list[place] == name {
			return place
		}
	}
	place := len(n.list)
	n.list, n.folded[folded] = append(n.list, name), append(n.folded[folded], place)
	n.lengths |= 1 << (len(name) & 63)
	return place
}

// condition is one on the header of that place.
type condition struct {
	name int
	*Header
}

// byPlace are conditions on headers in the order of the names' places: entries that ask for the same
// names then share their part of the tree.
func (x *Index) byPlace(list []Header) (sorted []condition) {
	if len(list) > 0 && x.names == nil {
		x.names = &names{folded: map[string][]int{}}
	}
	for i := range list {
		sorted = append(sorted, condition{x.names.place(list[i].Name), &list[i]})
		for j := i; j > 0 && sorted[j-1].name > sorted[j].name; j-- {
			sorted[j-1], sorted[j] = sorted[j], sorted[j-1]
		}
	}
	return sorted
}

// asking are the entries of a leaf that ask for headers, those for one method.
type asking struct {
	method string // empty: for every one
	first  []firstAsking
	root   branch
}

// firstAsking is who asks for a header first, as the number of an entry for which it is ambiguous:
// what is ambiguous only for rules behind the one that fits does not matter.
type firstAsking struct {
	name  int
	any   int32 // asks whether it is there, or more
	value int32 // asks for its value; noEntry: nobody does
}

// branch is a place in the tree of conditions on headers: the entries whose conditions up to here are
// the same. What a request has is looked up, so that any number of values costs the same.
type branch struct {
	lowest  int32    // of the numbers here and below
	values  []string // that lead here, or the prefix
	entries []int32  // that ask for nothing more
	next    []question
}

// question is what the entries of a branch ask of one header, and where each answer leads.
type question struct {
	name     int
	values   map[string][]*branch // by each value of a list; the lowest first
	prefixes map[string][]*branch
	lengths  []int   // of the prefixes
	there    *branch // whatever the value is; nil: nobody asks that
	absent   *branch
}

// ask adds an entry that asks for headers.
func (l *leaf) ask(methods []string, number int32, list []condition) {
	if methods == nil {
		methods = []string{""}
	}
	for _, m := range methods {
		i := 0
		for i < len(l.asking) && l.asking[i].method != m {
			i++
		}
		if i == len(l.asking) {
			l.asking = append(l.asking, asking{method: m, root: branch{lowest: number}})
		}
		l.asking[i].add(number, list)
	}
}

func (a *asking) add(number int32, list []condition) {
	b := &a.root
	for _, c := range list {
		i := 0
		for i < len(a.first) && a.first[i].name != c.name {
			i++
		}
		if i == len(a.first) {
			a.first = append(a.first, firstAsking{c.name, number &^ 1, noEntry})
		}
		if f := &a.first[i]; c.ofValue() && f.value == noEntry {
			f.value = number &^ 1
		}
		b = b.question(c.name).branch(c.Header, number)
	}
	if n := len(b.entries); n == 0 || b.entries[n-1] != number { // the configuration may name a method twice
		b.entries = append(b.entries, number)
	}
}

func (b *branch) question(name int) *question {
	for i := range b.next {
		if b.next[i].name == name {
			return &b.next[i]
		}
	}
	b.next = append(b.next, question{name: name})
	return &b.next[len(b.next)-1]
}

// branch finds where a condition leads, or has it lead to a new branch, which begins with number.
func (q *question) branch(h *Header, number int32) *branch {
	place := &q.there
	switch {
	case h.Values != nil:
		return grow(&q.values, h.Values, number)
	case h.Prefix != "":
		if !slices.Contains(q.lengths, len(h.Prefix)) {
			q.lengths = append(q.lengths, len(h.Prefix))
		}
		return grow(&q.prefixes, []string{h.Prefix}, number)
	case h.Absent:
		place = &q.absent
	}
	if *place == nil {
		*place = &branch{lowest: number}
	}
	return *place
}

func grow(table *map[string][]*branch, values []string, number int32) *branch {
	for _, b := range (*table)[values[0]] {
		if slices.Equal(b.values, values) {
			return b
		}
	}
	if *table == nil {
		*table = map[string][]*branch{}
	}
	b := &branch{lowest: number, values: values}
	for _, v := range values {
		(*table)[v] = append((*table)[v], b)
	}
	return b
}

// look is Index.First and Index.All for the entries that ask for headers. It returns the lowest number
// that is found, if that is below best; with all it notes every number among those found.
//
//go:noinline
func (l *leaf) look(r *Request, best int32, all bool) int32 {
	for i := range l.asking {
		if a := &l.asking[i]; a.method == "" || a.method == r.Method {
			best = a.look(r, best, all)
		}
	}
	return best
}

func (a *asking) look(r *Request, best int32, all bool) int32 {
	if len(r.asked) == 0 {
		r.readHeaders()
	}
	for i := range a.first {
		f := &a.first[i]
		switch h := &r.asked[f.name]; {
		case h.other:
			best = r.take([]int32{f.any}, best, all)
		case h.twice && f.value != noEntry:
			best = r.take([]int32{f.value}, best, all)
		}
	}
	return a.root.look(r, best, all)
}

//go:noinline
func (r *Request) take(list []int32, best int32, all bool) int32 {
	if all {
		r.insert(list)
	} else if len(list) > 0 {
		best = min(best, list[0])
	}
	return best
}

// look follows what the request's headers answer.
func (b *branch) look(r *Request, best int32, all bool) int32 {
	if b == nil || b.lowest >= best {
		return best
	}
	best = r.take(b.entries, best, all)
	for i := range b.next {
		q := &b.next[i]
		h := &r.asked[q.name]
		if !h.there {
			best = q.absent.look(r, best, all)
			continue
		}
		best = q.there.look(r, best, all)
		best = lookAt(q.values[h.value], r, best, all)
		for _, n := range q.lengths {
			if n <= len(h.value) {
				best = lookAt(q.prefixes[h.value[:n]], r, best, all)
			}
		}
	}
	return best
}

//go:noinline
func lookAt(list []*branch, r *Request, best int32, all bool) int32 {
	for _, b := range list {
		if b.lowest >= best {
			break
		}
		best = b.look(r, best, all)
	}
	return best
}
