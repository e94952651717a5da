// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const ofQuota = `{"requests":{"claim":["a","quota"],"default":5,"max":100},"per":"1m"}`

// R25: whatever a claim says, the number is one that the configuration allows.
func TestRateOfClaim(t *testing.T) {
	for quota, want := range map[string]int64{
		"1": 1, "60": 60, "60.0": 60, "6e1": 60, "100": 100, "101": 100, "1e30": 100,
		"9223372036854775808": 100, "99999999999999999999": 100, "0": 5, "-0": 5, "-1": 5, "-1e30": 5,
		"1.5": 5, "0.9": 5, "100.5": 5,
		`"60"`: 5, "null": 5, "true": 5, "[60]": 5, "{}": 5, "[]": 5, `""`: 5,
	} {
		p := newProxy(t, limitsConfig(named("q", ofQuota, "")))
		p.identity = `{"a":{"quota":` + quota + `}}`
		d := p.get("/")
		wantCode(t, "R25 "+quota, d, verdict.OK, "q")
		n := strconv.FormatInt(want, 10)
		if got := headerOf(d, "ratelimit-policy"); got != `"q";q=`+n+`;w=60` {
			t.Errorf("R25 %s: %s", quota, got)
		}
		for range want - 1 {
			p.get("/")
		}
		wantCode(t, "R25 over "+quota, p.get("/"), RateLimited, "q")
	}
	for _, identity := range []string{"", `{"quota":60}`, `{"a":60}`, `{"a":[{"quota":60}]}`} {
		p := newProxy(t, limitsConfig(named("q", ofQuota, "")))
		p.identity = identity
		if got := headerOf(p.get("/"), "ratelimit-policy"); got != `"q";q=5;w=60` {
			t.Errorf("%s: %s", identity, got)
		}
	}
	p := newProxy(t, limitsConfig(named("q", ofQuota, "")))
	p.identityErr = errProxy
	wantCode(t, "R25 nobody knows", p.get("/"), verdict.Internal, "q")
}

// R25: the bucket is one, whatever number a token says, and each goes by its own.
func TestOneBucketForAllNumbers(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("q", ofQuota, "")), `"headers":"both"`))
	ask := func(quota string) *Decision {
		p.identity = `{"a":{"quota":` + quota + `}}`
		return p.get("/")
	}
	for range 4 {
		wantCode(t, "with 4", ask("4"), verdict.OK, "q")
	}
	wantCode(t, "with 4, one too many", ask("4"), RateLimited, "q")
	d := ask("60")
	wantCode(t, "with 60, of the same bucket", d, RateLimited, "q")
	if got := headerOf(d, "ratelimit-policy") + headerOf(d, "ratelimit") + headerOf(d, "retry-after") +
		headerOf(d, "x-ratelimit-limit"); got != `"q";q=60;w=60"q";r=0;t=60160` {
		t.Errorf("%s", got)
	}
	p.now = p.now.Add(time.Second)
	wantCode(t, "with 60, a second later", ask("60"), verdict.OK, "q")
	wantCode(t, "with 4, a second later", ask("4"), RateLimited, "q")
	p.now = p.now.Add(14 * time.Second)
	wantCode(t, "with 4, in time", ask("4"), RateLimited, "q")
	p.now = p.now.Add(time.Second)
	wantCode(t, "with 4, in time for what the other has spent", ask("4"), verdict.OK, "q")

	p = newProxy(t, limitsConfig(named("q", `{"requests":{"claim":["a","quota"],"default":5,"max":100},"per":"1m","burst":3}`, "")))
	for range 3 {
		wantCode(t, "a burst that is configured", ask("60"), verdict.OK, "q")
	}
	wantCode(t, "over it", ask("60"), RateLimited, "q")
}

// A decision is told by its own numbers, however many limits have some, and allocates nothing for them.
func TestSeveralNumbers(t *testing.T) {
	number := func(name string) string {
		return named(name, `{"requests":{"claim":["`+name+`"],"default":5,"max":100},"per":"1m"}`,
			`"tiers":{"claim":["plan"],"values":{"own":{"requests":{"claim":["own"],"default":9,"max":50},"per":"1h"}}}`)
	}
	p := newProxy(t, limitsConfig(number("a"), number("b"), number("c")))
	p.identity = `{"a":10,"b":20,"c":30,"own":40}`
	if got := headerOf(p.get("/"), "ratelimit-policy"); got != `"a";q=10;w=60, "b";q=20;w=60, "c";q=30;w=60` {
		t.Errorf("%s", got)
	}
	p.identity = `{"a":10,"b":20,"c":30,"own":40,"plan":"own"}`
	if got := headerOf(p.get("/"), "ratelimit-policy"); got != `"a";q=40;w=3600, "b";q=40;w=3600, "c";q=40;w=3600` {
		t.Errorf("of a tier: %s", got)
	}
	p = newProxy(t, limitsConfig(named("a", five, `"tiers":{"header":"x-plan","values":{"own":`+ofQuota+`}}`)))
	p.identity = `{"a":{"quota":40}}`
	if got := headerOf(p.get("/", [2]string{"x-plan", "own"}), "ratelimit-policy"); got != `"a";q=40;w=60` {
		t.Errorf("of a tier by header: %s", got)
	}
}

func TestUnlimited(t *testing.T) {
	p := newProxy(t, with(limitsConfig(
		named("a", `"unlimited"`, `"key":[{"claim":["sub"]}],"onMissingKey":"deny"`),
		named("b", five, `"tiers":{"claim":["plan"],"values":{"staff":"unlimited"}},"match":[{"paths":["/b"]}]`),
		named("c", `"unlimited"`, `"tiers":{"claim":["plan"],"values":{"free":`+two+`}},"match":[{"paths":["/c"]}]`),
		named("d", `"unlimited"`, `"scope":"global","match":[{"paths":["/d"]}]`)),
		service+`,"headers":"both"`))
	p.service = newCounter()
	wantCode(t, "no key", p.get("/"), KeyMissing, "a")
	p.identity = `{"sub":"ann","plan":"staff"}`
	for range 10 {
		for path, want := range map[string]string{"/": "a allowed ok", "/b": "a allowed ok, b allowed ok",
			"/c": "a allowed ok, c allowed ok", "/d": "a allowed ok, d allowed ok"} {
			d := p.get(path)
			if counts(d) != want || len(d.Headers(nil)) != 0 || len(p.steps) != 1 || p.steps[0] != decide.ReadIdentity {
				t.Errorf("%s: %s, %q, %v", path, counts(d), d.Headers(nil), p.steps)
			}
		}
	}
	p.identity = `{"sub":"ann","plan":"free"}`
	d := p.get("/b")
	if counts(d) != "b allowed ok, a allowed ok" || headerOf(d, "ratelimit") != `"b";r=4;t=12` ||
		headerOf(d, "x-ratelimit-limit") != "5" {
		t.Errorf("%s, %q", counts(d), d.Headers(nil))
	}
	p.get("/c")
	p.get("/c")
	wantCode(t, "a tier of what is unlimited", p.get("/c"), RateLimited, "c")
	p.identityErr = errProxy
	wantCode(t, "nobody knows the key", p.get("/"), verdict.Internal, "a")
}

func TestTiersByHeader(t *testing.T) {
	p := newProxy(t, limitsConfig(named("a", five, `"tiers":{"header":"X-Plan","values":{"gold":{"requests":50,"per":"1m"},"2":`+two+`}}`)))
	h := func(values ...string) (headers [][2]string) {
		for _, v := range values {
			headers = append(headers, [2]string{"x-plan", v})
		}
		return headers
	}
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    string
	}{
		{"none", nil, "5"}, {"a tier", h("gold"), "50"}, {"a number", h("2"), "2"}, {"another spelling of it", h("2.0"), "5"},
		{"another case", h("Gold"), "5"}, {"empty", h(""), "5"}, {"R28 twice", h("gold", "gold"), "5"},
		{"R28 twice, with another", h("gold", "x"), "5"}, {"R28 another first", h("x", "gold"), "5"},
		{"R28 a list", h("gold, 2"), "5"}, {"another header", [][2]string{{"x_plan", "gold"}, {"x-plans", "gold"}}, "5"},
	} {
		if got := headerOf(p.get("/", c.headers...), "ratelimit-policy"); got != `"a";q=`+c.want+`;w=60` {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if len(p.steps) != 1 {
		t.Errorf("%v", p.steps)
	}
}

func TestPeriods(t *testing.T) {
	for per, want := range map[string]string{"1d": "86400", "24h": "86400", "7d": "604800",
		"31d": "2678400", "744h": "2678400"} {
		p := newProxy(t, limitsConfig(named("a", `{"requests":2,"per":"`+per+`"}`, "")))
		d := p.get("/")
		n, _ := strconv.Atoi(want)
		if headerOf(d, "ratelimit-policy") != `"a";q=2;w=`+want || headerOf(d, "ratelimit") != `"a";r=1;t=`+strconv.Itoa(n/2) {
			t.Errorf("%s: %q", per, d.Headers(nil))
		}
		p.get("/")
		if d := p.get("/"); headerOf(d, "retry-after") != strconv.Itoa(n/2) {
			t.Errorf("%s: %q", per, d.Headers(nil))
		}
		p.now = p.now.Add(time.Duration(n) * time.Second / 2)
		wantCode(t, per, p.get("/"), verdict.OK, "a")
	}
}

// What a proxy lets through alone is a limit, however long the period, however many the proxies.
func TestShares(t *testing.T) {
	for _, c := range []struct{ rate, more, replicas, burst, retry string }{
		{`{"requests":1000,"per":"365d"}`, "", "10", "100", "315360"},
		{`{"requests":1,"per":"365d"}`, "", "1000", "1", "630720000"},
		{`{"requests":1,"per":"365d"}`, "", "600", "1", "630720000"},
		{`{"requests":7,"per":"365d"}`, `,"cost":{"default":7}`, "1000", "7", "630720000"},
		{`{"requests":1,"per":"31d"}`, "", "1000", "1", "630720000"},
		{`{"requests":50,"per":"365d"}`, `,"cost":{"default":50}`, "1000", "50", "630720000"},
		{`{"requests":5,"per":"365d"}`, "", "5", "1", "31536000"}, {`{"requests":1,"per":"1d"}`, "", "1000", "1", "86400000"},
	} {
		p := newProxy(t, with(limitsConfig(named("a", c.rate, `"scope":"global"`+c.more)),
			strings.TrimSuffix(service, "}")+`,"replicas":`+c.replicas+`}`))
		p.service = newCounter()
		p.service.err = ratelimit.ErrNoAnswer
		n, _ := strconv.Atoi(c.burst)
		cost := int(p.policy.limits[0].cost.ownCost)
		for range n / cost {
			wantCode(t, c.rate, p.get("/"), verdict.OK, "a")
		}
		d := p.get("/")
		retry, _ := strconv.Atoi(headerOf(d, "retry-after"))
		want, _ := strconv.Atoi(c.retry)
		if d.Verdict().Code != RateLimited || retry > want || retry < want-1 {
			t.Errorf("%s by %s: %s after %d, want %d", c.rate, c.replicas, d.Verdict().Code.Name, retry, want)
		}
	}
}

// The service's windows, up to a year: what it says of one is told, and remembered.
func TestLongWindows(t *testing.T) {
	for per, unit := range map[string]ratelimit.Unit{"1s": ratelimit.Second, "1d": ratelimit.Day, "7d": ratelimit.Week,
		"30d": ratelimit.Month, "365d": ratelimit.Year} {
		p := newProxy(t, with(limitsConfig(named("a", `{"requests":2,"per":"`+per+`"}`, `"scope":"global"`)), service))
		p.service = newCounter("a")
		p.service.limits["a"] = ratelimit.Limit{Requests: 2, Unit: unit, Multiplier: 1}
		d := &Decision{}
		p.policy.Decide(d, p.asked([][2]string{{":method", "GET"}, {":path", "/"}}))
		r, _ := p.service.answer(d.Asks(), p.now)
		if err := d.Answered(r, nil, p.now); err != nil {
			t.Errorf("%s: %v", per, err)
		}
		p.get("/")
		d = p.get("/")
		seconds := unit.Seconds()
		want := strconv.FormatInt(seconds-noon.Unix()%seconds, 10)
		if got := headerOf(d, "retry-after"); d.Verdict().Code != RateLimited || got != want {
			t.Errorf("%s: %s, want %s", per, got, want)
		}
		if d.Asks(); len(d.Asks().Descriptors) > 0 && d.Asks().Descriptors[0].Override != (ratelimit.Override{}) {
			t.Errorf("%s: an override of what is configured", per)
		}
	}
}

// A request brings the number of its claim to the service, and what is remembered of one number is not of another.
func TestNumbersAtTheService(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("q", `{"requests":{"claim":["quota"],"default":5,"max":100},"per":"30d"}`,
		`"scope":"global","key":[{"claim":["sub"]}],"tiers":{"claim":["plan"],"values":{"tin":{"requests":3,"per":"30d"}}}`)), service))
	var asked []ratelimit.Override
	ask := func(quota, more string) *Decision {
		p.identity = `{"sub":"ann","quota":` + quota + more + `}`
		n, _ := strconv.Atoi(quota)
		p.service = newCounter("q", "q tin")
		for name := range p.service.limits {
			p.service.limits[name] = ratelimit.Limit{Requests: uint32(n), Unit: ratelimit.Month, Multiplier: 1}
		}
		d := p.get("/")
		asked = nil
		for _, r := range p.service.asked {
			asked = append(asked, r.Descriptors[0].Override)
		}
		return d
	}
	d := ask("7", "")
	if len(asked) != 1 || asked[0] != (ratelimit.Override{Requests: 7, Unit: ratelimit.Month}) ||
		headerOf(d, "ratelimit-policy") != `"q";q=7;w=2592000` {
		t.Errorf("R25 %+v, %q", asked, d.Headers(nil))
	}
	if ask("3", `,"plan":"tin"`); len(asked) != 1 || asked[0] != (ratelimit.Override{}) {
		t.Errorf("a tier of the configuration: %+v", asked)
	}
	over := func(r *ratelimit.Response) {
		r.Code, r.Statuses[0].Code, r.Statuses[0].Remaining = ratelimit.OverLimit, ratelimit.OverLimit, 0
	}
	p.identity = `{"sub":"ann","quota":7}`
	p.service = newCounter("q")
	p.service.mangle = over
	wantCode(t, "over 7", p.get("/"), RateLimited, "q")
	wantCode(t, "over 7, as remembered", p.get("/"), RateLimited, "q")
	if p.calls != 3 {
		t.Errorf("%d calls", p.calls)
	}
	wantCode(t, "R25 with 80", ask("80", ""), verdict.OK, "q")
	if len(asked) != 1 || asked[0].Requests != 80 {
		t.Errorf("R25 what is remembered of one number is taken for another: %+v", asked)
	}

	// Without the service, the share goes by the number, too.
	p = newProxy(t, with(limitsConfig(named("q", `{"requests":{"claim":["quota"],"default":5,"max":100},"per":"1m"}`,
		`"scope":"global"`)), strings.TrimSuffix(service, "}")+`,"replicas":2}`))
	p.service = newCounter()
	p.service.err = ratelimit.ErrNoAnswer
	p.identity = `{"quota":8}`
	for range 4 {
		wantCode(t, "a share of 8", p.get("/"), verdict.OK, "q")
	}
	wantCode(t, "over a share of 8", p.get("/"), RateLimited, "q")
}

// R29: unlimited is what the service says, not what it does not know.
func TestUnlimitedAtTheService(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("a", five, `"scope":"global"`),
		named("b", five, `"scope":"global","match":[{"paths":["/b"]}]`)), strings.TrimSuffix(service, "}")+`,"onError":"deny"}`))
	p.service = newCounter("a", "b")
	p.service.limits["a"] = ratelimit.Limit{Requests: 1000, Unit: ratelimit.Minute, Multiplier: 1}
	unlimited := func(r *ratelimit.Response) {
		r.Statuses[0] = ratelimit.Status{Code: ratelimit.OK, Remaining: 1<<32 - 1}
	}
	p.service.mangle = unlimited
	for range 9 {
		d := p.get("/")
		wantCode(t, "unlimited", d, verdict.OK, "a")
		if len(d.Headers(nil)) != 0 || counts(d) != "a allowed ok" {
			t.Errorf("%q, %s", d.Headers(nil), counts(d))
		}
	}
	d := p.get("/b")
	if wantCode(t, "beside a limit", d, verdict.OK, "b"); headerOf(d, "ratelimit-policy") != `"b";q=5;w=60` {
		t.Errorf("%q", d.Headers(nil))
	}
	// What it said before it had the limit as unlimited is forgotten.
	p.service.mangle = func(r *ratelimit.Response) {
		r.Code, r.Statuses[0].Code, r.Statuses[0].Remaining = ratelimit.OverLimit, ratelimit.OverLimit, 0
	}
	wantCode(t, "over the limit", p.get("/"), RateLimited, "a")
	p.service.mangle = unlimited
	p.now = p.now.Add(6 * time.Second)
	for range 3 {
		wantCode(t, "unlimited by now", p.get("/"), verdict.OK, "a")
	}
	for name, status := range map[string]ratelimit.Status{"no limit": {Code: ratelimit.OK},
		"nearly unlimited": {Code: ratelimit.OK, Remaining: 1<<32 - 2}} {
		p.service.mangle = func(r *ratelimit.Response) { r.Statuses[0] = status }
		wantCode(t, "R29 "+name, p.get("/"), LimiterUnavailable, "a")
	}
}

func TestRateFaults(t *testing.T) {
	rate := func(rate, more string) string { return limitsConfig(named("a", rate, more)) }
	global := func(text string) string { return with(rate(text, `"scope":"global"`), service) }
	const but = ", but what a claim says goes to the rate-limit service with each request, for a window of " +
		"1s, 1m, 1h, 1d, 30d or 365d only"
	for _, c := range []struct{ name, config, want string }{
		{"a word that is none", rate(`"unlimitd"`, ""), "limits[0].rate: want unlimited"},
		{"neither a word nor an object", rate(`7`, ""), "limits[0].rate: want an object, got a number"},
		{"a tier that is no word", rate(five, `"tiers":{"claim":["a"],"values":{"b":"no"}}`), "limits[0].tiers.values.b: want unlimited"},
		{"tiers by two", rate(five, `"tiers":{"claim":["a"],"header":"x","values":{"b":"unlimited"}}`),
			"limits[0].tiers.claim: stands beside header: tiers go by one of them"},
		{"tiers by what is no header", rate(five, `"tiers":{"header":"a b","values":{"b":"unlimited"}}`),
			"limits[0].tiers.header: want the name of a header"},
		{"a number of nothing", rate(`{"requests":{},"per":"1m"}`, ""), "limits[0].rate.requests.claim: is required\n" +
			"limits[0].rate.requests.default: is required\nlimits[0].rate.requests.max: is required"},
		{"a number below its default", rate(`{"requests":{"claim":["a"],"default":6,"max":5},"per":"1m"}`, ""),
			"limits[0].rate.requests.max: is less than default"},
		{"R25 numbers out of range", rate(`{"requests":{"claim":[],"default":0,"max":1000000001,"min":1},"per":"1m"}`, ""),
			"limits[0].rate.requests.claim: the list is empty: name at least one, or leave the key out\n" +
				"limits[0].rate.requests.default: must be from 1 to 1000000000\n" +
				"limits[0].rate.requests.max: must be from 1 to 1000000000\nlimits[0].rate.requests.min: unknown key"},
		{"R25 a number that may be too fast", rate(`{"requests":{"claim":["a"],"default":6,"max":60000001},"per":"1m"}`, ""),
			"limits[0].rate.requests: is over 1000000 a second"},
		{"a burst for ever where a claim says 1", rate(`{"requests":{"claim":["a"],"default":600,"max":1000},"per":"31d","burst":236}`, ""),
			"limits[0].rate.burst: takes over 20 years to come back where a claim says 1: lower it, or leave it out"},
		{"a cost over the default", rate(`{"requests":{"claim":["a"],"default":5,"max":100},"per":"1m"}`, `"cost":{"default":6}`),
			"limits[0].rate: lets no request of the highest cost through, which is 6: raise burst"},
		{"a window that no request can bring", global(`{"requests":{"claim":["a"],"default":5,"max":100},"per":"7d"}`),
			"limits[0].rate.per: is 7d" + but},
		{"a window that the service does not have", global(`{"requests":{"claim":["a"],"default":5,"max":100},"per":"2m"}`),
			"limits[0].rate.per: is 2m" + but},
		{"too long", rate(`{"requests":1,"per":"32d"}`, ""), "limits[0].rate.per: must be from 1s to 31d"},
		{"a year alone", rate(`{"requests":1,"per":"365d"}`, ""), "limits[0].rate.per: must be from 1s to 31d"},
		{"nearly a year", global(`{"requests":1,"per":"364d"}`), "limits[0].rate.per: must be from 1s to 31d, or 365d"},
		{"a burst of nothing", rate(`{"requests":1,"per":"1m","burst":0}`, ""), "limits[0].rate.burst: must be from 1 to 1000000000"},
		{"cookies that are none", rate(five, `"key":[{"cookie":"a=b"},{"cookie":""},{"query":""}]`),
			"limits[0].key[0].cookie: want a cookie's name: the characters of an HTTP token (RFC 6265 §4.1.1)\n" +
				"limits[0].key[1].cookie: must not be empty\nlimits[0].key[2].query: must not be empty"},
	} {
		if _, err := Parse(c.config); err == nil || err.Error() != c.want {
			t.Errorf("%s: got\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
	parse(t, rate(`{"requests":{"claim":["a"],"default":600,"max":1000},"per":"31d","burst":235}`, ""))
	for _, per := range []string{"1s", "1m", "1h", "1d", "30d", "365d"} {
		parse(t, global(`{"requests":{"claim":["a"],"default":5,"max":100},"per":"`+per+`"}`))
	}
}

func TestRateWarnings(t *testing.T) {
	const problem = ": has no effect: nothing is counted of what is unlimited\n"
	one := func(rate, more string) string { return limitsConfig(named("a", rate, more)) }
	for _, c := range []struct{ name, config, want string }{
		{"unlimited beside all that counts", with(one(`"unlimited"`, `"scope":"global","cost":{"default":2},"key":[{"claim":["sub"]}],`+
			`"onMissingKey":"shared","onExceeded":{"mark":{"header":"x-over"}}`), service),
			"limits[0].cost" + problem + "limits[0].scope" + problem + "limits[0].onExceeded" + problem +
				"limits[0].onMissingKey" + problem + "limits[0].key" + strings.TrimSuffix(problem, "\n")},
		{"unlimited", one(`"unlimited"`, `"key":[{"claim":["sub"]}],"onMissingKey":"deny"`), ""},
		{"unlimited, but for a tier", one(`"unlimited"`, `"cost":{"default":2},"tiers":{"claim":["a"],"values":{"b":`+five+`}}`), ""},
		{"unlimited, all tiers as well", one(`"unlimited"`, `"cost":{"default":2},"tiers":{"claim":["a"],"values":{"b":"unlimited"}}`),
			"limits[0].cost" + strings.TrimSuffix(problem, "\n")},
		{"tiers by header", one(five, `"tiers":{"header":"x-plan","values":{"b":`+two+`}}`),
			"limits[0].tiers.header: is chosen by clients: whoever sends a tier's value has its rate"},
		{"keys by parameter", one(five, `"key":[{"query":"a"},{"host":true}]`),
			"limits[0].key: is chosen by clients: each new value of the parameter has a burst of its own"},
		{"keys by cookie", one(five, `"key":[{"cookie":"a"}]`),
			"limits[0].key: is chosen by clients: each new value of the cookie has a burst of its own"},
		{"keys by cookie and address", one(five, `"key":[{"cookie":"a"},{"sourceAddress":{}}]`), ""},
	} {
		if got := warnings(parse(t, c.config)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// Whatever a claim says, no state of a limit is ahead of what the table takes for possible.
func TestHorizonOfNumbers(t *testing.T) {
	for _, config := range []string{
		limitsConfig(named("a", `{"requests":{"claim":["q"],"default":5,"max":1000000},"per":"1s"}`, "")),
		limitsConfig(named("a", `{"requests":{"claim":["q"],"default":5,"max":1000000},"per":"1m","burst":1000}`, "")),
		with(limitsConfig(named("a", `{"requests":{"claim":["q"],"default":5,"max":1000000},"per":"1m"}`, `"scope":"global"`)),
			strings.TrimSuffix(service, "}")+`,"replicas":100}`),
	} {
		p := parse(t, config)
		l := &p.limits[0]
		for n := int64(1); n <= 1_000_000; n += 1 + n/7 {
			r := l.rate
			r.requests = n
			var ok bool
			r.gcra, ok = gcra.New(n, r.per, r.burstOf(n))
			share := gcra.Limit{}
			if l.global {
				share = l.shareOf(&r, p.global.replicas)
			}
			if !ok || r.gcra.Horizon() > p.table.Horizon || share.Horizon() > p.table.Horizon {
				t.Fatalf("%s: %d is %v, %d and %d of %d", config, n, ok, r.gcra.Horizon(), share.Horizon(), p.table.Horizon)
			}
		}
	}
}
