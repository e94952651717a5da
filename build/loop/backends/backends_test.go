// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// The windows of the service are aligned to the clock, so a test may begin in one and end in the
// next. A year's does not end within a test (but once in 365 days): where counts are asserted to
// the unit, the limit is per year.
const config = `
domain: tollgate
descriptors:
- {key: once, rate_limit: {unit: hour, requests_per_unit: 1}}
- {key: yearly, rate_limit: {name: per-year, unit: year, requests_per_unit: 10}}
- {key: shadow, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 1}}
- {key: unlimited, rate_limit: {unlimited: true}}
- {key: zero, rate_limit: {unit: year, requests_per_unit: 0}}
- {key: second, rate_limit: {unit: second, requests_per_unit: 1000}}
- {key: minute, rate_limit: {unit: minute, requests_per_unit: 1000}}
- {key: hour, rate_limit: {unit: hour, requests_per_unit: 1000}}
- {key: day, rate_limit: {unit: day, requests_per_unit: 1000}}
- {key: week, rate_limit: {unit: week, requests_per_unit: 1000}}
- {key: month, rate_limit: {unit: month, requests_per_unit: 1000}}
- {key: year, rate_limit: {unit: year, requests_per_unit: 1000}}
- key: limit
  value: per-user
  descriptors:
  - key: key
    rate_limit: {unit: year, requests_per_unit: 10}
    descriptors:
    - {key: tier, value: gold, rate_limit: {unit: year, requests_per_unit: 20}}
`

func start(t *testing.T) (*harness.Redis, *harness.RateLimit) {
	t.Helper()
	redis := harness.StartRedis(t)
	return redis, harness.StartRateLimit(t, redis, map[string]string{"tollgate": config})
}

func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answer is one as a filter gets it.
type answer struct {
	body              []byte
	headers, trailers [][2]string
}

func (a answer) parse() (ratelimit.Response, error) {
	return ratelimit.ParseResponse(a.body, a.headers, a.trailers)
}

func (a answer) find(name string) string {
	for _, p := range slices.Concat(a.headers, a.trailers) {
		if p[0] == name {
			return p[1]
		}
	}
	return ""
}

// send makes a call with headers of ours and any body. The client itself waits ten times as long as
// the service is told to.
func send(client *http.Client, s *harness.RateLimit, body []byte, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range ratelimit.AppendHeaders(nil, "ratelimit", timeout) {
		switch name, value := h[0], h[1]; name {
		case ":method":
			req.Method = value
		case ":path":
			req.URL.Path = value
		case ":authority":
			req.Host = value
		default:
			req.Header.Set(name, value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{headers: append(pairs(resp.Header), [2]string{":status", resp.Status[:3]})}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	a.trailers = pairs(resp.Trailer)
	return a, nil
}

func pairs(h http.Header) [][2]string {
	var p [][2]string
	for name, values := range h {
		for _, v := range values {
			p = append(p, [2]string{strings.ToLower(name), v})
		}
	}
	return p
}

func descriptor(entries ...string) ratelimit.Descriptor {
	var d ratelimit.Descriptor
	for i := 0; i < len(entries); i += 2 {
		d.Entries = append(d.Entries, ratelimit.Entry{Key: entries[i], Value: entries[i+1]})
	}
	return d
}

// ask makes a call that must be answered.
func ask(t *testing.T, client *http.Client, s *harness.RateLimit,
	descriptors ...ratelimit.Descriptor) ratelimit.Response {
	t.Helper()
	a, err := send(client, s,
		ratelimit.AppendRequest(nil, &ratelimit.Request{Domain: "tollgate", Descriptors: descriptors}), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.parse()
	if err != nil || len(r.Statuses) != len(descriptors) {
		t.Fatalf("%+v, %v; the answer: %+v", r, err, a)
	}
	return r
}

func TestCounts(t *testing.T) {
	redis, s := start(t)
	client := newClient(t)

	t.Run("one hit an hour is taken once", func(t *testing.T) {
		if r := ask(t, client, s, descriptor("once", "a")); r.Code != ratelimit.OK ||
			r.Statuses[0].Code != ratelimit.OK || r.Statuses[0].Remaining != 0 {
			t.Fatalf("%+v", r)
		}
		refused := false
		for range 2 { // the hour may end between any two of the three
			r := ask(t, client, s, descriptor("once", "a"))
			refused = refused || r.Code == ratelimit.OverLimit && r.Statuses[0].Code == ratelimit.OverLimit &&
				r.Statuses[0].Remaining == 0
		}
		if !refused {
			t.Error("three hits within two hours were all taken")
		}
	})

	t.Run("what an answer tells, and what Redis holds", func(t *testing.T) {
		r := ask(t, client, s, descriptor("yearly", "a"))
		got := r.Statuses[0]
		if got.Reset <= 0 || got.Reset > 365*24*time.Hour || got.Reset%time.Second != 0 {
			t.Errorf("the window ends in %v", got.Reset)
		}
		got.Reset = 0
		want := ratelimit.Status{Code: ratelimit.OK, HasLimit: true,
			Limit: ratelimit.Limit{Name: "per-year", Requests: 10, Unit: ratelimit.Year, Multiplier: 1}, Remaining: 9,
			HasReset: true}
		if r.Code != ratelimit.OK || got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if keys := redis.Keys(); !slices.ContainsFunc(keys,
			func(k string) bool { return strings.HasPrefix(k, "tollgate_yearly_a_") }) || len(keys) != redis.DBSize() {
			t.Errorf("Redis holds %q", keys)
		}
	})

	t.Run("no limit is no limit", func(t *testing.T) {
		before := redis.DBSize()
		for name, d := range map[string]ratelimit.Descriptor{
			"a key that is not configured":           descriptor("nobody", "a"),
			"fewer entries than are configured":      descriptor("limit", "per-user"),
			"more entries than are configured":       descriptor("yearly", "a", "more", "b"),
			"a value that is not configured":         descriptor("limit", "per-address", "key", "a"),
			"a further entry that is not configured": descriptor("limit", "per-user", "key", "a", "tier", "silver"),
			"the entries in another order":           descriptor("key", "a", "limit", "per-user"),
			"a descriptor without entries":           {},
			"an entry whose key and value are empty": descriptor("", ""),
		} {
			if r := ask(t, client, s, d); r.Code != ratelimit.OK || r.Statuses[0] != (ratelimit.Status{Code: ratelimit.OK}) {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if r := ask(t, client, s, descriptor("unlimited", "a")); r.Statuses[0] != (ratelimit.Status{Code: ratelimit.OK,
			Remaining: 1<<32 - 1}) {
			t.Errorf("unlimited: %+v", r)
		}
		if after := redis.DBSize(); after != before {
			t.Errorf("Redis has %d keys, before %d", after, before)
		}
	})

	t.Run("the tightest of several decides, and all are counted", func(t *testing.T) {
		r := ask(t, client, s, descriptor("yearly", "b"), descriptor("nobody", "b"), descriptor("zero", "b"),
			descriptor("limit", "per-user", "key", "b", "tier", "gold"))
		var codes []ratelimit.Code
		var remaining []uint32
		for _, s := range r.Statuses {
			codes, remaining = append(codes, s.Code), append(remaining, s.Remaining)
		}
		if r.Code != ratelimit.OverLimit || !slices.Equal(codes, []ratelimit.Code{1, 1, 2, 1}) ||
			!slices.Equal(remaining, []uint32{9, 0, 0, 19}) {
			t.Errorf("%+v", r)
		}
		if r := ask(t, client, s, descriptor("yearly", "b")); r.Statuses[0].Remaining != 8 {
			t.Errorf("a refused call did not count for its other limits: %+v", r)
		}
	})

	t.Run("a limit in shadow mode is never over, and has nothing left", func(t *testing.T) {
		for _, want := range []uint32{0, 0, 0} {
			if r := ask(t, client, s, descriptor("shadow", "a")); r.Code != ratelimit.OK ||
				r.Statuses[0].Code != ratelimit.OK || r.Statuses[0].Remaining != want || !r.Statuses[0].HasLimit {
				t.Errorf("%+v", r)
			}
		}
	})

	t.Run("hits", func(t *testing.T) {
		hits := func(request uint32, own ...ratelimit.Hits) ratelimit.Response {
			t.Helper()
			r := ratelimit.Request{Domain: "tollgate", Hits: request}
			for i, h := range own {
				d := descriptor("yearly", "hits-"+string(rune('a'+i)))
				d.Hits = h
				r.Descriptors = append(r.Descriptors, d)
			}
			a, err := send(client, s, ratelimit.AppendRequest(nil, &r), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := a.parse()
			if err != nil || len(answer.Statuses) != len(own) {
				t.Fatalf("%+v, %v", answer, err)
			}
			return answer
		}
		var none ratelimit.Hits
		remaining := func(r ratelimit.Response, want ...uint32) {
			t.Helper()
			for i, s := range r.Statuses {
				if s.Remaining != want[i] {
					t.Errorf("%d has %d left, want %d: %+v", i, s.Remaining, want[i], r)
				}
			}
		}
		remaining(hits(3, none, ratelimit.HitsOf(5), ratelimit.HitsOf(0)), 7, 5, 10)
		remaining(hits(0, none, ratelimit.HitsOf(0), ratelimit.HitsOf(10)), 6, 5, 0)
		// Taken in part is not taken; but it is counted, and the rest of the limit is gone.
		if r := hits(1, none, ratelimit.HitsOf(6), ratelimit.HitsOf(0)); r.Code != ratelimit.OverLimit ||
			r.Statuses[1].Code != ratelimit.OverLimit || r.Statuses[2].Code != ratelimit.OK {
			t.Errorf("%+v", r)
		}
		if r := hits(1, none, ratelimit.HitsOf(1)); r.Statuses[1].Code != ratelimit.OverLimit {
			t.Errorf("what was refused was not counted: %+v", r)
		}
		// To ask with no hits whether one is over tells that it is.
		if r := hits(1, none, ratelimit.HitsOf(0)); r.Statuses[1].Code != ratelimit.OverLimit {
			t.Errorf("%+v", r)
		}
	})

	t.Run("keys that are no text count as one", func(t *testing.T) {
		if a, b := ask(t, client, s, descriptor("yearly", "\xff")), ask(t, client, s,
			descriptor("yearly", "\xfe\xfd")); a.Statuses[0].Remaining != 9 || b.Statuses[0].Remaining != 8 {
			t.Errorf("%+v, %+v", a, b)
		}
	})
}

func TestUnits(t *testing.T) {
	_, s := start(t)
	client := newClient(t)
	for name, unit := range map[string]ratelimit.Unit{
		"second": ratelimit.Second, "minute": ratelimit.Minute, "hour": ratelimit.Hour, "day": ratelimit.Day,
		"week": ratelimit.Week, "month": ratelimit.Month, "year": ratelimit.Year,
	} {
		r := ask(t, client, s, descriptor(name, "a"))
		got := r.Statuses[0]
		// The first hit of a key is the first of its window, whenever that began.
		if got.Limit.Unit != unit || got.Limit.Requests != 1000 || got.Remaining != 999 || got.Reset <= 0 ||
			got.Reset > time.Duration(unit.Seconds())*time.Second {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
