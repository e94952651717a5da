// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build python

package tokens

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/tokens/service"
)

// library is a running testdata/client.py.
type library struct {
	t       *testing.T
	process *process.Process
	in      io.Writer
	lines   chan string
}

// startLibrary runs one against an address until the test ends. Where Python is missing, the test fails: nothing is
// skipped.
func startLibrary(t *testing.T, address string) *library {
	t.Helper()
	python, err := backends.PythonPackages(os.Stderr, "testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/client.py", "http://"+address+"/v1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	p, err := process.Start(cmd)
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	l := &library{t: t, process: p, in: in, lines: make(chan string)}
	stopped := make(chan struct{})
	go func() {
		defer close(l.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); { // ends when the program does
			select {
			case l.lines <- lines.Text():
			case <-stopped:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stopped)
		p.Stop()
		out.Close()
		if t.Failed() {
			t.Logf("the log of the library:\n%s", p.Log())
		}
	})
	return l
}

// call is what the library is to do.
type call struct {
	API       string            `json:"api"` // chat or responses
	Arguments map[string]any    `json:"arguments"`
	Headers   map[string]string `json:"headers"`
	Leave     int               `json:"leave,omitempty"`
}

// told is what has come of it.
type told struct {
	Status int
	Pieces int
	Tokens *int64
	Text   int
	Left   bool

	Error      string
	Code       string
	RateLimit  string `json:"ratelimit"`
	RetryAfter string `json:"retry_after"`
}

func (l *library) do(c call) (got told) {
	l.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.WriteString(l.in, string(text)+"\n"); err != nil {
		l.t.Fatalf("the library does not run: %v", err)
	}
	select {
	case line, ok := <-l.lines:
		if !ok {
			l.t.Fatal("the library has ended")
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			l.t.Fatalf("the library writes %q: %v", line, err)
		}
	case <-time.After(wait):
		l.t.Fatal("the library does not answer")
	}
	return got
}

// talk has the library use both of its interfaces, and what can go wrong with them.
func talk(t *testing.T, l *library, s *service.Service, headers map[string]string) {
	t.Helper()
	whole := map[string]any{"max_tokens": 30}
	streamed := map[string]any{"max_tokens": 30, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	response := map[string]any{"max_output_tokens": 30}
	responseStreamed := map[string]any{"max_output_tokens": 30, "stream": true}
	for _, c := range []struct {
		name      string
		api       string
		arguments map[string]any
		how       string
		leave     int
		tokens    int64  // 0: none
		error     string // how it begins
		status    int
	}{
		{"chat", "chat", whole, "", 0, 49, "", 200},
		{"chat, streamed", "chat", streamed, "", 0, 49, "", 200},
		{"chat, streamed without usage", "chat", map[string]any{"stream": true}, "", 0, 0, "", 200},
		{"response", "responses", response, "", 0, 49, "", 200},
		{"response, streamed", "responses", responseStreamed, "", 0, 49, "", 200},
		{"chat in gzip", "chat", whole, service.Gzip, 0, 49, "", 200},
		{"chat in brotli", "chat", whole, service.Brotli, 0, 49, "", 200},
		{"chat, streamed in gzip", "chat", streamed, service.Gzip, 0, 49, "", 200},
		{"chat, streamed in brotli", "chat", streamed, service.Brotli, 0, 49, "", 200},
		{"response, streamed in brotli", "responses", responseStreamed, service.Brotli, 0, 49, "", 200},
		{"chat that does not tell", "chat", whole, service.NoUsage, 0, 0, "", 200},
		{"the service is limited itself", "chat", whole, service.Limited, 0, 0, "RateLimitError", 429},
		{"the service fails", "chat", streamed, service.Failed, 0, 0, "InternalServerError", 500},
		{"chat, streamed and broken off", "chat", streamed, service.Break, 0, 0, "APIConnectionError", 0},
		{"the client leaves", "chat", streamed, service.Hang, 3, 0, "", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := map[string]string{}
			for name, value := range headers {
				all[name] = value
			}
			if c.how != "" {
				all["x-answer"] = c.how
			}
			l.t = t
			got := l.do(call{c.api, c.arguments, all, c.leave})
			tokens := int64(0)
			if got.Tokens != nil {
				tokens = *got.Tokens
			}
			if got.Status != c.status || tokens != c.tokens || !strings.HasPrefix(got.Error, c.error) ||
				(got.Error == "") != (c.error == "") || got.Left != (c.leave > 0) {
				t.Errorf("%+v with %d tokens, want status %d, %d tokens, error %q", got, tokens, c.status, c.tokens, c.error)
			}
			if c.status == 200 && c.leave == 0 && got.Text < 100 {
				t.Errorf("the answer has a text of %d characters", got.Text)
			}
			if r := await(t, s); r.Left != (c.leave > 0 || c.how == service.Break) {
				t.Errorf("the service says %+v", r)
			}
		})
	}
}

// The library talks to the service itself, and through an Envoy without a filter: else what it says of one shows
// nothing.
func TestLibrary(t *testing.T) {
	t.Run("directly", func(t *testing.T) {
		s := service.Start(t)
		talk(t, startLibrary(t, address(s)), s, nil)
	})
	for _, http2 := range []bool{false, true} {
		name := "through Envoy, HTTP/1.1 to the service"
		if http2 {
			name = "through Envoy, HTTP/2 to the service"
		}
		t.Run(name, func(t *testing.T) {
			s := service.Start(t)
			talk(t, startLibrary(t, gateway(t, envoybin.Default, s, http2).Main()), s, nil)
		})
	}
}
