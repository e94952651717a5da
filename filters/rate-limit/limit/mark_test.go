// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const marking = `"onExceeded":{"mark":{"header":"X-Over-Limit"}}`

// effect is what becomes of a request.
func effect(d *Decision) string {
	var e forward.Effect
	d.Effect(&e)
	return fmt.Sprint(e.Remove, e.Set, e.Add, " ", e.Identity)
}

func TestMark(t *testing.T) {
	p := newProxy(t, with(limitsConfig(
		named("a", two, marking), named("b", `{"requests":3,"per":"1m"}`, marking),
		named("c", `{"requests":4,"per":"1m"}`, `"onExceeded":{"mark":{"header":"x-other"}}`),
		named("d", `{"requests":5,"per":"1m"}`, `"onExceeded":"refuse"`)), `"headers":"both"`))
	const nothing = "[] [] [] "
	for i, c := range []struct{ effect, counts, left string }{
		{nothing, "a allowed ok, b allowed ok, c allowed ok, d allowed ok", `"a";r=1;t=30, "b";r=2;t=20, "c";r=3;t=15, "d";r=4;t=12`},
		{nothing, "a allowed ok, b allowed ok, c allowed ok, d allowed ok", `"a";r=0;t=60, "b";r=1;t=40, "c";r=2;t=30, "d";r=3;t=24`},
		{"[] [[x-over-limit a]] [] ", "a marked rate_limited, b allowed ok, c allowed ok, d allowed ok",
			`"a";r=0;t=60, "b";r=0;t=60, "c";r=1;t=45, "d";r=2;t=36`},
		{"[] [[x-over-limit a, b]] [] ", "a marked rate_limited, b marked rate_limited, c allowed ok, d allowed ok",
			`"a";r=0;t=60, "b";r=0;t=60, "c";r=0;t=60, "d";r=1;t=48`},
		{"[] [[x-over-limit a, b] [x-other c]] [] ",
			"a marked rate_limited, b marked rate_limited, c marked rate_limited, d allowed ok",
			`"a";r=0;t=60, "b";r=0;t=60, "c";r=0;t=60, "d";r=0;t=60`},
	} {
		d := p.get("/")
		if got := effect(d); got != c.effect || counts(d) != c.counts || headerOf(d, "ratelimit") != c.left {
			t.Errorf("request %d: %s, %s, %s", i, got, counts(d), headerOf(d, "ratelimit"))
		}
		v := d.Verdict()
		if !v.Admits() || v.Marked != (i > 1) || headerOf(d, "retry-after") != "" || headerOf(d, "x-ratelimit-limit") != "2" {
			t.Errorf("request %d: %+v, %q", i, v, d.Headers(nil))
		}
	}
	d := p.get("/")
	wantCode(t, "another limit refuses", d, RateLimited, "d")
	if d.Verdict().Admits() || counts(d) != "d denied rate_limited" || headerOf(d, "retry-after") != "12" {
		t.Errorf("R30 %s, %q", counts(d), d.Headers(nil))
	}
}

// R22: what a client says in the header of marks is removed, whatever the limits say.
func TestMarksAreRemoved(t *testing.T) {
	config := limitsConfig(named("a", two, marking+`,"match":[{"paths":["/a"]}]`), named("b", two, marking+`,"mode":"shadow"`),
		named("c", two, `"onExceeded":{"mark":{"header":"y"}},"mode":"shadow"`))
	p := newProxy(t, config)
	sent := [][2]string{{"x-over-limit", "1"}, {"x-over-limits", "2"}, {"x_over_limit", "3"}, {"x-over_limit", "4"},
		{"x-over-limit", "5"}, {"over-limit", "6"}, {"y", "7"}, {"x.over.limit", "8"}}
	const removed = "[x-over-limit x_over_limit x-over_limit y] [] [] "
	for _, path := range []string{"/", "/a", "/a"} {
		if got := effect(p.get(path, sent...)); got != removed {
			t.Errorf("R22 %s: %s", path, got)
		}
	}
	if got := effect(p.get("/a", sent...)); got != strings.Replace(removed, " [] []", " [[x-over-limit a]] []", 1) {
		t.Errorf("R22 over the limit: %s", got)
	}
	p = newProxy(t, with(config, `"mode":"shadow"`))
	if d := p.get("//", sent...); effect(d) != removed || !d.Verdict().Admits() {
		t.Errorf("R22 an ambiguous path in shadow mode: %s", effect(d))
	}
	if p.policy.Marks() != true || parse(t, limitsConfig(limitConfig(`"onExceeded":"refuse"`))).Marks() {
		t.Error("whether there is something to remove")
	}
	if got := effect(newProxy(t, limitsConfig(limitConfig(""))).get("/", sent...)); got != "[] [] [] " {
		t.Errorf("no marks: %s", got)
	}
}

// R30: only what is over the limit is marked.
func TestMarksRefuseTheRest(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", two, marking+`,"key":[{"claim":["sub"]}],"onMissingKey":"deny"`)))
	d := p.get("/")
	wantCode(t, "R30 no key", d, KeyMissing, "a")
	if d.Verdict().Admits() {
		t.Error("R30 a request without a key goes on")
	}
	p.identityErr = errProxy
	wantCode(t, "R30 nobody knows", p.get("/"), verdict.Internal, "a")
	p.identityErr, p.identity = nil, `{"sub":"ann"}`
	p.shared = errProxy
	wantCode(t, "R30 no table", p.get("/"), verdict.Internal, "a")
	p.shared, p.busy = nil, func(int) bool { return true }
	d = p.get("/")
	if wantCode(t, "a bucket that cannot be had", d, RateLimited, "a"); effect(d) != "[] [[x-over-limit a]] [] " {
		t.Errorf("%s", effect(d))
	}

	p = newProxy(t, with(limitsConfig(named("g", five, marking+`,"scope":"global"`), named("h", two, marking)),
		strings.TrimSuffix(service, "}")+`,"onError":"deny"}`))
	p.service = newCounter("g")
	for i := range 7 {
		d := p.get("/")
		want := map[bool]string{false: "[] [] [] ", true: "[] [[x-over-limit h]] [] "}[i > 1]
		if i > 4 {
			want = "[] [[x-over-limit h, g]] [] "
		}
		if effect(d) != want || !d.Verdict().Admits() {
			t.Errorf("a global limit, request %d: %s, %s", i, effect(d), counts(d))
		}
	}
	p.now = p.now.Add(60e9)
	p.service.err = ratelimit.ErrNoAnswer
	d = p.get("/")
	if wantCode(t, "R30 no service", d, LimiterUnavailable, "g"); d.Verdict().Admits() {
		t.Error("R30 a request goes on that nobody has counted")
	}

	p = newProxy(t, with(limitsConfig(named("g", two, marking+`,"scope":"global"`)), service))
	p.service = newCounter()
	p.service.err = ratelimit.ErrNoAnswer
	for i := range 4 {
		if d := p.get("/"); (effect(d) == "[] [[x-over-limit g]] [] ") != (i > 1) || !d.Verdict().Admits() {
			t.Errorf("its share, request %d: %s, %s", i, effect(d), counts(d))
		}
	}

	p = newProxy(t, limitsConfig(named("s", two, marking+`,"mode":"shadow"`)))
	for i := range 4 {
		d := p.get("/")
		want := "- allowed ok, s allowed ok"
		if i > 1 {
			want = "- allowed ok, s would_deny rate_limited"
		}
		if effect(d) != "[] [] [] " || counts(d) != want || len(d.Headers(nil)) != 0 {
			t.Errorf("in shadow mode, request %d: %s, %s, %q", i, effect(d), counts(d), d.Headers(nil))
		}
	}
}

// A marked request takes nothing of what marks it, and gives back nothing of that when another refuses.
func TestMarkedTakesNothing(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", five, marking+`,"cost":{"header":"x-cost","max":5}`)))
	cost := func(n string) *Decision { return p.get("/", [2]string{"x-cost", n}) }
	cost("3")
	if d := cost("4"); effect(d) != "[] [[x-over-limit a]] [] " || headerOf(d, "ratelimit") != `"a";r=0;t=36` {
		t.Errorf("%s %s", effect(d), headerOf(d, "ratelimit"))
	}
	if d := cost("2"); effect(d) != "[] [] [] " || headerOf(d, "ratelimit") != `"a";r=0;t=60` {
		t.Errorf("%s %s", effect(d), headerOf(d, "ratelimit"))
	}
	// Who has a mark is told by it, whatever others leave.
	p = newProxy(t, limitsConfig(named("a", two, ""), named("b", five, marking+`,"cost":{"header":"x-cost","max":5}`)))
	p.get("/", [2]string{"x-cost", "3"})
	d := p.get("/", [2]string{"x-cost", "4"})
	if wantCode(t, "a mark beside a limit that leaves less", d, RateLimited,
		"b"); counts(d) != "b marked rate_limited, a allowed ok" {
		t.Errorf("%s", counts(d))
	}
	p = newProxy(t, limitsConfig(named("a", two, marking), named("b", five, `"match":[{"paths":["/b"]}],"cost":{"default":5}`)))
	p.get("/")
	p.get("/b")
	for range 3 {
		wantCode(t, "another refuses", p.get("/b"), RateLimited, "b")
	}
	p.now = p.now.Add(29e9)
	if d := p.get("/"); effect(d) != "[] [[x-over-limit a]] [] " {
		t.Errorf("what was never taken has come back: %s", effect(d))
	}
}

// The headers of a decision that was held are its own.
func TestMarkKept(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("g", five, marking+`,"scope":"global"`)), service))
	p.service = newCounter("g")
	d := p.get("/", [2]string{"x_over_limit", "1"})
	if effect(d) != "[x_over_limit] [] [] " || len(p.steps) != 1 || p.steps[0] != decide.AskService {
		t.Errorf("%s %v", effect(d), p.steps)
	}
}

func TestMarkFaults(t *testing.T) {
	one := func(more string) string { return limitsConfig(limitConfig(more)) }
	const at, goesBy = "limits[0].onExceeded.mark.header: ",
		"is a header that the limit a goes by (- and _ count as the same): choose another"
	mark := func(header string) string { return `"onExceeded":{"mark":{"header":"` + header + `"}}` }
	for _, c := range []struct{ name, config, want string }{
		{"a word that is none", one(`"onExceeded":"allow"`), "limits[0].onExceeded: want refuse"},
		{"nothing", one(`"onExceeded":{}`), "limits[0].onExceeded.mark: is required"},
		{"a mark without a header", one(`"onExceeded":{"mark":{}}`), at + "is required"},
		{"no word, no object", one(`"onExceeded":true`), "limits[0].onExceeded: want an object, got true or false"},
		{"a pseudo-header", one(mark(":path")), at + "want the name of a header"},
		{"a header that frames", one(mark("Host")), at + "this header frames the request: choose another"},
		{"a credential", one(mark("Authorization")), at + "credentials stand in this header: choose another"},
		{"cookies", one(mark("cookie")), at + "credentials stand in this header: choose another"},
		{"addresses", one(mark("x-forwarded-for")), at + "the addresses of clients stand in this header: choose another"},
		{"addresses in another spelling", one(mark("X_Forwarded-For")),
			at + "the addresses of clients stand in this header: choose another"},
		{"what folds to a header that frames", one(mark("content_length")),
			at + "folds to a header that frames the request: choose another"},
		{"a key", one(mark("x-over") + `,"key":[{"header":"x_over"}]`), at + goesBy},
		{"a cost", one(mark("x-over") + `,"cost":{"header":"x-over","max":2}`), at + goesBy},
		{"a tier", one(mark("x-over") + `,"tiers":{"header":"x-over","values":{"a":"unlimited"}}`), at + goesBy},
		{"a match", one(mark("x-over") + `,"match":[{"hosts":["a"]},{"headers":[{"name":"x-over","present":true}]}]`), at + goesBy},
		{"an exception", one(mark("x-over") + `,"except":[{"headers":[{"name":"x-over","present":true}]}]`), at + goesBy},
		{"a claim", one(mark("x-over") + `,"claims":[{"path":["sub"],"equals":{"header":"X-Over"}}]`), at + goesBy},
		{"a key of another", limitsConfig(limitConfig(mark("x-over")), named("b", five, `"key":[{"header":"x-over"}]`)),
			strings.Replace(at+goesBy, "limit a", "limit b", 1)},
	} {
		if _, err := Parse(c.config); err == nil || err.Error() != c.want {
			t.Errorf("%s: got\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
	p := parse(t, one(mark("x-over")+`,"mode":"shadow"`))
	if got := warnings(p); got != "limits[0].onExceeded: has no effect: in shadow mode no request is marked" {
		t.Errorf("%s", got)
	}
	parse(t, one(mark("x-over")+`,"claims":[{"path":["sub"],"glob":"x-over"}],"key":[{"query":"x-over"},{"constant":"x-over"}]`))
}
