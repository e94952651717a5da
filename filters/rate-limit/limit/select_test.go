// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const many = `{"requests":1000,"per":"1m"}`

// applying are the limits that a request was counted for, in order.
func applying(d *Decision) string {
	var names []string
	for i := range d.list {
		names = append(names, d.list[i].limit.name)
	}
	return strings.Join(names, " ")
}

func TestExcept(t *testing.T) {
	p := newProxy(t, limitsConfig(
		named("a", many, `"except":[{"paths":["/healthz","/ready/{**}"],"methods":["GET"]},{"hosts":["in.example"]},`+
			`{"headers":[{"name":"x-probe","exact":"1"}]}]`),
		named("b", many, `"match":[{"paths":["/{**}"]},{"methods":["GET"]}],"except":[{"paths":["/b"]}]`)))
	for _, c := range []struct {
		path    string
		headers [][2]string
		want    string
	}{
		{"/", nil, "a b"}, {"/healthz", nil, "b"}, {"/ready/x", nil, "b"}, {"/readiness", nil, "a b"},
		{"/b", nil, "a"}, {"/", [][2]string{{"x-probe", "1"}}, "b"}, {"/", [][2]string{{"x-probe", "2"}}, "a b"},
		{"/b", [][2]string{{"x-probe", "1"}}, ""},
	} {
		if got := applying(p.get(c.path, c.headers...)); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.path, c.headers, got, c.want)
		}
	}
	if got := applying(p.decide([2]string{":method", "POST"}, [2]string{":authority", "in.example:80"},
		[2]string{":path", "/healthz"})); got != "b" {
		t.Errorf("another host: %s", got)
	}
	if got := applying(p.decide([2]string{":method", "POST"}, [2]string{":authority", "a.example"},
		[2]string{":path", "/healthz"})); got != "a b" {
		t.Errorf("another method: %s", got)
	}
	for _, path := range []string{"/healthz;x", "/ready;/x", "/healthz%3fx", "/b%23"} {
		wantCode(t, "R27 "+path, p.get(path), verdict.PathAmbiguous, "-")
	}
	wantCode(t, "a header of except twice", p.get("/", [2]string{"x-probe", "1"}, [2]string{"x-probe", "2"}),
		verdict.HeaderAmbiguous, "-")
	wantCode(t, "a header of except in another spelling", p.get("/", [2]string{"x_probe", "1"}),
		verdict.HeaderAmbiguous, "-")
	if len(p.get("/").policy.limits) != 2 || p.steps[0] != decide.TakeBucket {
		t.Errorf("the proxy is asked: %v", p.steps)
	}
	p = newProxy(t, limitsConfig(named("a", many, `"except":[]`)))
	if got := applying(p.get("/")); got != "a" || p.policy.rules != nil {
		t.Errorf("an empty list: %s", got)
	}
}

func TestSources(t *testing.T) {
	p := newProxy(t, limitsConfig(
		named("in", many, `"match":[{"sources":["10.0.0.0/8","2001:db8::/32","192.0.2.7"]}]`),
		named("out", many, `"except":[{"sources":["10.0.0.0/8"]},{"paths":["/b"],"sources":["192.0.2.0/25"]}]`),
		named("own", many, `"match":[{"paths":["/own/{id}"],"sources":["10.1.0.0/16"]},{"paths":["/own/{id}","/{id}/x"],`+
			`"sources":["10.2.0.0/16"]},{"paths":["/{id}/y"]}],"key":[{"pathTemplate":true},{"pathVariable":"id"}]`)))
	for _, c := range []struct{ source, path, want string }{
		{"10.0.0.1:1", "/", "in"}, {"11.0.0.1:1", "/", "out"}, {"[2001:db8::1]:1", "/", "in out"},
		{"[2001:db9::1]:1", "/", "out"}, {"192.0.2.7:1", "/", "in out"}, {"192.0.2.8:1", "/", "out"},
		{"192.0.2.8:1", "/b", ""}, {"192.0.2.128:1", "/b", "out"}, {"10.1.2.3:1", "/own/7", "in own"},
		{"10.2.2.3:1", "/own/7", "in own"}, {"10.3.2.3:1", "/own/7", "in"}, {"10.2.2.3:1", "/7/x", "in own"},
		{"10.1.2.3:1", "/7/x", "in"}, {"11.1.2.3:1", "/7/y", "out own"},
		// R21
		{"[::ffff:10.0.0.1]:1", "/", "in"}, {"[64:ff9b::a00:1]:1", "/", "in"}, {"[::ffff:11.0.0.1]:1", "/", "out"},
		{"[fe80::1%4]:1", "/", "out"}, {"[2001:db8::1%4]:1", "/", "in out"},
		{"", "/", "in out"}, {"/run/envoy.sock", "/", "in out"}, {"010.0.0.1:1", "/", "in out"},
		{"10.0.0.1.example", "/b", "in out"}, {"/run/envoy.sock", "/own/7", "in out own"},
	} {
		p.source = c.source
		if got := applying(p.get(c.path)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.source, c.path, got, c.want)
		}
	}
	// The entry that fits with its own sources is the one that keys go by.
	for source, want := range map[string]string{"10.1.2.3:1": "t:/own/{id}|v:7", "10.2.2.3:1": "t:/own/{id}|v:7"} {
		p.source = source
		if d := p.get("/own/7"); readable(d.key) != want {
			t.Errorf("%s: %s", source, readable(d.key))
		}
	}
	p = newProxy(t, limitsConfig(named("a", many, `"match":[{"paths":["/{a}/{id}"],"sources":["10.0.0.0/8"]},`+
		`{"paths":["/own/{id}"]}],"key":[{"pathTemplate":true}]`)))
	for source, want := range map[string]string{"10.1.2.3:1": "t:/%7Ba}/{id}", "11.2.2.3:1": "t:/own/{id}"} {
		p.source = source
		want = strings.ReplaceAll(want, "%7B", "{")
		if d := p.get("/own/7"); readable(d.key) != want {
			t.Errorf("%s: %s, want %s", source, readable(d.key), want)
		}
	}
}

// Nobody is asked for what does not matter, and where nobody knows, the request is refused.
func TestSourcesNeeded(t *testing.T) {
	config := func(more string) string {
		return limitsConfig(named("a", many, `"match":[{"paths":["/in"],"sources":["10.0.0.0/8"]},{"paths":["/in","/any"]}],`+
			`"except":[{"paths":["/any/{*}","/out"]},{"paths":["/any"],"methods":["PUT"]},`+
			`{"paths":["/any"],"headers":[{"name":"x-a","exact":"1"}],"sources":["192.0.2.0/24"]}]`+more), named("b", many, ""))
	}
	x := [2]string{"x-a", "1"}
	for _, c := range []struct {
		path    string
		headers [][2]string
		want    string
		source  bool
	}{
		{"/", nil, "b", false}, {"/in", nil, "a b", true}, {"/any", nil, "a b", false}, {"/out", nil, "b", false},
		{"/any", [][2]string{x}, "b", true},
	} {
		p := newProxy(t, config(""))
		if got := applying(p.get(c.path, c.headers...)); got != c.want ||
			slices.Contains(p.steps, decide.ReadSource) != c.source {
			t.Errorf("%s: %s, %v", c.path, got, p.steps)
		}
		p.sourceErr = errProxy
		d := p.get(c.path, c.headers...)
		if c.source {
			wantCode(t, "R21 nobody knows the source of "+c.path, d, verdict.Internal, "a")
		} else {
			wantCode(t, "nobody needs the source of "+c.path, d, verdict.OK, d.policy.RuleName(d.verdict.Rule))
		}
	}
	p := newProxy(t, limitsConfig(named("a", many, `"match":[{"paths":["/a"]}],"except":[{"paths":["/b"],"sources":["10.0.0.0/8"]}]`)))
	p.sourceErr = errProxy
	wantCode(t, "an exception of a limit that does not fit", p.get("/b"), verdict.OK, "-")
	p = newProxy(t, config(`,"mode":"shadow"`))
	p.sourceErr = errProxy
	d := p.get("/in")
	if counts(d) != "b allowed ok, a error internal" || !d.Verdict().Admits() {
		t.Errorf("in shadow mode: %s", counts(d))
	}
}

func TestSourcesFrom(t *testing.T) {
	p := newProxy(t, with(limitsConfig(named("in", many, `"match":[{"sources":["10.0.0.0/8"]}]`),
		named("out", many, `"except":[{"sources":["10.0.0.0/8"]}]`)),
		`"sourcesFrom":{"forwardedAddress":{"trustedHops":2}}`))
	p.source, p.sourceErr = "10.0.0.1:1", errProxy // nobody asks
	for _, c := range []struct{ sent, want string }{
		{"10.0.0.1, 192.0.2.1", "in"}, {"192.0.2.1, 10.0.0.1", "out"}, {"10.0.0.1, 192.0.2.1, 10.0.0.1", "out"},
		{"::ffff:10.0.0.1, 192.0.2.1", "in"}, {"10.0.0.1", "in out"}, {"", "in out"}, {"unknown, 10.0.0.1", "in out"},
		{"10.0.0.1%4, 192.0.2.1", "in out"}, {"[::ffff:10.0.0.1]:80,x", "in"},
	} {
		if got := applying(p.get("/", [2]string{"x-forwarded-for", c.sent})); got != c.want {
			t.Errorf("R21 %q: %s, want %s", c.sent, got, c.want)
		}
	}
	if got := applying(p.get("/")); got != "in out" || len(p.steps) != 2 {
		t.Errorf("no header: %s, %v", got, p.steps)
	}
	p = newProxy(t, with(limitsConfig(named("trial", five, `"group":"g","key":[{"sourceAddress":{}}],"mode":"shadow"`),
		named("in", five, `"match":[{"sources":["10.0.0.0/8"]}]`)), `"sourcesFrom":{"forwardedAddress":{"trustedHops":1}}`))
	p.sourceErr = errProxy
	wantCode(t, "nobody knows the source, which is for another limit", p.get("/", [2]string{"x-forwarded-for", "10.0.0.1"}),
		verdict.OK, "in")
}

func TestClaimsOfLimits(t *testing.T) {
	for _, c := range []struct {
		name, conditions, identity string
		applies                    bool
	}{
		{"a claim", `{"path":["plan"],"any":["free"]}`, `{"plan":"free"}`, true},
		{"another value", `{"path":["plan"],"any":["free"]}`, `{"plan":"gold"}`, false},
		{"a number for a text", `{"path":["plan"],"any":["1"]}`, `{"plan":1}`, false},
		{"no claim", `{"path":["plan"],"any":["free"]}`, `{"sub":"ann"}`, false},
		{"null", `{"path":["plan"],"any":["free"]}`, `{"plan":null}`, false},
		{"nobody", `{"path":["plan"],"any":["free"]}`, "", false},
		{"nobody, for none", `{"path":["plan"],"none":["free"]}`, "", true},
		{"anonymous requests only", `{"path":["sub"],"exists":false}`, "", true},
		{"and not others", `{"path":["sub"],"exists":false}`, `{"sub":"ann"}`, false},
		{"both of two", `{"path":["sub"],"exists":true},{"path":["level"],"atLeast":3}`, `{"sub":"ann","level":3}`, true},
		{"one of two", `{"path":["sub"],"exists":true},{"path":["level"],"atLeast":3}`, `{"sub":"ann","level":2}`, false},
		{"at most", `{"path":["level"],"atMost":3}`, `{"level":4}`, false},
		{"glob", `{"path":["sub"],"glob":"a*"}`, `{"sub":"ann"}`, true},
		{"glob of another", `{"path":["sub"],"glob":"a*"}`, `{"sub":"bob"}`, false},
		{"each", `{"path":["groups","*","name"],"any":["dev"]}`, `{"groups":[{"name":"ops"},{"name":"dev"}]}`, true},
		{"none of each", `{"path":["groups","*","name"],"any":["dev"]}`, `{"groups":[{"name":"ops"}]}`, false},
		{"the path", `{"path":["sub"],"equals":{"pathVariable":"user"}}`, `{"sub":"ann"}`, true},
		{"another path", `{"path":["sub"],"equals":{"pathVariable":"user"}}`, `{"sub":"bob"}`, false},
		{"the host", `{"path":["sub"],"equals":{"host":true}}`, `{"sub":"api.example.com"}`, true},
		{"another host", `{"path":["sub"],"equals":{"host":true}}`, `{"sub":"bob"}`, false},
		{"a header", `{"path":["sub"],"equals":{"header":"x-user"}}`, `{"sub":"ann"}`, true},
		{"another header", `{"path":["sub"],"equals":{"header":"x-user"}}`, `{"sub":"bob"}`, false},
		{"no header", `{"path":["sub"],"equals":{"header":"x-none"}}`, `{"sub":"bob"}`, false},

		{"R24 an object", `{"path":["plan"],"any":["free"]}`, `{"plan":{"free":true}}`, true},
		{"R24 a list with an object", `{"path":["plan"],"all":["free"]}`, `{"plan":["gold",{}]}`, true},
		{"R24 a path through a text", `{"path":["plan","name"],"any":["free"]}`, `{"plan":"gold"}`, true},
		{"R24 a path through a list", `{"path":["plan","name"],"exists":true}`, `{"plan":[{"name":"x"}]}`, true},
		{"R24 a * of what is no list", `{"path":["plan","*"],"any":["free"]}`, `{"plan":"gold"}`, true},
		{"R24 a * over what is no object", `{"path":["plan","*","name"],"any":["free"]}`, `{"plan":[{"name":"x"},7]}`, true},
		{"R24 a text for a number", `{"path":["level"],"atLeast":3}`, `{"level":"1"}`, true},
		{"R24 a number for a pattern", `{"path":["sub"],"glob":"a*"}`, `{"sub":7}`, true},
		{"R24 a number for the path", `{"path":["sub"],"equals":{"pathVariable":"user"}}`, `{"sub":7}`, true},
		{"R24 two headers", `{"path":["sub"],"equals":{"header":"x-two"}}`, `{"sub":"bob"}`, true},
		{"R24 an empty list is one that can be read", `{"path":["plan"],"any":["free"]}`, `{"plan":[]}`, false},
	} {
		p := newProxy(t, limitsConfig(named("a", five, `"match":[{"paths":["/{user}"]}],"claims":[`+c.conditions+`]`)))
		p.identity = c.identity
		d := p.get("/ann", [2]string{"x-user", "ann"}, [2]string{"x-two", "ann"}, [2]string{"x-two", "ann"})
		if got := applying(d) == "a"; got != c.applies || d.Verdict().Code != verdict.OK {
			t.Errorf("%s: %v, %s", c.name, got, counts(d))
		}
	}
	p := newProxy(t, limitsConfig(named("a", five, `"match":[{"paths":["/a"]}],"claims":[{"path":["sub"],"exists":true}]`),
		named("h", five, `"match":[{"paths":["/h"]}],"claims":[{"path":["sub"],"equals":{"host":true}}]`)))
	if p.get("/b"); len(p.steps) != 0 {
		t.Errorf("nobody needs claims: %v", p.steps)
	}
	p.identity = `{"sub":"ann"}`
	if got := applying(p.decide([2]string{":method", "GET"}, [2]string{":path", "/h"})); got != "h" {
		t.Errorf("R24 no host: %s", got)
	}
	for _, identity := range []string{`{"sub":"ann"`, `"ann"`} {
		p.identity = identity
		wantCode(t, "R24 "+identity, p.get("/a"), verdict.Internal, "a")
	}
	p.identityErr = errProxy
	wantCode(t, "R24 nobody knows", p.get("/a"), verdict.Internal, "a")
	wantCode(t, "nobody needs to know", p.get("/b"), verdict.OK, "-")
}

func TestGroups(t *testing.T) {
	p := newProxy(t, with(limitsConfig(
		named("trial", many, `"group":"g","mode":"shadow"`),
		named("bulk", many, `"group":"g","match":[{"paths":["/bulk"]}]`),
		named("user", many, `"group":"g","key":[{"claim":["sub"]}]`),
		named("service", many, `"group":"g","scope":"global","match":[{"paths":["/service"]}]`),
		named("peer", many, `"group":"g","key":[{"peer":true}],"match":[{"paths":["/peer","/peers"]}]`),
		named("rest", many, `"group":"g"`),
		named("trial2", many, `"group":"g","mode":"shadow"`),
		named("other", many, `"group":"h"`),
		named("alone", many, "")), service))
	p.service = newCounter("service")
	for _, c := range []struct{ path, identity, peer, want string }{
		{"/", "", "", "rest other alone trial"}, {"/", `{"sub":"ann"}`, "", "user other alone trial"},
		{"/", `{"sub":{}}`, "", "user other alone trial"}, // R23 unreadable is not missing
		{"/bulk", "", "", "bulk other alone trial"}, {"/bulk", `{"sub":"ann"}`, "", "bulk other alone trial"},
		{"/service", "", "", "other alone service trial"}, {"/peer", "", "", "rest other alone trial"},
		{"/peer", "", "spiffe://a/b", "peer other alone trial"}, {"/peer", `{"sub":"ann"}`, "x", "user other alone trial"},
	} {
		p.identity, p.peer = c.identity, c.peer
		if got := applying(p.get(c.path)); got != c.want {
			t.Errorf("R23 %s %s %s: %s, want %s", c.path, c.identity, c.peer, got, c.want)
		}
	}
	p.peerErr = errProxy
	p.identity = ""
	wantCode(t, "nobody knows a key of the group", p.get("/peer"), verdict.Internal, "peer")
	p.identityErr = errProxy
	wantCode(t, "nobody knows who it is", p.get("/"), verdict.Internal, "user")
	wantCode(t, "and nobody needs to", p.get("/bulk"), verdict.OK, "other")

	// One that denies requests without a key applies to them; one that shares a bucket does, too.
	p = newProxy(t, limitsConfig(named("a", many, `"group":"g","key":[{"claim":["sub"]}],"onMissingKey":"deny"`), named("b", two, `"group":"g"`)))
	wantCode(t, "deny", p.get("/"), KeyMissing, "a")
	p = newProxy(t, limitsConfig(named("a", many, `"group":"g","key":[{"claim":["sub"]}],"onMissingKey":"shared"`), named("b", two, `"group":"g"`)))
	wantCode(t, "shared", p.get("/"), verdict.OK, "a")
	// Nothing is taken of one that has no turn.
	p = newProxy(t, limitsConfig(named("a", five, `"group":"g","match":[{"methods":["GET"]}]`), named("b", two, `"group":"g"`)))
	for range 5 {
		p.get("/")
	}
	wantCode(t, "over the first", p.get("/"), RateLimited, "a")
	d := p.decide([2]string{":method", "PUT"}, [2]string{":path", "/"})
	if headerOf(d, "ratelimit") != `"b";r=1;t=30` {
		t.Errorf("%s", headerOf(d, "ratelimit"))
	}
	if p := parse(t, limitsConfig(named("a", five, ""), named("b", two, ""))); p.rules != nil {
		t.Error("a configuration that chooses nothing has a phase for it")
	}
}

// A decision that is used again has nothing of the request before.
func TestSelectionForgets(t *testing.T) {
	p := newProxy(t, limitsConfig(named("in", five, `"match":[{"sources":["10.0.0.0/8"]}]`)))
	d := &Decision{}
	for i, source := range []string{"10.0.0.1:1", "192.0.2.1:1", "10.0.0.2:1", "x", "192.0.2.1:1"} {
		p.source = source
		headers := [][2]string{{":method", "GET"}, {":path", "/"}}
		p.policy.Decide(d, p.asked(headers))
		p.finish(d, headers)
		if want := []string{"in", "", "in", "in", ""}[i]; applying(d) != want {
			t.Errorf("%s: %s", source, applying(d))
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct{ text, problem string }{
		{"10.0.0.0/8", ""}, {"10.0.0.1", ""}, {"10.0.0.1/32", ""}, {"0.0.0.0/0", ""}, {"::/0", ""}, {"2001:db8::/32", ""},
		{"2001:db8::1", ""}, {"2001:DB8:0:0::/64", ""}, {"192.0.2.128/25", ""}, {"64:ff9b::/32", ""}, {"fe80::/10", ""},
		{"10.0.0.1/8", "has bits behind its prefix: write 10.0.0.0/8"},
		{"192.0.2.129/25", "has bits behind its prefix: write 192.0.2.128/25"},
		{"255.255.255.255/0", "has bits behind its prefix: write 0.0.0.0/0"},
		{"2001:db8::1/32", "has bits behind its prefix: write 2001:db8::/32"},
		{"2001:db8:1:2:3:4:5:6/112", "has bits behind its prefix: write 2001:db8:1:2:3:4:5:0/112"},
		{"2001:db8:1:2:3:4:5:6/80", "has bits behind its prefix: write 2001:db8:1:2:3::/80"},
		{"fe80::1/10", "has bits behind its prefix: write fe80::/10"}, {"ff::/1", "has bits behind its prefix: write ::/1"},
		{"::ffff:10.0.0.0/104", "stands for IPv4 addresses, which are compared as such: write 10.0.0.0/8"},
		{"::ffff:10.1.0.0/104", "stands for IPv4 addresses, which are compared as such: write 10.0.0.0/8"},
		{"::ffff:10.0.0.1", "stands for IPv4 addresses, which are compared as such: write 10.0.0.1"},
		{"::ffff:0:0/96", "stands for IPv4 addresses, which are compared as such: write 0.0.0.0/0"},
		{"64:ff9b::a00:0/104", "stands for IPv4 addresses, which are compared as such: write 10.0.0.0/8"},
		{"::ffff:10.0.0.0/8", "has bits behind its prefix: write 10.0.0.0/8"},
		{"10.0.0.0/33", "want"}, {"10.0.0/8", "want"}, {"10.0.0.0/", "want"}, {"10.0.0.0/08", "want"},
		{"10.0.0.0/-1", "want"}, {"10.0.0.0/+8", "want"}, {"::/129", "want"}, {"010.0.0.0/8", "want"},
		{"10.0.0.0/8/8", "want"}, {"10.0.0.1:80", "want"}, {"[::1]", "want"}, {"fe80::1%4", "want"}, {"localhost", "want"},
		{"/8", "want"}, {"10.0.0.0/255.0.0.0", "want"}, {"10.0.0.0 /8", "want"}, {"2001:db8::/256", "want"},
	} {
		_, problem := parseNetwork(c.text)
		want := c.problem
		if want == "want" {
			want = "want a range of addresses, such as 10.0.0.0/8 or 2001:db8::/32, or one address"
		}
		if problem != want {
			t.Errorf("%s: %q, want %q", c.text, problem, want)
		}
	}
	for _, c := range []struct {
		network, address string
		has              bool
	}{
		{"10.0.0.0/8", "10.255.255.255", true}, {"10.0.0.0/8", "11.0.0.0", false}, {"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::1", false}, {"::/0", "1.2.3.4", false}, {"::/0", "2001:db8::1", true},
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.0", false}, {"192.0.2.128/25", "192.0.2.128", true}, {"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.128/31", "192.0.2.129", true}, {"192.0.2.128/31", "192.0.2.130", false},
		{"2001:db8::/33", "2001:db8:7fff::", true}, {"2001:db8::/33", "2001:db8:8000::", false},
		{"2001:db8::1", "2001:db8::1", true}, {"2001:db8::1", "2001:db8::", false},
		{"10.0.0.0/8", "::ffff:10.0.0.1", true}, {"10.0.0.0/8", "64:ff9b::a00:1", true},
	} {
		n, problem := parseNetwork(c.network)
		a, ok := parseAddress(c.address)
		if problem != "" || !ok || n.has(a) != c.has {
			t.Errorf("R21 %s has %s: %v", c.network, c.address, n.has(a))
		}
	}
}

// What is accepted as a range is written in one way, and has its own prefix in it.
func FuzzNetwork(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.0/104", "1::/1", "::/0", "1.2.3.4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, problem := parseNetwork(text)
		if problem != "" {
			_, written, ok := strings.Cut(problem, "write ")
			if !ok {
				return
			}
			if n, problem = parseNetwork(written); problem != "" {
				t.Fatalf("%s: %s is advised, and %s", text, written, problem)
			}
		}
		again, problem := parseNetwork(n.canonical())
		if problem != "" || again != n || !n.has(n.prefix) {
			t.Fatalf("%s: %s, %s", text, n.canonical(), problem)
		}
	})
}

func TestSelectionFaults(t *testing.T) {
	one := func(more string) string { return limitsConfig(limitConfig(more)) }
	for _, c := range []struct{ name, config, want string }{
		{"sources that are none", one(`"match":[{"sources":[]},{"sources":["10.0.0.1/8",7,""]}],"except":[{"sources":"10.0.0.0/8"}]`),
			"limits[0].match[0].sources: the list is empty: name at least one, or leave the key out\n" +
				"limits[0].match[1].sources[0]: has bits behind its prefix: write 10.0.0.0/8\n" +
				"limits[0].match[1].sources[1]: want a string, got a number\n" +
				"limits[0].match[1].sources[2]: must not be empty\n" +
				"limits[0].except[0].sources: want a list, got a string"},
		{"except that is none", one(`"except":[{"path":["/a"]},"x"]`),
			"limits[0].except[0].path: unknown key; did you mean paths?\nlimits[0].except[1]: want an object, got a string"},
		{"claims that are none", one(`"claims":[{"path":["a"]},{"path":["a"],"equals":{"pathVariable":"x"}}]`),
			"limits[0].claims[0]: want one of any, all, none, exists, glob, equals and atLeast or atMost\n" +
				"limits[0].claims[1].equals.pathVariable: not every path of the limit has {x}: the comparison would have " +
				"nothing to compare with"},
		{"no claims", one(`"claims":[]`), "limits[0].claims: the list is empty: name at least one, or leave the key out"},
		{"no group", one(`"group":""`), "limits[0].group: must not be empty"},
		{"addresses from nowhere", with(one(""), `"sourcesFrom":{}`), "sourcesFrom.forwardedAddress: is required"},
		{"addresses from nobody", with(one(""), `"sourcesFrom":{"forwardedAddress":{"trustedHops":0,"v4Prefix":8}}`),
			"sourcesFrom.forwardedAddress.trustedHops: must be from 1 to 32\nsourcesFrom.forwardedAddress.v4Prefix: unknown key"},
		{"hops that are none", with(one(""), `"sourcesFrom":{"forwardedAddress":{}}`),
			"sourcesFrom.forwardedAddress.trustedHops: is required"},
	} {
		if _, err := Parse(c.config); err == nil || err.Error() != c.want {
			t.Errorf("%s: got\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
}

func TestSelectionWarnings(t *testing.T) {
	const never, first = "fits every request: this limit never applies",
		"never comes to this limit: a, before it, applies to every request"
	group := func(a, b string) string {
		return limitsConfig(named("a", five, `"group":"g"`+a), named("b", five, `"group":"g"`+b))
	}
	for _, c := range []struct{ name, config, want string }{
		{"an exception for all", limitsConfig(named("a", five, `"except":[{"paths":["/a"]},{}]`)), "limits[0].except[1]: " + never},
		{"an exception for all paths", limitsConfig(named("a", five, `"except":[{"paths":["/a","/{**}"]}]`)),
			"limits[0].except[0]: " + never},
		{"exceptions for some", limitsConfig(named("a", five, `"except":[{"paths":["/{**}"],"methods":["GET"]},{"hosts":["a"]},`+
			`{"headers":[{"name":"x","exact":"1"}]},{"sources":["10.0.0.0/8"]},{"paths":["/{*}"]}]`)), ""},
		{"addresses that nobody looks at", with(limitsConfig(named("a", five, "")), `"sourcesFrom":{"forwardedAddress":{"trustedHops":1}}`),
			"sourcesFrom: has no effect: no limit has sources"},
		{"addresses that match looks at", with(limitsConfig(named("a", five, `"match":[{"sources":["10.0.0.0/8"]},{"hosts":["a"]}]`)),
			`"sourcesFrom":{"forwardedAddress":{"trustedHops":1}}`), ""},
		{"addresses that except looks at", with(limitsConfig(named("a", five, `"except":[{"hosts":["a"]},{"sources":["10.0.0.0/8"]}]`)),
			`"sourcesFrom":{"forwardedAddress":{"trustedHops":1}}`), ""},
		{"a group without an end", group("", ""), "limits[1].group: " + first},
		{"a group without an end, by a key that is always there", group(`,"key":[{"method":true}]`, ""), "limits[1].group: " + first},
		{"a group without an end, by a shared bucket", group(`,"key":[{"claim":["sub"]}],"onMissingKey":"shared"`, ""),
			"limits[1].group: " + first},
		{"a group without an end, by a match of all", group(`,"match":[{"hosts":["a"]},{"paths":["/{**}"]}]`, ""),
			"limits[1].group: " + first},
		{"a group", group(`,"match":[{"hosts":["a"]}]`, ""), ""},
		{"a group by exception", group(`,"except":[{"hosts":["a"]}]`, ""), ""},
		{"a group by claims", group(`,"claims":[{"path":["sub"],"exists":true}]`, ""), ""},
		{"a group by sources", group(`,"match":[{"sources":["10.0.0.0/8"]}]`, ""), ""},
		{"a group by keys", group(`,"key":[{"claim":["sub"]}]`, ""), ""},
		{"a group on trial", group(`,"mode":"shadow"`, ""), ""},
		{"a trial in a group", group("", `,"mode":"shadow"`), ""},
		{"two groups", limitsConfig(named("a", five, `"group":"g"`), named("b", five, `"group":"h"`), named("c", five, ""),
			named("d", five, "")), ""},
	} {
		if got := warnings(parse(t, c.config)); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
