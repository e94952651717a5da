// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package gcra

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	second = int64(time.Second)
	hour   = int64(time.Hour)
	start  = 1_800_000_000 * second
)

func limit(t testing.TB, requests int64, per time.Duration, burst int64) *Limit {
	t.Helper()
	l, ok := New(requests, per, burst)
	if !ok {
		t.Fatalf("%d per %v, %d at once, is no limit", requests, per, burst)
	}
	return &l
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name            string
		requests, burst int64
		per             time.Duration
		ok              bool
	}{
		{"one in 24 hours", 1, 1, 24 * time.Hour, true},
		{"the highest rate", MaxPerSecond, MaxPerSecond, time.Second, true},
		{"one more", MaxPerSecond + 1, 1, time.Second, false},
		{"no requests", 0, 1, time.Second, false},
		{"no burst", 1, 0, time.Second, false},
		{"no time", 1, 1, 0, false},
		{"R7: a burst that takes for ever to come back", 1, math.MaxInt64, 24 * time.Hour, false},
		{"R7: a burst whose product wraps around to little", 1, 1<<62 + 1, 4 * time.Second, false},
		{"a burst that takes 20 years", 1, 20 * 365, 24 * time.Hour, true},
		{"and a day", 1, 20*365 + 1, 24 * time.Hour, false},
		{"a period longer than that", 1 << 40, 1, MaxSpan + 1, false},
	} {
		if _, ok := New(c.requests, c.per, c.burst); ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
		}
	}
	if _, r := new(Limit).Take(0, start, 1); r.Allowed {
		t.Error("the zero limit lets requests through")
	}
}

// Steps of one state under 2 requests a second, 3 at once.
func TestTake(t *testing.T) {
	l := limit(t, 2, time.Second, 3)
	ms := int64(time.Millisecond)
	for _, c := range []struct {
		name             string
		ahead, cost      int64 // of the state before, in ms, and the cost
		allowed          bool
		remaining        int64
		retry, reset, to int64 // in ms; to: of the state afterwards, ahead of now
	}{
		{"the first request", -1e6, 1, true, 2, 0, 500, 500},
		{"one whose debt has drained right now", 0, 1, true, 2, 0, 500, 500},
		{"the last of a burst", 1000, 1, true, 0, 0, 1500, 1500},
		{"one millisecond too early", 1001, 1, false, 0, 1, 1001, 1001},
		{"one too many", 1500, 1, false, 0, 500, 1500, 1500},
		{"a cost that just fits", 500, 2, true, 0, 0, 1500, 1500},
		{"a cost that does not", 501, 2, false, 1, 1, 501, 501},
		{"a cost over the burst", -1, 4, false, 3, 1500, 0, -1},
		{"a cost of nothing", 1500, 0, true, 0, 0, 1500, 1500},
		{"a cost of nothing, of one who has none", -7, 0, true, 3, 0, 0, -7},
		{"R7: a negative cost, which gives nothing back", 1500, -5, true, 0, 0, 1500, 1500},
		{"R7: the highest cost", 0, math.MaxInt64, false, 3, 1500, 0, 0},
		{"R6: another VM's clock that is a little ahead", 2500, 1, false, 0, 1500, 2500, 2500},
		{"R6: the clock has gone back by an hour", 3_600_000, 1, false, 0, 500, 1500, 1500},
		{"R6: the clock has gone forward by an hour", -3_600_000, 3, true, 0, 0, 1500, 1500},
	} {
		next, r := l.Take(start+c.ahead*ms, start, c.cost)
		if r.Allowed != c.allowed || r.Remaining != c.remaining || r.Retry != c.retry*ms || r.Reset != c.reset*ms ||
			next-start != c.to*ms {
			t.Errorf("%s: %+v, the state is %d ms ahead", c.name, r, (next-start)/ms)
		}
	}
}

type taken struct{ at, cost int64 }

// Over every window: no more than the burst and what the rate allows in it.
func conforms(t *testing.T, l *Limit, all []taken) {
	t.Helper()
	for i := range all {
		sum := int64(0)
		for _, x := range all[i:] {
			if sum += x.cost; (sum-l.burst)*l.interval > x.at-all[i].at {
				t.Fatalf("%d admitted within %v, with a burst of %d and %v between requests", sum,
					time.Duration(x.at-all[i].at), l.burst, time.Duration(l.interval))
			}
		}
	}
}

func randomLimit(t testing.TB, rng *rand.Rand) *Limit {
	for {
		per := time.Second * time.Duration(1+rng.Int64N(1<<rng.IntN(17)))
		if l, ok := New(1+rng.Int64N(1<<rng.IntN(20)), per, 1+rng.Int64N(1<<rng.IntN(12))); ok {
			return &l
		}
	}
}

func TestNeverMoreThanBurstAndRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		l := randomLimit(t, rng)
		now, state := start, int64(0)
		var all []taken
		for range 300 {
			now += rng.Int64N(1 + 3*l.interval)
			cost := rng.Int64N(1 + min(l.burst, 1<<rng.IntN(8)))
			earlier, _ := l.Take(state, now-rng.Int64N(second), cost) // monotone in time: refused now, refused before
			next, r := l.Take(state, now, cost)
			if !r.Allowed && earlier != state && earlier > now {
				t.Fatalf("refused at a time, admitted before it")
			}
			if r.Allowed != (next != state || cost == 0) || cost == 0 && next != state {
				t.Fatalf("cost %d, %+v: the state goes from %d to %d", cost, r, state, next)
			}
			if r.Allowed {
				all = append(all, taken{now, cost})
			} else if cost <= l.burst {
				if _, early := l.Take(state, now+r.Retry-1, cost); early.Allowed {
					t.Fatal("it could have been retried earlier")
				}
				if _, late := l.Take(state, now+r.Retry, cost); !late.Allowed {
					t.Fatal("it cannot be retried when it should")
				}
			}
			if _, r := l.Take(next, now, r.Remaining); !r.Allowed {
				t.Fatal("what remains is not there")
			}
			if _, r := l.Take(next, now, r.Remaining+1); r.Allowed {
				t.Fatal("there is more than what remains")
			}
			state = next
		}
		conforms(t, l, all)
	}
}

// Who always asks is admitted the rate within 1 %, whatever it is.
func TestAccuracy(t *testing.T) {
	worst := 0.0
	for _, per := range []time.Duration{time.Second, 7 * time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		for _, requests := range []int64{1, 2, 3, 7, 11, 99, 1000, 1001, 7777, 65537, 700_000, 999_999, 1_000_000} {
			l := limit(t, requests, per, min(requests, 10))
			state, now, admitted := int64(0), start, int64(0)
			const rounds = 2000
			span := rounds * int64(per) / requests
			for now < start+span {
				var r Result
				if state, r = l.Take(state, now, 1); r.Allowed {
					admitted++
					continue
				}
				now += r.Retry
			}
			got := float64(admitted-l.burst) / rounds
			if got > 1.001 || got < 0.99 {
				t.Errorf("%d per %v: %.4f of the rate", requests, per, got)
			}
			if l.interval*requests < int64(per) {
				t.Errorf("%d per %v: %d ns between requests are more than the rate", requests, per, l.interval)
			}
			worst = max(worst, math.Abs(1-float64(l.interval)*float64(requests)/float64(per)))
		}
	}
	t.Logf("the interval is at most %.3f %% off", 100*worst)
	if worst > 0.001 {
		t.Errorf("the interval is %.4f off", worst)
	}
}

// R6: whatever the clock does, each step of it opens the limit by no more than one burst, and
// nobody stays shut out after it has gone back.
func TestClockSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		l := randomLimit(t, rng)
		now, state, real, steps, admitted := start, int64(0), int64(0), int64(0), int64(0)
		for range 2000 {
			d := rng.Int64N(1 + l.interval)
			now, real = now+d, real+d
			if rng.IntN(100) == 0 {
				now += []int64{-hour, hour, -second, second, -24 * hour, 1 << 60, -1 << 60}[rng.IntN(7)]
				steps++
			}
			var r Result
			if state, r = l.Take(state, now, 1); r.Allowed {
				admitted++
			}
			if r.Retry > l.Horizon() {
				t.Fatalf("shut out for %v", time.Duration(r.Retry))
			}
		}
		if most := l.burst*(1+steps) + real/l.interval + 1; admitted > most {
			t.Fatalf("%d admitted in %d steps of the clock, at most %d may be", admitted, steps, most)
		}
	}
}

// What is given back is at most what was taken: whoever comes after a refused request finds no more
// than if that had never come.
func TestRefund(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		l := randomLimit(t, rng)
		now, with, without := start, int64(0), int64(0)
		for range rng.IntN(20) {
			now += rng.Int64N(1 + 2*l.interval)
			if next, r := l.Take(with, now, 1); r.Allowed {
				with, without = next, next
			}
		}
		cost := 1 + rng.Int64N(l.burst)
		next, r := l.Take(with, now, cost)
		if !r.Allowed {
			continue
		}
		with = next
		for range rng.IntN(5) {
			now += rng.Int64N(1 + l.interval*cost)
			if next, r := l.Take(with, now, 1); r.Allowed {
				with = next
				if without, r = l.Take(without, now, 1); !r.Allowed {
					t.Fatal("the other took more than it was asked for")
				}
			}
		}
		now += rng.Int64N(1 + l.interval)
		back, refunded := l.Refund(with, now, cost, r.Until)
		if max(back, now) < max(without, now) {
			t.Fatalf("%v more than before", time.Duration(without-back))
		}
		if back > with {
			t.Fatal("a refund takes")
		}
		if _, again := l.Take(back, now, refunded.Remaining); !again.Allowed {
			t.Fatal("what remains is not there")
		}
	}
	l := limit(t, 1, time.Second, 10)
	state, r := l.Take(0, start, 10)
	for _, c := range []struct {
		name               string
		state, at, cost, u int64
		drained            int64 // seconds of debt afterwards
	}{
		{"at once", state, 0, 10, r.Until, 0},
		{"half of it has drained", state, 5, 10, r.Until, 0},
		{"all of it has drained", state, 10, 10, r.Until, 0},
		{"all of it has drained, and another has taken since", start + 15*second, 12, 10, r.Until, 3},
		{"a cost of nothing", state, 0, 0, r.Until, 10},
		{"a negative cost", state, 0, -3, r.Until, 10},
		{"a cost that nobody can have taken", state, 0, 11, r.Until, 10},
		{"R7: a negative cost that is positive in 64 bits", state, 0, -12_000_000_000, r.Until, 10},
		{"a state that has not what was taken in it", start + 3*second, 0, 10, r.Until, 3},
		{"R6: the clock has gone back by an hour", state, -3600, 10, r.Until, 10},
	} {
		now := start + c.at*second
		if next, _ := l.Refund(c.state, now, c.cost, c.u); max(next-now, 0) != c.drained*second {
			t.Errorf("%s: %v of debt", c.name, time.Duration(next-now))
		}
	}
}

// R7: nothing overflows, whatever comes.
func FuzzTake(f *testing.F) {
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), int64(1), int64(time.Second), int64(1),
		int64(0))
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64), int64(1e6), int64(24*time.Hour),
		int64(1<<40), int64(math.MaxInt64))
	f.Add(int64(0), int64(math.MaxInt64), int64(1), int64(1), int64(time.Second), int64(1), int64(0))
	f.Add(start, start, int64(1), int64(7), int64(time.Second), int64(7), start)
	f.Fuzz(func(t *testing.T, state, now, cost, requests, per, burst, until int64) {
		l, ok := New(requests, time.Duration(per), burst)
		if !ok {
			return
		}
		at := within(now)
		next, r := l.Take(state, now, cost)
		check := func(r Result, next int64) {
			if r.Remaining < 0 || r.Remaining > burst || r.Reset < 0 || r.Reset > l.Horizon() || r.Retry < 0 ||
				r.Retry > l.Horizon() {
				t.Fatalf("%+v", r)
			}
			if next > at+l.Horizon() || next-state > 0 && next > at+l.depth {
				t.Fatalf("the state is %d ahead", next-at)
			}
		}
		check(r, next)
		if r.Allowed != (r.Retry == 0) || cost > burst && r.Allowed {
			t.Fatalf("%+v", r)
		}
		if r.Allowed && cost > 0 && next-max(min(state, at+l.depth), at) < cost*l.interval && state <= at+l.depth {
			t.Fatalf("it costs %d instead of %d", next-state, cost*l.interval)
		}
		if r.Allowed && cost > 0 && next != at+r.Reset {
			t.Fatalf("the state is %d, and drains in %d at %d", next, r.Reset, at)
		}
		back, r := l.Refund(state, now, cost, until)
		check(r, back)
		if back < state && back < at {
			t.Fatalf("%d before now", at-back)
		}
	})
}
