// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// status is the headers of an answer.
func status(code string, headers ...[2]string) [][2]string {
	return append([][2]string{{":status", code}}, headers...)
}

var (
	asJSON   = [2]string{"content-type", "application/json"}
	asEvents = [2]string{"content-type", "text/event-stream; charset=utf-8"}
)

const tokens = `,"rate":{"requests":1000,"per":"1h"},"cost":{"response":{"json":["usage","total_tokens"],"stream":"sse",` +
	`"reserve":100,"default":50,"max":5000}}`

// R31 R32: what an answer says it has cost is settled when it has passed, whatever the way it comes.
func TestCostOfAnswers(t *testing.T) {
	usage := func(n string) string { return `{"choices":[],"usage":{"prompt_tokens":1,"total_tokens":` + n + `}}` }
	for name, c := range map[string]struct {
		respond func(*wasmhost.Stream)
		cost    int
		given   int
	}{
		"JSON":          {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), usage("42"), nil) }, 42, 58},
		"with a path":   {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), usage("642"), nil) }, 642, 0},
		"as reserved":   {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), usage("100"), nil) }, 100, 0},
		"more than max": {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), usage("1e9"), nil) }, 5000, 0},
		"a negative number is not missing": {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), usage("-4"), nil) },
			5000, 0},
		"without":         {func(s *wasmhost.Stream) { s.Respond(status("200", asJSON), `{"usage":null}`, nil) }, 50, 50},
		"an empty answer": {func(s *wasmhost.Stream) { s.Respond(status("204"), "", nil) }, 50, 50},
		"with trailers": {func(s *wasmhost.Stream) {
			s.Respond(status("200", asJSON), usage("7"), [][2]string{{"x-more", "1"}})
		}, 7, 93},
		"in pieces": {func(s *wasmhost.Stream) {
			s.RespondHeaders(status("200", asJSON), false)
			text := usage("77")
			for i := range len(text) {
				s.RespondBody(text[i:i+1], i == len(text)-1)
			}
		}, 77, 23},
		"more at once than is read at once": {func(s *wasmhost.Stream) {
			s.Respond(status("200", asJSON), `{"a":"`+strings.Repeat("x", 100_000)+`","usage":{"total_tokens":9}}`, nil)
		}, 9, 91},
		"events": {func(s *wasmhost.Stream) {
			s.RespondHeaders(status("200", asEvents), false)
			s.RespondBody("data: {\"usage\":null}\n\ndata: {\"us", false)
			s.RespondBody("age\":{\"total_tokens\":31}}\n\n", false)
			s.RespondBody("data: [DONE]\n\n", false)
			s.RespondBody("", true)
		}, 31, 69},
		"compressed": {func(s *wasmhost.Stream) {
			s.Respond(status("200", asJSON, [2]string{"content-encoding", "gzip"}), usage("7"), nil)
		}, 100, 0},
		"not compressed": {func(s *wasmhost.Stream) {
			s.Respond(status("200", asJSON, [2]string{"content-encoding", "Identity"}), usage("7"), nil)
		}, 7, 93},
		"broken off before it": {func(s *wasmhost.Stream) {
			s.RespondHeaders(status("200", asEvents), false)
			s.RespondBody("data: {\"usage\":null}\n\n", false)
		}, 100, 0},
		"broken off, and little so far": {func(s *wasmhost.Stream) {
			s.RespondHeaders(status("200", asEvents), false)
			s.RespondBody("data: {\"usage\":{\"total_tokens\":3}}\n\n", false)
		}, 100, 0},
		"broken off, and much so far": {func(s *wasmhost.Stream) {
			s.RespondHeaders(status("200", asEvents), false)
			s.RespondBody("data: {\"usage\":{\"total_tokens\":300}}\n\n", false)
		}, 300, 0},
		"never answered": {func(*wasmhost.Stream) {}, 100, 0},
	} {
		w := start(t, wasmhost.Options{})
		worker := w.worker(config("", tokens))
		s := worker.Request(get(), true)
		w.want(name, s, "ok")
		c.respond(s)
		s.Close()
		w.counted("rule.l0.cost.reserved", 100)
		w.counted("rule.l0.cost.settled", uint64(c.cost))
		w.counted("rule.l0.cost.given_back", uint64(c.given))
		next := worker.Request(get(), true)
		if c.cost > 900 {
			w.want(name+", and then", next, "rate_limited")
			seconds := 36 * (c.cost - 900) / 10
			if got := value(next.Reply.Headers, "retry-after"); got != fmt.Sprint(seconds) {
				t.Errorf("%s: retry-after %s, want %d", name, got, seconds)
			}
			continue
		}
		w.want(name+", and then", next, "ok")
		if got := value(next.RespondHeaders(status("200", asJSON), false), "ratelimit"); !strings.HasPrefix(got,
			fmt.Sprintf(`"l0";r=%d;`, 1000-c.cost-100)) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A stream that is split anywhere costs the same, and passes as it is.
func TestAnswersPassUnchanged(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config("", tokens))
	body := "event: m\r\ndata: {\"usage\":\r\ndata: {\"total_tokens\":12}}\r\n\r\ndata: [DONE]\r\n\r\n"
	for i := range len(body) {
		s := worker.Request(get(), true)
		w.want("within", s, "ok")
		h := s.RespondHeaders(status("200", asEvents, [2]string{"x-other", "1"}), false)
		if value(h, "content-type") != asEvents[1] || value(h, "x-other") != "1" {
			t.Errorf("%v", h)
		}
		if got := s.RespondBody(body[:i], false) + s.RespondBody(body[i:], true); got != body {
			t.Errorf("%q", got)
		}
		s.Close()
		w.counted("rule.l0.cost.settled", uint64(12*(i+1)))
		w.clock = w.clock.Add(time.Hour)
	}
}

// What a header of the answer tells does not wait for its body.
func TestCostInHeader(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config("", `,"rate":{"requests":100,"per":"1h"},"cost":{"response":{"header":"x-cost","reserve":10,"max":50}}`))
	for i, c := range []struct {
		headers [][2]string
		cost    uint64
	}{{[][2]string{{"x-cost", "3"}}, 3}, {[][2]string{{"x-cost", "2.1"}, {"x-cost", "1"}}, 3}, {nil, 10},
		{[][2]string{{"x-cost", "-1"}}, 50},
		{[][2]string{{"x-cost", "999"}}, 50}} {
		w.clock = w.clock.Add(time.Hour)
		before := w.proxy.Counters()["tollgate.rate_limit.rule.l0.cost.settled"]
		s := worker.Request(get(), true)
		w.want("within", s, "ok")
		h := s.RespondHeaders(status("200", c.headers...), false)
		if value(h, "x-cost") == "" && c.headers != nil {
			t.Errorf("%d: %v", i, h)
		}
		w.counted("rule.l0.cost.settled", before+c.cost)
		s.RespondBody("x", true)
		s.Close()
		w.counted("rule.l0.cost.settled", before+c.cost)
	}
}

// R36 R37: only answers with these statuses spend, when they are answered; who has spent the limit is refused.
func TestCounts(t *testing.T) {
	w := start(t, wasmhost.Options{})
	logins := config("", `,"key":[{"header":"x-user"}],"rate":{"requests":3,"per":"1h"},"counts":{"status":["401","5xx"]}`)
	workers := []*wasmhost.Worker{w.worker(logins), w.worker(logins)}
	attempt := func(i int, user, code string) {
		t.Helper()
		s := workers[i%2].Request(get([2]string{"x-user", user}), true)
		w.want("within", s, "ok")
		s.Respond(status(code), "no", nil)
		s.Close()
	}
	for i := range 20 {
		attempt(i, "ann", "200")
		attempt(i, "ann", "403")
	}
	for i, code := range []string{"401", "599", "401"} {
		attempt(i, "ann", code)
	}
	for i := range 4 {
		s := workers[i%2].Request(get([2]string{"x-user", "ann"}), true)
		w.want("spent", s, "rate_limited")
		if got := value(s.Reply.Headers, "retry-after"); got != "1200" {
			t.Errorf("retry-after %s", got)
		}
		s.Close()
	}
	attempt(0, "bob", "401")
	w.counted("rule.l0.cost.settled", 4)
	w.counted("rule.l0.cost.reserved", 0)
	w.clock = w.clock.Add(20 * time.Minute)
	// As many as come before one is answered are let through; each of them is counted.
	open := []*wasmhost.Stream{}
	for range 5 {
		s := workers[0].Request(get([2]string{"x-user", "ann"}), true)
		w.want("at once", s, "ok")
		open = append(open, s)
	}
	for _, s := range open {
		s.RespondHeaders(status("401"), false) // whose body nobody reads
	}
	s := workers[1].Request(get([2]string{"x-user", "ann"}), true)
	w.want("after them", s, "rate_limited")
	if got := value(s.Reply.Headers, "retry-after"); got != "6000" {
		t.Errorf("five were let through where one was left, so that four more have to drain: retry-after %s", got)
	}
	// One that nobody answered has spent nothing.
	s = workers[0].Request(get([2]string{"x-user", "cid"}), true)
	s.Close()
	w.counted("rule.l0.cost.settled", 9)
}

const atOnce = `,"key":[{"header":"x-user"}],"concurrency":{"requests":2,"maxAge":"30s"}`

// Requests at once are counted over all workers, and each way in which a stream can end gives its place back.
func TestConcurrency(t *testing.T) {
	for name, end := range map[string]func(*wasmhost.Stream){
		"answered":                   func(s *wasmhost.Stream) { s.Respond(status("200"), "x", nil); s.Close() },
		"never answered":             func(s *wasmhost.Stream) { s.Close() },
		"broken off":                 func(s *wasmhost.Stream) { s.RespondHeaders(status("200"), false); s.Close() },
		"answered without a body":    func(s *wasmhost.Stream) { s.Respond(status("204"), "", nil); s.Close() },
		"answered by a later filter": func(s *wasmhost.Stream) { s.Respond(status("403", asJSON), "{}", nil); s.Close() },
		"an upgrade": func(s *wasmhost.Stream) {
			s.RespondHeaders(status("101", [2]string{"upgrade", "websocket"}), false)
			s.RespondBody("frame", false)
			s.Close()
		},
	} {
		w := start(t, wasmhost.Options{})
		c := config("", atOnce)
		workers := []*wasmhost.Worker{w.worker(c), w.worker(c), w.worker(c)}
		request := func(i int, user string) *wasmhost.Stream {
			return workers[i%3].Request(get([2]string{"x-user", user}), true)
		}
		for i := range 30 {
			a, b := request(i, "ann"), request(i+1, "ann")
			w.want(name, a, "ok")
			w.want(name, b, "ok")
			over := request(i+2, "ann")
			w.want(name+": one too many", over, "rate_limited")
			if got := value(over.Reply.Headers, "retry-after"); got != "" {
				t.Errorf("%s: nobody knows when a request ends: retry-after %s", name, got)
			}
			if got := value(over.Reply.Headers, "ratelimit"); got != `"l0";r=0` {
				t.Errorf("%s: %s", name, got)
			}
			if got := value(over.Reply.Headers, "ratelimit-policy"); got != `"l0";q=2;qu="concurrent-requests"` {
				t.Errorf("%s: %s", name, got)
			}
			over.Close()
			other := request(i, "bob")
			w.want("another key", other, "ok")
			other.Close()
			end(a)
			again := request(i+2, "ann")
			w.want(name+": a place is free", again, "ok")
			end(again)
			end(b)
		}
		for _, worker := range workers {
			worker.Tick()
		}
		if n := w.proxy.Gauges()["tollgate.rate_limit.rule.l0.in_flight"]; n != 0 {
			t.Errorf("%s: %d in flight", name, n)
		}
	}
}

// R35: what a VM that has died had on its way ends after maxAge; what lasts longer in one that lives counts on.
func TestConcurrencyOfADeadVM(t *testing.T) {
	w := start(t, wasmhost.Options{})
	c := config("", atOnce)
	dead, alive := w.worker(c), w.worker(c)
	user := get([2]string{"x-user", "ann"})
	w.want("one", dead.Request(user, true), "ok")
	long := alive.Request(user, true)
	w.want("two", long, "ok")
	alive.Tick()
	if n := w.proxy.Gauges()["tollgate.rate_limit.rule.l0.in_flight"]; n != 1 {
		t.Errorf("%d in flight, of those that have told", n)
	}
	dead.Tick()
	if n := w.proxy.Gauges()["tollgate.rate_limit.rule.l0.in_flight"]; n != 2 {
		t.Errorf("%d in flight", n)
	}
	for range 29 {
		w.clock = w.clock.Add(time.Second)
		alive.Tick()
		w.want("before maxAge", alive.Request(user, true), "rate_limited")
	}
	w.clock = w.clock.Add(time.Second)
	alive.Tick()
	second := alive.Request(user, true)
	w.want("after it", second, "ok")
	w.want("the other lasts", alive.Request(user, true), "rate_limited")
	for range 100 {
		w.clock = w.clock.Add(time.Second)
		alive.Tick()
	}
	w.want("the other lasts", alive.Request(user, true), "rate_limited")
	if n := w.proxy.Gauges()["tollgate.rate_limit.rule.l0.in_flight"]; n != 2 {
		t.Errorf("%d in flight", n)
	}
	long.Close()
	w.want("until it ends", alive.Request(user, true), "ok")
}

// A VM says in time that what it has on its way lasts.
func TestTicksOfConcurrency(t *testing.T) {
	for maxAge, want := range map[string]uint32{"60s": 1000, "1s": 166} {
		w := start(t, wasmhost.Options{})
		worker := w.worker(config("", `,"concurrency":{"requests":1,"maxAge":"`+maxAge+`"}`))
		if periods := worker.TickPeriods(); len(periods) != 1 || periods[0] != want {
			t.Errorf("%s: ticks every %v ms", maxAge, periods)
		}
	}
}

// R35: a request that another limit refuses, or that ends while it waits for the service, holds no place.
func TestConcurrencyGivenBack(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config(global(`,"onError":"deny"`), atOnce, `,"key":[{"header":"x-other"}],"rate":{"requests":1,"per":"1h"}`,
		`,"key":[{"header":"x-user"}],"scope":"global"`))
	user := get([2]string{"x-user", "ann"}, [2]string{"x-other", "1"})
	for i := range 5 {
		s := worker.Request(user, true)
		if i > 0 {
			w.want("refused by another limit", s, "rate_limited")
			continue
		}
		w.want("waits", s, "waits")
		w.proxy.Calls()[0].Answer(answered, answer(1, 4), good)
		w.want("goes on", s, "ok")
		s.Close()
	}
	user = get([2]string{"x-user", "ann"})
	for range 5 {
		s := worker.Request(user, true)
		w.want("waits", s, "waits")
		s.Close()
	}
	for range 3 {
		s := worker.Request(user, true)
		w.want("waits", s, "waits")
		calls := w.proxy.Calls()
		calls[len(calls)-1].Fail()
		w.want("the service does not tell", s, "limiter_unavailable")
	}
	for range 2 {
		w.want("the first two", worker.Request(user, true), "waits")
	}
	w.want("the third", worker.Request(user, true), "rate_limited")
}

// What the service is told of what an answer has cost more than was reserved.
func TestGlobalCostOfAnswers(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config(global(""), `,"scope":"global"`+tokens))
	ask := func(code, left byte) *wasmhost.Stream {
		t.Helper()
		s := worker.Request(get(), true)
		w.want("asks", s, "waits")
		calls := w.proxy.Calls()
		calls[len(calls)-1].Answer(answered, answer(code, left), good)
		return s
	}
	asked := func() int { return len(w.proxy.Calls()) }
	for i, c := range []struct {
		body string
		hits string // of the call that tells what it has cost; empty: there is none
	}{{`{"usage":{"total_tokens":300}}`, "\xc8\x01"}, {`{"usage":{"total_tokens":100}}`, ""}, {`{"usage":{"total_tokens":10}}`, ""}} {
		s := ask(1, 90)
		w.want("within", s, "ok")
		s.RespondHeaders(status("200", asJSON), false)
		before := asked()
		s.RespondBody(c.body, true)
		if (asked() > before) != (c.hits != "") {
			t.Fatalf("%d: %d calls after the answer", i, asked()-before)
		}
		if c.hits != "" {
			call := w.proxy.Calls()[before]
			if !bytes.Contains(call.Body, []byte(c.hits)) {
				t.Errorf("%d: %q", i, call.Body)
			}
			call.Answer(answered, answer(2, 0), good)
		}
		s.Close()
	}
	// A stream that ends before its answer is complete tells it, too, when nothing is left of it.
	s := ask(1, 90)
	s.RespondHeaders(status("200", asEvents), false)
	s.RespondBody("data: {\"usage\":{\"total_tokens\":400}}\n\n", false)
	before := asked()
	s.Close()
	if asked() != before+1 {
		t.Errorf("%d calls at the end", asked()-before)
	}
	w.proxy.Calls()[before].Fail()
	w.counted("service.outcome.failed", 1)
	w.counted("rule.l0.cost.settled", 300+100+10+400)
}
