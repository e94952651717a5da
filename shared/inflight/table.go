// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package inflight counts what is on its way at once, exactly over all VMs of a proxy, in a table
// of fixed size that they share.
//
// A VM has one entry for each key that it has something on its way for: how much, and until when
// that is to be believed. It knows its own number and writes it whole, so that what could not be
// written once is right the next time; and it renews what lasts longer. So the entries of a VM that
// is no more end by themselves, and those of one that lives never do.
//
// Times are nanoseconds since the epoch. Nothing here reads a clock.
package inflight

import (
	"encoding/binary"
	"math"
)

// Table is many buckets, each a byte string of its own, so that the VMs of a proxy can share it as
// data that they swap.
//
// An entry that counts is never given up for another. Where a bucket is full, the keys that come
// new to it share one number for each limit; where there is no room for that either, they are
// refused. So an attacker with many keys slows other new ones down, and nobody gets around a limit.
type Table struct {
	Entries int // keys at once, each in one VM, that the table is for
}

// A bucket is a byte that is never zero and entries of a tag, a VM, a number, a time and how long that is
// after the entry was written, in milliseconds, little-endian.
const entrySize = 8 + 4 + 8 + 8 + 4

// BucketEntries is how many entries one bucket holds before keys that come new to it have no place, and
// sharedEntries how many more it can have that keys share: some limits', in many VMs. A key that is
// there has room for each of its VMs.
const (
	BucketEntries = 64
	sharedEntries = 64
)

// Empty is a bucket without entries.
func Empty() []byte { return []byte{1} }

// Buckets is how many buckets the table has. Keys fall into them at random, so that there is twice the room.
func (t *Table) Buckets() int { return max(1, (2*t.Entries+BucketEntries-1)/BucketEntries) }

// Bucket is which of the buckets a tag belongs into, as in gcra.Table.
func (t *Table) Bucket(tag uint64) int { return int(tag >> 32 * uint64(t.Buckets()) >> 32) }

// entry is one of a bucket's.
type entry struct {
	tag   uint64
	vm    uint32
	count uint64
	until int64
	age   uint32
}

func read(b []byte) entry {
	return entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint64(b[12:]),
		int64(binary.LittleEndian.Uint64(b[20:])), binary.LittleEndian.Uint32(b[28:])}
}

func (e entry) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, e.tag)
	dst = binary.LittleEndian.AppendUint32(dst, e.vm)
	dst = binary.LittleEndian.AppendUint64(dst, e.count)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.until))
	return binary.LittleEndian.AppendUint32(dst, e.age)
}

// latest is the latest time until which the entry can be believed without the clock having gone back.
func (e *entry) latest(now int64) int64 { return now + int64(e.age)*1e6 }

// holds reports whether an entry counts.
func (e *entry) holds(now int64) bool { return e.until > now }

// isBucket reports whether a byte string is one.
func isBucket(b []byte) bool { return len(b)%entrySize == 1 }

// scanned is what a bucket says of a tag.
type scanned struct {
	others int64 // of the VMs but one
	live   int   // entries that count, in all
	skewed bool  // there are times that only a clock that has gone back explains
}

func scan(bucket []byte, tag uint64, but uint32, now int64) (s scanned) {
	for rest := bucket[1:]; len(rest) >= entrySize; rest = rest[entrySize:] {
		e := read(rest)
		if !e.holds(now) {
			continue
		}
		s.live++
		s.skewed = s.skewed || e.until > e.latest(now)
		if e.tag == tag && e.vm != but {
			s.others = min(s.others+int64(min(e.count, most)), most)
		}
	}
	return s
}

// write copies what counts, with another number of one VM for one tag; 0: it has none. An entry that
// is to be believed for longer than it was written for is from before the clock went back: it is
// believed for as long as if it were new.
func write(dst, bucket []byte, e entry, now int64) []byte {
	dst = append(dst[:0], bucket[0])
	for rest := bucket[1:]; len(rest) >= entrySize; rest = rest[entrySize:] {
		other := read(rest)
		if !other.holds(now) || other.tag == e.tag && other.vm == e.vm {
			continue
		}
		other.until = min(other.until, other.latest(now))
		dst = other.append(dst)
	}
	if e.count == 0 {
		return dst
	}
	return e.append(dst)
}

// most is more than there can be on the way; numbers are kept within it, so that none overflows.
const most = math.MaxInt64 / 4
