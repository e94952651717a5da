// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/usage"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Account is what a request that went on still owes its limits: a cost that its answer tells, a hit
// that its status spends, a place among the requests at once. Its memory is used again by later
// requests of the policy, once it is closed.
type Account struct {
	policy *Policy
	items  []item
	told   bool // the answer's headers
	body   bool // is to be read

	// While something is settled.
	current int
	now     int64
	next    []byte
	failed  bool
	change  func(bucket []byte) []byte // settleBucket
	write   func(bucket []byte) []byte // writeHold
}

// item is what is owed to one limit.
type item struct {
	index int
	limit *limit
	rate  rate // a copy: a decision's own is used again by the next

	hold inflight.Hold // concurrency
	held bool

	open    bool       // costs are not settled
	ask     gcra.Ask   // of what is to be charged
	gcra    gcra.Limit // ask's
	reserve int64
	cost    int64 // counts without response: what an answer that counts spends
	local   bool  // from the table; else from the service
	tag     uint64
	key     string
	ends    int64 // of the service's window in which reserve was taken, at the earliest

	counted bool // the answer's status is one that counts
	found   usage.Found
	number  int64 // where it was found
	encoded bool  // nobody can read the body
	reader  usage.Reader
	reads   bool
}

// Account is what the request owes that is about to go on; nil: nothing. To be called when it has
// been decided, once.
func (d *Decision) Account() *Account {
	if !d.policy.settles || d.early != nil || d.step != decide.Done || d.refused >= 0 {
		return nil
	}
	var c *Account
	for i := range d.list {
		a := &d.list[i]
		if !a.limit.settles() || !a.takes() {
			continue
		}
		if c == nil {
			c = d.policy.account()
		}
		c.add(a)
	}
	d.holding = 0
	return c
}

// Settles reports whether there are limits that are settled when requests were answered.
func (p *Policy) Settles() bool { return p.settles }

// Limits is how many there are, HasCosts whether one of them is settled by what its answers say, and
// IsConcurrency whether it is of requests at once.
func (p *Policy) Limits() int { return len(p.limits) }

// HasCosts is described at Limits.
func (p *Policy) HasCosts(limit int) bool {
	return p.limits[limit].response != nil || p.limits[limit].counts != nil
}

// IsConcurrency is described at Limits.
func (p *Policy) IsConcurrency(limit int) bool { return p.limits[limit].concurrency != nil }

// ReadsBodies are the places in the configuration that say that the bodies of answers are read.
func (p *Policy) ReadsBodies() (paths []string) {
	for i := range p.limits {
		if r := p.limits[i].response; r != nil && r.header == "" {
			paths = append(paths, p.limits[i].path(i)+"cost.response.json")
		}
	}
	return paths
}

// untilAnswered is for a limit that is settled when the request was answered: nothing is taken of
// one that counts answers only.
func (a *applied) untilAnswered() {
	if l := a.limit; l.counts != nil && l.response == nil {
		a.owes, a.cost = a.cost, 0
	}
}

// takes reports whether a limit has taken something of a request, or has looked whether it could.
func (a *applied) takes() bool { return a.placed || a.looked || a.counted }

func (p *Policy) account() (c *Account) {
	if n := len(p.accounts); n > 0 {
		c, p.accounts = p.accounts[n-1], p.accounts[:n-1]
		return c
	}
	c = &Account{policy: p}
	c.change, c.write = c.settleBucket, c.writeHold
	return c
}

// add notes what is owed to a limit.
func (c *Account) add(a *applied) {
	if n := len(c.items); n < cap(c.items) {
		c.items = c.items[:n+1] // with the memory that its reader has
	} else {
		c.items = append(c.items, item{})
	}
	t := &c.items[len(c.items)-1]
	t.index, t.limit, t.open, t.counted = a.index, a.limit, false, a.limit.counts == nil
	t.found, t.number, t.encoded, t.reads = usage.Missing, 0, false, false
	if t.held = a.placed; t.held {
		t.hold = a.hold
	}
	if a.limit.concurrency != nil || a.code != verdict.OK {
		return // only what it holds
	}
	t.open, t.reserve, t.cost = true, a.cost, a.owes
	t.local = a.looked
	if t.local {
		t.ask, t.gcra = a.ask, *a.ask.Limit
		t.ask.Limit = &t.gcra
		return
	}
	t.tag, t.key, t.rate, t.ends = a.tag, a.key, *a.rate, a.ends
}

// Headers tells of the answer's headers, with :status, and returns whether Body wants the body.
func (c *Account) Headers(headers [][2]string) (body bool) {
	status, media, encoded := 0, "", false
	for i := range headers {
		switch value := headers[i][1]; headers[i][0] {
		case ":status":
			status = statusOf(value)
		case "content-type":
			media = value
		case "content-encoding":
			encoded = encoded || isEncoded(value)
		}
	}
	c.told, c.body = true, false
	for i := range c.items {
		t := &c.items[i]
		if !t.open {
			continue
		}
		if l := t.limit; l.counts != nil {
			t.counted = l.counts.has(status)
		}
		r := t.limit.response
		switch {
		case r == nil:
		case r.header != "":
			t.number, t.found = r.told(headers)
		case encoded:
			t.encoded = true
		default:
			events := isEvents(media)
			if events && !r.events {
				break // as an answer without the number
			}
			t.reader.Reset(r.paths, events)
			t.reads, c.body = true, true
		}
	}
	return c.body
}

// statusOf reads the status of an answer; 0: it is none.
func statusOf(s string) (n int) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || len(s) != 3 {
			return 0
		}
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// isEncoded reports whether a body is encoded, by its content encoding.
func isEncoded(encoding string) bool {
	encoding = strings.Trim(encoding, " \t")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

// isEvents reports whether a body is a stream of server-sent events, by its content type.
func isEvents(media string) bool {
	media, _, _ = strings.Cut(media, ";")
	return strings.EqualFold(strings.Trim(media, " \t"), "text/event-stream")
}

// told reads the cost that the answer's header tells: the highest of several. What is there and is
// no number is not missing.
func (r *responseCost) told(headers [][2]string) (n int64, how usage.Found) {
	c := cost{header: r.header, mostAsked: r.mostTold}
	for i := range headers {
		if headers[i][0] == r.header {
			return c.of(headers), usage.Read
		}
	}
	return 0, usage.Missing
}

// Body tells of the next part of the answer's body, of which nothing is kept.
func (c *Account) Body(part []byte) {
	for i := range c.items {
		if t := &c.items[i]; t.reads {
			t.reader.Write(part)
		}
	}
}

// price is what the request has cost, of which reserve has been taken. complete: the answer has
// passed whole.
func (t *item) price(told, complete bool) int64 {
	r := t.limit.response
	if told && !t.counted {
		return 0
	}
	switch {
	case r == nil && told:
		return t.cost
	case r == nil:
		return 0 // nobody has answered it
	case !told || t.encoded:
		return t.reserve
	}
	if t.reads {
		t.reader.Close()
		t.number, t.found = t.reader.Number(r.mostTold)
	}
	n := r.ownCost
	switch t.found {
	case usage.Read:
		n = t.number
	case usage.Unreadable:
		n = r.mostTold
	}
	if !complete && r.header == "" {
		n = t.reserve
		if t.found == usage.Read { // what a part of the answer tells is never less than what was reserved
			n = max(t.number, t.reserve)
		}
	}
	return n
}

// Stage is how far the answer to a request is.
type Stage uint8

// Told: its headers are there. Complete: it has passed whole. Ended: its stream is no more.
const (
	Told Stage = iota
	Complete
	Ended
)

// due reports whether an item can be settled: what its answer's headers tell does not wait for the
// body, which a client may take its time to read.
func (t *item) due(s Stage) bool {
	return t.open && (s != Told || t.limit.response == nil || t.limit.response.header != "" || !t.counted)
}

// Settlement is what has come of an account: in the costs of its limits, each by its index.
type Settlement struct {
	Limit                        int
	Reserved, Settled, GivenBack int64
	Lost                         bool // what it has cost more could not be noted
}

// Settle settles the costs that can be settled by now, each once, by the world's Swap and Flight. asks
// is what the rate-limit service is to be told; nil: nothing. list has what has come of each limit,
// appended to dst.
func (c *Account) Settle(s Stage, now time.Time, w *decide.World, dst []Settlement) (list []Settlement,
	asks *ratelimit.Request) {
	c.now, list = now.UnixNano(), dst
	for i := range c.items {
		t := &c.items[i]
		if !t.due(s) {
			continue
		}
		t.open = false
		price := t.price(c.told, s == Complete)
		came := Settlement{Limit: t.index, Reserved: t.reserve, Settled: price, GivenBack: max(t.reserve-price, 0)}
		switch more := price - t.reserve; {
		case t.local:
			c.current, c.failed = i, false
			if t.ask.Cost = price; price > 0 {
				came.Lost = w.Swap(c.policy.table.Bucket(t.ask.Tag), c.change) != nil || c.failed
			}
			c.free(i, w.Flight) // by now it has been charged
		case more == 0:
		case more < 0:
			if c.policy.global.lease > 0 && c.now < t.ends {
				c.policy.leases.giveBack(t.tag, -more, c.now)
			}
		default:
			if _, _, ok := c.policy.leases.spend(t.tag, more, c.now); ok {
				break
			}
			if asks == nil {
				asks = &ratelimit.Request{Domain: c.policy.global.Domain}
			}
			asks.Descriptors = append(asks.Descriptors, descriptor(t.limit, &t.rate, t.key, more))
		}
		list = append(list, came)
	}
	return list, asks
}

// WantsBody reports whether Body is to be told of the answer's body.
func (c *Account) WantsBody() bool { return c.body }

// Reserved tells what has been taken of each limit, by its index, for costs that are settled later.
func (c *Account) Reserved(tell func(limit int, hits int64)) {
	for i := range c.items {
		if t := &c.items[i]; t.open {
			tell(t.index, t.reserve)
		}
	}
}

// Open reports whether anything is still to be settled.
func (c *Account) Open() bool {
	for i := range c.items {
		if c.items[i].open {
			return true
		}
	}
	return false
}

// settleBucket charges what the current item has cost.
func (c *Account) settleBucket(bucket []byte) (next []byte) {
	t := &c.items[c.current]
	next, r, ok := c.policy.table.Charge(c.next, bucket, &t.ask, c.now)
	c.failed = !ok || r.Lost > 0
	if next != nil {
		c.next = next
	}
	return next
}

// free gives back what an item has on its way.
func (c *Account) free(i int, flight func(int, func([]byte) []byte) error) {
	t := &c.items[i]
	if !t.held {
		return
	}
	t.held, c.current = false, i
	err := flight(c.policy.flights.GiveBack(t.hold), c.write)
	c.policy.flights.Written(t.hold, err == nil, c.now)
}

// Close gives back what a stream that is no more has held, and ends the account. flight is
// decide.World.Flight. What could not be written is written by Policy.Renew.
func (c *Account) Close(now time.Time, flight func(int, func([]byte) []byte) error) {
	c.now = now.UnixNano()
	for i := range c.items {
		c.free(i, flight)
	}
	c.items, c.told, c.body = c.items[:0], false, false
	c.policy.accounts = append(c.policy.accounts, c)
}

func (c *Account) writeHold(bucket []byte) []byte {
	next := c.policy.flights.Write(c.next, bucket, c.items[c.current].hold, c.now)
	if next != nil {
		c.next = next
	}
	return next
}
