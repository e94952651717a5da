// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// R26: keys by what clients send in queries and cookies.
func TestKeysOfQueryAndCookie(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ name, part, path, cookie, want string }{
		{"a parameter", `{"query":"key"}`, "/?a=1&key=b", "", "q:b"},
		{"a name that is escaped", `{"query":"key"}`, "/?%6B%65y=b", "", "q:b"},
		{"a value that is escaped", `{"query":"key"}`, "/?key=%62", "", "q:b"},
		{"a space in both of its spellings", `{"query":"key"}`, "/?key=a+b%20c", "", "q:a%20b%20c"},
		{"a long one", `{"query":"key"}`, "/?key=" + long, "", "q:" + long},
		{"a name with a space", `{"query":"the key"}`, "/?the+key=b", "", "q:b"},
		{"none", `{"query":"key"}`, "/?keys=b&ke=y", "", ""},
		{"no query", `{"query":"key"}`, "/", "key=b", ""},
		{"twice", `{"query":"key"}`, "/?key=a&key=b", "", "*:"},
		{"twice the same", `{"query":"key"}`, "/?key=a&key=a", "", "*:"},
		{"twice, once escaped", `{"query":"key"}`, "/?key=a&k%65y=b", "", "*:"},
		{"empty", `{"query":"key"}`, "/?key=", "", "*:"},
		{"without a value", `{"query":"key"}`, "/?key", "", "*:"},
		{"badly encoded", `{"query":"key"}`, "/?key=%zz", "", "*:"},
		{"cut off", `{"query":"key"}`, "/?key=a%4", "", "*:"},
		{"no UTF-8", `{"query":"key"}`, "/?key=%ff", "", "*:"},
		{"behind another part", `{"constant":"x"},{"query":"key"},{"constant":"y"}`, "/?key=ab", "", "c:x|q:ab|c:y"},
		{"a cookie", `{"cookie":"id"}`, "/?id=x", "a=1; id=b", "k:b"},
		{"a cookie in quotation marks", `{"cookie":"id"}`, "/", `id="b"`, "k:b"},
		{"another case", `{"cookie":"id"}`, "/", "ID=b", ""},
		{"no cookie", `{"cookie":"id"}`, "/?id=x", "a=1", ""},
		{"two cookies", `{"cookie":"id"}`, "/", "id=a; id=b", "*:"},
		{"two cookies in two headers", `{"cookie":"id"}`, "/", "id=a|id=b", "*:"},
		{"an empty cookie", `{"cookie":"id"}`, "/", "id=", "*:"},
		{"an escaped cookie is another", `{"cookie":"id"}`, "/", "id=%62", "k:%2562"},
	} {
		for missing, want := range map[string]string{"skip": c.want, "deny": c.want, "shared": c.want} {
			p := newProxy(t, limitsConfig(named("a", five, `"key":[`+c.part+`],"onMissingKey":"`+missing+`"`)))
			var headers [][2]string
			for _, cookie := range strings.Split(c.cookie, "|") {
				headers = append(headers, [2]string{"cookie", cookie})
			}
			d := p.get(c.path, headers...)
			code, skipped := d.Verdict().Code, want == "" && missing == "skip"
			if missing == "shared" && want == "" {
				want = "-:"
			}
			if refused := missing == "deny" && (want == "" || want == "*:"); refused != (code == KeyMissing) ||
				skipped != (len(d.list) == 0) || !skipped && !refused && readable(d.key) != want {
				t.Errorf("R26 %s, %s: %s %q, want %q", c.name, missing, code.Name, readable(d.key), want)
			}
		}
	}
}

// What a configuration does not use costs nothing, and what it uses allocates nothing.
func TestNothingIsAllocated(t *testing.T) {
	big := `{"requests":1000000,"per":"1s"}`
	for name, config := range map[string]string{
		"nothing": limitsConfig(named("a", big, "")),
		"except":  limitsConfig(named("a", big, `"except":[{"paths":["/b"]},{"sources":["10.0.0.0/8"]}]`)),
		"sources": limitsConfig(named("a", big, `"match":[{"sources":["10.0.0.0/8"]},{"sources":["192.0.2.0/24","2001:db8::/32"]}]`)),
		"forwarded sources": with(limitsConfig(named("a", big, `"match":[{"sources":["10.0.0.0/8","192.0.2.0/24"]}]`)),
			`"sourcesFrom":{"forwardedAddress":{"trustedHops":1}}`),
		"claims": limitsConfig(named("a", big, `"claims":[{"path":["sub"],"exists":true},{"path":["level"],"atLeast":3},`+
			`{"path":["plan"],"any":["gold","tin"]},{"path":["sub"],"glob":"a*"}]`)),
		"claims that do not fit": limitsConfig(named("a", big, `"claims":[{"path":["plan"],"any":["tin"]}]`)),
		"a group": limitsConfig(named("a", big, `"group":"g","key":[{"peer":true}]`), named("b", big, `"group":"g"`),
			named("c", big, `"group":"g"`)),
		"tiers by header": limitsConfig(named("a", big, `"tiers":{"header":"x-plan","values":{"gold":`+big+`}}`)),
		"a number": limitsConfig(named("a", `{"requests":{"claim":["quota"],"default":60,"max":1000000},"per":"1s"}`, ""),
			named("b", `{"requests":{"claim":["quota"],"default":60,"max":1000000},"per":"1s"}`, "")),
		"unlimited":          limitsConfig(named("a", `"unlimited"`, `"key":[{"claim":["sub"]}]`)),
		"query and cookie":   limitsConfig(named("a", big, `"key":[{"query":"key"},{"cookie":"id"}]`)),
		"marks":              limitsConfig(named("a", big, marking)),
		"marks that are set": limitsConfig(named("a", `{"requests":1,"per":"31d"}`, marking)),
	} {
		p := newProxy(t, config)
		headers := [][2]string{{":method", "GET"}, {":authority", "api.example.com"}, {":path", "/a?k%65y=%41"},
			{"x-plan", "gold"}, {"cookie", "a=b; id=7"}, {"x-forwarded-for", "10.0.0.1"}, {"x_over-limit", "x"}}
		claims := gjson.Parse(`{"sub":"ann","level":4,"plan":"gold","quota":900000}`)
		w := &decide.World{
			Source:   func() (string, error) { return p.source, nil },
			PeerURI:  func() (string, error) { return "", nil },
			Identity: func() (gjson.Result, error) { return claims, nil },
			Swap: func(at int, change func([]byte) []byte) error {
				if next := change(p.buckets[at]); next != nil {
					p.buckets[at] = append(p.buckets[at][:0], next...)
				}
				return nil
			},
		}
		var d Decision
		var e forward.Effect
		now := noon
		decideOne := func() {
			now = now.Add(time.Millisecond)
			p.policy.Decide(&d, &decide.Request{Headers: headers, Now: now})
			d.Run(w)
			e.Reset()
			d.Effect(&e)
			d.EachHeader(func(string, []byte, bool) {})
		}
		if n := testing.AllocsPerRun(200, decideOne); n > 0 || !d.Verdict().Admits() {
			t.Errorf("%s: %v allocations, %s", name, n, d.Verdict().Code.Name)
		}
	}
}

func TestExplainSelection(t *testing.T) {
	p := newProxy(t, with(limitsConfig(
		named("probes", five, `"match":[{"sources":["10.0.0.0/8"]}],"except":[{"paths":["/x"]},{"paths":["/healthz"],"sources":["10.1.0.0/16"]}]`),
		named("anonymous", five, `"claims":[{"path":["sub"],"exists":false}]`),
		named("bulk", five, `"group":"g","match":[{"paths":["/bulk"]}]`),
		named("user", ofQuota, `"group":"g","key":[{"claim":["sub"]}],"tiers":{"header":"x-plan","values":{"gold":"unlimited"}}`),
		named("rest", two, `"group":"g",`+marking)), `"headers":"none"`))
	explain := func(path string, headers ...[2]string) string {
		var lines []string
		e := p.get(path, headers...).Explain()
		for _, r := range e.Rules {
			if r.Why != "" {
				lines = append(lines, r.Name+": "+r.Why)
			}
		}
		for _, c := range e.Checks {
			lines = append(lines, c.What+": "+c.String())
		}
		return strings.Join(lines, "\n")
	}
	const rest = "limit rest: ok: 2 requests per 1m0s, burst 2, cost 1, one bucket for all, first of the group g"
	const anonymous = "limit anonymous: ok: 5 requests per 1m0s, burst 5, cost 1, one bucket for all"
	if got := explain("/"); got != "probes: the address 192.0.2.1 is in none of the sources\n"+
		"bulk: the path \"/\" is none of /bulk\nuser: a part of its key is missing\n"+anonymous+"\n"+rest {
		t.Errorf("%s", got)
	}
	p.source = "10.1.0.1:1"
	if got := explain("/healthz"); !strings.HasPrefix(got, "probes: it is excepted by except[1]\n") {
		t.Errorf("%s", got)
	}
	if got := explain("/x"); !strings.HasPrefix(got, "probes: it is excepted by except[0]\n") ||
		!strings.HasSuffix(got, "\nlimit rest: marked: 2 requests per 1m0s, burst 2, cost 1, one bucket for all, first of the group g, "+
			"the request goes on with this limit's name in x-over-limit") {
		t.Errorf("%s", got)
	}
	p.source = "[2001:db8::1]:1"
	p.identity = `{"sub":"ann","a":{"quota":7}}`
	if got := explain("/"); got != "probes: the address 2001:db8:0:0:0:0:0:1 is in none of the sources\n"+
		"anonymous: a claim does not hold: sub is \"ann\"; exists is asked for\nbulk: the path \"/\" is none of /bulk\n"+
		"rest: of the group g the limit user applies\n"+
		"limit user: ok: 7 requests per 1m0s by the claim a.quota, burst 7, cost 1, key s:ann, first of the group g" {
		t.Errorf("%s", got)
	}
	p.identity = `{"sub":"bob","a":{"quota":"7"}}`
	if got := explain("/"); !strings.HasSuffix(got, "limit user: ok: 5 requests per 1m0s by the claim a.quota, which is \"7\", "+
		"burst 5, cost 1, key s:bob, first of the group g") {
		t.Errorf("%s", got)
	}
	p.identity = `{"sub":"kim"}`
	if got := explain("/"); !strings.HasSuffix(got, "limit user: ok: 5 requests per 1m0s by the claim a.quota, which is not there: "+
		"default, burst 5, cost 1, key s:kim, first of the group g") {
		t.Errorf("%s", got)
	}
	if got := explain("/", [2]string{"x-plan", "gold"}); !strings.HasSuffix(got,
		"limit user: ok: unlimited, tier gold by the header x-plan, key s:kim, first of the group g") {
		t.Errorf("%s", got)
	}
	if got := explain("/bulk"); !strings.Contains(got, "user: of the group g the limit bulk applies\nrest: of the group g the limit bulk applies\n") {
		t.Errorf("%s", got)
	}
	p.sourceErr = errProxy
	if got := explain("/"); got != "probes: nobody knows whether it applies: the proxy does not say who sends the request\n"+
		"anonymous: it is not looked at any more\nbulk: the path \"/\" is none of /bulk\n"+
		"user: it is not looked at any more\nrest: it is not looked at any more" {
		t.Errorf("nobody knows the source: %s", got)
	}
}
