// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what a stream callback told the proxy to do.
type Action uint32

// The actions.
const (
	Continue Action = 0
	Pause    Action = 1
)

// Reply is an answer that the filter gave itself, or the proxy's 503 for a VM that trapped.
type Reply struct {
	Status     uint32
	Headers    [][2]string
	Body       string
	GRPCStatus int32 // -1: none
	Details    string
}

// Stream is one HTTP request on its way through the filter.
type Stream struct {
	Action  Action // of the last request callback
	Reply   *Reply // nil while the filter has not answered
	Resumed bool   // proxy_continue_stream was called for the request
	Reset   bool   // proxy_close_stream was called

	worker *Worker
	plugin *pluginContext
	id     uint32
	state  map[string][]byte // filter state

	// The maps and buffers as Envoy's Context has them: nil while there is nothing to see.
	request, requestTrailers   *headerMap
	response, responseTrailers *headerMap
	requestBody, responseBody  *[]byte

	sent *headerMap // the request's headers as they now are, for tests
}

// Request begins a stream of the worker's first plugin.
func (w *Worker) Request(headers [][2]string, endOfStream bool) *Stream {
	return w.RequestTo(0, headers, endOfStream)
}

// RequestTo begins a stream of one of the plugins. Where the VM has trapped, it is made anew first.
func (w *Worker) RequestTo(plugin int, headers [][2]string, endOfStream bool) *Stream {
	s := &Stream{worker: w, state: map[string][]byte{}}
	if w.dead && w.start() != nil {
		s.fail()
		return s
	}
	w.nextID++
	s.id, s.plugin = w.nextID, w.plugins[plugin]
	w.streams[s.id] = s
	w.call(s, "proxy_on_context_create", uint64(s.id), uint64(s.plugin.id))
	if s.Reply != nil {
		return s
	}
	s.request = &headerMap{pairs: lower(headers)}
	s.sent = s.request
	s.Action = Action(w.call(s, "proxy_on_request_headers", uint64(s.id), uint64(len(headers)), flag(endOfStream)))
	if s.Action == Continue {
		s.request = nil // Context::decodeHeaders forgets them: later reads fail
	}
	return s
}

// Body hands the filter a part of the request's body and returns what is left of it.
func (s *Stream) Body(data string, endOfStream bool) string {
	if s.ended() {
		return ""
	}
	b := []byte(data)
	s.requestBody = &b
	s.Action = Action(s.worker.call(s, "proxy_on_request_body", uint64(s.id), uint64(len(b)), flag(endOfStream)))
	if s.Action == Continue {
		s.requestBody = nil
	}
	return string(b)
}

// Trailers hands the filter the request's trailers.
func (s *Stream) Trailers(trailers [][2]string) {
	if s.ended() {
		return
	}
	s.requestTrailers = &headerMap{pairs: lower(trailers)}
	s.Action = Action(s.worker.call(s, "proxy_on_request_trailers", uint64(s.id), uint64(len(trailers))))
}

// Respond hands the filter a response and returns its headers and body as the filter left them.
func (s *Stream) Respond(headers [][2]string, body string, trailers [][2]string) ([][2]string, string) {
	if s.worker.dead {
		return nil, ""
	}
	headers = s.RespondHeaders(headers, body == "" && trailers == nil)
	if body != "" {
		body = s.RespondBody(body, trailers == nil)
	}
	if trailers != nil {
		s.responseTrailers = &headerMap{pairs: lower(trailers)}
		s.worker.call(s, "proxy_on_response_trailers", uint64(s.id), uint64(len(trailers)))
		s.responseTrailers = nil
	}
	return headers, body
}

// RespondHeaders hands the filter the headers of a response, whose body RespondBody brings unless
// that is all, and returns them as the filter left them.
func (s *Stream) RespondHeaders(headers [][2]string, endOfStream bool) [][2]string {
	if s.worker.dead {
		return nil
	}
	m := &headerMap{pairs: lower(headers)}
	s.response = m
	s.worker.call(s, "proxy_on_response_headers", uint64(s.id), uint64(len(headers)), flag(endOfStream))
	s.response = nil
	return m.pairs
}

// RespondBody hands the filter the next part of a response's body, and returns it as the filter left it.
func (s *Stream) RespondBody(part string, endOfStream bool) string {
	if s.worker.dead {
		return ""
	}
	b := []byte(part)
	s.responseBody = &b
	s.worker.call(s, "proxy_on_response_body", uint64(s.id), uint64(len(b)), flag(endOfStream))
	s.responseBody = nil
	return string(b)
}

// Close ends the stream: the module's context for it is deleted.
func (s *Stream) Close() {
	w := s.worker
	if w.streams[s.id] != s {
		return
	}
	s.request = s.sent // Context::log shows the headers to proxy_on_log
	w.call(s, "proxy_on_log", uint64(s.id))
	s.request = nil
	w.call(s, "proxy_on_done", uint64(s.id))
	w.call(s, "proxy_on_delete", uint64(s.id))
	delete(w.streams, s.id)
}

// RequestHeaders are the request's headers as the filter has left them.
func (s *Stream) RequestHeaders() [][2]string {
	if s.sent == nil {
		return nil
	}
	return slices.Clone(s.sent.pairs)
}

// Outcome is what has become of the request so far: "ok" where it goes on, "waits", or the last
// part of its refusal's details, which is the code. Anything else, such as an answer after which
// the request would go on, is told as it is.
func (s *Stream) Outcome() string {
	switch {
	case s.Reply == nil && (s.Action == Continue || s.Resumed):
		return "ok"
	case s.Reply == nil && s.Action == Pause:
		return "waits"
	case s.Reply != nil && s.Action == Pause:
		return s.Reply.Details[strings.LastIndexByte(s.Reply.Details, '.')+1:]
	}
	return fmt.Sprintf("action %d, resumed %v, reply %+v", s.Action, s.Resumed, s.Reply)
}

// FilterState is what the filter has stored under that key ("wasm.tollgate.identity").
func (s *Stream) FilterState(key string) (string, bool) {
	value, ok := s.state[key]
	return string(value), ok
}

func (s *Stream) ended() bool { return s.Reply != nil || s.Reset || s.worker.dead }

// fail is what becomes of a stream whose VM has trapped: 503, whatever the filter had in mind.
func (s *Stream) fail() {
	if s.Reply == nil {
		s.Reply = &Reply{Status: 503, GRPCStatus: -1, Details: "wasm_fail_stream"}
		s.Action = Pause
	}
}

// reply is sendLocalReply: it ends the stream, and the response callbacks of the filter run all the same.
func (s *Stream) reply(r *Reply) {
	if s.Reply != nil {
		return // Envoy ignores a second one
	}
	s.Reply = r
	s.request, s.requestBody, s.requestTrailers = nil, nil, nil
	s.response = &headerMap{pairs: append([][2]string{{":status", digits(r.Status)}}, lower(r.Headers)...)}
	s.worker.call(s, "proxy_on_response_headers", uint64(s.id), uint64(len(s.response.pairs)), flag(r.Body == ""))
	s.response = nil
	if !s.worker.proxy.options.Lingers {
		s.Close()
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
