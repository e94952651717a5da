// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

func named(name, rate, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"name":"` + name + `","rate":` + rate + more + `}`
}

const (
	five = `{"requests":5,"per":"1m"}`
	two  = `{"requests":2,"per":"1m"}`
)

func wantCode(t *testing.T, what string, d *Decision, code *verdict.Code, rule string) {
	t.Helper()
	v := d.Verdict()
	if v.Code != code || d.policy.RuleName(v.Rule) != rule {
		t.Errorf("%s: %s by %s, want %s by %s", what, v.Code.Name, d.policy.RuleName(v.Rule), code.Name, rule)
	}
}

func counts(d *Decision) string {
	var list []string
	for _, v := range d.Counts(nil) {
		list = append(list, d.policy.RuleName(v.Rule)+" "+string(v.Outcome())+" "+v.Code.Name)
	}
	return strings.Join(list, ", ")
}

func TestOneLimit(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", five, `"key":[{"sourceAddress":{}}]`)))
	for i := range 5 {
		d := p.get("/")
		wantCode(t, "request "+strconv.Itoa(i), d, verdict.OK, "a")
		if got := headerOf(d, "ratelimit"); got != `"a";r=`+strconv.Itoa(4-i)+`;t=`+strconv.Itoa(12*(i+1)) {
			t.Errorf("request %d: %s", i, got)
		}
	}
	d := p.get("/")
	wantCode(t, "one too many", d, RateLimited, "a")
	if d.Verdict().Admits() || counts(d) != "a denied rate_limited" {
		t.Errorf("one too many: %s", counts(d))
	}
	if got := headerOf(d, "retry-after") + " " + headerOf(d, "ratelimit-policy") + " " +
		headerOf(d, "ratelimit"); got != `12 "a";q=5;w=60 "a";r=0;t=60` {
		t.Errorf("one too many: %s", got)
	}
	p.source = "192.0.2.2:4711"
	wantCode(t, "another address", p.get("/"), verdict.OK, "a")
	p.source = "192.0.2.1:9"
	p.now = p.now.Add(12*time.Second - time.Nanosecond)
	if d = p.get("/"); headerOf(d, "retry-after") != "1" {
		t.Errorf("a nanosecond too early: retry after %s", headerOf(d, "retry-after"))
	}
	p.now = p.now.Add(time.Nanosecond)
	wantCode(t, "in time", p.get("/"), verdict.OK, "a")
}

func TestWhatFits(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", five, `"match":[{"paths":["/a/{**}"]}]`)))
	d := p.get("/b")
	wantCode(t, "a request that no limit fits", d, verdict.OK, "-")
	if len(d.Headers(nil)) != 0 || counts(d) != "- allowed ok" || len(p.steps) != 0 {
		t.Errorf("%q %s %v", d.Headers(nil), counts(d), p.steps)
	}
	for _, path := range []string{"/a/../b", "/a%2fb", "//a", "/a;x/b", ""} {
		d := p.get(path)
		wantCode(t, "P1 P2 P3 "+path, d, verdict.PathAmbiguous, "-")
		if d.Verdict().Admits() || counts(d) != "- denied path_ambiguous" {
			t.Errorf("P1 %s: %s", path, counts(d))
		}
	}
	p = newProxy(t, with(limitsConfig(named("a", five, "")), `"mode":"shadow"`))
	if d := p.get("//a"); !d.Verdict().Admits() || counts(d) != "- would_deny path_ambiguous" {
		t.Errorf("in shadow mode: %s", counts(d))
	}
	p = newProxy(t, with(limitsConfig(named("a", five, "")), `"ambiguousPath":"literal"`))
	wantCode(t, "literal", p.get("/a%2fb"), verdict.OK, "a")
}

// Without its seed a policy would count by a hash that everybody can compute.
func TestNoSeed(t *testing.T) {
	p, err := Parse(limitsConfig(named("a", five, "")))
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	p.Decide(&d, &decide.Request{Headers: [][2]string{{":method", "GET"}, {":path", "/"}}, Now: noon})
	if d.Verdict().Code != verdict.Internal || d.Step() != decide.Done {
		t.Errorf("R9: %v %v", d.Verdict(), d.Step())
	}
}

// The proxy is asked only for what a limit needs that fits, and for each thing once.
func TestNeeds(t *testing.T) {
	const config = `"key":[{"claim":["sub"]},{"peer":true}]`
	p := newProxy(t, limitsConfig(named("a", five, `"match":[{"paths":["/a"]}],"key":[{"sourceAddress":{}}]`),
		named("b", five, `"match":[{"paths":["/b"]}],`+config), named("c", five, `"match":[{"paths":["/b","/c"]}],`+config),
		named("d", five, `"match":[{"paths":["/d"]}],"tiers":{"claim":["plan"],"values":{"gold":{"requests":9,"per":"1s"}}}`)))
	p.identity, p.peer = `{"sub":"ann"}`, "spiffe://a/b"
	// In this order: a request to /c leaves less of c than of b.
	for _, c := range []struct {
		path, by string
		want     []decide.Step
	}{
		{"/a", "a", []decide.Step{decide.ReadSource, decide.TakeBucket}},
		{"/b", "b", []decide.Step{decide.ReadIdentity, decide.ReadPeer, decide.TakeBucket, decide.TakeBucket}},
		{"/c", "c", []decide.Step{decide.ReadIdentity, decide.ReadPeer, decide.TakeBucket}},
		{"/d", "d", []decide.Step{decide.ReadIdentity, decide.TakeBucket}},
		{"/e", "-", nil},
	} {
		if wantCode(t, c.path, p.get(c.path), verdict.OK, c.by); !slices.Equal(p.steps, c.want) {
			t.Errorf("%s: %v", c.path, p.steps)
		}
	}
}

func TestMissingKeys(t *testing.T) {
	for _, c := range []struct{ missing, identity, want string }{
		{"skip", "", "- allowed ok"}, {"deny", "", "a denied key_missing"}, {"shared", "", "a allowed ok"},
		{"skip", `{"tenant":"x"}`, "- allowed ok"}, {"deny", `{"tenant":"x"}`, "a denied key_missing"}, {"deny",
			`{"sub":"ann"}`, "a allowed ok"},
		// Whoever wrote that is no filter of ours.
		{"skip", `{"sub":"ann"`, "a error internal"}, {"skip", `"ann"`, "a error internal"}, {"shared",
			`{"sub":"ann","sub":"bob"}`, "a error internal"},
	} {
		p := newProxy(t, limitsConfig(named("a", five, `"key":[{"claim":["sub"]}],"onMissingKey":"`+c.missing+`"`)))
		p.identity = c.identity
		d := p.get("/")
		if got := counts(d); got != c.want {
			t.Errorf("%s %s: %s", c.missing, c.identity, got)
		}
		if d.Verdict().Code == KeyMissing &&
			(d.Verdict().Code.Status != 403 || headerOf(d, "retry-after") != "" || headerOf(d, "ratelimit") != "") {
			t.Errorf("%s: %q", c.missing, d.Headers(nil))
		}
	}
	p := newProxy(t, limitsConfig(named("a", two, `"key":[{"claim":["sub"]}],"onMissingKey":"shared"`)))
	p.get("/")
	p.identity = `{"x":1}`
	p.get("/")
	wantCode(t, "all without the key have one bucket", p.get("/"), RateLimited, "a")
	p.identity = `{"sub":"ann"}`
	wantCode(t, "who has the key has another", p.get("/"), verdict.OK, "a")
	p.identity, p.identityErr = "", errProxy
	wantCode(t, "nobody knows the key", p.get("/"), verdict.Internal, "a")
	for part, fail := range map[string]func(*proxy){`{"sourceAddress":{}}`: func(p *proxy) { p.sourceErr = errProxy },
		`{"peer":true}`: func(p *proxy) { p.peerErr = errProxy }} {
		for _, missing := range []string{"skip", "deny", "shared"} {
			p := newProxy(t, limitsConfig(named("a", five, `"key":[`+part+`],"onMissingKey":"`+missing+`"`)))
			p.peer = "spiffe://a/b"
			wantCode(t, part, p.get("/"), verdict.OK, "a")
			fail(p)
			wantCode(t, "nobody knows "+part, p.get("/"), verdict.Internal, "a")
		}
	}
}

// All limits that fit apply, and a request that one refuses spends nothing of the others.
func TestSeveralLimits(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("a", five, ""), named("b", two, `"match":[{"paths":["/b"]}]`),
		named("c", five, `"key":[{"header":"x-c"}],"onMissingKey":"deny"`)), `"headers":"both"`))
	c := [2]string{"x-c", "1"}
	d := p.get("/b", c)
	wantCode(t, "the tightest answers", d, verdict.OK, "b")
	if counts(d) != "b allowed ok, a allowed ok, c allowed ok" {
		t.Errorf("%s", counts(d))
	}
	if got := headerOf(d, "ratelimit-policy") + " / " +
		headerOf(d, "ratelimit"); got != `"a";q=5;w=60, "b";q=2;w=60, "c";q=5;w=60 / "a";r=4;t=12, "b";r=1;t=30, "c";r=4;t=12` {
		t.Errorf("%s", got)
	}
	if got := headerOf(d, "x-ratelimit-limit") + " " + headerOf(d, "x-ratelimit-remaining") + " " +
		headerOf(d, "x-ratelimit-reset"); got != "2 1 30" {
		t.Errorf("%s", got)
	}
	p.get("/b", c)
	for range 50 {
		d = p.get("/b", c)
		wantCode(t, "over one of them", d, RateLimited, "b")
	}
	if got := headerOf(d, "ratelimit") + " " + headerOf(d, "retry-after") + " " +
		headerOf(d, "x-ratelimit-remaining"); got != `"a";r=3;t=24, "b";r=0;t=60 30 0` {
		t.Errorf("over one of them: %s", got)
	}
	if counts(d) != "b denied rate_limited" {
		t.Errorf("%s", counts(d))
	}
	for range 50 {
		wantCode(t, "without a key", p.get("/x"), KeyMissing, "c")
	}
	for i := range 3 {
		wantCode(t, "what the refused ones have not spent, "+strconv.Itoa(i), p.get("/x", c), verdict.OK, "a")
	}
	wantCode(t, "and no more", p.get("/x", c), RateLimited, "a")
}

// R16: a limit in shadow mode refuses nothing, takes nothing from others, and is counted as if it did.
func TestShadow(t *testing.T) {
	p := newProxy(t, limitsConfig(named("s", two, `"mode":"shadow"`), named("a", five, ""),
		named("k", two, `"mode":"shadow","key":[{"claim":["sub"]}],"onMissingKey":"deny"`)))
	for i := range 8 {
		d := p.get("/")
		want := "a allowed ok, s allowed ok, k would_deny key_missing"
		switch {
		case i >= 5:
			want = "a denied rate_limited" // and what is refused does not come to the limits that are on trial
		case i >= 2:
			want = "a allowed ok, s would_deny rate_limited, k would_deny key_missing"
		}
		if got := counts(d); got != want || d.Verdict().Admits() != (i < 5) {
			t.Errorf("R16 request %d: %s", i, got)
		}
		if got := headerOf(d, "ratelimit-policy"); got != `"a";q=5;w=60` {
			t.Errorf("R16 R18 request %d: %s", i, got)
		}
	}
	p = newProxy(t, limitsConfig(named("s", two, `"mode":"shadow","key":[{"claim":["sub"]}]`)))
	p.identityErr = errProxy
	if d := p.get("/"); !d.Verdict().Admits() || counts(d) != "- allowed ok, s error internal" {
		t.Errorf("R16: what a limit in shadow mode needs cannot be had: %s", counts(d))
	}
	p.identityErr, p.identity, p.shared = nil, `{"sub":"ann"}`, errProxy
	if d := p.get("/"); !d.Verdict().Admits() || counts(d) != "- allowed ok, s error internal" {
		t.Errorf("R16: shared data fails: %s", counts(d))
	}
	p.shared = decide.ErrBusy
	if d := p.get("/"); !d.Verdict().Admits() || counts(d) != "- allowed ok, s would_deny rate_limited" {
		t.Errorf("R16: a bucket is busy: %s", counts(d))
	}
}

// R3: a bucket that others have changed is taken from as they left it; one that always changes refuses.
func TestBusyBuckets(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", two, ""), named("b", five, `"key":[{"constant":"b"}]`)))
	other := newProxy(t, limitsConfig(named("a", two, ""), named("b", five, `"key":[{"constant":"b"}]`)))
	other.buckets = p.buckets
	p.busy = func(attempt int) bool {
		if attempt == 1 {
			other.get("/") // the other worker takes one in between
		}
		return attempt == 1
	}
	d := p.get("/")
	if wantCode(t, "the second attempt", d, verdict.OK, "a"); p.attempts != 3 ||
		headerOf(d, "ratelimit") != `"a";r=0;t=60, "b";r=3;t=24` {
		t.Errorf("R3: %d attempts, %s", p.attempts, headerOf(d, "ratelimit"))
	}
	p.busy = nil
	wantCode(t, "R3: both have been counted", p.get("/"), RateLimited, "a")
	p.now = p.now.Add(time.Hour)
	p.busy = func(attempt int) bool { return attempt > 1 }
	d = p.get("/")
	if wantCode(t, "R3: never written", d, RateLimited, "b"); headerOf(d, "retry-after") != "1" ||
		p.attempts != 1+maxSwaps+maxSwaps {
		t.Errorf("R3: %d attempts, retry after %s", p.attempts, headerOf(d, "retry-after"))
	}
	p.busy, p.shared = nil, errProxy
	wantCode(t, "R12: shared data fails, which is not the client's doing", p.get("/"), verdict.Internal, "a")
	p.shared, p.unwritten = nil, errProxy
	wantCode(t, "R12: shared data cannot be written", p.get("/"), verdict.Internal, "a")
	p.unwritten = nil
	for i := range p.buckets {
		p.buckets[i] = nil
	}
	wantCode(t, "R2: no bucket is there", p.get("/"), RateLimited, "a")
}

func TestStepsOutOfOrder(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", five, "")))
	headers := [][2]string{{":method", "GET"}, {":path", "/"}}
	for name, wrong := range map[string]func(*Decision){
		"written without Take": func(d *Decision) { d.taken(nil) },
		"identity":             func(d *Decision) { d.identityRead(gjson.Result{}, nil) },
		"source":               func(d *Decision) { d.sourceRead("1.2.3.4:5", nil) },
		"peer":                 func(d *Decision) { d.peerRead("x", nil) },
		"answered":             func(d *Decision) { _ = d.Answered(answerOK(), nil, noon) },
	} {
		var d, zero Decision
		p.policy.Decide(&d, p.asked(headers))
		wrong(&d)
		if d.Step() != decide.Done || d.Verdict().Code != verdict.Internal || d.take([]byte{1}) != nil ||
			len(d.Headers(nil)) != 0 {
			t.Errorf("%s: step %d, %s", name, d.Step(), d.Verdict().Code.Name)
		}
		wrong(&zero)
		if zero.Verdict().Admits() {
			t.Errorf("%s: a decision that has not begun admits", name)
		}
	}
}

func TestCosts(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", `{"requests":100,"per":"1h"}`, `"cost":{"header":"x-cost","max":50}`),
		named("free", five, `"cost":{"default":0}`)))
	for i, c := range []struct{ cost, code, left string }{{"50", "ok", "50"}, {"40", "ok", "10"},
		{"11", "rate_limited", "10"}, {"99", "rate_limited", "10"}, {"-9", "rate_limited", "10"}, {"", "rate_limited",
			"10"}, {"1.2", "ok", "8"}, {"8.0", "ok", "0"}, {"0", "rate_limited", "0"}} {
		d := p.get("/", [2]string{"x-cost", c.cost})
		if d.Verdict().Code.Name != c.code || !strings.HasPrefix(headerOf(d, "ratelimit"), `"a";r=`+c.left+`;`) {
			t.Errorf("%d: cost %q: %s, %s", i, c.cost, d.Verdict().Code.Name, headerOf(d, "ratelimit"))
		}
	}
}

func TestTiersHaveTheirOwnBuckets(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", two, `"tiers":{"claim":["plan"],"values":{"gold":`+five+`}}`)))
	for i := range 2 {
		wantCode(t, "base "+strconv.Itoa(i), p.get("/"), verdict.OK, "a")
	}
	wantCode(t, "base, one too many", p.get("/"), RateLimited, "a")
	p.identity = `{"plan":"gold"}`
	for i := range 5 {
		d := p.get("/")
		wantCode(t, "gold "+strconv.Itoa(i), d, verdict.OK, "a")
		if headerOf(d, "ratelimit-policy") != `"a";q=5;w=60` {
			t.Errorf("%s", headerOf(d, "ratelimit-policy"))
		}
	}
	wantCode(t, "gold, one too many", p.get("/"), RateLimited, "a")
}

// R6: whatever the clock does between two requests.
func TestClock(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, time.Hour, -365 * 24 * time.Hour, 365 * 24 * time.Hour} {
		p := newProxy(t, limitsConfig(named("a", two, "")))
		p.get("/")
		p.get("/")
		p.now = p.now.Add(step)
		admitted := 0
		for range 10 {
			if p.get("/").Verdict().Admits() {
				admitted++
			}
		}
		if want := map[bool]int{true: 2, false: 0}[step > 0]; admitted != want {
			t.Errorf("R6 %v: %d admitted, want %d", step, admitted, want)
		}
		p.now = p.now.Add(time.Minute)
		if !p.get("/").Verdict().Admits() {
			t.Errorf("R6 %v: shut for more than a minute", step)
		}
	}
}

// R15: what counts is in the buckets, not in the VM.
func TestReload(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", two, "")))
	p.get("/")
	p.get("/")
	fresh := newProxy(t, limitsConfig(named("a", two, "")))
	fresh.buckets = p.buckets
	wantCode(t, "R15: a new VM", fresh.get("/"), RateLimited, "a")
	other := newProxy(t, limitsConfig(named("a", five, "")))
	other.buckets = p.buckets
	wantCode(t, "R15: a new configuration with a higher limit", other.get("/"), RateLimited, "a")
}

// R18: whatever was decided, the headers are structured fields, without negative numbers.
func checkHeaders(t *testing.T, d *Decision) {
	t.Helper()
	for _, h := range d.Headers(nil) {
		switch h[0] {
		case "ratelimit", "ratelimit-policy":
			items, err := sfv.ParseList(h[1])
			if err != nil || len(items) == 0 {
				t.Fatalf("R18 %s: %s: %v", h[0], h[1], err)
			}
			if again, err := sfv.AppendList(nil, items); err != nil || string(again) != h[1] {
				t.Fatalf("R18 %s: %s is %s in its own form", h[0], h[1], again)
			}
			for _, i := range items {
				for _, p := range i.Parameters {
					if p.Value.Kind != sfv.Integer || p.Value.Int < 0 {
						t.Fatalf("R18 %s: %s", h[0], h[1])
					}
				}
			}
		default:
			if n, err := strconv.ParseInt(h[1], 10, 64); err != nil || n < 0 || h[0] == "retry-after" && n < 1 {
				t.Fatalf("R18 %s: %s", h[0], h[1])
			}
		}
	}
}

func TestHeadersOff(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("a", two, "")), `"headers":"none"`))
	if d := p.get("/"); len(d.Headers(nil)) != 0 {
		t.Errorf("%q", d.Headers(nil))
	}
	p.get("/")
	if d := p.get("/"); len(d.Headers(nil)) != 1 || headerOf(d, "retry-after") != "30" {
		t.Errorf("%q", d.Headers(nil))
	}
	p = newProxy(t, with(limitsConfig(named("a", two, "")), `"headers":"legacy"`))
	if d := p.get("/"); len(d.Headers(nil)) != 3 || headerOf(d, "x-ratelimit-remaining") != "1" {
		t.Errorf("%q", d.Headers(nil))
	}
}

func TestAnswers(t *testing.T) {
	for code, want := range map[*verdict.Code]string{RateLimited: "429 8", KeyMissing: "403 7",
		LimiterUnavailable: "503 14"} {
		if got := strconv.Itoa(code.Status) + " " +
			strconv.Itoa(int(code.Answer("-", "application/grpc").GRPCStatus)); got != want {
			t.Errorf("R12 %s: %s", code.Name, got)
		}
	}
}

func FuzzDecide(f *testing.F) {
	f.Add("/reports/x", "x-report-cost", "50", "192.0.2.1:1", `{"sub":"ann","tenant":"t","plan":"gold"}`, int64(0),
		uint8(3))
	f.Add("/a/../b", "x-report-cost", "99999999999999999999", "[::ffff:192.0.2.1]:1", `{"sub":1e400}`, int64(-1<<62),
		uint8(200))
	text := sample(f)
	f.Fuzz(func(t *testing.T, path, name, value, source, identity string, skip int64, rounds uint8) {
		p := newProxy(t, strings.Replace(text, "65536", "2", 1))
		p.service = newCounter("per-user", "per-user gold")
		p.source, p.identity = source, identity
		admitted := 0
		for i := range int(rounds) {
			d := p.decide([2]string{":method", "POST"}, [2]string{":authority", "h"}, [2]string{":path", path},
				[2]string{name, value})
			if d.Step() != decide.Done {
				t.Fatal("it does not end")
			}
			if checkHeaders(t, d); d.Verdict().Admits() && len(d.list) > 0 {
				admitted++
			}
			if i == 100 {
				p.now = p.now.Add(time.Duration(skip))
			}
		}
		if _, ok := parseAddress(source); ok && admitted > 2*100+1 {
			t.Fatalf("%d of %d admitted", admitted, rounds)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	address := `"key":[{"sourceAddress":{}}]`
	big := `{"requests":1000000,"per":"1s"}`
	four := []string{named("a", big, address), named("b", big, `"key":[{"header":"x-api-key"}]`),
		named("c", big, `"key":[{"host":true},{"method":true}]`), named("d", big, "")}
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, named("l"+strconv.Itoa(i), big, `"match":[{"paths":["/t`+strconv.Itoa(i)+`/{**}"]}],`+address))
		}
		return limitsConfig(list...)
	}
	for _, c := range []struct{ name, config, path string }{
		{"no limit fits", limitsConfig(named("a", big, `"match":[{"paths":["/b"]}]`)), "/a"},
		{"one limit by address", limitsConfig(four[0]), "/a"},
		{"four limits", limitsConfig(four...), "/a"},
		{"one of 10", many(10), "/t5/a"},
		{"one of 10000", many(10000), "/t5000/a"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newProxy(b, c.config)
			headers := [][2]string{{":method", "GET"}, {":authority", "api.example.com"}, {":path", c.path},
				{"x-api-key", "abc"}, {"user-agent", "bench"}}
			var d Decision
			w := &decide.World{
				Source: func() (string, error) { return p.source, nil },
				Swap: func(at int, change func([]byte) []byte) error {
					if next := change(p.buckets[at]); next != nil {
						p.buckets[at] = append(p.buckets[at][:0], next...)
					}
					return nil
				},
			}
			now := noon
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Millisecond)
				p.policy.Decide(&d, &decide.Request{Headers: headers, Now: now})
				if d.Run(w) != decide.Done || !d.Verdict().Admits() {
					b.Fatal(d.Verdict().Code.Name)
				}
			}
		})
	}
}

// However many limits fit: the headers tell of the four tightest, in the order of the
// configuration, and of the one that refuses in any case.
func TestHeadersOfManyLimits(t *testing.T) {
	var limits []string
	for i := range 300 {
		limits = append(limits, named("l"+strconv.Itoa(i), `{"requests":`+strconv.Itoa(100+(i*7)%300)+`,"per":"1h"}`, ""))
	}
	p := newProxy(t, limitsConfig(limits...))
	d := p.get("/")
	if got := headerOf(d, "ratelimit-policy"); got != `"l0";q=100;w=3600, "l43";q=101;w=3600, "l86";q=102;w=3600, "l129";q=103;w=3600` {
		t.Errorf("%s", got)
	}
	if got := headerOf(d, "ratelimit"); got != `"l0";r=99;t=36, "l43";r=100;t=36, "l86";r=101;t=36, "l129";r=102;t=35` && !strings.HasPrefix(got, `"l0";r=99;`) || strings.Count(got, ",") != 3 {
		t.Errorf("%s", got)
	}
	// The last of them refuses.
	limits = append(limits[:6:6], named("last", `{"requests":1,"per":"1h"}`, ""), named("behind", five, ""))
	p = newProxy(t, limitsConfig(limits...))
	p.get("/")
	d = p.get("/")
	if got := headerOf(d, "ratelimit-policy"); d.Verdict().Code != RateLimited ||
		got != `"l0";q=100;w=3600, "l1";q=107;w=3600, "l2";q=114;w=3600, "last";q=1;w=3600` {
		t.Errorf("%s", got)
	}
	// As many as that are told all.
	p = newProxy(t, limitsConfig(limits[:4]...))
	if got := headerOf(p.get("/"), "ratelimit"); strings.Count(got, ",") != 3 {
		t.Errorf("%s", got)
	}
}

// A step that nobody does is a refusal, and ends the decision.
func TestNobodyDoesIt(t *testing.T) {
	for _, c := range []struct {
		name, key string
		without   func(*decide.World)
	}{
		{"a bucket", `{"header":"x-a"}`, func(w *decide.World) { w.Swap = nil }},
		{"the source", `{"sourceAddress":{}}`, func(w *decide.World) { w.Source = nil }},
		{"claims", `{"claim":["sub"]}`, func(w *decide.World) { w.Identity = nil }},
		{"a certificate", `{"peer":true}`, func(w *decide.World) { w.PeerURI = nil }},
	} {
		p := newProxy(t, limitsConfig(named("a", five, `"key":[`+c.key+`]`)))
		var d Decision
		p.policy.Decide(&d, p.asked([][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}, {"x-a", "1"}}))
		w := p.world(&d)
		c.without(w)
		if step := d.Run(w); step != decide.Done || d.Verdict().Code != verdict.Internal || d.Verdict().Admits() {
			t.Errorf("%s: step %d, %s", c.name, step, d.Verdict().Reason().Name)
		}
	}
}
