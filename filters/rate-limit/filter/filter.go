// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package limit to Envoy: it reads the request's headers and properties, has
// limit decide, keeps the table in shared data, asks the rate-limit service, answers and counts.
package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct/response"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/limitservice"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Name is the filter's part of metric names, log lines and response code details.
const Name = "rate_limit"

// Filter is what plugins are made of.
var Filter = plugin.Filter{Name: Name, New: start}

func start(h *plugin.Host) plugin.Step {
	s := &state{host: h, decision: &limit.Decision{}, held: map[uint32]*held{},
		world: decide.World{Source: h.Source, Identity: h.Identity, PeerURI: h.PeerURI}}
	return plugin.Step{Configure: s.configure, Request: s.request, End: s.gone, Tick: s.tick}
}

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *limit.Policy
	counters *host.Counters
	decision *limit.Decision   // of the request that is being decided
	verdicts []verdict.Verdict // likewise
	effect   forward.Effect    // likewise
	world    decide.World
	service  *service         // nil where no limit is global
	held     map[uint32]*held // requests that wait for the service, by their streams
	room     wait.Room        // for what they hold
	answers  answers
	flights  *flights // nil: no limit is of requests at once
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = limit.Parse(text); err != nil {
		return err
	}
	if paths := s.policy.ReadsBodies(); !toldOfBodies && len(paths) > 0 {
		var faults conf.Faults
		for _, path := range paths {
			faults = append(faults, conf.Fault{Path: path,
				Problem: "needs to see the bodies of answers, of which a lean module is not told: take the one without -lean"})
		}
		return faults
	}
	s.counters = host.NewCounters(Name)
	host.LogWarnings(Name, s.policy.Warnings())
	name, err := s.host.Name()
	if err != nil {
		return err
	}
	t, seed, err := openTable(name, s.policy.Buckets())
	if err != nil {
		return err
	}
	s.world.Swap = t.swap
	s.policy.SetSeed(seed)
	if err = s.openFlights(name); err != nil {
		return err
	}
	if s.policy.Settles() {
		if err = s.follows(); err != nil {
			return err
		}
	}
	if g := s.policy.Global(); g != nil {
		s.service = &service{Service: limitservice.Service{Service: g.Service, Plugin: s.host.Plugin(),
			Log: Name + ": global"}}
		if err = s.service.defineCounters(); err != nil {
			return err
		}
	}
	return nil
}

// request decides a request.
func (s *state) request(stream uint32) types.Action {
	r, d := s.host.Request(), s.decision
	s.abandon(d, r.Now)
	s.policy.Decide(d, r)
	if d.Step() != decide.Done && s.waits(stream, d, r.Headers) {
		return types.ActionPause
	}
	return s.conclude(stream, d, r.Headers)
}

// waits does what the decision waits for, and reports whether the request is held back until the service has answered.
func (s *state) waits(stream uint32, d *limit.Decision, headers [][2]string) bool {
	for d.Run(&s.world) == decide.AskService {
		if s.ask(stream, d, headers) {
			return true
		}
	}
	return false
}

// conclude counts and acts on a verdict.
func (s *state) conclude(stream uint32, d *limit.Decision, headers [][2]string) types.Action {
	s.verdicts = d.Counts(s.verdicts[:0])
	for i := range s.verdicts[1:] {
		if v := &s.verdicts[1+i]; v.Code != verdict.OK || !s.counters.Allowed(v.Rule) {
			s.count(v)
		}
	}
	v := &s.verdicts[0]
	if (v.Code != verdict.OK || !s.counters.Allowed(v.Rule)) &&
		!s.counters.Conclude(s.policy.RuleName(v.Rule), v, headers, refusalHeaders(d)...) {
		return s.host.Answered()
	}
	if s.policy.Settles() {
		s.follow(stream, d)
	}
	if d.HasHeaders() {
		owed := response.Owe(stream)
		d.EachHeader(func(name string, value []byte, list bool) { owed.Header(name, value, !list) })
	}
	if s.policy.Marks() {
		return s.passMarked(d)
	}
	return s.host.Pass(nil)
}

// passMarked lets a request go on where limits mark what is over them.
//
//go:noinline
func (s *state) passMarked(d *limit.Decision) types.Action {
	s.effect.Reset()
	d.Effect(&s.effect)
	return s.host.Pass(&s.effect)
}

// count counts what a limit says that has not the last word.
//
//go:noinline
func (s *state) count(v *verdict.Verdict) {
	rule := s.policy.RuleName(v.Rule)
	if err := s.counters.Count(rule, v); err != nil {
		panic(err)
	}
	if v.Code != verdict.OK {
		host.LogDecision(Name, rule, v)
	}
}

//go:noinline
func refusalHeaders(d *limit.Decision) [][2]string { return d.Headers(nil) }
