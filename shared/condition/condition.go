// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package condition holds verified claims against conditions: whether a claim is there, what it is,
// and whether it is what the request says. It reads the conditions of all filters that have such.
package condition

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// operator is how a claim is compared.
type operator string

const (
	opAny          operator = "any"
	opAll          operator = "all"
	opNone         operator = "none"
	opExists       operator = "exists"
	opGlob         operator = "glob"
	opPathVariable operator = "pathVariable"
	opHeader       operator = "header"
	opHost         operator = "host"
	opBetween      operator = "between" // atLeast, atMost or both
)

// Claim is what is asked of one claim. A claim that is a list fits where one of its items does; null
// is absent, and an absent claim fits only none and exists: false.
type Claim struct {
	path        []string // a name of * is each item of a list, and stands behind a name
	each        bool     // there is one
	op          operator
	values      []gjson.Result // any, all, none
	wanted      bool           // exists
	text        string         // glob: the pattern; pathVariable, header: the name
	least, most float64        // between; infinite: not asked for
}

// Request is what of a request claims are compared with.
type Request struct {
	Headers [][2]string
	Host    string
	Hit     *match.Hit // whose path variables
}

// Fits holds verified claims, a JSON object, against the condition.
func (c *Claim) Fits(r *Request, claims gjson.Result) bool {
	if c.each {
		return c.fitsEach(r, claims)
	}
	v, ok := jwt.Claim(claims, c.path)
	return c.fitsValue(r, v, ok)
}

// Header is the request's header that the claim is compared with; empty: none is.
func (c *Claim) Header() string {
	if c.op != opHeader {
		return ""
	}
	return c.text
}

// Unreadable reports whether there is something that the condition cannot be held against: a claim of
// another kind than is compared, a path that leads through one, a header that is there twice. Whoever
// lets requests go that do not fit asks for it: what cannot be read is not missing.
//
//go:noinline
func (c *Claim) Unreadable(r *Request, claims gjson.Result) bool {
	if c.op == opHost && r.Host == "" {
		return true
	}
	if c.op == opHeader {
		n := 0
		for i := range r.Headers {
			if r.Headers[i][0] == c.text {
				n++
			}
		}
		if n > 1 {
			return true
		}
	}
	return c.unreadable(claims, c.path)
}

// unreadable follows a path to what it comes to.
func (c *Claim) unreadable(v gjson.Result, path []string) (bad bool) {
	switch {
	case v.Type == gjson.Null:
		return false
	case len(path) == 0:
		return jwt.HasItem(v, func(item gjson.Result) bool { return !c.compares(item) })
	case path[0] != "*":
		if !v.IsObject() {
			return true
		}
		next, _ := strictjson.Member(v, path[0])
		return c.unreadable(next, path[1:])
	case !v.IsArray():
		return true
	}
	return jwt.HasItem(v, func(item gjson.Result) bool { return c.unreadable(item, path[1:]) })
}

// compares reports whether the operator can be asked about a value.
func (c *Claim) compares(v gjson.Result) bool {
	switch c.op {
	case opExists:
		return true
	case opBetween:
		return v.Type == gjson.Number
	case opAny, opAll, opNone:
		return v.Type == gjson.String || v.Type == gjson.Number || v.IsBool()
	}
	return v.Type == gjson.String
}

// fitsEach is Fits for a path with a *: one value that the path comes to and that fits is enough; for
// none, and exists: false, no value may be otherwise, and what is no list counts as a list of one: a
// refusal must not be got around by who writes one item without its brackets. Only a path that ends in
// a * exists by a list's items alone: so a rule can ask for what is no list.
//
//go:noinline
func (c *Claim) fitsEach(r *Request, claims gjson.Result) bool {
	loose := c.op == opNone || c.op == opExists && !c.wanted && c.path[len(c.path)-1] != "*"
	some := func(property func(gjson.Result) bool) bool { return jwt.Some(claims, c.path, loose, property) }
	switch {
	case c.op == opNone:
		return !some(func(v gjson.Result) bool { return !c.fitsValue(r, v, true) })
	case c.op == opExists:
		return some(func(gjson.Result) bool { return true }) == c.wanted
	}
	return some(func(v gjson.Result) bool { return c.fitsValue(r, v, true) })
}

// fitsValue holds one claim against the condition; ok: it is there.
func (c *Claim) fitsValue(r *Request, v gjson.Result, ok bool) bool {
	switch c.op {
	case opExists:
		return ok == c.wanted
	case opNone:
		for _, bad := range c.values {
			if ok && jwt.HasItem(v, func(item gjson.Result) bool { return equal(item, bad) }) {
				return false
			}
		}
		return true
	}
	if !ok {
		return false
	}
	switch c.op {
	case opBetween:
		return jwt.HasItem(v, func(item gjson.Result) bool {
			return item.Type == gjson.Number && item.Num >= c.least && item.Num <= c.most
		})
	case opAny:
		for _, want := range c.values {
			if jwt.HasItem(v, func(item gjson.Result) bool { return equal(item, want) }) {
				return true
			}
		}
		return false
	case opAll:
		for _, want := range c.values {
			if !jwt.HasItem(v, func(item gjson.Result) bool { return equal(item, want) }) {
				return false
			}
		}
		return true
	case opGlob:
		return jwt.HasItem(v, func(item gjson.Result) bool { return item.Type == gjson.String && glob(c.text, item.Str) })
	case opPathVariable:
		value, ok := r.Hit.Variable(c.text)
		return ok && hasText(v, value)
	case opHost:
		return r.Host != "" && hasText(v, r.Host)
	case opHeader:
		// Every value must fit: a client that sends two would else be taken at the word of the one that fits.
		found := false
		for i := range r.Headers {
			if r.Headers[i][0] == c.text {
				if found = hasText(v, r.Headers[i][1]); !found {
					return false
				}
			}
		}
		return found
	}
	return false
}

//go:noinline
func hasText(v gjson.Result, text string) bool {
	return jwt.HasItem(v, func(item gjson.Result) bool { return item.Type == gjson.String && item.Str == text })
}

// maxExact is up to where a float64 tells whole numbers apart.
const maxExact = 1 << 53

// equal compares scalars by type and value: "1" is not 1, and 1.0 is 1.
//
//go:noinline
func equal(a, b gjson.Result) bool {
	if a.Type != b.Type {
		return false
	}
	switch a.Type {
	case gjson.String:
		return a.Str == b.Str
	case gjson.Number:
		return a.Raw == b.Raw || a.Num == b.Num && a.Num < maxExact && a.Num > -maxExact
	}
	return a.IsBool()
}

// glob reports whether text fits pattern, in which each * stands for any run of bytes.
func glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	if !star {
		return text == ""
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], next
	}
}
