// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// Effect tells what becomes of the request's headers, into e, whose memory is reused. What a client
// sent under a name that this filter writes is removed whatever was decided, so that the service
// behind can believe what it finds there.
func (d *Decision) Effect(e *forward.Effect) {
	e.Reset()
	if d.verified != nil {
		e.Identity = d.verified.claims.Raw
	}
	if p := d.policy; p.claims.Any() || p.stripToken {
		d.forward(e)
	}
}

//go:noinline
func (d *Decision) forward(e *forward.Effect) {
	p := d.policy
	p.claims.Remove(e, d.headers)
	if p.stripToken && d.looked {
		d.strip(e)
	}
	if v := d.verified; v != nil {
		p.claims.Write(e, v.claims, v.encoded)
	}
}

// strip takes the credentials away: in shadow mode a request goes on with more than one, or with
// one that is none. A header whose name only folds to a token's is removed, too: it was not looked
// at, and a server that confuses the two would take it for what was.
func (d *Decision) strip(e *forward.Effect) {
	var cookies []string
	var offered []*location
	var path string
	for _, l := range d.policy.locations {
		if l.header != "" {
			for i := range d.headers {
				if name := d.headers[i][0]; name != l.header && forward.Fold(name) == forward.Fold(l.header) {
					e.RemoveHeader(name)
				}
			}
		}
		if _, code := l.find(d.headers, d.request.Query); code == TokenMissing {
			continue // an Authorization of another scheme stays
		}
		switch {
		case l.query != "":
			if path == "" {
				path = forward.Header(d.headers, ":path")
			}
			path = withoutParameter(path, l.query)
		case l.cookie != "":
			cookies = append(cookies, l.cookie)
		case l.isSubprotocol():
			offered = append(offered, l)
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
	if len(offered) > 0 {
		stripSubprotocols(e, d.headers, offered)
	}
	if len(cookies) > 0 {
		d.stripCookies(cookies, e)
	}
}

func (d *Decision) stripCookies(names []string, e *forward.Effect) {
	e.Remove = append(e.Remove, "cookie")
	var rest []string
	for i := range d.headers {
		if d.headers[i][0] != "cookie" {
			continue
		}
		for _, pair := range strings.Split(d.headers[i][1], ";") {
			pair = strings.Trim(pair, " \t")
			if name, _, _ := strings.Cut(pair, "="); pair != "" && !contains(names, strings.TrimRight(name, " \t")) {
				rest = append(rest, pair)
			}
		}
	}
	if len(rest) > 0 {
		e.Set = append(e.Set, [2]string{"cookie", strings.Join(rest, "; ")})
	}
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
