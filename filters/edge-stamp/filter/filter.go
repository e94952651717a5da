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
	s := &state{host: h, decision: &stamp.Decision{}, held: map[uint32]*held{}}
	return plugin.Step{Configure: s.configure, Request: s.request, Body: s.body, End: s.end, Tick: s.tick}
}

// state is one configuration in one VM.
type state struct {
	host     *plugin.Host
	policy   *stamp.Policy
	counters *host.Counters
	decision *stamp.Decision // of the request that is being decided
	effect   forward.Effect
	keys     wait.Keys
	seen     *host.ReplayGuard     // nil where no rule asks for it
	global   *limitservice.Service // likewise
	held     map[uint32]*held      // requests that wait, by their streams
	room     wait.Room             // for what they hold
	bodies   []uint32              // streams whose bodies are awaited, the first deadline first; some may have ended
	deaf     time.Time             // when it was last logged that bodies do not come

	unreadable *guest.Counter // nil: not defined yet
	told       time.Time      // when the log last said that a stamp is too large
}

func (s *state) configure(text string) (err error) {
	if s.policy, err = stamp.Parse(text, stamp.Surroundings{Env: guest.Env, Random: guest.Random}); err != nil {
		return err
	}
	s.counters = host.NewCounters(Name)
	if err = s.proveKey(); err != nil {
		return err
	}
	if err = s.keys.Start(Name, s.host.Pace(), s.host.Resume, s.policy.Remotes(), s.decide, s.finish); err != nil {
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
	s.seen, err = host.NewReplayGuard("stamp\x00"+name, entries)
	if g := s.policy.Global(); g != nil {
		s.global = &limitservice.Service{Service: g.Service, Plugin: s.host.Plugin(), Log: Name + ": replay: onceGlobal"}
	}
	return err
}

func (s *state) tick(now time.Time, turn *wait.Turn) (next uint32) {
	next = s.keys.Tick(now, turn)
	return min(next, s.expire(now, turn))
}

// request decides a request.
func (s *state) request(stream uint32, empty bool) types.Action {
	headers, now := s.host.Headers(), guest.Now()
	if wanted := s.begin(headers, empty, now, false); wanted != nil {
		s.hold(stream).empty = empty
		if s.keys.Wait(stream, wanted, headers, now) {
			return types.ActionPause
		}
	}
	return s.finish(stream, headers)
}

// begin decides a request as far as its stamp's key; it returns the set that the request has to
// wait for. last: it has waited long enough.
func (s *state) begin(headers [][2]string, empty bool, now time.Time, last bool) (wanted *jwks.Remote) {
	d := s.decision
	if last {
		s.policy.DecideAfterWait(d, headers, empty, now)
	} else {
		s.policy.Decide(d, headers, empty, now)
	}
	if d.Step() == stamp.ReadPeer {
		// An error is what Envoy gives where there is no TLS or no certificate: none, then.
		uri, _ := proxywasm.GetProperty(peerURI)
		d.PeerRead(string(uri))
	}
	return d.KeysWanted()
}

// decide decides a request that has waited for keys.
func (s *state) decide(stream uint32, headers [][2]string, now time.Time, last bool) (wanted *jwks.Remote) {
	return s.begin(headers, s.hold(stream).empty, now, last)
}

// finish brings the current decision to its verdict and acts on it.
func (s *state) finish(stream uint32, headers [][2]string) types.Action {
	d := s.decision
	if d.Step() != stamp.Done && !s.advance(stream, d, headers) {
		return types.ActionPause
	}
	return s.conclude(stream, d, headers)
}

// conclude acts on a verdict.
func (s *state) conclude(stream uint32, d *stamp.Decision, headers [][2]string) types.Action {
	if len(s.held) > 0 {
		s.drop(stream) // what still comes of its body is not looked at
	}
	v := d.Verdict()
	if v.Code == stamp.StampTooLarge {
		s.logTooLarge(d)
	}
	if (v.Code != verdict.OK || !s.counters.Allowed(v.Rule)) &&
		!s.counters.Conclude(s.policy.RuleName(v.Rule), v, headers) {
		return types.ActionPause
	}
	if status, answer, body, ok := d.Publishes(); ok {
		if err := proxywasm.SendHttpResponse(uint32(status), answer, []byte(body), -1); err != nil {
			panic(err)
		}
		return types.ActionPause
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

// tooLargeInterval keeps a client whose stamps are too large from filling the log.
const tooLargeInterval = 10 * time.Second

//go:noinline
func (s *state) logTooLarge(d *stamp.Decision) {
	if now := guest.Now(); now.Sub(s.told) >= tooLargeInterval || now.Before(s.told) {
		s.told = now
		proxywasm.LogError(Name + ": " + stamp.StampTooLarge.Name + ": " + d.TooLarge())
	}
}

// advance does what the decision waits for. It reports false where that takes time: then the
// request is held, and taken up again when it has come.
func (s *state) advance(stream uint32, d *stamp.Decision, headers [][2]string) (decided bool) {
	for {
		switch d.Step() {
		case stamp.CheckSignature:
			d.SignatureChecked(host.VerifySignature(d.Signature()))
		case stamp.Sign:
			d.Signed(host.Sign(d.Signing()))
		case stamp.ReadIdentity:
			d.IdentityRead(s.host.Identity())
		case stamp.CheckReplay:
			d.ReplayChecked(s.seen.Admit(d.ReplayID()))
		case stamp.CheckGlobal:
			if s.ask(stream, d, headers) {
				return false
			}
		case stamp.ReadBody:
			if s.awaitBody(stream, d, headers) {
				return false
			}
		default:
			return true
		}
	}
}

var peerURI = []string{"connection", "uri_san_peer_certificate"}
