// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// ask asks whether any proxy has seen the stamp, or reports false: that cannot be asked, and has been decided.
func (s *state) ask(stream uint32, d *stamp.Decision, headers [][2]string) (waits bool) {
	request, err := d.Asks()
	if err == nil && s.keep(stream, d, headers) == nil {
		err = wait.ErrNoRoom
	}
	if err == nil {
		err = s.global.Ask(stream, request, func(r ratelimit.Response, err error) { s.answered(stream, r, err) })
	}
	if err != nil {
		s.global.Complain(err)
		d.Answered(ratelimit.Response{}, err)
		return false
	}
	return true
}

// answered takes the service's answer for a request that waits for it.
func (s *state) answered(stream uint32, r ratelimit.Response, err error) {
	s.host.Resume(stream, func() types.Action {
		h := s.held[stream]
		if h == nil || h.decision == nil || h.decision.Step() != decide.AskService {
			return types.ActionPause
		}
		if err = h.decision.Answered(r, err); err != nil {
			s.global.Complain(err)
		}
		return s.goOn(stream, h.decision, h.headers)
	})
}
