// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package service is a server with the interfaces of services that tell tokens: OpenAI's chat completions (as vLLM
// serves them, too) and responses, Anthropic's messages, Gemini's generateContent and Ollama's chat and generate.
//
// It has no model. A request says by headers how many tokens it is to cost, and how the answer is to go wrong:
//
// - x-usage: 19,10 are the tokens of the prompt and of the answer. Without it there are 19, and as many as the
// request allows, or 10. - x-answer: one or more of the Answer constants, with commas between them.
//
// Texts of answers hold what looks like a number of tokens, as users have models write.
package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What x-answer can ask for.
const (
	Break    = "break"    // the connection ends in the middle of the answer
	Hang     = "hang"     // nothing comes after the middle of the answer, until the client leaves
	Gzip     = "gzip"     // content-encoding: gzip
	Brotli   = "br"       // content-encoding: br
	NoUsage  = "no-usage" // the answer does not tell what it has cost
	Whole    = "whole"    // content-length instead of chunks, where the answer is not streamed
	Limited  = "429"      // an error of the service itself
	Failed   = "500"
	Unusable = "unusable" // a text where the number of tokens should be
)

// Request is one that the service has had.
type Request struct {
	Path  string
	Proto string // HTTP/1.1 or HTTP/2.0
	Left  bool   // the client has left before the end of the answer
}

// Service is a running one that belongs to a test.
type Service struct {
	port int

	mu   sync.Mutex
	done []Request
	more chan struct{} // closed and made anew with each request that is done
}

// Start runs a service until the test ends. It speaks HTTP/1.1 and HTTP/2 without TLS.
func Start(t testing.TB) *Service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{port: l.Addr().(*net.TCPAddr).Port, more: make(chan struct{})}
	server := &http.Server{Handler: s.handler(), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

// Port that it listens on.
func (s *Service) Port() int { return s.port }

// Await returns the next n requests that are done, in the order in which they ended, or what there is when ctx ends.
func (s *Service) Await(ctx context.Context, n int) []Request {
	for {
		s.mu.Lock()
		if len(s.done) >= n || ctx.Err() != nil {
			defer s.mu.Unlock()
			taken := s.done[:min(n, len(s.done))]
			s.done = s.done[len(taken):]
			return taken
		}
		more := s.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

func (s *Service) handler() http.Handler {
	mux := http.NewServeMux()
	for path, shape := range map[string]func(*call) answer{
		"/v1/chat/completions":  chatCompletion,
		"/v1/responses":         response,
		"/v1/messages":          message,
		"/v1beta/models/{call}": generateContent,
		"/api/chat":             ollama,
		"/api/generate":         ollama,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			err := serve(w, r, shape)
			s.mu.Lock()
			s.done = append(s.done, Request{r.URL.Path, r.Proto, err != nil})
			close(s.more)
			s.more = make(chan struct{})
			s.mu.Unlock()
			if err == errBreak {
				panic(http.ErrAbortHandler)
			}
		})
	}
	return mux
}

// call is a request to an interface.
type call struct {
	path             string
	model            string
	stream           bool
	events           bool // Gemini streams events only where it is asked for them
	includeUsage     bool
	running          bool // usage stands in each event
	input, output    int64
	noUsage, unusual bool
}

// request has the fields that matter of all interfaces.
type request struct {
	Model               string `json:"model"`
	Stream              *bool  `json:"stream"`
	MaxTokens           int64  `json:"max_tokens"`
	MaxCompletionTokens int64  `json:"max_completion_tokens"`
	MaxOutputTokens     int64  `json:"max_output_tokens"`
	StreamOptions       struct {
		IncludeUsage         bool `json:"include_usage"`
		ContinuousUsageStats bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
	GenerationConfig struct {
		MaxOutputTokens int64 `json:"maxOutputTokens"`
	} `json:"generationConfig"`
	Options struct {
		NumPredict int64 `json:"num_predict"`
	} `json:"options"`
}

func readCall(r *http.Request) (*call, error) {
	var q request
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&q); err != nil {
		return nil, fmt.Errorf("the request is no JSON: %w", err)
	}
	c := &call{path: r.URL.Path, model: q.Model, input: 19, output: 10,
		includeUsage: q.StreamOptions.IncludeUsage, running: q.StreamOptions.ContinuousUsageStats}
	for _, n := range []int64{q.MaxTokens, q.MaxCompletionTokens, q.MaxOutputTokens, q.GenerationConfig.MaxOutputTokens,
		q.Options.NumPredict} {
		if n > 0 {
			c.output = n
		}
	}
	if text := r.Header.Get("x-usage"); text != "" {
		input, output, _ := strings.Cut(text, ",")
		var err, err2 error
		c.input, err = strconv.ParseInt(input, 10, 64)
		c.output, err2 = strconv.ParseInt(output, 10, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("x-usage is %q: want two numbers", text)
		}
	}
	c.stream = q.Stream != nil && *q.Stream
	switch {
	case strings.HasPrefix(c.path, "/api/"):
		c.stream = q.Stream == nil || *q.Stream
	case r.PathValue("call") != "":
		var method string
		c.model, method, _ = strings.Cut(r.PathValue("call"), ":")
		c.stream, c.events = method == "streamGenerateContent", r.URL.Query().Get("alt") == "sse"
		if !c.stream && method != "generateContent" {
			return nil, fmt.Errorf("there is no method %q", method)
		}
	}
	return c, nil
}

// answer is a body in the pieces in which it is sent.
type answer struct {
	contentType string
	pieces      []string
}

var errBreak = fmt.Errorf("the answer is broken off")

// serve answers a request. The error is why the answer has not come to its end.
func serve(w http.ResponseWriter, r *http.Request, shape func(*call) answer) error {
	var how []string
	if text := r.Header.Get("x-answer"); text != "" {
		how = strings.Split(text, ",")
	}
	for _, h := range how {
		if !slices.Contains([]string{Break, Hang, Gzip, Brotli, NoUsage, Whole, Limited, Failed, Unusable}, h) {
			http.Error(w, fmt.Sprintf("x-answer has %q, which is unknown", h), http.StatusBadRequest)
			return nil
		}
	}
	is := func(what string) bool { return slices.Contains(how, what) }
	c, err := readCall(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	c.noUsage, c.unusual = is(NoUsage), is(Unusable)
	a, status := shape(c), http.StatusOK
	if is(Limited) || is(Failed) {
		status = http.StatusTooManyRequests
		if is(Failed) {
			status = http.StatusInternalServerError
		}
		a = answer{"application/json", []string{encode(object{"error": object{"message": "The service is busy.",
			"type": "busy", "code": "busy", "param": nil}})}}
	}
	return send(r.Context(), w, status, a, how)
}

// send writes an answer piece by piece, each as a chunk or a frame of its own.
func send(ctx context.Context, w http.ResponseWriter, status int, a answer, how []string) error {
	is := func(what string) bool { return slices.Contains(how, what) }
	w.Header().Set("content-type", a.contentType)
	out := io.Writer(w)
	flush := func() error { return nil }
	switch {
	case is(Gzip):
		w.Header().Set("content-encoding", "gzip")
		out, flush = gzipTo(w)
	case is(Brotli):
		w.Header().Set("content-encoding", "br")
		out = &brotli{to: w}
	case is(Whole):
		w.Header().Set("content-length", strconv.Itoa(len(strings.Join(a.pieces, ""))))
	}
	w.WriteHeader(status)
	controller := http.NewResponseController(w)
	for i, piece := range a.pieces {
		middle := i == len(a.pieces)/2
		if middle && (is(Break) || is(Hang)) {
			piece = piece[:len(piece)/2]
		}
		if _, err := io.WriteString(out, piece); err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
		if err := controller.Flush(); err != nil {
			return err
		}
		if middle && is(Break) {
			return errBreak
		}
		if middle && is(Hang) {
			<-ctx.Done()
			return ctx.Err()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if c, ok := out.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// created is when every answer was made.
var created = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
