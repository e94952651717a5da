// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/tokens/service"
)

// budget of each user. So few tokens come back each second that no test sees them.
const (
	budget   = 10000
	reserve  = 100
	standard = 50 // the cost of an answer that does not tell
	most     = 5000
)

// limits are a limit on tokens for each user, with these paths to the numbers.
func limits(json string) string {
	return fmt.Sprintf(`{"limits": [{"name": "tokens", "match": [{"paths": ["/{**}"]}], "key": [{"header": "x-user"}],
		"rate": {"requests": %d, "per": "24h"},
		"cost": {"response": {"json": %s, "stream": "sse", "reserve": %d, "default": %d, "max": %d}}}]}`, budget, json,
		reserve, standard, most)
}

// kind is an interface: where its numbers stand, and a call that costs nothing where the service says so.
type kind struct{ json, path, body string }

var (
	openAI    = kind{`["usage", "total_tokens"]`, chat, plain}
	responses = kind{`[["response", "usage", "total_tokens"], ["usage", "total_tokens"]]`, "/v1/responses", plain}
	anthropic = kind{`[["message", "usage", "input_tokens"], ["usage", "input_tokens"],
		["message", "usage", "output_tokens"], ["usage", "output_tokens"]]`, "/v1/messages", plain}
	gemini = kind{`["usageMetadata", "totalTokenCount"]`, "/v1beta/models/g:generateContent", plain}
	ollama = kind{`[["prompt_eval_count"], ["eval_count"]]`, "/api/chat", `{"stream":false}`}
	every  = kind{`[["response", "usage", "total_tokens"], ["usage", "total_tokens"],
		["usageMetadata", "totalTokenCount"], ["prompt_eval_count"], ["eval_count"]]`, chat, plain}
)

// world is a limit on the tokens of each user, before a service.
type world struct {
	*service.Service
	gateway string
	kind    kind
}

func limited(t *testing.T, version string, http2 bool, k kind) *world {
	t.Helper()
	s := service.Start(t)
	return &world{s, gateway(t, version, s, http2, harness.Filter(t, "rate-limit", limits(k.json))).Main(), k}
}

// ask has a user cost so many tokens, and waits until the service has done its part.
func (w *world) ask(t *testing.T, user, path, body string, tokens int, how ...string) answer {
	t.Helper()
	got := ask(t, w.gateway, path, body, "x-user", user, "x-usage", strconv.Itoa(tokens)+",0", "x-answer",
		strings.Join(how, ","))
	if got.StatusCode != 429 || strings.Contains(got.body, "busy") { // else the service has not had it
		await(t, w.Service)
	}
	return got
}

var remainder = regexp.MustCompile(`"tokens";r=(\d+)`)

// holds waits until a user has spent just so much of the budget: what is left is told by requests that cost nothing
// in the end. Their headers are made while the reserve is taken. What comes back meanwhile is a token or two.
func (w *world) holds(t *testing.T, user string, spent int) {
	t.Helper()
	left := 0
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got := w.ask(t, user, w.kind.path, w.kind.body, 0)
		found := remainder.FindStringSubmatch(got.Header.Get("ratelimit"))
		if got.StatusCode != 200 || found == nil {
			t.Fatalf("%d, ratelimit: %q", got.StatusCode, got.Header.Get("ratelimit"))
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		if left = n + reserve; left >= budget-spent && left <= budget-spent+2 {
			return
		}
	}
	t.Errorf("%d of the budget are left, so %d are spent, want %d", left, budget-left, spent)
}

// each runs a test with the service in HTTP/1.1 and in HTTP/2, in each version of Envoy.
func each(t *testing.T, test func(t *testing.T, version string, http2 bool)) {
	t.Helper()
	harness.Each(t, func(t *testing.T, version string) {
		t.Run("HTTP/1.1", func(t *testing.T) { test(t, version, false) })
		t.Run("HTTP/2", func(t *testing.T) { test(t, version, true) })
	})
}

// Every interface costs what its answer tells, whatever stands in its texts.
func TestCosts(t *testing.T) {
	each(t, func(t *testing.T, version string, http2 bool) {
		for _, c := range []struct {
			name       string
			kind       kind
			path, body string
			want       int
		}{
			{"OpenAI chat completion", openAI, chat, plain, 1200},
			{"OpenAI chat completion, streamed", openAI, chat, stream, 1200},
			{"OpenAI chat completion, streamed without usage", openAI, chat, `{"stream":true}`, standard},
			{"vLLM with a running total", openAI, chat,
				`{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`, 1200},
			{"OpenAI response", responses, "/v1/responses", plain, 1200},
			{"OpenAI response, streamed", responses, "/v1/responses", stream, 1200},
			{"Anthropic message", anthropic, "/v1/messages", plain, 1200},
			// Its first event tells one token of output already.
			{"Anthropic message, streamed", anthropic, "/v1/messages", stream, 1201},
			{"Gemini", gemini, "/v1beta/models/g:generateContent", "{}", 1200},
			{"Gemini, streamed as a list", gemini, "/v1beta/models/g:streamGenerateContent", "{}", 1200},
			{"Gemini, streamed as events", gemini, "/v1beta/models/g:streamGenerateContent?alt=sse", "{}", 1200},
			{"Ollama", ollama, "/api/chat", `{"stream":false}`, 1200},
			{"Ollama, streamed", ollama, "/api/chat", "{}", 1200},
			{"Ollama's generate, by a limit for all", every, "/api/generate", "{}", 1200},
			{"OpenAI response, by a limit for all", every, "/v1/responses", stream, 1200},
			{"an interface whose numbers the limit does not know", gemini, chat, stream, standard},
		} {
			t.Run(c.name, func(t *testing.T) {
				w := limited(t, version, http2, c.kind)
				got := w.ask(t, "alice", c.path, c.body, 1200)
				if got.StatusCode != 200 || got.err != nil || !strings.Contains(got.body, "999999") {
					t.Fatalf("%d, %v: %q", got.StatusCode, got.err, got.body)
				}
				w.holds(t, "alice", c.want)
				w.holds(t, "bob", 0)
			})
		}
	})
}

// What answers cost that tell no number, or not all of them.
func TestWithoutNumber(t *testing.T) {
	each(t, func(t *testing.T, version string, http2 bool) {
		w := limited(t, version, http2, openAI)
		for i, c := range []struct {
			name, body string
			how        []string
			want       int
		}{
			{"it does not tell", plain, []string{service.NoUsage}, standard},
			{"its stream does not tell", stream, []string{service.NoUsage}, standard},
			{"it is a text", plain, []string{service.Unusable}, most},
			{"its stream has a text", stream, []string{service.Unusable}, most},
			{"it is in gzip", plain, []string{service.Gzip}, reserve},
			{"its stream is in gzip", stream, []string{service.Gzip}, reserve},
			{"its stream is in brotli", stream, []string{service.Brotli}, reserve},
			{"its stream breaks off", stream, []string{service.Break}, reserve},
			{"the service is limited itself", plain, []string{service.Limited}, standard},
			{"the service fails", stream, []string{service.Failed}, standard},
			{"it is not in chunks", plain, []string{service.Whole}, 1200},
		} {
			t.Run(c.name, func(t *testing.T) {
				user := "user-" + strconv.Itoa(i)
				w.ask(t, user, chat, c.body, 1200, c.how...)
				w.holds(t, user, c.want)
			})
		}
		t.Run("more than max", func(t *testing.T) {
			w.ask(t, "carol", chat, stream, 1000000)
			w.holds(t, "carol", most)
		})
		t.Run("the client leaves", func(t *testing.T) {
			resp, leave := open(t, w.gateway, chat, stream, "x-user", "dave", "x-usage", "1200,0", "x-answer", service.Hang)
			if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			w.holds(t, "dave", reserve) // while it hangs
			leave()
			if r := await(t, w.Service); !r.Left {
				t.Errorf("%+v", r)
			}
			w.holds(t, "dave", reserve)
		})
	})
}

// A running total that breaks off costs what has been read of it, and never less than the reserve. The service breaks
// off in the middle of an event, whose number nobody has told yet.
func TestBrokenTotal(t *testing.T) {
	const running = `{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`
	each(t, func(t *testing.T, version string, http2 bool) {
		w := limited(t, version, http2, every)
		for i, c := range []struct {
			name, path, body, usage string
			want                    int
		}{
			// 50 events with numbers and three more: the 27th breaks off, and the first has no token of the answer.
			{"more than the reserve", chat, running, "1200,50", 1200 + 25},
			{"less than the reserve", chat, running, "30,50", reserve},
			{"more than max", chat, running, "1000000,50", most},
			{"Gemini's events", "/v1beta/models/g:streamGenerateContent?alt=sse", "{}", "1200,50", 1200 + 24},
			{"Gemini's list", "/v1beta/models/g:streamGenerateContent", "{}", "1200,50", 1200 + 24},
		} {
			t.Run(c.name, func(t *testing.T) {
				user := "broken-" + strconv.Itoa(i)
				got := ask(t, w.gateway, c.path, c.body, "x-user", user, "x-usage", c.usage, "x-answer", service.Break)
				if got.StatusCode != 200 || got.err == nil {
					t.Errorf("%d with %d bytes, and it does not break off", got.StatusCode, len(got.body))
				}
				await(t, w.Service)
				w.holds(t, user, c.want)
			})
			t.Run(c.name+", left by the client", func(t *testing.T) {
				user := "left-" + strconv.Itoa(i)
				resp, leave := open(t, w.gateway, c.path, c.body, "x-user", user, "x-usage", c.usage, "x-answer", service.Hang)
				// What has come to the client has passed the filter. The last number stands before the event that hangs.
				whole := ask(t, address(w.Service), c.path, c.body, "x-user", user, "x-usage", c.usage, "x-answer", service.Break)
				await(t, w.Service)
				if _, err := io.ReadFull(resp.Body, make([]byte, len(whole.body))); err != nil {
					t.Fatal(err)
				}
				leave()
				if r := await(t, w.Service); !r.Left {
					t.Errorf("%+v", r)
				}
				w.holds(t, user, c.want)
			})
		}
	})
}

// Who has spent the budget is refused, and the service is not asked.
func TestSpent(t *testing.T) {
	each(t, func(t *testing.T, version string, http2 bool) {
		w := limited(t, version, http2, openAI)
		for range budget / most {
			w.ask(t, "alice", chat, stream, most)
		}
		got := w.ask(t, "alice", chat, stream, 1)
		if got.StatusCode != 429 || !strings.Contains(got.body, "quota-exceeded") {
			t.Errorf("%d: %s", got.StatusCode, got.body)
		}
		w.holds(t, "bob", 0) // and the next request at the service is this one
	})
}

// Answers are what they are without the filter: unchanged and unbuffered.
func TestUnchanged(t *testing.T) {
	each(t, func(t *testing.T, version string, http2 bool) {
		s := service.Start(t)
		// A budget for all of these requests, whatever they cost.
		all := strings.ReplaceAll(limits(every.json), strconv.Itoa(budget), "1000000")
		unchanged(t, gateway(t, version, s, http2, harness.Filter(t, "rate-limit", all)), s, "x-user", "alice")
	})
}
