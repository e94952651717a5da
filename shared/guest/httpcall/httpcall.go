// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package httpcall makes HTTP calls through the proxy's clusters. Import it, and the module exports
// proxy_on_http_call_response.
//
// The SDK keeps such calls with the context that is current, and package direct makes no contexts
// for streams: so the table of open calls stands here. An answer to a call that the table has not
// is passed over.
package httpcall

import "errors"

// Answer tells how much of an answer there is: read it with the SDK's GetHttpCallResponse…
// functions before the callback ends. No headers: none has come, or not in time.
type Answer struct{ Headers, Body, Trailers int }

// ErrCall means that the proxy does not make the call: most often it knows no such cluster.
var ErrCall = errors.New("the proxy refuses to make an HTTP call")

// Others takes the answers to calls that were not made by Send; nil: nobody does.
var Others func(context, call uint32, answer Answer)

// open are the calls without an answer so far, by their numbers: one for each request that waits for a service.
var open = map[uint32]func(Answer){}

// take removes a call from the table; nil: it is not there.
func take(id uint32) func(Answer) {
	done := open[id]
	delete(open, id)
	return done
}
