// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// global asks the rate-limit service which stamps other proxies have seen.
type global struct {
	*stamp.Global
	plugin uint32
	logged time.Time // when it last said what is wrong
}

// logInterval keeps a service that is down from filling the log.
const logInterval = 10 * time.Second

// ask asks whether any proxy has seen the stamp, or reports false: that cannot be asked, and has been decided.
func (s *state) ask(stream uint32, d *stamp.Decision, headers [][2]string) (waits bool) {
	g := s.global
	request, err := d.Asks()
	if err == nil {
		body := ratelimit.AppendRequest(nil, request)
		err = httpcall.Send(g.plugin, stream, g.Cluster, ratelimit.AppendHeaders(nil, g.Authority, g.Timeout), body, g.Timeout, func(a httpcall.Answer) { s.answered(stream, a) })
	}
	if err != nil {
		g.complain(err)
		d.GlobalChecked(ratelimit.Response{}, err)
		return false
	}
	s.keep(stream, d, headers)
	return true
}

// answered takes the service's answer for a request that waits for it.
func (s *state) answered(stream uint32, a httpcall.Answer) {
	response, err := readAnswer(a)
	wait.Resume(Name, stream, func() types.Action {
		h := s.held[stream]
		if h == nil || h.decision == nil || h.decision.Step() != stamp.CheckGlobal {
			return types.ActionPause
		}
		if err = h.decision.GlobalChecked(response, err); err != nil {
			s.global.complain(err)
		}
		return s.goOn(stream, h)
	})
}

// readAnswer reads what the current callback brings.
func readAnswer(a httpcall.Answer) (r ratelimit.Response, err error) {
	if a.Headers == 0 {
		return r, stamp.ErrNoAnswer
	}
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return r, err
	}
	var trailers [][2]string
	if a.Trailers > 0 {
		if trailers, err = proxywasm.GetHttpCallResponseTrailers(); err != nil {
			return r, err
		}
	}
	var body []byte
	if a.Body > 0 {
		if body, err = proxywasm.GetHttpCallResponseBody(0, a.Body); err != nil {
			return r, err
		}
	}
	return ratelimit.ParseResponse(body, headers, trailers)
}

func (g *global) complain(err error) {
	if now := guest.Now(); now.Sub(g.logged) >= logInterval {
		g.logged = now
		proxywasm.LogError(Name + ": replay: onceGlobal: cluster " + g.Cluster + ": " + err.Error())
	}
}
