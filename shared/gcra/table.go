// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"encoding/binary"
	"math/bits"
)

// Table is many buckets, each a byte string of its own, so that the VMs of a proxy can share it as
// data that they swap. A bucket grows with what is in it, and to a fixed size only.
//
// A state without debt is not kept, one with debt is never given up for another. Where a bucket is
// full, the keys that come new to it share one state for each limit, and have what is left of one
// burst between them; where there is no room for that either, they are refused. So an attacker with
// many keys slows other new ones down, and gets nobody's debt forgotten.
type Table struct {
	Entries int   // keys with debt at once that the table is for
	Horizon int64 // the largest Horizon of its limits
}

// BucketEntries is how many keys one bucket holds at most, and sharedEntries for how many limits
// more it can have a state that keys share. Copying a whole bucket costs less than handing it over
// to the proxy does.
const (
	BucketEntries = 32
	sharedEntries = 8
)

// A bucket is a byte that is never zero and entries of a tag and a state, little-endian.
const entrySize = 16

// Empty is a bucket without entries.
func Empty() []byte { return []byte{1} }

// Buckets is how many buckets the table has. Keys fall into them at random, so that there is twice
// the room: of as many keys as the table is for, less than one in 20,000 then finds its bucket
// full.
func (t *Table) Buckets() int { return max(1, (2*t.Entries+BucketEntries-1)/BucketEntries) }

// Bucket is which of the buckets a tag belongs into.
func (t *Table) Bucket(tag uint64) int {
	high, _ := bits.Mul64(tag, uint64(t.Buckets()))
	return int(high)
}

// Ask is a request of a key.
type Ask struct {
	Tag    uint64 // of the key and its limit
	Shared uint64 // tag of what keys of this limit share; none of a key
	Limit  *Limit
	Cost   int64
	Room   int64 // at least 1: take nothing, but look whether there is room for so many (Limit.Look)
}

// noRoom is how long those wait who find no room at all.
const noRoom = 1e9

// Take is Limit.Take of the key's state in its bucket. next is the bucket afterwards, in the memory
// of dst, which is not that of bucket; nil: it has not changed. A bucket that is none refuses
// everything.
func (t *Table) Take(dst, bucket []byte, a *Ask, now int64) (next []byte, r Result) {
	now = within(now)
	s, ok := t.scan(bucket, a, now)
	if !ok {
		return nil, Result{Retry: noRoom}
	}
	place, state, ok := s.place(a)
	if !ok {
		r = Result{Retry: noRoom}
		if s.skewed { // or nobody would ever find room before the clock is where it was
			next = t.write(dst, bucket, place, none, now)
		}
		return next, r
	}
	if a.Room > 0 {
		r = a.Limit.Look(state, now, a.Room)
		r.Shared = place == a.Shared
		return nil, r
	}
	after, r := a.Limit.Take(state, now, a.Cost)
	r.Shared = place == a.Shared
	if after != state {
		next = t.write(dst, bucket, place, after, now)
	}
	return next, r
}

// Charge is Limit.Charge of the ask's Cost, in the key's place. ok is false where it could not be
// noted: there is no room, not even for what keys share.
func (t *Table) Charge(dst, bucket []byte, a *Ask, now int64) (next []byte, r Result, ok bool) {
	now = within(now)
	s, ok := t.scan(bucket, a, now)
	if !ok {
		return nil, Result{}, false
	}
	place, state, ok := s.place(a)
	if !ok {
		return nil, Result{}, false
	}
	after, r := a.Limit.Charge(state, now, a.Cost)
	if after != state {
		next = t.write(dst, bucket, place, after, now)
	}
	return next, r, true
}

// Refund is Limit.Refund of what Take has taken.
func (t *Table) Refund(dst, bucket []byte, a *Ask, taken Result, now int64) (next []byte, r Result) {
	now = within(now)
	s, ok := t.scan(bucket, a, now)
	if !ok {
		return nil, Result{}
	}
	place, state := a.Tag, s.own
	if taken.Shared {
		place, state = a.Shared, s.shared
	}
	after, r := a.Limit.Refund(state, now, a.Cost, taken.Until)
	if after != state {
		next = t.write(dst, bucket, place, after, now)
	}
	return next, r
}

// none is the state of who has none.
const none = 0

// scanned is what a bucket holds for an Ask.
type scanned struct {
	own, shared int64
	live        int  // entries with debt
	skewed      bool // there are states that only a clock that has gone back explains
}

// place is where the state of a key is, or is to be, and that state; false: there is no room, not
// even for what keys share.
func (s *scanned) place(a *Ask) (tag uint64, state int64, ok bool) {
	if s.own != none {
		return a.Tag, s.own, true
	}
	// A key that was among those who share brings their debt along: it never has more than one burst.
	if s.live < BucketEntries {
		return a.Tag, s.shared, true
	}
	return a.Shared, s.shared, s.shared != none || s.live < BucketEntries+sharedEntries
}

func (t *Table) scan(bucket []byte, a *Ask, now int64) (s scanned, ok bool) {
	if len(bucket)%entrySize != 1 {
		return s, false
	}
	for rest := bucket[1:]; len(rest) >= entrySize; rest = rest[entrySize:] {
		state := int64(binary.LittleEndian.Uint64(rest[8:]))
		if state <= now {
			continue
		}
		s.live++
		s.skewed = s.skewed || state > now+t.Horizon
		switch binary.LittleEndian.Uint64(rest) {
		case a.Tag:
			s.own = state
		case a.Shared:
			s.shared = state
		}
	}
	return s, true
}

// write copies what has debt, with another state for one of the tags. A state that is further ahead
// than any limit's can be would hold its place until the clock is where it was.
func (t *Table) write(dst, bucket []byte, tag uint64, state, now int64) []byte {
	dst = append(dst[:0], bucket[0])
	for rest := bucket[1:]; len(rest) >= entrySize; rest = rest[entrySize:] {
		other := int64(binary.LittleEndian.Uint64(rest[8:]))
		if other <= now || binary.LittleEndian.Uint64(rest) == tag {
			continue
		}
		dst = append(dst, rest[:8]...)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(min(other, now+t.Horizon)))
	}
	if state <= now {
		return dst
	}
	dst = binary.LittleEndian.AppendUint64(dst, tag)
	return binary.LittleEndian.AppendUint64(dst, uint64(state))
}
