// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

var good = ratelimit.AppendRequest(nil,
	&ratelimit.Request{Domain: "tollgate", Descriptors: []ratelimit.Descriptor{descriptor("yearly", "a")}})

// refused makes a call that the service must answer with an error, as gRPC's servers do: by headers only.
func refused(t *testing.T, client *http.Client, s *harness.RateLimit, body []byte, code ratelimit.StatusError,
	message string) {
	t.Helper()
	a, err := send(client, s, body, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.parse()
	if err != code || !errors.Is(err, ratelimit.ErrStatus) || len(r.Statuses) != 0 || len(a.trailers) != 0 ||
		len(a.body) != 0 || !strings.Contains(a.find("grpc-message"), message) {
		t.Errorf("%v; the answer: %+v; want grpc-status %d with %q", err, a, code, message)
	}
}

func remaining(t *testing.T, client *http.Client, s *harness.RateLimit, key string, hits ratelimit.Hits) uint32 {
	t.Helper()
	d := descriptor("yearly", key)
	d.Hits = hits
	return ask(t, client, s, d).Statuses[0].Remaining
}

func TestWhatTheServiceRefuses(t *testing.T) {
	_, s := start(t)
	client := newClient(t)
	call := func(r ratelimit.Request) []byte { return ratelimit.AppendRequest(nil, &r) }
	tests := []struct {
		name    string
		body    []byte
		code    ratelimit.StatusError
		message string
	}{
		{"no domain", call(ratelimit.Request{Descriptors: []ratelimit.Descriptor{descriptor("yearly", "a")}}), 2,
			"rate limit domain must not be empty"},
		{"no descriptors", call(ratelimit.Request{Domain: "tollgate"}), 2, "rate limit descriptor list must not be empty"},
		{"text that is not UTF-8, as AppendRequest never writes it", []byte("\x00\x00\x00\x00\x03\x0a\x01\xff"), 13,
			"invalid UTF-8"},
		{"no protobuf", []byte("\x00\x00\x00\x00\x03\x0a\x09\xff"), 13, "error unmarshalling request"},
		{"a message that ends early", good[:len(good)-1], 2, "unexpected EOF"},
		{"a message that is said to be compressed", append([]byte{1}, good[1:]...), 13, "compressed flag set"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refused(t, client, s, test.body, test.code, test.message) })
	}
	// A domain that is not configured is no fault: it has no limits.
	a, err := send(client, s,
		call(ratelimit.Request{Domain: "other", Descriptors: []ratelimit.Descriptor{descriptor("yearly", "a")}}),
		5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.parse(); err != nil || len(r.Statuses) != 1 || r.Code != ratelimit.OK || r.Statuses[0].HasLimit {
		t.Errorf("%+v, %v", r, err)
	}
}

// Without Redis every call is answered at once, with grpc-status 2 (UNKNOWN). When Redis is back,
// each of the service's ten connections still fails once: the first answer is not the end of the
// errors.
func TestRedisStopped(t *testing.T) {
	redis, s := start(t)
	client := newClient(t)
	if n := remaining(t, client, s, "a", ratelimit.Hits{}); n != 9 {
		t.Fatal(n)
	}
	redis.Stop()
	for range 3 {
		refused(t, client, s, good, 2, "")
	}
	redis.Restart()
	// The connections are used in turn or not: twenty good answers in a row show that it is over but for stragglers.
	failed, inARow := 0, 0
	for deadline := time.Now().Add(30 * time.Second); inARow < 20; {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls have failed since Redis is back, and %d in a row have not", failed, inARow)
		}
		a, err := send(client, s, good, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		switch _, err := a.parse(); {
		case err == nil:
			inARow++
		case errors.Is(err, ratelimit.ErrStatus):
			failed, inARow = failed+1, 0
			time.Sleep(50 * time.Millisecond)
		default:
			t.Fatal(err)
		}
	}
	t.Logf("%d calls have failed after Redis was back", failed)
	// What a dead connection was used for has not been counted.
	for range 10 {
		a, err := send(client, s,
			ratelimit.AppendRequest(nil,
				&ratelimit.Request{Domain: "tollgate", Descriptors: []ratelimit.Descriptor{descriptor("yearly", "b")}}),
			5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.parse()
		if errors.Is(err, ratelimit.ErrStatus) {
			continue
		}
		if err != nil || len(r.Statuses) != 1 || r.Statuses[0].Remaining != 9 {
			t.Errorf("%+v, %v", r, err)
		}
		return
	}
	t.Error("each connection fails more than once")
}

// A Redis that hangs: the service ends the stream (RST_STREAM, CANCEL) when the time in
// grpc-timeout is over, without an answer; and the hits of the call are counted all the same, as
// soon as Redis goes on.
func TestRedisFrozen(t *testing.T) {
	redis, s := start(t)
	client := newClient(t)
	if n := remaining(t, client, s, "a", ratelimit.Hits{}); n != 9 {
		t.Fatal(n)
	}
	redis.Freeze()
	const timeout = 300 * time.Millisecond
	began := time.Now()
	a, err := send(client, s, good, timeout)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "CANCEL") || took < timeout ||
		took > 8*timeout {
		t.Errorf("after %v: %+v, %v", took, a, err)
	}
	redis.Thaw()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if n := remaining(t, client, s, "a", ratelimit.HitsOf(0)); n == 8 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the call without an answer was never counted")
		}
	}
}

func TestServiceStopped(t *testing.T) {
	_, s := start(t)
	client := newClient(t)
	if n := remaining(t, client, s, "a", ratelimit.Hits{}); n != 9 {
		t.Fatal(n)
	}
	port := s.Port()
	s.Stop()
	if a, err := send(client, s, good, 5*time.Second); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%+v, %v", a, err)
	}
	s.Restart()
	if n := remaining(t, client, s, "a", ratelimit.Hits{}); n != 8 || s.Port() != port {
		t.Errorf("after its return %d are left, on port %d", n, s.Port())
	}
	s.Freeze()
	if a, err := send(client, s, good, 50*time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("a service that hangs answers %+v, %v", a, err)
	}
	s.Thaw()
	if n := remaining(t, client, s, "b", ratelimit.Hits{}); n != 9 {
		t.Errorf("%d left", n)
	}
}

func TestRunRefused(t *testing.T) {
	redis := harness.StartRedis(t)
	run := func(config, want string) {
		t.Helper()
		began := time.Now()
		s, err := backends.RunRateLimit(map[string]string{"a": config}, redis.Address(), backends.Options{Dir: t.TempDir()})
		if err == nil {
			s.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) || time.Since(began) > 20*time.Second {
			t.Errorf("after %v: %v; want %q", time.Since(began), err, want)
		}
	}
	run("domain: a\ndescriptors: [{key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}]\n",
		"invalid rate limit unit 'fortnight'")
	run("domain: a\ndescriptors: [{key: a, rate_limit: {unit: hour, requests_per_unit: 1, burst: 2}}]\n",
		"unknown key 'burst'")
	if answer, err := redis.Do("NOSUCH"); err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("%v, %v", answer, err)
	}
	redis.Stop()
	if answer, err := redis.Do("PING"); err == nil {
		t.Errorf("a stopped Redis answers %v", answer)
	}
	run(config, "connection refused")
}
