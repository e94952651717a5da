// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/tokens/service"
)

func TestMain(m *testing.M) { harness.Main(m) }

// wait is for what takes a moment on a quiet machine.
const wait = 30 * time.Second

// gateway runs an Envoy with filters before a service, to which it speaks HTTP/1.1 or HTTP/2, until the test ends.
func gateway(t *testing.T, version string, s *service.Service, http2 bool, filters ...bootstrap.M) *harness.Envoy {
	t.Helper()
	return harness.Start(t, harness.Config{Version: version, Filters: filters, Routes: bootstrap.To("service"),
		// By default, Envoy waits a second before it closes the connection of an answer that is broken off.
		HTTP:     bootstrap.M{"delayed_close_timeout": "0.05s"},
		Clusters: []bootstrap.M{bootstrap.Cluster("service", s.Port(), http2)}})
}

// answer is what a client has got.
type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

// address of the service itself.
func address(s *service.Service) string { return "127.0.0.1:" + strconv.Itoa(s.Port()) }

var direct = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: wait}

// open sends a request and leaves the body to the caller. headers are names and values in turn.
func open(t *testing.T, address, path, body string, headers ...string) (resp *http.Response, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if resp, err = direct.Do(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, cancel
}

// ask sends a request and reads the answer.
func ask(t *testing.T, address, path, body string, headers ...string) answer {
	t.Helper()
	resp, _ := open(t, address, path, body, headers...)
	text, err := io.ReadAll(resp.Body)
	return answer{resp, string(text), err}
}

// await returns the next request that is done at the service.
func await(t *testing.T, s *service.Service) service.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	done := s.Await(ctx, 1)
	if len(done) == 0 {
		t.Fatal("no request has come to its end at the service")
	}
	return done[0]
}

const (
	chat   = "/v1/chat/completions"
	stream = `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`
	plain  = `{"model":"m"}`
)

// calls are the interfaces that a limit has to understand.
var calls = []struct{ name, path, body string }{
	{"OpenAI chat completion", chat, plain},
	{"OpenAI chat completion, streamed", chat, stream},
	{"OpenAI response", "/v1/responses", plain},
	{"OpenAI response, streamed", "/v1/responses", stream},
	{"Anthropic message", "/v1/messages", plain},
	{"Anthropic message, streamed", "/v1/messages", stream},
	{"Gemini", "/v1beta/models/g:generateContent", "{}"},
	{"Gemini, streamed as a list", "/v1beta/models/g:streamGenerateContent", "{}"},
	{"Gemini, streamed as events", "/v1beta/models/g:streamGenerateContent?alt=sse", "{}"},
	{"Ollama", "/api/chat", `{"stream":false}`},
	{"Ollama, streamed", "/api/chat", "{}"},
}

// unchanged holds what comes through a gateway against what the service sends: the same bytes, at once, and its end.
func unchanged(t *testing.T, e *harness.Envoy, s *service.Service, headers ...string) {
	t.Helper()
	origin := address(s)
	for _, c := range calls {
		for _, how := range []string{"", service.Whole, service.Gzip, service.Brotli, service.NoUsage, service.Unusable,
			service.Limited, service.Failed} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				headers := append(headers[:len(headers):len(headers)], "x-answer", how)
				want := ask(t, origin, c.path, c.body, headers...)
				await(t, s)
				got := ask(t, e.Main(), c.path, c.body, headers...)
				await(t, s)
				if got.err != nil || got.StatusCode != want.StatusCode || got.body != want.body {
					t.Errorf("%d and %d bytes (%v), want %d and %d", got.StatusCode, len(got.body), got.err, want.StatusCode,
						len(want.body))
				}
				for _, name := range []string{"content-type", "content-encoding", "content-length"} {
					if got.Header.Get(name) != want.Header.Get(name) {
						t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want.Header.Get(name))
					}
				}
			})
		}
		t.Run(c.name+" hangs", func(t *testing.T) {
			whole := ask(t, origin, c.path, c.body, headers...)
			await(t, s)
			resp, leave := open(t, e.Main(), c.path, c.body, append(headers[:len(headers):len(headers)], "x-answer",
				service.Hang)...)
			// Nothing is held back until there is more: what the service has sent comes.
			part := make([]byte, len(whole.body)/3)
			if _, err := io.ReadFull(resp.Body, part); err != nil || !strings.HasPrefix(whole.body, string(part)) {
				t.Errorf("%v: %q", err, part)
			}
			leave()
			if r := await(t, s); !r.Left {
				t.Errorf("the service has not seen the client leave: %+v", r)
			}
		})
		t.Run(c.name+" breaks off", func(t *testing.T) {
			got := ask(t, e.Main(), c.path, c.body, append(headers[:len(headers):len(headers)], "x-answer",
				service.Break)...)
			if got.err == nil {
				t.Errorf("the client takes %d bytes for the whole answer", len(got.body))
			}
			await(t, s)
		})
	}
}
