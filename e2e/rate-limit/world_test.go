// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

type M = bootstrap.M

const (
	issuer  = "https://idp.example/realms/shop"
	created = "wasm.envoy.wasm.runtime.v8.created"
)

var idp = mint.New("idp", jose.ES256)

func text(config M) string {
	b, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// with is a configuration with other members.
func with(config M, more ...M) M {
	config = maps.Clone(config)
	for _, m := range more {
		maps.Copy(config, m)
	}
	return config
}

// limit of so many requests in an hour, which no test waits for. Buckets go by the limit's name, so
// each test of an Envoy has names of its own.
func limit(name string, requests int, more ...M) M {
	return with(M{"name": name, "rate": M{"requests": requests, "per": "1h"}}, more...)
}

func limits(list ...M) M { return M{"limits": list} }

func limiter(t testing.TB, config M) bootstrap.Wasm {
	t.Helper()
	return bootstrap.Wasm{Name: "rate-limit", Module: harness.Module(t, "rate-limit"), Configuration: text(config)}
}

// tokens is jwt-scope: whoever has a token has to have a good one.
func tokens(t testing.TB, access string) M {
	t.Helper()
	return harness.Filter(t, "jwt-scope", text(M{
		"providers": []M{{"name": "idp", "issuer": issuer, "audiences": []string{"shop"},
			"jwks": M{"inline": mint.Set(idp)}}},
		"rules": []M{{"name": "anyone", "access": access}},
	}))
}

func claims(more M) M {
	return with(M{"iss": issuer, "aud": "shop", "exp": time.Now().Unix() + 300}, more)
}

// bearer of a good token.
func bearer(more M) [2]string { return [2]string{"authorization", "Bearer " + idp.Token(claims(more))} }

// proxied has a listener take the addresses that proxied requests begin with.
func proxied(listener M) M {
	listener["listener_filters"] =
		[]M{bootstrap.Filter("envoy.filters.listener.proxy_protocol",
			"extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", nil)}
	return listener
}

// from is what a connection from an address begins with (PROXY protocol, version 1).
func from(address string) string {
	if strings.Contains(address, ":") {
		return "PROXY TCP6 " + address + " ::1 4711 80\r\n"
	}
	return "PROXY TCP4 " + address + " 127.0.0.1 4711 80\r\n"
}

// spread has a listener give each worker the same number of connections.
func spread(listener M) M {
	listener["connection_balance_config"] = M{"exact_balance": M{}}
	return listener
}

// wantWorkers fails where not all workers have had connections.
func wantWorkers(t testing.TB, envoy *harness.Envoy, workers int) {
	t.Helper()
	for w := range workers {
		if envoy.Counter(fmt.Sprintf("listener.127.0.0.1_0.worker_%d.downstream_cx_total", w)) == 0 {
			t.Errorf("worker %d of %d has had no connection", w, workers)
		}
	}
}

// counted are counters by a short form: "name:code", with ~ in front where shadow mode lets the
// request go on, and ^ where it is marked.
func counted(short ...string) map[string]uint64 {
	counters := map[string]uint64{}
	for _, s := range short {
		outcome := "denied"
		s, shadow := strings.CutPrefix(s, "~")
		s, marked := strings.CutPrefix(s, "^")
		name, code, _ := strings.Cut(s, ":")
		switch {
		case code == "ok":
			outcome = "allowed"
		case shadow:
			outcome = "would_deny"
		case marked:
			outcome = "marked"
		}
		counters["rate_limit.rule."+name+".outcome."+outcome+".code."+code]++
	}
	return counters
}

func wantChange(t testing.TB, what string, got, want map[string]uint64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: counted %v, want %v", what, got, want)
	}
}

var titles = map[string]struct {
	status int
	title  string
}{"rate_limited": {429, "Too Many Requests"}, "key_missing": {403, "Forbidden"}, "path_ambiguous": {400, "Bad Request"}}

// overQuota is the body of what is over a limit.
var overQuota = regexp.MustCompile(`^{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
	`"title":"Too Many Requests","status":429,"code":"rate_limited","violated-policies":\["[a-z0-9-]+"\]}$`)

// wantAnswer holds an answer against what the upstream says, or the refusal with that code.
func wantAnswer(t testing.TB, what string, m *harness.Message, code string) {
	t.Helper()
	if code == "" {
		if m.Status() != 200 || m.Header("retry-after") != "" {
			t.Errorf("%s: %s %s %v", what, m.Start, m.Body, m.Headers)
		}
		return
	}
	want := titles[code]
	if code == "rate_limited" {
		if m.Status() != 429 || !overQuota.MatchString(m.Body) || m.Header("content-type") != "application/problem+json" {
			t.Errorf("%s: %s %s %v, want %s", what, m.Start, m.Body, m.Headers, code)
		}
		return
	}
	if m.Status() != want.status || m.Body != fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q}`,
		want.title, want.status, code) || m.Header("content-type") != "application/problem+json" {
		t.Errorf("%s: %s %s %v, want %s", what, m.Start, m.Body, m.Headers, code)
	}
}

// about is what an answer says of one limit. reset is when all is there again, in seconds, if
// nothing has come back since the test began.
type about struct {
	limit       string
	quota       int
	left, reset int
}

// slow is for how many seconds a test may have taken from a limit before it looks.
const slow = 60

var (
	left  = regexp.MustCompile(`^"([a-z0-9-]+)";r=(\d+);t=(\d+)$`) // R18: no sign
	quota = regexp.MustCompile(`^"([a-z0-9-]+)";q=(\d+);w=3600$`)
)

// wantStandard holds RateLimit and RateLimit-Policy against what they should say; nothing: they are not there.
func wantStandard(t testing.TB, what string, m *harness.Message, want ...about) {
	t.Helper()
	items, policies := m.Values("ratelimit"), m.Values("ratelimit-policy")
	if len(want) == 0 {
		if len(items)+len(policies) > 0 {
			t.Errorf("%s: RateLimit %q, RateLimit-Policy %q", what, items, policies)
		}
		return
	}
	items, policies = strings.Split(strings.Join(items, ", "), ", "), strings.Split(strings.Join(policies, ", "), ", ")
	if len(items) != len(want) || len(policies) != len(want) {
		t.Errorf("%s: RateLimit %q, RateLimit-Policy %q, want %v", what, items, policies, want)
		return
	}
	for i, w := range want {
		item, policy := left.FindStringSubmatch(items[i]), quota.FindStringSubmatch(policies[i])
		if item == nil || policy == nil || item[1] != w.limit || policy[1] != w.limit || number(item[2]) != w.left ||
			number(policy[2]) != w.quota || !within(item[3], w.reset) {
			t.Errorf("%s: RateLimit %q, RateLimit-Policy %q, want %+v", what, items[i], policies[i], w)
		}
	}
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}

// within reports whether a number of seconds is what it was when the test began, or less by no more
// than the test may take.
func within(digits string, seconds int) bool {
	n := number(digits)
	return n <= seconds && n >= seconds-slow
}
