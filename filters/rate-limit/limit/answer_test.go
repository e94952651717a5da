// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const (
	response = `"cost":{"response":{"json":["usage","total_tokens"],"stream":"sse","reserve":10,"default":5,"max":50}}`
	hundred  = `{"requests":100,"per":"1m"}`
	failures = `"counts":{"status":["401","5xx"]}`
)

// flights is a table of requests at once that several proxies' VMs share.
type flights struct {
	buckets map[int][]byte
	err     error
	calls   int
	fails   int // the call that fails, once; 0: none
}

func (f *flights) swap(at int, change func([]byte) []byte) error {
	if f.calls++; f.err != nil {
		return f.err
	}
	if f.calls == f.fails {
		return errProxy
	}
	if f.buckets[at] == nil {
		f.buckets[at] = inflight.Empty()
	}
	if next := change(f.buckets[at]); next != nil {
		f.buckets[at] = slices.Clone(next)
	}
	return nil
}

// answer settles a request's account by an answer. stage: how far it comes.
func (p *proxy) answer(c *Account, headers [][2]string, body string, stage Stage) (list []Settlement,
	asks *ratelimit.Request) {
	settle := func(s Stage) {
		more, a := c.Settle(s, p.now, p.world(nil), nil)
		if list = append(list, more...); a != nil {
			asks = a
		}
	}
	if headers != nil {
		wants := c.Headers(headers)
		if wants != c.WantsBody() {
			panic("it says two things")
		}
		settle(Told)
		if wants {
			c.Body([]byte(body))
		}
	}
	if stage == Complete {
		settle(Complete)
	}
	settle(Ended)
	if c.Open() {
		panic("something is left to be settled")
	}
	c.Close(p.now, p.flights.swap)
	return list, asks
}

func statusHeaders(status string, more ...[2]string) [][2]string {
	return append([][2]string{{":status", status}}, more...)
}

// What becomes of a limit, by what is answered.
func TestAccount(t *testing.T) {
	json := [2]string{"content-type", "application/json"}
	events := [2]string{"content-type", "Text/Event-Stream;charset=utf-8"}
	tokens := func(n string) string { return `{"usage":{"total_tokens":` + n + `}}` }
	for name, c := range map[string]struct {
		more    string
		headers [][2]string
		body    string
		stage   Stage
		left    int
	}{
		"the number":         {response, statusHeaders("200", json), tokens("7"), Complete, 93},
		"more than reserved": {response, statusHeaders("200", json), tokens("30"), Complete, 70},
		"R31 huge":           {response, statusHeaders("200", json), tokens("9e99"), Complete, 50},
		"R31 negative":       {response, statusHeaders("200", json), tokens("-9"), Complete, 50},
		"R31 a text":         {response, statusHeaders("200", json), tokens(`"7"`), Complete, 50},
		"R31 twice":          {response, statusHeaders("200", json), tokens(`7},"usage":{"total_tokens":40`), Complete, 60},
		"none":               {response, statusHeaders("200", json), `{}`, Complete, 95},
		"another status":     {response, statusHeaders("500", json), `{}`, Complete, 95},
		"events":             {response, statusHeaders("200", events), "data: " + tokens("7") + "\n\n", Complete, 93},
		"encoded": {response, statusHeaders("200", json, [2]string{"content-encoding", "br"}),
			tokens("7"), Complete, 90},
		"encoded, by nothing": {response, statusHeaders("200", json, [2]string{"content-encoding", " IDENTITY "}),
			tokens("7"), Complete, 93},
		"encoded, and by nothing": {response, statusHeaders("200", json, [2]string{"content-encoding", "gzip"},
			[2]string{"content-encoding", "identity"}), tokens("7"), Complete, 90},
		"R32 gone before":      {response, nil, "", Ended, 90},
		"R32 gone in between":  {response, statusHeaders("200", events), "data: " + tokens("3") + "\n\n", Ended, 90},
		"R32 gone after":       {response, statusHeaders("200", events), "data: " + tokens("30") + "\n\n", Ended, 70},
		"R31 R32 gone, spoilt": {response, statusHeaders("200", events), "data: " + tokens("-1") + "\n\n", Ended, 90},
		"no events wanted": {strings.Replace(response, `,"stream":"sse"`, "", 1), statusHeaders("200", events),
			"data: " + tokens("30") + "\n\n", Complete, 95},
		"several paths": {strings.Replace(response, `["usage","total_tokens"]`, `[["usage","in"],["usage","out"]]`, 1),
			statusHeaders("200", json), `{"usage":{"in":3,"out":9}}`, Complete, 88},
		"a header": {`"cost":{"response":{"header":"x-cost","reserve":10,"default":5,"max":50}}`,
			statusHeaders("200", [2]string{"x-cost", "7"}), "", Ended, 93},
		"R31 a header that is no number": {`"cost":{"response":{"header":"x-cost","reserve":10,"default":5,"max":50}}`,
			statusHeaders("200", [2]string{"x-cost", "-7"}), "", Complete, 50},
		"a header, not there": {`"cost":{"response":{"header":"x-cost","reserve":10,"default":5,"max":50}}`,
			statusHeaders("200"), "", Complete, 95},
		"a header, before which it ends": {`"cost":{"response":{"header":"x-cost","reserve":10,"default":5,"max":50}}`, nil, "",
			Ended, 90},
		"reserve 0":             {strings.Replace(response, `:10,`, `:0,`, 1), statusHeaders("200", json), tokens("7"), Complete, 93},
		"counts":                {failures, statusHeaders("401"), "", Ended, 99},
		"counts a class":        {failures, statusHeaders("599"), "", Complete, 99},
		"counts another":        {failures, statusHeaders("403"), "", Complete, 100},
		"counts, no status":     {failures, statusHeaders("4010"), "", Complete, 100},
		"counts, no answer":     {failures, nil, "", Ended, 100},
		"counts, with a cost":   {failures + `,"cost":{"default":3}`, statusHeaders("401"), "", Complete, 97},
		"counts, and response":  {failures + "," + response, statusHeaders("500", json), tokens("7"), Complete, 93},
		"counts, not response":  {failures + "," + response, statusHeaders("200", json), tokens("7"), Ended, 100},
		"counts, response, R32": {failures + "," + response, nil, "", Ended, 90},
	} {
		p := newProxy(t, limitsConfig(named("a", hundred, c.more)))
		d := p.get("/")
		wantCode(t, name, d, verdict.OK, "a")
		account := d.Account()
		if account == nil {
			t.Fatalf("%s: nothing is owed", name)
		}
		reserved := int64(-1)
		account.Reserved(func(limit int, hits int64) { reserved = hits })
		list, asks := p.answer(account, c.headers, c.body, c.stage)
		if asks != nil {
			t.Errorf("%s: the service is asked", name)
		}
		if len(list) != 1 || list[0].Limit != 0 || list[0].Settled != int64(100-c.left) || list[0].Reserved != reserved ||
			list[0].GivenBack != max(reserved-list[0].Settled, 0) || list[0].Lost {
			t.Errorf("%s: %+v of %d reserved", name, list, reserved)
		}
		plain := parse(t, limitsConfig(named("a", hundred, "")))
		plain.SetSeed(p.policy.seed)
		p.policy = plain // which takes what is left
		if got := headerOf(p.get("/"), "ratelimit"); !strings.HasPrefix(got, fmt.Sprintf(`"a";r=%d;`, c.left-1)) {
			t.Errorf("%s: %s, want %d left", name, got, c.left)
		}
	}
}

// What is settled in any order, by several requests at once, is never more than the limit and what was
// reserved too little; and accounts do not mix.
func TestAccountsAtOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 18))
	for range 200 {
		p := newProxy(t, limitsConfig(named("a", hundred, response), named("b", `{"requests":1000,"per":"1m"}`, failures),
			`{"name":"c","concurrency":{"requests":8}}`))
		type open struct {
			account *Account
			cost    int64
		}
		var list []open
		var settled, under, drained int64
		start := p.now
		for range 200 {
			p.now = p.now.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
			if len(list) > 0 && rng.IntN(2) == 0 {
				i := rng.IntN(len(list))
				o := list[i]
				list = append(list[:i:i], list[i+1:]...)
				got, _ := p.answer(o.account, statusHeaders("200"), fmt.Sprintf(`{"usage":{"total_tokens":%d}}`, o.cost), Complete)
				for _, s := range got {
					if want := o.cost; s.Limit == 0 && s.Settled != want || s.Limit == 1 && s.Settled != 0 {
						t.Fatalf("%+v, want %d", s, want)
					}
				}
				settled += o.cost
				continue
			}
			d := p.get("/")
			if len(list) == 8 {
				wantCode(t, "at once", d, RateLimited, d.policy.RuleName(d.Verdict().Rule))
			}
			if d.Verdict().Code != verdict.OK {
				if d.Account() != nil {
					t.Fatal("a request that is refused owes something")
				}
				continue
			}
			cost := rng.Int64N(51)
			under += max(cost-10, 0)
			list = append(list, open{d.Account(), cost})
		}
		drained = 100 + int64(p.now.Sub(start)/(600*time.Millisecond)) + 1
		if settled > drained+under {
			t.Fatalf("%d settled, of %d and %d", settled, drained, under)
		}
		if len(p.policy.accounts) > 8 {
			t.Fatalf("%d accounts are kept for 8 requests at once", len(p.policy.accounts))
		}
	}
}

// R36 R37: counted when the headers are there, whatever comes of the body; and a look takes nothing.
func TestCountsAtHeaders(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", two, failures)))
	var open []*Account
	for range 5 {
		d := p.get("/")
		wantCode(t, "R37 at once", d, verdict.OK, "a")
		open = append(open, d.Account())
	}
	for _, c := range open {
		c.Headers(statusHeaders("401"))
		if list, _ := c.Settle(Told, p.now, p.world(nil), nil); len(list) != 1 || list[0].Settled != 1 || c.Open() {
			t.Errorf("R36: %+v", list)
		}
	}
	d := p.get("/")
	wantCode(t, "spent", d, RateLimited, "a")
	if got := headerOf(d, "retry-after"); got != "120" {
		t.Errorf("R37: three more than the limit have to drain, too: %s", got)
	}
}

// A cost that cannot be noted is told.
func TestLostCosts(t *testing.T) {
	for name, fault := range map[string]func(*proxy){
		"shared data":        func(p *proxy) { p.shared = errProxy },
		"unwritten":          func(p *proxy) { p.unwritten = errProxy },
		"others were faster": func(p *proxy) { p.busy = func(int) bool { return true } },
	} {
		p := newProxy(t, limitsConfig(named("a", hundred, response)))
		c := p.get("/").Account()
		fault(p)
		list, _ := p.answer(c, statusHeaders("200"), `{"usage":{"total_tokens":30}}`, Complete)
		if len(list) != 1 || !list[0].Lost {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

// What the service is told, and from where it is taken first.
func TestAccountsOfTheService(t *testing.T) {
	config := func(more, global string) string {
		return `{"limits":[` + named("a", five, `"scope":"global",`+more) + `],"global":{"cluster":"c","authority":"a","domain":"d"` +
			global + `}}`
	}
	small := `"cost":{"response":{"json":["n"],"reserve":1,"max":5}}`
	for name, c := range map[string]struct {
		more, global, body string
		want               int // hits that the service is told of
	}{
		"more": {small, "", `{"n":3}`, 2}, "as reserved": {small, "", `{"n":1}`, 0}, "less": {small, "", `{"n":0}`, 0},
		"counts": {failures, "", "", 1}, "counts, a cost": {failures + `,"cost":{"default":2}`, "", "", 2},
	} {
		p := newProxy(t, config(c.more, c.global))
		p.service = newCounter("a")
		d := p.get("/")
		wantCode(t, name, d, verdict.OK, "a")
		_, asks := p.answer(d.Account(), statusHeaders("500"), c.body, Complete)
		if (asks != nil) != (c.want > 0) {
			t.Errorf("%s: asked %v", name, asks)
			continue
		}
		if asks == nil {
			continue
		}
		if got := hitsOf(asks.Descriptors[0].Hits); len(asks.Descriptors) != 1 || got != uint64(c.want) ||
			asks.Domain != "d" {
			t.Errorf("%s: %d hits, %+v", name, got, asks)
		}
		if first := p.service.asked[0].Descriptors[0].Entries; !slices.Equal(first, asks.Descriptors[0].Entries) {
			t.Errorf("%s: %v and then %v", name, first, asks.Descriptors[0].Entries)
		}
	}
	// A limit that counts answers asks whether anything is left, and takes nothing; where nothing is, it is
	// refused, and remembered.
	p := newProxy(t, config(failures, ""))
	p.service = newCounter("a")
	for i := range 8 {
		d := p.get("/")
		if i >= 5 {
			wantCode(t, "spent", d, RateLimited, "a")
			continue
		}
		wantCode(t, "within", d, verdict.OK, "a")
		_, asks := p.answer(d.Account(), statusHeaders("401"), "", Complete)
		if _, err := p.service.answer(asks, p.now); err != nil {
			t.Fatal(err)
		}
	}
	if p.calls != 6 {
		t.Errorf("%d calls: one that is known to be spent is not asked for", p.calls)
	}
	// Without the service, this proxy's share is settled here.
	p = newProxy(t, config(failures, `,"onError":"local"`))
	p.service = newCounter("a")
	p.service.err = errProxy
	for i := range 6 {
		d := p.get("/")
		if i == 5 {
			wantCode(t, "spent here", d, RateLimited, "a")
			break
		}
		wantCode(t, "within", d, verdict.OK, "a")
		if list, asks := p.answer(d.Account(), statusHeaders("401"), "", Complete); asks != nil || len(list) != 1 {
			t.Errorf("%+v, asked %v", list, asks)
		}
	}
	// What was taken ahead pays first, and gets back what was reserved too much.
	p = newProxy(t, config(`"cost":{"response":{"json":["n"],"reserve":2,"max":5}}`, `,"lease":{"requests":4,"per":"1m"}`))
	p.service = newCounter("a")
	p.service.limits["a"] = ratelimit.Limit{Requests: 1000, Unit: ratelimit.Minute, Multiplier: 1}
	for range 2 {
		p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":2}`, Complete)
	}
	before := p.calls
	_, asks := p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":1}`, Complete)
	if asks != nil || p.calls != before {
		t.Errorf("%d calls more, asks %v", p.calls-before, asks)
	}
	if _, asks = p.answer(p.get("/").Account(), statusHeaders("200"), `{"n":3}`, Complete); asks != nil {
		t.Errorf("what was taken ahead does not pay: %v", asks)
	}
}

const atOnceOfUser = `{"name":"a","key":[{"header":"x-user"}],"concurrency":{"requests":2,"maxAge":"30s"}}`

// R34 R35: places are exact over proxies' VMs, and none is kept by what does not go on.
func TestConcurrency(t *testing.T) {
	user := [2]string{"x-user", "ann"}
	p := newProxy(t, limitsConfig(atOnceOfUser, named("b", two, `"key":[{"header":"x-other"}]`)))
	other := newProxy(t, limitsConfig(atOnceOfUser, named("b", two, `"key":[{"header":"x-other"}]`)))
	other.flights = p.flights
	p.policy.SetVM(1)
	other.policy.SetVM(2)
	one, two := p.get("/", user).Account(), other.get("/", user).Account()
	if one == nil || two == nil {
		t.Fatal("no places")
	}
	d := other.get("/", user)
	wantCode(t, "the third", d, RateLimited, "a")
	if got := d.Headers(nil); len(got) != 2 || got[1][1] != `"a";r=0` || got[0][1] != `"a";q=2;qu="concurrent-requests"` {
		t.Errorf("%v", got)
	}
	two.Close(p.now, p.flights.swap)
	// Refused by another limit, of which two are left.
	for i := range 5 {
		d := p.get("/", user, [2]string{"x-other", "x"})
		code, rule := verdict.OK, "b"
		if i >= 2 {
			code = RateLimited
		}
		if i < 2 {
			rule = d.policy.RuleName(d.Verdict().Rule)
		}
		wantCode(t, "with another limit", d, code, rule)
		if i >= 2 {
			if got := headerOf(d, "ratelimit"); !strings.HasPrefix(got, `"a";r=1, "b";r=0;`) {
				t.Errorf("R35 given back: %s", got)
			}
			continue
		}
		d.Account().Close(p.now, p.flights.swap)
	}
	one.Close(p.now, p.flights.swap)
	for at, b := range p.flights.buckets {
		if len(b) != 1 {
			t.Errorf("bucket %d: something is on its way: %q", at, b)
		}
	}
	p.flights.err = decide.ErrBusy
	d = p.get("/", user)
	wantCode(t, "others were faster", d, RateLimited, "a")
	if got := headerOf(d, "retry-after"); got != "1" {
		t.Errorf("retry-after %s", got)
	}
	p.flights.err = errors.New("no shared data")
	wantCode(t, "nobody knows", p.get("/", user), verdict.Internal, "a")
	// A place that cannot be given back is, as soon as that can be written.
	p.flights.err = nil
	c := p.get("/", user).Account()
	p.flights.err = errProxy
	c.Close(p.now, p.flights.swap)
	wantTotal := func(what string, p *proxy, want int64) {
		t.Helper()
		got := int64(-1)
		p.policy.InFlight(p.now, func(_ string, change func([]byte) []byte) error {
			p.record = append([]byte(nil), change(append(inflight.Empty(), p.record...))...)
			p.record = p.record[min(1, len(p.record)):]
			return nil
		}, func(_ int, total int64) { got = total })
		if got != want {
			t.Errorf("%s: %d in flight, want %d", what, got, want)
		}
	}
	wantTotal("given back", p, 0)
	p.flights.err = nil
	if more := p.policy.Renew(p.now, p.flights.swap, func() bool { return true }); more {
		t.Error("there is more to renew than there is")
	}
	a, b := other.get("/", user).Account(), other.get("/", user).Account()
	if a == nil || b == nil {
		t.Error("R35: a place is kept that was given back")
	}
	// One whose stream ends while it waits, or that a fault has come between, holds nothing.
	a.Close(p.now, p.flights.swap)
	b.Close(p.now, p.flights.swap)
	d = &Decision{}
	other.policy.Decide(d, other.asked([][2]string{{":method", "GET"}, {":authority", "a"}, {":path", "/"}, user}))
	if d.Run(other.world(d)); d.Verdict().Code != verdict.OK {
		t.Fatal(d.Verdict().Code.Name)
	}
	d.Abandon(p.now, p.flights.swap)
	d.Abandon(p.now, p.flights.swap)
	wantTotal("abandoned", other, 0)
	for range 2 {
		if other.get("/", user).Account() == nil {
			t.Error("R35: a place is kept that was abandoned")
		}
	}
	wantTotal("two", other, 2)
	// In shadow mode it is told, and the request goes on.
	p = newProxy(t, limitsConfig(strings.Replace(atOnceOfUser, `"name"`, `"mode":"shadow","name"`, 1)))
	for i := range 4 {
		d := p.get("/", user)
		if got := counts(d); !d.Verdict().Admits() || strings.Contains(got, "would_deny") != (i >= 2) {
			t.Errorf("shadow: %s", got)
		}
		if (d.Account() != nil) != (i < 2) {
			t.Errorf("shadow, request %d: what is over holds a place, or what is not holds none", i)
		}
	}
}

// Nothing is renewed beyond a turn, and what is not due not at all.
func TestRenew(t *testing.T) {
	p := newProxy(t, limitsConfig(atOnceOfUser))
	for i := range 10 {
		if p.get("/", [2]string{"x-user", fmt.Sprint(i)}).Account() == nil {
			t.Fatal("no place")
		}
	}
	turns := 0
	turn := func() bool { turns++; return turns <= 4 }
	p.now = p.now.Add(9 * time.Second)
	if more := p.policy.Renew(p.now, p.flights.swap, turn); more || turns != 0 {
		t.Errorf("%d renewed after nine seconds of thirty", turns)
	}
	p.now = p.now.Add(time.Second)
	if more := p.policy.Renew(p.now, p.flights.swap, turn); !more || turns != 5 {
		t.Errorf("%d turns, more: %v", turns, more)
	}
	turns = -100
	if more := p.policy.Renew(p.now, p.flights.swap, turn); more || turns != -94 {
		t.Errorf("%d turns, more: %v", turns+100, more)
	}
	p.flights.err = errProxy
	p.now = p.now.Add(10 * time.Second)
	turns = 0
	all := func() bool { turns++; return true }
	for i, want := range []int{10, 0, 10} { // each is tried once, and a little later again
		if turns = 0; p.policy.Renew(p.now, p.flights.swap, all) || turns != want {
			t.Errorf("where nothing can be written, %d: %d turns", i, turns)
		}
		p.now = p.now.Add(50 * time.Millisecond)
	}
}

// What is wrong with the keys of answers, and where.
func TestAnswerConfig(t *testing.T) {
	for text, want := range map[string]string{
		`"counts":{"status":[]}`:                                           "limits[0].counts.status: ",
		`"counts":{"status":["600"]}`:                                      `limits[0].counts.status[0]: want the status of an answer`,
		`"counts":{"status":["6xx"]}`:                                      `limits[0].counts.status[0]: want the status`,
		`"counts":{"status":["+12"]}`:                                      `limits[0].counts.status[0]: want the status`,
		`"counts":{"status":["099"]}`:                                      `limits[0].counts.status[0]: want the status`,
		`"counts":{"status":["40"]}`:                                       `limits[0].counts.status[0]: want the status`,
		`"counts":{}`:                                                      "limits[0].counts.status: is required",
		`"cost":{"response":{"max":5}}`:                                    "limits[0].cost.response: needs header or json",
		`"cost":{"response":{"json":["n"]}}`:                               "limits[0].cost.response.max: is required",
		`"cost":{"response":{"json":["n"],"reserve":6,"max":5}}`:           "limits[0].cost.response.max: is less than reserve or default",
		`"cost":{"response":{"json":["n"],"default":6,"max":5}}`:           "limits[0].cost.response.max: is less than reserve or default",
		`"cost":{"response":{"json":["n"],"reserve":101,"max":200}}`:       "limits[0].rate: lets no request of the highest cost through",
		`"cost":{"response":{"json":["n"],"header":"x-n","max":5}}`:        "limits[0].cost.response.json: stands beside header",
		`"cost":{"response":{"json":[],"max":5}}`:                          "limits[0].cost.response.json: ",
		`"cost":{"response":{"json":["a",""],"max":5}}`:                    "limits[0].cost.response.json[1]: must not be empty",
		`"cost":{"response":{"json":[["a"],["a","b"]],"max":5}}`:           "limits[0].cost.response.json: has a path that another begins with",
		`"cost":{"response":{"json":["n"],"stream":"ndjson","max":5}}`:     "limits[0].cost.response.stream: ",
		`"cost":{"response":{"json":["n"],"more":1,"max":5}}`:              "limits[0].cost.response.more: ",
		`"concurrency":{"requests":1}`:                                     "limits[0].rate: stands beside concurrency",
		`"concurrency":{"requests":1},"scope":"global"`:                    "limits[0].scope: is global",
		`"concurrency":{"requests":1},"counts":{"status":["401"]}`:         "limits[0].counts: stands beside concurrency",
		`"concurrency":{"requests":0}`:                                     "limits[0].concurrency.requests: ",
		`"concurrency":{}`:                                                 "limits[0].concurrency.requests: is required",
		`"concurrency":{"requests":1,"maxAge":"1ms"}`:                      "limits[0].concurrency.maxAge: ",
		`"concurrency":{"requests":1},"tiers":{"claim":["a"],"values":{}}`: "limits[0].tiers: stands beside concurrency",
	} {
		_, err := Parse(limitsConfig(named("a", hundred, text)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	long := `["a"` + strings.Repeat(`,"a"`, 16) + `]`
	many := `[["a0"]`
	for i := range 8 {
		many += fmt.Sprintf(`,["a%d"]`, i+1)
	}
	for path, want := range map[string]string{long: "has a path of more than 16 names",
		many + "]": "has more than 8 paths"} {
		if _, err := Parse(limitsConfig(named("a", hundred, `"cost":{"response":{"max":5,"json":`+path+`}}`))); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for text, want := range map[string]string{
		`"cost":{"default":2,"response":{"json":["n"],"reserve":2,"max":5}}`:      "limits[0].cost.default: has no effect beside response",
		`"cost":{"response":{"header":"x-n","stream":"sse","reserve":2,"max":5}}`: "limits[0].cost.response.stream: has no effect",
		`"cost":{"response":{"json":["n"],"reserve":2,"default":4,"max":5}}`:      "limits[0].cost.response.reserve: is less than default",
		`"cost":{"response":{"json":["n"],"reserve":0,"max":5}}`:                  "limits[0].cost.response.reserve: is 0",
		`"cost":{"response":{"json":["n"],"reserve":4,"max":500}}`:                "limits[0].cost.response.reserve: is less than a hundredth",
	} {
		p := parse(t, limitsConfig(named("a", hundred, text)))
		if got := fmt.Sprint(p.Warnings()); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	p := parse(t, limitsConfig(`{"name":"a","cost":{"default":2},"concurrency":{"requests":1}}`))
	if got := fmt.Sprint(p.Warnings()); !strings.Contains(got, "limits[0].cost: has no effect beside concurrency") {
		t.Errorf("%s", got)
	}
}
