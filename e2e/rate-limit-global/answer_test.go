// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// answering are limits that are settled by answers: by what they say that they have cost, and by their status.
var answering = config("answering", nil,
	limit("tokens", 1000, "24h", M{"match": []M{{"paths": []string{"/tokens/{n}"}}}, "cost": M{"response": M{
		"json": []string{"usage", "total_tokens"}, "reserve": 100, "default": 50, "max": 5000}}}),
	limit("guesses", 3, "24h", M{"match": []M{{"paths": []string{"/login/{status}"}}},
		"counts": M{"status": []string{"401"}}}))

// answeringListener answers /tokens/N with that cost, and /login/S with that status.
func answeringListener(t testing.TB) M {
	routes := []M{}
	for _, n := range []int{0, 10, 100, 640} {
		routes = append(routes, M{"match": M{"path": fmt.Sprintf("/tokens/%d", n)}, "direct_response": M{"status": 200,
			"body": M{"inline_string": fmt.Sprintf(`{"usage":{"total_tokens":%d}}`, n)}}})
	}
	for _, s := range []int{200, 401} {
		routes = append(routes, M{"match": M{"path": fmt.Sprintf("/login/%d", s)}, "direct_response": M{"status": s}})
	}
	return bootstrap.Listener(domain(answering), 0, []M{harness.Filter(t, "rate-limit", text(answering))}, routes, nil)
}

// answers: what answers have cost counts for all proxies, as soon as the service has been told. What was
// reserved too much stays spent, since the service gives nothing back.
func (w *world) answers(t *testing.T) {
	ask := func(proxy int, path, who string) *harness.Message {
		t.Helper()
		conn := w.dial(t, proxy, domain(answering))
		defer conn.Close()
		return conn.Do(harness.Request("GET", path, client(who+w.version)))
	}
	// calls are those that the service has answered, for all that a proxy has asked and told.
	calls := func(proxy int) uint64 { return w.proxies[proxy].Tollgate()[answered] }
	told := func(proxy int, more uint64, do func()) {
		t.Helper()
		before := calls(proxy)
		do()
		if err := w.proxies[proxy].Await(func() bool { return calls(proxy) >= before+more }, 10*time.Second); err != nil {
			t.Fatalf("%d calls of %d: %v", calls(proxy)-before, more, err)
		}
		if got := calls(proxy) - before; got != more {
			t.Errorf("%d calls, want %d", got, more)
		}
	}
	left := func(m *harness.Message, want int) {
		t.Helper()
		if !strings.HasPrefix(m.Header("ratelimit"), fmt.Sprintf(`"tokens";r=%d;`, want)) {
			t.Errorf("%s %s, want %d left", m.Start, m.Header("ratelimit"), want)
		}
	}
	told(0, 2, func() { left(ask(0, "/tokens/640", "ann"), 900) })
	told(1, 1, func() { left(ask(1, "/tokens/10", "ann"), 1000-640-100) })  // 90 are not given back
	told(2, 2, func() { left(ask(2, "/tokens/640", "ann"), 1000-640-200) }) // and 480 more than there are
	if m := ask(3, "/tokens/0", "ann"); code(m) != "rate_limited" {
		t.Errorf("spent: %s %s", m.Start, m.Body)
	}
	for i := range 5 {
		if m := ask(i%4, "/login/200", "bob"); m.Status() != 200 {
			t.Errorf("a good login: %s %s", m.Start, m.Body)
		}
	}
	for i := range 3 {
		told(i, 2, func() {
			if m := ask(i, "/login/401", "bob"); m.Status() != 401 {
				t.Errorf("guess %d: %s %s", i, m.Start, m.Body)
			}
		})
	}
	for i := range 4 {
		if m := ask(i, "/login/200", "bob"); code(m) != "rate_limited" {
			t.Errorf("after three guesses, proxy %d: %s %s", i, m.Start, m.Body)
		}
	}
}
