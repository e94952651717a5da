// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

var (
	noon     = time.Unix(1_800_000_000, 0)
	errProxy = errors.New("the proxy cannot")
)

// proxy does what decisions wait for, as the filter's glue does.
type proxy struct {
	policy  *Policy
	buckets [][]byte // all workers have the same
	now     time.Time

	identity, source, peer string
	identityErr            error
	sourceErr, peerErr     error
	busy                   func(attempt int) bool // another worker has been faster
	shared                 error                  // of shared data
	unwritten              error                  // of writing to it
	service                *counter
	flights                *flights
	record                 []byte // of what is in flight

	steps    []decide.Step // of the last request
	attempts int           // to write a bucket, of the last request
	calls    int           // of the service, by this proxy
}

func newProxy(t testing.TB, config string) *proxy {
	p := &proxy{policy: parse(t, config), now: noon, source: "192.0.2.1:4711",
		flights: &flights{buckets: map[int][]byte{}}}
	for range p.policy.Buckets() {
		p.buckets = append(p.buckets, gcra.Empty())
	}
	return p
}

func (p *proxy) decide(headers ...[2]string) *Decision {
	d := &Decision{}
	p.policy.Decide(d, p.asked(headers))
	p.finish(d, headers)
	return d
}

func (p *proxy) asked(headers [][2]string) *decide.Request {
	return &decide.Request{Headers: headers, Now: p.now}
}

func (p *proxy) get(path string, headers ...[2]string) *Decision {
	return p.decide(append([][2]string{{":method", "GET"}, {":authority", "api.example.com"}, {":path", path}},
		headers...)...)
}

// maxSwaps is how often the glue tries.
const maxSwaps = 16

func (p *proxy) finish(d *Decision, headers [][2]string) {
	p.steps, p.attempts = nil, 0
	w := p.world(d)
	for d.Run(w) == decide.AskService {
		p.step(d)
		p.calls++
		// The request is held, and its headers with it.
		kept := slices.Clone(headers)
		for i := range kept {
			kept[i] = [2]string{strings.Clone(kept[i][0]), strings.Clone(kept[i][1])}
		}
		asks := d.Asks()
		d.Keep(kept)
		for i := range headers {
			headers[i] = [2]string{"x-forwarded-for", "9.9.9.9"}
		}
		copy(headers, kept)
		r, err := p.service.answer(asks, p.now)
		_ = d.Answered(r, err, p.now)
	}
	if d.Step() != decide.Done {
		panic("it waits for what is nobody's to do")
	}
}

// step notes what a decision waits for, and that it does not admit meanwhile.
func (p *proxy) step(d *Decision) {
	if d == nil {
		return // an account settles
	}
	if p.steps = append(p.steps, d.Step()); len(p.steps) > 1000 {
		panic("it does not end")
	}
	if d.Verdict().Admits() {
		panic("a request goes on that waits")
	}
}

// world does what the decision waits for, as the filter's glue does.
func (p *proxy) world(d *Decision) *decide.World {
	told := func(text *string, err *error) func() (string, error) {
		return func() (string, error) {
			p.step(d)
			return *text, *err
		}
	}
	return &decide.World{
		Identity: func() (gjson.Result, error) {
			p.step(d)
			if p.identityErr != nil {
				return gjson.Result{}, p.identityErr
			}
			return decide.ParseIdentity(p.identity)
		},
		Source: told(&p.source, &p.sourceErr), PeerURI: told(&p.peer,
			&p.peerErr),
		Swap: func(bucket int, change func([]byte) []byte) error {
			p.step(d)
			return p.swap(bucket, change)
		},
		Flight: func(bucket int, change func([]byte) []byte) error {
			p.step(d)
			return p.flights.swap(bucket, change)
		},
	}
}

func (p *proxy) swap(at int, change func([]byte) []byte) error {
	if p.shared != nil {
		return p.shared
	}
	for range maxSwaps {
		p.attempts++
		next := change(p.buckets[at])
		if next == nil {
			return nil
		}
		if p.busy != nil && p.busy(p.attempts) {
			continue
		}
		p.buckets[at] = slices.Clone(next)
		return p.unwritten
	}
	return decide.ErrBusy
}

// counter is a rate-limit service: fixed windows, which count also what they refuse, as envoyproxy/ratelimit does.
type counter struct {
	limits  map[string]ratelimit.Limit // by descriptor, without the key
	hits    map[string]uint64
	asked   []*ratelimit.Request
	err     error
	mangle  func(*ratelimit.Response)
	granted int64 // hits within a limit
}

func newCounter(limits ...string) *counter {
	c := &counter{limits: map[string]ratelimit.Limit{}, hits: map[string]uint64{}}
	for _, name := range limits {
		c.limits[name] = ratelimit.Limit{Requests: 5, Unit: ratelimit.Minute, Multiplier: 1}
	}
	return c
}

func (c *counter) answer(r *ratelimit.Request, now time.Time) (ratelimit.Response, error) {
	c.asked = append(c.asked, r)
	if c.err != nil {
		return ratelimit.Response{}, c.err
	}
	out := ratelimit.Response{Code: ratelimit.OK}
	for _, d := range r.Descriptors {
		name, key := "", ""
		for _, e := range d.Entries {
			if key += "\x00" + e.Value; e.Key != "key" {
				name += " " + e.Value
			}
		}
		l, ok := c.limits[name[1:]]
		s := ratelimit.Status{Code: ratelimit.OK, HasLimit: ok, Limit: l}
		if ok {
			window := l.Unit.Seconds()
			s.HasReset, s.Reset = true, time.Duration(window-now.Unix()%window)*time.Second
			key += "\x00" + now.Truncate(time.Duration(window)*time.Second).String()
			n := hitsOf(d.Hits)
			c.hits[key] += n
			if c.hits[key] > uint64(l.Requests) {
				s.Code, out.Code = ratelimit.OverLimit, ratelimit.OverLimit
			} else {
				s.Remaining = l.Requests - uint32(c.hits[key])
				c.granted += int64(n)
			}
		}
		out.Statuses = append(out.Statuses, s)
	}
	if c.mangle != nil {
		c.mangle(&out)
	}
	return out, nil
}

// hitsOf is how many hits of its own a descriptor has: what is written of them is a message with one number.
func hitsOf(h ratelimit.Hits) (n uint64) {
	b := ratelimit.AppendRequest(nil, &ratelimit.Request{Descriptors: []ratelimit.Descriptor{{Hits: h}}})
	with := b[7:] // behind the prefix, and the descriptor's tag and length
	if len(with) < 2 || with[1] == 0 {
		return 0
	}
	for i, c := range with[3:] {
		n |= uint64(c&0x7f) << (7 * i)
	}
	return n
}

func headerOf(d *Decision, name string) string {
	for _, h := range d.Headers(nil) {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}
