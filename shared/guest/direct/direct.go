// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package direct hands requests to a filter without the SDK's HTTP contexts. It exports
// proxy_on_context_create, proxy_on_request_headers, _body, _trailers and proxy_on_delete; plugin
// contexts are the SDK's as ever.
//
// The SDK makes an object for every stream and keeps it in maps: 10 µs of a request's CPU time
// (RATIONALE.md), for a filter that decides in the request headers and forgets. Here a stream is
// its number, and a filter that has to keep something of one does so itself.
package direct

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Handler is what a plugin context does about streams. It is functions: an interface would have the
// linker keep whatever its type reaches (RATIONALE.md).
type Handler struct {
	// Request decides a request by its headers; end: it has no body. types.ActionContinue lets it
	// go on; with any other action the handler has answered it, or calls Resume later.
	Request func(stream uint32, end bool) types.Action

	// Body tells of the body of a stream that waits: how many bytes of it the proxy holds by now
	// (-1: as many as before), and whether that is all. nil: the body waits as the stream does.
	Body func(stream uint32, size int, end bool) types.Action

	// End says that a stream is no more whose request was not simply let go on.
	End func(stream uint32)
}

type registration struct {
	plugin  uint32
	handler Handler
}

var registered []registration

// Handle has a handler take the streams of a plugin context; it takes the place of an earlier one.
// To be called by NewPluginContext, with the id that it is given.
func Handle(plugin uint32, h Handler) {
	if i := find(plugin); i >= 0 {
		registered[i].handler = h
	} else {
		registered = append(registered, registration{plugin, h})
	}
}

// Of is the handler of a plugin context, for whoever wants to put one of its own around it.
func Of(plugin uint32) Handler {
	if i := find(plugin); i >= 0 {
		return registered[i].handler
	}
	return Handler{}
}

// find returns where a plugin context is registered; -1 where it is not. There are few: as many as
// a VM has configurations.
func find(plugin uint32) int {
	for i := range registered {
		if registered[i].plugin == plugin {
			return i
		}
	}
	return -1
}

// stream is a request's number with the plugin context that it belongs to.
type stream struct{ id, plugin uint32 }

// created is the stream whose context was made last. Envoy makes a stream's context right before it
// passes the request's headers (Context::decodeHeaders in source/extensions/common/wasm/context.cc
// calls onCreate), so one is enough; headers of any other stream are refused. Contexts' ids are
// never 0.
var created stream

// paused are the streams whose requests were not simply let go on. There may be thousands, and they
// may all end at once.
var paused = map[uint32]*pausedStream{}

type pausedStream struct {
	body    func(stream uint32, size int, end bool) types.Action
	end     func(stream uint32)
	resumed bool
}

// request has the request of the stream that was created last decided.
func request(id uint32, end bool) types.Action {
	s := created
	created = stream{}
	if s.id != id {
		panic("request headers of an unknown stream")
	}
	i := find(s.plugin)
	if i < 0 {
		panic("a stream of an unknown plugin context")
	}
	handler := &registered[i].handler
	action := handler.Request(id, end)
	if action != types.ActionContinue {
		pause(id, handler)
	}
	return action
}

//go:noinline
func pause(id uint32, h *Handler) {
	paused[id] = &pausedStream{body: h.Body, end: h.End}
}

// Resume lets the request of a stream go on whose handler had it wait. The stream has to be the effective context.
func Resume(id uint32) error {
	if p := paused[id]; p != nil {
		p.resumed = true
	}
	return proxywasm.ResumeHttpRequest()
}

// body has the body, or the trailers, of a stream wait as the stream itself does. Where plugins are
// configured with allow_on_headers_stop_iteration, Envoy passes the body of a request whose headers
// wait, and would let the request go on if that were let go on.
func body(id uint32, size int, end bool) types.Action {
	p := paused[id]
	switch {
	case p == nil, p.resumed:
		return types.ActionContinue
	case p.body == nil:
		return types.ActionPause
	}
	action := p.body(id, size, end)
	p.resumed = p.resumed || action == types.ActionContinue
	return action
}

// OnEnd is told of the end of every stream and plugin context, before anybody else; nil: nobody wants to know.
var OnEnd func(context uint32)

// Followed is how many streams package response follows, and OnOver is told of the end of each
// stream while there are any.
var (
	Followed int
	OnOver   func(stream uint32)
)

// concerns reports whether the end of a context is anything to anybody.
func concerns(id uint32) bool { return len(paused) > 0 || Followed > 0 || find(id) >= 0 }

// end reports whether a context that has ended is a plugin's, which is then forgotten, or a
// stream's whose handler is to be told: for most there is nothing to do.
func end(id uint32) (plugin bool, tell func(stream uint32)) {
	if i := find(id); i >= 0 {
		registered = append(registered[:i:i], registered[i+1:]...)
		return true, nil
	}
	if p := paused[id]; p != nil {
		tell = p.end
		delete(paused, id)
	}
	return false, tell
}
