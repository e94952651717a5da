// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var (
	perClient = config("per-client", nil, limit("per-client", 50, "24h"))
	tiers     = config("tiers", nil,
		limit("per-user", 2, "24h",
			M{"key": []M{{"claim": []string{"sub"}}},
				"tiers": M{"claim": []string{"plan"},
					"values": M{"gold": M{"requests": 5, "per": "24h"}, "a b_c": M{"requests": 3, "per": "1h"}}}}))
	several = config("several", nil, limit("a", 5, "24h", by("x-a")), limit("b", 3, "24h", by("x-b")),
		limit("shadow", 1, "24h", by("x-b"), M{"mode": "shadow"}))
	costs    = config("costs", nil, limit("costly", 10, "24h", M{"cost": M{"header": "x-cost", "default": 1, "max": 5}}))
	refusals = M{"global": config("refusals", nil)["global"], "limits": []M{limit("both", 2, "24h")}, "headers": "both"}
	hashed   = config("hashed", nil, limit("hashed", 5, "24h", headerAndAddress))
	plain    = config("plain", M{"plainKeys": true}, limit("plain", 5, "24h", headerAndAddress))

	headerAndAddress = M{"key": []M{{"header": "x-client"}, {"sourceAddress": M{}}}}
)

func by(header string) M { return M{"key": []M{{"header": header}}} }

// R19: four workers of two proxies let through as many as the limit says, to the unit, however the
// requests come; R12: and refuse the rest with 429.
func (w *world) twoProxies(t *testing.T) {
	const most, requests = 50, 120
	within(t, day, time.Minute)
	var statuses [600]atomic.Int32
	got := harness.Change(w.proxies[:2], func() {
		var all sync.WaitGroup
		for i := range 8 {
			conn := w.dial(t, i%2, "per-client")
			all.Go(func() {
				for range requests / 8 {
					conn.Send(get(client("two" + w.version)))
					statuses[conn.Receive().Status()].Add(1)
				}
			})
		}
		all.Wait()
	})
	if ok, refused := statuses[200].Load(), statuses[429].Load(); ok != most || refused != requests-most {
		t.Errorf("%d admitted, %d refused", ok, refused)
	}
	calls := got[answered]
	delete(got, answered) // refusals cost a call or are remembered
	wantCounts(t, "120 requests", got,
		map[string]uint64{outcome("per-client", "allowed", "ok"): most,
			outcome("per-client", "denied", "rate_limited"): requests - most})
	if calls < most || calls > requests {
		t.Errorf("%d calls", calls)
	}
}

var idp = mint.New("k", jose.ES256)

// tokens is jwt-scope's configuration in front of tiers.
func tokens() string {
	return text(M{"providers": []M{{"name": "idp", "issuer": "https://idp", "audiences": []string{"shop"},
		"algorithms": []string{"ES256"}, "jwks": M{"inline": mint.Set(idp)}}},
		"rules": []M{{"name": "open", "match": []M{{"paths": []string{"/open"}}}, "access": "public"}, {"name": "all"}}})
}

// Who is in a tier has its rate and its own count; the claims are those that jwt-scope has verified.
func (w *world) tiers(t *testing.T) {
	within(t, time.Hour, time.Minute)
	conn := w.dial(t, 0, "tiers")
	for _, row := range []struct {
		sub, plan string
		most      int
		policy    string
	}{
		{"ann@example.com", "gold", 5, `"per-user";q=5;w=86400`}, {"bob@example.com", "", 2, `"per-user";q=2;w=86400`},
		{"ann@example.com", "silver", 2, `"per-user";q=2;w=86400`},
		{"cleo@example.com", "a b_c", 3, `"per-user";q=3;w=3600`},
	} {
		claims := map[string]any{"iss": "https://idp", "aud": "shop", "sub": w.version + row.sub,
			"exp": time.Now().Unix() + 300}
		if row.plan != "" {
			claims["plan"] = row.plan
		}
		token := [2]string{"authorization", "Bearer " + idp.Token(claims)}
		for i := range row.most + 2 {
			m := conn.Do(get(token))
			want, left := "200", row.most-1-i
			if left < 0 {
				want, left = "429 rate_limited", 0
			}
			if verdictOf(m) != want || m.Header("ratelimit-policy") != row.policy ||
				!strings.HasPrefix(m.Header("ratelimit"), fmt.Sprintf(`"per-user";r=%d;t=`, left)) {
				t.Errorf("%s %s, request %d: %+v", row.sub, row.plan, i, m)
			}
		}
	}
	got := harness.Change(w.proxies[:1], func() {
		// Without a token there is no key, and onMissingKey is skip; a bad one does not come that far.
		if m := conn.Do(harness.Request("GET", "/open")); m.Status() != 200 || m.Header("ratelimit") != "" {
			t.Errorf("without a key: %+v", m)
		}
		if m := conn.Do(get([2]string{"authorization", "Bearer x"})); m.Status() != 401 {
			t.Errorf("a bad token: %+v", m)
		}
	})
	if got[answered]+got[failed] != 0 {
		t.Errorf("they cost calls: %v", got)
	}
}

// Limits that fit the same request are asked for in one call; what one refuses has been counted for the others by then.
func (w *world) severalLimits(t *testing.T) {
	within(t, day, time.Minute)
	conn := w.dial(t, 0, "several")
	one, other := [2]string{"x-a", "one" + w.version}, [2]string{"x-b", "other" + w.version}
	left := regexp.MustCompile(`^"a";r=(\d);t=\d+, "b";r=(\d);t=\d+$`)
	got := harness.Change(w.proxies[:1], func() {
		for i, want := range []string{"4 2", "3 1", "2 0", "1 0"} {
			m := conn.Do(get(one, other))
			parts := left.FindStringSubmatch(m.Header("ratelimit"))
			status := 200
			if i == 3 {
				status = 429
			}
			if m.Status() != status || parts == nil || parts[1]+" "+parts[2] != want ||
				m.Header("ratelimit-policy") != `"a";q=5;w=86400, "b";q=3;w=86400` {
				t.Errorf("request %d: %+v, want %s", i, m, want)
			}
		}
	})
	// The limit that leaves the least decides: b. The one in shadow mode was over from the second request on.
	wantCounts(t, "four requests", got, map[string]uint64{
		answered: 4, outcome("b", "allowed", "ok"): 3, outcome("a", "allowed", "ok"): 3, outcome("b", "denied",
			"rate_limited"): 1,
		outcome("shadow", "allowed", "ok"): 1, outcome("shadow", "would_deny", "rate_limited"): 3,
	})
	if m := conn.Do(get(one)); m.Status() != 200 || !strings.HasPrefix(m.Header("ratelimit"), `"a";r=0;`) {
		t.Errorf("what b refused did not count for a: %+v", m)
	}
}

// R7: a cost is as many hits of the service, at most max; what is refused has been counted by it,
// so that nothing is left for less.
func (w *world) costs(t *testing.T) {
	within(t, day, time.Minute)
	conn := w.dial(t, 0, "costs")
	for i, row := range []struct {
		cost, want, left string
	}{
		{"4", "200", "6"}, {"", "200", "5"}, {"99999999999999999999999", "200", "0"}, {"1", "429 rate_limited", "0"},
	} {
		headers := [][2]string{client("costs" + w.version)}
		if row.cost != "" {
			headers = append(headers, [2]string{"x-cost", row.cost})
		}
		if m := conn.Do(get(headers...)); verdictOf(m) != row.want ||
			!strings.HasPrefix(m.Header("ratelimit"), `"costly";r=`+row.left+`;t=`) {
			t.Errorf("request %d: %+v, want %s", i, m, row.want)
		}
	}
	for i, row := range []struct{ cost, want string }{{"5", "200"}, {"4", "200"}, {"2", "429 rate_limited"},
		{"1", "429 rate_limited"}} {
		if m := conn.Do(get(client("part"+w.version), [2]string{"x-cost", row.cost})); verdictOf(m) != row.want {
			t.Errorf("in part, request %d: %+v, want %s", i, m, row.want)
		}
	}
}

// R12 R18: a refusal to the byte, in both kinds of headers and for gRPC. Only a limit that is
// reached is 429, and it says until when.
func (w *world) refusals(t *testing.T) {
	within(t, day, time.Minute)
	// seconds holds a header's number against the end of the day; the service and the filter both
	// round up, so that it is one more at most, and the clock goes on meanwhile.
	seconds := func(value string, before time.Time) {
		t.Helper()
		left := func(now time.Time) int { return int(86400 - now.Unix()%86400) }
		if n, err := strconv.Atoi(value); err != nil || n > left(before)+1 || n < left(time.Now()) {
			t.Errorf("%q seconds are left, want %d to %d", value, left(time.Now()), left(before)+1)
		}
	}
	conn := w.dial(t, 0, "refusals")
	for i := range 5 {
		before := time.Now()
		m := conn.Do(get(client("refused" + w.version)))
		left := max(1-i, 0)
		parts := regexp.MustCompile(`^"both";r=(\d+);t=(\d+)$`).FindStringSubmatch(m.Header("ratelimit"))
		if parts == nil || parts[1] != strconv.Itoa(left) || m.Header("x-ratelimit-limit") != "2" ||
			m.Header("x-ratelimit-remaining") != strconv.Itoa(left) || m.Header("ratelimit-policy") != `"both";q=2;w=86400` {
			t.Fatalf("request %d: %+v", i, m)
		}
		seconds(parts[2], before)
		seconds(m.Header("x-ratelimit-reset"), before)
		if i < 2 {
			if m.Status() != 200 || m.Header("retry-after") != "" {
				t.Errorf("request %d: %+v", i, m)
			}
			continue
		}
		seconds(m.Header("retry-after"), before)
		if m.Start != "HTTP/1.1 429 Too Many Requests" || m.Header("content-type") != "application/problem+json" ||
			m.Body != `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",`+
				`"status":429,"code":"rate_limited","violated-policies":["both"]}` {
			t.Errorf("request %d: %+v", i, m)
		}
		for _, name := range []string{"ratelimit", "ratelimit-policy", "retry-after", "x-ratelimit-limit",
			"x-ratelimit-remaining", "x-ratelimit-reset"} {
			if len(m.Values(name)) != 1 {
				t.Errorf("request %d has %s %d times", i, name, len(m.Values(name)))
			}
		}
	}
	before := time.Now()
	g := harness.GRPC(t, w.proxies[0].Address("refusals"), "/shop.Orders/List", client("refused"+w.version))
	if g.Status() != 200 || g.Header("grpc-status") != "8" || g.Header("grpc-message") != "rate_limited" || g.Body != "" {
		t.Errorf("gRPC: %+v", g)
	}
	seconds(g.Header("retry-after"), before)
}

// What Redis and the service learn of who sends requests is a hash, unless plainKeys is on.
func (w *world) keysInRedis(t *testing.T) {
	within(t, day, time.Minute)
	for _, c := range []string{"hashed", "plain"} {
		if m := w.dial(t, 0, c).Do(get(client("ann@example.com"))); m.Status() != 200 {
			t.Fatalf("%+v", m)
		}
	}
	midnight := strconv.FormatInt(time.Now().Unix()/86400*86400, 10)
	hash := regexp.MustCompile(`^hashed_limit_hashed_key_[A-Za-z0-9_-]{22}_` + midnight + `$`)
	var found int
	for _, k := range w.redis.Keys() {
		switch {
		case strings.HasPrefix(k, "plain_"):
			if found++; k != "plain_limit_plain_key_h:ann@example.com|a:127.0.0.1_"+midnight {
				t.Errorf("with plainKeys Redis holds %q", k)
			}
			continue
		case strings.HasPrefix(k, "hashed_"):
			if found++; !hash.MatchString(k) {
				t.Errorf("Redis holds %q", k)
			}
		}
		if strings.Contains(k, "ann") || strings.Contains(k, "example") || strings.Contains(k, "127.0.0") {
			t.Errorf("Redis can read %q", k)
		}
	}
	if found != 2 {
		t.Errorf("Redis holds %q", w.redis.Keys())
	}
}
