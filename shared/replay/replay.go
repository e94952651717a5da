// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package replay remembers for a while what must not come twice, in fixed memory: the ids of DPoP
// proofs (RFC 9449 §11.1) and of stamps.
//
// A table is many buckets, each a byte string of its own, so that the VMs of a proxy can share it
// as data that they swap. What has expired makes room; where there is none, an id is not admitted:
// an attacker who fills the table stops requests, and lets none through twice.
package replay

import "encoding/binary"

// ID is the beginning of a cryptographic hash of what must not come twice: 96 bits that nobody can
// choose to collide with another's.
type ID [12]byte

// BucketEntries is how many ids one bucket holds at most.
const BucketEntries = 128

// Result of Admit.
type Result int

// The results. The zero Result admits nothing.
const (
	Full  Result = iota // there is no room to remember it
	Seen                // it has come before and has not expired
	Fresh               // it has not come before: the bucket that Admit returns remembers it
)

// A bucket is a byte that is never zero and entries of an id and the second (since the epoch) from
// which it counts as expired, big-endian.
const entrySize = len(ID{}) + 4

// Empty is a bucket without entries.
func Empty() []byte { return []byte{1} }

// Buckets is how many buckets a table for that many ids at once has. Ids fall into buckets at
// random, so that there is twice the room: a bucket that is full while the table is not would
// refuse what could be remembered.
func Buckets(entries int) int { return max(1, (2*entries+BucketEntries-1)/BucketEntries) }

// Bucket is which of n buckets an id belongs into.
func (id ID) Bucket(n int) int {
	return int(uint64(binary.BigEndian.Uint32(id[:])) * uint64(n) >> 32)
}

// Admit looks an id up in its bucket and, where it is fresh, returns the bucket that remembers it
// until expires. now and expires are seconds since the epoch. A bucket that is none is as good as
// full.
func Admit(bucket []byte, id ID, expires, now int64) (next []byte, result Result) {
	if len(bucket)%entrySize != 1 || expires > 1<<32-1 || expires < 0 {
		return nil, Full
	}
	next = append(make([]byte, 0, len(bucket)+entrySize), bucket[0])
	for rest := bucket[1:]; len(rest) > 0; rest = rest[entrySize:] {
		if int64(binary.BigEndian.Uint32(rest[len(id):])) <= now {
			continue
		}
		if ID(rest[:len(id)]) == id {
			return nil, Seen
		}
		next = append(next, rest[:entrySize]...)
	}
	if len(next) > BucketEntries*entrySize {
		return nil, Full
	}
	next = append(next, id[:]...)
	return binary.BigEndian.AppendUint32(next, uint32(expires)), Fresh
}
