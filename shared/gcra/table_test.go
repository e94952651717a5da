// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// memory is a whole table.
type memory struct {
	Table
	seed    Seed
	buckets [][]byte
}

func newMemory(entries int, limits ...*Limit) *memory {
	m := &memory{Table: Table{Entries: entries}, seed: Seed{1, 2, 3}}
	for _, l := range limits {
		m.Horizon = max(m.Horizon, l.Horizon())
	}
	for range m.Buckets() {
		m.buckets = append(m.buckets, Empty())
	}
	return m
}

func (m *memory) ask(limit *Limit, name byte, key int, cost int64) *Ask {
	text := binary.LittleEndian.AppendUint64([]byte{name}, uint64(key))
	return &Ask{Tag: m.seed.Tag(text), Shared: m.seed.Tag([]byte{name}), Limit: limit, Cost: cost}
}

func (m *memory) take(a *Ask, now int64) Result {
	at := m.Bucket(a.Tag)
	next, r := m.Take(nil, m.buckets[at], a, now)
	if next != nil {
		m.buckets[at] = next
	}
	return r
}

func (m *memory) refund(a *Ask, taken Result, now int64) Result {
	at := m.Bucket(a.Tag)
	next, r := m.Refund(nil, m.buckets[at], a, taken, now)
	if next != nil {
		m.buckets[at] = next
	}
	return r
}

// As many keys as a table is for: the share of them that finds its bucket full.
func TestShareWithoutAPlace(t *testing.T) {
	for _, entries := range []int{256, 1024, 65536, 1 << 20} {
		l := limit(t, 1, time.Hour, 1)
		rng := rand.New(rand.NewPCG(7, uint64(entries)))
		n, shared := 0, 0
		for n < 1<<20 {
			m := newMemory(entries, l)
			count := make([]int, m.Buckets())
			for range entries {
				if at := m.Bucket(rng.Uint64()); count[at] < BucketEntries {
					count[at]++
				} else {
					shared++
				}
			}
			n += entries
		}
		t.Logf("a table for %d keys: %.5f %% of as many find their bucket full", entries, 100*float64(shared)/float64(n))
		if float64(shared)/float64(n) > 1.0/20000 {
			t.Errorf("%d of %d keys find no place in a table for them", shared, n)
		}
	}
}

// R1 R2: a million keys in a table for a few: the offender from before is still refused, new keys
// have what is left of shared bursts, the memory stays what it is.
func TestMillionKeys(t *testing.T) {
	l := limit(t, 5, time.Hour, 5)
	m := newMemory(4096, l)
	offender := m.ask(l, 'a', -1, 1)
	for range 5 {
		m.take(offender, start)
	}
	admitted := int64(0)
	for i := range 1_000_000 {
		if m.take(m.ask(l, 'a', i, 5), start+int64(i)).Allowed {
			admitted += 5
		}
		if i%1000 == 0 && m.take(offender, start+int64(i)).Allowed {
			t.Fatalf("R1: forgotten after %d other keys", i)
		}
	}
	if most := int64(m.Buckets()*(BucketEntries+1)) * l.burst; admitted > most {
		t.Errorf("R2: %d admitted, at most %d may be", admitted, most)
	}
	size := 0
	for _, b := range m.buckets {
		size += len(b)
	}
	if most := m.Buckets() * (1 + (BucketEntries+sharedEntries)*entrySize); size > most {
		t.Errorf("R1: the table has %d bytes, at most %d may be", size, most)
	}
	t.Logf("%d buckets, %d bytes when full, %d of 1,000,000 keys admitted", m.Buckets(), size, admitted/5)
	if !m.take(offender, start+hour).Allowed || !m.take(m.ask(l, 'a', 7, 1), start+2*hour).Allowed {
		t.Error("what has drained makes no room")
	}
}

func TestFullBucket(t *testing.T) {
	l, other := limit(t, 4, time.Hour, 4), limit(t, 10, time.Second, 2)
	m := newMemory(1, l, other)
	for i := range BucketEntries {
		if r := m.take(m.ask(l, 'a', i, 4), start); !r.Allowed || r.Shared {
			t.Fatalf("key %d: %+v", i, r)
		}
	}
	latecomer, second := m.ask(l, 'a', 100, 3), m.ask(l, 'a', 101, 1)
	first := m.take(latecomer, start)
	if !first.Allowed || !first.Shared || first.Remaining != 1 {
		t.Errorf("R2 the first without a place: %+v", first)
	}
	if r := m.take(m.ask(l, 'a', 101, 2), start); r.Allowed {
		t.Error("R2 two without a place have more than one burst")
	}
	if r := m.take(m.ask(other, 'b', 100, 2), start); !r.Allowed || !r.Shared {
		t.Errorf("the keys of one limit lock those of another out: %+v", r)
	}
	if r := m.refund(latecomer, first, start); r.Remaining != 4 {
		t.Errorf("what was taken from the shared state does not come back: %+v", r)
	}
	if r := m.take(latecomer, start); !r.Allowed {
		t.Error("what was given back is not there")
	}
	for name := byte('c'); name < 'c'+sharedEntries-2; name++ {
		if r := m.take(m.ask(l, name, 1, 1), start); !r.Allowed || !r.Shared {
			t.Errorf("%c: %+v", name, r)
		}
	}
	if before := bytes.Clone(m.buckets[0]); m.take(m.ask(l, 'z', 1, 1), start).Allowed ||
		!bytes.Equal(before, m.buckets[0]) {
		t.Error("R2 a key that finds no room at all is admitted, or takes somebody's place")
	}
	// A quarter of an hour later those in the bucket still have debt, but for one, who has been
	// given it back. The latecomer gets the place, and its debt comes along.
	m2 := newMemory(1, l)
	for i := range BucketEntries {
		m2.take(m2.ask(l, 'a', i, int64(4-i%2*3)), start)
	}
	m2.take(latecomer, start)
	later := start + 900*int64(time.Second)
	if r := m2.take(second, later); !r.Allowed || r.Shared || r.Remaining != 4-2-1 {
		t.Errorf("a key that comes out of those who share has forgotten their debt: %+v", r)
	}
	if r := m2.take(m2.ask(l, 'a', 102, 3), later); r.Allowed {
		t.Error("another one has, too")
	}
}

// R6: a clock that has gone back by years shuts no bucket for years.
func TestTableWhoseClockWasWrong(t *testing.T) {
	l := limit(t, 4, time.Second, 4)
	m := newMemory(1, l)
	ahead := start + 10*365*24*hour
	for i := range 200 {
		m.take(m.ask(l, 'a', i, 4), ahead)
	}
	for name := byte('b'); name < 'b'+sharedEntries; name++ {
		m.take(m.ask(l, name, 1, 4), ahead)
	}
	if m.take(m.ask(l, 'a', 0, 1), start).Allowed {
		t.Error("the offender from before has a new burst at once")
	}
	m.take(m.ask(l, 'y', 1, 1), start)
	if r := m.take(m.ask(l, 'a', 1000, 4), start+m.Horizon+1); !r.Allowed || r.Shared {
		t.Errorf("a new key finds the bucket full of what is to come: %+v", r)
	}
	if n := len(m.buckets[0]) / entrySize; n > 2 {
		t.Errorf("%d entries are left", n)
	}
	// Only new keys come, which find no room at all.
	m = newMemory(1, l)
	for i := range BucketEntries + 1 {
		m.take(m.ask(l, 'a', i, 4), ahead)
	}
	for name := byte('b'); name < 'b'+sharedEntries-1; name++ {
		m.take(m.ask(l, name, 1, 4), ahead)
	}
	if m.take(m.ask(l, 'z', 1, 1), start).Allowed {
		t.Error("there is room where there should be none")
	}
	if r := m.take(m.ask(l, 'z', 2, 4), start+m.Horizon+1); !r.Allowed || r.Shared {
		t.Errorf("new keys find no room for ever: %+v", r)
	}
}

// What has no debt is not kept.
func TestEmptiedBucket(t *testing.T) {
	l := limit(t, 4, time.Second, 4)
	m := newMemory(1, l)
	a := m.ask(l, 'a', 1, 3)
	if r := m.refund(a, m.take(a, start), start); r.Remaining != 4 || !bytes.Equal(m.buckets[0], Empty()) {
		t.Errorf("%+v, %v", r, m.buckets[0])
	}
}

func TestBrokenBucket(t *testing.T) {
	l := limit(t, 4, time.Second, 4)
	m := newMemory(1, l)
	for _, broken := range [][]byte{nil, {1, 2}, make([]byte, entrySize)} {
		if next, r := m.Take(nil, broken, m.ask(l, 'a', 1, 1), start); r.Allowed || next != nil || r.Retry < 1 {
			t.Errorf("%v: %+v", broken, r)
		}
		if next, r := m.Refund(nil, broken, m.ask(l, 'a', 1, 1), Result{Allowed: true, Until: start + 1},
			start); next != nil || r.Allowed {
			t.Errorf("refund, %v: %+v", broken, r)
		}
	}
}

// A small table that is always full, under random requests with refunds: no key, with a place or
// without, ever has more than its burst and rate.
func TestTableNeverMoreThanBurstAndRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		l, other := limit(t, 10, time.Second, 5), limit(t, 3, time.Minute, 2)
		m := newMemory(8, l, other)
		now, all := start, map[int][]taken{}
		for range 20000 {
			now += rng.Int64N(4_000_000)
			key, cost := rng.IntN(150), 1+rng.Int64N(2)
			m.take(m.ask(other, 'b', rng.IntN(150), 1), now)
			a := m.ask(l, 'a', key, cost)
			r := m.take(a, now)
			switch {
			case r.Allowed && rng.IntN(4) == 0:
				m.refund(a, r, now+rng.Int64N(1_000_000))
			case r.Allowed:
				all[key] = append(all[key], taken{now, cost})
			}
		}
		for _, list := range all {
			conforms(t, l, list)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{1}, uint64(1), uint64(2), int64(1), start)
	f.Add(append(Empty(), make([]byte, 64)...), uint64(0), uint64(0), int64(3), start)
	l := limit(f, 7, time.Second, 7)
	table := Table{Entries: 1, Horizon: l.Horizon()}
	f.Fuzz(func(t *testing.T, bucket []byte, tag, shared uint64, cost, now int64) {
		a := &Ask{Tag: tag, Shared: shared, Limit: l, Cost: cost}
		next, r := table.Take(nil, bucket, a, now)
		if next == nil {
			if r.Allowed && cost > 0 {
				t.Fatalf("%+v, and nothing is written", r)
			}
			return
		}
		if len(next) > len(bucket)+entrySize || len(next)%entrySize != 1 {
			t.Fatalf("%d bytes become %d", len(bucket), len(next))
		}
		if _, again := table.Take(nil, next, a, now); r.Allowed && cost > 0 && again.Allowed &&
			again.Remaining >= r.Remaining {
			t.Fatalf("%+v, then %+v", r, again)
		}
		if back, _ := table.Refund(nil, next, a, r, now); back != nil && (len(back)%entrySize != 1 || len(back) > len(next)) {
			t.Fatalf("%d bytes become %d", len(next), len(back))
		}
	})
}

func BenchmarkTake(b *testing.B) {
	l := limit(b, 1000, time.Second, 1000)
	for _, c := range []struct {
		name string
		keys int
	}{{"one key", 1}, {"a full bucket", BucketEntries}} {
		b.Run(c.name, func(b *testing.B) {
			m := newMemory(1, l)
			for i := range c.keys {
				m.take(m.ask(l, 'a', i, 1000), start)
			}
			bucket, a := m.buckets[0], m.ask(l, 'a', 0, 1)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = m.Take(dst, bucket, a, start+second/2)
			}
		})
	}
}

func BenchmarkTag(b *testing.B) {
	s, text := Seed{1}, make([]byte, 32)
	for b.Loop() {
		s.Tag(text)
	}
}
