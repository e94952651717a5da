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
	s := &state{host: h}
	return plugin.Step{Configure: s.configure, Request: s.request, End: s.keys.Forget, Tick: s.keys.Tick}
}

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *scope.Policy
	counters *host.Counters
	decision scope.Decision
	effect   forward.Effect
	keys     wait.Keys
	proofs   *host.ReplayGuard // nil where no provider asks for proofs
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = scope.Parse(text); err != nil {
		return err
	}
	host.LogWarnings(Name, s.policy.Warnings())
	s.counters = host.NewCounters(Name)
	if err = s.keys.Start(Name, s.host.Pace(), s.host.Resume, s.policy.Remotes(), s.decide, s.finish); err != nil {
		return err
	}
	entries := s.policy.ProofEntries()
	if entries == 0 {
		return nil
	}
	// Two filters of one chain that both see a proof must not share a table, and a filter keeps its
	// own when its configuration changes: so it goes by the filter's name.
	name, err := s.host.Name()
	if err != nil {
		return err
	}
	s.proofs, err = host.NewReplayGuard("dpop\x00"+name, entries)
	return err
}

// request decides a request.
func (s *state) request(stream uint32, _ bool) types.Action {
	headers, now := s.host.Headers(), guest.Now()
	s.policy.Decide(&s.decision, headers, now)
	if wanted := s.decision.KeysWanted(); wanted != nil && s.keys.Wait(stream, wanted, headers, now) {
		return types.ActionPause
	}
	return s.finish(stream, headers)
}

// decide decides a request that has waited for keys.
func (s *state) decide(_ uint32, headers [][2]string, now time.Time, last bool) (wanted *jwks.Remote) {
	if last {
		s.policy.DecideAfterWait(&s.decision, headers, now)
	} else {
		s.policy.Decide(&s.decision, headers, now)
	}
	return s.decision.KeysWanted()
}

// finish brings the decision to its verdict and acts on it.
func (s *state) finish(stream uint32, headers [][2]string) types.Action {
	d := &s.decision
	if d.Step() != scope.Done && !s.settle(stream, d, headers) {
		return types.ActionPause
	}
	v := d.Verdict()
	if (v.Code != verdict.OK || !s.counters.Allowed(v.Rule)) &&
		!s.counters.Conclude(s.policy.RuleName(v.Rule), v, headers) {
		return types.ActionPause
	}
	d.Effect(&s.effect)
	return s.host.Pass(&s.effect)
}

// settle does what the decision waits for, until it waits for nothing. It reports false where the
// request is held back: none of the keys that were tried without a kid has signed the token, and
// there may be newer ones.
//
//go:noinline
func (s *state) settle(stream uint32, d *scope.Decision, headers [][2]string) bool {
	for d.Step() != scope.Done {
		s.advance(d)
		if wanted := d.KeysWanted(); wanted != nil && s.keys.Wait(stream, wanted, headers, guest.Now()) {
			return false
		}
	}
	return true
}

// advance does what the decision waits for.
//
//go:noinline
func (s *state) advance(d *scope.Decision) {
	for {
		switch d.Step() {
		case scope.CheckSignature:
			signature, _ := d.Signature()
			d.SignatureChecked(host.VerifySignature(signature))
		case scope.ReadPeer:
			// An error is what Envoy gives where there is no TLS or no certificate: none, then.
			digest, _ := proxywasm.GetProperty(peerDigest)
			d.PeerRead(string(digest))
		case scope.CheckReplay:
			id, expires := d.Proof()
			d.ReplayChecked(s.proofs.Admit(id, expires, guest.Now()))
		default:
			return
		}
	}
}

var peerDigest = []string{"connection", "sha256_peer_certificate_digest"}
