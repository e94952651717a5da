// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host/limitservice"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// service is the rate-limit service, with what has come of the calls to it.
type service struct {
	limitservice.Service
	answered, failed guest.Counter
	told             bool // that it has other rates
}

// defineCounters makes tollgate.rate_limit.service.outcome.answered and .failed: whoever chose what
// happens without the service wants to know when it does.
func (s *service) defineCounters() (err error) {
	const name = "tollgate." + Name + ".service.outcome."
	if s.answered, err = guest.DefineCounter(name + "answered"); err == nil {
		s.failed, err = guest.DefineCounter(name + "failed")
	}
	return err
}

// concluded counts a call, and logs why there was no answer to it.
func (s *service) concluded(err error) {
	counter := s.answered
	if err == limit.ErrRate {
		if !s.told {
			s.told = true
			proxywasm.LogWarn(s.Log + ": " + err.Error())
		}
	} else if err != nil {
		counter = s.failed
		s.Complain(err)
	}
	if err := counter.Increment(); err != nil {
		panic(err)
	}
}

// held is a request that waits for the service.
type held struct {
	decision *limit.Decision
	headers  [][2]string // copies
}

// ask asks the service, or reports false: it cannot be asked, and that has been taken into account.
func (s *state) ask(stream uint32, d *limit.Decision, headers [][2]string) (waits bool) {
	err := wait.ErrNoRoom
	copies, ok := s.room.Enter(headers)
	if ok {
		err = s.service.Ask(stream, d.Asks(), func(r ratelimit.Response, err error) { s.answered(stream, r, err) })
		if err != nil {
			s.room.Leave(copies)
		}
	}
	if err != nil {
		s.service.concluded(d.Answered(ratelimit.Response{}, err, guest.Now()))
		return false
	}
	d.Keep(copies)
	s.held[stream] = &held{d, copies}
	s.decision = &limit.Decision{}
	return true
}

// answered takes the service's answer for a request that waits for it.
func (s *state) answered(stream uint32, r ratelimit.Response, err error) {
	s.host.Resume(stream, func() types.Action {
		h := s.held[stream]
		if h == nil {
			return types.ActionPause
		}
		// It has the memory that the next request needs, which also gives back what a fault leaves behind.
		s.abandon(s.decision, guest.Now())
		s.decision = h.decision
		s.service.concluded(h.decision.Answered(r, err, guest.Now()))
		if s.waits(stream, h.decision, h.headers) {
			return types.ActionPause
		}
		s.end(stream)
		return s.conclude(stream, h.decision, h.headers)
	})
}

// abandon gives back what a decision has on its way that nobody goes on with: its stream has ended, or a
// fault has come between.
func (s *state) abandon(d *limit.Decision, now time.Time) {
	if s.flights != nil {
		d.Abandon(now, s.world.Flight)
	}
}

// gone is for a stream that has ended while it waited.
func (s *state) gone(stream uint32) {
	if h := s.held[stream]; h != nil {
		s.abandon(h.decision, guest.Now())
	}
	s.end(stream)
}

// end forgets what is held of a stream.
func (s *state) end(stream uint32) {
	if h := s.held[stream]; h != nil {
		s.room.Leave(h.headers)
		delete(s.held, stream)
	}
}
