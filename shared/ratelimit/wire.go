// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import "math"

// The wire types of protobuf (https://protobuf.dev/programming-guides/encoding/). Groups, 3 and 4,
// are refused: no version of these messages has had one.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// message is what is left of one to be read.
type message struct{ rest []byte }

// field of a message. Of one with a fixed size nothing is kept: no field that is read here has one.
type field struct {
	number uint32
	wire   uint8
	value  uint64 // of wireVarint
	bytes  []byte // of wireBytes; part of the message
}

// next reads the field that comes next, known or not: what is not known must still be well-formed.
func (m *message) next() (f field, err error) {
	tag, err := m.varint()
	if err != nil {
		return f, err
	}
	if tag > math.MaxUint32 || tag>>3 == 0 {
		return f, ErrMessage
	}
	f.number, f.wire = uint32(tag>>3), uint8(tag&7)
	switch f.wire {
	case wireVarint:
		f.value, err = m.varint()
	case wireFixed64:
		_, err = m.take(8)
	case wireFixed32:
		_, err = m.take(4)
	case wireBytes:
		var n uint64
		if n, err = m.varint(); err == nil {
			f.bytes, err = m.take(n)
		}
	default:
		err = ErrMessage
	}
	return f, err
}

func (m *message) take(n uint64) ([]byte, error) {
	if n > uint64(len(m.rest)) {
		return nil, ErrMessage
	}
	taken := m.rest[:n]
	m.rest = m.rest[n:]
	return taken, nil
}

// varint reads up to 64 bits; the tenth byte has one.
func (m *message) varint() (n uint64, err error) {
	for i, c := range m.rest {
		if i == 9 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			m.rest = m.rest[i+1:]
			return n, nil
		}
	}
	return 0, ErrMessage
}

// fields are the numbers, below 8, of those that were read. Where a singular field stands twice,
// protobuf takes the last one, or merges: no encoder writes that, and two readers might disagree on
// it, so it is refused.
type fields uint8

func (s *fields) once(number uint32) error {
	bit := fields(1) << number
	if *s&bit != 0 {
		return ErrMessage
	}
	*s |= bit
	return nil
}

func (f *field) varint(seen *fields) (uint64, error) {
	if f.wire != wireVarint {
		return 0, ErrMessage
	}
	return f.value, seen.once(f.number)
}

// uint32 refuses what protobuf would cut to 32 bits.
func (f *field) uint32(seen *fields) (uint32, error) {
	n, err := f.varint(seen)
	if err == nil && n > math.MaxUint32 {
		err = ErrMessage
	}
	return uint32(n), err
}

func (f *field) code(seen *fields) (Code, error) {
	n, err := f.varint(seen)
	if err != nil {
		return 0, err
	}
	if n != uint64(OK) && n != uint64(OverLimit) {
		return 0, ErrCode
	}
	return Code(n), nil
}

// message checks that the field's bytes are to be read as a message, or as text.
func (f *field) message(seen *fields) error {
	if f.wire != wireBytes {
		return ErrMessage
	}
	return seen.once(f.number)
}
