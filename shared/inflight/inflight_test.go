// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package inflight

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	start  = int64(1_800_000_000_000_000_000)
	second = int64(time.Second)
)

// proxy is a table that several VMs share.
type proxy struct {
	t       *testing.T
	buckets [][]byte
	table   Table
}

func newProxy(t *testing.T, entries int) *proxy {
	p := &proxy{t: t, table: Table{Entries: entries}}
	for range p.table.Buckets() {
		p.buckets = append(p.buckets, Empty())
	}
	return p
}

func (p *proxy) vm(id uint32) *VM { return NewVM(p.table, id) }

func (p *proxy) take(v *VM, a *Ask, now int64) (Hold, Result) {
	b := v.Bucket(a)
	next, r := v.Take(nil, p.buckets[b], a, now)
	if next != nil {
		p.buckets[b] = next
	}
	if !r.Allowed {
		return Hold{}, r
	}
	if next == nil {
		p.t.Fatal("allowed, and nothing is written")
	}
	return v.Taken(a, r, now), r
}

func (p *proxy) giveBack(v *VM, one Hold, now int64) {
	b := v.GiveBack(one)
	p.buckets[b] = v.Write(nil, p.buckets[b], one, now)
	v.Written(one, true, now)
}

func (p *proxy) renew(v *VM, now int64) (n int) {
	for {
		one, b, ok := v.Due(now)
		if !ok {
			return n
		}
		n++
		p.buckets[b] = v.Write(nil, p.buckets[b], one, now)
		v.Written(one, true, now)
	}
}

// Whatever VMs take and give back, there is never more on its way than the limit, and never less let through.
func TestExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := newProxy(t, 1+rng.IntN(200))
		limits := []*[4]Limit{}
		var vms []*VM
		for i := range 1 + rng.IntN(16) {
			vms = append(vms, p.vm(uint32(i)))
			limits = append(limits, &[4]Limit{})
			for k := range limits[i] {
				limits[i][k] = Limit{Most: int64(1 + 3*k), MaxAge: 30 * second}
			}
		}
		now := start
		type one struct {
			vm   int
			key  int
			hold Hold
		}
		var open []one
		used := map[int]int64{}
		for range 2000 {
			now += rng.Int64N(second)
			i := rng.IntN(len(vms))
			p.renew(vms[i], now)
			if rng.IntN(2) == 0 && len(open) > 0 {
				k := rng.IntN(len(open))
				o := open[k]
				open = append(open[:k:k], open[k+1:]...)
				p.giveBack(vms[o.vm], o.hold, now)
				used[o.key]--
				continue
			}
			key := rng.IntN(12)
			l := &limits[i][key%4]
			hold, r := p.take(vms[i], &Ask{Tag: uint64(key+1) * 0x9e3779b97f4a7c15, Shared: uint64(key%4) + 1,
				Limit: l, Count: 1}, now)
			if r.Allowed != (used[key] < l.Most) || r.Full {
				t.Fatalf("%+v with %d of %d on their way", r, used[key], l.Most)
			}
			if r.Allowed {
				used[key]++
				open = append(open, one{i, key, hold})
			}
			if r.Remaining != l.Most-used[key] {
				t.Fatalf("%d remain, want %d", r.Remaining, l.Most-used[key])
			}
			// Others renew often enough that nothing of theirs ends: that is what the tick is for.
			for _, v := range vms {
				p.renew(v, now)
			}
		}
		for _, o := range open {
			p.giveBack(vms[o.vm], o.hold, now)
		}
		for i, b := range p.buckets {
			if len(b) != 1 {
				t.Fatalf("bucket %d has something in it when nothing is on its way: %d bytes", i, len(b))
			}
		}
		for i, v := range vms {
			if len(v.holds) != 0 || limits[i][0].Held+limits[i][1].Held+limits[i][2].Held+limits[i][3].Held != 0 {
				t.Fatalf("VM %d holds something: %+v, %+v", i, v.holds, limits[i])
			}
			if _, _, ok := v.Due(now + 1e18); ok {
				t.Fatal("something of nothing is due")
			}
		}
	}
}

// What a VM has on its way that is no more ends after MaxAge, and not before; that of one that lives never does.
func TestDeadVM(t *testing.T) {
	p := newProxy(t, 100)
	l := Limit{Most: 3, MaxAge: 30 * second}
	dead, alive := p.vm(1), p.vm(2)
	mine := l
	a, b := &Ask{Tag: 7, Shared: 1, Limit: &l, Count: 1}, &Ask{Tag: 7, Shared: 1, Limit: &mine, Count: 1}
	p.take(dead, a, start)
	p.take(dead, a, start+second)
	hold, _ := p.take(alive, b, start+second)
	for now := start + second; now <= start+200*second; now += second {
		p.renew(alive, now)
		_, r := alive.Take(nil, p.buckets[alive.Bucket(b)], b, now)
		if want := now >= start+31*second; r.Allowed != want {
			t.Fatalf("after %v: %+v", time.Duration(now-start), r)
		}
		if want := int64(1); now >= start+31*second && r.Remaining != want {
			t.Fatalf("after %v: %+v", time.Duration(now-start), r)
		}
	}
	p.giveBack(alive, hold, start+201*second)
	if n := p.renew(alive, start+400*second); n != 0 {
		t.Errorf("%d are renewed that are not on their way", n)
	}
}

// What could not be written is due at once, and right the next time.
func TestUnwritten(t *testing.T) {
	p := newProxy(t, 1)
	l := Limit{Most: 2, MaxAge: 30 * second}
	v := p.vm(1)
	a := &Ask{Tag: 7, Shared: 1, Limit: &l, Count: 1}
	other, others := p.vm(2), Limit{Most: 2, MaxAge: 30 * second}
	later := &Ask{Tag: 9 << 60, Shared: 1, Limit: &l, Count: 1}
	p.take(v, later, start)
	first, _ := p.take(v, a, start)
	second_, _ := p.take(v, a, start)
	for _, one := range []Hold{first, second_} {
		v.GiveBack(one)
		v.Written(one, false, start+1)
	}
	b := &Ask{Tag: 7, Shared: 1, Limit: &others, Count: 1}
	if _, r := p.take(other, b, start+1); r.Allowed {
		t.Error("the other VM cannot know that it was given back")
	}
	one, _, ok := v.Due(start + 1)
	if !ok || one.h != first.h {
		t.Fatalf("%+v is due, %v", one, ok)
	}
	if n := p.renew(v, start+1); n != 1 {
		t.Errorf("%d were due", n)
	}
	if _, r := p.take(other, b, start+1); !r.Allowed || r.Remaining != 1 {
		t.Errorf("the other VM: %+v", r)
	}
	// A VM that takes again before the rest was written has its own number right.
	p.take(v, a, start+2)
	if l.Held != 2 || v.own(place{v.Bucket(a), 7}) != 1 {
		t.Errorf("%d held", l.Held)
	}
}

// A full bucket: keys without a place share one number for each limit, and where there is no room for
// that either they are refused. Nobody loses a place.
func TestFullBucket(t *testing.T) {
	p := newProxy(t, 1)
	p.buckets = p.buckets[:1]
	l := Limit{Most: 2, MaxAge: 30 * second}
	v := p.vm(1)
	ask := func(key uint64, shared uint64, l *Limit) *Ask {
		return &Ask{Tag: key, Shared: shared, Limit: l, Count: 1}
	}
	var holds []Hold
	for i := range uint64(BucketEntries) {
		h, r := p.take(v, ask(100+i, 1, &l), start)
		if !r.Allowed || r.place.tag != 100+i {
			t.Fatalf("key %d: %+v", i, r)
		}
		holds = append(holds, h)
	}
	for i, want := range []Result{{Allowed: true, Remaining: 1}, {Allowed: true, Remaining: 0}, {}} {
		_, r := p.take(v, ask(200+uint64(i), 1, &l), start)
		if r.place.tag != 1 {
			t.Errorf("%+v", r)
		}
		if r.place, r.Total = (place{}), 0; r != want {
			t.Errorf("key %d without a place: %+v", i, r)
		}
	}
	if _, r := p.take(v, ask(100, 1, &l), start); !r.Allowed || r.Remaining != 0 {
		t.Errorf("a key with a place: %+v", r)
	}
	// Another VM has a place for a key that has one here: it is exact over all of them.
	other, others := p.vm(2), Limit{Most: 3, MaxAge: 30 * second}
	if _, r := p.take(other, ask(100, 1, &others), start); !r.Allowed || r.place.tag != 100 || r.Total != 3 {
		t.Errorf("2 of 3 on their way under the key: %+v", r)
	}
	if _, r := p.take(other, ask(100, 1, &others), start); r.Allowed {
		t.Errorf("3 of 3 on their way under the key: %+v", r)
	}
	for i := range uint64(sharedEntries - 2) {
		if _, r := p.take(v, ask(300, 1000+i, &l), start); !r.Allowed {
			t.Fatalf("limit %d has no shared place: %+v", i, r)
		}
	}
	if _, r := p.take(v, ask(300, 2000, &l), start); r.Allowed || !r.Full || r.Remaining != 0 {
		t.Errorf("no room: %+v", r)
	}
	before := len(p.buckets[0])
	p.giveBack(v, holds[5], start)
	if got := len(p.buckets[0]); got != before-entrySize {
		t.Errorf("%d bytes, want %d", got, before-entrySize)
	}
	p.buckets[0] = []byte("nonsense")
	if _, r := p.take(v, ask(1, 1, &l), start); r.Allowed || !r.Full {
		t.Errorf("nonsense: %+v", r)
	}
	if v.Write(nil, p.buckets[0], holds[6], start) != nil {
		t.Error("written into what is no bucket")
	}
}

// One key in more VMs than a bucket has entries, and what each counts as several.
func TestManyVMs(t *testing.T) {
	p := newProxy(t, 1)
	p.buckets = p.buckets[:1]
	total := int64(0)
	for vm := range uint32(3 * BucketEntries) {
		l := Limit{Most: 149, MaxAge: 30 * second}
		_, r := p.take(p.vm(vm+1), &Ask{Tag: 7, Shared: 1, Limit: &l, Count: 1 + int64(vm%2)}, start)
		if want := total+1+int64(vm%2) <= 149; r.Allowed != want {
			t.Fatalf("VM %d with %d on their way: %+v", vm, total, r)
		}
		if r.Allowed {
			total += 1 + int64(vm%2)
		}
		if r.Total != total || r.Remaining != 149-total {
			t.Fatalf("VM %d: %+v of %d", vm, r, total)
		}
	}
	if total != 149 {
		t.Errorf("%d at once", total)
	}
}

// Another configuration's entries last as long as that says, not as long as ours do.
func TestOtherMaxAge(t *testing.T) {
	p := newProxy(t, 1)
	long, short := Limit{Most: 2, MaxAge: 60 * second}, Limit{Most: 2, MaxAge: 5 * second}
	before, after := p.vm(1), p.vm(2)
	a := func(l *Limit) *Ask { return &Ask{Tag: 7, Shared: 1, Limit: l, Count: 1} }
	p.take(before, a(&long), start)
	p.take(after, a(&short), start)
	p.renew(after, start+4*second) // which writes the bucket
	if _, r := p.take(after, a(&short), start+59*second); r.Allowed {
		t.Errorf("after 59 of 60 seconds: %+v", r)
	}
	if _, r := p.take(after, a(&short), start+61*second); !r.Allowed || r.Remaining != 0 {
		t.Errorf("after 61 of 60 seconds: %+v", r)
	}
}

// A key that had its places among those who share counts them where it gets one of its own.
func TestFromSharedToOwn(t *testing.T) {
	p := newProxy(t, 1)
	p.buckets = p.buckets[:1]
	l := Limit{Most: 2, MaxAge: 30 * second}
	v := p.vm(1)
	var holds []Hold
	for i := range uint64(BucketEntries) {
		h, _ := p.take(v, &Ask{Tag: 100 + i, Shared: 1, Limit: &l, Count: 1}, start)
		holds = append(holds, h)
	}
	a := &Ask{Tag: 7, Shared: 1, Limit: &l, Count: 1}
	for range 2 {
		if _, r := p.take(v, a, start); !r.Allowed || r.place.tag != 1 {
			t.Fatalf("%+v", r)
		}
	}
	for _, h := range holds {
		p.giveBack(v, h, start)
	}
	if _, r := p.take(v, a, start); r.Allowed || r.place.tag != 7 {
		t.Errorf("2 of 2 are on their way: %+v", r)
	}
}

// The clock goes back: what a dead VM had counts for no longer than what is new.
func TestClockBack(t *testing.T) {
	p := newProxy(t, 1)
	l, mine := Limit{Most: 1, MaxAge: 30 * second}, Limit{Most: 1, MaxAge: 30 * second}
	dead, alive := p.vm(1), p.vm(2)
	p.take(dead, &Ask{Tag: 7, Shared: 1, Limit: &l, Count: 1}, start)
	back := start - 3600*second
	a := &Ask{Tag: 7, Shared: 1, Limit: &mine, Count: 1}
	if _, r := p.take(alive, a, back); r.Allowed {
		t.Fatal("the clock opens the limit")
	}
	if _, r := p.take(alive, a, back+30*second+1); !r.Allowed {
		t.Fatal("shut until the clock is where it was")
	}
	// And a VM that lives writes its own anew.
	if n := p.renew(alive, back+10*second); n != 1 { // renewed no later than a third of MaxAge after it was written
		t.Errorf("%d renewed after twenty seconds back", n)
	}
	if n := p.renew(alive, back-3600*second); n != 1 {
		t.Errorf("%d renewed", n)
	}
}

// What all VMs have on their way: each writes its own number, seldom.
func TestTotal(t *testing.T) {
	p := newProxy(t, 100)
	record := Empty()
	a, b := Limit{Most: 100, MaxAge: 30 * second}, Limit{Most: 100, MaxAge: 30 * second}
	one, two := p.vm(1), p.vm(2)
	tell := func(v *VM, l *Limit, now int64) (total int64, written bool) {
		next, total := v.Total(nil, record, l, now)
		if next != nil {
			record = next
		}
		return total, next != nil
	}
	for i, c := range []struct {
		v       *VM
		l       *Limit
		held    int64
		after   int64
		total   int64
		written bool
	}{
		{one, &a, 0, 0, 0, false}, {one, &a, 3, 0, 3, true}, {one, &a, 3, second, 3, false}, {two, &b, 4, second, 7, true},
		{one, &a, 3, 14 * second, 7, false}, {one, &a, 3, 15 * second, 7, true}, {one, &a, 2, 16 * second, 6, true},
		{one, &a, 2, 31 * second, 2, true}, {two, &b, 0, 31 * second, 2, false}, {one, &a, 0, 32 * second, 0, true},
		{one, &a, 0, 32 * second, 0, false}, {one, &a, 1, -3600 * second, 1, true},
		{one, &a, 1, -7200 * second, 1, true},
	} {
		c.l.Held = c.held
		if total, written := tell(c.v, c.l, start+c.after); total != c.total || written != c.written {
			t.Errorf("%d: %d in all, written %v", i, total, written)
		}
	}
	record = nil
	if next, total := one.Total(nil, record, &a, start); next != nil || total != 0 {
		t.Error("told what is no record")
	}
}

func BenchmarkTake(b *testing.B) {
	table := Table{Entries: 65536}
	v := NewVM(table, 1)
	l := Limit{Most: 1 << 30, MaxAge: 30 * second}
	bucket, next := Empty(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for i := range b.N {
		a := Ask{Tag: uint64(i%20)<<40 | 1, Shared: 2, Limit: &l, Count: 1}
		next, r := v.Take(next, bucket, &a, start)
		bucket = append(bucket[:0], next...)
		h := v.Taken(&a, r, start)
		v.GiveBack(h)
		bucket = append(bucket[:0], v.Write(next, bucket, h, start)...)
		v.Written(h, true, start)
	}
}
