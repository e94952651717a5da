// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/base64"
	"hash"
	"slices"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/sha2"
)

// held is a request that waits: for keys, for its body, or for what other proxies have seen.
type held struct {
	decision *stamp.Decision // nil while it waits for keys, and is decided anew
	headers  [][2]string     // copies

	sum      hash.Hash // of the body so far; nil before its first byte
	size     int       // of what sum has
	told     bool      // something of the body has come
	ended    bool      // all of it
	tooBig   bool
	deadline time.Time // for the body; zero: none
}

// hold returns what is kept of a stream.
func (s *state) hold(stream uint32) *held {
	h := s.held[stream]
	if h == nil {
		h = &held{}
		s.held[stream] = h
	}
	return h
}

// keep holds the current request with its decision, which may be in the proxy's memory so far; nil: there is no room.
func (s *state) keep(stream uint32, d *stamp.Decision, headers [][2]string) *held {
	h := s.hold(stream)
	if h.decision == nil {
		copies, ok := s.room.Enter(headers)
		if !ok {
			return nil
		}
		h.headers = copies
		d.Keep(h.headers)
		h.decision = d
		if s.decision == d {
			s.decision = &stamp.Decision{}
		}
	}
	return h
}

// drop forgets what is held of a stream.
func (s *state) drop(stream uint32) {
	if h := s.held[stream]; h != nil {
		if h.headers != nil {
			s.room.Leave(h.headers)
		}
		delete(s.held, stream)
	}
}

func (s *state) end(stream uint32) {
	s.keys.Forget(stream)
	s.drop(stream)
}

// awaitBody gives the decision the body, or reports true: it has not come yet.
func (s *state) awaitBody(stream uint32, d *stamp.Decision, headers [][2]string) (waits bool) {
	h := s.keep(stream, d, headers)
	switch {
	case h == nil:
		d.BodyUnheld()
	case h.tooBig:
		d.BodyTooBig()
	case h.ended && h.sum == nil:
		d.BodyRead(base64.RawURLEncoding.EncodeToString(sha2.New256().Sum(nil)))
	case h.ended:
		d.BodyRead(base64.RawURLEncoding.EncodeToString(h.sum.Sum(nil)))
	default:
		if h.deadline.IsZero() {
			s.expect(stream, h)
		}
		return true
	}
	return false
}

// expect notes until when a body has to be there.
func (s *state) expect(stream uint32, h *held) {
	if len(s.bodies) >= 2*wait.MaxHeld { // half of them have ended
		s.bodies = slices.DeleteFunc(s.bodies, func(stream uint32) bool { return !s.held[stream].awaitsBody() })
	}
	h.deadline = guest.Now().Add(s.policy.BodyTimeout())
	s.bodies = append(s.bodies, stream)
	s.host.Pace().AtLeast(wait.Busy)
}

// awaitsBody reports whether it waits for the end of its body, and for nothing else.
func (h *held) awaitsBody() bool {
	return h != nil && h.decision != nil && h.decision.Step() == decide.ReadBody
}

// chunk is how much of a body is copied into the VM at a time.
const chunk = 64 << 10

// body takes in what has come of a held request's body. Envoy calls it with all that it holds so
// far, and only where the plugin has allow_on_headers_stop_iteration. early: an earlier step has
// the request waiting, and it may come here yet.
func (s *state) body(stream uint32, size int, end, early bool) types.Action {
	h := s.held[stream]
	if h == nil && early && s.policy.MayBindBody() {
		h = s.hold(stream)
	}
	if h == nil {
		return types.ActionPause // it has been answered
	}
	h.told, h.ended = true, end
	if size > s.policy.BodyBytes() {
		h.tooBig = true
	}
	for h.size < size && !h.tooBig {
		part, err := proxywasm.GetHttpRequestBody(h.size, min(chunk, size-h.size))
		if err != nil {
			panic(err)
		}
		if h.sum == nil {
			h.sum = sha2.New256()
		}
		h.sum.Write(part)
		h.size += len(part)
	}
	if !h.awaitsBody() || !h.ended && !h.tooBig {
		return types.ActionPause
	}
	return s.goOn(stream, h.decision, h.headers)
}

// expire refuses the requests whose bodies have taken too long, as many as the turn has room for.
// It returns how soon, in milliseconds, the next tick has to come.
func (s *state) expire(now time.Time, turn *wait.Turn) (next uint32) {
	for len(s.bodies) > 0 {
		stream := s.bodies[0]
		h := s.held[stream]
		switch {
		case !h.awaitsBody():
		case now.Before(h.deadline.Add(-wait.Lead(s.policy.BodyTimeout(), len(s.bodies)-1))):
			return wait.Busy // the others have no earlier deadline
		case !turn.Next():
			return wait.AtOnce
		default:
			s.late(stream, h)
		}
		s.bodies = s.bodies[1:]
	}
	s.bodies = nil
	return wait.Calm
}

// late refuses a request whose body has taken too long.
func (s *state) late(stream uint32, h *held) {
	if !h.told {
		s.deaf.Error(Name + ": nothing has come of a body that is bound: does the plugin's configuration have " +
			"allow_on_headers_stop_iteration: true?")
	}
	s.host.Resume(stream, func() types.Action {
		h.decision.BodyLate()
		return s.goOn(stream, h.decision, h.headers)
	})
}
