// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"math/bits"
	"unicode/utf8"
)

// readName reads more of a name from b[i] on, drops the paths from named that do not have it, and returns where to
// read on.
func (r *Reader) readName(b []byte, i int) int {
	s := &r.json
	for i < len(b) {
		c := b[i]
		switch s.state {
		case inNameEscape:
			i++
			s.state = inName
			if c == 'u' {
				s.state, s.hex = inNameHex, 1
			} else {
				r.nameByte(unescaped(c))
			}
		case inNameHex:
			digit, ok := fromHex(c)
			if !ok {
				s.state, s.named = inName, 0 // no JSON, and no name that is looked for
				continue
			}
			i++
			if s.hex = s.hex<<4 | digit; s.hex >= 1<<16 {
				s.state = inName
				r.nameUnit(uint16(s.hex))
			}
		default:
			if s.named == 0 {
				if i = skipText(b, i); i == len(b) {
					return i
				}
				c = b[i]
			}
			i++
			switch c {
			case '\\':
				s.state = inNameEscape
			case '"':
				r.endName()
				return i
			default:
				r.nameByte(c)
			}
		}
	}
	return i
}

// nameByte drops the paths whose name does not go on with c.
func (r *Reader) nameByte(c byte) {
	s := &r.json
	if s.high != 0 {
		s.named = 0 // half a pair is no character
	}
	for left := s.named; left != 0; left &= left - 1 {
		path := lowest(left)
		if name := r.paths.names[path][s.level]; s.at >= len(name) || name[s.at] != c {
			s.named &^= 1 << path
		}
	}
	if s.named != 0 { // and so it cannot count further than the longest name
		s.at++
	}
}

// nameUnit does so with a \u escape, which is a character or half of one.
func (r *Reader) nameUnit(unit uint16) {
	s := &r.json
	char := rune(unit)
	switch {
	case unit&0xFC00 == 0xD800 && s.high == 0:
		s.high = unit
		return
	case unit&0xFC00 == 0xDC00 && s.high != 0:
		char = rune(s.high&0x3FF)<<10 + rune(unit&0x3FF) + 0x10000
		s.high = 0
	case unit&0xF800 == 0xD800:
		s.named = 0 // half a pair
		return
	}
	var text [utf8.UTFMax]byte
	for _, c := range text[:utf8.EncodeRune(text[:], char)] {
		r.nameByte(c)
	}
}

// endName leaves in named the paths that have just this name.
func (r *Reader) endName() {
	s := &r.json
	s.state = afterName
	if s.high != 0 {
		s.named = 0
	}
	for left := s.named; left != 0; left &= left - 1 {
		path := lowest(left)
		if len(r.paths.names[path][s.level]) != s.at {
			s.named &^= 1 << path
		}
	}
}

// lowest is the first path of a set that is not empty.
func lowest(set uint8) int { return bits.TrailingZeros8(set) & (MaxPaths - 1) }

// unescaped is what a backslash and c stand for. What is no escape stands for itself.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func fromHex(c byte) (digit uint32, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint32(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint32(c|0x20-'a') + 10, true
	}
	return 0, false
}
