// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package response adds headers to responses that the request's callback has decided on. Import it, and the module exports proxy_on_response_headers.
//
// Of a stream of package direct nothing is kept unless its response is owed something. One that ends without a response takes what it is owed along.
package response

import "github.com/tollgate-wasm/tollgate/shared/guest/direct"

// debt is what one stream's response is owed: texts, one behind the other.
type debt struct {
	headers []owed
	text    []byte
}

type owed struct {
	name    string
	end     int // of the value in text
	replace bool
}

// owing are the debts by their streams, and settled ones that can be used again.
var (
	owing   = map[uint32]*debt{}
	settled []*debt
)

func init() {
	direct.OnEnd = func(stream uint32) {
		if len(owing) > 0 {
			settle(stream, nil)
		}
	}
}

// Owe has the response of a stream get a header, beside those of that name that it has or in their place. The name is kept, the value copied.
func Owe(stream uint32, name string, value []byte, replace bool) {
	d := owing[stream]
	if d == nil {
		if n := len(settled); n > 0 {
			d, settled = settled[n-1], settled[:n-1]
		} else {
			d = &debt{}
		}
		owing[stream] = d
	}
	d.text = append(d.text, value...)
	d.headers = append(d.headers, owed{name, len(d.text), replace})
}

// settle hands what a stream's response is owed to add, in order, and forgets it. add may be nil.
func settle(stream uint32, add func(name string, value []byte, replace bool)) {
	d := owing[stream]
	if d == nil {
		return
	}
	delete(owing, stream)
	start := 0
	for i := range d.headers {
		o := &d.headers[i]
		if add != nil {
			add(o.name, d.text[start:o.end], o.replace)
		}
		start = o.end
	}
	d.headers, d.text = d.headers[:0], d.text[:0]
	settled = append(settled, d)
}
