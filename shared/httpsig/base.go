// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package httpsig

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

// Message is what a signature can cover of a request or, where Method is empty, of a response.
type Message struct {
	Method    string
	Scheme    string
	Authority string // :authority
	Path      string // :path as sent: the path with the query
	Status    int    // of a response

	// Fields are names in lower case and values, in the order of the message; a name may come
	// several times. Names that begin with a colon are no fields and are never found.
	Fields [][2]string
}

// Base returns the signature base of m (§2.5).
func (in *Input) Base(m *Message) (string, error) {
	// Twice the names, each with its quotes and separators, and about what the values of derived components need.
	size := 128 + len(m.Method) + 2*len(m.Path) + len(m.Authority)
	for i := range in.Components {
		size += 2*len(in.Components[i].Value.Text) + 8
	}
	for i := range in.Parameters {
		size += len(in.Parameters[i].Name) + len(in.Parameters[i].Value.Text) + 16
	}
	b, err := in.AppendBase(make([]byte, 0, size), m)
	return string(b), err
}

// AppendBase appends the signature base of m (§2.5). Components that m lacks, that are not known
// here or whose values cannot be signed are errors.
func (in *Input) AppendBase(dst []byte, m *Message) (_ []byte, err error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var scratch []byte // what query parameters are decoded into
	for i := range in.Components {
		c := &in.Components[i]
		if dst, err = sfv.AppendItem(dst, c); err != nil {
			return nil, ErrComponent
		}
		dst = append(dst, ": "...)
		if c.Value.Text[0] == '@' {
			dst, err = appendDerived(dst, c, m, &scratch)
		} else {
			dst, err = appendField(dst, c, m)
		}
		if err != nil {
			return nil, err
		}
		dst = append(dst, '\n')
	}
	return in.appendParams(append(dst, `"@signature-params": `...))
}

// appendDerived appends the value of a derived component (§2.2).
func appendDerived(dst []byte, c *sfv.Item, m *Message, scratch *[]byte) (_ []byte, err error) {
	name := c.Value.Text
	switch name {
	case "@status":
		if m.Method != "" {
			return nil, ErrUnsupported // no request can ever have it
		}
		if m.Status < 100 || m.Status > 999 {
			return nil, ErrAbsent
		}
	case "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param":
		if m.Method == "" {
			return nil, ErrAbsent
		}
	default:
		return nil, ErrUnsupported
	}
	if name == "@query-param" {
		if len(c.Parameters) != 1 || c.Parameters[0].Name != "name" || c.Parameters[0].Value.Kind != sfv.String {
			return nil, ErrUnsupported
		}
		_, query, err := target(m)
		if err != nil {
			return nil, err
		}
		return appendQueryParam(dst, strings.TrimPrefix(query, "?"), c.Parameters[0].Value.Text, scratch)
	}
	if len(c.Parameters) > 0 {
		return nil, ErrUnsupported
	}
	start := len(dst)
	switch name {
	case "@status":
		dst = strconv.AppendInt(dst, int64(m.Status), 10)
	case "@method":
		dst = append(dst, m.Method...)
	case "@scheme":
		dst, err = appendLower(dst, m.Scheme)
	case "@authority":
		dst, err = appendAuthority(dst, m)
	case "@request-target":
		dst, err = appendRequestTarget(dst, m)
	default:
		var path, query string
		if path, query, err = target(m); err != nil {
			return nil, err
		}
		switch name {
		case "@path":
			dst = append(dst, path...)
		case "@query":
			if query == "" {
				query = "?"
			}
			dst = append(dst, query...)
		default:
			if dst, err = appendLower(dst, m.Scheme); err == nil {
				dst, err = appendAuthority(append(dst, "://"...), m)
			}
			dst = append(append(dst, path...), query...)
		}
	}
	if err != nil {
		return nil, err
	}
	if value := dst[start:]; !printable(value) || value[0] == ' ' || value[len(value)-1] == ' ' {
		return nil, ErrValue
	}
	return dst, nil
}

// printable is what §2.2 limits the values of derived components to.
func printable[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// target returns the path, which is / where the request has none (§2.2.6), and the query with its
// question mark, or nothing. The * of OPTIONS has neither.
func target(m *Message) (path, query string, err error) {
	if path = m.Path; path != "" && path[0] != '/' && path[0] != '?' {
		return "", "", ErrAbsent
	}
	// A number sign begins what is never sent (RFC 9110 §7.1): some readers would cut there and others would not.
	if !printable(path) || strings.IndexByte(path, '#') >= 0 {
		return "", "", ErrValue
	}
	if mark := strings.IndexByte(path, '?'); mark >= 0 {
		path, query = path[:mark], path[mark:]
	}
	if path == "" {
		path = "/"
	}
	return path, query, nil
}

// appendRequestTarget appends the request target (§2.2.5): of CONNECT, which has no path, the authority.
func appendRequestTarget(dst []byte, m *Message) ([]byte, error) {
	value := m.Path
	if m.Method == "CONNECT" && value == "" {
		value = m.Authority
	}
	if value == "" {
		return nil, ErrAbsent
	}
	return append(dst, value...), nil
}

// appendAuthority appends the authority in its normal form (§2.2.3, RFC 9110 §4.2.3): in lower
// case, without a port that is empty or the default of the scheme.
func appendAuthority(dst []byte, m *Message) ([]byte, error) {
	host := m.Authority
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 &&
		(strings.IndexByte(host, ':') == colon || host[colon-1] == ']') {
		port := host[colon+1:]
		if port == "" || port == "443" && strings.EqualFold(m.Scheme, "https") || port == "80" &&
			strings.EqualFold(m.Scheme, "http") {
			host = host[:colon]
		}
	}
	return appendLower(dst, host)
}

// appendLower appends a scheme or an authority in lower case. What ends a scheme or an authority in
// a URI has no place inside of one, user information neither (RFC 9110 §4.2.4).
func appendLower(dst []byte, s string) ([]byte, error) {
	if s == "" {
		return nil, ErrAbsent
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '/', c == '?', c == '#', c == '@', c == '\\', c == ' ', c == ',':
			return nil, ErrValue
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// appendQueryParam appends the value of the parameter whose encoded name is name (§2.2.8). One that
// comes twice must not be covered.
func appendQueryParam(dst []byte, query, name string, scratch *[]byte) ([]byte, error) {
	found := false
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		at := len(dst)
		var ok bool
		// A name that is not UTF-8 would be another one to every reader.
		if dst, ok = appendForm(dst, key, scratch); !ok {
			return nil, ErrAmbiguous
		}
		mine := string(dst[at:]) == name
		if dst = dst[:at]; !mine {
			continue
		}
		if found {
			return nil, ErrAmbiguous
		}
		if dst, ok = appendForm(dst, value, scratch); !ok {
			return nil, ErrAmbiguous
		}
		found = true
	}
	if !found {
		return nil, ErrAbsent
	}
	return dst, nil
}

const upperHex = "0123456789ABCDEF"

// appendForm appends s after decoding it as application/x-www-form-urlencoded and percent-encoding
// it with the set of that name (URL Standard §5.1, §1.3): a space becomes %20. It is not ok where
// what is decoded is not UTF-8. It decodes into scratch.
func appendForm(dst []byte, s string, scratch *[]byte) (_ []byte, ok bool) {
	decoded := (*scratch)[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if high, low := unhex(s[i+1]), unhex(s[i+2]); high|low < 16 {
				c = high<<4 | low
				i += 2
			}
		}
		decoded = append(decoded, c)
	}
	*scratch = decoded
	for _, c := range decoded {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '*' || c == '-' || c == '.' || c == '_' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst, utf8.Valid(decoded)
}

// unhex is at least 16 for what is no digit.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// structured are the fields known to be structured, all of them dictionaries: those of RFC 9421 and
// RFC 9530, and that of Web Bot Auth (draft-ietf-webbotauth-httpsig-protocol-01).
func structured(name string) bool {
	switch name {
	case "signature", "signature-input", "accept-signature", "content-digest", "repr-digest", "want-content-digest",
		"want-repr-digest", "signature-agent":
		return true
	}
	return false
}

// appendField appends the value of a field (§2.1).
func appendField(dst []byte, c *sfv.Item, m *Message) ([]byte, error) {
	var wrapped, strict, member bool
	var key string
	for _, p := range c.Parameters {
		switch {
		case p.Name == "bs" && p.Value == (sfv.Value{Kind: sfv.Boolean, Int: 1}):
			wrapped = true
		case p.Name == "sf" && p.Value == (sfv.Value{Kind: sfv.Boolean, Int: 1}) && structured(c.Value.Text):
			strict = true
		case p.Name == "key" && p.Value.Kind == sfv.String:
			member, key = true, p.Value.Text
		default:
			return nil, ErrUnsupported
		}
	}
	if wrapped && (strict || member) {
		return nil, ErrUnsupported // §2.1: one wants the bytes, the other what they mean
	}
	start, found := len(dst), false
	for i := range m.Fields {
		if m.Fields[i][0] != c.Value.Text {
			continue
		}
		if found {
			dst = append(dst, ", "...)
		}
		found = true
		at := len(dst)
		var ok bool
		if dst, ok = appendLine(dst, m.Fields[i][1], wrapped); !ok {
			return nil, ErrValue
		}
		if wrapped {
			item := sfv.Item{Value: sfv.Value{Kind: sfv.Bytes, Text: string(dst[at:])}}
			dst, _ = sfv.AppendItem(dst[:at], &item) // Bytes can always be written
		}
	}
	if !found {
		return nil, ErrAbsent
	}
	if !strict && !member {
		return dst, nil
	}
	// All lines are one dictionary (§2.1.1, §2.1.2), in which nothing may stand twice: the base would not tell.
	members, err := dictionary(string(dst[start:]))
	if err != nil {
		return nil, err
	}
	dst = dst[:start]
	if !member {
		if dst, err = sfv.AppendDictionary(dst, members); err != nil {
			return nil, ErrSyntax
		}
		return dst, nil
	}
	for i := range members {
		if members[i].Name == key {
			if dst, err = sfv.AppendItem(dst, &members[i].Item); err != nil {
				return nil, ErrSyntax
			}
			return dst, nil
		}
	}
	return nil, ErrAbsent
}

// appendLine appends the value of one line of a field, without white space around it and each line
// fold a space (§2.1, RFC 9112 §5.2). What is not text is an error: line breaks would begin another
// line of the base, and what is not ASCII must not be in it, except where it is wrapped.
func appendLine(dst []byte, value string, wrapped bool) (_ []byte, ok bool) {
	value = strings.Trim(value, " \t")
	start := len(dst)
	line := start // where the line being read begins in dst
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\r':
			if i+2 >= len(value) || value[i+1] != '\n' || value[i+2] != ' ' && value[i+2] != '\t' {
				return nil, false
			}
			for i += 2; i+1 < len(value) && (value[i+1] == ' ' || value[i+1] == '\t'); {
				i++
			}
			for len(dst) > line && (dst[len(dst)-1] == ' ' || dst[len(dst)-1] == '\t') {
				dst = dst[:len(dst)-1]
			}
			if len(dst) > start {
				dst = append(dst, ' ')
			}
			line = len(dst)
		case c < ' ' && c != '\t', c == 0x7f, c > 0x7f && !wrapped:
			return nil, false
		default:
			dst = append(dst, c)
		}
	}
	return dst, true
}
