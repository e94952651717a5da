// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package sha2 is SHA-256, SHA-384 and SHA-512 (FIPS 180-4) and nothing else.
//
// It exists for the size of the modules: crypto/sha256 and crypto/sha512 bring AES, SHA-3 and a
// random generator along for their self-tests, 160,000 bytes that Envoy compiles at every start.
// Its tests hold it against them, byte for byte. Outside the guest use theirs.
package sha2

import (
	"encoding/binary"
	"hash"
	"math/bits"
)

// New256 is SHA-256.
func New256() hash.Hash { h := &sha256{}; h.Reset(); return h }

// New384 is SHA-384.
func New384() hash.Hash { h := &sha512{initial: &initial384, size: 48}; h.Reset(); return h }

// New512 is SHA-512.
func New512() hash.Hash { h := &sha512{initial: &initial512, size: 64}; h.Reset(); return h }

// buffer gathers whole blocks.
type buffer struct {
	pending []byte // less than a block
	length  uint64 // bytes written so far
}

// write hands every whole block of what was written to block.
func (b *buffer) write(p []byte, size int, block func([]byte)) {
	b.length += uint64(len(p))
	if len(b.pending) > 0 {
		n := min(size-len(b.pending), len(p))
		b.pending, p = append(b.pending, p[:n]...), p[n:]
		if len(b.pending) < size {
			return
		}
		block(b.pending)
		b.pending = b.pending[:0]
	}
	for ; len(p) >= size; p = p[size:] {
		block(p[:size])
	}
	b.pending = append(b.pending, p...)
}

// padding is what ends a message (FIPS 180-4 §5.1): a one, zeros up to the last eighth of a block,
// and there the length in bits.
func (b *buffer) padding(size int) []byte {
	zeros := size - (len(b.pending)+1+size/8)%size
	p := make([]byte, 1+zeros%size+size/8)
	p[0] = 0x80
	binary.BigEndian.PutUint64(p[len(p)-8:], b.length<<3)
	return p
}

type sha256 struct {
	state [8]uint32
	buffer
}

func (h *sha256) Reset() {
	for i, v := range initial512 {
		h.state[i] = uint32(v >> 32)
	}
	h.buffer = buffer{pending: h.pending[:0]}
}

func (h *sha256) Size() int      { return 32 }
func (h *sha256) BlockSize() int { return 64 }

func (h *sha256) Write(p []byte) (int, error) {
	h.write(p, 64, h.block)
	return len(p), nil
}

func (h *sha256) Sum(out []byte) []byte {
	end := sha256{state: h.state, buffer: buffer{append([]byte(nil), h.pending...), h.length}}
	end.write(end.padding(64), 64, end.block)
	for _, v := range end.state {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	return out
}

// block is written out for 16 rounds, in which each variable has each part once, with the message
// schedule in place: in V8 that is nearly twice as fast as a loop of 64.
func (h *sha256) block(p []byte) {
	var w [16]uint32
	for i := range w {
		w[i] = binary.BigEndian.Uint32(p[4*i:])
	}
	a, b, c, d, e, f, g, s := h.state[0], h.state[1], h.state[2], h.state[3], h.state[4], h.state[5], h.state[6],
		h.state[7]
	for i := 0; ; i += 16 {
		k := k256[i : i+16 : i+16]
		s += round1(e, f, g) + k[0] + w[0]
		d += s
		s += round0(a, b, c)
		g += round1(d, e, f) + k[1] + w[1]
		c += g
		g += round0(s, a, b)
		f += round1(c, d, e) + k[2] + w[2]
		b += f
		f += round0(g, s, a)
		e += round1(b, c, d) + k[3] + w[3]
		a += e
		e += round0(f, g, s)
		d += round1(a, b, c) + k[4] + w[4]
		s += d
		d += round0(e, f, g)
		c += round1(s, a, b) + k[5] + w[5]
		g += c
		c += round0(d, e, f)
		b += round1(g, s, a) + k[6] + w[6]
		f += b
		b += round0(c, d, e)
		a += round1(f, g, s) + k[7] + w[7]
		e += a
		a += round0(b, c, d)
		s += round1(e, f, g) + k[8] + w[8]
		d += s
		s += round0(a, b, c)
		g += round1(d, e, f) + k[9] + w[9]
		c += g
		g += round0(s, a, b)
		f += round1(c, d, e) + k[10] + w[10]
		b += f
		f += round0(g, s, a)
		e += round1(b, c, d) + k[11] + w[11]
		a += e
		e += round0(f, g, s)
		d += round1(a, b, c) + k[12] + w[12]
		s += d
		d += round0(e, f, g)
		c += round1(s, a, b) + k[13] + w[13]
		g += c
		c += round0(d, e, f)
		b += round1(g, s, a) + k[14] + w[14]
		f += b
		b += round0(c, d, e)
		a += round1(f, g, s) + k[15] + w[15]
		e += a
		a += round0(b, c, d)
		if i == 48 {
			break
		}
		for j := range w {
			x, y := w[(j+14)&15], w[(j+1)&15]
			w[j] += (bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10) + w[(j+9)&15] +
				(bits.RotateLeft32(y, -7) ^ bits.RotateLeft32(y, -18) ^ y>>3)
		}
	}
	for i, v := range [8]uint32{a, b, c, d, e, f, g, s} {
		h.state[i] += v
	}
}

// round1 and round0 are the parts of a round (FIPS 180-4 §6.2.2) that depend on e, f, g and on a, b, c.
func round1(e, f, g uint32) uint32 {
	return (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (e&(f^g) ^ g)
}

func round0(a, b, c uint32) uint32 {
	return (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b | c&(a|b))
}

// k256 are the upper halves of k.
var k256 [64]uint32

func init() {
	for i := range k256 {
		k256[i] = uint32(k[i] >> 32)
	}
}

type sha512 struct {
	state   [8]uint64
	initial *[8]uint64
	size    int
	buffer
}

func (h *sha512) Reset() {
	h.state = *h.initial
	h.buffer = buffer{pending: h.pending[:0]}
}

func (h *sha512) Size() int      { return h.size }
func (h *sha512) BlockSize() int { return 128 }

func (h *sha512) Write(p []byte) (int, error) {
	h.write(p, 128, h.block)
	return len(p), nil
}

func (h *sha512) Sum(out []byte) []byte {
	end := sha512{state: h.state, buffer: buffer{append([]byte(nil), h.pending...), h.length}}
	end.write(end.padding(128), 128, end.block)
	for _, v := range end.state[:h.size/8] {
		out = binary.BigEndian.AppendUint64(out, v)
	}
	return out
}

func (h *sha512) block(p []byte) {
	var w [80]uint64
	for i := range 16 {
		w[i] = binary.BigEndian.Uint64(p[8*i:])
	}
	for i := 16; i < 80; i++ {
		x, y := w[i-2], w[i-15]
		w[i] = (bits.RotateLeft64(x, -19) ^ bits.RotateLeft64(x, -61) ^ x>>6) + w[i-7] +
			(bits.RotateLeft64(y, -1) ^ bits.RotateLeft64(y, -8) ^ y>>7) + w[i-16]
	}
	a, b, c, d, e, f, g, s := h.state[0], h.state[1], h.state[2], h.state[3], h.state[4], h.state[5], h.state[6],
		h.state[7]
	for i := range 80 {
		t1 := s + (bits.RotateLeft64(e, -14) ^ bits.RotateLeft64(e, -18) ^ bits.RotateLeft64(e, -41)) + (e&f ^ ^e&g) +
			k[i] + w[i]
		t2 := (bits.RotateLeft64(a, -28) ^ bits.RotateLeft64(a, -34) ^ bits.RotateLeft64(a, -39)) + (a&b ^ a&c ^ b&c)
		s, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	for i, v := range [8]uint64{a, b, c, d, e, f, g, s} {
		h.state[i] += v
	}
}
