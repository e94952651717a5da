// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package forward says what the service behind gets to see of a request: which headers are taken
// away and which are written, from claims that have been verified.
//
// Whatever a client sends under a name that a filter writes is removed, in every spelling that
// servers confuse with it, so that the service can believe what it finds there.
package forward

import (
	"encoding/base64"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// Effect is what is to be done to a request that goes on, in this order. Its strings may alias the request's headers.
type Effect struct {
	Remove   []string    // headers, by their names in the request
	Set      [][2]string // headers to replace, or to add where there are none
	Add      [][2]string // headers to add behind those of the same name
	Identity string      // the verified claims as JSON, to be published; empty for none
}

// Reset makes e empty and keeps its memory.
func (e *Effect) Reset() { e.Remove, e.Set, e.Add, e.Identity = e.Remove[:0], e.Set[:0], e.Add[:0], "" }

// Apply is what becomes of headers, as a proxy does it; for tests and tools.
func (e *Effect) Apply(headers [][2]string) (out [][2]string) {
	replaced := map[string]string{}
	for _, h := range e.Set {
		replaced[h[0]] = h[1]
	}
	done := map[string]bool{}
	for _, h := range headers {
		switch value, set := replaced[h[0]]; {
		case contains(e.Remove, h[0]):
		case !set:
			out = append(out, h)
		case !done[h[0]]:
			out = append(out, [2]string{h[0], value})
			done[h[0]] = true
		}
	}
	for _, h := range e.Set {
		if !done[h[0]] {
			out = append(out, [2]string{h[0], replaced[h[0]]})
			done[h[0]] = true
		}
	}
	return append(out, e.Add...)
}

// RemoveHeader has a header removed, once.
//
//go:noinline
func (e *Effect) RemoveHeader(name string) {
	if !contains(e.Remove, name) {
		e.Remove = append(e.Remove, name)
	}
}

// Claims are headers that claims are written into. The zero value writes none.
type Claims struct {
	payload string // the header for all of them in base64url; empty: none
	headers []header
	names   []string // of all these headers, as Fold gives them
}

type header struct {
	path     []string
	name     string
	encoding string
}

// The values of encoding.
const (
	plain     = "plain"
	percent   = "percent"   // RFC 3986 §2.1: of all but unreserved characters
	base64URL = "base64url" // RFC 4648 §5, without padding
)

// ReadClaims reads payloadHeader and claimHeaders of an object.
//
//go:noinline
func ReadClaims(o *conf.Object) (c Claims) {
	if n, ok := o.At("payloadHeader"); ok {
		c.payload = c.output(n)
	}
	if list, ok := o.At("claimHeaders"); ok {
		for _, item := range list.List() {
			var h header
			entry := item.Object()
			if path, ok := entry.Need("path"); ok {
				for _, name := range path.List() {
					text := name.Text()
					if text == "*" {
						name.Warn("is the name of a claim here: a list is forwarded with all of its items")
					}
					h.path = append(h.path, text)
				}
			}
			if name, ok := entry.Need("header"); ok {
				h.name = c.output(name)
			}
			h.encoding = entry.Enum("encoding", plain, percent, base64URL)
			entry.End()
			c.headers = append(c.headers, h)
		}
	}
	return c
}

func (c *Claims) output(n conf.Node) string {
	name := ReadHeaderName(n)
	switch {
	case name == "":
	case name == "authorization" || name == "cookie":
		n.Fault("credentials stand in this header: choose another")
	case c.Writes(name):
		n.Fault("is written by this filter already (- and _ count as the same)")
	}
	c.names = append(c.names, Fold(name))
	return name
}

//go:noinline
func contains(list []string, s string) bool {
	for i := range list {
		if list[i] == s {
			return true
		}
	}
	return false
}

// Any reports whether anything is written at all.
func (c *Claims) Any() bool { return len(c.names) > 0 }

// Writes reports whether a header of that name, or of one that folds to the same, is written.
//
//go:noinline
func (c *Claims) Writes(name string) bool { return contains(c.names, Fold(name)) }

// Remove has the request's headers removed that pretend to be ours.
//
//go:noinline
func (c *Claims) Remove(e *Effect, headers [][2]string) {
	if !c.Any() {
		return
	}
	for i := range headers {
		if name := headers[i][0]; c.Writes(name) {
			e.RemoveHeader(name)
		}
	}
}

// Write writes verified claims into their headers; payload are all of them in base64url. A claim
// that a header cannot carry as it is (Text), and that is not encoded, is left out.
//
//go:noinline
func (c *Claims) Write(e *Effect, claims gjson.Result, payload string) {
	if c.payload != "" {
		e.Set = append(e.Set, [2]string{c.payload, payload})
	}
	for i := range c.headers {
		h := &c.headers[i]
		if v, ok := jwt.Claim(claims, h.path); ok {
			if text, ok := encoded(v, h.encoding); ok {
				e.Set = append(e.Set, [2]string{h.name, text})
			}
		}
	}
}

// Fold gives a header's name the form in which servers that turn names into variables confuse it
// with others: CGI, WSGI and their like make - and _ the same.
func Fold(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	folded := []byte(name)
	for i := range folded {
		if folded[i] == '_' {
			folded[i] = '-'
		}
	}
	return string(folded)
}

// SameFold reports whether two names fold to the same.
//
//go:noinline
func SameFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if x, y := a[i], b[i]; x != y && !(x == '_' && y == '-' || x == '-' && y == '_') {
			return false
		}
	}
	return true
}

// ReadHeaderName reads the name of a header of requests, in lower case. Names that say what the
// request is are not for tokens and claims.
//
//go:noinline
func ReadHeaderName(n conf.Node) string {
	name := strings.ToLower(n.Text())
	for i := range len(name) {
		if !IsTokenChar(name[i]) {
			n.Fault("want the name of a header")
			return ""
		}
	}
	if frames(name) {
		n.Fault("this header frames the request: choose another")
		return ""
	}
	return name
}

func frames(name string) bool {
	switch name {
	case "host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer":
		return true
	}
	return false
}

// ReadOwnHeaderName reads the name of a header that the filter writes, and removes from requests in
// every spelling: so it folds to none that requests need.
//
//go:noinline
func ReadOwnHeaderName(n conf.Node) string {
	name := ReadHeaderName(n)
	switch folded := Fold(name); {
	case name == "":
	case folded == "authorization", folded == "cookie":
		n.Fault("credentials stand in this header: choose another")
	case folded == "x-forwarded-for":
		n.Fault("the addresses of clients stand in this header: choose another")
	case frames(folded):
		n.Fault("folds to a header that frames the request: choose another")
	}
	return name
}

// IsTokenChar reports whether c may stand in the name of a header or an authentication scheme (RFC 9110 §5.6.2).
//
//go:noinline
func IsTokenChar(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// Header returns the value of the first header called name, or an empty string.
//
//go:noinline
func Header(headers [][2]string, name string) string {
	for i := range headers {
		if headers[i][0] == name {
			return headers[i][1]
		}
	}
	return ""
}

// Text writes a claim as the value of a header: a string, number or bool, or a list of them joined
// with commas. ok is false where that could be read as something else there: a line break, NUL,
// another control character, bytes beyond ASCII, or a comma within an item of a list.
//
//go:noinline
func Text(v gjson.Result) (text string, ok bool) { return encoded(v, plain) }

// encoded is Text of a claim, each of whose items is encoded.
//
//go:noinline
func encoded(v gjson.Result, encoding string) (text string, ok bool) {
	if !v.IsArray() {
		return scalarText(v, encoding)
	}
	var items []string
	ok = true
	v.ForEach(func(_, item gjson.Result) bool {
		text, scalar := scalarText(item, encoding)
		ok = scalar && strings.IndexByte(text, ',') < 0
		items = append(items, text)
		return ok
	})
	return strings.Join(items, ","), ok && len(items) > 0
}

//go:noinline
func scalarText(v gjson.Result, encoding string) (text string, ok bool) {
	switch {
	case v.Type == gjson.String:
		text = v.Str
	case v.Type == gjson.Number, v.IsBool():
		text = v.Raw
	}
	switch encoding {
	case percent:
		text = PercentEncode(text)
	case base64URL:
		text = base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return "", false
		}
	}
	return text, text != ""
}

// PercentEncode encodes all of a text but the unreserved characters of RFC 3986 §2.3.
//
//go:noinline
func PercentEncode(text string) string {
	const digits = "0123456789ABCDEF"
	var b []byte
	for i := range len(text) {
		c := text[i]
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}
