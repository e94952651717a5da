// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package probetest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

func start(t *testing.T, configuration string) (*wasmhost.Proxy, *wasmhost.Worker) {
	t.Helper()
	module, err := wasmhost.LoadFile(Build(t, "shared/guest/probe"))
	if err != nil {
		t.Fatal(err)
	}
	p := wasmhost.NewProxy(module, wasmhost.Options{Clusters: []string{"upstream"}})
	w, err := p.Worker(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return p, w
}

func order(name string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":authority", "probe"}, {":path", "/probe?q=1"}, {"x-probe", name}},
		headers...)
}

func TestCasesInWasmhost(t *testing.T) {
	p, w := start(t, "probe configuration")
	for _, c := range Cases {
		t.Run(c.Order, func(t *testing.T) {
			s := w.Request(order(c.Order, c.Headers...), true)
			defer s.Close()
			if s.Reply == nil || s.Reply.Status != 200 || s.Reply.Body != c.Want {
				t.Fatalf("got  %+v\nwant %s", s.Reply, c.Want)
			}
			for _, want := range c.Log {
				if !strings.Contains(p.LogText(), want) {
					t.Errorf("the log has no %.40q…", want)
				}
			}
		})
	}
}

// W1: the answers of one callback run inside one another.
func TestCrowdsInWasmhost(t *testing.T) {
	for _, c := range Crowds {
		p, w := start(t, "x")
		var held []*wasmhost.Stream
		for range c.Streams {
			held = append(held, w.Request(order("hold"), true))
		}
		w.Request(order("release"), true)
		answered := 0
		for _, s := range held {
			if s.Reply != nil && s.Reply.Status == 200 {
				answered++
			}
		}
		if trapped := strings.Contains(p.LogText(), "Maximum call stack size exceeded"); trapped != c.Traps ||
			!trapped && answered != c.Streams {
			t.Errorf("of %d streams %d were answered; trapped: %v", c.Streams, answered, trapped)
		}
	}
}

func TestReplyInWasmhost(t *testing.T) {
	_, w := start(t, "x")
	got := w.Request(order("reply"), true).Reply
	want := &wasmhost.Reply{Status: 418, Headers: [][2]string{{"x-a", "1"}, {"X-A", "2"}, {"x-empty", ""}},
		Body: "body \x00 \xff", GRPCStatus: -1, Details: "probe{details}"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := w.Request(order("reply-grpc"), true).Reply; got.GRPCStatus != 7 || got.Details != "" {
		t.Errorf("got  %+v, want grpc-status 7 and no details of an earlier reply", got)
	}
}

func TestStreamsInWasmhost(t *testing.T) {
	_, w := start(t, "x")
	s := w.Request(order("body"), false)
	if s.Body("0123", false); s.Action != wasmhost.Pause {
		t.Error("the filter does not wait for the rest of the body")
	}
	if got := s.Body("0123456", true); got != "before|replaced \x00|after 7 \"234\" \"6\" error error status "+
		"returned by host: not found" {
		t.Errorf("the body is %q", got)
	}
	s.Close()

	s = w.Request(order("trailers"), false)
	if s.Trailers([][2]string{{"x-trailer", "t"}}); s.Reply == nil || s.Reply.Body != `1 "t"` {
		t.Errorf("trailers: %+v", s.Reply)
	}
	s.Close()

	s = w.Request(order("response"), true)
	headers, body := s.Respond([][2]string{{":status", "201"}, {"content-length", "2"}}, "ab", nil)
	want := [][2]string{{":status", "201"}, {"x-code", `"201"`},
		{"x-request-still-there", "error error status returned by host: bad argument"}}
	if !reflect.DeepEqual(headers, want) || body != "[ab]" {
		t.Errorf("response: %v %q", headers, body)
	}
	s.Close()

	if s = w.Request(order("counts"), true); s.Reply.Body != "4 headers, end of stream true" {
		t.Error(s.Reply.Body)
	}
	s.Close()
	if s = w.Request(order("counts"), false); s.Reply.Body != "4 headers, end of stream false" {
		t.Error(s.Reply.Body)
	}
	s.Close()
}

func TestCallsInWasmhost(t *testing.T) {
	p, w := start(t, "x")
	s := w.Request(order("call"), true)
	calls := p.Calls()
	if len(calls) != 1 || s.Action != wasmhost.Pause || s.Reply != nil {
		t.Fatalf("%d calls, %+v", len(calls), s)
	}
	c := calls[0]
	if c.Cluster != "upstream" || string(c.Body) != "body of the call" || c.Timeout.Seconds() != 5 ||
		!reflect.DeepEqual(c.Headers, [][2]string{{":method", "POST"}, {":path", "/called"}, {":authority", "callee"},
			{"x-bin", "€"}}) {
		t.Errorf("%+v", c)
	}
	c.Answer([][2]string{{":status", "200"}, {"x", "y"}}, []byte("0123456789"), [][2]string{{"t", "1"}})
	if s.Reply == nil || s.Reply.Body != `:status: 200, body of 10 "01234567", 1 trailers ok` {
		t.Errorf("%+v", s.Reply)
	}
	s.Close()

	s = w.Request(order("call-fails"), true)
	p.Calls()[0].Fail()
	if s.Reply == nil || s.Reply.Body != `no headers, body of 0 error error status returned by host: not found, 0 trailers error unknown` && !strings.HasPrefix(s.Reply.Body, "no headers, body of 0 error") {
		t.Errorf("%+v", s.Reply)
	}
	s.Close()

	s = w.Request(order("resume"), true)
	if p.Calls()[0].Answer([][2]string{{":status", "200"}}, nil, nil); !s.Resumed || s.Reply != nil {
		t.Errorf("%+v", s)
	}
	s.Close()

	// R14 W18: an answer that comes after its stream has ended disturbs nobody.
	s = w.Request(order("call"), true)
	late := p.Calls()[0]
	s.Close()
	late.Answer([][2]string{{":status", "200"}}, nil, nil)
	if s := w.Request(order("served"), true); s.Reply.Body != "5" || p.VMs() != 1 {
		t.Errorf("%+v, %d VMs", s.Reply, p.VMs())
	}
}

func TestTicksInWasmhost(t *testing.T) {
	_, w := start(t, "tick")
	if w.TickPeriods()[0] != 20 {
		t.Fatalf("the period is %v", w.TickPeriods())
	}
	w.Tick()
	if s := w.Request(order("ticked"), true); s.Reply.Body != "yes" {
		t.Error(s.Reply.Body)
	}
}

// A panic is a refusal of that request, in whichever callback, and the VM lives on with all it knows.
func TestPanicsInWasmhost(t *testing.T) {
	const counter = "tollgate.probe.rule.-.outcome.error.code.internal"
	for _, where := range []string{"request_headers", "request_body", "request_trailers", "response_headers",
		"response_body", "log", "http_call_response", "create"} {
		t.Run(where, func(t *testing.T) {
			p, w := start(t, "x")
			name := "panic"
			switch where {
			case "http_call_response":
				name = "call"
			case "create":
				w.Request(order("panic-next-create"), true).Close()
			}
			s := w.Request(order(name, [2]string{"x-where", where}), false)
			switch where {
			case "request_body":
				s.Body("x", true)
			case "request_trailers":
				s.Trailers([][2]string{{"a", "b"}})
			case "response_headers", "response_body":
				s.Respond([][2]string{{":status", "200"}}, "x", nil)
			case "http_call_response":
				p.Calls()[0].Answer([][2]string{{":status", "200"}}, nil, nil)
			case "log":
				s.Close()
			}
			refused := s.Reply != nil && s.Reply.Status == 500 && strings.Contains(s.Reply.Body, `"code":"internal"`)
			if refused == (where == "log") {
				t.Errorf("reply %+v", s.Reply)
			}
			s.Close()
			if n := p.Counters()[counter]; n == 0 {
				t.Error("the fault was not counted")
			}
			if s := w.Request(order("pairs"), true); s.Reply == nil || s.Reply.Status != 200 || p.VMs() != 1 {
				t.Errorf("the next request: %+v, by VM %d", s.Reply, p.VMs())
			}
			if strings.Contains(p.LogText(), "in "+where) {
				t.Error("the log has what was panicked with, which may hold anything")
			}
		})
	}
	t.Run("tick", func(t *testing.T) {
		p, w := start(t, "tick-panic")
		w.Tick()
		if s := w.Request(order("served"), true); s.Reply.Body != "1" || p.Counters()[counter] != 1 || p.VMs() != 1 {
			t.Errorf("%+v, %v", s.Reply, p.Counters())
		}
	})
}

func TestConfigurationsInWasmhost(t *testing.T) {
	module, err := wasmhost.LoadFile(Build(t, "shared/guest/probe"))
	if err != nil {
		t.Fatal(err)
	}
	for _, configuration := range []string{"panic", "refuse", ""} {
		if _, err := wasmhost.NewProxy(module, wasmhost.Options{}).Worker(configuration); err == nil {
			t.Errorf("the configuration %q is taken", configuration)
		}
	}
}

// A VM that traps answers 503, and the next request has a new one.
func TestTrapsInWasmhost(t *testing.T) {
	for _, name := range []string{"trap", "out-of-memory"} {
		p, w := start(t, "x")
		waiting := w.Request(order("call"), true)
		if s := w.Request(order(name), true); s.Reply == nil || s.Reply.Status != 503 {
			t.Errorf("%s: %+v", name, s.Reply)
		}
		if waiting.Reply == nil || waiting.Reply.Status != 503 {
			t.Errorf("%s: a stream that waited goes on: %+v", name, waiting.Reply)
		}
		if s := w.Request(order("served"), true); s.Reply == nil || s.Reply.Body != "1" || p.VMs() != 2 {
			t.Errorf("%s: the next request: %+v, by VM %d", name, s.Reply, p.VMs())
		}
	}
}

func TestForeignFunctionsInWasmhost(t *testing.T) {
	_, w := start(t, "x")
	for _, c := range Verifications(t) {
		if s := w.Request(order("verify", c.Argument), true); s.Reply.Body != c.Want {
			t.Errorf("%s: %s, want %s", c.Name, s.Reply.Body, c.Want)
		}
	}
	call, verify := Signing(t)
	if s := w.Request(order("sign", call), true); !verify(s.Reply.Body) {
		t.Errorf("the signature is not good: %s", s.Reply.Body)
	}
}
