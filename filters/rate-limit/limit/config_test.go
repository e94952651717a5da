// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
)

func parse(t testing.TB, config string) *Policy {
	t.Helper()
	p, err := Parse(config)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	p.SetSeed(gcra.Seed{1, 2, 3})
	return p
}

// limitConfig is a limit of 5 in a minute with more members.
func limitConfig(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"name":"a","rate":{"requests":5,"per":"1m"}` + more + `}`
}

func limitsConfig(limits ...string) string { return `{"limits":[` + strings.Join(limits, ",") + `]}` }

// with puts members in front of a configuration's.
func with(config, more string) string { return "{" + more + "," + config[1:] }

const service = `"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"tollgate"}`

// Every fault is named with its path, all at once.
func TestConfigFaults(t *testing.T) {
	one := func(more string) string { return limitsConfig(limitConfig(more)) }
	key := func(parts string) string { return one(`"key":[` + parts + `]`) }
	rate := func(rate string) string { return limitsConfig(`{"name":"a","rate":` + rate + `}`) }
	global := func(more string) string {
		return with(one(`"scope":"global"`), strings.TrimSuffix(service, "}")+","+more+"}")
	}
	for _, c := range []struct{ name, config, want string }{
		{"nothing", "{}", "limits: is required"},
		{"no limits", limitsConfig(), "limits: the list is empty: name at least one, or leave the key out"},
		{"a limit without anything", limitsConfig("{}"), "limits[0].name: is required\nlimits[0].rate: is required"},
		{"rules, which do not exist here", with(one(""), `"rules":[],"default":"deny"`),
			"rules: unknown key\ndefault: unknown key"},
		{"a name twice", limitsConfig(limitConfig(""), limitConfig("")), "limits[1].name: is in use already"},
		{"a name that is no name", limitsConfig(`{"name":"Per User","rate":{"requests":1,"per":"1s"}}`),
			"limits[0].name: want 1 to 63 lower-case letters"},
		{"misspelt", one(`"onMisingKey":"deny"`), "limits[0].onMisingKey: unknown key; did you mean onMissingKey?"},
		{"words that are none", with(one(`"mode":"off","scope":"world","onMissingKey":"allow"`),
			`"mode":"x","headers":"all","ambiguousPath":"y"`),
			"mode: want enforce or shadow\nambiguousPath: want reject or literal\nheaders: want standard, legacy, " +
				"both or none\nlimits[0].mode: want enforce or shadow\nlimits[0].scope: want local or " +
				"global\nlimits[0].onMissingKey: want skip, deny or shared"},
		{"a match that is none", one(`"match":[{"paths":["orders"],"method":["GET"]}]`),
			"limits[0].match[0].paths[0]: a path starts with a slash\nlimits[0].match[0].method: unknown key; did " +
				"you mean methods?"},
		{"a table of nothing", with(one(""), `"table":{"entries":0}`), "table.entries: must be from 1 to 1048576"},

		{"a rate without anything", rate(`{}`), "limits[0].rate.requests: is required\nlimits[0].rate.per: is required"},
		{"R7: numbers out of range", rate(`{"requests":0,"per":"32d","burst":1e18}`),
			"limits[0].rate.requests: must be from 1 to 1000000000\nlimits[0].rate.per: must be from 1s to " +
				"31d\nlimits[0].rate.burst: must be from 1 to 1000000000"},
		{"a period of half a second", rate(`{"requests":1,"per":"500ms"}`), "limits[0].rate.per: must be from 1s to 31d"},
		{"a period of one and a half", rate(`{"requests":1,"per":"1500ms"}`),
			"limits[0].rate.per: want whole seconds: RateLimit-Policy has no smaller ones"},
		{"too fast", rate(`{"requests":2000001,"per":"2s"}`), "limits[0].rate.requests: is over 1000000 a second"},
		{"a burst for ever", rate(`{"requests":1,"per":"24h","burst":10000}`),
			"limits[0].rate.burst: takes over 20 years to come back at this rate"},

		{"no key parts", key(``), "limits[0].key: the list is empty"},
		{"a part that is none", key(`{},{"query2":"a"},"host"`),
			"limits[0].key[0]: names no part of a key\nlimits[0].key[1].query2: unknown key; did you mean query?\nlimits[0].key[1]: names " +
				"no part of a key\nlimits[0].key[2]: want an object, got a string"},
		{"two parts in one", key(`{"host":true,"method":true}`),
			"limits[0].key[0].method: stands beside host: each part of a key is an item of its own"},
		{"parts switched off", key(`{"host":false},{"method":"GET"},{"peer":false},{"sourceAddress":false}`),
			"limits[0].key[0].host: want true, or leave this part out\nlimits[0].key[1].method: want true or false, " +
				"got a string\nlimits[0].key[2].peer: want true, or leave this part " +
				"out\nlimits[0].key[3].sourceAddress: want true, or leave this part out"},
		{"a claim that is no path", key(`{"claim":"sub"},{"claim":[]},{"claim":[""]}`),
			"limits[0].key[0].claim: want a list, got a string\nlimits[0].key[1].claim: the list is empty: name at " +
				"least one, or leave the key out\nlimits[0].key[2].claim[0]: must not be empty"},
		{"headers that are none", key(`{"header":"x y"},{"header":":path"},{"header":"Host"}`),
			"limits[0].key[0].header: want the name of a header\nlimits[0].key[1].header: want the name of a " +
				"header\nlimits[0].key[2].header: this header frames the request: choose another"},
		{"R10: prefixes out of range", key(`{"sourceAddress":{"v4Prefix":33,"v6Prefix":0,"v5Prefix":1}}`),
			"limits[0].key[0].sourceAddress.v4Prefix: must be from 1 to 32\nlimits[0].key[0].sourceAddress.v6Prefix: " +
				"must be from 1 to 128\nlimits[0].key[0].sourceAddress.v5Prefix: unknown key"},
		{"R8: nobody who is trusted", key(`{"forwardedAddress":{}},{"forwardedAddress":{"trustedHops":0}}`),
			"limits[0].key[0].forwardedAddress.trustedHops: is " +
				"required\nlimits[0].key[1].forwardedAddress.trustedHops: must be from 1 to 32"},
		{"a template without paths", key(`{"pathTemplate":true}`),
			"limits[0].key[0].pathTemplate: needs paths in every entry of match"},
		{"a template without paths in one entry",
			one(`"match":[{"paths":["/a"]},{"methods":["GET"]}],"key":[{"pathTemplate":true}]`),
			"limits[0].key[0].pathTemplate: needs paths in every entry of match"},
		{"a variable without paths", key(`{"pathVariable":"tenant"}`),
			"limits[0].key[0].pathVariable: needs paths in every entry of match"},
		{"a variable that one path has not",
			one(`"match":[{"paths":["/{tenant}/a","/b/{id}"]}],"key":[{"pathVariable":"tenant"}]`),
			"limits[0].key[0].pathVariable: the path /b/{id} of match has no {tenant}"},
		{"an empty constant", key(`{"constant":""}`), "limits[0].key[0].constant: must not be empty"},
		{"a key of many parts", key(strings.Repeat(`{"host":true},`, 16) + `{"host":true}`),
			"limits[0].key: has more than 16 parts"},

		{"tiers without anything", one(`"tiers":{}`),
			"limits[0].tiers.claim: is required, or header\nlimits[0].tiers.values: is required"},
		{"no tiers", one(`"tiers":{"claim":["plan"],"values":{}}`),
			"limits[0].tiers.values: is empty: name at least one tier, or leave tiers out"},
		{"a tier that is none", one(
			`"tiers":{"claim":["plan"],"values":{"":{"requests":1,"per":"1s"},"gold":{"requests":1}}}`),
			`limits[0].tiers.values.: no tier is called by nothing` + "\nlimits[0].tiers.values.gold.per: is required"},
		{"a tier twice", one(`"tiers":{"claim":["plan"],"values":{"a":{"requests":1,"per":"1s"},"a":{"requests":1,"per":"1s"}}}`), "limits[0].tiers.values.a: stands here twice"},

		{"a cost without a maximum", one(`"cost":{"header":"x-cost"}`), "limits[0].cost.max: is required"},
		{"a maximum that is none, without a header", one(`"cost":{"default":2,"max":"3"}`),
			"limits[0].cost.max: want a whole number, got a string"},
		{"a maximum below the default", one(`"cost":{"header":"x-cost","default":4,"max":3}`),
			"limits[0].cost.max: is less than default"},
		{"R7: a negative cost", one(`"cost":{"default":-1}`), "limits[0].cost.default: must be from 0 to 1000000000"},
		{"a cost over the burst", one(`"cost":{"header":"x-cost","max":6}`),
			"limits[0].rate: lets no request of the highest cost through, which is 6: raise burst"},
		{"a cost over a tier's burst",
			limitsConfig(`{"name":"a","rate":{"requests":9,"per":"1m"},"cost":{"default":6},"tiers":{"claim":["plan"],"values":{"free":{"requests":5,"per":"1m"}}}}`), "limits[0].tiers.values.free: lets no request of the highest cost through, which is 6: raise burst"},
		{"a cost over a global limit",
			with(limitsConfig(`{"name":"a","scope":"global","rate":{"requests":5,"per":"1m","burst":9},"cost":{"default":6}}`), service), "limits[0].rate: lets no request of the highest cost through, which is 6: raise requests"},

		{"nobody to ask", one(`"scope":"global"`),
			"global: is required: a limit of scope: global has to ask the rate-limit service"},
		{"half of whom to ask", with(one(`"scope":"global"`), `"global":{"timeout":"1m","onError":"open"}`),
			"global.cluster: is required\nglobal.authority: is required\nglobal.domain: is required\nglobal.timeout: " +
				"must be from 1ms to 10s\nglobal.onError: want local, allow or deny"},
		{"half a lease", global(`"lease":{}`), "global.lease.requests: is required\nglobal.lease.per: is required"},
		{"a lease of nothing", global(`"lease":{"requests":1,"per":"1ms"}`),
			"global.lease.requests: must be from 2 to 1000000\nglobal.lease.per: must be from 100ms to 1h"},
		{"a share of next to nothing",
			with(limitsConfig(`{"name":"a","scope":"global","rate":{"requests":100,"per":"24h"},"cost":{"default":100}}`), strings.TrimSuffix(service, "}")+`,"replicas":1000}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.config)
			if c.want == "" {
				if err != nil {
					t.Errorf("got\n%v\nwant none", err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// The sample of the documentation, in testdata as JSON, is read as it says.
func TestSample(t *testing.T) {
	p := parse(t, sample(t))
	if !p.standard || p.legacy || p.shadow || p.table.Entries != 65536 || len(p.limits) != 3 {
		t.Errorf("%+v", p.config)
	}
	address, user, expensive := &p.limits[0], &p.limits[1], &p.limits[2]
	if address.rate.gcra.Burst() != 100 || address.global || address.key[0].prefixes != hostPrefixes ||
		address.missing != skip {
		t.Errorf("%+v", address)
	}
	if gold := user.tiers[0]; !user.global || gold.tier != "gold" || gold.requests != 6000 ||
		gold.policy != `"per-user";q=6000;w=60` || user.rate.gcra.Burst() != 600 || user.rate.fallback.Burst() != 150 {
		t.Errorf("%+v", user)
	}
	if expensive.cost != (cost{"x-report-cost", 1, 50}) || !expensive.shadow || len(expensive.key) != 2 ||
		expensive.rate.per != time.Hour {
		t.Errorf("%+v", expensive)
	}
	g := p.Global()
	if g.Cluster != "ratelimit" || g.Timeout != 20*time.Millisecond || g.onError != onErrorLocal || g.replicas != 4 ||
		g.lease != 20 || g.leasePer != time.Second || g.plainKeys {
		t.Errorf("%+v", g)
	}
	if p.RuleName(1) != "per-user" || p.RuleName(-1) != "-" || p.Buckets() != 4096 {
		t.Errorf("%s, %d buckets", p.RuleName(1), p.Buckets())
	}
	if p := parse(t, limitsConfig(limitConfig(""))); p.Global() != nil || !p.standard ||
		p.limits[0].cost != (cost{"", 1, 1}) || p.limits[0].rate.gcra.Burst() != 5 {
		t.Errorf("by default: %+v", p.config)
	}
	if p := parse(t, with(limitsConfig(limitConfig(""),
		`{"name":"b","mode":"enforce","rate":{"requests":1,"per":"1s"}}`),
		`"mode":"shadow","headers":"both"`)); !p.limits[0].shadow || p.limits[1].shadow || !p.legacy || !p.standard {
		t.Errorf("a limit's own mode does not go first: %+v", p.config)
	}
}

func sample(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWarnings(t *testing.T) {
	p := parse(t, with(limitsConfig(limitConfig(`"key":[{"header":"x-api-key"}]`),
		`{"name":"c","key":[{"host":true}],"rate":{"requests":1,"per":"1s"}}`,
		`{"name":"b","scope":"global","key":[{"header":"x"},{"claim":["sub"]}],"rate":{"requests":1,"per":"1s"}}`),
		strings.TrimSuffix(service, "}")+`,"onError":"allow"}`))
	if got := warnings(p); got != "limits[0].key: is chosen by clients: each new value of the header has a burst of "+
		"its own\nglobal.onError: is allow: while the rate-limit service does not answer, its limits are open" {
		t.Errorf("R8: %s", got)
	}
	p = parse(t, with(limitsConfig(
		`{"name":"a","scope":"global","rate":{"requests":1,"per":"5m"},"tiers":{"claim":["plan"],"values":{"gold":{"requests":1,"per":"1m"},"tin":{"requests":1,"per":"90s"}}}}`,
		`{"name":"b","rate":{"requests":1,"per":"5m"}}`), service))
	const window = ", but Envoy's rate-limit service counts in windows of 1s, 1m, 1h, 1d, 7d, 30d and 365d only: what it enforces " +
		"is not what the headers say"
	if got := warnings(p); got != "limits[0].rate.per: is 5m"+window+"\nlimits[0].tiers.values.tin.per: is 1m30s"+window {
		t.Errorf("windows that the service does not have: %s", got)
	}
	if got := warnings(parse(t, sample(t))); got != "" {
		t.Errorf("the sample: %s", got)
	}
}

func warnings(p *Policy) string { return conf.Faults(p.Warnings()).Error() }

// Whoever turns one key, in an outage say, is not refused because another one has no effect any more.
func TestHarmless(t *testing.T) {
	one := func(more string) string { return limitsConfig(limitConfig(more)) }
	global := func(more string) string {
		return with(one(`"scope":"global"`), strings.TrimSuffix(service, "}")+","+more+"}")
	}
	for _, c := range []struct{ name, config, want string }{
		{"a missing key where there is none", one(`"onMissingKey":"deny"`),
			"limits[0].onMissingKey: has no effect: no part of the key can be missing"},
		{"a missing key that cannot be", one(`"onMissingKey":"deny","key":[{"method":true},{"constant":"a"}]`),
			"limits[0].onMissingKey: has no effect: no part of the key can be missing"},
		{"a maximum without a header", one(`"cost":{"default":2,"max":3}`),
			"limits[0].cost.max: has no effect without header: every request costs the default"},
		{"a maximum without a header, below the default", one(`"cost":{"default":2,"max":1}`),
			"limits[0].cost.max: has no effect without header: every request costs the default"},
		{"nobody who asks", with(one(""), service), "global: has no effect: no limit has scope: global"},
		{"a lease that nobody takes",
			with(one(""), strings.TrimSuffix(service, "}")+`,"lease":{"requests":20,"per":"1s"},"replicas":4}`),
			"global: has no effect: no limit has scope: global"},
		{"replicas beside a denial", global(`"onError":"deny","replicas":4`),
			"global.replicas: has no effect: it is used by onError: local and by lease only"},
		{"replicas beside a pass", global(`"onError":"allow","replicas":4`),
			"global.replicas: has no effect: it is used by onError: local and by lease only\nglobal.onError: is " +
				"allow: while the rate-limit service does not answer, its limits are open"},
		{"replicas beside a lease", global(`"onError":"deny","replicas":4,"lease":{"requests":20,"per":"1s"}`), ""},
		{"a host with its trailing dot", one(`"match":[{"hosts":["api.example.com.","*.example.com."]}]`),
			"limits[0].match[0].hosts[0]: its trailing dot has no effect: it is not " +
				"compared\nlimits[0].match[0].hosts[1]: its trailing dot has no effect: it is not compared"},
	} {
		p := parse(t, c.config)
		if got := warnings(p); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if p := parse(t, with(one(""), service)); p.Global() != nil {
		t.Error("a service that nobody asks is made ready")
	}
}

// What is accepted is JSON that means something: limits, each with a rate that lets something through.
func FuzzConfig(f *testing.F) {
	f.Add(sample(f))
	f.Add(limitsConfig(limitConfig(
		`"key":[{"forwardedAddress":{"trustedHops":1}},{"constant":"x"}],"onMissingKey":"shared"`)))
	f.Add(`{"limits":[{"name":"a","rate":{"requests":1e9,"per":"24h","burst":1e9},"cost":{"default":0}}],"table":{"entries":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) || len(p.limits) == 0 {
			t.Fatal("accepted")
		}
		for i := range p.limits {
			for _, r := range p.limits[i].rates() {
				if r.unlimited {
					continue
				}
				if _, share := r.fallback.Take(0, 1e18, 1); p.limits[i].global && p.global.onError == onErrorLocal &&
					!share.Allowed {
					t.Fatalf("limit %d lets nothing through alone", i)
				}
				if _, result := r.gcra.Take(0, 1e18, 1); !result.Allowed || r.policy == "" || r.gcra.Horizon() > p.table.Horizon {
					t.Fatalf("limit %d lets nothing through", i)
				}
			}
		}
	})
}
