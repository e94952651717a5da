// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package usage

import "bytes"

// stream is where a Reader stands in server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
type stream struct {
	line line
	at   uint8 // the bytes of a byte order mark or of "data" that have come
	cr   bool  // the last line has ended in \r, and \n belongs to its end
}

// line is what a stream expects next.
type line uint8

const (
	mark  line = iota // a byte order mark, at the beginning
	field             // the name of a field, or the end of an empty line
	data              // more of the value of data
	pass              // more of another field or of a comment
)

const (
	byteOrderMark = "\xEF\xBB\xBF"
	dataField     = "data"
)

// newline joins the lines of data of one event. It comes before the first one, too, and the space that may stand
// before a value is left there: both are white space before a JSON text, and wherever another line begins.
var newline = []byte{'\n'}

// readEvents reads the next bytes of a stream of events. The data of each event is a JSON text of its own, so that a
// broken one does not spoil the next.
func (r *Reader) readEvents(b []byte) {
	s := &r.stream
	lf, cr := -1, -1 // where the next of each is, from i on, or the end: looked for once, since there may be none
	for i := 0; i < len(b); {
		c := b[i]
		if s.cr {
			s.cr = false
			if c == '\n' {
				i++
				continue
			}
		}
		switch s.line {
		case mark:
			if c == byteOrderMark[s.at] {
				i++
				if s.at++; int(s.at) < len(byteOrderMark) {
					continue
				}
				s.line, s.at = field, 0
				continue
			}
			s.line = field
			if s.at > 0 {
				s.line = pass
			}
		case field:
			switch {
			case c == '\n' || c == '\r':
				if s.at == 0 {
					r.endText()
				}
				r.endLine(c)
				i++
			case int(s.at) < len(dataField) && c == dataField[s.at]:
				s.at++
				i++
			case int(s.at) == len(dataField) && c == ':':
				s.line = data
				r.scan(newline)
				i++
			default:
				s.line = pass
			}
		default:
			if lf < i {
				lf = next(b, i, '\n')
			}
			if cr < i {
				cr = next(b, i, '\r')
			}
			end := min(lf, cr)
			if s.line == data {
				r.scan(b[i:end])
			}
			if i = end; i < len(b) {
				r.endLine(b[i])
				i++
			}
		}
	}
}

// next is where the next c is in b, from i on, or the end.
func next(b []byte, i int, c byte) int {
	if n := bytes.IndexByte(b[i:], c); n >= 0 {
		return i + n
	}
	return len(b)
}

func (r *Reader) endLine(c byte) {
	r.stream.line, r.stream.at, r.stream.cr = field, 0, c == '\r'
}
