// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package sha2

import (
	"bytes"
	stdsha256 "crypto/sha256"
	stdsha512 "crypto/sha512"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"testing"
)

var pairs = []struct {
	name      string
	ours, std func() hash.Hash
	abc       string // FIPS 180-4's own example
}{
	{"SHA-256", New256, stdsha256.New, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"SHA-384", New384, stdsha512.New384,
		"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
	{"SHA-512", New512, stdsha512.New,
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
}

func TestExample(t *testing.T) {
	for _, p := range pairs {
		h := p.ours()
		h.Write([]byte("abc"))
		if got := hex.EncodeToString(h.Sum(nil)); got != p.abc {
			t.Errorf("%s(abc) = %s", p.name, got)
		}
	}
}

// Every length over several blocks, in one piece and in pieces, with sums in between.
func TestAgainstGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range pairs {
		ours, std := p.ours(), p.std()
		if ours.Size() != std.Size() || ours.BlockSize() != std.BlockSize() {
			t.Fatalf("%s has other sizes", p.name)
		}
		for n := range 700 {
			text := make([]byte, n)
			for i := range text {
				text[i] = byte(rng.Uint32())
			}
			ours.Reset()
			std.Reset()
			std.Write(text)
			for rest := text; len(rest) > 0; {
				part := 1 + rng.IntN(len(rest))
				ours.Write(rest[:part])
				rest = rest[part:]
				if rng.IntN(4) == 0 {
					ours.Sum(nil) // does not disturb what follows
				}
			}
			if want := std.Sum([]byte("x")); !bytes.Equal(ours.Sum([]byte("x")), want) {
				t.Fatalf("%s of %d bytes differs", p.name, n)
			}
		}
	}
}

func FuzzAgainstGo(f *testing.F) {
	f.Add([]byte(""), 0)
	f.Add(make([]byte, 200), 111)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		if cut < 0 || cut > len(text) {
			cut = 0
		}
		for _, p := range pairs {
			ours, std := p.ours(), p.std()
			ours.Write(text[:cut])
			ours.Write(text[cut:])
			std.Write(text)
			if !bytes.Equal(ours.Sum(nil), std.Sum(nil)) {
				t.Fatalf("%s of %x differs", p.name, text)
			}
		}
	})
}

func BenchmarkSHA256(b *testing.B) {
	text := make([]byte, 64<<10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		h := New256()
		_, _ = h.Write(text)
		h.Sum(nil)
	}
}
