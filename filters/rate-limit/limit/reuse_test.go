// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// An account that is used again knows nothing of the request before.
func TestAccountUsedAgain(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", hundred, response), named("b", hundred, `"match":[{"paths":["/b"]}],`+failures)))
	json := statusHeaders("401", [2]string{"content-encoding", "gzip"})
	first := p.get("/b").Account()
	p.answer(first, json, "", Complete)
	first = p.get("/b").Account()
	p.answer(first, statusHeaders("401"), `{"usage":{"total_tokens":30}}`, Complete)
	again := p.get("/b").Account()
	if again != first {
		t.Fatal("it is not used again")
	}
	if again.WantsBody() {
		t.Error("it wants a body before its answer's headers")
	}
	again.Body([]byte(`{"usage":{"total_tokens":40}}`))
	list, _ := p.answer(again, nil, "", Ended)
	if len(list) != 2 || list[0].Settled != 10 || list[1].Settled != 0 {
		t.Errorf("never answered: %+v", list)
	}
	d := p.get("/b")
	again = d.Account()
	d.Abandon(p.now, p.flights.swap)
	list, _ = p.answer(again, statusHeaders("200"), `{}`, Complete)
	if len(list) != 2 || list[0].Limit != 1 || list[0].Settled != 0 || list[1].Settled != 5 { // b's headers are enough
		t.Errorf("without a number: %+v", list)
	}
}

// A place is given back once, by the account, whose memory serves again.
func TestPlaceGivenBackOnce(t *testing.T) {
	p := newProxy(t, limitsConfig(atOnceOfUser))
	for range 3 {
		p.get("/", [2]string{"x-user", "bob"}).Account().Close(p.now, p.flights.swap)
	}
	if n := len(p.policy.accounts); n != 1 {
		t.Errorf("%d accounts for one request at a time", n)
	}
	user := [2]string{"x-user", "ann"}
	first, d := p.get("/", user).Account(), p.get("/", user)
	second := d.Account()
	d.Abandon(p.now, p.flights.swap)
	wantCode(t, "both places are taken", p.get("/", user), RateLimited, "a")
	first.Close(p.now, p.flights.swap)
	second.Close(p.now, p.flights.swap)
	if n := p.policy.limits[0].concurrency.Held; n != 0 {
		t.Errorf("%d held", n)
	}
}

// The rate that a claim says is that of the request, whatever the next one's says.
func TestAccountOfARateInAClaim(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", `{"requests":{"claim":["n"],"default":100,"max":1000},"per":"1m"}`, response)))
	d := &Decision{}
	decide := func(claims string) {
		p.identity = claims
		headers := [][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}}
		p.policy.Decide(d, p.asked(headers))
		p.finish(d, headers)
		wantCode(t, claims, d, verdict.OK, "a")
	}
	decide(`{"n":100}`)
	account := d.Account()
	decide(`{"n":1000}`)
	p.answer(d.Account(), statusHeaders("200"), `{"usage":{"total_tokens":50}}`, Complete)
	p.answer(account, statusHeaders("200"), `{"usage":{"total_tokens":50}}`, Complete)
	decide(`{"n":100}`)
	if got := headerOf(d, "ratelimit"); !strings.HasPrefix(got, `"a";r=35;`) { // less 50, 5 (50 of 1,000) and 10
		t.Errorf("%s", got)
	}
}

// What needs no body does not wait for it.
func TestSettledAtHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		more    string
		headers [][2]string
		open    bool
	}{
		"not counted":   {failures + "," + response, statusHeaders("200"), false},
		"counted":       {failures + "," + response, statusHeaders("500"), true},
		"not a status":  {failures, statusHeaders("0401"), false},
		"in the header": {`"cost":{"response":{"header":"x-cost","max":5}}`, statusHeaders("200"), false},
	} {
		p := newProxy(t, limitsConfig(named("a", hundred, c.more)))
		account := p.get("/").Account()
		account.Headers(c.headers)
		if list, _ := account.Settle(Told, p.now, p.world(nil), nil); account.Open() != c.open ||
			(len(list) == 0) != c.open ||
			name == "not a status" && list[0].Settled != 0 {
			t.Errorf("%s: %+v", name, list)
		}
	}
	// An event that nothing ends, and a number, are read when the body has ended.
	p := newProxy(t, limitsConfig(named("a", hundred, response)))
	list, _ := p.answer(p.get("/").Account(), statusHeaders("200", [2]string{"content-type", "text/event-stream"}),
		`data: {"usage":{"total_tokens":7`, Complete)
	if list[0].Settled != 7 {
		t.Errorf("the last event: %+v", list)
	}
	p = newProxy(t, limitsConfig(named("a", hundred, response)))
	account := p.get("/").Account()
	for i := range p.buckets {
		p.buckets[i] = []byte("nonsense")
	}
	if list, _ := p.answer(account, statusHeaders("200"), `{"usage":{"total_tokens":30}}`, Complete); !list[0].Lost {
		t.Errorf("noted in what is no bucket: %+v", list)
	}
}

// What was taken ahead gets back what was reserved too much.
func TestLeaseGivenBack(t *testing.T) {
	p := newProxy(t, `{"limits":[`+named("a", five, `"scope":"global","cost":{"response":{"json":["n"],"reserve":2,"max":5}}`)+
		`],"global":{"cluster":"c","authority":"a","domain":"d","lease":{"requests":4,"per":"1m"}}}`)
	p.service = newCounter("a")
	p.service.limits["a"] = ratelimit.Limit{Requests: 1000, Unit: ratelimit.Minute, Multiplier: 1}
	for range 2 {
		p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":0}`, Complete)
	}
	before := p.calls
	for range 10 {
		if _, asks := p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":0}`, Complete); asks != nil {
			t.Errorf("asks %v", asks)
		}
	}
	if p.calls != before {
		t.Errorf("%d calls for what costs nothing", p.calls-before)
	}
}

// R37: what only looks is looked at last, wherever it stands: so that requests at once bound how many have
// looked and are not counted yet.
func TestLooksComeLast(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", `{"requests":1,"per":"1m"}`, failures), `{"name":"c","concurrency":{"requests":1}}`,
		named("b", `{"requests":1,"per":"1m","burst":9}`, "")))
	first := p.get("/").Account()
	first.Headers(statusHeaders("401"))
	first.Settle(Told, p.now, p.world(nil), nil)
	wantCode(t, "both are over", p.get("/"), RateLimited, "c")
	first.Close(p.now, p.flights.swap)
	d := p.get("/")
	wantCode(t, "one is", d, RateLimited, "a")
	if got := headerOf(d, "ratelimit"); !strings.Contains(got, `"b";r=8;`) || !strings.Contains(got, `"c";r=1`) {
		t.Errorf("what it took of the others comes back: %s", got)
	}
}

// R35: what a refused request gives back is given back once, and written when it can be.
func TestPlaceOfARefusedRequest(t *testing.T) {
	p := newProxy(t, limitsConfig(`{"name":"c","concurrency":{"requests":1}}`, named("a", two, "")))
	other := newProxy(t, limitsConfig(`{"name":"c","concurrency":{"requests":1}}`, named("a", two, "")))
	p.policy.SetVM(1)
	other.policy.SetVM(2)
	other.flights = p.flights
	for range 2 {
		p.get("/").Account().Close(p.now, p.flights.swap)
	}
	held := &p.policy.limits[0].concurrency.Held
	p.flights.fails = p.flights.calls + 2 // to give back
	d := p.get("/")
	wantCode(t, "over", d, RateLimited, "a")
	d.Abandon(p.now, p.flights.swap)
	if *held != 0 {
		t.Errorf("%d held", *held)
	}
	wantCode(t, "it could not be written", other.get("/"), RateLimited, "c")
	p.policy.Renew(p.now, p.flights.swap, func() bool { return true })
	if other.get("/").Account() == nil {
		t.Error("it is never written")
	}
	p = newProxy(t, limitsConfig(`{"name":"c","concurrency":{"requests":1}}`))
	for i := range p.policy.Flights() {
		p.flights.buckets[i] = []byte("nonsense")
	}
	d = p.get("/")
	wantCode(t, "nobody knows", d, RateLimited, "c")
	if got := headerOf(d, "retry-after"); got != "1" {
		t.Errorf("retry-after %s", got)
	}
}

// What an answer has cost more than the burst is a debt, here and in the share of a service that does not tell.
func TestDebt(t *testing.T) {
	dear := `"cost":{"response":{"json":["n"],"max":50}}`
	for name, config := range map[string]string{
		"local": limitsConfig(named("a", five, dear)),
		"a share": `{"limits":[` + named("a", five, `"scope":"global",`+dear) +
			`],"global":{"cluster":"c","authority":"a","domain":"d","onError":"local"}}`,
	} {
		p := newProxy(t, config)
		p.service = newCounter()
		p.service.err = errProxy
		p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":50}`, Complete)
		d := p.get("/")
		wantCode(t, name, d, RateLimited, "a")
		if got := headerOf(d, "retry-after"); got != "552" { // 46 of 12 s
			t.Errorf("%s: retry-after %s", name, got)
		}
	}
}

// Whatever order answers come in, and however long they take, they cost what they say: nothing that was
// reserved is lost, and what is reserved counts until then.
func TestReservesOfOverlappingAnswers(t *testing.T) {
	for name, next := range map[string]func(n int) int{"first in, first out": func(int) int { return 0 },
		"last in, first out": func(n int) int { return n - 1 }, "from the middle": func(n int) int { return n / 2 }} {
		for _, slow := range []time.Duration{0, 30 * time.Second} {
			p := newProxy(t, limitsConfig(named("a", `{"requests":100,"per":"1h"}`, response)))
			var list []*Account
			for range 10 {
				list = append(list, p.get("/").Account())
			}
			d := p.get("/")
			wantCode(t, "all is reserved", d, RateLimited, "a")
			if got := headerOf(d, "retry-after"); got != "1" {
				t.Errorf("%s: retry-after %s, where nobody knows", name, got)
			}
			for len(list) > 0 {
				i := next(len(list))
				p.answer(list[i], statusHeaders("200"), `{"usage":{"total_tokens":4}}`, Complete)
				list = append(list[:i:i], list[i+1:]...)
				p.now = p.now.Add(slow)
			}
			left := 100 - 40 - 10 + int64(10*slow/(36*time.Second))
			if got := headerOf(p.get("/"), "ratelimit"); !strings.HasPrefix(got, fmt.Sprintf(`"a";r=%d;`, left)) {
				t.Errorf("%s, %v: %s, want %d", name, slow, got, left)
			}
		}
	}
	p := newProxy(t, limitsConfig(named("a", hundred, response)))
	p.answer(p.get("/").Account(), statusHeaders("200"), `{"usage":{"total_tokens":50}}`, Complete)
	for range 4 {
		p.get("/").Account()
	}
	d := p.get("/")
	p.now = p.now.Add(10 * time.Second) // 16 of the 50 have drained
	wantCode(t, "5 of 10 are left", d, verdict.OK, "a")
	d = p.get("/")
	wantCode(t, "60 reserved, 34 spent", d, verdict.OK, "a")
	d = p.get("/")
	wantCode(t, "70 reserved, 34 spent", d, RateLimited, "a")
	if got := headerOf(d, "retry-after"); got != "2" {
		t.Errorf("retry-after %s, for 3 of 600 ms", got)
	}
	if got := headerOf(d, "ratelimit"); !strings.HasPrefix(got, `"a";r=0;`) {
		t.Errorf("%s", got)
	}
}

// What was taken ahead in one window of the service is not given back to the next.
func TestLeaseOfAnotherWindow(t *testing.T) {
	p := newProxy(t, `{"limits":[`+named("a", `{"requests":1000,"per":"1m"}`, `"scope":"global",`+response)+
		`],"global":{"cluster":"c","authority":"a","domain":"d","lease":{"requests":100,"per":"1m"}}}`)
	p.service = newCounter("a")
	p.service.limits["a"] = ratelimit.Limit{Requests: 1000, Unit: ratelimit.Minute, Multiplier: 1}
	p.now = noon.Truncate(time.Minute).Add(50 * time.Second)
	var list []*Account
	for range 10 {
		list = append(list, p.get("/").Account())
	}
	p.now = p.now.Add(11 * time.Second)
	before := p.service.granted
	p.get("/").Account()
	for _, c := range list {
		p.answer(c, statusHeaders("200"), `{"usage":{"total_tokens":0}}`, Complete)
	}
	let := int64(1)
	for range 200 {
		if p.get("/").Verdict().Code == verdict.OK {
			let++
		}
	}
	if counted := p.service.granted - before; 10*let > counted {
		t.Errorf("%d hits let through, %d counted", 10*let, counted)
	}
}

// What is over a limit takes nothing of it and owes it nothing, also where the request goes on.
func TestOverWhereTheRequestGoesOn(t *testing.T) {
	for name, more := range map[string]string{"shadow": `"mode":"shadow",`, "marked": `"onExceeded":{"mark":{"header":"x-over"}},`} {
		p := newProxy(t, limitsConfig(named("a", `{"requests":20,"per":"1h"}`, more+response), named("b", hundred, response)))
		var list []*Account
		for range 5 {
			d := p.get("/")
			if !d.Verdict().Admits() {
				t.Fatalf("%s: %s", name, d.Verdict().Code.Name)
			}
			list = append(list, d.Account())
		}
		if n := p.policy.limits[0].reserves.Held; n != 20 {
			t.Errorf("%s: %d reserved", name, n)
		}
		for i, account := range list {
			got, asks := p.answer(account, statusHeaders("200"), `{"usage":{"total_tokens":4}}`, Complete)
			if want := map[bool]int{true: 2, false: 1}[i < 2]; len(got) != want || asks != nil {
				t.Errorf("%s, %d: %+v, asks %v", name, i, got, asks)
			}
		}
		if n := p.policy.limits[0].reserves.Held + p.policy.limits[1].reserves.Held; n != 0 {
			t.Errorf("%s: %d reserved by nobody", name, n)
		}
		if d := p.get("/"); strings.Contains(counts(d), "would_deny") || strings.Contains(counts(d), "marked") {
			t.Errorf("%s: 8 of 20 are spent: %s", name, counts(d))
		}
	}
	// Where nobody knows whether there is room, a request that goes on holds its place until it ends.
	p := newProxy(t, limitsConfig(named("a", hundred, `"mode":"shadow",`+response)))
	p.shared = errProxy
	d := p.get("/")
	account := d.Account()
	if account == nil || account.Open() {
		t.Fatal("it owes a cost")
	}
	account.Close(p.now, p.flights.swap)
	if n := p.policy.limits[0].reserves.Held; n != 0 {
		t.Errorf("%d reserved by nobody", n)
	}
}

// A request that is abandoned gives back its places, whatever else it has taken; one that is settled has
// nothing reserved any more, though its stream goes on.
func TestAbandonedAndSettled(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", hundred, ""), `{"name":"c","concurrency":{"requests":1}}`, named("b", hundred, response)))
	d := p.get("/")
	wantCode(t, "within", d, verdict.OK, d.policy.RuleName(d.Verdict().Rule))
	d.Abandon(p.now, p.flights.swap)
	account := p.get("/").Account()
	if account == nil {
		t.Fatal("the place is kept")
	}
	account.Headers(statusHeaders("200"))
	account.Settle(Complete, p.now, p.world(nil), nil)
	if n := p.policy.limits[2].reserves.Held; n != 0 {
		t.Errorf("%d reserved after the answer", n)
	}
	if n := p.policy.limits[1].concurrency.Held; n != 1 {
		t.Errorf("%d on their way before the stream ends", n)
	}
	account.Close(p.now, p.flights.swap)
	p = newProxy(t, limitsConfig(`{"name":"a","rate":"unlimited",`+failures+`}`))
	if got := fmt.Sprint(p.policy.Warnings()); !strings.Contains(got, "limits[0].counts: has no effect") {
		t.Error(got)
	}
}

// A key that has something left of the service's last window takes hits ahead in the next one, too.
func TestLeaseOfANewWindow(t *testing.T) {
	g, l := &Global{lease: 10, leasePer: time.Hour, replicas: 1}, &leases{}
	l.grant(g, 7, 9, 90, 0, 60)
	l.grant(g, 7, 5, 80, 100, 60)
	if _, _, ok := l.spend(7, 5, 101); !ok {
		t.Error("nothing is taken ahead in the second window")
	}
}

// R35: one place that cannot be written keeps no other from being renewed.
func TestRenewBesideAFailure(t *testing.T) {
	p, other := newProxy(t, limitsConfig(atOnceOfUser)), newProxy(t, limitsConfig(atOnceOfUser))
	p.policy.SetVM(1)
	other.policy.SetVM(2)
	other.flights = p.flights
	for _, user := range []string{"hot", "ann", "ann", "bob", "bob"} {
		if p.get("/", [2]string{"x-user", user}).Account() == nil {
			t.Fatal("no place")
		}
	}
	hot := -1
	for range 90 {
		p.now = p.now.Add(time.Second)
		p.policy.Renew(p.now, func(at int, change func([]byte) []byte) error {
			if hot < 0 {
				hot = at
			}
			if at == hot {
				return errProxy
			}
			return p.flights.swap(at, change)
		}, func() bool { return true })
	}
	other.now = p.now
	for _, user := range []string{"ann", "bob"} {
		wantCode(t, user, other.get("/", [2]string{"x-user", user}), RateLimited, "a")
	}
}

// R35: a place whose giving back a fault interrupts is given back once.
func TestGivenBackOnce(t *testing.T) {
	p := newProxy(t, `{"limits":[{"name":"c","concurrency":{"requests":5}},`+named("a", hundred, response)+","+
		named("g", five, `"scope":"global"`)+`],"global":{"cluster":"c","authority":"a","domain":"d","onError":"deny"}}`)
	d := &Decision{}
	p.policy.Decide(d, p.asked([][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}}))
	d.Run(p.world(d))
	_ = d.Answered(ratelimit.Response{}, errProxy, p.now)
	d.Abandon(p.now, p.flights.swap)
	if c, a := p.policy.limits[0].concurrency.Held, p.policy.limits[1].reserves.Held; c != 0 || a != 0 {
		t.Errorf("%d and %d held", c, a)
	}
}
