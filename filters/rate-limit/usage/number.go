// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import "math"

// form is how far what should be a JSON number (RFC 8259 section 6), or null, has come.
type form uint8

const (
	start    form = iota
	zero          // a 0, after which no digit may come
	whole         // digits
	point         // a point, after which a digit must come
	fraction      // digits behind the point
	e             // an e, after which a sign or a digit must come
	sign          // a sign, after which a digit must come
	exponent      // digits of the exponent
	nullN         // n of null
	nullU
	nullL
	null
	other // neither a number nor null
)

// number reads a number of any length: its value is digits × 10^scale, and a little more where some were dropped.
// Digits are dropped only when there are 19 of them, so that whatever fits an int64 is exact.
type number struct {
	digits   uint64
	scale    int64 // tens dropped before the point, less digits kept behind it
	exponent int64
	form     form
	minus    bool // of the exponent
	dropped  bool // a digit that is not 0
}

const (
	full        = uint64(1e18) // digits from which on no more is kept
	maxExponent = int64(1e15)  // more than any body has digits, and far from an overflow
)

// ends reports whether a number or a word ends before c.
func ends(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', '}', ']':
		return true
	}
	return false
}

// next reads one byte.
func (n *number) next(c byte) {
	if c >= '0' && c <= '9' {
		n.digit(c)
		return
	}
	is := other
	switch n.form {
	case start:
		if c == 'n' {
			is = nullN
		}
	case zero, whole:
		switch c {
		case '.':
			is = point
		case 'e', 'E':
			is = e
		}
	case fraction:
		if c == 'e' || c == 'E' {
			is = e
		}
	case e:
		if c == '+' || c == '-' {
			is, n.minus = sign, c == '-'
		}
	case nullN:
		if c == 'u' {
			is = nullU
		}
	case nullU:
		if c == 'l' {
			is = nullL
		}
	case nullL:
		if c == 'l' {
			is = null
		}
	}
	n.form = is
}

func (n *number) digit(c byte) {
	switch n.form {
	case start:
		n.form = whole
		if c == '0' {
			n.form = zero
		}
		n.keep(c, 0)
	case whole:
		n.keep(c, 0)
	case point, fraction:
		n.form = fraction
		n.keep(c, 1)
	case e, sign, exponent:
		n.form = exponent
		n.exponent = min(n.exponent*10+int64(c-'0'), maxExponent)
	default:
		n.form = other
	}
}

// keep takes a digit that stands so many places behind the point: 0 or 1 more than the one before it.
func (n *number) keep(c byte, places int64) {
	if n.digits >= full {
		n.dropped = n.dropped || c != '0'
		n.scale += 1 - places
		return
	}
	n.digits = n.digits*10 + uint64(c-'0')
	n.scale -= places
}

func (n *number) null() bool { return n.form == null }

// ceil is the number, rounded up to a whole one; math.MaxInt64 is that or more. ok is false where it is none, or has
// a minus.
func (n *number) ceil() (value int64, ok bool) {
	switch n.form {
	case zero, whole, fraction, exponent:
	default:
		return 0, false
	}
	if n.digits == 0 {
		return 0, true
	}
	scale := n.scale + n.exponent
	if n.minus {
		scale = n.scale - n.exponent
	}
	digits, more := n.digits, n.dropped
	for ; scale > 0; scale-- {
		if digits > math.MaxInt64/10 {
			return math.MaxInt64, true
		}
		digits *= 10
	}
	for ; scale < 0 && digits > 0; scale++ {
		more = more || digits%10 != 0
		digits /= 10
	}
	if more {
		digits++
	}
	return int64(min(digits, math.MaxInt64)), true
}
