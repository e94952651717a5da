// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Decision is one request on its way to a verdict. The zero value is ready for Policy.Decide;
// reusing one saves allocations.
type Decision struct {
	policy *Policy
	subject
	have   needs // of the subject
	failed needs // could not be had
	hits   []match.Hit
	choosing
	now int64 // nanoseconds since the epoch

	phase   phase
	cursor  int // in hits or in list, by the phase
	step    decide.Step
	list    []applied // the limits that were looked at
	current int       // in list: whose bucket is wanted
	bucket  bucketState
	refused int           // in list; -1: none
	early   *verdict.Code // why nothing was looked at; nil: it was

	verdict      verdict.Verdict
	key          []byte                     // of the limit that is being looked at
	next         []byte                     // a bucket's new contents
	change       func(bucket []byte) []byte // take
	changeFlight func(bucket []byte) []byte // takeFlight
	holding      int                        // requests at once that this one is, and nobody else knows of

	policies, left []byte // of headers

	rates []*rate // of requests whose claims say how many there may be
	spent int     // of rates
}

// applied is a limit that fits the request.
type applied struct {
	index    int
	limit    *limit
	rate     *rate
	cost     int64
	code     *verdict.Code // what this limit says; nil: nothing yet
	open     bool          // it says OK because nobody knows, or without a limit
	ask      gcra.Ask
	took     gcra.Result // from the table
	taken    bool
	leased   int64  // of what was taken ahead
	asked    int64  // hits that the service was asked for
	key      string // of the descriptor
	tag      uint64 // globalTag
	fallback uint64 // fallbackTag

	looked  bool  // whether the table has room, and taken nothing there
	counted bool  // by the service, or from what was taken ahead
	owes    int64 // that an answer which counts spends
	ends    int64 // of the service's window, at the earliest: it tells whole seconds
	flight  inflight.Ask
	hold    inflight.Hold
	placed  bool // flight is taken

	remaining    int64
	reset, retry int64 // nanoseconds
}

// phase is what a decision does next. Cheap and local things come first, so that most of what is
// refused costs the service nothing.
type phase uint8

const (
	takeEnforced phase = iota // local limits, in order
	// local limits of which nothing is taken before the answer: last, so that a limit of requests at
	// once bounds how many have looked and are not counted yet
	lookEnforced
	askService // global limits: what is remembered, taken ahead, and asked for in one call
	fallBack   // global limits whose service does not tell
	// local limits in shadow mode: only of a request that goes on, as only those would come to them
	takeShadow
	refund // what was taken of a request that is refused
	end
	selectLimits // before all others, where a limit is for some of the requests that it fits
)

// Step is what the decision waits for now.
func (d *Decision) Step() decide.Step { return d.step }

// Decide looks at a request. After it the decision has its verdict, or Run goes on with it. What the
// world tells must stay as it is until the decision is used no more, or until Keep.
func (p *Policy) Decide(d *Decision, r *decide.Request) {
	d.policy, d.now = p, r.Now.UnixNano()
	d.have, d.failed, d.claims, d.source, d.from, d.peer = 0, 0, gjson.Result{}, address{}, absent, ""
	d.phase, d.cursor, d.step, d.refused, d.early = takeEnforced, 0, decide.Done, -1, nil
	d.hits, d.list, d.spent = d.hits[:0], d.list[:0], 0
	if p.rules != nil {
		d.phase, d.choosing = selectLimits, choosing{}
	}
	if !p.seeded {
		d.stop(verdict.Internal)
		return
	}
	err := d.read(r)
	if err == nil {
		d.hits, err = p.index.All(&d.request, d.hits)
	}
	if err != nil {
		d.stop(decide.Ambiguous(err))
		return
	}
	d.run()
}

// Run does what the decision waits for, as far as the world does it at once. It returns
// decide.Done, or decide.AskService: then Asks is to be asked, and Answered told.
func (d *Decision) Run(w *decide.World) decide.Step {
	for d.step.AtOnce() {
		d.do(w)
	}
	return d.step
}

//go:noinline
func (d *Decision) do(w *decide.World) {
	switch {
	case d.step == decide.TakeBucket && d.bucket.flying && w.Flight != nil:
		if d.changeFlight == nil {
			d.changeFlight = d.takeFlight
		}
		d.taken(w.Flight(d.policy.flights.Bucket(&d.list[d.current].flight), d.changeFlight))
	case d.step == decide.TakeBucket && !d.bucket.flying && w.Swap != nil:
		if d.change == nil {
			d.change = d.take
		}
		d.taken(w.Swap(d.policy.table.Bucket(d.list[d.current].ask.Tag), d.change))
	case d.step == decide.ReadSource && w.Source != nil:
		d.sourceRead(w.Source())
	case d.step == decide.ReadIdentity && w.Identity != nil:
		d.identityRead(w.Identity())
	case d.step == decide.ReadPeer && w.PeerURI != nil:
		d.peerRead(w.PeerURI())
	default:
		d.stop(verdict.Internal)
	}
}

func (d *Decision) read(r *decide.Request) error {
	d.headers, d.request.Headers = r.Headers, r.Headers
	line := r.Line()
	return d.request.Set(line.Method, line.Authority, line.Path, d.policy.literalPaths)
}

// Keep has the decision hold on to copies of its request's headers: whatever it has of them from
// now on is theirs. What else it was told it copies itself.
func (d *Decision) Keep(headers [][2]string) {
	d.peer, d.claims.Raw = strings.Clone(d.peer), strings.Clone(d.claims.Raw) // all that an object has
	if d.read(&decide.Request{Headers: headers}) != nil {                     // it was read before
		d.stop(verdict.Internal)
	}
}

// stop ends a decision whatever the limits say.
func (d *Decision) stop(why *verdict.Code) {
	d.phase, d.step, d.early = end, decide.Done, why
	d.verdict = verdict.Verdict{Code: why, Rule: -1, Shadow: d.policy.shadow}
}

// run goes on until something is needed of the proxy, or there is a verdict.
func (d *Decision) run() {
	for d.step == decide.Done && d.phase != end {
		switch d.phase {
		case takeEnforced, lookEnforced, takeShadow:
			d.takeNext()
		case askService:
			d.askNext()
		case fallBack:
			d.fallBackNext()
		case refund:
			d.refundNext()
		case selectLimits:
			d.selectNext()
		}
	}
	d.conclude()
}

func (d *Decision) enter(p phase) { d.phase, d.cursor = p, 0 }

// takeNext has the next local limit's bucket taken.
func (d *Decision) takeNext() {
	shadow := d.phase == takeShadow
	for ; d.cursor < len(d.hits); d.cursor++ {
		hit := &d.hits[d.cursor]
		l := &d.policy.limits[hit.Rule]
		if l.global || l.shadow != shadow || !shadow && l.looks() != (d.phase == lookEnforced) {
			continue
		}
		if d.lacks(hit.Rule) {
			return
		}
		a := d.apply(hit, l)
		if d.refused >= 0 {
			return
		}
		if a == nil || a.code != nil {
			continue
		}
		d.cursor++
		d.takeFrom(len(d.list)-1, d.policy.tag(l, a.rate, localTag, d.key), a.rate.shared, &a.rate.gcra)
		return
	}
	switch {
	case d.phase == takeEnforced && d.policy.settles:
		d.enter(lookEnforced)
	case shadow || d.policy.plain:
		d.enter(end)
	default:
		d.enter(askService)
	}
}

// lacks sets the step to what is needed for a limit and not there.
func (d *Decision) lacks(limit int) bool { return d.lacksOf(d.policy.needs[limit]) }

// apply puts a limit on the list and its key into d.key. It returns nil where the limit does not
// apply, and has a code where its key tells already.
func (d *Decision) apply(hit *match.Hit, l *limit) *applied {
	key, how := d.appendKey(d.key[:0], l, hit)
	d.key = key
	failed := d.policy.needs[hit.Rule]&d.failed != 0
	if how == absent && !failed && l.missing == skip {
		return nil
	}
	d.list = append(d.list, applied{index: hit.Rule, limit: l, rate: d.rateOf(l)})
	a := &d.list[len(d.list)-1]
	switch {
	case failed:
		d.say(len(d.list)-1, verdict.Internal)
	case how != found && l.missing == deny:
		d.say(len(d.list)-1, KeyMissing)
	case how == absent:
		d.key = appendPart(d.key[:0], noPart, "")
	}
	if a.code == nil {
		if a.rate.unlimited {
			a.open = true // there is nothing to tell of what is left
			d.say(len(d.list)-1, verdict.OK)
			return a
		}
		a.cost = l.cost.of(d.headers)
		if l.settles() {
			a.untilAnswered()
		}
	}
	return a
}

// say notes what a limit says. One in shadow mode is only heard, and one that marks what is over it
// does not refuse that.
func (d *Decision) say(i int, code *verdict.Code) {
	a := &d.list[i]
	a.code = code
	if code != verdict.OK && !a.limit.shadow && d.refused < 0 && !a.marked() {
		d.refused = i
		d.enter(refund)
	}
}

// identityRead tells the claims that an earlier filter has verified. An error means that nobody knows.
func (d *Decision) identityRead(claims gjson.Result, err error) {
	if !d.told(decide.ReadIdentity) {
		return
	}
	d.have |= needIdentity
	if d.claims = claims; err != nil {
		d.claims = gjson.Result{}
		d.failed |= needIdentity
	}
	d.run()
}

// sourceRead tells from whom the proxy has the connection, as Envoy's source.address has it
// ("192.0.2.1:4711"); empty: it does not say. What is no IP address, such as a socket's path, is a
// part of the key that cannot be read. An error means that nobody knows.
func (d *Decision) sourceRead(source string, err error) {
	if !d.told(decide.ReadSource) {
		return
	}
	d.have |= needSource
	ok := false
	d.source, ok = parseSource(source)
	switch {
	case err != nil:
		d.failed |= needSource
	case ok:
		d.from = found
	case source != "":
		d.from = unreadable
	}
	d.run()
}

// peerRead tells the URI of the certificate that the connection's client has shown, as Envoy's
// connection.uri_san_peer_certificate has it; empty: there is none. An error means that nobody
// knows.
func (d *Decision) peerRead(uri string, err error) {
	if !d.told(decide.ReadPeer) {
		return
	}
	d.have |= needPeer
	if d.peer = uri; err != nil {
		d.failed |= needPeer
	}
	d.run()
}

// told takes the answer to the step that the decision waits for, unless it waits for something else: then it is over.
func (d *Decision) told(step decide.Step) bool {
	if d.step != step {
		if d.policy != nil {
			d.stop(verdict.Internal)
		}
		return false
	}
	d.step = decide.Done
	return true
}

// bucketState is how far the current bucket is.
type bucketState struct {
	flying  bool // it is one of requests that are on their way
	freeing bool // and what was taken of it is given back
	tried   bool // take has been called
	next    gcra.Result
	flight  inflight.Result
}

func (d *Decision) want(i int) {
	d.current, d.bucket, d.step = i, bucketState{}, decide.TakeBucket
}

// takeFrom has a limit counted under a tag of the table.
func (d *Decision) takeFrom(i int, tag, shared uint64, g *gcra.Limit) {
	a := &d.list[i]
	a.ask = gcra.Ask{Tag: tag, Shared: shared, Limit: g, Cost: a.cost}
	d.want(i)
	switch l := a.limit; {
	case l.places() != nil:
		d.bucket.flying = true
		a.flight = inflight.Ask{Tag: tag, Shared: shared, Limit: l.places(), Count: 1}
		if l.concurrency == nil {
			a.flight.Count = a.cost
		}
	case l.looks():
		a.ask.Cost, a.ask.Room = 0, 1
	}
}

// take takes from a bucket, or gives back, and returns what the bucket becomes, in memory that the
// next call reuses; nil: it stays as it is. Where somebody else was faster, it is called again: only
// the last call counts.
func (d *Decision) take(bucket []byte) (next []byte) {
	if d.step != decide.TakeBucket {
		return nil
	}
	a, t := &d.list[d.current], &d.policy.table
	if d.phase == refund {
		next, d.bucket.next = t.Refund(d.next, bucket, &a.ask, a.took, d.now)
	} else {
		next, d.bucket.next = t.Take(d.next, bucket, &a.ask, d.now)
	}
	d.bucket.tried = true
	if next != nil {
		d.next = next
	}
	return next
}

// taken tells that what the last take returned is written, or that there was nothing to write.
// decide.ErrBusy means that others have always been faster: the request is refused, since it could not be
// counted. Any other error means that nobody knows. What cannot be given back is lost.
func (d *Decision) taken(err error) {
	tried := d.bucket.tried
	if !d.told(decide.TakeBucket) {
		return
	}
	i, r := d.current, d.bucket.next
	a := &d.list[i]
	switch {
	case d.bucket.flying && (d.bucket.freeing || err == nil && tried):
		d.flightTaken(err == nil && tried)
	case d.phase == refund:
		if a.taken = false; err == nil && tried {
			a.remaining, a.reset = r.Remaining, r.Reset
		}
	case err == decide.ErrBusy:
		a.remaining, a.reset, a.retry = 0, int64(time.Second), int64(time.Second)
		if a.placed {
			d.giveBack(i)
			return
		}
		d.say(i, RateLimited)
	case err != nil || !tried:
		d.say(i, verdict.Internal)
	default:
		a.remaining, a.reset, a.retry = r.Remaining, r.Reset, r.Retry
		if !r.Allowed {
			if a.retry == 0 { // what is reserved has to be settled, and nobody knows when
				a.retry = int64(time.Second)
			}
			if a.placed { // what is over a limit takes nothing of it, whether or not the request goes on
				d.giveBack(i)
				return
			}
			d.say(i, RateLimited)
			break
		}
		a.took, a.taken, a.looked = r, a.ask.Room == 0, a.ask.Room > 0
		d.say(i, verdict.OK)
	}
	d.run()
}

// refundNext gives back what the request took of other limits than the one that refuses it.
func (d *Decision) refundNext() {
	for d.cursor < len(d.list) {
		a := &d.list[d.cursor]
		if a.leased > 0 {
			d.policy.leases.giveBack(a.tag, a.leased, d.now)
			a.remaining, a.leased = a.remaining+a.leased, 0
		}
		d.cursor++
		switch {
		case a.placed:
			d.giveBack(d.cursor - 1)
			return
		case a.taken:
			d.want(d.cursor - 1)
			return
		}
	}
	d.enter(end)
}

// conclude sets the verdict.
func (d *Decision) conclude() {
	v := &d.verdict
	switch {
	case d.early != nil:
	case d.step != decide.Done:
		*v = verdict.Verdict{Code: verdict.Internal, Rule: -1} // until that is done
	case d.refused >= 0:
		*v = verdict.Verdict{Code: d.list[d.refused].code, Rule: d.list[d.refused].index}
	default:
		*v = verdict.Verdict{Code: verdict.OK, Rule: -1}
		if i := d.decisive(); i >= 0 {
			v.Rule = d.list[i].index
			if d.list[i].marked() {
				v.Code, v.Marked = RateLimited, true
			}
		}
	}
}

// decisive is the limit that refuses the request, or the first that marks it, or the one that leaves
// the least; -1: none limits it.
func (d *Decision) decisive() int {
	if d.refused >= 0 {
		return d.refused
	}
	best := -1
	for i := range d.list {
		if d.list[i].marked() {
			return i
		}
		if a := &d.list[i]; !a.limit.shadow &&
			(best < 0 || d.list[best].open && !a.open || a.open == d.list[best].open && a.remaining < d.list[best].remaining) {
			best = i
		}
	}
	return best
}

// Verdict is what was decided: by the limit that refuses, or else by the one that leaves the least.
// While the decision waits it is a refusal. Limits in shadow mode have no part in it.
func (d *Decision) Verdict() *verdict.Verdict { return &d.verdict }

// Counts appends the verdicts that are to be counted: Verdict, and then one of each other limit
// that the request was counted for, or would have been refused by in shadow mode.
func (d *Decision) Counts(dst []verdict.Verdict) []verdict.Verdict {
	dst = append(dst, d.verdict)
	if d.early != nil || d.step != decide.Done {
		return dst
	}
	decisive := d.decisive()
	for i := range d.list {
		a := &d.list[i]
		if i == decisive || a.code == nil || !a.limit.shadow && d.refused >= 0 {
			continue
		}
		dst = append(dst, verdict.Verdict{Code: a.code, Rule: a.index, Shadow: a.limit.shadow, Marked: a.marked()})
	}
	return dst
}
