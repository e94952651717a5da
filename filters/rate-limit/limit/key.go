// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/sha2"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// identityLimits are those of the claims that an earlier filter has verified: what jwt-scope lets through at most.
var identityLimits = strictjson.Limits{Depth: 64, Members: 1 << 12, Number: 32}

// subject is what a key is made of. All but the request is asked for only when a limit that fits needs it.
type subject struct {
	headers [][2]string
	request match.Request
	claims  gjson.Result // a JSON object; nothing where there is none
	source  address
	peer    string
}

// needs are what of a subject is wanted or known.
type needs uint8

const (
	needIdentity needs = 1 << iota
	needSource
	needPeer
)

// needs of a limit.
func (l *limit) needs() (n needs) {
	if len(l.tierClaim) > 0 {
		n = needIdentity
	}
	for i := range l.key {
		switch l.key[i].kind {
		case claim:
			n |= needIdentity
		case sourceAddress:
			n |= needSource
		case peer:
			n |= needPeer
		}
	}
	return n
}

// A key is its parts, each a letter for its kind, its length and its bytes: nothing that stands in one part can be taken for another. Two of the kinds stand for what has no value.
const (
	noPart   = '-' // onMissingKey: shared
	severals = '*' // a header that stands there more than once
)

func appendPart(dst []byte, kind byte, value string) []byte {
	return append(binary.AppendUvarint(append(dst, kind), uint64(len(value))), value...)
}

// appendKey appends the parts of a request's key. ok is false where one is missing.
func (s *subject) appendKey(dst []byte, l *limit, hit *match.Hit) (key []byte, ok bool) {
	for i := range l.key {
		p := &l.key[i]
		ok := true
		switch p.kind {
		case claim:
			dst, ok = appendClaim(dst, s.claims, p.path)
		case header:
			dst, ok = appendHeader(dst, s.headers, p.text)
		case sourceAddress:
			dst, ok = appendAddress(dst, s.source, p.prefixes)
		case forwardedAddress:
			dst, ok = appendAddress(dst, forwardedFor(s.headers, p.hops), p.prefixes)
		case host:
			dst, ok = appendPart(dst, 'o', s.request.Host), s.request.Host != ""
		case method:
			dst = appendPart(dst, 'm', s.request.Method)
		case pathTemplate:
			dst = appendPart(dst, 't', hit.Template())
		case pathVariable:
			var value string
			value, ok = hit.Variable(p.text)
			dst = appendPart(dst, 'v', value)
		case peer:
			dst, ok = appendPart(dst, 'p', s.peer), s.peer != ""
		case constant:
			dst = appendPart(dst, 'c', p.text)
		}
		if !ok {
			return dst, false
		}
	}
	return dst, true
}

// appendClaim appends a string, number or bool; a string that is empty, and anything else, names nobody.
func appendClaim(dst []byte, claims gjson.Result, path []string) ([]byte, bool) {
	v, _ := jwt.Claim(claims, path)
	switch {
	case v.Type == gjson.String && v.Str != "":
		return appendPart(dst, 's', v.Str), true
	case v.Type == gjson.Number:
		return appendPart(dst, 'n', v.Raw), true
	case v.IsBool():
		return appendPart(dst, 'b', v.Raw), true
	}
	return dst, false
}

// appendHeader appends a header's value, however long: it is hashed, not kept, and cut short it would be the same as others. An empty one names nobody. Of several nobody knows which the
// upstream believes, so that whoever sends them must not have a bucket for each combination: all of them have one.
func appendHeader(dst []byte, headers [][2]string, name string) ([]byte, bool) {
	value, n := "", 0
	for i := range headers {
		if headers[i][0] == name {
			value = headers[i][1]
			n++
		}
	}
	if n > 1 {
		return appendPart(dst, severals, ""), true
	}
	return appendPart(dst, 'h', value), value != ""
}

func appendAddress(dst []byte, a address, p prefixes) ([]byte, bool) {
	masked := p.masked(a)
	return append(binary.AppendUvarint(append(dst, 'a'), uint64(len(masked))), masked...), a.size > 0
}

// forwardedFor is the hops-th address from the right of all x-forwarded-for together: each proxy appends whom it has the request from, so that what stands left of what trusted ones have
// appended is whatever the client likes. Nothing in that place, or something that is no address, is no address.
func forwardedFor(headers [][2]string, hops int) address {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i][0] != "x-forwarded-for" {
			continue
		}
		for rest, more := headers[i][1], true; more; hops-- {
			var item string
			comma := strings.LastIndexByte(rest, ',')
			if more = comma >= 0; more {
				rest, item = rest[:comma], rest[comma+1:]
			} else {
				item = rest
			}
			if hops == 1 {
				a, _ := parseAddress(strings.Trim(item, " \t"))
				return a
			}
		}
	}
	return address{}
}

// tierOf is the rate for the request.
func (l *limit) tierOf(claims gjson.Result) *rate {
	if len(l.tierClaim) > 0 {
		if v, ok := jwt.Claim(claims, l.tierClaim); ok {
			text := v.Str
			if v.Type == gjson.Number || v.IsBool() {
				text = v.Raw
			}
			for _, r := range l.tiers {
				if r.tier == text {
					return r
				}
			}
		}
	}
	return &l.rate
}

// of is what the request costs. What a client sends never makes it cheaper than the default: anything but digits costs that, more than max costs max, and of several values the highest
// counts.
func (c *cost) of(headers [][2]string) int64 {
	most := c.ownCost
	if c.header == "" {
		return most
	}
	for i := range headers {
		if headers[i][0] != c.header {
			continue
		}
		for rest, more := headers[i][1], true; more; {
			var item string
			item, rest, more = strings.Cut(rest, ",")
			most = max(most, c.asked(strings.Trim(item, " \t")))
		}
	}
	return most
}

func (c *cost) asked(digits string) (n int64) {
	for i := range len(digits) {
		d := digits[i]
		if d < '0' || d > '9' {
			return 0
		}
		n = min(10*n+int64(d-'0'), c.mostAsked)
	}
	return n
}

// maxPlain is how long a readable key may be.
const maxPlain = 256

// descriptorKey is how the service knows a key.
func descriptorKey(key []byte, plain bool) string {
	if plain {
		if text := readable(key); len(text) <= maxPlain {
			return text
		}
	}
	h := sha2.New256()
	_, _ = h.Write(key) // never fails
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// readable writes a key's parts with a bar between them; what else a bar or a % could mean is escaped. So is the underscore, with which envoyproxy/ratelimit joins the entries of a descriptor
// to a key of Redis: who chooses a part of the key must not end it and go on with a tier.
func readable(key []byte) string {
	var b []byte
	for len(key) > 0 {
		kind := key[0]
		size, n := binary.Uvarint(key[1:])
		value := key[1+n : 1+n+int(size)]
		key = key[1+n+int(size):]
		if len(b) > 0 {
			b = append(b, '|')
		}
		b = append(b, kind, ':')
		if kind == 'a' {
			b = appendAddressText(b, value)
			continue
		}
		for _, c := range value {
			if c <= ' ' || c > '~' || c == '%' || c == '|' || c == '_' {
				const hex = "0123456789ABCDEF"
				b = append(b, '%', hex[c>>4], hex[c&15])
				continue
			}
			b = append(b, c)
		}
	}
	return string(b)
}

func appendAddressText(b, value []byte) []byte {
	for i := range value {
		switch {
		case len(value) == 4 && i > 0:
			b = append(b, '.')
		case i > 0 && i%2 == 0:
			b = append(b, ':')
		}
		if len(value) == 4 {
			b = strconv.AppendUint(b, uint64(value[i]), 10)
		} else if i%2 == 1 {
			b = strconv.AppendUint(b, uint64(value[i-1])<<8|uint64(value[i]), 16)
		}
	}
	return b
}

// tag is how the table knows a key of a limit and a tier. fallback is that of a global limit.
func (p *Policy) tag(l *limit, r *rate, kind byte, key []byte) uint64 {
	p.text = appendPart(appendPart(append(p.text[:0], kind), 'l', l.name), 'r', r.tier)
	p.text = append(p.text, key...)
	return p.seed.Tag(p.text)
}

// The kinds of tags.
const (
	localTag    = 'k'
	fallbackTag = 'f' // of a global limit whose service does not tell
	sharedTag   = 's' // of what the keys of a limit share that have no place; a localTag or fallbackTag follows in place of a key
	globalTag   = 'g' // under which a VM remembers what the service has said
)
