// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// What the failures are tried with. Alone, a proxy lets a quarter of 8 through.
const (
	timeout  = 100 * time.Millisecond // a good answer takes one or two, and not so many even where the machine is busy
	replicas = 4
	most     = 8
	share    = most / replicas
	tries    = 40 // requests of each cell
)

// How the breaker is: so many failures in a row stop the calls, for so long.
const (
	breakerFailures = 5
	breakerPause    = 500 * time.Millisecond
)

// recovery is how long the filter may take to use a service that is back.
const recovery = 5 * time.Second

var columns = []string{"local", "allow", "deny"}

// failures is a proxy with a listener for each way to the service and each onError, and what can be broken.
type failures struct {
	version string
	redis   *harness.Redis
	service *harness.RateLimit
	front   *front
	envoy   *harness.Envoy
	conns   map[string]*harness.Conn // by listener
	key     int
	waited  map[string]bool // keys of rows in which nothing answers
}

// failing is the configuration of one of those listeners.
func failing(to, domain, onError string) M {
	g := M{"cluster": to, "authority": "ratelimit", "domain": domain, "timeout": timeout.String(), "onError": onError}
	if onError == "local" {
		g["replicas"] = replicas
	}
	return M{"global": g, "limits": []M{limit("per-client", most, "24h")}}
}

// timed has a listener say how long Envoy took for each request, from its first byte to the first byte of the answer.
var timed = M{"access_log": bootstrap.AccessLog(map[string]string{"key": "%REQ(X-CLIENT)%",
	"took": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%"})}

func startFailures(t *testing.T, version string, redis *harness.Redis, service *harness.RateLimit) *failures {
	f := &failures{version: version, redis: redis, service: service, front: startFront(t, service.Address()),
		conns: map[string]*harness.Conn{}, waited: map[string]bool{}}
	var listeners []M
	for _, onError := range columns {
		for name, config := range map[string]M{
			"direct": failing("ratelimit", "tollgate", onError), "front": failing("front", "tollgate", onError),
			"nowhere": failing("nowhere", "tollgate", onError), "unknown": failing("ratelimit", "unknown", onError),
		} {
			listeners = append(listeners,
				bootstrap.Listener(name+" "+onError, 0, []M{harness.Filter(t, "rate-limit", text(config))},
					bootstrap.Answer(200, "ok"), timed))
		}
	}
	patient := config("tollgate", nil, limit("patient", 100_000, "24h"))
	listeners = append(listeners, bootstrap.Listener("patient", 0, []M{harness.Filter(t, "rate-limit", text(patient))},
		bootstrap.Answer(200, "ok"), nil), native())
	up := harness.StartUpstream(t)
	f.envoy = harness.Start(t, harness.Config{Version: version, Listeners: listeners, Clusters: []M{
		bootstrap.Cluster("ratelimit", service.Port(), true), bootstrap.Cluster("front", f.front.port(), true),
		bootstrap.Cluster("upstream", up.Port(), false)}})
	for _, l := range listeners {
		name := l["name"].(string)
		f.conns[name] = harness.Dial(t, f.envoy.Address(name))
	}
	return f
}

// native is a listener with Envoy's own filter, with the same descriptor and the same timeout.
func native() M {
	filter := bootstrap.Filter("envoy.filters.http.ratelimit", "extensions.filters.http.ratelimit.v3.RateLimit", M{
		"domain": "tollgate", "timeout": fmt.Sprintf("%.3fs", timeout.Seconds()),
		"rate_limit_service": M{"transport_api_version": "V3",
			"grpc_service": M{"envoy_grpc": M{"cluster_name": "ratelimit"}}},
	})
	routes := bootstrap.To("upstream")
	routes[0]["route"].(M)["rate_limits"] = []M{{"actions": []M{
		{"generic_key": M{"descriptor_key": "limit", "descriptor_value": "per-client"}},
		{"request_headers": M{"header_name": "x-client", "descriptor_key": "key"}}}}}
	return bootstrap.Listener("native", 0, []M{filter}, routes, timed)
}

// newKey is one that nobody has counted yet.
func (f *failures) newKey() string {
	f.key++
	return fmt.Sprint(f.version, " ", f.key)
}

// cell sends requests for one key and returns what becomes of them. stops: the breaker sees failures.
func (f *failures) cell(t *testing.T, row, way, onError string, stops, waits bool) string {
	t.Helper()
	key := f.newKey()
	f.waited[key] = waits
	var verdicts []string
	var took time.Duration
	got := harness.Change([]*harness.Envoy{f.envoy}, func() {
		began := time.Now()
		for range tries {
			verdicts = append(verdicts, verdictOf(f.conns[way+" "+onError].Do(get(client(key)))))
		}
		took = time.Since(began)
	})
	count := func(verdict string) (n int) {
		for _, v := range verdicts {
			if v == verdict {
				n++
			}
		}
		return n
	}
	want := map[string]uint64{}
	result := strings.Join(verdicts, ", ")
	switch {
	case count("200") == tries:
		result, want[outcome("per-client", "allowed", "ok")] = "200", tries
	case count("503 limiter_unavailable") == tries:
		result, want[outcome("per-client", "error", "limiter_unavailable")] = "503 `limiter_unavailable`", tries
	case count("200") == share && count("429 rate_limited") == tries-share && !slices.Contains(verdicts[share:], "200"):
		result = "200 up to rate / replicas, then 429 `rate_limited`"
		want[outcome("per-client", "allowed", "ok")], want[outcome("per-client", "denied", "rate_limited")] =
			share, tries-share
	}
	calls := got[failed]
	delete(got, failed)
	wantCounts(t, row+", "+onError, got, want)
	if most := breakerFailures + 1 + uint64(took/breakerPause); stops && (calls < breakerFailures || calls > most) {
		t.Errorf("%s, %s: %d of %d requests called the service within %s, want %d to %d", row, onError, calls, tries,
			took, breakerFailures, most)
	}
	if !stops && calls != tries {
		t.Errorf("%s, %s: %d of %d requests called the service", row, onError, calls, tries)
	}
	return result
}

// recovers waits until the service's word counts again under each onError: five times in a row, for
// keys that only the service can know so well.
func (f *failures) recovers(t *testing.T, row, way string) time.Duration {
	t.Helper()
	began := time.Now()
	for _, onError := range columns {
		for inARow := 0; inARow < 5; {
			m := f.conns[way+" "+onError].Do(get(client(f.newKey())))
			if inARow++; m.Status() != 200 || !strings.Contains(m.Header("ratelimit"), fmt.Sprintf(";r=%d;", most-1)) {
				inARow = 0
			}
			if m.Status() == 500 {
				t.Errorf("R12: %s: %+v", row, m)
			}
			if time.Since(began) > recovery {
				t.Errorf("%s is over for %s, and with onError: %s an answer is still %+v", row, time.Since(began), onError, m)
				return time.Since(began)
			}
		}
	}
	return time.Since(began)
}

// R11 R12: what becomes of requests while the service does not tell whether they are within their
// limits, or not in a way that could be believed, whatever is wrong; and that it passes.
func (f *failures) table(t *testing.T) {
	type row struct {
		name, way  string
		begin, end func() // end: nil where it does not pass
		waits      bool   // nothing answers
	}
	broken := func(name string, begin, end func(), waits bool) row { return row{name, "direct", begin, end, waits} }
	ok := func() { f.front.set(nil, "") }
	rows := []row{
		broken("the service is stopped", f.service.Stop, f.service.Restart, false),
		broken("the service hangs", f.service.Freeze, f.service.Thaw, true),
		broken("Redis is stopped", f.redis.Stop, f.redis.Restart, false),
		broken("Redis hangs", f.redis.Freeze, f.redis.Thaw, true),
		{"the service answers after `timeout`", "front", func() { f.front.set(slow(5*timeout), "") }, ok, true},
		{"an answer that does not end", "front", func() { f.front.set(endless, "") }, ok, true},
		{"another protocol than HTTP/2", "front",
			func() { f.front.set(nil, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n") }, ok, false},
	}
	for _, m := range malformed {
		rows = append(rows, row{m.name, "front", func() { f.front.set(m.answer, "") }, ok, false})
	}
	rows = append(rows, row{"no such cluster", "nowhere", func() {}, nil, false},
		row{"the service has no such limit", "unknown", func() {}, nil, false})

	within(t, day, 3*time.Minute)
	defer f.watchMemory(t)()
	for _, way := range []string{"direct", "front"} {
		f.recovers(t, "the start", way)
	}
	var b strings.Builder
	b.WriteString("| what fails | `onError: local` | `allow` | `deny` |\n|---|---|---|---|\n")
	var slowest time.Duration
	for _, r := range rows {
		r.begin()
		fmt.Fprintf(&b, "| %s |", r.name)
		for _, onError := range columns {
			fmt.Fprintf(&b, " %s |", f.cell(t, r.name, r.way, onError, r.way != "unknown", r.waits))
		}
		b.WriteByte('\n')
		if r.name == "the service hangs" {
			f.native(t)
		}
		if r.end != nil {
			r.end()
			took := f.recovers(t, r.name, r.way)
			slowest = max(slowest, took)
			t.Logf("%s: the service is in use again after %s", r.name, took.Round(time.Millisecond))
		}
	}
	t.Logf("the slowest recovery: %s", slowest)
	if kept := readmeTable(t, "failures", b.String(), f.version == envoybin.Default); kept != b.String() {
		t.Errorf("the README says another thing than was measured; -update writes this:\n%s", b.String())
	}
}

const nativeKey = "native"

// native sends requests to Envoy's own filter while the service hangs: each waits for the timeout.
func (f *failures) native(t *testing.T) {
	for range 15 {
		if m := f.conns["native"].Do(get(client(nativeKey))); m.Status() != 200 {
			t.Errorf("Envoy's own filter: %+v", m)
		}
	}
}

// R11: no request waits for longer than the timeout. A machine that is busy runs Envoy's timers
// late, those of its own filter as well, so the middle one of those that waited is held to 5 ms;
// what all are held to is that none hangs.
func (f *failures) durations(t *testing.T) {
	var ours, native []time.Duration
	var longest time.Duration
	read := func() {
		ours, native, longest = nil, nil, 0
		for line := range strings.Lines(f.envoy.Log()) {
			var entry struct {
				Key  string
				Took int64
			}
			if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &entry) != nil {
				continue
			}
			took := time.Duration(entry.Took) * time.Microsecond
			switch {
			case entry.Key == nativeKey:
				native = append(native, took)
			case f.waited[entry.Key] && took > timeout/2: // the others of those found the breaker open
				ours = append(ours, took)
				fallthrough
			default:
				longest = max(longest, took)
			}
		}
	}
	waits := 0
	for _, w := range f.waited {
		if w {
			waits += breakerFailures
		}
	}
	// The log is written behind the requests' backs.
	if err := f.envoy.Await(func() bool { read(); return len(ours) >= waits && len(native) == 15 },
		10*time.Second); err != nil {
		t.Fatalf("the access log has %d requests that waited, want %d, and %d of Envoy's own filter: %v", len(ours),
			waits, len(native), err)
	}
	slices.Sort(ours)
	slices.Sort(native)
	at := func(d []time.Duration, percent int) time.Duration { return d[(len(d)-1)*percent/100] }
	t.Logf("of %d that waited for %s: median %s, 90 %% %s, longest %s; of Envoy's own filter: median %s, longest %s; "+
		"the longest of all requests: %s",
		len(ours), timeout, at(ours, 50), at(ours, 90), at(ours, 100), at(native, 50), at(native, 100), longest)
	if at(ours, 50) > max(timeout, at(native, 50))+5*time.Millisecond {
		t.Errorf("requests wait for %s, with a timeout of %s; those of Envoy's own filter for %s", at(ours, 50),
			timeout, at(native, 50))
	}
	if longest > timeout+time.Second {
		t.Errorf("a request took %s", longest)
	}
}

func TestFailures(t *testing.T) {
	redis, service := startService(t,
		[]M{{"global": config("tollgate", nil)["global"],
			"limits": []M{limit("per-client", most, "24h"), limit("patient", 100_000, "24h")}}})
	harness.Each(t, func(t *testing.T, version string) {
		f := startFailures(t, version, redis, service)
		t.Run("clients go away", f.aborts)
		t.Run("table", f.table)
		t.Run("durations", f.durations)
	})
}
