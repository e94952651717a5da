// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package response adds headers to responses that the request's callback has decided on. Import it,
// and the module exports proxy_on_response_headers.
//
// Of a stream of package direct nothing is kept unless its response is owed something. One that
// ends without a response takes what it is owed along.
package response

import "github.com/tollgate-wasm/tollgate/shared/guest/direct"

// Debt is what one stream's response is owed: texts, one behind the other.
type Debt struct {
	stream  uint32
	headers []owed
	text    []byte
	earlier *Debt // of the same stream
}

type owed struct {
	name    string
	end     int // of the value in text
	replace bool
}

// A debt stands in a place that its stream's number gives it, or among the others where that is
// taken: streams are numbered one after the other, so that this is rare.
var (
	places  [1024]*Debt
	others  = map[uint32]*Debt{}
	owing   int     // responses that are owed something
	settled []*Debt // that can be used again
)

func init() {
	direct.OnEnd = func(stream uint32) {
		if owing > 0 {
			settle(stream, nil)
		}
	}
}

// Owe returns what the response of a stream is to get, nothing so far, before what it is owed
// already: responses pass filters in the opposite order of requests.
func Owe(stream uint32) *Debt {
	var d *Debt
	if n := len(settled); n > 0 {
		d, settled = settled[n-1], settled[:n-1]
	} else {
		d = &Debt{}
	}
	d.stream, d.earlier = stream, nil
	place := &places[stream%uint32(len(places))]
	switch {
	case *place != nil && (*place).stream == stream:
		d.earlier, *place = *place, d
	case *place == nil && others[stream] == nil:
		*place = d
	default:
		d.earlier, others[stream] = others[stream], d
	}
	owing++
	return d
}

// Header has the response get a header, beside those of that name that it has or in their place.
// The name is kept, the value copied.
func (d *Debt) Header(name string, value []byte, replace bool) {
	d.text = append(d.text, value...)
	d.headers = append(d.headers, owed{name, len(d.text), replace})
}

// settle hands what a stream's response is owed to add, in order, and forgets it. add may be nil.
func settle(stream uint32, add func(name string, value []byte, replace bool)) {
	place := &places[stream%uint32(len(places))]
	d := *place
	if d != nil && d.stream == stream {
		*place = nil
	} else if d = others[stream]; d != nil {
		delete(others, stream)
	} else {
		return
	}
	for d != nil {
		owing--
		if add != nil {
			d.give(add)
		}
		next := d.earlier
		d.headers, d.text, d.earlier = d.headers[:0], d.text[:0], nil
		settled = append(settled, d)
		d = next
	}
}

// give hands what is owed to add, in order.
func (d *Debt) give(add func(name string, value []byte, replace bool)) {
	start := 0
	for i := range d.headers {
		o := &d.headers[i]
		add(o.name, d.text[start:o.end], o.replace)
		start = o.end
	}
}
