// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func id(n uint64) (i ID) { binary.BigEndian.PutUint64(i[:], n*0x9e3779b97f4a7c15); return i }

func TestAdmit(t *testing.T) {
	bucket := Empty()
	step := func(what string, n uint64, expires, now int64, want Result) {
		t.Helper()
		next, got := Admit(bucket, id(n), expires, now)
		if got != want || (next == nil) != (want != Fresh) {
			t.Errorf("%s: %d, %v; want %d", what, got, next, want)
		}
		if next != nil {
			bucket = next
		}
	}
	step("the first time", 1, 100, 10, Fresh)
	step("again", 1, 100, 10, Seen)
	step("again, in the last second", 1, 200, 99, Seen)
	step("another", 2, 100, 99, Fresh)
	step("the clock has gone back", 1, 100, 0, Seen)
	step("when it has expired", 1, 200, 100, Fresh)
	if want := 1 + 1*entrySize; len(bucket) != want {
		t.Errorf("the bucket has %d bytes, want %d: what has expired is dropped", len(bucket), want)
	}
	for n := uint64(10); n < 10+BucketEntries-1; n++ {
		step("filling up", n, 300, 150, Fresh)
	}
	step("one too many", 5, 300, 150, Full)
	step("what is in a full bucket", 10, 300, 150, Seen)
	step("one has expired", 5, 300, 200, Fresh)
	for _, broken := range [][]byte{nil, {1, 2}, make([]byte, entrySize)} {
		if _, r := Admit(broken, id(1), 10, 1); r != Full {
			t.Errorf("a bucket that is none, %v: %d", broken, r)
		}
	}
	for _, expires := range []int64{-1, 1 << 32} {
		if _, r := Admit(Empty(), id(1), expires, 1); r != Full {
			t.Errorf("an expiry of %d: %d", expires, r)
		}
	}
}

// As many ids as a table is for fit into it, whatever they are.
func TestTableTakesWhatItIsFor(t *testing.T) {
	const entries = 1 << 16
	n := Buckets(entries)
	table := make([][]byte, n)
	for i := range table {
		table[i] = Empty()
	}
	rng := rand.New(rand.NewPCG(5, 6))
	size := 0
	for i := range entries {
		var d ID
		binary.BigEndian.PutUint64(d[:], rng.Uint64())
		at := d.Bucket(n)
		next, r := Admit(table[at], d, 100, 1)
		if r != Fresh {
			t.Fatalf("id %d of %d: %d", i, entries, r)
		}
		size += len(next) - len(table[at])
		table[at] = next
	}
	if size > 2*entries*entrySize {
		t.Errorf("the table has %d bytes", size)
	}
	if last := (ID{0xff, 0xff, 0xff, 0xff}).Bucket(n); last != n-1 {
		t.Errorf("the highest id is in bucket %d of %d", last, n)
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add([]byte{1}, []byte("0123456789ab"), int64(100), int64(1))
	f.Fuzz(func(t *testing.T, bucket, b []byte, expires, now int64) {
		var d ID
		copy(d[:], b)
		next, r := Admit(bucket, d, expires, now)
		if r != Fresh {
			return
		}
		if _, again := Admit(next, d, expires, now); expires > now && again != Seen {
			t.Fatalf("admitted twice: %d", again)
		}
	})
}
