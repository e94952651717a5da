// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
)

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	order  string // of the header x-probe
	where  string // of the header x-where: the callback in which to panic
}

// answer replies 200 with text as the body.
func answer(text string) types.Action {
	if err := proxywasm.SendHttpResponse(200, nil, []byte(text), -1); err != nil {
		panic(err)
	}
	return types.ActionPause
}

// result writes a value, or the error in its place.
func result(value string, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return strconv.Quote(value)
}

func status(err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return "ok"
}

func (s *stream) OnHttpRequestHeaders(count int, endOfStream bool) types.Action {
	order, err := proxywasm.GetHttpRequestHeader("x-probe")
	if err != nil {
		return types.ActionContinue
	}
	s.order = string(append([]byte(nil), order...)) // outlives this callback
	if where, err := proxywasm.GetHttpRequestHeader("x-where"); err == nil {
		s.where = string(append([]byte(nil), where...))
	}
	s.panicIn("request_headers")
	switch s.order {
	case "panic", "trailers", "response":
		return types.ActionContinue
	case "body":
		// Its length changes; Envoy would cut the new one to the old length.
		if err := proxywasm.RemoveHttpRequestHeader("content-length"); err != nil {
			panic(err)
		}
		return types.ActionContinue
	case "counts":
		return answer(strconv.Itoa(count) + " headers, end of stream " + strconv.FormatBool(endOfStream))
	case "call", "call-fails", "resume", "call-panic":
		return s.call()
	case "reply":
		guest.SetReplyDetails("probe{details}")
		body := []byte("body \x00 \xff")
		if err := proxywasm.SendHttpResponse(418, [][2]string{{"x-a", "1"}, {"X-A", "2"}, {"x-empty", ""}}, body,
			-1); err != nil {
			panic(err)
		}
		return types.ActionPause
	case "reply-grpc":
		if err := proxywasm.SendHttpResponse(403, [][2]string{{"x-a", "1"}}, []byte("why not"), 7); err != nil {
			panic(err)
		}
		return types.ActionPause
	case "hold":
		s.plugin.held = append(s.plugin.held, s.id)
		return types.ActionPause
	case "release":
		return answer(s.release())
	case "trap":
		panic(trap{})
	case "garbage":
		return answer(strconv.Itoa(garbage()))
	case "out-of-memory":
		// Go gives up with a throw, which no recover catches.
		return answer(strconv.Itoa(len(make([]byte, 3<<30))))
	}
	if order, ok := orders[s.order]; ok {
		return answer(order(s))
	}
	return answer("the probe knows no order " + strconv.Quote(s.order))
}

// release answers all streams that hold has kept waiting, in one callback.
func (s *stream) release() string {
	for _, id := range s.plugin.held {
		if err := proxywasm.SetEffectiveContext(id); err != nil {
			return status(err)
		}
		answer("released")
	}
	n := len(s.plugin.held)
	s.plugin.held = nil
	if err := proxywasm.SetEffectiveContext(s.id); err != nil {
		return status(err)
	}
	return strconv.Itoa(n)
}

func (s *stream) panicIn(callback string) {
	switch s.where {
	case callback:
		panic("in " + callback)
	case "trap_" + callback:
		panic(trap{})
	}
}

// OnHttpRequestBody changes the body in each way that the SDK has, once all of it is there.
func (s *stream) OnHttpRequestBody(size int, endOfStream bool) types.Action {
	s.panicIn("request_body")
	if s.order != "body" {
		return types.ActionContinue
	}
	if !endOfStream {
		return types.ActionPause
	}
	part, err := proxywasm.GetHttpRequestBody(2, 3)
	told := strconv.Itoa(size) + " " + result(string(part), err)
	over, err := proxywasm.GetHttpRequestBody(size-1, 100)
	told += " " + result(string(over), err)
	_, err = proxywasm.GetHttpRequestBody(size, 1)
	told += " " + status(err)
	for _, err := range []error{
		proxywasm.ReplaceHttpRequestBody([]byte("|replaced \x00|")), proxywasm.PrependHttpRequestBody([]byte("before")),
		proxywasm.AppendHttpRequestBody([]byte("after " + told)),
	} {
		if err != nil {
			panic(err)
		}
	}
	return types.ActionContinue
}

func (s *stream) OnHttpRequestTrailers(count int) types.Action {
	s.panicIn("request_trailers")
	if s.order == "trailers" {
		value, err := proxywasm.GetHttpRequestTrailer("x-trailer")
		return answer(strconv.Itoa(count) + " " + result(value, err))
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(count int, _ bool) types.Action {
	s.panicIn("response_headers")
	if s.order != "response" {
		return types.ActionContinue
	}
	code, err := proxywasm.GetHttpResponseHeader(":status")
	_, requestErr := proxywasm.GetHttpRequestHeader("x-probe")
	for _, err := range []error{
		proxywasm.RemoveHttpResponseHeader("content-length"),
		proxywasm.AddHttpResponseHeader("x-code", result(code, err)),
		proxywasm.AddHttpResponseHeader("x-request-still-there", status(requestErr)),
	} {
		if err != nil {
			panic(err)
		}
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(size int, endOfStream bool) types.Action {
	s.panicIn("response_body")
	if s.order != "response" {
		return types.ActionContinue
	}
	if !endOfStream {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpResponseBody(0, size)
	if err != nil {
		panic(err)
	}
	if err := proxywasm.ReplaceHttpResponseBody([]byte("[" + string(body) + "]")); err != nil {
		panic(err)
	}
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() { s.panicIn("log") }

// call makes an HTTP call and lets the stream wait for its answer.
func (s *stream) call() types.Action {
	path := "/called"
	if s.order == "call-fails" {
		path = "/close"
	}
	headers := [][2]string{{":method", "POST"}, {":path", path}, {":authority", "callee"}, {"x-bin", "\xe2\x82\xac"}}
	_, err := proxywasm.DispatchHttpCall("upstream", headers, []byte("body of the call"), nil, 5000,
		func(numHeaders, bodySize, numTrailers int) {
			s.panicIn("http_call_response")
			if s.order == "resume" {
				if err := proxywasm.ResumeHttpRequest(); err != nil {
					panic(err)
				}
				return
			}
			told := "no headers"
			if numHeaders > 0 {
				headers, err := proxywasm.GetHttpCallResponseHeaders()
				if err != nil || len(headers) != numHeaders {
					panic("the headers of the answer")
				}
				told = headers[0][0] + ": " + headers[0][1]
			}
			part, err := proxywasm.GetHttpCallResponseBody(0, 8)
			_, trailersErr := proxywasm.GetHttpCallResponseTrailers()
			answer(told + ", body of " + strconv.Itoa(bodySize) + " " + result(string(part), err) + ", " +
				strconv.Itoa(numTrailers) + " trailers " + status(trailersErr))
		})
	if err != nil {
		return answer(status(err))
	}
	return types.ActionPause
}

// kept makes garbage of what an earlier request has left, so that the collector has something to mark.
var kept [][]byte

// garbage leaves a megabyte behind, in pieces of every size that the collector treats differently.
func garbage() (total int) {
	var pieces [][]byte
	for size := 16; total < 1<<20; size = size*3/2 + 1 {
		if size > 1<<16 {
			size = 16
		}
		pieces = append(pieces, make([]byte, size))
		total += size
	}
	kept = append(kept, pieces[len(pieces)-1])
	if len(kept) > 64 {
		kept = kept[:0:0]
	}
	return len(pieces)
}
