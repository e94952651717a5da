// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package parameter finds what clients send beside paths and headers: parameters of the query, and
// cookies. Two of one name are for the caller to judge: servers differ in which of them they take.
package parameter

import (
	"strings"
	"unicode/utf8"
)

// Query finds a parameter by its name as it is sent, and returns the first value as it is sent, and
// how many there are; more than two count as two.
//
//go:noinline
func Query(query, name string) (value string, n int) {
	for query != "" && n < 2 {
		var part string
		part, query, _ = strings.Cut(query, "&")
		if sent, v, _ := strings.Cut(part, "="); sent == name {
			if n++; n == 1 {
				value = v
			}
		}
	}
	return value, n
}

// Form is Query by the name as servers read it (application/x-www-form-urlencoded): %6bey is key.
//
//go:noinline
func Form(query, name string) (value string, n int) {
	for query != "" && n < 2 {
		var part string
		part, query, _ = strings.Cut(query, "&")
		if sent, v, _ := strings.Cut(part, "="); isEncoded(sent, name) {
			if n++; n == 1 {
				value = v
			}
		}
	}
	return value, n
}

// isEncoded reports whether text, decoded, is plain.
func isEncoded(text, plain string) bool {
	for len(text) > 0 && len(plain) > 0 {
		c, size := decodeByte(text)
		if size == 0 || c != plain[0] {
			return false
		}
		text, plain = text[size:], plain[1:]
	}
	return len(text)+len(plain) == 0
}

// AppendDecoded appends what an encoded value says, in which + is a space. ok is false where it is not
// encoded as it should be: a % without two hexadecimal digits, or bytes that are not UTF-8.
//
//go:noinline
func AppendDecoded(dst []byte, text string) (_ []byte, ok bool) {
	start := len(dst)
	for len(text) > 0 {
		c, size := decodeByte(text)
		if size == 0 {
			return dst[:start], false
		}
		dst, text = append(dst, c), text[size:]
	}
	if !utf8.Valid(dst[start:]) {
		return dst[:start], false
	}
	return dst, true
}

// decodeByte reads the first byte of what is encoded, and how much of the text it takes; 0: it is badly encoded.
func decodeByte(text string) (c byte, size int) {
	switch c = text[0]; c {
	case '+':
		return ' ', 1
	case '%':
		if len(text) < 3 {
			return 0, 0
		}
		high, low := unhex(text[1]), unhex(text[2])
		if high > 15 || low > 15 {
			return 0, 0
		}
		return high<<4 | low, 3
	}
	return c, 1
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// Cookie finds a cookie (RFC 6265 §4.2), and returns the first value, without the quotation marks that
// it may have, and how many there are; more than two count as two.
//
//go:noinline
func Cookie(headers [][2]string, name string) (value string, n int) {
	for i := range headers {
		if headers[i][0] != "cookie" {
			continue
		}
		for rest := headers[i][1]; rest != "" && n < 2; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			sent, v, _ := strings.Cut(pair, "=")
			if strings.Trim(sent, " \t") != name { // Go's and Python's servers pass over white space there
				continue
			}
			if n++; n == 1 {
				value = strings.TrimSuffix(strings.TrimPrefix(strings.Trim(v, " \t"), `"`), `"`) // RFC 6265 §4.1.1
			}
		}
	}
	return value, n
}
