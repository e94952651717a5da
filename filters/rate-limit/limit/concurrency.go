// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Flights is how many buckets the table has that all VMs share for requests on their way; 0: no limit
// counts them. Each begins as inflight.Empty, and so does the record of each limit that
// InFlight tells of.
func (p *Policy) Flights() int {
	if p.flights == nil {
		return 0
	}
	return p.flightTable.Buckets()
}

// Renewal is how often the numbers that lapse first are written anew, at most.
func (p *Policy) Renewal() time.Duration {
	shortest := int64(24 * time.Hour)
	for i := range p.limits {
		if places := p.limits[i].places(); places != nil {
			shortest = min(shortest, places.MaxAge)
		}
	}
	return time.Duration(shortest / 3)
}

// SetVM makes ready what this VM counts of requests at once. id is chosen at random.
func (p *Policy) SetVM(id uint32) { p.flights = inflight.NewVM(p.flightTable, id) }

// takeFlight takes a place among the requests at once, as take does from a bucket of hits.
func (d *Decision) takeFlight(bucket []byte) (next []byte) {
	a, v := &d.list[d.current], d.policy.flights
	if d.bucket.freeing {
		next = v.Write(d.next, bucket, a.hold, d.now)
	} else {
		next, d.bucket.flight = v.Take(d.next, bucket, &a.flight, d.now)
	}
	d.bucket.tried = true
	if next != nil {
		d.next = next
	}
	return next
}

// giveBack has a limit's place given back: from now on it is no more, and the bucket is to be told.
func (d *Decision) giveBack(i int) {
	d.policy.flights.GiveBack(d.list[i].hold)
	d.list[i].placed = false
	d.holding--
	d.want(i)
	d.bucket.flying, d.bucket.freeing = true, true
}

// flightTaken goes on after takeFlight; ok: what it returned is written.
func (d *Decision) flightTaken(ok bool) {
	a, r := &d.list[d.current], d.bucket.flight
	if d.bucket.freeing {
		d.policy.flights.Written(a.hold, ok, d.now)
		if a.code == nil {
			d.say(d.current, RateLimited)
		} else {
			a.remaining += a.flight.Count
		}
		return
	}
	a.remaining = r.Remaining
	if !r.Allowed {
		if r.Full {
			a.retry = int64(time.Second)
		}
		d.say(d.current, RateLimited)
		return
	}
	a.hold, a.placed = d.policy.flights.Taken(&a.flight, r, d.now), true
	d.holding++
	if a.limit.concurrency != nil {
		d.say(d.current, verdict.OK)
		return
	}
	// What is reserved counts beside what has been charged: there must be room for both.
	a.ask.Cost, a.ask.Room = 0, r.Total
	d.want(d.current)
}

// Abandon gives back what a decision holds among the requests at once that nobody goes on with: its
// stream has ended while it waited, or something has come between. flight is decide.World.Flight.
func (d *Decision) Abandon(now time.Time, flight func(int, func([]byte) []byte) error) {
	if d.holding == 0 {
		return
	}
	v, at := d.policy.flights, now.UnixNano()
	for i := range d.list {
		a := &d.list[i]
		if !a.placed {
			continue
		}
		err := flight(v.GiveBack(a.hold), func(bucket []byte) []byte { return v.Write(nil, bucket, a.hold, at) })
		v.Written(a.hold, err == nil, at)
	}
	d.holding = 0
}

// Renew writes anew what this VM has on its way, where that is due, until next reports false: the
// rest is for the next turn. It reports whether there is more. flight is decide.World.Flight.
func (p *Policy) Renew(now time.Time, flight func(int, func([]byte) []byte) error, next func() bool) (more bool) {
	if p.flights == nil {
		return false
	}
	at := now.UnixNano()
	for {
		one, bucket, ok := p.flights.Due(at)
		if !ok {
			return false
		}
		if !next() {
			return true
		}
		err := flight(bucket, func(content []byte) []byte {
			p.renewed = p.flights.Write(p.renewed, content, one, at)
			return p.renewed
		})
		p.flights.Renewed(one, err == nil, at)
	}
}

// InFlight tells of each limit of requests at once, by its index, how many are on their way in all
// VMs. record is decide.World.Flight for the record that the limit has, by its name.
func (p *Policy) InFlight(now time.Time, record func(limit string, change func([]byte) []byte) error,
	tell func(limit int, total int64)) {
	for i := range p.limits {
		l := &p.limits[i]
		if l.concurrency == nil {
			continue
		}
		total := int64(0)
		err := record(l.name, func(content []byte) (next []byte) {
			next, total = p.flights.Total(p.renewed, content, l.concurrency, now.UnixNano())
			if next != nil {
				p.renewed = next
			}
			return next
		})
		if err == nil {
			tell(i, total)
		}
	}
}
