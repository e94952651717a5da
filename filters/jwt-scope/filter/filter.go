// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filter binds package scope to Envoy: it reads the request's headers, has scope decide,
// answers and counts, and fetches the keys that scope asks for.
package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Name is the filter's part of metric names, log lines and response code details.
const Name = "jwt_scope"

// Filter is what plugins are made of.
var Filter = plugin.Filter{Name: Name, New: start}

func start(h *plugin.Host) plugin.Step {
	s := &state{host: h, world: decide.World{Verify: host.VerifySignature, PeerDigest: h.PeerDigest}}
	s.keys = wait.Keys{Filter: Name, Pace: h.Pace(), Resume: h.Resume, Decide: s.decide, Finish: s.finish}
	return plugin.Step{Configure: s.configure, Request: s.request, End: s.end, Tick: s.tick}
}

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *scope.Policy
	counters *host.Counters
	decision scope.Decision
	world    decide.World
	effect   forward.Effect
	keys     wait.Keys

	introspection introspection
}

// end forgets a request that has ended.
func (s *state) end(stream uint32) {
	s.keys.Forget(stream)
	s.introspection.forget(stream)
}

// tick fetches keys, and takes up again who waits.
func (s *state) tick(now time.Time, turn *wait.Turn) (next uint32) {
	next = s.keys.Tick(now, turn)
	return min(next, s.wake(now, turn))
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = scope.Parse(text, scope.Surroundings{Env: guest.Env}); err != nil {
		return err
	}
	host.LogWarnings(Name, s.policy.Warnings())
	s.counters = host.NewCounters(Name)
	if err = s.keys.Start(s.policy.Remotes()); err != nil {
		return err
	}
	entries := s.policy.ProofEntries()
	if entries == 0 {
		return nil // no provider asks for proofs
	}
	// Two filters of one chain that both see a proof must not share a table, and a filter keeps its
	// own when its configuration changes: so it goes by the filter's name.
	name, err := s.host.Name()
	if err != nil {
		return err
	}
	proofs, err := host.NewReplayGuard("dpop\x00"+name, entries)
	if err != nil {
		return err
	}
	s.world.Admit = proofs.Admit
	if s.policy.WantsNonceKey() {
		var key [32]byte
		// One key for all filters of the proxy: two of them that see the same proof take the same nonce.
		if err = host.ShareRandom("tollgate.nonce.1", key[:]); err == nil {
			s.policy.SetNonceKey(key)
		}
	}
	return err
}

// request decides a request.
func (s *state) request(stream uint32) types.Action {
	s.policy.Decide(&s.decision, s.host.Request())
	return s.finish(stream)
}

// decide decides a request that has waited for keys.
func (s *state) decide(last bool) (wanted *jwks.Remote) {
	if last {
		s.policy.DecideAfterWait(&s.decision, s.host.Request())
	} else {
		s.policy.Decide(&s.decision, s.host.Request())
	}
	s.decision.Run(&s.world)
	return s.decision.KeysWanted()
}

// finish brings the decision to its verdict and acts on it.
func (s *state) finish(stream uint32) types.Action {
	d := &s.decision
	if d.Step() != decide.Done && s.waits(stream) {
		return types.ActionPause
	}
	v := d.Verdict()
	if (v.Code != verdict.OK || !s.counters.Allowed(v.Rule)) &&
		!s.counters.Conclude(s.policy.RuleName(v.Rule), v, s.host.Request().Headers, d.Headers(nil)...) {
		return s.host.Answered()
	}
	if d.AsksForMetadata() {
		return s.publish()
	}
	d.Effect(&s.effect)
	return s.host.Pass(&s.effect)
}

// publish answers with the metadata of a protected resource.
//
//go:noinline
func (s *state) publish() types.Action {
	status, headers, body, _ := s.decision.Publishes()
	if err := proxywasm.SendHttpResponse(uint32(status), headers, []byte(body), -1); err != nil {
		panic(err)
	}
	return s.host.Answered()
}

// waits does what the decision waits for, and reports whether the request is held back.
//
//go:noinline
func (s *state) waits(stream uint32) bool {
	for {
		waits := false
		switch s.decision.Run(&s.world) {
		case decide.FetchKeys:
			waits = s.keys.Wait(stream, s.decision.KeysWanted(), s.host.Request().Now)
		case decide.Introspect:
			waits = s.introspect(stream)
		default:
			return false
		}
		if waits {
			return true
		}
	}
}
