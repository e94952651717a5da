// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package limitservice asks Envoy's rate-limit service, by a gRPC call through one of the proxy's clusters.
package limitservice

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// Service is one that a plugin asks.
type Service struct {
	ratelimit.Service
	Plugin uint32 // whose calls they are
	Log    string // what its log lines begin with: the filter's name and the part of its configuration

	wrong host.Seldom
}

// Ask sends a request for a stream; done is called with what has come of it, in a callback whose
// context is none of a stream's. An error means that nothing has been sent.
func (s *Service) Ask(stream uint32, r *ratelimit.Request, done func(ratelimit.Response, error)) error {
	return httpcall.Send(s.Plugin, stream, s.Cluster, ratelimit.AppendHeaders(nil, s.Authority, s.Timeout),
		ratelimit.AppendRequest(nil, r), s.Timeout,
		func(a httpcall.Answer) { done(read(a)) })
}

// read reads what the current callback brings.
func read(a httpcall.Answer) (r ratelimit.Response, err error) {
	if a.Headers == 0 {
		return r, ratelimit.ErrNoAnswer
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

// Complain logs that the service does not tell, and why.
func (s *Service) Complain(err error) {
	s.wrong.Error(s.Log + ": cluster " + s.Cluster + ": " + err.Error())
}
