// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import "math/bits"

// state is what a scanner expects next.
type state uint8

const (
	top          state = iota // an object, outside of all objects
	members                   // a name or the end of the innermost object on a path
	inName                    // more of a name
	inNameEscape              // what follows a backslash in it
	inNameHex                 // more of the four digits of \u in it
	afterName                 // a colon
	inMember                  // the value of a name
	inNumber                  // more of what should be a number
	passing                   // more of an object or a list that is passed over
	inText                    // more of a string that is passed over
	inTextEscape              // what follows a backslash in it
)

// outside is the level outside of all objects.
const outside = -1

// scanner is where a Reader stands in a JSON text. Of the objects around it, it knows those on a path; of other
// objects and of lists it knows how many are open.
type scanner struct {
	depth  uint64          // of what is passed over
	on     [MaxNames]uint8 // the paths that lead through the open object of each level
	number number
	state  state
	level  int8   // of the innermost open object on a path
	named  uint8  // the paths that the name may be of, as far as it has come
	at     int    // the bytes that have come of a name that may be on a path
	hex    uint32 // the digits of \u that have come, after a 1
	high   uint16 // the first half of a surrogate pair, which waits for the second
}

func (s *scanner) reset() {
	s.state, s.level, s.depth = top, outside, 0
}

// scan reads the next bytes of a JSON text.
func (r *Reader) scan(b []byte) {
	s := &r.json
	for i := 0; i < len(b); {
		switch s.state {
		case passing:
			i = s.pass(b, i)
		case inText:
			if i = skipText(b, i); i == len(b) {
				return
			}
			s.state = inTextEscape
			if b[i] == '"' {
				s.resume()
			}
			i++
		case inTextEscape:
			s.state = inText
			i++
		case top:
			// All but objects is passed over: a byte order mark, white space, words. So are the brackets of a list:
			// its items are values like those of NDJSON. Gemini streams a list where nobody asks for events.
			for i < len(b) && b[i] != '"' && b[i] != '{' {
				i++
			}
			if i == len(b) {
				return
			}
			s.state = inText
			if b[i] == '{' {
				s.state, s.level, s.on[0] = members, 0, r.paths.all
			}
			i++
		case members:
			i = r.member(b, i)
		case inName, inNameEscape, inNameHex:
			i = r.readName(b, i)
		case afterName:
			switch b[i] {
			case ' ', '\t', '\n', '\r':
				i++
			case ':':
				s.state = inMember
				i++
			default:
				s.state = members // which reads it: this is no JSON, and the name has no value
			}
		case inMember:
			i = r.begin(b, i)
		case inNumber:
			if ends(b[i]) {
				r.endNumber()
			} else {
				s.number.next(b[i])
				i++
			}
		}
	}
}

// pass reads more of an object or a list that is passed over, and returns where to read on. In most answers, most
// bytes are in one: the choices, the content.
func (s *scanner) pass(b []byte, i int) int {
	depth := s.depth
	for i < len(b) {
		c := b[i]
		i++
		if c != '"' && c|0x20 != '{' && c|0x20 != '}' { // 0x20 makes them of [ and ]
			continue
		}
		switch c {
		case '"':
			for i = skipText(b, i); i < len(b) && b[i] == '\\'; i = skipText(b, i+2) {
				if i+1 == len(b) {
					s.state, s.depth = inTextEscape, depth
					return len(b)
				}
			}
			if i >= len(b) {
				s.state, s.depth = inText, depth
				return len(b)
			}
			i++
		case '{', '[':
			depth++
		default:
			if depth--; depth == 0 {
				s.state, s.depth = members, 0
				return i
			}
		}
	}
	s.depth = depth
	return i
}

// skipText returns where the next quote or backslash is, or the end of b.
func skipText(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		w := b[i : i+8 : i+8]
		eight := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 | uint64(w[4])<<32 |
			uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56 // one load
		// A byte that is 0 borrows: its highest bit is set, and of no byte below it.
		quote, slash := eight^'"'*each, eight^'\\'*each
		if found := ((quote-each)&^quote | (slash-each)&^slash) & (0x80 * each); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if b[i] == '"' || b[i] == '\\' {
			return i
		}
	}
	return len(b)
}

// each is 1 in each byte.
const each = 0x0101010101010101

// resume goes on after a string that was passed over.
func (s *scanner) resume() {
	switch {
	case s.depth > 0:
		s.state = passing
	case s.level == outside:
		s.state = top
	default:
		s.state = members
	}
}

// member reads the names of objects on paths, and their ends, until a value comes, and returns where to read on. What
// may stand there beside them, a comma or a number that does not count, needs no look.
func (r *Reader) member(b []byte, i int) int {
	s := &r.json
	for i < len(b) {
		c := b[i]
		i++
		switch c {
		case '"':
			s.state, s.named, s.at, s.high = inName, s.on[s.level], 0, 0
			if end := skipText(b, i); end < len(b) && b[end] == '"' { // the whole name, as it is: nearly always
				s.state = afterName
				for left := s.named; left != 0; left &= left - 1 {
					if path := lowest(left); r.paths.names[path][s.level] != string(b[i:end]) {
						s.named &^= 1 << path
					}
				}
				i = end + 1
			}
			return i
		case '}':
			if s.level--; s.level == outside {
				s.state = top
				return i
			}
		case '{', '[':
			s.state, s.depth = passing, 1
			return i
		}
	}
	return i
}

// begin reads the first byte of a value, or white space before it, and returns where to read on.
func (r *Reader) begin(b []byte, i int) int {
	s := &r.json
	ending, further := s.named&r.paths.ending[s.level], s.named&r.paths.further[s.level]
	switch b[i] {
	case ' ', '\t', '\n', '\r':
		return i + 1
	case '{':
		if further == 0 {
			s.state, s.depth = passing, 1
			break
		}
		s.level++
		s.state, s.on[s.level] = members, further
	case '[':
		s.state, s.depth = passing, 1
	case '"':
		s.state = inText
	default:
		s.state = members
		if ending == 0 {
			return i // a number or a word that does not count, or nothing
		}
		s.state, s.number = inNumber, number{} // where c ends it already, it is none
		return i
	}
	r.broken = r.broken || ending != 0
	return i + 1
}

// endNumber notes the number that has ended.
func (r *Reader) endNumber() {
	s := &r.json
	s.state = members
	if s.number.null() {
		return
	}
	n, ok := s.number.ceil()
	if !ok {
		r.broken = true
		return
	}
	for left := s.named & r.paths.ending[s.level]; left != 0; left &= left - 1 {
		sum := r.paths.sum[lowest(left)]
		r.numbers[sum] = max(r.numbers[sum], n)
		r.read = true
	}
}

// endText ends a JSON text, and begins another.
func (r *Reader) endText() {
	if r.json.state == inNumber {
		r.endNumber()
	}
	r.json.reset()
}
