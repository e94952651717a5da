// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/harness/emulated"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// world is one proxy with the module that ships, with a clock to turn.
type world struct {
	t     *testing.T
	proxy *wasmhost.Proxy
	clock time.Time
	props map[string]string
}

func start(t *testing.T, o wasmhost.Options) *world {
	t.Helper()
	return startModule(t, "rate-limit", o)
}

func startModule(t *testing.T, name string, o wasmhost.Options) *world {
	t.Helper()
	module := emulated.Load(t, name)
	w := &world{t: t, clock: time.Unix(1_800_000_000, 0),
		props: map[string]string{"plugin_name": "limits", "source.address": "192.0.2.1:4711"}}
	o.Clock, o.Properties = func() time.Time { return w.clock }, w.props
	o.Clusters = []string{"ratelimit"}
	w.proxy = wasmhost.NewProxy(module, o)
	return w
}

func (w *world) worker(configs ...string) *wasmhost.Worker {
	w.t.Helper()
	worker, err := w.proxy.Worker(configs...)
	if err != nil {
		w.t.Fatal(err)
	}
	return worker
}

func get(headers ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":authority", "api"}, {":path", "/orders/7"}, {":scheme", "http"}},
		headers...)
}

// config is one of limits, each a list of members, with more of its own.
func config(more string, limits ...string) string {
	for i, l := range limits {
		if !strings.Contains(l, `"rate"`) && !strings.Contains(l, `"concurrency"`) {
			l += `,"rate":{"requests":5,"per":"1m"}`
		}
		limits[i] = fmt.Sprintf(`{"name":"l%d"%s}`, i, l)
	}
	return `{"limits":[` + strings.Join(limits, ",") + `]` + more + `}`
}

const (
	perAddress = `,"key":[{"sourceAddress":{}}]`
	perUser    = `,"key":[{"claim":["sub"]}],"scope":"global"`
)

func global(more string) string {
	return `,"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"d"` + more + `}`
}

func (w *world) want(what string, s *wasmhost.Stream, code string) {
	w.t.Helper()
	if got := s.Outcome(); got != code {
		w.t.Errorf("%s: %s, want %s", what, got, code)
	}
}

func (w *world) counted(name string, want uint64) {
	w.t.Helper()
	if n := w.proxy.Counters()["tollgate.rate_limit."+name]; n != want {
		w.t.Errorf("%s: %d, want %d; all are %v", name, n, want, w.proxy.Counters())
	}
}

func value(headers [][2]string, name string) string {
	var all []string
	for _, h := range headers {
		if h[0] == name {
			all = append(all, h[1])
		}
	}
	return strings.Join(all, "; ")
}

func respond(s *wasmhost.Stream, headers ...[2]string) [][2]string {
	got, _ := s.Respond(append([][2]string{{":status", "200"}}, headers...), "hello", nil)
	return got
}

// A limit over all workers, what its answers say, and whom it counts.
func TestLocal(t *testing.T) {
	w := start(t, wasmhost.Options{})
	both := config(`,"headers":"both"`, perAddress)
	workers := []*wasmhost.Worker{w.worker(both), w.worker(both)}
	for i := range 5 {
		s := workers[i%2].Request(get(), true)
		w.want("within", s, "ok")
		h := respond(s, [2]string{"ratelimit", `"upstream";r=1;t=1`}, [2]string{"x-ratelimit-limit", "99"})
		want := [][2]string{{"ratelimit-policy", `"l0";q=5;w=60`},
			{"ratelimit", fmt.Sprintf(`"upstream";r=1;t=1; "l0";r=%d;t=%d`, 4-i, 12*(i+1))}, {"x-ratelimit-limit", "5"},
			{"x-ratelimit-remaining", fmt.Sprint(4 - i)},
			{"x-ratelimit-reset", fmt.Sprint(12 * (i + 1))}, {"retry-after", ""}}
		for _, f := range want {
			if got := value(h, f[0]); got != f[1] {
				t.Errorf("%d: %s: %s, want %s", i, f[0], got, f[1])
			}
		}
		s.Close()
	}
	s := workers[1].Request(get(), true)
	w.want("one too many", s, "rate_limited")
	if h := s.Reply.Headers; s.Reply.Status != 429 || value(h, "retry-after") != "12" ||
		value(h, "ratelimit") != `"l0";r=0;t=60` || value(h, "x-ratelimit-remaining") != "0" ||
		value(h, "content-type") != "application/problem+json" {
		t.Errorf("%+v", s.Reply)
	}
	if h := respond(s); value(h, "ratelimit") != "" {
		t.Errorf("R18: a refusal says it twice: %v", h)
	}
	s = workers[0].Request(get([2]string{"content-type", "application/grpc"}), true)
	if w.want("one too many", s, "rate_limited"); s.Reply.GRPCStatus != 8 || s.Reply.Body != "rate_limited" {
		t.Errorf("gRPC: %+v", s.Reply)
	}
	w.counted("rule.l0.outcome.allowed.code.ok", 5)
	w.counted("rule.l0.outcome.denied.code.rate_limited", 2)
	w.props["source.address"] = "192.0.2.2:4711"
	w.want("another address", workers[0].Request(get(), true), "ok")
	w.want("P1", workers[0].Request([][2]string{{":method", "GET"}, {":authority", "api"}, {":path", "/a/../b"}}, true),
		"path_ambiguous")
	w.counted("rule.-.outcome.denied.code.path_ambiguous", 1)
}

// R4 R15: buckets are made at start, and neither another VM nor another configuration makes them anew.
func TestTableOutlives(t *testing.T) {
	harness.Alone(t, "neighbours have tables of their own")
	w := start(t, wasmhost.Options{})
	five := config(`,"table":{"entries":64}`, perAddress)
	worker := w.worker(five)
	buckets, seeds := 0, map[string]string{}
	for key, value := range w.proxy.SharedData() {
		if strings.HasSuffix(key, "seed") {
			seeds[key] = string(value)
		} else if string(value) == string(gcra.Empty()) {
			buckets++
		}
	}
	if buckets != 4+1 || len(seeds) != 1 { // twice 64 entries, 32 in each, and the mark that all are there
		t.Errorf("%d buckets, %d seeds", buckets, len(seeds))
	}
	for range 5 {
		w.want("within", worker.Request(get(), true), "ok")
	}
	w.want("another VM", w.worker(five).Request(get(), true), "rate_limited")
	w.want("another configuration",
		w.worker(config(`,"table":{"entries":64},"headers":"none"`,
			perAddress+`,"rate":{"requests":6,"per":"1m","burst":1}`)).Request(get(), true), "rate_limited")
	w.want("a table of its own", w.worker(config(`,"table":{"entries":256}`, perAddress)).Request(get(), true), "ok")
	for key, seed := range seeds {
		if string(w.proxy.SharedData()[key]) != seed {
			t.Error("R9: the seed has changed")
		}
	}
	w.props["plugin_name"] = "others"
	w.want("another filter", w.worker(five).Request(get(), true), "ok")
}

// R9: nobody can compute which keys share a bucket: each proxy has a seed of its own.
func TestSeeds(t *testing.T) {
	harness.Alone(t, "neighbours have tables of their own")
	seen := map[string]bool{}
	for range 4 {
		w := start(t, wasmhost.Options{})
		w.worker(config("", ""))
		for key, value := range w.proxy.SharedData() {
			if strings.HasSuffix(key, "seed") && len(value) == 16 {
				seen[string(value)] = true
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d seeds in four proxies", len(seen))
	}
}

// R6: the proxy's clock goes an hour back and forth.
func TestClock(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config("", perAddress))
	admitted := func(n int) (admitted int) {
		for range n {
			if s := worker.Request(get(), true); s.Reply == nil {
				admitted++
			}
		}
		return admitted
	}
	if n := admitted(20); n != 5 {
		t.Errorf("%d of a burst of 5", n)
	}
	w.clock = w.clock.Add(-time.Hour)
	if n := admitted(20); n > 5 {
		t.Errorf("%d after an hour back", n)
	}
	w.clock = w.clock.Add(12 * time.Second)
	if n := admitted(20); n != 1 {
		t.Errorf("%d in the twelve seconds after it: shut out until the clock is where it was, or open", n)
	}
	w.clock = w.clock.Add(2 * time.Hour)
	if n := admitted(20); n != 5 {
		t.Errorf("%d after two hours forward", n)
	}
}

// Every host call that a request needs fails, in each place and from there on: then the request
// does not go on. Only a limit in shadow mode decides nothing by its failure, either.
func TestEveryCallFails(t *testing.T) {
	for name, c := range map[string]struct {
		config  string
		answers bool
	}{
		"local": {config(`,"headers":"both"`, perAddress,
			`,"key":[{"claim":["sub"]},{"peer":true}],"onMissingKey":"shared"`, `,"mode":"shadow"`), false},
		"global": {config(global(`,"onError":"deny"`), perUser), true},
	} {
		t.Run(name, func(t *testing.T) {
			// at is the call that fails, counted from the beginning of the request; -1: none.
			at, calls, failed := -1, []string(nil), ""
			watching := false
			w := start(t, wasmhost.Options{Fault: func(call string) wasmhost.Status {
				if !watching {
					return wasmhost.OK
				}
				if calls = append(calls, call); len(calls)-1 == at {
					failed = call
				}
				if call == failed {
					return wasmhost.InternalFailure
				}
				return wasmhost.OK
			}})
			w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"ann"}`
			worker := w.worker(c.config)
			ask := func() *wasmhost.Stream {
				w.clock = w.clock.Add(time.Hour)
				s := worker.Request(get(), true)
				for _, call := range w.proxy.Calls() {
					call.Answer([][2]string{{":status", "200"}, {"content-type", "application/grpc"}}, answer(1, 4),
						[][2]string{{"grpc-status", "0"}})
				}
				return s
			}
			w.want("before", ask(), "ok")
			watching = true
			w.want("nothing fails", ask(), "ok")
			total, third := len(calls), 0 // where the limit in shadow mode begins, the third
			for i, call := range calls {
				if call == "proxy_get_shared_data" {
					third = i
				}
			}
			for at = 0; at < total; at++ {
				calls, failed = nil, ""
				s := ask()
				shadow := name == "local" && (at == third || at == third+1)
				if passes := s.Reply == nil && (s.Action == wasmhost.Continue || s.Resumed); passes != shadow {
					t.Errorf("call %d, %s, fails and the request goes on: %v, of %v", at, failed, passes, calls)
				}
				if s.Reply != nil && s.Reply.Status < 500 {
					t.Errorf("call %d, %s, fails and the answer is %d", at, failed, s.Reply.Status)
				}
				s.Close()
			}
			if total < 6 {
				t.Errorf("only %v", calls)
			}
			// A response is the upstream's: it goes on.
			if name == "local" {
				watching = false
				s := ask()
				watching, calls, at = true, nil, 0
				if h := respond(s); value(h, ":status") != "200" || failed != "proxy_add_header_map_value" || s.Reply != nil {
					t.Errorf("%s fails: %v, %+v", failed, h, s.Reply)
				}
				if log := w.proxy.LogText(); strings.Count(log, "the proxy refuses the response header ratelimit") != 2 {
					t.Errorf("nothing in the log: %s", log)
				}
				w.counted("rule.l2.outcome.error.code.internal", 2)
			}
			if n := w.proxy.VMs(); n != 1 {
				t.Errorf("%d VMs", n)
			}
		})
	}
}

// Other workers change the bucket between this one's look and its write: it tries sixteen times,
// and what then is not counted is refused.
func TestFasterWorkers(t *testing.T) {
	lost, tries := 0, 0
	w := start(t, wasmhost.Options{Fault: func(call string) wasmhost.Status {
		if call == "proxy_set_shared_data" && lost > 0 {
			lost, tries = lost-1, tries+1
			return wasmhost.CasMismatch
		}
		return wasmhost.OK
	}})
	worker := w.worker(config("", perAddress))
	lost = 15
	w.want("the sixteenth try", worker.Request(get(), true), "ok")
	lost, tries = 100, 0
	if w.want("never", worker.Request(get(), true), "rate_limited"); tries != 16 {
		t.Errorf("%d tries", tries)
	}
}

// answer is a RateLimitResponse with one status: its code, 1 for OK and 2 for over the limit, and
// what remains of 5 in a minute, of which 30 seconds are left.
func answer(code, remaining byte) []byte {
	status := []byte{8, code, 18, 4, 8, 5, 16, 2, 24, remaining, 34, 2, 8, 30}
	message := append([]byte{8, code, 18, byte(len(status))}, status...)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

var (
	answered = [][2]string{{":status", "200"}, {"content-type", "application/grpc"}}
	good     = [][2]string{{"grpc-status", "0"}}
)

// A request waits for the service with its body, and goes on by what the service says; R19: as a gRPC call.
func TestGlobal(t *testing.T) {
	w := start(t, wasmhost.Options{})
	// Behind the global limit stands one in shadow mode, which is looked at when the proxy's memory
	// has long been used again.
	w.props["filter_state.wasm.tollgate.identity"], w.props["connection.uri_san_peer_certificate"] = `{"sub":"ann"}`,
		"spiffe://a/b"
	worker := w.worker(config(global(""), perUser,
		`,"mode":"shadow","match":[{"paths":["/orders/{id}"]}],"key":[{"claim":["sub"]},{"peer":true},{"header":"x-key"},{"pathVariable":"id"}],"rate":{"requests":1,"per":"1h"}`))
	first := worker.Request(get([2]string{"x-key", "k"}), false)
	w.want("before the answer", first, "waits")
	first.Body("hello", true)
	w.want("with its body", first, "waits")
	call := w.proxy.Calls()[0]
	if call.Cluster != "ratelimit" ||
		value(call.Headers, ":path") != "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit" ||
		value(call.Headers, "te") != "trailers" || call.Timeout != 20*time.Millisecond ||
		strings.Contains(string(call.Body), "ann") || !strings.Contains(string(call.Body), "limit\x12\x02l0") {
		t.Errorf("%+v", call)
	}
	w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"bob"}`
	other := worker.Request(get([2]string{"x-key", "other"}, [2]string{"x-filler", strings.Repeat("x", 4000)}), true)
	w.want("another meanwhile", other, "waits")
	call.Answer(answered, answer(1, 4), good)
	w.want("answered", first, "ok")
	if h := respond(first); value(h, "ratelimit") != `"l0";r=4;t=30` {
		t.Errorf("%v", h)
	}
	w.proxy.Calls()[0].Answer(answered, answer(2, 0), good)
	w.want("over", other, "rate_limited")
	if h := other.Reply.Headers; value(h, "retry-after") != "30" || value(h, "ratelimit") != `"l0";r=0;t=30` {
		t.Errorf("%v", h)
	}
	w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"ann"}`
	again := worker.Request(get([2]string{"x-key", "k"}), true)
	w.proxy.Calls()[0].Answer(answered, answer(1, 3), good)
	w.want("again", again, "ok")
	w.counted("rule.l1.outcome.allowed.code.ok", 1)
	w.counted("rule.l1.outcome.would_deny.code.rate_limited", 1)
	w.counted("service.outcome.answered", 3)
	if log := w.proxy.LogText(); strings.Contains(log, "another rate") {
		t.Errorf("%s", log)
	}
	for range 2 {
		w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"cid"}`
		other := worker.Request(get(), true)
		w.proxy.Calls()[0].Answer(answered, bytes.Replace(answer(1, 3), []byte{8, 5, 16, 2}, []byte{8, 6, 16, 2}, 1), good)
		w.want("a service with another rate", other, "ok")
	}
	if log := w.proxy.LogText(); strings.Count(log, "another rate") != 1 {
		t.Errorf("told once: %s", log)
	}
	w.counted("service.outcome.answered", 5)
	w.counted("service.outcome.failed", 0)
	w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"bob"}`
	if w.want("R20: bob, again", worker.Request(get(), true), "rate_limited"); len(w.proxy.Calls()) != 0 {
		t.Error("R20: the service is asked for a key of which it has said that it is over")
	}
}

// R11 R12: what becomes of a request whose service does not tell, as configured; each in its own code, and none in 500.
func TestServiceFails(t *testing.T) {
	for name, fail := range map[string]func(*wasmhost.Call){
		"no answer": func(c *wasmhost.Call) { c.Fail() },
		"HTTP 503":  func(c *wasmhost.Call) { c.Answer([][2]string{{":status", "503"}}, nil, nil) },
		"a status": func(c *wasmhost.Call) {
			c.Answer(append(slices.Clone(answered), [2]string{"grpc-status", "14"}), nil, nil)
		},
		"no status":      func(c *wasmhost.Call) { c.Answer(answered, answer(1, 4), nil) },
		"a torn answer":  func(c *wasmhost.Call) { c.Answer(answered, answer(1, 4)[:9], good) },
		"nothing but OK": func(c *wasmhost.Call) { c.Answer(answered, []byte{0, 0, 0, 0, 2, 8, 1}, good) },
		"another question": func(c *wasmhost.Call) {
			c.Answer(answered, append([]byte{0, 0, 0, 0, 6, 8, 1}, 18, 0, 18, 0), good)
		},
	} {
		for onError, want := range map[string][3]string{"deny": {"limiter_unavailable", "limiter_unavailable",
			"limiter_unavailable"}, "allow": {"ok", "ok", "ok"}, "local": {"ok", "ok", "rate_limited"}} {
			w := start(t, wasmhost.Options{})
			w.props["filter_state.wasm.tollgate.identity"] = `{"sub":"ann"}`
			more := `,"onError":"` + onError + `"`
			if onError == "local" {
				more += `,"replicas":2`
			}
			worker := w.worker(config(global(more), perUser))
			for i, code := range want {
				s := worker.Request(get(), true)
				w.want(name, s, "waits")
				fail(w.proxy.Calls()[0])
				w.want(fmt.Sprintf("%s, onError: %s, %d", name, onError, i), s, code)
				if s.Reply != nil && s.Reply.Status != map[bool]uint32{true: 503, false: 429}[onError == "deny"] {
					t.Errorf("%s: %d", name, s.Reply.Status)
				}
			}
			w.counted("service.outcome.failed", 3)
			if log := w.proxy.LogText(); strings.Count(log, "rate_limit: global: cluster ratelimit: ") != 1 ||
				strings.Contains(log, "ann") {
				t.Errorf("%s: the log: %s", name, log)
			}
		}
	}
	w := start(t, wasmhost.Options{})
	worker := w.worker(config(strings.Replace(global(`,"onError":"deny"`), "ratelimit", "nowhere", 1),
		`,"scope":"global"`))
	w.want("W29: a cluster that is not there", worker.Request(get(), true), "limiter_unavailable")
}

// R14 W18: an answer for a stream that has ended is nobody's, and does nothing to others.
func TestLateAnswers(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config(global(""), `,"scope":"global"`))
	gone, waits := worker.Request(get(), true), worker.Request(get(), true)
	calls := w.proxy.Calls()
	gone.Close()
	calls[0].Answer(answered, answer(2, 0), good)
	w.want("the other", waits, "waits")
	if gone.Resumed || gone.Reply != nil {
		t.Error("a stream that has ended is taken up again")
	}
	calls[1].Answer(answered, answer(1, 4), good)
	w.want("the other", waits, "ok")
	waits.Close()
	// A response that never came is owed nothing any more, whoever gets the stream's memory.
	s := worker.Request(get(), true)
	w.proxy.Calls()[0].Answer(answered, answer(1, 3), good)
	w.want("third", s, "ok")
	s.Close()
	for range 3000 {
		worker.Request(get(), true).Close()
		for _, c := range w.proxy.Calls() {
			c.Fail()
		}
	}
	if n := w.proxy.VMs(); n != 1 {
		t.Errorf("%d VMs", n)
	}
}

// R20: how often a request crosses between proxy and filter is its price; a limit of this proxy
// costs two more, whatever the other limits are.
func TestCrossings(t *testing.T) {
	harness.Alone(t, "neighbours have crossings of their own; those of chains are counted in filters/tollgate/chain")
	for module, bodies := range map[string]int{"rate-limit": 1, "rate-limit-lean": 0} {
		t.Run(module, func(t *testing.T) { crossings(t, module, bodies) })
	}
}

func crossings(t *testing.T, module string, bodies int) {
	w := startModule(t, module, wasmhost.Options{})
	worker := w.worker(config(`,"headers":"none"`, `,"rate":{"requests":1000,"per":"1s"}`),
		config("", perAddress+`,"rate":{"requests":1000,"per":"1s"}`), config(`,"headers":"none"`,
			`,"match":[{"paths":["/x"]}]`))
	stream := map[string]int{"proxy_on_context_create": 1, "proxy_on_request_headers": 1,
		"proxy_on_response_headers": 1, "proxy_on_response_body": bodies, "proxy_on_delete": 1,
		"proxy_get_header_map_pairs":         1,
		"proxy_get_current_time_nanoseconds": 1, "proxy_increment_metric": 1}
	for plugin, more := range []map[string]int{
		{"proxy_on_memory_allocate": 2, "proxy_get_shared_data": 1, "proxy_set_shared_data": 1},
		{"proxy_on_memory_allocate": 3, "proxy_get_property": 1, "proxy_get_shared_data": 1, "proxy_set_shared_data": 1,
			"proxy_add_header_map_value": 2},
		{"proxy_on_memory_allocate": 1},
	} {
		for range 2 {
			worker.ResetCrossings()
			s := worker.RequestTo(plugin, get(), true)
			w.want("within", s, "ok")
			respond(s)
			s.Close()
		}
		got := worker.Crossings()
		for call, n := range got {
			if want := stream[call] + more[call]; n != want {
				t.Errorf("plugin %d: %s %d times, want %d", plugin, call, n, want)
			}
			delete(got, call)
		}
		for call := range more {
			if _, seen := got[call]; seen {
				t.Errorf("plugin %d: %s is missing", plugin, call)
			}
		}
	}
}

// R2: a bucket that holds nonsense refuses, and is no reason to stop for the others.
func TestNonsenseInSharedData(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config(`,"table":{"entries":16}`, perAddress))
	for key, value := range w.proxy.SharedData() {
		if string(value) == string(gcra.Empty()) {
			w.proxy.SetSharedData(key, []byte("nonsense"))
		}
	}
	w.want("W23: nonsense", worker.Request(get(), true), "rate_limited")
	w = start(t, wasmhost.Options{})
	w.worker(config("", ""))
	for key := range w.proxy.SharedData() {
		if strings.HasSuffix(key, "seed") {
			w.proxy.SetSharedData(key, []byte("short"))
		}
	}
	if _, err := w.proxy.Worker(config("", "")); err == nil {
		t.Error("R9: a seed of five bytes is taken")
	}
}

// A lean module refuses what it cannot do, and says which module can.
func TestLean(t *testing.T) {
	harness.Alone(t, "neighbours are in the whole module")
	w := startModule(t, "rate-limit-lean", wasmhost.Options{})
	if _, err := w.proxy.Worker(config("", "", tokens)); err == nil ||
		!strings.Contains(err.Error(), "limits[1].cost.response.json: needs to see the bodies of answers") {
		t.Errorf("%v", err)
	}
	worker := w.worker(config("", `,"counts":{"status":["401"]}`, strings.Replace(tokens, `"json":["usage","total_tokens"],"stream":"sse"`,
		`"header":"x-cost"`, 1), atOnce))
	s := worker.Request(get([2]string{"x-user", "ann"}), true)
	w.want("within", s, "ok")
	s.Respond(status("401", [2]string{"x-cost", "7"}), "body", nil)
	w.counted("rule.l0.cost.settled", 1)
	w.counted("rule.l1.cost.settled", 7)
	s.Close()
	worker.Tick()
	if n := w.proxy.Gauges()["tollgate.rate_limit.rule.l2.in_flight"]; n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestConfiguration(t *testing.T) {
	harness.Alone(t, "in a chain faults are told from its top: filters/tollgate/chain")
	w := start(t, wasmhost.Options{})
	for text, want := range map[string]string{"": "the configuration is empty",
		`{"limits":[]}`: "limits: the list is empty", config("", `,"scope":"global"`): "global: is required"} {
		if _, err := w.proxy.Worker(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	w.worker(config("", `,"key":[{"header":"x-key"}]`))
	if log := w.proxy.LogText(); !strings.Contains(log, "limits[0].key: is chosen by clients") {
		t.Errorf("R8: no warning in %s", log)
	}
	delete(w.props, "plugin_name")
	if _, err := w.proxy.Worker(config("", "")); err == nil {
		t.Error("a filter without a name would share its table with others")
	}
}

// W31: a VM tells what memory it has.
func TestMemory(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(config("", ""))
	if periods := worker.TickPeriods(); len(periods) != 1 || periods[0] != 10_000 {
		t.Errorf("ticks every %v ms", periods)
	}
	if worker.Tick(); w.proxy.Gauges()["tollgate.rate_limit.vm.memory_bytes"] == 0 {
		t.Error("nothing is told")
	}
}
