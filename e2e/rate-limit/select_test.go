// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Which requests limits are for, how much they let through, and what becomes of what is over them.
func TestSelection(t *testing.T) {
	sub, key := []string{"sub"}, func(parts ...M) M { return M{"key": parts} }
	group := M{"group": "g"}
	mark := func(header string) M { return M{"onExceeded": M{"mark": M{"header": header}}} }
	quota := M{"claim": []string{"quota"}, "default": 2, "max": 50}
	configs := map[string]M{
		"anonymous": limits(limit("known", 5, key(M{"claim": sub})),
			limit("nobody", 2, key(M{"sourceAddress": true}), M{"claims": []M{{"path": sub, "exists": false}}})),
		"bulk": limits(limit("large", 100, group, M{"match": []M{{"paths": []string{"/bulk"}}}}), limit("general", 2, group)),
		"trial": limits(limit("tried", 100, group, M{"mode": "shadow"}), limit("named", 1, group, key(M{"header": "x-key"})),
			limit("unnamed", 2, group)),
		"exempt": limits(limit("exempt", 1, M{"except": []M{{"paths": []string{"/healthz"}, "methods": []string{"GET"}},
			{"sources": []string{"10.0.0.0/8", "2001:db8::/32"}}}})),
		"inside": with(limits(limit("inside", 1, M{"match": []M{{"sources": []string{"10.0.0.0/8"}}}})),
			M{"sourcesFrom": M{"forwardedAddress": M{"trustedHops": 1}}}),
		"staff": limits(limit("staff", 1, key(M{"claim": sub}),
			M{"tiers": M{"claim": []string{"plan"}, "values": M{"staff": "unlimited"}}})),
		"all": limits(limit("all", 0, M{"rate": "unlimited"})),
		"month": limits(limit("month", 0, M{"rate": M{"requests": 1, "per": "30d"}}), limit("week", 0,
			M{"rate": M{"requests": 9, "per": "7d"}})),
		"number": limits(limit("number", 0, key(M{"claim": sub}), M{"rate": M{"requests": quota, "per": "1h"}})),
		"query":  limits(limit("query", 1, key(M{"query": "api_key"}))),
		"cookie": limits(limit("cookie", 1, key(M{"cookie": "session"}))),
		"tiers": limits(limit("tiers", 1, key(M{"constant": "a"}),
			M{"tiers": M{"header": "x-plan", "values": M{"gold": M{"requests": 3, "per": "1h"}}}})),
		"mark": limits(limit("soft", 1, mark("x-over-limit")), limit("softer", 2, mark("x-over-limit")),
			limit("hard", 4, mark("x-other"), key(M{"header": "x-key"})), limit("last", 5), limit("dark", 1, mark("x-dark"),
				M{"mode": "shadow"})),
		"strict": limits(limit("strict", 1, mark("x-over-limit"), key(M{"header": "x-key"}), M{"onMissingKey": "deny"})),
	}
	get := func(path string, headers ...[2]string) string { return harness.Request("GET", path, headers...) }
	ann := func(more M) [2]string { return bearer(with(M{"sub": "ann"}, more)) }
	forged := [2]string{"authorization", "Bearer " + strings.Repeat("x", 20)}
	h := func(name, value string) [2]string { return [2]string{name, value} }
	type row struct {
		listener, name, request, code string
		says                          []about
		counts                        []string
		marks                         []string // that reach the upstream
	}
	rows := func() []row {
		return []row{
			{"anonymous", "nobody", from("192.0.2.1") + get("/"), "", []about{{"nobody", 2, 1, 1800}}, []string{"nobody:ok"},
				nil},
			{"anonymous", "nobody again", from("192.0.2.1") + get("/"), "", []about{{"nobody", 2, 0, 3600}},
				[]string{"nobody:ok"}, nil},
			{"anonymous", "nobody, one too many", from("192.0.2.1") + get("/"), "rate_limited", []about{{"nobody", 2, 0, 3600}},
				[]string{"nobody:rate_limited"}, nil},
			{"anonymous", "a user from there", from("192.0.2.1") + get("/", ann(nil)), "", []about{{"known", 5, 4, 720}},
				[]string{"known:ok"}, nil},
			{"anonymous", "nobody from elsewhere", from("192.0.2.2") + get("/"), "", []about{{"nobody", 2, 1, 1800}},
				[]string{"nobody:ok"}, nil},

			{"bulk", "the general limit", get("/"), "", []about{{"general", 2, 1, 1800}}, []string{"general:ok"}, nil},
			{"bulk", "the larger one in place of it", get("/bulk"), "", []about{{"large", 100, 99, 36}}, []string{"large:ok"},
				nil},
			{"bulk", "what the larger one counts is not counted by the other", get("/"), "", []about{{"general", 2, 0, 3600}},
				[]string{"general:ok"}, nil},
			{"bulk", "over the general one", get("/"), "rate_limited", []about{{"general", 2, 0, 3600}},
				[]string{"general:rate_limited"}, nil},
			{"bulk", "and not over the larger one", get("/bulk"), "", []about{{"large", 100, 98, 72}}, []string{"large:ok"},
				nil},
			{"trial", "R23 a limit on trial beside one of its group", get("/"), "", []about{{"unnamed", 2, 1, 1800}},
				[]string{"unnamed:ok", "tried:ok"}, nil},
			{"trial", "R23 the first whose key is there", get("/", h("x-key", "a")), "", []about{{"named", 1, 0, 3600}},
				[]string{"named:ok", "tried:ok"}, nil},
			{"trial", "R23 an unreadable key is not a missing one", get("/", h("x-key", "")), "", []about{{"named", 1, 0, 3600}},
				[]string{"named:ok", "tried:ok"}, nil},

			{"exempt", "somebody", from("192.0.2.1") + get("/"), "", []about{{"exempt", 1, 0, 3600}}, []string{"exempt:ok"},
				nil},
			{"exempt", "everybody else", from("192.0.2.2") + get("/"), "rate_limited", []about{{"exempt", 1, 0, 3600}},
				[]string{"exempt:rate_limited"}, nil},
			{"exempt", "a probe", from("192.0.2.1") + get("/healthz"), "", nil, []string{"-:ok"}, nil},
			{"exempt", "R27 what could be a probe", from("192.0.2.1") + get("/healthz;x"), "path_ambiguous", nil,
				[]string{"-:path_ambiguous"}, nil},
			{"exempt", "from within", from("10.255.0.1") + get("/"), "", nil, []string{"-:ok"}, nil},
			{"exempt", "R21 from within, in IPv6", from("::ffff:10.0.0.1") + get("/"), "", nil, []string{"-:ok"}, nil},
			{"exempt", "from within, in IPv6", from("2001:db8:1::1") + get("/"), "", nil, []string{"-:ok"}, nil},
			{"exempt", "R21 from without, and says it were within", from("192.0.2.1") + get("/", h("x-forwarded-for",
				"10.0.0.1")),
				"rate_limited", []about{{"exempt", 1, 0, 3600}}, []string{"exempt:rate_limited"}, nil},
			{"inside", "from without", get("/", h("x-forwarded-for", "10.0.0.1, 192.0.2.1")), "", nil, []string{"-:ok"}, nil},
			{"inside", "from within", get("/", h("x-forwarded-for", "192.0.2.1, 10.0.0.1")), "", []about{{"inside", 1, 0, 3600}},
				[]string{"inside:ok"}, nil},
			{"inside", "R21 from nowhere", get("/"), "rate_limited", []about{{"inside", 1, 0, 3600}},
				[]string{"inside:rate_limited"}, nil},
			{"inside", "R21 from what is no address", get("/", h("x-forwarded-for", "unknown")), "rate_limited",
				[]about{{"inside", 1, 0, 3600}}, []string{"inside:rate_limited"}, nil},

			{"staff", "unlimited", get("/", ann(M{"plan": "staff"})), "", nil, []string{"staff:ok"}, nil},
			{"staff", "unlimited, again", get("/", ann(M{"plan": "staff"})), "", nil, []string{"staff:ok"}, nil},
			{"staff", "limited", get("/", ann(nil)), "", []about{{"staff", 1, 0, 3600}}, []string{"staff:ok"}, nil},
			{"staff", "over it", get("/", ann(nil)), "rate_limited", []about{{"staff", 1, 0, 3600}},
				[]string{"staff:rate_limited"}, nil},
			{"all", "unlimited for all", get("/"), "", nil, []string{"all:ok"}, nil},

			{"number", "of the token", get("/", ann(M{"quota": 3})), "", []about{{"number", 3, 2, 1200}}, []string{"number:ok"},
				nil},
			{"number", "R25 of another token for the same bucket", get("/", ann(M{"quota": json.RawMessage("6.0e0")})), "",
				[]about{{"number", 6, 3, 1800}}, []string{"number:ok"}, nil},
			{"number", "R25 more than there may be", get("/", bearer(M{"sub": "bob", "quota": 1e30})), "", []about{{"number",
				50, 49, 72}},
				[]string{"number:ok"}, nil},
			{"number", "R25 a text", get("/", bearer(M{"sub": "eve", "quota": "50"})), "", []about{{"number", 2, 1, 1800}},
				[]string{"number:ok"}, nil},
			{"number", "R25 less than nothing", get("/", bearer(M{"sub": "eve", "quota": -50})), "", []about{{"number", 2, 0,
				3600}},
				[]string{"number:ok"}, nil},
			{"number", "R25 a fraction", get("/", bearer(M{"sub": "eve", "quota": 2.5})), "rate_limited", []about{{"number", 2,
				0, 3600}},
				[]string{"number:rate_limited"}, nil},
			{"number", "nobody", get("/"), "", nil, []string{"-:ok"}, nil},

			{"query", "a parameter", get("/?api_key=A"), "", []about{{"query", 1, 0, 3600}}, []string{"query:ok"}, nil},
			{"query", "R26 in other spellings", get("/x?a&api%5Fkey=%41"), "rate_limited", []about{{"query", 1, 0, 3600}},
				[]string{"query:rate_limited"}, nil},
			{"query", "another", get("/?api_key=B"), "", []about{{"query", 1, 0, 3600}}, []string{"query:ok"}, nil},
			{"query", "R26 two", get("/?api_key=C&api_key=D"), "", []about{{"query", 1, 0, 3600}}, []string{"query:ok"}, nil},
			{"query", "R26 badly encoded", get("/?api_key=%zz"), "rate_limited", []about{{"query", 1, 0, 3600}},
				[]string{"query:rate_limited"}, nil},
			{"query", "none", get("/?api-key=A"), "", nil, []string{"-:ok"}, nil},
			{"cookie", "a cookie", get("/", h("Cookie", "a=b; session=1")), "", []about{{"cookie", 1, 0, 3600}},
				[]string{"cookie:ok"}, nil},
			{"cookie", "R26 the same in quotation marks", get("/", h("Cookie", `session="1"`)), "rate_limited",
				[]about{{"cookie", 1, 0, 3600}}, []string{"cookie:rate_limited"}, nil},
			{"cookie", "R26 two", get("/", h("Cookie", "session=2"), h("Cookie", "session=3")), "", []about{{"cookie", 1, 0,
				3600}},
				[]string{"cookie:ok"}, nil},
			{"cookie", "none", get("/", h("Cookie", "sessions=1")), "", nil, []string{"-:ok"}, nil},
			{"tiers", "a tier", get("/", h("X-Plan", "gold")), "", []about{{"tiers", 3, 2, 1200}}, []string{"tiers:ok"}, nil},
			{"tiers", "R28 a tier twice", get("/", h("X-Plan", "gold"), h("X-Plan", "gold")), "", []about{{"tiers", 1, 0, 3600}},
				[]string{"tiers:ok"}, nil},
			{"tiers", "another tier", get("/", h("X-Plan", "Gold")), "rate_limited", []about{{"tiers", 1, 0, 3600}},
				[]string{"tiers:rate_limited"}, nil},

			{"mark", "R22 within all, and says it were not", get("/", h("x-over-limit", "no"), h("x_over_limit", "no"),
				h("X-Other", "no"),
				h("x_dark", "no")), "", []about{{"soft", 1, 0, 3600}, {"softer", 2, 1, 1800}, {"last", 5, 4, 720}},
				[]string{"soft:ok", "softer:ok", "last:ok", "dark:ok"}, nil},
			{"mark", "over one", get("/", h("x-over-limit", "no")), "", []about{{"soft", 1, 0, 3600}, {"softer", 2, 0, 3600},
				{"last", 5, 3, 1440}},
				[]string{"^soft:rate_limited", "softer:ok", "last:ok", "~dark:rate_limited"}, []string{"x-over-limit: soft"}},
			{"mark", "over two", get("/"), "", []about{{"soft", 1, 0, 3600}, {"softer", 2, 0, 3600}, {"last", 5, 2, 2160}},
				[]string{"^soft:rate_limited", "^softer:rate_limited", "last:ok", "~dark:rate_limited"},
				[]string{"x-over-limit: soft, softer"}},
			{"mark", "R22 an ambiguous path", get("//", h("x-over-limit", "no")), "path_ambiguous", nil,
				[]string{"-:path_ambiguous"}, nil},
			{"strict", "R30 no key", get("/"), "key_missing", nil, []string{"strict:key_missing"}, nil},
			{"strict", "a key", get("/", h("x-key", "a")), "", []about{{"strict", 1, 0, 3600}}, []string{"strict:ok"}, nil},
			{"strict", "over the limit", get("/", h("x-key", "a")), "", []about{{"strict", 1, 0, 3600}},
				[]string{"^strict:rate_limited"}, []string{"x-over-limit: strict"}},
		}
	}
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		var listeners []M
		for name, config := range configs {
			filters, fields := []M{limiter(t, config).Filter()}, M{}
			switch name {
			case "anonymous", "staff", "number":
				filters = append([]M{tokens(t, "optional")}, filters...)
			}
			if name == "anonymous" || name == "exempt" {
				fields["use_remote_address"] = true
			}
			l := bootstrap.Listener(name, 0, filters, bootstrap.To("upstream"), fields)
			if name == "anonymous" || name == "exempt" {
				proxied(l)
			}
			listeners = append(listeners, l)
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners,
			Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)}})
		for _, r := range rows() {
			name := r.listener + ": " + r.name
			added := envoy.Change(func() {
				m := harness.HTTP1(t, envoy.Address(r.listener), r.request)
				wantAnswer(t, name, m, r.code)
				wantStandard(t, name, m, r.says...)
			})
			for counter := range added {
				if strings.HasPrefix(counter, "jwt_scope.") {
					delete(added, counter)
				}
			}
			wantChange(t, name, added, counted(r.counts...))
			got := up.Take()
			if (r.code == "") != (len(got) == 1) {
				t.Errorf("%s: the upstream has %+v", name, got)
				continue
			}
			var marks []string
			for _, m := range got {
				for _, h := range m.Headers {
					switch folded := strings.ReplaceAll(strings.ToLower(h[0]), "_", "-"); folded {
					case "x-over-limit", "x-other", "x-dark":
						marks = append(marks, h[0]+": "+h[1])
					}
				}
			}
			if !slices.Equal(marks, r.marks) {
				t.Errorf("%s: the upstream has the marks %q, want %q", name, marks, r.marks)
			}
		}

		// Once and no more in a month, whatever the week says.
		for i, want := range []int{200, 429} {
			m := harness.HTTP1(t, envoy.Address("month"), get("/"))
			if policy := m.Header("ratelimit-policy"); m.Status() != want || policy != `"month";q=1;w=2592000, "week";q=9;w=604800` &&
				i == 0 {
				t.Errorf("request %d in a month: %s %s", i, m.Start, policy)
			}
			if after := number(m.Header("retry-after")); i == 1 && (after > 2592000 || after < 2592000-slow) {
				t.Errorf("retry after %d", after)
			}
		}
		if m := harness.HTTP1(t, envoy.Address("staff"), get("/", forged)); m.Status() != 401 {
			t.Errorf("R17 a forged token: %s", m.Start)
		}
	})
}
