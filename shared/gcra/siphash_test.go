// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// Vectors of the reference implementation (github.com/veorq/SipHash, vectors.h): its key is 00 01 …
// 0f, the n-th text 00 01 … of n bytes.
var vectors = []string{
	"310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785", "b7877127e09427cf",
	"8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
	"6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4", "fbe50e86bc8f1e75",
	"903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
	"db9bc2577fcc2a3f", "9447be2cf5e99a69",
}

func TestTag(t *testing.T) {
	var key Seed
	var text []byte
	for i := range key {
		key[i] = byte(i)
	}
	for n, want := range vectors {
		if got := hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, key.Tag(text))); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
		text = append(text, byte(n))
	}
	// More of them, with the key of zeros, from github.com/dchest/siphash.
	var zero Seed
	for text, want := range map[string]uint64{"": 0x1e924b9d737700d7, "Hello world": 0xc9e8a3021f3822d9,
		"12345678123": 0xf95d77ccdb0649f, string(make([]byte, 1535)): 0xe74d1c0ab64b2afa} {
		if got := zero.Tag([]byte(text)); got != want {
			t.Errorf("%d bytes: %x, want %x", len(text), got, want)
		}
	}
}

// R9: who does not know the seed cannot tell which keys share a bucket.
func TestSeedDecidesThePlace(t *testing.T) {
	table := Table{Entries: 1 << 16}
	a, b, moved := Seed{1}, Seed{2}, 0
	for i := range 1000 {
		text := binary.LittleEndian.AppendUint32(nil, uint32(i))
		if table.Bucket(a.Tag(text)) != table.Bucket(b.Tag(text)) {
			moved++
		}
	}
	if moved < 990 {
		t.Errorf("only %d of 1000 keys are elsewhere under another seed", moved)
	}
}
