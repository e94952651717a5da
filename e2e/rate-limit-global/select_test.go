// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// What the service itself makes of long windows, of limits that requests bring along, and of what its
// configuration has as unlimited, or not at all.
func TestWindowsAndOverrides(t *testing.T) {
	windows := map[string]time.Duration{"7d": 7 * day, "30d": 30 * day, "365d": 365 * day}
	var long []M
	for per := range windows {
		long = append(long, limit("per-"+per, 2, per,
			M{"match": []M{{"paths": []string{"/" + per}}}}))
	}
	byClaim := limit("brought", 1, "30d", M{"key": []M{{"claim": []string{"sub"}}},
		"rate": M{"requests": M{"claim": []string{"quota"}, "default": 1, "max": 4}, "per": "30d"}})
	marked := limit("marked", 1, "1d", M{"onExceeded": M{"mark": M{"header": "x-over-limit"}}})
	configs := []M{config("long", nil, long...), config("brought", nil, byClaim), config("marked", nil, marked),
		config("free", nil, limit("free", 1, "1d")), config("lacking", nil, limit("lacking", 1, "1d"))}
	files := map[string]string{}
	for _, c := range configs {
		yaml, err := descriptors.Write([]byte(text(c)))
		if err != nil {
			t.Fatal(err)
		}
		files[domain(c)] = string(yaml)
	}
	files["free"] = "domain: free\ndescriptors:\n- {key: limit, value: free, descriptors: [{key: key, rate_limit: " +
		"{unlimited: true}}]}\n"
	files["lacking"] = "domain: lacking\ndescriptors: [{key: limit, value: other}]\n"
	redis := harness.StartRedis(t)
	service := harness.StartRateLimit(t, redis, files)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		listeners := []M{bootstrap.Listener("marked", 0, []M{harness.Filter(t, "rate-limit", text(configs[2]))},
			bootstrap.To("upstream"), nil),
			listener(t, configs[1], harness.Filter(t, "jwt-scope", tokens()))}
		for _, i := range []int{0, 3, 4} {
			listeners = append(listeners, listener(t, configs[i]))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners,
			Clusters: []M{bootstrap.Cluster("ratelimit", service.Port(), true),
				bootstrap.Cluster("upstream", up.Port(), false)}})
		ask := func(domain, path string, headers ...[2]string) *harness.Message {
			return harness.HTTP1(t, envoy.Address(domain), harness.Request("GET", path, headers...))
		}
		who := client("of " + version)
		for per, window := range windows {
			for i, want := range []int{200, 200, 429} {
				m := ask("long", "/"+per, who)
				seconds := int(window / time.Second)
				if policy := fmt.Sprintf(`"per-%s";q=2;w=%d`, per, seconds); m.Status() != want || m.Header("ratelimit-policy") != policy {
					t.Errorf("request %d of %s: %s %s", i, per, m.Start, m.Header("ratelimit-policy"))
				}
				if i < 2 {
					continue
				}
				// The windows are multiples of their length since 1970.
				after, err := strconv.Atoi(m.Header("retry-after"))
				ends := seconds - int(time.Now().Unix())%seconds
				if err != nil || after < ends-2 || after > ends+60 {
					t.Errorf("%s: retry after %s, and the window ends in %d", per, m.Header("retry-after"), ends)
				}
			}
		}

		for i, row := range []struct {
			quota  any
			policy string
			status int
		}{
			{2, `"brought";q=2;w=2592000`, 200}, {2.0, `"brought";q=2;w=2592000`, 200}, {2, `"brought";q=2;w=2592000`, 429},
			{3, `"brought";q=3;w=2592000`, 429}, {9, `"brought";q=4;w=2592000`, 429}, {nil, `"brought";q=1;w=2592000`, 429},
		} {
			m := ask("brought", "/", [2]string{"authorization", "Bearer " + idp.Token(M{"iss": "https://idp", "aud": "shop",
				"exp": time.Now().Unix() + 300, "sub": "ann of " + version, "quota": row.quota})})
			if m.Status() != row.status || m.Header("ratelimit-policy") != row.policy {
				t.Errorf("R25 a limit that is brought, request %d: %s %s, want %d %s", i, m.Start, m.Header("ratelimit-policy"),
					row.status, row.policy)
			}
		}

		for i := range 3 {
			if m := ask("free", "/", who); m.Status() != 200 || m.Header("ratelimit") != "" {
				t.Errorf("unlimited, request %d: %s %v", i, m.Start, m.Headers)
			}
		}
		if m := ask("lacking", "/", who); m.Status() != 503 {
			t.Errorf("R29 a limit that the service does not have: %s", m.Start)
		}

		for i, want := range []string{"", "marked", "marked"} {
			m := ask("marked", "/", who, [2]string{"x_over_limit", "no"}, [2]string{"x-over-limit", "no"})
			got := up.Take()
			if m.Status() != 200 || len(got) != 1 || got[0].Header("x-over-limit") != want ||
				got[0].Header("x_over_limit") != "" {
				t.Errorf("R22 a mark, request %d: %s %+v", i, m.Start, got)
			}
		}
		counters := envoy.Tollgate()
		if n := counters["rate_limit.rule.marked.outcome.marked.code.rate_limited"]; n != 2 {
			t.Errorf("%d counted as marked", n)
		}
	})
}
