// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/parameter"
	"github.com/tollgate-wasm/tollgate/shared/sha2"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// subject is what a key is made of. All but the request is asked for only when a limit that fits needs it.
type subject struct {
	headers [][2]string
	request match.Request
	claims  gjson.Result // a JSON object; nothing where there is none
	source  address
	from    reading // of source
	peer    string
}

// reading is how something was found. What is there and cannot be read is not missing: whoever can
// spoil it must not get around a limit by that.
type reading uint8

const (
	found      reading = iota
	absent             // nobody has sent it
	unreadable         // it is there, and is not what it should be, or could be read in several ways
)

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
	for _, r := range l.rates() {
		if r.claim.path != nil {
			n = needIdentity
		}
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

// A key is its parts, each a letter for its kind, its length and its bytes: nothing that stands in
// one part can be taken for another. Two of the kinds stand for a whole key that has no value.
const (
	noPart  = '-' // onMissingKey: shared
	badPart = '*' // a part of it cannot be read: all such requests have one bucket
)

func appendPart(dst []byte, kind byte, value string) []byte {
	return append(binary.AppendUvarint(append(dst, kind), uint64(len(value))), value...)
}

// appendKey appends the parts of a request's key. Where one of them cannot be read, that is the
// whole key; where one is absent and none is of that kind, there is no key.
func (s *subject) appendKey(dst []byte, l *limit, hit *match.Hit) (key []byte, how reading) {
	start := len(dst)
	for i := range l.key {
		p := &l.key[i]
		read := found
		switch p.kind {
		case claim:
			dst, read = appendClaim(dst, s.claims, p.path)
		case header:
			dst, read = appendHeader(dst, s.headers, p.text)
		case sourceAddress:
			dst, read = appendAddress(dst, s.source, p.prefixes), s.from
		case forwardedAddress:
			var a address
			a, read = forwardedFor(s.headers, p.hops)
			dst = appendAddress(dst, a, p.prefixes)
		case host:
			if dst = appendPart(dst, 'o', s.request.Host); s.request.Host == "" {
				read = absent
			}
		case method:
			dst = appendPart(dst, 'm', s.request.Method)
		case pathTemplate:
			dst = appendPart(dst, 't', hit.Template())
		case pathVariable:
			value, ok := hit.Variable(p.text)
			if dst = appendPart(dst, 'v', value); !ok {
				read = absent
			}
		case peer:
			if dst = appendPart(dst, 'p', s.peer); s.peer == "" {
				read = absent
			}
		case constant:
			dst = appendPart(dst, 'c', p.text)
		case query:
			dst, read = appendQuery(dst, s.request.Query, p.text)
		case cookie:
			dst, read = appendCookie(dst, s.headers, p.text)
		}
		how = max(how, read)
	}
	if how == unreadable {
		dst = appendPart(dst[:start], badPart, "")
	}
	return dst, how
}

// appendClaim appends what a claim says.
func appendClaim(dst []byte, claims gjson.Result, path []string) ([]byte, reading) {
	v := claims
	for _, name := range path {
		switch {
		case v.Type == gjson.Null:
			return dst, absent
		case !v.IsObject():
			return dst, unreadable
		}
		v, _ = strictjson.Member(v, name)
	}
	switch {
	case v.Type == gjson.Null:
		return dst, absent
	case v.IsArray():
		return appendList(dst, v)
	}
	item, ok := scalarPart(v)
	if !ok {
		return dst, unreadable
	}
	return appendPart(dst, item.kind, item.text), found
}

// scalar is a string, number or bool with the letter of its kind: the string 1 is not the number.
type scalar struct {
	kind byte
	text string
}

// scalarPart gives a value the form in which it is compared. An empty string names nobody, nor does
// an object or a list within a list.
func scalarPart(v gjson.Result) (s scalar, ok bool) {
	switch {
	case v.Type == gjson.String:
		return scalar{'s', v.Str}, v.Str != ""
	case v.Type == gjson.Number:
		return scalar{'n', canonicalNumber(v.Raw)}, true
	case v.IsBool():
		return scalar{'b', v.Raw}, true
	}
	return scalar{}, false
}

// appendList appends the items of a list, sorted and each once, behind their number: an issuer may
// write them in any order. A list of one is that one, since issuers write it either way. Null is
// absent, here as elsewhere; a list of nothing names nobody.
func appendList(dst []byte, list gjson.Result) (_ []byte, how reading) {
	var items []string
	list.ForEach(func(_, v gjson.Result) bool {
		if v.Type == gjson.Null {
			return true
		}
		s, ok := scalarPart(v)
		if !ok {
			how = unreadable
			return false
		}
		items = append(items, string(appendPart(nil, s.kind, s.text)))
		return true
	})
	slices.Sort(items)
	items = slices.Compact(items)
	switch {
	case how != found || len(items) == 0:
		return dst, unreadable
	case len(items) > 1:
		dst = appendPart(dst, 'l', strconv.Itoa(len(items)))
	}
	for _, item := range items {
		dst = append(dst, item...)
	}
	return dst, found
}

// canonicalNumber writes a JSON number in the one way in which all spellings of its value are
// written, without rounding it as a float64 would: 1, 1.0 and 10e-1 are one customer.
func canonicalNumber(raw string) string {
	digits := make([]byte, 0, len(raw))
	exponent, i := 0, 0
	for fraction := false; i < len(raw) && raw[i]|0x20 != 'e'; i++ {
		switch c := raw[i]; {
		case c == '.':
			fraction = true
		case c >= '0' && c <= '9':
			digits = append(digits, c)
			if fraction {
				exponent--
			}
		}
	}
	if i < len(raw) {
		n, err := strconv.Atoi(raw[i+1:])
		if err != nil { // out of range: whoever is called that shares with who is called something like it
			n = math.MaxInt32
		}
		exponent += min(max(n, math.MinInt32), math.MaxInt32)
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return "0" // -0, too
	}
	sign := ""
	if raw[0] == '-' {
		sign = "-"
	}
	const maxZeros = 20 // as many as any identifier has
	if exponent < 0 || exponent > maxZeros {
		return sign + string(digits) + "e" + strconv.Itoa(exponent)
	}
	return sign + string(digits) + "00000000000000000000"[:exponent]
}

// theOnly is how a value was found of which there are n. An empty one names nobody. Of several nobody
// knows which the upstream believes, so that whoever sends them must not have a bucket for each
// combination.
func theOnly(value string, n int) reading {
	switch {
	case n == 0:
		return absent
	case n > 1 || value == "":
		return unreadable
	}
	return found
}

// appendHeader appends a header's value, however long: it is hashed, not kept, and cut short it
// would be the same as others.
func appendHeader(dst []byte, headers [][2]string, name string) ([]byte, reading) {
	value, n := "", 0
	for i := range headers {
		if headers[i][0] == name {
			value = headers[i][1]
			n++
		}
	}
	if how := theOnly(value, n); how != found {
		return dst, how
	}
	return appendPart(dst, 'h', value), found
}

// appendQuery appends a parameter of the query, found and decoded as servers do that: whoever escapes
// its name, or its value, has no other bucket.
func appendQuery(dst []byte, query, name string) ([]byte, reading) {
	value, n := parameter.Form(query, name)
	if how := theOnly(value, n); how != found {
		return dst, how
	}
	start := len(dst)
	dst, ok := parameter.AppendDecoded(dst, value)
	if !ok {
		return dst, unreadable
	}
	return shiftPart(dst, start, 'q'), found
}

// shiftPart makes a part of what stands behind start.
func shiftPart(dst []byte, start int, kind byte) []byte {
	size := len(dst) - start
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := 1 + binary.PutUvarint(head[1:], uint64(size))
	dst = append(dst, head[:n]...)
	copy(dst[start+n:], dst[start:start+size])
	copy(dst[start:], head[:n])
	return dst
}

// appendCookie appends a cookie's value.
func appendCookie(dst []byte, headers [][2]string, name string) ([]byte, reading) {
	value, n := parameter.Cookie(headers, name)
	if how := theOnly(value, n); how != found {
		return dst, how
	}
	return appendPart(dst, 'k', value), found
}

func appendAddress(dst []byte, a address, p prefixes) []byte {
	masked := p.masked(a)
	return append(binary.AppendUvarint(append(dst, 'a'), uint64(len(masked))), masked...)
}

const xForwardedFor = "x-forwarded-for"

// forwardedFor is the hops-th address from the right of all x-forwarded-for together: each proxy
// appends whom it has the request from, so that what stands left of what trusted ones have appended
// is whatever the client likes. It is absent where there are fewer than hops, and unreadable where
// something else than an address stands in that place: nothing, unknown, a name (RFC 7239 §6.3), an
// IPv6 address with a port but without brackets.
func forwardedFor(headers [][2]string, hops int) (address, reading) {
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i][0] != xForwardedFor {
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
				a, ok := parseAddress(strings.Trim(item, " \t"))
				if !ok {
					return address{}, unreadable
				}
				return a, found
			}
		}
	}
	return address{}, absent
}

// rateOf is the rate for the request.
func (d *Decision) rateOf(l *limit) *rate {
	r := l.tierOf(&d.subject)
	if r.claim.path == nil {
		return r
	}
	return d.own(l, r)
}

// tierOf is the rate of the request's tier: of a claim that is a list, the first tier in the
// configuration's order that is one of its items. Who says twice which tier it is in is in none.
func (l *limit) tierOf(s *subject) *rate {
	if len(l.tierClaim) == 0 {
		if l.tierHeader != "" {
			return l.tierOfHeader(s.headers)
		}
		return &l.rate
	}
	v, ok := jwt.Claim(s.claims, l.tierClaim)
	if !ok {
		return &l.rate
	}
	for _, r := range l.tiers {
		in := r.is(v)
		if v.IsArray() {
			v.ForEach(func(_, item gjson.Result) bool {
				in = in || r.is(item)
				return !in
			})
		}
		if in {
			return r
		}
	}
	return &l.rate
}

func (l *limit) tierOfHeader(headers [][2]string) *rate {
	tier, n := &l.rate, 0
	for i := range headers {
		if headers[i][0] != l.tierHeader {
			continue
		}
		if n++; n > 1 {
			return &l.rate
		}
		for _, r := range l.tiers {
			if r.tier == headers[i][1] {
				tier = r
			}
		}
	}
	return tier
}

// is reports whether a value is the tier's. Tiers are called by strings; a number is one of these in any spelling.
func (r *rate) is(v gjson.Result) bool {
	s, ok := scalarPart(v)
	return ok && (s.text == r.tier || s.kind == 'n' && v.Raw == r.tier)
}

// of is what the request costs. What a client sends never makes it cheaper than the default: what
// cannot be read costs max, as more than that does, and of several values the highest counts.
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
			if item = strings.Trim(item, " \t"); item == "" && strings.Trim(headers[i][1], " \t,") != "" {
				continue // an empty item of a list is nothing (RFC 9110 §5.6.1.2)
			}
			most = max(most, c.asked(item))
		}
	}
	return most
}

// asked reads a number as programs write it, with decimals or without, and rounds it up.
func (c *cost) asked(text string) (n int64) {
	whole, decimals, _ := strings.Cut(text, ".")
	up := int64(0)
	for i := range len(decimals) {
		if d := decimals[i]; d < '0' || d > '9' {
			return c.mostAsked
		} else if d > '0' {
			up = 1
		}
	}
	for i := range len(whole) {
		d := whole[i]
		if d < '0' || d > '9' {
			return c.mostAsked
		}
		n = min(10*n+int64(d-'0'), c.mostAsked)
	}
	if whole == "" {
		return c.mostAsked
	}
	return min(n+up, c.mostAsked)
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

// readable writes a key's parts with a bar between them; what else a bar or a % could mean is
// escaped. So is the underscore, with which envoyproxy/ratelimit joins the entries of a descriptor
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
	if kind == globalTag && r.claim.path != nil { // what was said of one number is not said of another
		p.text = binary.AppendUvarint(p.text, uint64(r.requests))
	}
	p.text = append(p.text, key...)
	return p.seed.Tag(p.text)
}

// The kinds of tags.
const (
	localTag    = 'k'
	fallbackTag = 'f' // of a global limit whose service does not tell
	// of what the keys of a limit share that have no place; a localTag or fallbackTag follows in place of a key
	sharedTag = 's'
	globalTag = 'g' // under which a VM remembers what the service has said
)
