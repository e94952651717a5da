// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

// derReader reads DER: definite lengths in their shortest form, tags of one byte (X.690 §8.1.2,
// §10.1). A fault sticks, in all readers that came from one: callers read to the end and look at
// bad once. After a fault everything reads as empty.
type derReader struct {
	rest []byte
	bad  *bool
}

func newDERReader(b []byte) *derReader { return &derReader{b, new(bool)} }

func (r *derReader) fail() []byte {
	*r.bad, r.rest = true, nil
	return nil
}

// next reports whether the next value has this tag.
func (r *derReader) next(tag byte) bool { return len(r.rest) > 0 && r.rest[0] == tag }

// read returns the content of the next value, which must have this tag.
func (r *derReader) read(tag byte) []byte {
	if len(r.rest) < 2 || r.rest[0] != tag {
		return r.fail()
	}
	size, at := int(r.rest[1]), 2
	if size >= 0x80 {
		octets := size - 0x80
		if octets > 2 || len(r.rest) < 2+octets { // no key has 65,536 bytes
			return r.fail()
		}
		size = 0
		for _, b := range r.rest[2 : 2+octets] {
			size = size<<8 | int(b)
		}
		if size < 0x80 || octets == 2 && size < 0x100 { // not the shortest form, or the indefinite one, which has no octets
			return r.fail()
		}
		at += octets
	}
	if len(r.rest)-at < size {
		return r.fail()
	}
	content := r.rest[at : at+size]
	r.rest = r.rest[at+size:]
	return content
}

// into is read for a value that holds others.
func (r *derReader) into(tag byte) *derReader { return &derReader{r.read(tag), r.bad} }

// end fails where something is left.
func (r *derReader) end() {
	if len(r.rest) > 0 {
		r.fail()
	}
}

// natural reads an INTEGER that is not negative, big-endian and without zeros in front; zero is one byte.
func (r *derReader) natural() []byte {
	b := r.read(tagInteger)
	switch {
	// X.690 §8.3.2: no nine equal bits in front
	case len(b) == 0 || b[0]&0x80 != 0 || len(b) > 1 && b[0] == 0 && b[1]&0x80 == 0:
		return r.fail()
	case len(b) > 1 && b[0] == 0:
		return b[1:]
	}
	return b
}

// bits reads a BIT STRING of whole bytes under this tag.
func (r *derReader) bits(tag byte) []byte {
	b := r.read(tag)
	if len(b) == 0 || b[0] != 0 {
		return r.fail()
	}
	return b[1:]
}
