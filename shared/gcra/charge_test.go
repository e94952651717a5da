// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// However requests and their settlements follow each other, what answers have cost in any time is at
// most
//
//	burst + rate × time + what was reserved too little for them
//
// where a request goes on if what has been charged, what is reserved and its own reserve fit into the
// burst. Nothing is lost: each answer has cost what it says, neither more nor less. And what was
// reserved too little is paid: nothing goes on until it has drained.
func TestSettled(t *testing.T) {
	type open struct{ reserve, cost int64 }
	rng := rand.New(rand.NewPCG(11, 12))
	for range 400 {
		l := randomLimit(t, rng).Indebted(1 << 20)
		if l.debt == int64(MaxDebt) {
			continue // what is over it is lost
		}
		now, state, reserved := start, int64(0), int64(0)
		var list []open
		var all []taken // at most what was reserved
		charged, drained := int64(0), int64(0)
		settle := func(i int) {
			o := list[i]
			list = append(list[:i:i], list[i+1:]...)
			before := max(state, now)
			next, r := l.Charge(state, now, o.cost)
			if max(next, now)-before != o.cost*l.interval || r.Lost != 0 {
				t.Fatalf("a cost of %d moves the state by %v", o.cost, time.Duration(next-before))
			}
			state = next
			reserved -= o.reserve
			charged += o.cost
			if o.cost > 0 {
				all = append(all, taken{now, min(o.reserve, o.cost)})
			}
		}
		for range 300 {
			d := rng.Int64N(1 + 2*l.interval)
			drained += min(d, max(state-now, 0))
			now += d
			if len(list) > 0 && rng.IntN(2) == 0 {
				settle(rng.IntN(len(list)))
				continue
			}
			reserve := 1 + rng.Int64N(l.burst)
			r := l.Look(state, now, reserved+reserve)
			used := max(state-now, 0) + (reserved+reserve)*l.interval
			if r.Allowed != (used <= l.depth) {
				t.Fatalf("%v of %v: %+v", time.Duration(used), time.Duration(l.depth), r)
			}
			if more := l.Look(state, now, reserved+reserve+r.Remaining+1); r.Allowed && more.Allowed {
				t.Fatal("there is more than what remains")
			}
			if !r.Allowed {
				if r.Retry > 0 {
					if early := l.Look(state, now+r.Retry-1, reserved+reserve); early.Allowed {
						t.Fatal("it could have been retried earlier")
					}
					if late := l.Look(state, now+r.Retry, reserved+reserve); !late.Allowed {
						t.Fatal("it cannot be retried when it should")
					}
				} else if late := l.Look(state, now+int64(MaxSpan), reserved+reserve); late.Allowed {
					t.Fatal("time makes room, and nobody says when")
				}
				continue
			}
			reserved += reserve
			list = append(list, open{reserve, rng.Int64N(1 + 3*l.burst)})
		}
		for len(list) > 0 {
			settle(rng.IntN(len(list)))
		}
		conforms(t, &l, all)
		if owed := charged * l.interval; owed != drained+max(state-now, 0) {
			t.Fatalf("settled %v, of which %v have drained and %v are held", time.Duration(owed),
				time.Duration(drained), time.Duration(state-now))
		}
	}
}

func TestCharge(t *testing.T) {
	plain := limit(t, 10, time.Second, 10)
	indebted := plain.Indebted(20)
	for name, c := range map[string]struct {
		limit           *Limit
		ahead, cost     int64
		want, remaining int64
	}{
		"within the burst":           {plain, 0, 3, 3, 7},
		"nothing":                    {plain, 4, 0, 4, 6},
		"less than nothing":          {plain, 4, -3, 4, 6},
		"no debts":                   {plain, 4, 100, 10, 0},
		"a debt":                     {&indebted, 4, 10, 14, 0},
		"as much debt as there is":   {&indebted, 4, 26, 30, 0},
		"more than that":             {&indebted, 4, 27, 30, 0},
		"the largest there is":       {&indebted, 4, math.MaxInt64, 30, 0},
		"in debt already":            {&indebted, 29, 5, 30, 0},
		"a clock that has gone back": {&indebted, 41, 1, 11, 0},
		"clocks that differ":         {plain, 15, 3, 15, 0},
	} {
		const interval = second / 10
		state := start + c.ahead*interval
		if c.ahead == 0 {
			state = 0
		}
		next, r := c.limit.Charge(state, start, c.cost)
		if lost := max(c.cost, 0) - (c.want - min(c.ahead, c.want)); name != "a clock that has gone back" && c.cost < 1<<40 &&
			r.Lost != lost*interval {
			t.Errorf("%s: %v lost, want %d", name, time.Duration(r.Lost), lost)
		}
		if want := start + c.want*interval; next != want && !(c.cost <= 0 && next == state) || r.Remaining != c.remaining ||
			r.Reset != max(next-start, 0) || !r.Allowed {
			t.Errorf("%s: %v ahead, want %d, %+v", name, time.Duration(next-start), c.want, r)
		}
	}
	if l := limit(t, 1, 31*24*time.Hour, 1).Indebted(math.MaxInt64); l.debt != int64(MaxDebt) || l.Horizon() < 0 {
		t.Errorf("the longest debt: %v", time.Duration(l.debt))
	}
	if l := plain.Indebted(-1); l.debt != 0 {
		t.Errorf("a debt of less than nothing: %v", time.Duration(l.debt))
	}
}

// A charge goes where the key is, or to what keys without a place share; where there is no room for either, it is told.
func TestChargeInTable(t *testing.T) {
	debt := limit(t, 10, time.Second, 10).Indebted(100)
	l := &debt
	m := newMemory(1, l)
	charge := func(a *Ask) (Result, bool) {
		next, r, ok := m.Charge(nil, m.buckets[0], a, start)
		if next != nil {
			m.buckets[0] = next
		}
		return r, ok
	}
	look := func(key int) Result {
		a := m.ask(l, 'a', key, 0)
		a.Room = 1
		before := string(m.buckets[0])
		next, r := m.Take(nil, m.buckets[0], a, start)
		if next != nil || string(m.buckets[0]) != before {
			t.Fatal("a look writes")
		}
		return r
	}
	m.buckets = m.buckets[:1]
	m.Entries = 1
	if r := look(0); !r.Allowed || r.Remaining != 9 || r.Retry != 0 {
		t.Errorf("nobody has taken anything: %+v", r)
	}
	for i := range BucketEntries {
		if r, ok := charge(m.ask(l, 'a', i, 15)); !ok || r.Remaining != 0 || r.Reset != 15*second/10 {
			t.Fatalf("key %d: %+v, %v", i, r, ok)
		}
		if r := look(i); r.Allowed || r.Retry != 6*second/10 || r.Shared {
			t.Fatalf("key %d, looked at: %+v", i, r)
		}
	}
	if r := look(100); !r.Allowed || !r.Shared {
		t.Errorf("a key without a place: %+v", r)
	}
	charge(m.ask(l, 'a', 100, 4))
	charge(m.ask(l, 'a', 101, 6))
	if r := look(102); r.Allowed || !r.Shared || r.Retry != second/10 {
		t.Errorf("another key without a place: %+v", r)
	}
	for name := byte('b'); name < 'b'+sharedEntries-1; name++ {
		if _, ok := charge(m.ask(l, name, 0, 1)); !ok {
			t.Fatalf("limit %c has no place for what its keys share", name)
		}
	}
	if r, ok := charge(m.ask(l, 'z', 0, 1)); ok || r.Allowed {
		t.Errorf("nowhere to go: %+v", r)
	}
	if r, ok := charge(m.ask(l, 'a', 0, 0)); !ok || r.Reset != 15*second/10 {
		t.Errorf("nothing to charge: %+v, %v", r, ok)
	}
	m.buckets[0] = []byte("nonsense")
	if _, ok := charge(m.ask(l, 'a', 0, 1)); ok {
		t.Error("charged in what is no bucket")
	}
}
