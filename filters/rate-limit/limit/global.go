// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// askNext goes through the global limits: what is known is decided, and the rest is asked for in
// one call. Those in shadow mode are asked for along with the others.
func (d *Decision) askNext() {
	p := d.policy
	for ; d.cursor < len(d.hits); d.cursor++ {
		hit := &d.hits[d.cursor]
		l := &p.limits[hit.Rule]
		if !l.global {
			continue
		}
		if d.lacks(hit.Rule) {
			return
		}
		a := d.apply(hit, l)
		if a != nil && a.code == nil {
			d.lookUp(a)
		}
		if d.refused >= 0 {
			return
		}
	}
	asks := false
	for i := range d.list {
		asks = asks || d.list[i].waits()
	}
	switch {
	case !asks:
		d.enter(takeShadow)
	case !p.breaker.Allow(d.now):
		d.enter(fallBack)
	default:
		for i := range d.list {
			if a := &d.list[i]; a.waits() {
				p.overs.asked(a.tag, d.now, p.global.recheck)
			}
		}
		d.step = decide.AskService
	}
}

// lookUp decides a global limit by what this VM knows, or has it asked for.
func (d *Decision) lookUp(a *applied) {
	p := d.policy
	a.tag = p.tag(a.limit, a.rate, globalTag, d.key)
	if left, due := p.overs.left(a.tag, a.wants(), d.now); left > 0 && !due {
		a.reset, a.retry = left, left
		d.say(len(d.list)-1, RateLimited)
		return
	}
	if remaining, reset, ok := p.leases.spend(a.tag, a.cost, d.now); ok {
		a.leased, a.remaining, a.reset, a.counted, a.ends = a.cost, remaining, reset, true, d.now+reset-int64(time.Second)
		a.key = descriptorKey(d.key, p.global.plainKeys)
		d.say(len(d.list)-1, verdict.OK)
		return
	}
	a.asked = p.leases.ask(p.global, a.tag, a.cost, d.now)
	a.key = descriptorKey(d.key, p.global.plainKeys)
	a.fallback = p.tag(a.limit, a.rate, fallbackTag, d.key)
}

// wants is how many hits there must be for the request to go on.
func (a *applied) wants() int64 {
	if a.limit.looks() {
		return 1
	}
	return a.cost
}

// waits reports whether a limit is among those that the service is asked for.
func (a *applied) waits() bool { return a.limit.global && a.code == nil }

// Asks is the request to the rate-limit service that the decision waits for (decide.AskService): a
// descriptor for each global limit whose state is not known here.
func (d *Decision) Asks() *ratelimit.Request {
	r := &ratelimit.Request{Domain: d.policy.global.Domain}
	for i := range d.list {
		a := &d.list[i]
		if !a.waits() {
			continue
		}
		r.Descriptors = append(r.Descriptors, descriptor(a.limit, a.rate, a.key, a.asked))
	}
	return r
}

// descriptor asks for hits of a key.
func descriptor(l *limit, r *rate, key string, hits int64) ratelimit.Descriptor {
	entries := []ratelimit.Entry{{Key: "limit", Value: l.name}, {Key: "key", Value: key}}
	if r.tier != "" {
		entries = append(entries, ratelimit.Entry{Key: "tier", Value: r.tier})
	}
	return ratelimit.Descriptor{Entries: entries, Hits: ratelimit.HitsOf(uint64(hits)), Override: r.override()}
}

// Answered tells what the rate-limit service has answered to what Asks asked. An error, given
// or returned, means that it does not tell whether the request is within its limits; it is for the
// log. ErrRate is not among these: it tells, after a decision by the service's answer, that the two
// are configured apart.
func (d *Decision) Answered(r ratelimit.Response, err error, now time.Time) error {
	if !d.told(decide.AskService) {
		return nil
	}
	d.now = now.UnixNano()
	if err == nil {
		err = d.check(&r)
	}
	// A service without the limit is there, but for its configuration.
	d.policy.breaker.Report(err == nil || err == ErrLimit, d.now)
	if err != nil {
		d.enter(fallBack)
	} else {
		d.enter(takeShadow)
		if !d.settle(&r) {
			err = ErrRate
		}
	}
	d.run()
	return err
}

// check holds an answer against the question. A service that has no limit for a descriptor says OK to everything.
func (d *Decision) check(r *ratelimit.Response) error {
	n, over, limited := 0, false, true
	for i := range d.list {
		if d.list[i].waits() {
			n++
		}
	}
	if len(r.Statuses) != n {
		return ErrStatuses
	}
	for i := range r.Statuses {
		s := &r.Statuses[i]
		limited = limited && (s.HasLimit || s.Unlimited())
		over = over || s.Code == ratelimit.OverLimit
		if s.Code != ratelimit.OK && s.Code != ratelimit.OverLimit {
			return ErrStatuses
		}
	}
	switch {
	case r.Code == ratelimit.OverLimit && !over:
		return ErrStatuses
	case !limited:
		return ErrLimit
	}
	return nil
}

// settle decides by a good answer, and reports whether the service has the rates that are
// configured. Where it says OK over a limit that is exceeded it is in a shadow mode of its own.
func (d *Decision) settle(r *ratelimit.Response) (same bool) {
	p, next := d.policy, 0
	same = true
	for i := range d.list {
		a := &d.list[i]
		if !a.waits() {
			continue
		}
		s := &r.Statuses[next]
		next++
		if s.Unlimited() {
			a.open = true
			p.overs.forget(a.tag)
			d.say(i, verdict.OK)
			continue
		}
		same = same && int64(s.Limit.Requests) == a.rate.requests &&
			s.Limit.Unit.Seconds()*int64(s.Limit.Multiplier) == int64(a.rate.per/time.Second)
		a.remaining, a.reset = int64(s.Remaining), int64(a.rate.per)
		if s.HasReset {
			a.reset = max(int64(min(s.Reset, maxReset)), 1)
		}
		// A request that costs nothing is over no limit, here as in the local table.
		// One that only looks whether anything is left is over where nothing is.
		if s.Code == ratelimit.OverLimit && r.Code == ratelimit.OverLimit && a.asked > 0 || a.limit.looks() &&
			s.Remaining == 0 {
			// Whatever was asked for has been counted: at envoyproxy/ratelimit, nothing is left
			// then, however little the next request wants. That is for the service to say.
			a.remaining, a.retry = 0, a.reset
			p.overs.remember(a.tag, a.asked, d.now, a.reset, p.global.recheck)
			d.say(i, RateLimited)
			continue
		}
		if a.wants() > 0 {
			p.overs.forget(a.tag)
		}
		a.counted, a.ends = true, d.now+a.reset-int64(time.Second)
		extra := a.asked - a.cost
		p.leases.grant(p.global, a.tag, extra, a.remaining, d.now, a.reset)
		if p.global.lease > 0 {
			a.leased = a.cost // so that it comes back where another limit refuses
		}
		a.remaining += extra
		d.say(i, verdict.OK)
	}
	return same
}

// maxReset is longer than any window that is configured here.
const maxReset = year + 24*time.Hour

// fallBackNext decides the next limit whose service does not tell.
func (d *Decision) fallBackNext() {
	for ; d.cursor < len(d.list); d.cursor++ {
		a := &d.list[d.cursor]
		if !a.waits() {
			continue
		}
		i := d.cursor
		d.cursor++
		// What the service has said of a key before it fell silent still holds.
		if left, _ := d.policy.overs.left(a.tag, a.wants(), d.now); left > 0 {
			a.reset, a.retry = left, left
			d.say(i, RateLimited)
			return
		}
		switch d.policy.global.onError {
		case onErrorAllow:
			a.open = true
			d.say(i, verdict.OK)
		case onErrorLocal:
			d.takeFrom(i, a.fallback, a.rate.fallbackShared, &a.rate.fallback)
		default:
			d.say(i, LimiterUnavailable)
		}
		return
	}
	d.enter(takeShadow)
}

// remembered is how many keys a VM remembers at once; more of them cost a call each.
const remembered = 4096

// clockGap is how far the clock may go back before what is remembered counts as nothing, in nanoseconds.
const clockGap = int64(time.Second)

// overs are keys that are over their limits: for which costs, until when, and when the service is
// asked again, since its counter may be gone, or its limit be another.
type overs struct{ slots []over }

type over struct {
	tag         uint64
	cost        int64 // the least that the service has refused: less than that is asked for
	from, until int64
	recheck     int64 // from when on one request is a call, and the others are refused meanwhile
}

// remember keeps a key for reset nanoseconds, unless there is another in its place that is still over.
func (o *overs) remember(tag uint64, cost, now, reset int64, every time.Duration) {
	if o.slots == nil {
		o.slots = make([]over, remembered)
	}
	s := &o.slots[tag%remembered]
	switch {
	case s.tag == tag && s.holds(now):
		cost = min(cost, s.cost)
	case s.holds(now):
		return
	}
	*s = over{tag, cost, now, now + reset, now + int64(every)}
}

// holds reports whether what is remembered is of use: it ends with the service's window, and where
// the clock has gone back nobody knows.
func (s *over) holds(now int64) bool { return now < s.until && now >= s.from-clockGap }

// left is for how long a key is known to be over for that cost; 0: it is not known. due: the
// service should be asked whether that is still so.
func (o *overs) left(tag uint64, cost, now int64) (left int64, due bool) {
	if o.slots == nil {
		return 0, false
	}
	s := &o.slots[tag%remembered]
	if s.tag != tag || !s.holds(now) || cost < s.cost || cost == 0 {
		return 0, false
	}
	return s.until - now, now >= s.recheck
}

// asked notes that the service is asked about a key: until it has answered, and for as long as it
// does not tell, the others go by what is remembered.
func (o *overs) asked(tag uint64, now int64, every time.Duration) {
	if o.slots != nil {
		if s := &o.slots[tag%remembered]; s.tag == tag && now >= s.recheck {
			s.recheck = now + int64(every)
		}
	}
}

// forget is for a key that the service has let through.
func (o *overs) forget(tag uint64) {
	if o.slots != nil && o.slots[tag%remembered].tag == tag {
		o.slots[tag%remembered] = over{}
	}
}
