// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

func answerOK() ratelimit.Response { return ratelimit.Response{Code: ratelimit.OK} }

func globalConfig(more string, limits ...string) string {
	if more != "" {
		more = "," + more
	}
	return with(limitsConfig(limits...), strings.TrimSuffix(service, "}")+more+"}")
}

func newGlobal(t testing.TB, config string, limits ...string) *proxy {
	p := newProxy(t, config)
	p.service = newCounter(limits...)
	return p
}

const bySub = `"scope":"global","key":[{"claim":["sub"]}]`

func asked(p *proxy) string {
	var list []string
	for _, d := range p.service.asked[len(p.service.asked)-1].Descriptors {
		text := ""
		for _, e := range d.Entries {
			text += e.Key + "=" + e.Value + " "
		}
		list = append(list, text+strconv.FormatUint(hitsOf(d.Hits), 10))
	}
	return strings.Join(list, ", ")
}

func TestGlobal(t *testing.T) {
	p := newGlobal(t, globalConfig(`"plainKeys":true`, named("a", five, bySub),
		named("l", `{"requests":100,"per":"1m"}`, ""), named("b", five,
			`"scope":"global","cost":{"default":2},"tiers":{"claim":["plan"],"values":{"gold":`+five+`}}`)), "a", "b", "b gold")
	p.identity = `{"sub":"ann","plan":"gold"}`
	d := p.get("/")
	wantCode(t, "the first", d, verdict.OK, "b")
	if got := asked(p); got != "limit=a key=s:ann 1, limit=b key= tier=gold 2" || p.service.asked[0].Domain != "tollgate" {
		t.Errorf("asked for %s of %s", got, p.service.asked[0].Domain)
	}
	if got := headerOf(d, "ratelimit"); got != `"l";r=99;t=1, "a";r=4;t=60, "b";r=3;t=60` {
		t.Errorf("%s", got)
	}
	p.identity = `{"sub":"bob"}`
	if p.get("/"); asked(p) != "limit=a key=s:bob 1, limit=b key= 2" {
		t.Errorf("without a tier: %s", asked(p))
	}
	p.identity = `{}`
	if p.get("/"); asked(p) != "limit=b key= 2" {
		t.Errorf("without a key: %s", asked(p))
	}
	p = newGlobal(t, globalConfig(`"plainKeys":true`, named("a", five, bySub+`,"onMissingKey":"shared"`)), "a")
	if p.get("/"); asked(p) != "limit=a key=-: 1" {
		t.Errorf("all without a key: %s", asked(p))
	}
	p.service.mangle = func(r *ratelimit.Response) { r.Code = ratelimit.OK }
	for range 10 {
		wantCode(t, "over, and the service is in a shadow mode of its own", p.get("/"), verdict.OK, "a")
	}
	p = newGlobal(t, globalConfig("", named("a", five, bySub)), "a")
	p.identity = `{"sub":"ann"}`
	if p.get("/"); asked(p) != "limit=a key=vXvq9pM9LwUaz1i58HSGZQ 1" {
		t.Errorf("hashed: %s", asked(p))
	}
}

// R20: who is over is refused without a call until the reset; what a local limit refuses is never
// asked for, and what is refused spends nothing of local limits.
func TestGlobalRefuses(t *testing.T) {
	p := newGlobal(t, globalConfig(`"recheck":"1m"`, named("a", five, bySub),
		named("l", `{"requests":8,"per":"1m"}`, "")), "a")
	p.identity = `{"sub":"ann"}`
	for range 5 {
		wantCode(t, "within", p.get("/"), verdict.OK, "a")
	}
	d := p.get("/")
	if wantCode(t, "over", d, RateLimited, "a"); headerOf(d, "retry-after") != "60" ||
		headerOf(d, "ratelimit") != `"l";r=3;t=38, "a";r=0;t=60` {
		t.Errorf("%s %s", headerOf(d, "retry-after"), headerOf(d, "ratelimit"))
	}
	p.now = p.now.Add(59*time.Second + time.Millisecond)
	for range 20 {
		if d = p.get("/"); d.Verdict().Code != RateLimited || headerOf(d, "retry-after") != "1" {
			t.Errorf("over, later: %s, retry after %s", d.Verdict().Code.Name, headerOf(d, "retry-after"))
		}
	}
	if p.calls != 6 {
		t.Errorf("R20: %d calls", p.calls)
	}
	p.identity = `{"sub":"bob"}`
	wantCode(t, "another key", p.get("/"), verdict.OK, "a")
	p.identity = `{"sub":"ann"}`
	p.now = p.now.Add(time.Second)
	wantCode(t, "in the next window", p.get("/"), verdict.OK, "a")
	calls := p.calls
	for i := range 20 {
		p.identity = `{"sub":"` + strconv.Itoa(i) + `"}`
		p.get("/")
	}
	if p.calls > calls+8 {
		t.Errorf("R20: %d calls for requests that a local limit refuses", p.calls-calls)
	}
	// The clock goes back: what is remembered is of no use.
	p = newGlobal(t, globalConfig("", named("a", five, bySub)), "a")
	p.identity = `{"sub":"ann"}`
	for range 6 {
		p.get("/")
	}
	p.now = p.now.Add(-time.Hour)
	wantCode(t, "R6: an hour back", p.get("/"), verdict.OK, "a")
}

// R16: a global limit in shadow mode is asked for along with the others and refuses nothing.
func TestGlobalShadow(t *testing.T) {
	p := newGlobal(t, globalConfig(`"onError":"deny"`, named("s", five, `"scope":"global","mode":"shadow"`),
		named("a", five, bySub)), "a", "s")
	for i := range 7 {
		p.identity = `{"sub":"` + strconv.Itoa(i) + `"}`
		want := "a allowed ok, s allowed ok"
		if i >= 5 {
			want = "a allowed ok, s would_deny rate_limited"
		}
		if got := counts(p.get("/")); got != want {
			t.Errorf("R16 request %d: %s", i, got)
		}
	}
	p.service.err = ratelimit.ErrNoAnswer
	if got := counts(p.get("/")); got != "a error limiter_unavailable, s would_deny rate_limited" {
		t.Errorf("R16: %s", got)
	}
	p = newGlobal(t, globalConfig(`"onError":"deny"`, named("s", five, `"scope":"global","mode":"shadow"`)), "s")
	p.service.err = ratelimit.ErrNoAnswer
	if d := p.get("/"); !d.Verdict().Admits() || counts(d) != "- allowed ok, s error limiter_unavailable" {
		t.Errorf("R16: %s", counts(d))
	}
}

// R11 R12: the service does not tell.
func TestOnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		mangle func(*ratelimit.Response)
		want   error
	}{
		{"no answer", ratelimit.ErrNoAnswer, nil, ratelimit.ErrNoAnswer},
		{"an error of the service", ratelimit.StatusError(14), nil, ratelimit.StatusError(14)},
		{"too few statuses", nil, func(r *ratelimit.Response) { r.Statuses = r.Statuses[1:] }, ErrStatuses},
		{"too many statuses", nil, func(r *ratelimit.Response) { r.Statuses = append(r.Statuses, r.Statuses[0]) },
			ErrStatuses},
		{"refused for no reason", nil, func(r *ratelimit.Response) { r.Code = ratelimit.OverLimit }, ErrStatuses},
		{"a status without a code", nil, func(r *ratelimit.Response) { r.Statuses[0].Code = 0 }, ErrStatuses},
		{"no such limit", nil, func(r *ratelimit.Response) { r.Statuses[0].HasLimit = false }, ErrLimit},
	} {
		for onError, want := range map[string]string{"deny": "a error limiter_unavailable", "allow": "a allowed ok",
			"local": "a allowed ok"} {
			more := `"onError":"` + onError + `"`
			if onError == "local" {
				more += `,"replicas":2`
			}
			p := newGlobal(t, globalConfig(more, named("a", five, bySub), named("l", two, "")), "a")
			p.identity, p.service.err, p.service.mangle = `{"sub":"ann"}`, c.err, c.mangle
			d := p.get("/")
			if got, _, _ := strings.Cut(counts(d), ", "); !strings.Contains(counts(d), want) || onError == "deny" &&
				got != want {
				t.Errorf("R11 %s, onError: %s: %s", c.name, onError, counts(d))
			}
			switch onError {
			case "allow":
				if got := headerOf(d, "ratelimit"); strings.Contains(got, `"a"`) {
					t.Errorf("R18 %s: %s, of which nobody knows", c.name, got)
				}
			case "deny":
				if headerOf(d, "retry-after") != "" || headerOf(d, "ratelimit") != `"l";r=2;t=0` {
					t.Errorf("R12 %s: %q", c.name, d.Headers(nil))
				}
			case "local":
				if got := headerOf(d, "ratelimit"); !strings.Contains(got, `"a";r=1;t=24`) {
					t.Errorf("R11 %s: a half of the limit leaves %s", c.name, got)
				}
			}
		}
	}
}

// A service that has another rate decides by it, and whoever looks after the log hears of it.
func TestOtherRates(t *testing.T) {
	for name, c := range map[string]struct {
		limit ratelimit.Limit
		want  error
	}{
		"the same":           {ratelimit.Limit{Requests: 5, Unit: ratelimit.Minute, Multiplier: 1}, nil},
		"the same, in words": {ratelimit.Limit{Requests: 5, Unit: ratelimit.Second, Multiplier: 60}, nil},
		"more requests":      {ratelimit.Limit{Requests: 6, Unit: ratelimit.Minute, Multiplier: 1}, ErrRate},
		"another window":     {ratelimit.Limit{Requests: 5, Unit: ratelimit.Hour, Multiplier: 1}, ErrRate},
		"several windows":    {ratelimit.Limit{Requests: 5, Unit: ratelimit.Minute, Multiplier: 2}, ErrRate},
	} {
		p := newGlobal(t, globalConfig(`"onError":"deny"`, named("a", five, `"scope":"global"`)), "a")
		p.service.limits["a"] = c.limit
		for range breakerFailures + 1 {
			d := &Decision{}
			p.policy.Decide(d, p.asked([][2]string{{":method", "GET"}, {":path", "/"}}))
			if d.Step() != decide.AskService {
				break // it is over, and that is known
			}
			r, err := p.service.answer(d.Asks(), p.now)
			if got := d.Answered(r, err, p.now); got != c.want || d.Verdict().Code == LimiterUnavailable {
				t.Errorf("%s: %v, %s", name, got, d.Verdict().Code.Name)
			}
		}
		if p.policy.breaker.state != closed {
			t.Errorf("%s: it counts as a failure", name)
		}
	}
}

// The error is for the log, and the service is asked no more for a while.
func TestErrorsAreTold(t *testing.T) {
	p := newGlobal(t, globalConfig(`"onError":"deny"`, named("a", five, `"scope":"global"`)), "b")
	d := &Decision{}
	p.policy.Decide(d, p.asked([][2]string{{":method", "GET"}, {":path", "/"}}))
	r, err := p.service.answer(d.Asks(), p.now)
	if got := d.Answered(r, err, p.now); got != ErrLimit {
		t.Errorf("%v", got)
	}
	for range 10 {
		p.get("/")
	}
	if len(p.service.asked) != 11 {
		t.Errorf("a service that lacks a limit counts as dead: %d calls", len(p.service.asked))
	}
	p = newGlobal(t, globalConfig(`"onError":"local","replicas":5`, named("a", five, bySub)), "a")
	p.identity, p.service.err = `{"sub":"ann"}`, ratelimit.ErrNoAnswer
	admitted := 0
	for range 100 {
		if p.get("/").Verdict().Admits() {
			admitted++
		}
	}
	if p.calls != breakerFailures || admitted != 1 {
		t.Errorf("R11: %d calls of a dead service, %d admitted of 1", p.calls, admitted)
	}
	p.service.err = nil
	recovered := false
	for range 50 {
		p.now = p.now.Add(100 * time.Millisecond)
		if p.get("/"); p.policy.breaker.state == closed {
			recovered = true
		}
	}
	if !recovered || p.now.Sub(noon) > 5*time.Second {
		t.Errorf("R11: no recovery within %v", p.now.Sub(noon))
	}
}

// More keys than a VM remembers: one that is over has its place until its reset, and is not taken for another.
func TestOvers(t *testing.T) {
	var o overs
	now := noon.UnixNano()
	left := func(tag uint64, cost, at int64) int64 { left, _ := o.left(tag, cost, at); return left }
	if left(7, 1, now) != 0 {
		t.Error("something is remembered of nothing")
	}
	o.asked(7, now, 50)
	o.forget(7)
	o.remember(7, 1, now, 100, 50)
	o.remember(7+remembered, 1, now, 1000, 50)
	if left(7, 1, now) != 100 || left(7+remembered, 1, now) != 0 || left(7, 1, now+100) != 0 {
		t.Error("R20: one key's place is another's")
	}
	if o.forget(7 + remembered); left(7, 1, now) != 100 {
		t.Error("another key's is forgotten")
	}
	if o.remember(7+remembered, 1, now+100, 1000, 50); left(7+remembered, 1, now+100) != 1000 || left(7, 1, now+100) != 0 {
		t.Error("a place whose time is over is not free")
	}
	if o.forget(7 + remembered); left(7+remembered, 1, now+100) != 0 {
		t.Error("what has been let through is not forgotten")
	}
	// What has been refused says nothing of what costs less.
	o.remember(1, 80, now, 100, 50)
	if left(1, 79, now) != 0 || left(1, 80, now) != 100 || left(1, 81, now) != 100 || left(1, 0, now) != 0 {
		t.Error("a refused cost, and others")
	}
	o.remember(1, 30, now, 100, 50)
	if o.remember(1, 90, now, 100, 50); left(1, 30, now) != 100 || left(1, 29, now) != 0 {
		t.Error("the least that has been refused does not count")
	}
	// The service is asked again, by one.
	if _, due := o.left(1, 80, now+49); due {
		t.Error("it is asked too soon")
	}
	if left, due := o.left(1, 80, now+50); !due || left != 50 {
		t.Error("it is not asked again")
	}
	o.asked(1, now+50, 50)
	if left, due := o.left(1, 80, now+51); due || left != 49 {
		t.Error("it is asked by others, too, while one asks")
	}
}

// A counter that is gone, and a limit that has been raised, are seen after a while, by one call for
// all who ask meanwhile.
func TestRecheck(t *testing.T) {
	p := newGlobal(t, globalConfig(`"recheck":"10s"`, named("a", five, bySub)), "a")
	p.identity = `{"sub":"ann"}`
	for range 6 {
		p.get("/")
	}
	want := func(what string, code *verdict.Code, calls int) {
		t.Helper()
		wantCode(t, what, p.get("/"), code, "a")
		if p.calls != calls {
			t.Errorf("R20: %s: %d calls, want %d", what, p.calls, calls)
		}
	}
	want("remembered", RateLimited, 6)
	p.now = p.now.Add(10 * time.Second)
	// One asks, and the others are refused while it waits for its answer.
	var d Decision
	headers := [][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}}
	p.policy.Decide(&d, p.asked(headers))
	if d.Run(p.world(&d)) != decide.AskService {
		t.Fatalf("step %d", d.Step())
	}
	want("while one asks", RateLimited, 6)
	if p.finish(&d, headers); d.Verdict().Code != RateLimited || p.calls != 7 {
		t.Errorf("still over: %s, %d calls", d.Verdict().Code.Name, p.calls)
	}
	want("over, as one has heard", RateLimited, 7)
	clear(p.service.hits)
	want("before the time has come", RateLimited, 7)
	p.now = p.now.Add(10 * time.Second)
	want("the counter is gone", verdict.OK, 8)
	want("and everybody goes by that", verdict.OK, 9)

	// Where the service does not answer, what it has said still holds: neither open nor undecided.
	for _, onError := range []string{"allow", "deny", "local"} {
		p = newGlobal(t, globalConfig(`"recheck":"1s","onError":"`+onError+`"`, named("a", five, bySub)), "a")
		p.identity = `{"sub":"ann"}`
		for range 6 {
			p.get("/")
		}
		p.service.err = errProxy
		for i := range 10 {
			p.now = p.now.Add(time.Second)
			wantCode(t, onError+", second "+strconv.Itoa(i), p.get("/"), RateLimited, "a")
		}
		if p.calls > 6+10 {
			t.Errorf("%s: %d calls", onError, p.calls)
		}
	}
	// Of two limits that are due at different times, neither keeps the other from being asked about.
	p = newGlobal(t, globalConfig(`"recheck":"10s"`, named("a", five, `"scope":"global"`), named("b", five, bySub)),
		"a", "b")
	p.identity = `{"sub":"ann"}`
	for range 6 {
		p.get("/")
	}
	a := &p.policy.limits[0]
	p.policy.overs.slots[p.policy.tag(a, &a.rate, globalTag, nil)%remembered].recheck -= int64(5 * time.Second)
	clear(p.service.hits)
	p.now = p.now.Add(6 * time.Second)
	wantCode(t, "one is due, and the other refuses", p.get("/"), RateLimited, "b")
	p.now = p.now.Add(5 * time.Second)
	wantCode(t, "both are due", p.get("/"), verdict.OK, "a")
}

// A cost that is refused says nothing of cheaper requests: they are asked for. The service counts
// what it refuses, so that nothing is left for them there, either (README).
func TestRefusedCosts(t *testing.T) {
	p := newGlobal(t, globalConfig("",
		named("a", `{"requests":100,"per":"1h"}`, `"scope":"global","cost":{"header":"x-cost","default":0,"max":100}`)), "a")
	p.service.limits["a"] = ratelimit.Limit{Requests: 100, Unit: ratelimit.Hour, Multiplier: 1}
	for _, c := range []struct {
		cost  string
		code  *verdict.Code
		calls int
	}{{"60", verdict.OK, 1}, {"80", RateLimited, 2}, {"80", RateLimited, 2}, {"90", RateLimited, 2}, {"1", RateLimited,
		3}, {"1", RateLimited, 3}, {"30", RateLimited, 3}, {"0", verdict.OK, 4}} {
		if d := p.get("/", [2]string{"x-cost", c.cost}); d.Verdict().Code != c.code || p.calls != c.calls {
			t.Errorf("cost %s: %s after %d calls, want %s after %d", c.cost, d.Verdict().Code.Name, p.calls,
				c.code.Name, c.calls)
		}
	}
	// One that does not count what it refuses lets cheaper requests through.
	p = newGlobal(t, globalConfig("",
		named("a", `{"requests":100,"per":"1h"}`, `"scope":"global","cost":{"header":"x-cost","max":100}`)), "a")
	p.service.limits["a"] = ratelimit.Limit{Requests: 100, Unit: ratelimit.Hour, Multiplier: 1}
	for _, c := range []struct {
		cost string
		code *verdict.Code
	}{{"60", verdict.OK}, {"80", RateLimited}, {"1", verdict.OK}, {"39", verdict.OK}, {"1", RateLimited}} {
		before := maps.Clone(p.service.hits)
		d := p.get("/", [2]string{"x-cost", c.cost})
		if d.Verdict().Code != c.code {
			t.Errorf("cost %s, not counted where it is refused: %s, want %s", c.cost, d.Verdict().Code.Name, c.code.Name)
		}
		if d.Verdict().Code != verdict.OK {
			p.service.hits = before
		}
	}
}

// What a decision that waits would say is not known.
func TestWaiting(t *testing.T) {
	p := newGlobal(t, globalConfig("", named("l", five, ""), named("a", five, `"scope":"global"`)), "a")
	var d Decision
	p.policy.Decide(&d, p.asked([][2]string{{":method", "GET"}, {":path", "/"}}))
	if d.Run(p.world(&d)) != decide.AskService || len(d.Headers(nil)) != 0 || d.Verdict().Admits() ||
		counts(&d) != "- error internal" {
		t.Errorf("%d %q %s", d.Step(), d.Headers(nil), counts(&d))
	}
}

// A request that waited for the service goes on with its own headers.
func TestKeep(t *testing.T) {
	p := newGlobal(t, globalConfig("", named("a", five, `"scope":"global"`),
		named("s", two, `"mode":"shadow","match":[{"paths":["/{x}"]}],"key":[{"header":"x-key"},{"pathVariable":"x"}]`)), "a")
	for i := range 3 {
		if got, want := counts(p.get("/v", [2]string{"x-key", "k"})), "s "+
			map[bool]string{true: "allowed ok", false: "would_deny rate_limited"}[i < 2]; !strings.Contains(got, want) {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}

// Whatever answers come by turns, as after a restart of Redis: one good answer is no recovery, and
// a good service is back within five seconds.
func TestBreaker(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 500 {
		var b Breaker
		now := noon.UnixNano()
		good, inRow, calls := 0.1+0.6*rng.Float64(), 0, 0
		for range 2000 {
			now += int64(time.Millisecond) * rng.Int64N(20)
			wasOpen := b.state != closed
			if !b.Allow(now) {
				continue
			}
			calls++
			if rng.IntN(50) == 0 && wasOpen {
				continue // its stream is gone
			}
			ok := rng.Float64() < good
			if b.Report(ok, now); ok {
				inRow++
			} else {
				inRow = 0
			}
			if wasOpen && b.state == closed && inRow < breakerGood {
				t.Fatalf("closed after %d good answers in a row", inRow)
			}
		}
		for begin := now; b.state != closed; now += int64(10 * time.Millisecond) {
			if now-begin > int64(2*time.Second) {
				t.Fatal("R11: it stays open before a good service")
			}
			if b.Allow(now) {
				b.Report(true, now)
			}
		}
	}
	var b Breaker
	now := noon.UnixNano()
	for range breakerFailures - 1 {
		b.Report(false, now)
	}
	if b.Report(true, now); !b.Allow(now) {
		t.Error("failures count that were not in a row")
	}
	for range breakerFailures {
		b.Report(false, now)
	}
	if b.Report(true, now); b.Allow(now + breakerPause - 1) {
		t.Error("open, it lets calls through")
	}
	if now += breakerPause; !b.Allow(now) || b.Allow(now) || b.Allow(now+breakerLost-1) {
		t.Error("half open, it does not let exactly one call through")
	}
	if !b.Allow(now + breakerLost) {
		t.Error("a call that is never reported shuts it for ever")
	}
	b.open(now)
	if !b.Allow(now - int64(time.Hour)) {
		t.Error("R6: the clock has gone back, and it stays open for an hour")
	}
}

// What several proxies let through in a window is never more than the service has counted, and with
// leases they seldom ask.
func TestLeases(t *testing.T) {
	for _, proxies := range []int{1, 2, 4} {
		config := globalConfig(`"replicas":`+strconv.Itoa(proxies)+`,"lease":{"requests":20,"per":"1s"}`,
			named("a", `{"requests":600,"per":"1m"}`, bySub+`,"cost":{"header":"x-cost","max":3}`))
		s := newCounter()
		s.limits["a"] = ratelimit.Limit{Requests: 600, Unit: ratelimit.Minute, Multiplier: 1}
		var all []*proxy
		for range proxies {
			p := newProxy(t, config)
			p.service, p.identity = s, `{"sub":"ann"}`
			all = append(all, p)
		}
		rng := rand.New(rand.NewPCG(13, uint64(proxies)))
		now, window, admitted, total := noon, noon.Truncate(time.Minute), int64(0), int64(0)
		for range 20000 {
			now = now.Add(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
			if w := now.Truncate(time.Minute); !w.Equal(window) {
				window, admitted = w, 0
			}
			p := all[rng.IntN(proxies)]
			p.now = now
			cost := 1 + rng.Int64N(2)
			d := p.get("/", [2]string{"x-cost", strconv.FormatInt(cost, 10)})
			if checkHeaders(t, d); d.Verdict().Admits() {
				admitted, total = admitted+cost, total+cost
			}
			if admitted > 600 {
				t.Fatalf("%d proxies: %d admitted in a window", proxies, admitted)
			}
			if total > s.granted {
				t.Fatalf("%d proxies: %d admitted, the service has counted %d", proxies, total, s.granted)
			}
		}
		calls := 0
		for _, p := range all {
			calls += p.calls
		}
		t.Logf("%d proxies: %d hits of %d that the service has counted, in %d calls", proxies, total, s.granted, calls)
		if total < s.granted*9/10 {
			t.Errorf("%d proxies: a tenth of what is taken ahead is lost", proxies)
		}
	}
}

// A key that is asked for without end: a call for many requests.
func TestLeasesSaveCalls(t *testing.T) {
	for _, proxies := range []int64{1, 4} {
		p := newGlobal(t, globalConfig(`"replicas":`+strconv.FormatInt(proxies, 10)+
			`,"lease":{"requests":20,"per":"1s"}`, named("a", `{"requests":100000,"per":"1m"}`, bySub)))
		p.service.limits["a"] = ratelimit.Limit{Requests: 100000, Unit: ratelimit.Minute, Multiplier: 1}
		p.identity = `{"sub":"ann"}`
		for range 10000 {
			p.now = p.now.Add(time.Millisecond)
			if !p.get("/").Verdict().Admits() {
				t.Fatal("refused")
			}
		}
		t.Logf("%d calls for 10000 requests", p.calls)
		if p.calls > 1000 {
			t.Errorf("%d calls for 10000 requests", p.calls)
		}
	}
}

func TestLease(t *testing.T) {
	g := &Global{lease: 20, leasePer: time.Second, replicas: 1}
	now := noon.UnixNano()
	second := int64(time.Second)
	var l leases
	left := func(at int64) (n int64) {
		copied := leases{append([]lease(nil), l.slots...)}
		for ; n < 1000; n++ {
			if _, _, ok := copied.spend(7, 1, at); !ok {
				break
			}
		}
		return n
	}
	if l.ask(g, 7, 1, now) != 1 {
		t.Error("something is taken ahead of a key of which nothing is known")
	}
	l.grant(g, 7, 0, 100, now, 60*second)
	if l.ask(g, 7, 1, now) != 20 || l.ask(g, 7, 30, now) != 30 || l.ask(g, 7, 0, now) != 0 {
		t.Error("not what a lease is, or a request costs")
	}
	l.grant(g, 7, 19, 30, now, 60*second)
	if left(now) != 19 || left(now+second-1) != 19 || left(now+second) != 0 {
		t.Error("a lease ends after lease.per")
	}
	if l.ask(g, 7, 1, now) != 15 || l.ask(&Global{lease: 20, replicas: 4}, 7, 1, now) != 3 {
		t.Error("more is taken ahead than half of a proxy's share of what remains")
	}
	if l.ask(g, 7, 1, now+60*second) != 1 || l.ask(g, 8, 1, now) != 1 {
		t.Error("what remained in one window, or of one key, is held for that of another")
	}
	l.grant(g, 7, 10, 20, now+second/2, 60*second)
	if left(now+second-1) != 29 || left(now+second) != 0 {
		t.Error("an older lease lives longer for a newer one")
	}
	l.grant(g, 7+remembered, 10, 20, now, 60*second)
	if left(now) != 29 {
		t.Error("another key takes the place of one that has something left")
	}
	if left(now-2*second) != 0 {
		t.Error("R6: the clock has gone back, and the lease is still good")
	}
	l = leases{}
	l.grant(g, 7, 10, 20, now, second/4)
	if left(now+second/4-1) != 10 || left(now+second/4) != 0 {
		t.Error("a lease outlives the service's window")
	}
	l.giveBack(7, 2, now)
	l.giveBack(7, 9, now+second)
	l.giveBack(8, 9, now)
	if left(now) != 12 {
		t.Error("what is given back is not there, or where it does not belong")
	}
	l = leases{}
	l.grant(&Global{}, 7, 10, 20, now, second)
	if l.slots != nil {
		t.Error("something is taken ahead without a lease")
	}
}

// A request that another limit refuses gives back what it had of a lease.
func TestLeaseOfARefusedRequest(t *testing.T) {
	p := newGlobal(t, globalConfig(`"lease":{"requests":20,"per":"10s"}`,
		named("a", `{"requests":600,"per":"1m"}`, bySub), named("z", five,
			`"scope":"global","match":[{"paths":["/z"]}]`)), "z")
	p.service.limits["a"] = ratelimit.Limit{Requests: 600, Unit: ratelimit.Minute, Multiplier: 1}
	p.identity = `{"sub":"ann"}`
	for range 3 {
		p.get("/")
	}
	for range 5 {
		p.get("/z")
	}
	hits := func() (n uint64) {
		for key, h := range p.service.hits {
			if strings.Contains(key, "\x00a\x00") {
				n += h
			}
		}
		return n
	}
	before, calls := hits(), p.calls
	for range 100 {
		wantCode(t, "over another", p.get("/z"), RateLimited, "z")
	}
	if p.calls != calls+1 || hits() != before {
		t.Errorf("%d calls, %d hits of the other limit", p.calls-calls, hits()-before)
	}
	if d := p.get("/"); p.calls != calls+1 || headerOf(d, "ratelimit") != `"a";r=591;t=60` {
		t.Errorf("%d calls, %s", p.calls-calls, headerOf(d, "ratelimit"))
	}
	// What the service has counted in the very call that refuses is not lost either.
	other := newProxy(t, globalConfig(`"lease":{"requests":20,"per":"10s"}`,
		named("a", `{"requests":600,"per":"1m"}`, bySub), named("z", five, `"scope":"global","match":[{"paths":["/z"]}]`)))
	other.service, other.identity = p.service, p.identity
	wantCode(t, "over another, in one call", other.get("/z"), RateLimited, "z")
	if wantCode(t, "with what that request had", other.get("/"), verdict.OK, "a"); other.calls != 1 {
		t.Errorf("%d calls", other.calls)
	}
}
