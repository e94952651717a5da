// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct/response"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// answers are what requests that went on still owe, and how their streams are followed.
type answers struct {
	follower response.Follower
	open     map[uint32]*limit.Account // by stream
	list     []limit.Settlement
	costs    []costCounters // by limit
	wrong    host.Seldom
}

// costCounters are of one limit whose requests are settled when they were answered: what has been
// reserved, what they have cost, what of the reserve has been given back, and how often a cost
// could not be noted.
type costCounters struct{ reserved, settled, givenBack, lost guest.Counter }

// follows makes ready what following answers takes.
func (s *state) follows() (err error) {
	s.answers.open = map[uint32]*limit.Account{}
	s.answers.follower = response.Follower{Headers: s.answerHeaders, Body: s.answerBody, Answered: s.answerPassed,
		End: s.streamEnded}
	for i := range s.policy.Limits() {
		var c costCounters
		if s.policy.HasCosts(i) {
			name := "tollgate." + Name + ".rule." + s.policy.RuleName(i) + ".cost."
			for _, m := range []struct {
				counter *guest.Counter
				name    string
			}{{&c.reserved, "reserved"}, {&c.settled, "settled"}, {&c.givenBack, "given_back"}, {&c.lost, "lost"}} {
				if *m.counter, err = guest.DefineCounter(name + m.name); err != nil {
					return err
				}
			}
		}
		s.answers.costs = append(s.answers.costs, c)
	}
	return nil
}

// follow has the current stream's answer looked at where the request owes something by it.
func (s *state) follow(stream uint32, d *limit.Decision) {
	c := d.Account()
	if c == nil {
		return
	}
	s.answers.open[stream] = c
	response.Follow(stream, &s.answers.follower)
	c.Reserved(func(limit int, hits int64) { add(s.answers.costs[limit].reserved, hits) })
}

// add adds to a counter. An error is a panic: what is not counted is not to pass unseen.
func add(c guest.Counter, n int64) {
	if n == 0 {
		return
	}
	if err := c.Add(n); err != nil {
		panic(err)
	}
}

// answerHeaders, answerBody, answerPassed and streamEnded are response.Follower's.
func (s *state) answerHeaders(stream uint32) {
	s.host.Called()
	c := s.answers.open[stream]
	if c == nil {
		return
	}
	headers, err := guest.ResponseHeaders()
	if err != nil {
		panic(err)
	}
	c.Headers(headers)
	s.settle(stream, c, limit.Told)
}

func (s *state) answerBody(stream uint32, size int) {
	s.host.Called()
	c := s.answers.open[stream]
	if c == nil || !c.WantsBody() {
		return
	}
	if err := guest.ResponseBody(size, c.Body); err != nil {
		panic(err)
	}
}

func (s *state) answerPassed(stream uint32) {
	s.host.Called()
	if c := s.answers.open[stream]; c != nil {
		s.settle(stream, c, limit.Complete)
	}
}

func (s *state) streamEnded(stream uint32) {
	s.host.Called()
	c := s.answers.open[stream]
	if c == nil {
		return
	}
	delete(s.answers.open, stream)
	defer func() { c.Close(guest.Now(), s.world.Flight) }() // whatever comes of the costs
	s.settle(stream, c, limit.Ended)
}

// settle settles what can be settled by now.
func (s *state) settle(stream uint32, c *limit.Account, stage limit.Stage) {
	if !c.Open() {
		return
	}
	list, asks := c.Settle(stage, guest.Now(), &s.world, s.answers.list[:0])
	s.answers.list = list
	for i := range list {
		came := &list[i]
		counters := &s.answers.costs[came.Limit]
		add(counters.settled, came.Settled)
		add(counters.givenBack, came.GivenBack)
		if came.Lost {
			add(counters.lost, 1)
			s.answers.wrong.Error(Name + ": limit " + s.policy.RuleName(came.Limit) +
				": what an answer has cost could not be noted whole: other workers were always faster, the table is full, or it owes too much")
		}
	}
	if asks == nil {
		return
	}
	if stage == limit.Ended {
		// The stream's context is about to go, and its calls with it.
		if err := proxywasm.SetEffectiveContext(s.host.Plugin()); err != nil {
			panic(err)
		}
		stream = 0
	}
	err := s.service.Ask(stream, asks, func(_ ratelimit.Response, err error) { s.service.concluded(err) })
	if err != nil {
		s.service.concluded(err)
	}
}
