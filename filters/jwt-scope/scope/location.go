// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/parameter"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// location is a place where a request may have its token. Providers that name the same place share it.
type location struct {
	header string // in lower case
	scheme string // of header, in lower case; empty: the header's value is the token
	cookie string
	query  string

	// Of Sec-WebSocket-Protocol, which is then the header: browsers give a page no other header of a handshake to write.
	after string // the item behind this one is the token
	start string // an item that starts so has the token behind that, in base64url

	prefix string // how most clients write the scheme, with its space: "Bearer "
}

// readLocations reads where a provider's tokens stand: one place, or a list.
func (c *config) readLocations(o *conf.Object, p *provider) {
	n, ok := o.At("token")
	if !ok {
		p.locations = []*location{c.location(location{header: "authorization", scheme: "bearer", prefix: "Bearer "})}
		return
	}
	items := []conf.Node{n}
	if n.Value().IsArray() {
		items = n.List()
	}
	for _, item := range items {
		t := item.Object()
		var l location
		places := 0
		if h, ok := t.At("header"); ok {
			places++
			l.header = forward.ReadHeaderName(h)
		}
		if s, ok := t.At("scheme"); ok {
			l.scheme, l.prefix = strings.ToLower(s.Text()), s.Text()+" "
			if l.scheme != "" && !isToken(l.scheme) {
				s.Fault("want the name of an authentication scheme, such as Bearer")
			}
			if !t.Has("header") {
				l.scheme, l.prefix = "", ""
				s.Warn("has no effect: a scheme belongs to a header")
			}
		}
		for _, name := range [...]string{"cookie", "query", "subprotocol", "subprotocolPrefix"} {
			v, ok := t.At(name)
			if !ok {
				continue
			}
			places++
			text := v.Text()
			switch {
			case name[0] == 's' && !isToken(text):
				v.Fault("want the name of a subprotocol: the characters of an HTTP token (RFC 6455 §11.3.4)")
			case name == "cookie" && !isToken(text):
				v.Fault("want a cookie's name: the characters of an HTTP token (RFC 6265 §4.1.1)")
			case name == "query" && !isParameterName(text):
				v.Fault("want a name of letters, digits, - and _")
			}
			switch name {
			case "cookie":
				l.cookie = text
			case "query":
				l.query = text
			case "subprotocol":
				l.header, l.after = subprotocols, text
			default:
				l.header, l.start = subprotocols, text
			}
		}
		if places != 1 && item.IsObject() {
			item.Fault("name one of header, cookie, query, subprotocol and subprotocolPrefix; for several places give a list")
		}
		t.End()
		if places == 1 && l != (location{}) &&
			slices.ContainsFunc(p.locations, func(other *location) bool { return *other == l }) {
			item.Warn(conf.Repeated)
			continue
		}
		p.locations = append(p.locations, c.location(l))
	}
}

// allLocations are those of all providers, the narrower readings of a header first: "Bearer x" is the
// token x, also where the whole value may be one.
func (c *config) allLocations() (all []*location) {
	for _, provider := range c.providers {
		for _, l := range provider.locations {
			if slices.Contains(all, l) {
				continue
			}
			at := 0
			for at < len(all) && all[at].breadth() <= l.breadth() {
				at++
			}
			all = slices.Insert(all, at, l)
		}
	}
	return all
}

// breadth orders readings: the less it is, the less of a header they look at.
func (l *location) breadth() int {
	switch {
	case l.scheme != "":
		return -1 << 20
	case l.start != "":
		return -1<<10 - len(l.start)
	case l.after != "":
		return -1 << 10
	}
	return 0
}

// location returns the shared one that is like l.
func (c *config) location(l location) *location {
	for _, p := range c.providers {
		for _, other := range p.locations {
			if *other == l {
				return other
			}
		}
	}
	return &l
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !forward.IsTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isParameterName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}

// credential is a token with the places where it was found.
type credential struct {
	token string
	at    *location
	also  []*location // where the same bytes stand again
	known *verified   // the token has been verified before; nil: not that we remember
}

// findCredential looks for the request's token in all places. It returns TokenMissing,
// TokenAmbiguous or TokenMalformed where there is none, more than one, or one that is empty. A
// header with another scheme (Basic, say) is no credential of ours.
func (p *Policy) findCredential(headers [][2]string, query string) (found credential, refused *verdict.Code) {
	if len(p.locations) == 1 {
		l := p.locations[0]
		if known := l.findKnown(headers, p.cache); known != nil {
			return credential{known.token, l, nil, known}, nil
		}
	}
	return p.searchCredential(headers, query)
}

// searchCredential goes through all places. The same bytes in two of them are one credential: some
// gateways put a token into a header and a cookie. An empty place beside a token is none. Two
// readings of one header are one place: the first that finds something there is the narrower.
//
//go:noinline
func (p *Policy) searchCredential(headers [][2]string, query string) (found credential, refused *verdict.Code) {
	refused = TokenMissing
	for _, l := range p.locations {
		if found.at != nil && found.token != "" && l.isWithin(found.at) {
			continue
		}
		token, code := l.find(headers, query)
		switch {
		case code == TokenMissing:
		case code == TokenAmbiguous:
			return credential{}, TokenAmbiguous
		case found.at == nil, found.token == "" && token != "": // an empty cookie is what a logout has left
			found, refused = credential{token: token, at: l}, code
		case token == "":
		case code != nil || refused != nil || token != found.token:
			return credential{}, TokenAmbiguous
		default:
			found.also = append(found.also, l)
		}
	}
	if refused == nil {
		found.known = p.cache.find(found.token)
	}
	return found, refused
}

// isWithin reports whether the narrower reading takes what this one would: they are one place. Two
// subprotocols are two.
func (l *location) isWithin(narrower *location) bool {
	if l.header == "" || l.header != narrower.header {
		return false
	}
	return !l.isSubprotocol() || l.start != "" && strings.HasPrefix(narrower.start, l.start)
}

// places are those of the request's credentials, for people.
func (p *Policy) places(headers [][2]string, query string) (places []string) {
	taken := map[string]bool{}
	for _, l := range p.locations {
		if _, code := l.find(headers, query); code != TokenMissing && (l.header == "" || !taken[l.header]) {
			taken[l.header] = !l.isSubprotocol()
			place := l.String()
			if code == TokenAmbiguous {
				place += " (more than once)"
			}
			places = append(places, place)
		}
	}
	return places
}

// findKnown looks for a token that has been verified before, in the header of that name, if there
// is one such header: what was verified has nothing odd in it, and need not be searched for that
// again. nil: nothing is known.
func (l *location) findKnown(headers [][2]string, c *cache) (known *verified) {
	n := len(l.prefix)
	if n == 0 {
		return nil
	}
	for i := range headers {
		if headers[i][0] != l.header {
			continue
		}
		value := headers[i][1]
		if known != nil || len(value) <= n || value[:n] != l.prefix {
			return nil
		}
		if known = c.find(value[n:]); known == nil {
			return nil
		}
	}
	return known
}

//go:noinline
func (l *location) find(headers [][2]string, query string) (token string, refused *verdict.Code) {
	switch {
	case l.query != "":
		return l.findInQuery(query)
	case l.cookie != "":
		return l.findInCookies(headers)
	case l.isSubprotocol():
		return l.findInSubprotocols(headers)
	}
	return l.findInHeaders(headers)
}

func (l *location) findInHeaders(headers [][2]string) (token string, refused *verdict.Code) {
	seen := false
	refused = TokenMissing
	for i := range headers {
		if headers[i][0] != l.header {
			continue
		}
		value := headers[i][1]
		// Envoy joins repeated authorization headers with commas, and no token holds one; the parameters of other schemes do.
		if seen || strings.IndexByte(value, ',') >= 0 &&
			(l.scheme == "" || strings.Contains(strings.ToLower(value), l.scheme)) {
			return "", TokenAmbiguous
		}
		seen = true
		if l.scheme != "" {
			token, refused = schemeToken(value, l.scheme)
		} else if token, refused = value, nil; token == "" {
			refused = TokenMalformed
		}
	}
	return token, refused
}

// schemeToken takes the token out of "Bearer token" (RFC 6750 §2.1): the scheme in any case,
// spaces, and nothing behind the token. Refused, the token is what stands there instead.
func schemeToken(value, scheme string) (token string, refused *verdict.Code) {
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", TokenMissing
	}
	rest := value[len(scheme):]
	if rest != "" && forward.IsTokenChar(rest[0]) {
		return "", TokenMissing // another scheme, such as BearerX
	}
	token = strings.TrimLeft(rest, " ")
	if token == rest || token == "" || strings.IndexByte(token, ' ') >= 0 {
		return token, TokenMalformed // beside another credential it is one, though a bad one
	}
	return token, nil
}

// findInQuery compares names as they are sent: an escaped name is another one, to us and to whoever made the link.
func (l *location) findInQuery(query string) (token string, refused *verdict.Code) {
	return theOnly(parameter.Query(query, l.query))
}

func (l *location) findInCookies(headers [][2]string) (token string, refused *verdict.Code) {
	return theOnly(parameter.Cookie(headers, l.cookie))
}

// theOnly is the token where there is one.
func theOnly(value string, n int) (token string, refused *verdict.Code) {
	switch {
	case n == 0:
		return "", TokenMissing
	case n > 1:
		return "", TokenAmbiguous
	case value == "":
		return "", TokenMalformed
	}
	return value, nil
}
