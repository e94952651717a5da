// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/usage"
)

const wait = 30 * time.Second

// client speaks one version of HTTP.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: wait}
}

// ask sends a request whose body is read by the caller. headers are names and values in turn.
func ask(t *testing.T, c *http.Client, s *Service, path, body string, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "POST", "http://127.0.0.1:"+strconv.Itoa(s.Port())+path,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// cost is what a limit would find in a body.
func cost(paths [][]string, contentType string, body []byte) (int64, usage.Found) {
	var r usage.Reader
	r.Reset(usage.NewPaths(paths), strings.HasPrefix(contentType, "text/event-stream"))
	r.Write(body)
	r.Close()
	return r.Number(math.MaxInt64)
}

var (
	openAI    = [][]string{{"usage", "total_tokens"}}
	responses = [][]string{{"response", "usage", "total_tokens"}, {"usage", "total_tokens"}}
	anthropic = [][]string{{"message", "usage", "input_tokens"}, {"usage", "input_tokens"}, {"message", "usage",
		"output_tokens"}, {"usage", "output_tokens"}}
	gemini      = [][]string{{"usageMetadata", "totalTokenCount"}}
	ollamaPaths = [][]string{{"prompt_eval_count"}, {"eval_count"}}
)

const (
	typeJSON   = "application/json"
	typeUTF8   = "application/json; charset=utf-8"
	typeGoogle = "application/json; charset=UTF-8"
	typeLines  = "application/x-ndjson"
	typeEvents = "text/event-stream; charset=utf-8"
)

// Each interface tells what the request was to cost, in both versions of HTTP.
func TestInterfaces(t *testing.T) {
	s := Start(t)
	for _, c := range []struct {
		name, path, body string
		paths            [][]string
		contentType      string
		want             int64 // 0: the answer tells no number
	}{
		{"chat completion", "/v1/chat/completions", `{"model":"m","max_tokens":30}`, openAI, typeJSON, 49},
		{"chat completion, by its newer limit", "/v1/chat/completions", `{"model":"m","max_completion_tokens":31}`, openAI,
			typeJSON, 50},
		{"chat completion, streamed", "/v1/chat/completions", `{"model":"m","stream":true,"max_tokens":30,
			"stream_options":{"include_usage":true}}`, openAI, typeEvents, 49},
		{"chat completion, streamed without usage", "/v1/chat/completions", `{"model":"m","stream":true}`, openAI, typeEvents, 0},
		{"chat completion, streamed with a running total", "/v1/chat/completions", `{"model":"m","stream":true,
			"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`, openAI, typeEvents, 29},
		{"response", "/v1/responses", `{"model":"m","max_output_tokens":40}`, responses, typeJSON, 59},
		{"response, streamed", "/v1/responses", `{"model":"m","stream":true}`, responses, typeEvents, 29},
		{"message", "/v1/messages", `{"model":"m","max_tokens":30}`, anthropic, typeJSON, 49},
		{"message, streamed", "/v1/messages", `{"model":"m","max_tokens":30,"stream":true}`, anthropic, typeEvents, 49},
		{"Gemini", "/v1beta/models/g:generateContent", `{"generationConfig":{"maxOutputTokens":7}}`, gemini, typeGoogle, 26},
		{"Gemini, streamed as a list", "/v1beta/models/g:streamGenerateContent", `{}`, gemini, typeGoogle, 29},
		{"Gemini, streamed as events", "/v1beta/models/g:streamGenerateContent?alt=sse", `{}`, gemini, "text/event-stream",
			29},
		{"Ollama's chat", "/api/chat", `{"model":"m","stream":false,"options":{"num_predict":7}}`, ollamaPaths, typeUTF8, 26},
		{"Ollama's chat, streamed", "/api/chat", `{"model":"m"}`, ollamaPaths, typeLines, 29},
		{"Ollama's generate, streamed", "/api/generate", `{"model":"m","stream":true}`, ollamaPaths, typeLines, 29},
	} {
		for _, http2 := range []bool{false, true} {
			name := c.name + " in HTTP/1.1"
			if http2 {
				name = c.name + " in HTTP/2"
			}
			t.Run(name, func(t *testing.T) {
				for _, usageHeader := range []string{"", "1000,234"} {
					var headers []string
					want := c.want
					if usageHeader != "" {
						headers = []string{"x-usage", usageHeader}
						if want != 0 {
							want = 1234
						}
					}
					resp := ask(t, client(t, http2), s, c.path, c.body, headers...)
					body, err := io.ReadAll(resp.Body)
					if err != nil || resp.StatusCode != 200 || resp.Header.Get("content-type") != c.contentType ||
						resp.ContentLength >= 0 || resp.ProtoMajor == 2 != http2 {
						t.Fatalf("%s %d, length %d, %v: %v\n%s", resp.Proto, resp.StatusCode, resp.ContentLength, resp.Header, err,
							body)
					}
					n, how := cost(c.paths, resp.Header.Get("content-type"), body)
					if n != want || (how == usage.Read) != (want > 0) {
						t.Errorf("it costs %d (%d), want %d:\n%s", n, how, want, body)
					}
					if !bytes.Contains(body, []byte(`999999`)) {
						t.Errorf("no text has what looks like a number of tokens:\n%s", body)
					}
					done := await(t, s, 1)
					path, _, _ := strings.Cut(c.path, "?")
					if proto := resp.Proto; done[0] != (Request{path, proto, false}) {
						t.Errorf("the service says %+v", done[0])
					}
				}
			})
		}
	}
}

func await(t *testing.T, s *Service, n int) []Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	done := s.Await(ctx, n)
	if len(done) != n {
		t.Fatalf("%d requests are done, want %d", len(done), n)
	}
	return done
}

const streamed = `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`

// What x-answer asks for comes.
func TestAnswers(t *testing.T) {
	s := Start(t)
	const path = "/v1/chat/completions"
	plain, err := io.ReadAll(ask(t, client(t, false), s, path, streamed).Body)
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, 1)
	for _, http2 := range []bool{false, true} {
		c := client(t, http2)
		t.Run("it breaks off", func(t *testing.T) {
			body, err := io.ReadAll(ask(t, c, s, path, streamed, "x-answer", Break).Body)
			if err == nil || len(body) < 1000 || !bytes.HasPrefix(plain, body) || bytes.HasSuffix(body, []byte("\n\n")) {
				t.Errorf("%v, after %d bytes of %d", err, len(body), len(plain))
			}
			if done := await(t, s, 1); !done[0].Left {
				t.Errorf("%+v", done)
			}
		})
		t.Run("it hangs until the client leaves", func(t *testing.T) {
			resp := ask(t, c, s, path, streamed, "x-answer", Hang)
			part := make([]byte, 1000)
			if n, err := io.ReadFull(resp.Body, part); err != nil || !bytes.HasPrefix(plain, part) {
				t.Fatalf("%d bytes, and then %v", n, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if done := s.Await(ctx, 1); len(done) != 0 {
				t.Errorf("it has ended before: %+v", done)
			}
			resp.Body.Close()
			if done := await(t, s, 1); !done[0].Left {
				t.Errorf("%+v", done)
			}
		})
		t.Run("it is compressed", func(t *testing.T) {
			resp := ask(t, c, s, path, streamed, "x-answer", Gzip)
			z, err := gzip.NewReader(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(z)
			if err != nil || resp.Header.Get("content-encoding") != "gzip" || !bytes.Equal(body, plain) {
				t.Errorf("%v, %v:\n%s", resp.Header, err, body)
			}
			await(t, s, 1)
		})
		for name, status := range map[string]int{Limited: 429, Failed: 500, "nonsense": 400, "gzip,nonsense": 400} {
			t.Run("it is "+name, func(t *testing.T) {
				resp := ask(t, c, s, path, streamed, "x-answer", name)
				body, err := io.ReadAll(resp.Body)
				if n, how := cost(openAI, "", body); err != nil || resp.StatusCode != status || how != usage.Missing {
					t.Errorf("%d, %v, %d:\n%s", resp.StatusCode, err, n, body)
				}
				await(t, s, 1)
			})
		}
		t.Run("it has no usage", func(t *testing.T) {
			body, err := io.ReadAll(ask(t, c, s, path, streamed, "x-answer", NoUsage).Body)
			if n, how := cost(openAI, typeEvents, body); err != nil || how != usage.Missing {
				t.Errorf("%d %d, %v:\n%s", n, how, err, body)
			}
			await(t, s, 1)
		})
		t.Run("it is unusable", func(t *testing.T) {
			body, err := io.ReadAll(ask(t, c, s, path, streamed, "x-answer", Unusable).Body)
			if n, how := cost(openAI, typeEvents, body); err != nil || how != usage.Unreadable {
				t.Errorf("%d %d, %v:\n%s", n, how, err, body)
			}
			await(t, s, 1)
		})
		t.Run("it is whole", func(t *testing.T) {
			resp := ask(t, c, s, path, `{}`, "x-answer", Whole)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.ContentLength != int64(len(body)) || len(body) == 0 {
				t.Errorf("%d bytes, announced %d, %v", len(body), resp.ContentLength, err)
			}
			await(t, s, 1)
		})
	}
}

func TestBadRequests(t *testing.T) {
	s := Start(t)
	for _, c := range []struct {
		path, body, usage string
		status            int
	}{
		{"/v1/chat/completions", `{`, "", 400},
		{"/v1/chat/completions", `{}`, "12", 400},
		{"/v1/chat/completions", `{}`, "a,1", 400},
		{"/v1beta/models/g:countTokens", `{}`, "", 400},
		{"/v2", `{}`, "", 404},
	} {
		if resp := ask(t, client(t, false), s, c.path, c.body, "x-usage", c.usage); resp.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d", c.path, c.body, resp.StatusCode, c.status)
		}
	}
}

// A stream as RFC 7932 has it; the client in Python decodes whole answers.
func TestBrotli(t *testing.T) {
	var out bytes.Buffer
	b := &brotli{to: &out}
	for _, text := range []string{"abc", "", "d"} {
		if n, err := io.WriteString(b, text); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "\x20\x00\x10abc\x00\x00\x08d\x03"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	if n, err := (&brotli{to: &out}).Write(make([]byte, 1<<16+1)); n != 1<<16+1 || err != nil || out.Len() != n+6 {
		t.Errorf("%d bytes of %d, %v", out.Len(), n, err)
	}
	out.Reset()
	if err := (&brotli{to: &out}).Close(); err != nil || out.String() != "\x06" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if _, err := (&brotli{to: failing{}}).Write([]byte("a")); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// Requests come in the order in which they end.
func TestAwait(t *testing.T) {
	s := Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if done := s.Await(ctx, 1); len(done) != 0 {
		t.Errorf("%+v", done)
	}
	for _, path := range []string{"/api/chat", "/v1/messages", "/v1/responses"} {
		if _, err := io.Copy(io.Discard, ask(t, client(t, false), s, path, `{}`).Body); err != nil {
			t.Fatal(err)
		}
	}
	done := append(await(t, s, 2), await(t, s, 1)...)
	paths := []string{done[0].Path, done[1].Path, done[2].Path}
	if !slices.Equal(paths, []string{"/api/chat", "/v1/messages", "/v1/responses"}) {
		t.Error(paths)
	}
}
