// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Effect is what is to be done to a request that goes on, in this order. Its strings may alias the request's headers.
type Effect struct {
	Remove   []string    // headers, by their names in the request
	Set      [][2]string // headers to replace, or to add where there are none
	Identity string      // the verified claims as JSON, to be published; empty for none
}

// Effect tells what becomes of the request's headers, into e, whose slices are reused. What a client sent under a name that this filter writes is removed whatever was decided, so
// that the service behind can believe what it finds there.
func (d *Decision) Effect(e *Effect) {
	e.Remove, e.Set, e.Identity = e.Remove[:0], e.Set[:0], ""
	if d.verified != nil {
		e.Identity = d.verified.claims.Raw
	}
	if f := &d.policy.forward; len(f.names) > 0 || f.stripToken {
		d.forward(e, f)
	}
}

//go:noinline
func (d *Decision) forward(e *Effect, f *forward) {
	if len(f.names) > 0 {
		for i := range d.headers {
			if name := d.headers[i][0]; f.names[fold(name)] && !contains(e.Remove, name) {
				e.Remove = append(e.Remove, name)
			}
		}
	}
	if f.stripToken && d.looked {
		d.strip(e)
	}
	v := d.verified
	if v == nil {
		return
	}
	if f.payloadHeader != "" {
		e.Set = append(e.Set, [2]string{f.payloadHeader, v.encoded})
	}
	for i := range f.claimHeaders {
		h := &f.claimHeaders[i]
		if c, ok := claim(v.claims, h.path); ok {
			if text, ok := headerText(c); ok {
				e.Set = append(e.Set, [2]string{h.header, text})
			}
		}
	}
}

// strip takes the credentials away: in shadow mode a request goes on with more than one, or with one that is none. A header whose name only folds to a token's is removed, too: it was not looked at,
// and a server that confuses the two would take it for what was.
func (d *Decision) strip(e *Effect) {
	var cookies []string
	var path string
	for _, l := range d.policy.locations {
		if l.header != "" {
			for i := range d.headers {
				if name := d.headers[i][0]; name != l.header && fold(name) == fold(l.header) && !contains(e.Remove, name) {
					e.Remove = append(e.Remove, name)
				}
			}
		}
		if _, code := l.find(d.headers, d.request.Query); code == TokenMissing {
			continue // an Authorization of another scheme stays
		}
		switch {
		case l.query != "":
			if path == "" {
				path = header(d.headers, ":path")
			}
			path = withoutParameter(path, l.query)
		case l.cookie != "":
			cookies = append(cookies, l.cookie)
		case !contains(e.Remove, l.header):
			e.Remove = append(e.Remove, l.header)
			if l.scheme == dpopScheme { // the proof is part of the credential
				e.Remove = append(e.Remove, dpopHeader)
			}
		}
	}
	if path != "" {
		e.Set = append(e.Set, [2]string{":path", path})
	}
	if len(cookies) > 0 {
		d.stripCookies(cookies, e)
	}
}

func (d *Decision) stripCookies(names []string, e *Effect) {
	e.Remove = append(e.Remove, "cookie")
	var rest []string
	for i := range d.headers {
		if d.headers[i][0] != "cookie" {
			continue
		}
		for _, pair := range strings.Split(d.headers[i][1], ";") {
			pair = strings.Trim(pair, " \t")
			if name, _, _ := strings.Cut(pair, "="); pair != "" && !contains(names, name) {
				rest = append(rest, pair)
			}
		}
	}
	if len(rest) > 0 {
		e.Set = append(e.Set, [2]string{"cookie", strings.Join(rest, "; ")})
	}
}

func header(headers [][2]string, name string) string {
	for i := range headers {
		if headers[i][0] == name {
			return headers[i][1]
		}
	}
	return ""
}

// withoutParameter takes every parameter of that name out of a path's query.
func withoutParameter(path, name string) string {
	before, query, _ := strings.Cut(path, "?")
	var rest []string
	for _, part := range strings.Split(query, "&") {
		if n, _, _ := strings.Cut(part, "="); n != name {
			rest = append(rest, part)
		}
	}
	if len(rest) == 0 {
		return before
	}
	return before + "?" + strings.Join(rest, "&")
}

// headerText writes a claim as the value of a header: a string, number or bool, or a list of them joined with commas. ok is false where that could be read as something else
// there: a line break, NUL, another control character, bytes beyond ASCII, or a comma within an item of a list.
func headerText(v gjson.Result) (text string, ok bool) {
	if !v.IsArray() {
		return scalarText(v)
	}
	var items []string
	ok = true
	v.ForEach(func(_, item gjson.Result) bool {
		text, scalar := scalarText(item)
		ok = scalar && strings.IndexByte(text, ',') < 0
		items = append(items, text)
		return ok
	})
	return strings.Join(items, ","), ok && len(items) > 0
}

func scalarText(v gjson.Result) (text string, ok bool) {
	switch {
	case v.Type == gjson.String:
		text = v.Str
	case v.Type == gjson.Number, v.IsBool():
		text = v.Raw
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return "", false
		}
	}
	return text, text != ""
}
