// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

func start(t *testing.T, version, configuration string) (*harness.Envoy, *harness.Upstream) {
	t.Helper()
	up := harness.StartUpstream(t)
	filter := bootstrap.Wasm{Name: "probe", Module: probetest.Build(t, "shared/guest/probe"),
		Configuration: configuration}.Filter()
	return harness.Start(t, harness.Config{Version: version, Upstream: up.Port(), Filters: []bootstrap.M{filter}}), up
}

func order(name string, headers ...[2]string) string {
	return harness.Request("GET", "/probe?q=1", append([][2]string{{"x-probe", name}}, headers...)...)
}

// get sends an order and wants an answer with that body.
func get(t *testing.T, envoy *harness.Envoy, want, name string, headers ...[2]string) {
	t.Helper()
	if answer := harness.HTTP1(t, envoy.Main(), order(name, headers...)); answer.Status() != 200 || answer.Body != want {
		t.Errorf("%s: %s\ngot  %s\nwant %s", name, answer.Start, answer.Body, want)
	}
}

func TestCases(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "probe configuration")
		for _, c := range probetest.Cases {
			t.Run(c.Order, func(t *testing.T) {
				get(t, envoy, c.Want, c.Order, c.Headers...)
				for _, text := range c.Log {
					envoy.WaitLog(text)
				}
			})
		}
		counters, err := envoy.Counters()
		if err != nil || counters["wasmcustom.probe.counter"] != 1<<40 {
			t.Errorf("the counter in Envoy is %d, %v", counters["wasmcustom.probe.counter"], err)
		}
	})
}

// W16: a reply that the filter gives is the one that the client sees, and nothing goes on behind it.
func TestReply(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, up := start(t, version, "x")
		answer := harness.HTTP1(t, envoy.Main(), order("reply"))
		if answer.Status() != 418 || answer.Body != "body \x00 \xff" ||
			!slices.Equal(answer.Values("x-a"), []string{"1", "2"}) || len(answer.Values("x-empty")) != 1 {
			t.Errorf("%+v", answer)
		}
		rpc := harness.GRPC(t, envoy.Main(), "/a/b", [2]string{"x-probe", "reply-grpc"})
		if rpc.Status() != 200 || rpc.Header("grpc-status") != "7" || rpc.Header("grpc-message") != "why not" ||
			rpc.Header("x-a") != "1" {
			t.Errorf("%+v", rpc)
		}
		if n := len(up.Take()); n != 0 {
			t.Errorf("%d requests reached the upstream", n)
		}
	})
}

func TestStreams(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, up := start(t, version, "x")
		harness.HTTP1(t, envoy.Main(), "POST / HTTP/1.1\r\nHost: a\r\nx-probe: body\r\nContent-Length: 7\r\n\r\n0123456")
		got := up.Take()
		if want := "before|replaced \x00|after 7 \"234\" \"6\" error error status returned by host: not found"; len(
			got) != 1 || got[0].Body != want {
			t.Errorf("the upstream has %d requests, the first with the body %q", len(got), got[0].Body)
		}
		answer := harness.HTTP1(t, envoy.Main(), order("response"))
		if answer.Body != "[answered by the upstream\n]" || answer.Header("x-code") != `"200"` ||
			!strings.HasPrefix(answer.Header("x-request-still-there"), "error") {
			t.Errorf("%+v", answer)
		}
		answer = harness.HTTP1(t, envoy.Main(), "POST / HTTP/1.1\r\nHost: a\r\nx-probe: counts\r\nContent-Length: 1\r\n\r\nx")
		if !strings.HasSuffix(answer.Body, "end of stream false") {
			t.Errorf("%+v", answer)
		}
	})
}

func TestCalls(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, up := start(t, version, "x")
		get(t, envoy, `:status: 200, body of 25 "answered", 0 trailers error error status returned by host: not found`,
			"call")
		got := up.Take()
		if len(got) != 1 || got[0].Start != "POST /called HTTP/1.1" || got[0].Header("host") != "callee" ||
			got[0].Header("x-bin") != "€" || got[0].Body != "body of the call" {
			t.Errorf("the call: %+v", got)
		}
		answer := harness.HTTP1(t, envoy.Main(), order("call-fails"))
		if !strings.HasPrefix(answer.Body, ":status: 503") && !strings.HasPrefix(answer.Body, "no headers") {
			t.Errorf("a call whose connection is closed: %+v", answer)
		}
		up.Take()
		if answer := harness.HTTP1(t, envoy.Main(), order("resume")); answer.Status() != 200 || len(up.Take()) != 2 {
			t.Errorf("a request that waits for a call: %+v", answer)
		}
	})
}

func TestTicks(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "tick")
		if err := envoy.Await(func() bool { return harness.HTTP1(t, envoy.Main(), order("ticked")).Body == "yes" },
			10*time.Second); err != nil {
			t.Error(err)
		}
	})
}

// A panic is a refusal of that request, and the VM lives on with all it knows.
func TestPanics(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "x")
		served := 0
		for _, where := range []string{"request_headers", "request_body", "response_headers", "http_call_response",
			"create"} {
			request := order("panic", [2]string{"x-where", where})
			switch where {
			case "request_body":
				request = "POST / HTTP/1.1\r\nHost: a\r\nx-probe: panic\r\nx-where: request_body\r\nContent-Length: 1\r\n\r\nx"
			case "http_call_response":
				request = order("call", [2]string{"x-where", where})
			case "create":
				get(t, envoy, "ok", "panic-next-create")
				served++
			}
			answer := harness.HTTP1(t, envoy.Main(), request)
			if answer.Status() != 500 || !strings.Contains(answer.Body, `"code":"internal"`) {
				t.Errorf("%s: %+v", where, answer)
			}
			if where != "create" {
				served++
			}
		}
		served++
		if answer := harness.HTTP1(t, envoy.Main(), order("served")); answer.Body != strconv.Itoa(served) {
			t.Errorf("the VM has served %s requests, want %d: it was made anew", answer.Body, served)
		}
		if n := envoy.Counter("wasmcustom.tollgate.probe.rule.-.outcome.error.code.internal"); n < 5 {
			t.Errorf("%d faults were counted", n)
		}
	})
}

// W1: a VM that traps answers 503, and the next request has a new one.
func TestTraps(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "x")
		for _, name := range []string{"trap", "out-of-memory"} {
			if answer := harness.HTTP1(t, envoy.Main(), order(name)); answer.Status() != 503 {
				t.Errorf("%s: %+v", name, answer)
			}
			if err := envoy.Await(func() bool { return harness.HTTP1(t, envoy.Main(), order("served")).Body == "1" },
				10*time.Second); err != nil {
				t.Errorf("%s: no new VM: %v", name, err)
			}
		}
	})
}

// W1: the answers of one callback run inside one another, and V8's stack has room for some hundreds.
func TestCrowds(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "x")
		for _, c := range probetest.Crowds {
			answered, before := 0, envoy.Counter("http.main.downstream_rq_total")
			crowd := harness.Crowd{Address: envoy.Main(), HTTP2: true, Connections: 2, Requests: c.Streams / 2}
			crowd.Headers = func(int) [][2]string { return harness.Pseudo("GET", "/probe?q=1", [2]string{"x-probe", "hold"}) }
			crowd.Sent = func() {
				arrived := func() bool { return envoy.Counter("http.main.downstream_rq_total")-before >= uint64(c.Streams) }
				if err := envoy.Await(arrived, 10*time.Second); err != nil {
					t.Error(err)
				}
				harness.HTTP1(t, envoy.Main(), order("release"))
			}
			for _, a := range crowd.Run(t) {
				if a.Status == 200 {
					answered++
				}
			}
			if trapped := strings.Contains(envoy.Log(), "Maximum call stack size exceeded"); trapped != c.Traps ||
				!trapped && answered != c.Streams {
				t.Errorf("of %d streams %d were answered; trapped: %v", c.Streams, answered, trapped)
			}
		}
	})
}

// W2: a VM that traps while it takes a call's answer takes neither Envoy nor the next request
// along. The request that waited for the call is never let through: nobody is left to answer it,
// and Envoy keeps it until one of its own timeouts.
func TestTrapInCall(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, up := start(t, version, "x")
		waiting, err := net.Dial("tcp", envoy.Main())
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		if _, err := io.WriteString(waiting, order("call", [2]string{"x-where", "trap_http_call_response"})); err != nil {
			t.Fatal(err)
		}
		envoy.WaitLog("proxy_on_http_call_response failed")
		if err := envoy.Await(func() bool { return harness.HTTP1(t, envoy.Main(), order("served")).Body == "1" },
			10*time.Second); err != nil {
			t.Errorf("no new VM: %v", err)
		}
		for _, m := range up.Take() {
			if !strings.HasPrefix(m.Start, "POST /called ") {
				t.Errorf("the request that waited reached the upstream: %s", m.Start)
			}
		}
		if err := waiting.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var b [256]byte
		if n, _ := waiting.Read(b[:]); n > 0 && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 5") {
			t.Errorf("the request that waited is answered %q", b[:n])
		}
	})
}

// W5 W7: a megabyte of garbage a request, over many collections, in every Envoy that is tested:
// before 1.39 its poll_oneoff answers ENOSYS, on which Go's runtime gives up should it ever ask.
func TestGarbage(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "x")
		client := harness.NewClient1(t, envoy.Main())
		const requests = 1500
		for n := range requests {
			if answer := client.Do(order("garbage")); answer.Status() != 200 {
				t.Fatalf("request %d: %+v", n, answer)
			}
		}
		if answer := client.Do(order("served")); answer.Body != strconv.Itoa(requests+1) {
			t.Errorf("the VM has served %s requests, want %d: it was made anew", answer.Body, requests+1)
		}
	})
}

func TestRefusedConfigurations(t *testing.T) {
	for _, configuration := range []string{"panic", "refuse", ""} {
		filter := bootstrap.Wasm{Name: "probe", Module: probetest.Build(t, "shared/guest/probe"),
			Configuration: configuration}.Filter()
		harness.StartRefused(t, harness.Config{Version: "1.40.0", Filters: []bootstrap.M{filter}})
	}
}

// BoringSSL in Envoy says of signatures what Go's crypto says. sign came with Envoy 1.37.
func TestForeignFunctions(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		envoy, _ := start(t, version, "x")
		for _, c := range probetest.Verifications(t) {
			get(t, envoy, c.Want, "verify", c.Argument)
		}
		call, verify := probetest.Signing(t)
		answer := harness.HTTP1(t, envoy.Main(), order("sign", call))
		if version == "1.36.4" {
			if answer.Body != "error error status returned by host: not found" {
				t.Errorf("1.36 has no sign, but answers %s", answer.Body)
			}
		} else if !verify(answer.Body) {
			t.Errorf("the signature is not good: %s", answer.Body)
		}
	})
}
