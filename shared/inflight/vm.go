// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package inflight

// VM is what one VM has on its way, of one configuration. It belongs to one goroutine.
type VM struct {
	table  Table
	id     uint32
	holds  map[place]*hold
	oldest []*list // by Limit: what is to be renewed next stands first
	failed list    // what could not be written
	free   *hold
}

// place is where a number is kept.
type place struct {
	bucket int
	tag    uint64
}

// hold is what this VM has in one place.
type hold struct {
	place
	limit      *Limit
	count      int64
	renew      int64 // when the entry is to be written anew
	in         *list
	prev, next *hold
}

type list struct {
	limit       *Limit
	first, last *hold
}

// Limit is how much may be on its way at once for one key.
type Limit struct {
	Most   int64
	MaxAge int64 // nanoseconds, whole milliseconds: a VM that has written nothing for so long counts no more
	Held   int64 // what this VM has on its way for all keys; counted here
}

// NewVM makes the part of one VM. id tells it from all others that share the table: it is chosen at random.
func NewVM(table Table, id uint32) *VM {
	return &VM{table: table, id: id, holds: map[place]*hold{}}
}

// Ask is for one key.
type Ask struct {
	Tag    uint64 // of the key and its limit
	Shared uint64 // tag of what keys of this limit share; none of a key
	Limit  *Limit
	Count  int64 // how many at once it is
}

// Result of a Take.
type Result struct {
	Allowed   bool
	Full      bool  // nobody knows, since there is no room
	Remaining int64 // how many more could be on their way
	Total     int64 // how many are, with these
	place     place
}

// Bucket is where an ask's number is kept.
func (v *VM) Bucket(a *Ask) int { return v.table.Bucket(a.Tag) }

// Take asks for one more. next is the bucket afterwards, in the memory of dst, which is not that of
// bucket; nil: it stays as it is. It changes nothing in the VM: where next has been written, Taken
// is to be told.
func (v *VM) Take(dst, bucket []byte, a *Ask, now int64) (next []byte, r Result) {
	if !isBucket(bucket) {
		return nil, Result{Full: true}
	}
	at := place{v.table.Bucket(a.Tag), a.Tag}
	s := scan(bucket, a.Tag, v.id, now)
	own := v.own(at)
	used := s.others + own
	switch {
	case used > 0: // a key that is there has a place for each VM
	case s.live < BucketEntries:
		// What it had among those who share counts on; by now nobody knows whose it is.
		used = scan(bucket, a.Shared, v.id, now).others + v.own(place{at.bucket, a.Shared})
	default:
		at.tag = a.Shared
		if own = v.own(at); own == 0 && s.live >= BucketEntries+sharedEntries {
			r.Full, used = true, a.Limit.Most
		}
		used += scan(bucket, a.Shared, v.id, now).others + own
	}
	r.Remaining, r.Total, r.place = max(a.Limit.Most-used, 0), used, at
	if r.Remaining < a.Count || r.Full {
		if s.skewed { // or nobody would get in before the clock is where it was
			next = write(dst, bucket, v.entry(at.tag, own, a.Limit, now), now)
		}
		return next, r
	}
	r.Allowed = true
	r.Remaining, r.Total = r.Remaining-a.Count, used+a.Count
	return write(dst, bucket, v.entry(at.tag, own+a.Count, a.Limit, now), now), r
}

// entry is what this VM writes.
func (v *VM) entry(tag uint64, count int64, l *Limit, now int64) entry {
	return entry{tag, v.id, uint64(count), now + l.MaxAge, uint32(l.MaxAge / 1e6)}
}

func (v *VM) own(at place) int64 {
	if h := v.holds[at]; h != nil {
		return h.count
	}
	return 0
}

// Hold is what has been taken, to be given back once.
type Hold struct {
	h     *hold
	count int64
}

// Taken notes that what Take returned is written.
func (v *VM) Taken(a *Ask, r Result, now int64) Hold {
	h := v.holds[r.place]
	if h == nil {
		if h = v.free; h != nil {
			v.free = h.next
		} else {
			h = &hold{}
		}
		*h = hold{place: r.place, limit: a.Limit}
		v.holds[r.place] = h
		v.listOf(a.Limit).push(h)
	}
	h.count += a.Count
	h.limit.Held += a.Count
	v.written(h, now)
	return Hold{h, a.Count}
}

func (v *VM) listOf(l *Limit) *list {
	for _, known := range v.oldest {
		if known.limit == l {
			return known
		}
	}
	v.oldest = append(v.oldest, &list{limit: l})
	return v.oldest[len(v.oldest)-1]
}

// written notes that an entry is as it should be.
func (v *VM) written(h *hold, now int64) {
	h.in.remove(h)
	if h.count > 0 {
		h.renew = now + h.limit.MaxAge/3
		v.listOf(h.limit).push(h)
		return
	}
	delete(v.holds, h.place)
	*h = hold{next: v.free}
	v.free = h
}

// GiveBack says that it is no longer on its way, and which bucket has to be told (Write).
func (v *VM) GiveBack(one Hold) (bucket int) {
	one.h.count -= one.count
	one.h.limit.Held -= one.count
	return one.h.bucket
}

// Write is what the bucket of a hold becomes, in the memory of dst; nil: it is none.
func (v *VM) Write(dst, bucket []byte, one Hold, now int64) (next []byte) {
	h := one.h
	if !isBucket(bucket) {
		return nil
	}
	return write(dst, bucket, v.entry(h.tag, h.count, h.limit, now), now)
}

// Written notes that what Write returned is written: the hold is not to be used any more unless
// more of it is on its way. ok is false where it could not be: then it is Due at once.
func (v *VM) Written(one Hold, ok bool, now int64) {
	if ok {
		v.written(one.h, now)
	} else {
		v.fail(one.h, now)
	}
}

// Renewed notes that what Write returned for one that was Due is written. Where it could not be, it is
// tried again a little later, and the others have their turn.
func (v *VM) Renewed(one Hold, ok bool, now int64) {
	if ok {
		v.written(one.h, now)
	} else {
		v.fail(one.h, now+retry)
	}
}

// retry is how long what could not be renewed waits, in nanoseconds: less than any MaxAge by far.
const retry = 100e6

// fail has a hold written again from a time on.
func (v *VM) fail(h *hold, at int64) {
	h.in.remove(h)
	h.renew = at
	v.failed.push(h)
}

// Due is one whose entry is to be written anew by now; ok is false where there is none.
func (v *VM) Due(now int64) (one Hold, bucket int, ok bool) {
	// Where the clock has gone back, everything is.
	if h := v.failed.first; h != nil && (h.renew <= now || h.renew > now+retry) {
		return Hold{h: h}, h.bucket, true
	}
	for _, l := range v.oldest {
		if h := l.first; h != nil && (h.renew <= now || h.renew > now+l.limit.MaxAge/3) {
			return Hold{h: h}, h.bucket, true
		}
	}
	return Hold{}, 0, false
}

func (l *list) push(h *hold) {
	h.in, h.prev, h.next = l, l.last, nil
	if l.last != nil {
		l.last.next = h
	} else {
		l.first = h
	}
	l.last = h
}

func (l *list) remove(h *hold) {
	if h.prev != nil {
		h.prev.next = h.next
	} else if l.first == h {
		l.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else if l.last == h {
		l.last = h.prev
	}
	h.prev, h.next = nil, nil
}

// Total is what a record that is a bucket of its own becomes, in which each VM has what it holds of a
// limit, and what all of them hold. next is nil where the record says so already, and for long enough.
func (v *VM) Total(dst, record []byte, l *Limit, now int64) (next []byte, total int64) {
	if !isBucket(record) {
		return nil, 0
	}
	const tag = 0 // there is one limit in a record
	total = scan(record, tag, v.id, now).others + l.Held
	for rest := record[1:]; len(rest) >= entrySize; rest = rest[entrySize:] {
		if e := read(rest); e.tag == tag && e.vm == v.id && e.holds(now) {
			if int64(e.count) == l.Held && e.until-now > l.MaxAge/2 && e.until <= now+l.MaxAge {
				return nil, total
			}
			return write(dst, record, v.entry(tag, l.Held, l, now), now), total
		}
	}
	if l.Held == 0 {
		return nil, total
	}
	return write(dst, record, v.entry(tag, l.Held, l, now), now), total
}
