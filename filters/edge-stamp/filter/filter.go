// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package stamp to Envoy: it reads the request's headers and body, has stamp
// decide, signs and verifies through the proxy, answers and counts.
package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/limitservice"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Name is the filter's part of metric names, log lines and response code details.
const Name = "edge_stamp"

// Filter is what plugins are made of.
var Filter = plugin.Filter{Name: Name, New: start}

func start(h *plugin.Host) plugin.Step {
	s := &state{host: h, decision: &stamp.Decision{}, held: map[uint32]*held{},
		world: decide.World{Verify: host.VerifySignature, Sign: host.Sign, Identity: h.Identity, PeerURI: h.PeerURI}}
	s.keys = wait.Keys{Filter: Name, Pace: h.Pace(), Resume: h.Resume, Decide: s.decide, Finish: s.finish}
	return plugin.Step{Configure: s.configure, Request: s.request, Body: s.body, End: s.end, Tick: s.tick}
}

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *stamp.Policy
	counters *host.Counters
	decision *stamp.Decision // of the request that is being decided
	world    decide.World
	effect   forward.Effect
	keys     wait.Keys
	global   *limitservice.Service // nil where no rule asks for it
	held     map[uint32]*held      // requests that wait, by their streams
	room     wait.Room             // for what they hold

	// streams whose bodies are awaited, the first deadline first; some may have ended
	bodies []uint32

	unreadable              *guest.Counter // nil: not defined yet
	deaf, tooLarge, lacking host.Seldom    // for the log
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = stamp.Parse(text, stamp.Surroundings{Env: guest.Env, Random: guest.Random}); err != nil {
		return err
	}
	s.counters = host.NewCounters(Name)
	if err = s.proveKey(); err != nil {
		return err
	}
	if err = s.keys.Start(s.policy.Remotes()); err != nil {
		return err
	}
	host.LogWarnings(Name, s.policy.Warnings())
	entries := s.policy.ReplayEntries()
	if entries == 0 {
		return nil
	}
	// A chain may have several of these filters, and each sees the same stamp once; a filter keeps
	// its table when its configuration changes: so it goes by the filter's name.
	name, err := s.host.Name()
	if err != nil {
		return err
	}
	seen, err := host.NewReplayGuard("stamp\x00"+name, entries)
	if err != nil {
		return err
	}
	s.world.Admit = seen.Admit
	if g := s.policy.Global(); g != nil {
		s.global = &limitservice.Service{Service: g.Service, Plugin: s.host.Plugin(), Log: Name + ": replay: onceGlobal"}
	}
	return nil
}

func (s *state) tick(now time.Time, turn *wait.Turn) (next uint32) {
	next = s.keys.Tick(now, turn)
	return min(next, s.expire(now, turn))
}

// request decides a request.
func (s *state) request(stream uint32) types.Action {
	s.policy.Decide(s.decision, s.host.Request())
	return s.finish(stream)
}

// decide decides a request that has waited for keys.
func (s *state) decide(last bool) (wanted *jwks.Remote) {
	if last {
		s.policy.DecideAfterWait(s.decision, s.host.Request())
	} else {
		s.policy.Decide(s.decision, s.host.Request())
	}
	s.decision.Run(&s.world)
	return s.decision.KeysWanted()
}

// finish brings the current decision to its verdict and acts on it.
func (s *state) finish(stream uint32) types.Action {
	return s.goOn(stream, s.decision, s.host.Request().Headers)
}

// goOn brings a decision to its verdict and acts on it. Where that takes time the request is held,
// and taken up again when it has come.
func (s *state) goOn(stream uint32, d *stamp.Decision, headers [][2]string) types.Action {
	if d.Step() != decide.Done && s.waits(stream, d, headers) {
		return types.ActionPause
	}
	return s.conclude(stream, d, headers)
}

// waits does what the decision waits for, and reports whether the request is held back.
func (s *state) waits(stream uint32, d *stamp.Decision, headers [][2]string) bool {
	for {
		waits := false
		switch d.Run(&s.world) {
		case decide.FetchKeys:
			s.hold(stream) // something of its body may come meanwhile
			waits = s.keys.Wait(stream, d.KeysWanted(), s.host.Request().Now)
		case decide.AskService:
			waits = s.ask(stream, d, headers)
		case decide.ReadBody:
			waits = s.awaitBody(stream, d, headers)
		default:
			return false
		}
		if waits {
			return true
		}
	}
}

// conclude acts on a verdict.
func (s *state) conclude(stream uint32, d *stamp.Decision, headers [][2]string) types.Action {
	if len(s.held) > 0 {
		s.drop(stream) // what still comes of its body is not looked at
	}
	v := d.Verdict()
	switch v.Code {
	case stamp.StampTooLarge:
		s.tooLarge.Error(Name + ": " + stamp.StampTooLarge.Name + ": " + d.TooLarge())
	case stamp.ClaimsMissing:
		s.lacking.Error(Name + ": " + stamp.ClaimsMissing.Name + ": " + d.Lacks())
	}
	if (v.Code != verdict.OK || !s.counters.Allowed(v.Rule)) &&
		!s.counters.Conclude(s.policy.RuleName(v.Rule), v, headers) {
		return s.host.Answered()
	}
	if status, answer, body, ok := d.Publishes(); ok {
		if err := proxywasm.SendHttpResponse(uint32(status), answer, []byte(body), -1); err != nil {
			panic(err)
		}
		return s.host.Answered()
	}
	d.Effect(&s.effect)
	if d.Unreadable() {
		s.countUnreadable()
	}
	return s.host.Pass(&s.effect)
}

// countUnreadable counts a request with a field of others' signatures that cannot be read as one.
//
//go:noinline
func (s *state) countUnreadable() {
	if s.unreadable == nil {
		counter, err := guest.DefineCounter("tollgate." + Name + ".signatures.outcome.unreadable")
		if err != nil {
			panic(err)
		}
		s.unreadable = &counter
	}
	if err := s.unreadable.Increment(); err != nil {
		panic(err)
	}
}
