// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"encoding/binary"
	"math/bits"
)

// Seed is the key of the hash by which keys find their places: 16 random bytes. All VMs that share
// a table have the same one; whoever does not know it cannot choose keys that meet.
type Seed [16]byte

// Tag is SipHash-2-4 (Aumasson and Bernstein, 2012) of text. hash/maphash would do if its seed could be shared.
func (s *Seed) Tag(text []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(s[:8]), binary.LittleEndian.Uint64(s[8:])
	v := state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(text)) << 56
	for ; len(text) >= 8; text = text[8:] {
		v.block(binary.LittleEndian.Uint64(text))
	}
	for i, c := range text {
		last |= uint64(c) << (8 * i)
	}
	v.block(last)
	v.v2 ^= 0xff
	for range 4 {
		v.round()
	}
	return v.v0 ^ v.v1 ^ v.v2 ^ v.v3
}

type state struct{ v0, v1, v2, v3 uint64 }

func (v *state) block(m uint64) {
	v.v3 ^= m
	v.round()
	v.round()
	v.v0 ^= m
}

func (v *state) round() {
	v.v0 += v.v1
	v.v1 = bits.RotateLeft64(v.v1, 13) ^ v.v0
	v.v0 = bits.RotateLeft64(v.v0, 32)
	v.v2 += v.v3
	v.v3 = bits.RotateLeft64(v.v3, 16) ^ v.v2
	v.v0 += v.v3
	v.v3 = bits.RotateLeft64(v.v3, 21) ^ v.v0
	v.v2 += v.v1
	v.v1 = bits.RotateLeft64(v.v1, 17) ^ v.v2
	v.v2 = bits.RotateLeft64(v.v2, 32)
}
