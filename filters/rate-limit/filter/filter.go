// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package limit to Envoy: it reads the request's headers and properties, has
// limit decide, keeps the table in shared data, asks the rate-limit service, answers and counts.
package filter

import (
	"time"
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/guest"
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
	s := &state{host: h, decision: &limit.Decision{}, held: map[uint32]*held{}}
	return plugin.Step{Configure: s.configure, Request: s.request, End: s.end, Tick: s.tick}
}

// tick has nothing to do.
func (*state) tick(time.Time, *wait.Turn) uint32 { return wait.Idle }

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *limit.Policy
	counters *host.Counters
	decision *limit.Decision   // of the request that is being decided
	verdicts []verdict.Verdict // likewise
	table    *table
	service  *service         // nil where no limit is global
	held     map[uint32]*held // requests that wait for the service, by their streams
	room     wait.Room        // for what they hold
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = limit.Parse(text); err != nil {
		return err
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
	s.table = t
	s.policy.SetSeed(seed)
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
func (s *state) request(stream uint32, _ bool) types.Action {
	headers, d := s.host.Headers(), s.decision
	s.policy.Decide(d, headers, guest.Now())
	if d.Step() != limit.Done && !s.advance(stream, d, headers) {
		return types.ActionPause
	}
	return s.conclude(stream, d, headers)
}

// advance does what the decision waits for. It reports false where that takes time: then the
// request is held, and taken up again when the service has answered.
func (s *state) advance(stream uint32, d *limit.Decision, headers [][2]string) (decided bool) {
	for {
		switch d.Step() {
		case limit.TakeLocal:
			d.Taken(s.table.take(d))
		case limit.ReadSource:
			d.SourceRead(property("source\x00address"))
		case limit.ReadIdentity:
			d.IdentityRead(s.host.Identity())
		case limit.ReadPeer:
			d.PeerRead(property("connection\x00uri_san_peer_certificate"))
		case limit.AskGlobal:
			if s.ask(stream, d, headers) {
				return false
			}
		default:
			return true
		}
	}
}

// property is one of the request's, until the callback ends; empty: there is none.
func property(path string) (string, error) {
	value, err := guest.Property(path)
	return unsafe.String(unsafe.SliceData(value), len(value)), err
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
		return types.ActionPause
	}
	if d.HasHeaders() {
		owed := response.Owe(stream)
		d.EachHeader(func(name string, value []byte, list bool) { owed.Header(name, value, !list) })
	}
	return s.host.Pass(nil)
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
