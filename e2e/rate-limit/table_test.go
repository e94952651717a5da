// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Each reason, each header, and what several limits make of one request. R12: over a limit is 429
// with a time to wait, and nothing else is. R16: shadow mode takes no part in what is decided.
func TestEveryReason(t *testing.T) {
	perKey := M{"key": []M{{"header": "x-key"}}}
	configs := map[string]M{
		"plain":  limits(limit("plain", 2)),
		"burst":  limits(limit("burst", 1, M{"rate": M{"requests": 1, "per": "1h", "burst": 2}})),
		"legacy": with(limits(limit("legacy", 1)), M{"headers": "legacy"}),
		"both":   with(limits(limit("both", 1)), M{"headers": "both"}),
		"none":   with(limits(limit("none", 1)), M{"headers": "none"}),
		"deny":   limits(limit("deny", 1, perKey, M{"onMissingKey": "deny"})),
		"skip":   limits(limit("skip", 1, perKey)),
		"shared": limits(limit("shared", 1, perKey, M{"onMissingKey": "shared"})),
		"paths": limits(limit("paths", 1,
			M{"match": []M{{"paths": []string{"/a/{**}"}, "methods": []string{"GET"}, "hosts": []string{"api.example"}}}})),
		"literal": with(limits(limit("literal", 1)), M{"ambiguousPath": "literal"}),
		"cost":    limits(limit("cost", 10, M{"cost": M{"header": "x-cost", "max": 5}})),
		"free":    limits(limit("free", 10, M{"cost": M{"header": "x-cost", "default": 0, "max": 5}})),
		"fixed":   limits(limit("fixed", 10, M{"cost": M{"default": 6}})),
		"two":     limits(limit("wide", 5), limit("narrow", 2, perKey)),
		"three":   limits(limit("first", 9), limit("second", 1), limit("third", 9)),
		"many": limits(limit("m1", 9), limit("m2", 8), limit("m3", 7), limit("m4", 6),
			limit("m5", 9, M{"mode": "shadow"}), limit("m6", 5), limit("m7", 4)),
		"trial":  limits(limit("trial", 1, M{"mode": "shadow"}), limit("real", 3)),
		"behind": limits(limit("narrower", 1), limit("behind", 1, M{"mode": "shadow"})),
		"shadow": with(limits(limit("dark", 1), limit("dark-deny", 1, perKey, M{"onMissingKey": "deny"})),
			M{"mode": "shadow"}),
		"override": with(limits(limit("loud", 1, M{"mode": "enforce"}), limit("quiet", 1)), M{"mode": "shadow"}),
	}
	h := func(name, value string) [2]string { return [2]string{name, value} }
	k := func(value string) [2]string { return h("x-key", value) }
	rows := []struct {
		name, listener, method, path string
		headers                      [][2]string
		code                         string // of the refusal; empty: it goes on
		says                         []about
		retry                        int
		counts                       []string
	}{
		{"the first of two", "plain", "GET", "/", nil, "", []about{{"plain", 2, 1, 1800}}, 0, []string{"plain:ok"}},
		{"the second", "plain", "POST", "/b?c=1", nil, "", []about{{"plain", 2, 0, 3600}}, 0, []string{"plain:ok"}},
		{"one too many", "plain", "GET", "/", nil, "rate_limited", []about{{"plain", 2, 0, 3600}}, 1800,
			[]string{"plain:rate_limited"}},
		{"a refusal spends nothing", "plain", "GET", "/", nil, "rate_limited", []about{{"plain", 2, 0, 3600}}, 1800,
			[]string{"plain:rate_limited"}},

		{"a burst over the rate", "burst", "GET", "/", nil, "", []about{{"burst", 1, 1, 3600}}, 0, []string{"burst:ok"}},
		{"the rest of it", "burst", "GET", "/", nil, "", []about{{"burst", 1, 0, 7200}}, 0, []string{"burst:ok"}},
		{"over it", "burst", "GET", "/", nil, "rate_limited", []about{{"burst", 1, 0, 7200}}, 3600,
			[]string{"burst:rate_limited"}},

		{"legacy headers", "legacy", "GET", "/", nil, "", nil, 0, []string{"legacy:ok"}},
		{"legacy headers, one too many", "legacy", "GET", "/", nil, "rate_limited", nil, 3600,
			[]string{"legacy:rate_limited"}},
		{"both kinds of headers", "both", "GET", "/", nil, "", []about{{"both", 1, 0, 3600}}, 0, []string{"both:ok"}},
		{"both, one too many", "both", "GET", "/", nil, "rate_limited", []about{{"both", 1, 0, 3600}}, 3600,
			[]string{"both:rate_limited"}},
		{"no headers", "none", "GET", "/", nil, "", nil, 0, []string{"none:ok"}},
		{"no headers, one too many", "none", "GET", "/", nil, "rate_limited", nil, 3600, []string{"none:rate_limited"}},

		{"no key: deny", "deny", "GET", "/", nil, "key_missing", nil, 0, []string{"deny:key_missing"}},
		{"an empty key: deny", "deny", "GET", "/", [][2]string{k("")}, "key_missing", nil, 0, []string{"deny:key_missing"}},
		{"a key", "deny", "GET", "/", [][2]string{k("a")}, "", []about{{"deny", 1, 0, 3600}}, 0, []string{"deny:ok"}},
		{"two keys: deny", "deny", "GET", "/", [][2]string{k("a"), k("b")}, "key_missing", nil, 0,
			[]string{"deny:key_missing"}},
		{"no key: skip", "skip", "GET", "/", nil, "", nil, 0, []string{"-:ok"}},
		{"no key: skip, again", "skip", "GET", "/", nil, "", nil, 0, []string{"-:ok"}},
		{"two keys: not skipped", "skip", "GET", "/", [][2]string{k("a"), k("b")}, "", []about{{"skip", 1, 0, 3600}}, 0,
			[]string{"skip:ok"}},
		{"two others: one bucket for all such requests", "skip", "GET", "/", [][2]string{k("c"), k("d")},
			"rate_limited", []about{{"skip", 1, 0, 3600}}, 3600, []string{"skip:rate_limited"}},
		{"an empty key: not skipped", "skip", "GET", "/", [][2]string{k("")}, "rate_limited",
			[]about{{"skip", 1, 0, 3600}}, 3600, []string{"skip:rate_limited"}},
		{"no key: shared", "shared", "GET", "/", nil, "", []about{{"shared", 1, 0, 3600}}, 0, []string{"shared:ok"}},
		{"no key: shared, with everybody who has none", "shared", "GET", "/x", nil, "rate_limited",
			[]about{{"shared", 1, 0, 3600}}, 3600, []string{"shared:rate_limited"}},
		{"and not with who has two", "shared", "GET", "/", [][2]string{k("a"), k("b")}, "",
			[]about{{"shared", 1, 0, 3600}}, 0, []string{"shared:ok"}},
		{"and not with who has one", "shared", "GET", "/", [][2]string{k("-")}, "", []about{{"shared", 1, 0, 3600}}, 0,
			[]string{"shared:ok"}},

		{"another path", "paths", "GET", "/b", nil, "", nil, 0, []string{"-:ok"}},
		{"another method", "paths", "POST", "/a/b", nil, "", nil, 0, []string{"-:ok"}},
		{"another host", "paths", "GET", "/a/b", [][2]string{h("Host", "other.example")}, "", nil, 0, []string{"-:ok"}},
		{"what fits", "paths", "GET", "/a/b", nil, "", []about{{"paths", 1, 0, 3600}}, 0, []string{"paths:ok"}},
		{"P1 an encoded slash", "paths", "GET", "/a%2fb", nil, "path_ambiguous", nil, 0, []string{"-:path_ambiguous"}},
		{"P1 an empty segment", "paths", "GET", "//a/b", nil, "path_ambiguous", nil, 0, []string{"-:path_ambiguous"}},
		{"P2 dot segments around a limit", "paths", "GET", "/b/..;/a/b", nil, "path_ambiguous", nil, 0,
			[]string{"-:path_ambiguous"}},
		{"P2 encoded ones", "paths", "GET", "/b/%2e%2e/a/b", nil, "path_ambiguous", nil, 0, []string{"-:path_ambiguous"}},
		{"P3 parameters", "paths", "GET", "/a;x/b", nil, "path_ambiguous", nil, 0, []string{"-:path_ambiguous"}},
		{"the limit in other spellings of what fits", "paths", "GET", "/%61/b?x",
			[][2]string{h("Host", "API.example.:80")}, "rate_limited", []about{{"paths", 1, 0, 3600}}, 3600,
			[]string{"paths:rate_limited"}},
		{"an encoded slash, taken literally", "literal", "GET", "/a%2fb", nil, "", []about{{"literal", 1, 0, 3600}}, 0,
			[]string{"literal:ok"}},

		{"a cost", "cost", "GET", "/", [][2]string{h("x-cost", "4")}, "", []about{{"cost", 10, 6, 1440}}, 0,
			[]string{"cost:ok"}},
		{"R7 a cost over the highest", "cost", "GET", "/", [][2]string{h("x-cost", "99999999999999999999999")}, "",
			[]about{{"cost", 10, 1, 3240}}, 0, []string{"cost:ok"}},
		{"R7 what is no cost is the highest", "cost", "GET", "/", [][2]string{h("x-cost", "-7")}, "rate_limited",
			[]about{{"cost", 10, 1, 3240}}, 1440, []string{"cost:rate_limited"}},
		{"R7 what is no cost in one of two headers", "cost", "GET", "/",
			[][2]string{h("x-cost", "1"), h("x-cost", "1e0")}, "rate_limited", []about{{"cost", 10, 1, 3240}}, 1440,
			[]string{"cost:rate_limited"}},
		{"R7 an empty cost", "cost", "GET", "/", [][2]string{h("x-cost", "")}, "rate_limited",
			[]about{{"cost", 10, 1, 3240}}, 1440, []string{"cost:rate_limited"}},
		{"a cost that no longer fits", "cost", "GET", "/", [][2]string{h("x-cost", "2")}, "rate_limited",
			[]about{{"cost", 10, 1, 3240}}, 360, []string{"cost:rate_limited"}},
		{"a cost with decimals, rounded up", "cost", "GET", "/", [][2]string{h("x-cost", "1.5")}, "rate_limited",
			[]about{{"cost", 10, 1, 3240}}, 360, []string{"cost:rate_limited"}},
		{"a cost of nothing is not for clients to choose", "cost", "GET", "/", [][2]string{h("x-cost", "0")}, "",
			[]about{{"cost", 10, 0, 3600}}, 0, []string{"cost:ok"}},
		{"and again", "cost", "GET", "/", [][2]string{h("x-cost", "0")}, "rate_limited", []about{{"cost", 10, 0, 3600}},
			360, []string{"cost:rate_limited"}},
		{"the highest of several costs", "free", "GET", "/", [][2]string{h("x-cost", "1"), h("x-cost", "0, 3")}, "",
			[]about{{"free", 10, 7, 1080}}, 0, []string{"free:ok"}},
		{"a cost of nothing", "free", "GET", "/", nil, "", []about{{"free", 10, 7, 1080}}, 0, []string{"free:ok"}},
		{"a fixed cost", "fixed", "GET", "/", [][2]string{h("x-cost", "1")}, "", []about{{"fixed", 10, 4, 2160}}, 0,
			[]string{"fixed:ok"}},
		{"which no longer fits what is left", "fixed", "GET", "/", nil, "rate_limited", []about{{"fixed", 10, 4, 2160}},
			720, []string{"fixed:rate_limited"}},

		{"two limits", "two", "GET", "/", [][2]string{k("a")}, "", []about{{"wide", 5, 4, 720}, {"narrow", 2, 1, 1800}},
			0, []string{"wide:ok", "narrow:ok"}},
		{"two limits, the second request", "two", "GET", "/", [][2]string{k("a")}, "",
			[]about{{"wide", 5, 3, 1440}, {"narrow", 2, 0, 3600}}, 0, []string{"wide:ok", "narrow:ok"}},
		{"the tightest refuses, and the other gives back", "two", "GET", "/", [][2]string{k("a")}, "rate_limited",
			[]about{{"wide", 5, 3, 1440}, {"narrow", 2, 0, 3600}}, 1800, []string{"narrow:rate_limited"}},
		{"so that others have what they had", "two", "GET", "/", [][2]string{k("b")}, "",
			[]about{{"wide", 5, 2, 2160}, {"narrow", 2, 1, 1800}}, 0, []string{"wide:ok", "narrow:ok"}},
		{"only one of two applies", "two", "GET", "/", nil, "", []about{{"wide", 5, 1, 2880}}, 0, []string{"wide:ok"}},
		{"three limits", "three", "GET", "/", nil, "",
			[]about{{"first", 9, 8, 400}, {"second", 1, 0, 3600}, {"third", 9, 8, 400}}, 0, []string{"first:ok",
				"second:ok", "third:ok"}},
		{"one between the others refuses: the last is not asked", "three", "GET", "/", nil, "rate_limited",
			[]about{{"first", 9, 8, 400}, {"second", 1, 0, 3600}}, 3600, []string{"second:rate_limited"}},

		{"the tightest four of many limits", "many", "GET", "/", nil, "",
			[]about{{"m3", 7, 6, 515}, {"m4", 6, 5, 600}, {"m6", 5, 4, 720}, {"m7", 4, 3, 900}}, 0, []string{"m7:ok",
				"m1:ok", "m2:ok", "m3:ok", "m4:ok", "m5:ok", "m6:ok"}},

		{"R16 a limit on trial beside one in force", "trial", "GET", "/", nil, "", []about{{"real", 3, 2, 1200}}, 0,
			[]string{"real:ok", "trial:ok"}},
		{"R16 over the one on trial", "trial", "GET", "/", nil, "", []about{{"real", 3, 1, 2400}}, 0,
			[]string{"real:ok", "~trial:rate_limited"}},
		{"R16 again", "trial", "GET", "/", nil, "", []about{{"real", 3, 0, 3600}}, 0,
			[]string{"real:ok", "~trial:rate_limited"}},
		{"R16 over both", "trial", "GET", "/", nil, "rate_limited", []about{{"real", 3, 0, 3600}}, 1200,
			[]string{"real:rate_limited"}},
		{"R16 a limit on trial behind one in force", "behind", "GET", "/", nil, "", []about{{"narrower", 1, 0, 3600}},
			0, []string{"narrower:ok", "behind:ok"}},
		{"R16 what is refused never comes to it", "behind", "GET", "/", nil, "rate_limited",
			[]about{{"narrower", 1, 0, 3600}}, 3600, []string{"narrower:rate_limited"}},

		{"shadow mode: no key", "shadow", "GET", "/", nil, "", nil, 0, []string{"-:ok", "dark:ok", "~dark-deny:key_missing"}},
		{"shadow mode: over a limit", "shadow", "GET", "/", [][2]string{k("a")}, "", nil, 0,
			[]string{"-:ok", "~dark:rate_limited", "dark-deny:ok"}},
		{"shadow mode: over two", "shadow", "GET", "/", [][2]string{k("a")}, "", nil, 0,
			[]string{"-:ok", "~dark:rate_limited", "~dark-deny:rate_limited"}},
		{"shadow mode: an ambiguous path", "shadow", "GET", "//", nil, "", nil, 0, []string{"~-:path_ambiguous"}},
		{"R16 one limit in force in shadow mode", "override", "GET", "/", nil, "", []about{{"loud", 1, 0, 3600}}, 0,
			[]string{"loud:ok", "quiet:ok"}},
		{"R16 it refuses", "override", "GET", "/", nil, "rate_limited", []about{{"loud", 1, 0, 3600}}, 3600,
			[]string{"loud:rate_limited"}},
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		var listeners []M
		for name, config := range configs {
			listeners = append(listeners,
				bootstrap.Listener(name, 0, []M{limiter(t, config).Filter()}, bootstrap.To("upstream"), nil))
		}
		envoy := harness.Start(t,
			harness.Config{Version: version, Listeners: listeners,
				Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		clients := map[string]*harness.Client1{}
		for name := range configs {
			clients[name] = harness.NewClient1(t, envoy.Address(name))
		}
		for _, r := range rows {
			headers := r.headers
			if r.method == "POST" {
				headers = append(headers, [2]string{"Content-Length", "0"})
			}
			wantChange(t, r.name, envoy.Change(func() {
				m := clients[r.listener].Do(harness.Request(r.method, r.path, headers...))
				wantAnswer(t, r.name, m, r.code)
				wantStandard(t, r.name, m, r.says...)
				if got := m.Values("retry-after"); r.retry > 0 &&
					(len(got) != 1 || number(got[0]) < 1 || !within(got[0], r.retry)) || r.retry == 0 && len(got) > 0 {
					t.Errorf("%s: retry after %q, want %d", r.name, got, r.retry)
				}
				wantLegacy(t, r.name, m, r.listener == "legacy" || r.listener == "both")
			}), counted(r.counts...))
			got := up.Take()
			if r.code == "" && (len(got) != 1 || got[0].Start != r.method+" "+r.path+" HTTP/1.1") || r.code != "" &&
				len(got) != 0 {
				t.Errorf("%s: the upstream has %+v", r.name, got)
			}
		}
		wantChange(t, "gRPC", envoy.Change(func() {
			for listener, want := range map[string][2]string{"plain": {"8", "rate_limited"}, "deny": {"7", "key_missing"}} {
				m := harness.GRPC(t, envoy.Address(listener), "/pkg.Service/Method")
				if m.Status() != 200 || m.Header("grpc-status") != want[0] || m.Header("grpc-message") != want[1] || m.Body != "" {
					t.Errorf("P18 gRPC refused by %s: %+v", listener, m)
				}
				if listener == "plain" {
					wantStandard(t, "gRPC", m, about{"plain", 2, 0, 3600})
					if !within(m.Header("retry-after"), 1800) {
						t.Errorf("gRPC: retry after %q", m.Header("retry-after"))
					}
				}
			}
			m := harness.GRPC(t, envoy.Address("paths"), "/a//b")
			if m.Status() != 200 || m.Header("grpc-status") != "3" || m.Header("grpc-message") != "path_ambiguous" {
				t.Errorf("P18 gRPC with an ambiguous path: %+v", m)
			}
		}), counted("plain:rate_limited", "deny:key_missing", "-:path_ambiguous"))
		if n := len(up.Take()); n != 0 {
			t.Errorf("%d refused gRPC requests have reached the upstream", n)
		}
		for name := range envoy.Tollgate() {
			if strings.Contains(name, "internal") {
				t.Errorf("counted %s", name)
			}
		}
	})
}

// wantLegacy: a limit of one request in an hour, which each request finds used up or uses up.
func wantLegacy(t *testing.T, what string, m *harness.Message, there bool) {
	t.Helper()
	limit, remaining, reset := m.Values("x-ratelimit-limit"), m.Values("x-ratelimit-remaining"),
		m.Values("x-ratelimit-reset")
	if !there {
		if len(limit)+len(remaining)+len(reset) > 0 {
			t.Errorf("%s: %v", what, m.Headers)
		}
		return
	}
	if len(limit) != 1 || limit[0] != "1" || len(remaining) != 1 || remaining[0] != "0" || len(reset) != 1 ||
		!within(reset[0], 3600) {
		t.Errorf("%s: %v", what, m.Headers)
	}
}

// Each kind of key. Every limit lets one request through for a key: who is admitted has a bucket
// that nobody has had before.
func TestEveryKey(t *testing.T) {
	paths := []M{{"paths": []string{"/orders/{id}", "/items/{id}"}}, {"paths": []string{"/orders/{id}/lines"}}}
	key := func(parts ...M) M { return M{"key": parts} }
	configs := map[string]M{
		"source":    limits(limit("source", 1, key(M{"sourceAddress": true}))),
		"hosts":     limits(limit("hosts", 1, key(M{"sourceAddress": M{"v6Prefix": 128}}))),
		"believed":  limits(limit("believed", 1, key(M{"sourceAddress": true}))),
		"networks":  limits(limit("networks", 1, key(M{"sourceAddress": M{"v4Prefix": 24, "v6Prefix": 64}}))),
		"forwarded": limits(limit("forwarded", 1, key(M{"forwardedAddress": M{"trustedHops": 1}}))),
		"prefixes": limits(limit("prefixes", 1,
			key(M{"forwardedAddress": M{"trustedHops": 1, "v4Prefix": 24, "v6Prefix": 48}}))),
		"zones":         limits(limit("zones", 1, key(M{"sourceAddress": M{"v6Prefix": 128}}))),
		"appended":      limits(limit("appended", 1, key(M{"forwardedAddress": M{"trustedHops": 2}}))),
		"header":        limits(limit("header", 1, key(M{"header": "x-key"}))),
		"host":          limits(limit("host", 1, key(M{"host": true}))),
		"method":        limits(limit("method", 1, key(M{"method": true}))),
		"path-template": limits(limit("path-template", 1, key(M{"pathTemplate": true}), M{"match": paths})),
		"path-variable": limits(limit("path-variable", 1, key(M{"pathVariable": "id"}), M{"match": paths})),
		"constant":      limits(limit("constant", 1, key(M{"constant": "a"})), limit("other", 9, key(M{"constant": "a"}))),
		"parts":         limits(limit("parts", 1, key(M{"header": "x-a"}, M{"header": "x-b"}))),
		"everything":    limits(limit("everything", 1)),
		"claim":         limits(limit("claim", 1, key(M{"claim": []string{"tenant"}}))),
		"tiers": limits(limit("tiers", 1, key(M{"claim": []string{"sub"}}),
			M{"tiers": M{"claim": []string{"plan"},
				"values": M{"gold": M{"requests": 3, "per": "1h"}, "7": M{"requests": 2, "per": "1h"}}}})),
	}
	h := func(pairs ...string) (headers [][2]string) {
		for i := 0; i < len(pairs); i += 2 {
			headers = append(headers, [2]string{pairs[i], pairs[i+1]})
		}
		return headers
	}
	xff := func(values ...string) (headers [][2]string) {
		for _, v := range values {
			headers = append(headers, [2]string{"X-Forwarded-For", v})
		}
		return headers
	}
	get := func(path string, headers ...[2]string) string { return harness.Request("GET", path, headers...) }
	const (
		fresh = "fresh" // a bucket of its own
		used  = "used"  // somebody's before it
		none  = "none"  // the limit does not apply
	)
	long := strings.Repeat("k", 8000)
	rows := func() [][4]string { // listener, name, request, bucket
		return [][4]string{
			{"source", "an address", from("192.0.2.1") + get("/"), fresh},
			{"source", "R10 the same from another port", "PROXY TCP4 192.0.2.1 127.0.0.1 815 80\r\n" + get("/"), used},
			{"source", "R10 the same, in IPv6", from("::ffff:192.0.2.1") + get("/"), used},
			{"source", "R8 another that says it were the first", from("192.0.2.2") + get("/", xff("192.0.2.1")...), fresh},
			{"source", "R8 one that says it were another", from("192.0.2.1") + get("/", xff("192.0.2.77")...), used},
			{"source", "R10 the same, behind NAT64", from("64:ff9b::192.0.2.1") + get("/"), used},
			{"source", "another behind NAT64", from("64:ff9b::192.0.2.3") + get("/"), fresh},
			{"source", "an IPv6 address", from("2001:db8::1") + get("/"), fresh},
			{"source", "R10 the same, in another form", from("2001:0DB8:0:0:0:0:0:1") + get("/"), used},
			{"source", "R10 another of the same /64, all of which one host may have", from("2001:db8::2") + get("/"), used},
			{"source", "one of another /64", from("2001:db8:0:1::1") + get("/"), fresh},
			{"source", "this machine", "PROXY UNKNOWN\r\n" + get("/"), fresh},
			{"source", "this machine by its address", from("127.0.0.1") + get("/"), used},
			{"zones", "an address that is good on a link only", get("/", xff("fe80::1%4")...), fresh},
			{"zones", "R10 the same on another link", get("/", xff("fe80::1%5")...), used},
			{"zones", "R10 the same without a link", get("/", xff("fe80::1")...), used},
			{"zones", "another", get("/", xff("fe80::2%4")...), fresh},
			{"hosts", "an IPv6 address", from("2001:db8::1") + get("/"), fresh},
			{"hosts", "the next one", from("2001:db8::2") + get("/"), fresh},
			// Where Envoy is not told that it is an edge (use_remote_address), it takes the last of
			// x-forwarded-for for the source of a request, whoever wrote it, and so does everything
			// behind it.
			{"believed", "an address", from("192.0.2.1") + get("/"), fresh},
			{"believed", "R8 the same, with another that the proxy in front should have written",
				from("192.0.2.1") + get("/", xff("192.0.2.9")...), fresh},
			{"believed", "R8 and made up in front of that", from("192.0.2.2") + get("/", xff("6.6.6.6, 192.0.2.9")...), used},
			{"networks", "an IPv6 address", from("2001:db8:0:1::1") + get("/"), fresh},
			{"networks", "R10 one of the same /64", from("2001:db8:0:1:ffff:ffff:ffff:ffff") + get("/"), used},
			{"networks", "one of the next /64", from("2001:db8:0:2::1") + get("/"), fresh},
			{"networks", "an IPv4 address", from("198.51.100.1") + get("/"), fresh},
			{"networks", "one of the same /24", from("198.51.100.255") + get("/"), used},
			{"networks", "R10 one of the same /24, in IPv6", from("::ffff:198.51.100.9") + get("/"), used},
			{"networks", "one of the next /24", from("198.51.101.1") + get("/"), fresh},

			{"forwarded", "an address", get("/", xff("192.0.2.1")...), fresh},
			{"forwarded", "R8 with something made up in front", get("/", xff("6.6.6.6, 192.0.2.1")...), used},
			{"forwarded", "R8 with something made up in a header of its own", get("/", xff("6.6.6.7", "192.0.2.1")...), used},
			{"forwarded", "R8 with garbage in front", get("/", xff("unknown,,;,  192.0.2.1 ")...), used},
			{"forwarded", "R10 with a port", get("/", xff("192.0.2.1:1234")...), used},
			{"forwarded", "R10 in IPv6", get("/", xff("::FFFF:192.0.2.1")...), used},
			{"forwarded", "an IPv6 address", get("/", xff("2001:db8::1")...), fresh},
			{"forwarded", "R10 the same, in another form and with a port", get("/", xff("[2001:DB8:0:0::0001]:443")...), used},
			{"forwarded", "the one in front", get("/", xff("6.6.6.6")...), fresh},
			{"forwarded", "R10 one behind NAT64", get("/", xff("64:ff9b::c000:201")...), used},
			{"forwarded", "R8 no address", get("/", xff("192.0.2.1, unknown")...), fresh},
			{"forwarded", "R8 the same", get("/", xff("192.0.2.1, unknown")...), used},
			{"forwarded", "R8 a port without brackets", get("/", xff("2001:db8::1:44321")...), used},
			{"forwarded", "R8 a zone", get("/", xff("fe80::1%eth0")...), used},
			{"forwarded", "R8 a name", get("/", xff("_hidden")...), used},
			{"forwarded", "R8 nothing in that place", get("/", xff("192.0.2.1,")...), used},
			{"forwarded", "R8 an empty header", get("/", xff("")...), used},
			{"prefixes", "an address", get("/", xff("192.0.2.1")...), fresh},
			{"prefixes", "R10 another of its network", get("/", xff("192.0.2.200:80")...), used},
			{"prefixes", "one of another network", get("/", xff("192.0.3.1")...), fresh},
			{"prefixes", "an IPv6 address", get("/", xff("2001:db8:1:2::1")...), fresh},
			{"prefixes", "R10 another of its network", get("/", xff("[2001:db8:1:ffff::1]:80")...), used},
			{"prefixes", "one of another network", get("/", xff("2001:db8:2::1")...), fresh},
			{"forwarded", "no header", get("/"), none},
			// Envoy appends whom it has the connection from (use_remote_address), so the second
			// from the right is what the proxy before it says.
			{"appended", "an address", get("/", xff("192.0.2.1")...), fresh},
			{"appended", "R8 with something made up in front", get("/", xff("6.6.6.6, 192.0.2.1")...), used},
			{"appended", "another", get("/", xff("192.0.2.1, 192.0.2.2")...), fresh},
			{"appended", "none", get("/"), none},

			{"header", "a value", get("/", h("x-key", "a")...), fresh},
			{"header", "the same, the name in another case", get("/", h("X-KEY", " a ")...), used},
			{"header", "R10 in another case", get("/", h("x-key", "A")...), fresh},
			{"header", "R9 a long one", get("/", h("x-key", long)...), fresh},
			{"header", "R9 another that begins like it", get("/", h("x-key", long+"k")...), fresh},
			{"header", "R9 the long one again", get("/", h("x-key", long)...), used},
			{"header", "R8 two of them", get("/", h("x-key", "b", "x-key", "c")...), fresh},
			{"header", "R8 another two", get("/", h("x-key", "d", "x-key", "e")...), used},
			{"header", "R8 an empty one", get("/", h("x-key", "")...), used},
			{"header", "R10 one with the same text as two", get("/", h("x-key", "b,c")...), fresh},
			{"header", "none", get("/"), none},

			{"host", "a host", get("/"), fresh},
			{"host", "P6 in another case, with a port and a dot", get("/", h("Host", "API.Example.:80")...), used},
			{"host", "another", get("/", h("Host", "b.example")...), fresh},
			{"method", "GET", get("/"), fresh},
			{"method", "GET of something else", get("/b"), used},
			{"method", "DELETE", harness.Request("DELETE", "/"), fresh},
			{"path-template", "an order", get("/orders/7"), fresh},
			{"path-template", "another order", get("/orders/8?x=1"), used},
			{"path-template", "an item", get("/items/7"), fresh},
			{"path-template", "of an order", get("/orders/7/lines"), fresh},
			{"path-template", "nothing that fits", get("/orders"), none},
			{"path-variable", "an order", get("/orders/7"), fresh},
			{"path-variable", "R10 the same, escaped", get("/orders/%37"), used},
			{"path-variable", "its lines", get("/orders/7/lines"), used},
			{"path-variable", "another order", get("/orders/8"), fresh},
			{"constant", "anybody", get("/", h("x-key", "a")...), fresh},
			{"constant", "anybody else", get("/b", h("x-key", "b")...), used},
			{"everything", "anybody", get("/", h("x-key", "a")...), fresh},
			{"everything", "anybody else", get("/b", h("x-key", "b")...), used},

			{"parts", "ab and c", get("/", h("x-a", "ab", "x-b", "c")...), fresh},
			{"parts", "R10 a and bc", get("/", h("x-a", "a", "x-b", "bc")...), fresh},
			{"parts", "R10 c and ab", get("/", h("x-a", "c", "x-b", "ab")...), fresh},
			{"parts", "R10 a bar in the first", get("/", h("x-a", "a|b", "x-b", "c")...), fresh},
			{"parts", "R10 a bar in the second", get("/", h("x-a", "a", "x-b", "b|c")...), fresh},
			// Envoy itself takes no control characters
			{"parts", "R10 the bytes that stand between parts", get("/", h("x-a", "ah\x02bc", "x-b", "d")...), "400"},
			{"parts", "ab and c again", get("/", h("x-b", "c", "x-a", "ab")...), used},
			{"parts", "only one of two", get("/", h("x-a", "ab")...), none},

			{"claim", "a claim", get("/", bearer(M{"tenant": "1"})), fresh},
			{"claim", "the same of somebody else", get("/", bearer(M{"tenant": "1", "sub": "bob"})), used},
			{"claim", "R10 a number that looks like it", get("/", bearer(M{"tenant": 1})), fresh},
			{"claim", "R10 a bool", get("/", bearer(M{"tenant": true})), fresh},
			{"claim", "R10 a string that looks like it", get("/", bearer(M{"tenant": "true"})), fresh},
			{"claim", "R10 a list of one is that one", get("/", bearer(M{"tenant": []string{"1"}})), used},
			{"claim", "R10 the number in another spelling", get("/", bearer(M{"tenant": json.RawMessage("1.0")})), used},
			{"claim", "a list", get("/", bearer(M{"tenant": []string{"dev", "ops"}})), fresh},
			{"claim", "R10 the list in another order, with one twice",
				get("/", bearer(M{"tenant": []string{"ops", "dev", "ops"}})), used},
			{"claim", "a part of the list", get("/", bearer(M{"tenant": []string{"dev"}})), fresh},
			{"claim", "null", get("/", bearer(M{"tenant": nil})), none},
			{"claim", "an object", get("/", bearer(M{"tenant": M{"id": "1"}})), fresh},
			{"claim", "an empty list", get("/", bearer(M{"tenant": []string{}})), used},
			{"claim", "an empty claim", get("/", bearer(M{"tenant": ""})), used},
			{"claim", "a list of lists", get("/", bearer(M{"tenant": [][]string{{"1"}}})), used},
			{"claim", "no claim", get("/", bearer(nil)), none},
			{"claim", "R8 no token, and headers that say who it is",
				get("/", h("x-jwt-payload", "eyJ0ZW5hbnQiOiIxIn0", "wasm.tollgate.identity", `{"tenant":"1"}`)...), none},
			{"tiers", "in no tier", get("/", bearer(M{"sub": "ann"})), fresh},
			{"tiers", "in no tier, again", get("/", bearer(M{"sub": "ann", "plan": "silver"})), used},
			{"tiers", "in no tier, the tier's name in another case", get("/", bearer(M{"sub": "ann", "plan": "Gold"})), used},
			{"tiers", "in a tier", get("/", bearer(M{"sub": "bob", "plan": "gold"})), "2 of 3"},
			{"tiers", "in a tier, again", get("/", bearer(M{"sub": "bob", "plan": "gold"})), "1 of 3"},
			{"tiers", "in a tier, the last", get("/", bearer(M{"sub": "bob", "plan": "gold"})), "0 of 3"},
			{"tiers", "in a tier, one too many", get("/", bearer(M{"sub": "bob", "plan": "gold"})), "over 3"},
			{"tiers", "another in that tier", get("/", bearer(M{"sub": "eve", "plan": "gold"})), "2 of 3"},
			{"tiers", "R10 the first tier of the configuration that is in a list",
				get("/", bearer(M{"sub": "kim", "plan": []any{"silver", "gold", 7.0}})), "1 of 2"},
			{"tiers", "a tier by a number", get("/", bearer(M{"sub": "joe", "plan": 7})), "1 of 2"},
		}
	}
	harness.Each(t, func(t *testing.T, version string) {
		up, root := harness.StartUpstream(t), harness.NewAuthority(t)
		var listeners []M
		for name, config := range configs {
			filters, fields := []M{limiter(t, config).Filter()}, M{}
			switch name {
			case "claim", "tiers":
				filters = append([]M{tokens(t, "optional")}, filters...)
			case "appended", "source", "networks":
				fields["use_remote_address"] = true
			}
			l := bootstrap.Listener(name, 0, filters, bootstrap.To("upstream"), fields)
			if slices.Contains([]string{"source", "networks", "hosts", "believed"}, name) {
				proxied(l)
			}
			listeners = append(listeners, l)
		}
		peers := limiter(t, limits(limit("peer", 1, key(M{"peer": true}))))
		listeners = append(listeners,
			root.Issue("").Listen(bootstrap.Listener("peer", 0, []M{peers.Filter()}, bootstrap.To("upstream"), nil)))
		envoy := harness.Start(t,
			harness.Config{Version: version, Listeners: listeners,
				Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		for _, r := range rows() {
			listener, name, bucket := r[0], r[0]+": "+r[1], r[3]
			counts := map[string]uint64{}
			added := envoy.Change(func() {
				m := harness.HTTP1(t, envoy.Address(listener), r[2])
				reached := 1
				switch bucket {
				case "400":
					if m.Status() != 400 || m.Header("content-type") == "application/problem+json" {
						t.Errorf("%s: %+v", name, m)
					}
					reached = 0
				case none:
					wantAnswer(t, name, m, "")
					wantStandard(t, name, m)
					counts = counted("-:ok")
				case used, "over 3":
					quota := 1
					if bucket != used {
						quota = 3
					}
					wantAnswer(t, name, m, "rate_limited")
					wantStandard(t, name, m, about{listener, quota, 0, 3600})
					if !within(m.Header("retry-after"), 3600/quota) {
						t.Errorf("%s: retry after %q", name, m.Header("retry-after"))
					}
					counts, reached = counted(listener+":rate_limited"), 0
				default:
					if bucket == fresh {
						bucket = "0 of 1"
					}
					leaves, quota, _ := strings.Cut(bucket, " of ")
					says := []about{{listener, number(quota), number(leaves), 3600 * (number(quota) - number(leaves)) / number(quota)}}
					counts = counted(listener + ":ok")
					if listener == "constant" { // the same part of another limit's key is another bucket
						says = append(says, about{"other", 9, 8, 400})
						counts = counted(listener+":ok", "other:ok")
					}
					wantAnswer(t, name, m, "")
					wantStandard(t, name, m, says...)
				}
				if n := len(up.Take()); n != reached {
					t.Errorf("%s: %d requests have reached the upstream", name, n)
				}
			})
			for counter := range added {
				if strings.HasPrefix(counter, "jwt_scope.rule.anyone.outcome.allowed.") {
					delete(added, counter)
				}
			}
			wantChange(t, name, added, counts)
		}

		ann, bob := root.Issue("spiffe://shop.example/ns/a/sa/ann"), root.Issue("spiffe://shop.example/ns/a/sa/bob")
		again := root.Issue("spiffe://shop.example/ns/a/sa/ann")
		for _, c := range []struct {
			name        string
			certificate *harness.Certificate
			status      int
			counts      string
		}{
			{"a peer", ann, 200, "peer:ok"},
			{"the same peer", ann, 429, "peer:rate_limited"},
			{"the same peer with a new certificate", again, 429, "peer:rate_limited"},
			{"another peer", bob, 200, "peer:ok"},
			{"a peer without an ID", root.Issue(""), 200, "-:ok"},
			{"a client without certificate", nil, 200, "-:ok"},
		} {
			wantChange(t, c.name, envoy.Change(func() {
				request, err := http.NewRequest("GET", "https://"+envoy.Address("peer")+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				// R8: what clients say about themselves
				request.Header.Set("x-forwarded-client-cert", "By=x;URI=spiffe://shop.example/ns/a/sa/nobody-yet")
				answer, err := root.Client(c.certificate).Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				if _, err := io.Copy(io.Discard, answer.Body); err != nil {
					t.Fatal(err)
				}
				if answer.StatusCode != c.status {
					t.Errorf("%s: %s", c.name, answer.Status)
				}
			}), counted(c.counts))
		}
	})
}
