// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package gcra limits rates by the generic cell rate algorithm (ITU-T I.371), whose whole state is
// one time, and keeps such states in a table of fixed size.
//
// The time is the one at which everything taken so far has drained (the theoretical arrival time).
// A request moves it into the future by its cost; one that would move it further than the burst
// allows is refused and moves nothing. So there are no windows, and no edge between two at which
// the double gets through. Where a cost is known only later, it is charged whatever the burst
// allows: that is a debt, and nothing is let through until it has drained.
//
// Times are int64 nanoseconds since the epoch. With microseconds the interval between two requests
// of 700,000 in a second would be 1 or 2; with nanoseconds it is at least 1,000, and rounding it up
// costs a limit at most a thousandth. Nothing here reads a clock, and no time, cost or state makes
// anything overflow.
package gcra

import (
	"math"
	"math/bits"
	"time"
)

// The bounds of a Limit.
const (
	MaxPerSecond = 1_000_000                 // requests, on average
	MaxSpan      = 20 * 365 * 24 * time.Hour // that a burst takes to come back, and that Limit's per is
	// later times (the year 2116) count as this one, so that whatever is added to a time fits
	latest = math.MaxInt64 / 2
	_      = uint64(latest - 4*MaxSpan) // does not compile where it would not
)

// Limit lets requests through at a rate, and a burst of them at once. The zero Limit lets nothing through.
type Limit struct {
	interval int64 // that one request takes to drain
	depth    int64 // of the burst: burst intervals
	slack    int64 // how far a state may be ahead of what is possible before it counts as the clock's doing
	burst    int64
	debt     int64 // beyond the depth, that Charge may make
}

// New makes a limit of requests in each per, of which burst may come at once. ok is false where one
// of them is not positive, the rate is over MaxPerSecond, or per or the burst, which takes
// burst/requests of per to come back, is over MaxSpan.
func New(requests int64, per time.Duration, burst int64) (l Limit, ok bool) {
	if requests < 1 || burst < 1 || per < 1 || per > MaxSpan {
		return Limit{}, false
	}
	interval := (int64(per)-1)/requests + 1 // rounded up: never more than the rate
	if high, depth := bits.Mul64(uint64(interval),
		uint64(burst)); int64(per)/requests < int64(time.Second)/MaxPerSecond || high > 0 || depth > uint64(MaxSpan) {
		return Limit{}, false
	}
	return Limit{interval: interval, depth: interval * burst, slack: int64(per), burst: burst}, true
}

// Burst is how many requests may come at once.
func (l *Limit) Burst() int64 { return l.burst }

// MaxDebt is how long the longest debt takes to drain. The further ahead a state may be, the later
// it is noticed that the clock has gone back; until then the limit stays shut.
const MaxDebt = 31 * 24 * time.Hour

// Indebted is the limit with room for a debt of so many requests, which is bounded by MaxDebt: what
// is charged beyond it is lost.
func (l Limit) Indebted(requests int64) Limit {
	l.debt = l.span(requests, int64(MaxDebt))
	return l
}

// span is how long requests take to drain, most at most.
func (l *Limit) span(requests, most int64) int64 {
	high, span := bits.Mul64(uint64(l.interval), uint64(max(requests, 0)))
	if high > 0 || span > uint64(most) {
		return most
	}
	return int64(span)
}

// Horizon is how far ahead of now a state of this limit can be without the clock having gone back, in nanoseconds.
func (l *Limit) Horizon() int64 { return l.depth + l.debt + l.slack }

// Result of a Take or a Refund. Times are in nanoseconds. The zero Result allows nothing.
type Result struct {
	Allowed   bool
	Remaining int64 // requests of cost 1 that would be let through now; never negative
	// until a request of this cost can be let through; 0 where it was. One over the burst never is:
	// then it is what a whole burst takes
	Retry int64
	Reset int64 // until everything taken has drained; never negative

	Until  int64 // the time at which what was taken drains, for Refund
	Shared bool  // it was taken from what the keys without a place in the table share
	Lost   int64 // of a Charge: what could not be noted, as the time that it takes to drain
}

// Take asks for a request of some cost at the time now; a negative cost is 0, which spends nothing.
// next is the state afterwards: the same one where nothing was taken.
//
// A state in the past is a whole burst, however far. One that is further ahead than anything taken
// can be, by more than a period (several VMs read their clocks one after the other), is the clock's
// doing: it went back. It then counts as a spent burst, no more, so that the limit neither opens
// nor stays shut until the clock is where it was.
func (l *Limit) Take(state, now, cost int64) (next int64, r Result) {
	now, cost = within(now), max(cost, 0)
	state, used := l.used(state, now)
	if cost > l.burst {
		return state, Result{Remaining: l.remaining(used), Retry: max(l.depth, 1), Reset: used}
	}
	need := used + cost*l.interval
	if need > l.depth && cost > 0 {
		return state, Result{Remaining: l.remaining(used), Retry: need - l.depth, Reset: used}
	}
	r = Result{Allowed: true, Remaining: l.remaining(need), Reset: need, Until: now + need}
	if cost == 0 {
		return state, r
	}
	return now + need, r
}

// Look asks whether there is room for so many, at least 1, and takes nothing. What remains is what
// there is besides. Where not even time makes room, Retry is 0.
func (l *Limit) Look(state, now, room int64) Result {
	_, r := l.Take(state, now, 0)
	_, used := l.used(state, within(now))
	need := l.span(room, l.depth+1) + used
	if r.Allowed = need <= l.depth; r.Allowed {
		r.Remaining = max(r.Remaining-room, 0)
		return r
	}
	r.Remaining = 0
	if r.Retry = need - l.depth; r.Retry > used {
		r.Retry = 0
	}
	return r
}

// Charge takes a cost that nobody has asked for before, however much is left: what the burst does
// not allow is a debt. A cost of a limit without room for debts (Indebted) is charged as far as
// the burst goes.
func (l *Limit) Charge(state, now, cost int64) (next int64, r Result) {
	now = within(now)
	next, used := l.used(state, now)
	whole := l.span(cost, int64(MaxSpan))
	lost := max(whole-max(l.depth+l.debt-used, 0), 0) // used may be more, where clocks differ
	if whole > lost {
		used += whole - lost
		next = now + used
	}
	return next, Result{Allowed: true, Remaining: l.remaining(used), Reset: used, Lost: lost}
}

// Refund gives back what Take took at that cost, as its Until tells. It gives no
// more than of it has not drained yet: had the request never come, what came after it would have
// found no more.
func (l *Limit) Refund(state, now, cost, until int64) (next int64, r Result) {
	now = within(now)
	next, used := l.used(state, now)
	if give := min(cost*l.interval, until-now, used); cost > 0 && cost <= l.burst && give > 0 && next >= until {
		next, used = next-give, used-give
	}
	return next, Result{Allowed: true, Remaining: l.remaining(used), Reset: used}
}

// used is how much of the depth is taken at the time now; it may be more than there is, by the
// slack. The state is another one where the clock has gone back.
func (l *Limit) used(state, now int64) (int64, int64) {
	switch {
	case state <= now:
		return state, 0
	case state > now+l.Horizon():
		return now + l.depth, l.depth
	}
	return state, state - now
}

func (l *Limit) remaining(used int64) int64 {
	if used >= l.depth {
		return 0
	}
	return (l.depth - used) / l.interval
}

// within keeps a time where nothing overflows, and not before the epoch, since a state of 0 is none.
func within(now int64) int64 { return min(max(now, 0), latest) }
