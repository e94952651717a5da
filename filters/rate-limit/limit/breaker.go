// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import "time"

// Breaker stops calls to a service that does not answer them. The zero value lets calls through.
// Times are nanoseconds since the epoch.
//
// After several failures in a row no call is made for a while; then one at a time, until several in
// a row are good: a service whose Redis has just come back gives good and bad answers by turns, so
// that one good answer is no recovery. A good service is thus back after the pause and breakerGood
// calls, however long it was away.
type Breaker struct {
	state    breakerState
	failures int   // in a row, while closed
	good     int   // in a row, while half open
	since    int64 // when it opened; when the call in flight was let through, while half open
	inFlight bool  // while half open
}

type breakerState uint8

const (
	closed breakerState = iota
	open
	halfOpen
)

const (
	breakerFailures = 5
	breakerGood     = 3
	breakerPause    = int64(500 * time.Millisecond)
	breakerLost     = int64(time.Second) // after which a call in flight will never be reported: its stream is gone
)

// Allow reports whether a call may be made; then its outcome is to be reported.
func (b *Breaker) Allow(now int64) bool {
	passed := func(d int64) bool { return now-b.since >= d || now < b.since-clockGap }
	switch {
	case b.state == closed:
		return true
	case b.state == open && passed(breakerPause):
		b.state, b.good = halfOpen, 0
	case b.state == halfOpen && (!b.inFlight || passed(breakerLost)):
	default:
		return false
	}
	b.inFlight, b.since = true, now
	return true
}

// Report tells the outcome of a call.
func (b *Breaker) Report(good bool, now int64) {
	switch b.state {
	case closed:
		if b.failures++; good {
			b.failures = 0
		}
		if b.failures >= breakerFailures {
			b.open(now)
		}
	case halfOpen:
		b.inFlight = false
		if b.good++; !good {
			b.open(now)
		} else if b.good >= breakerGood {
			*b = Breaker{}
		}
	}
	// While it is open, answers are of calls from before.
}

func (b *Breaker) open(now int64) { *b = Breaker{state: open, since: now} }
