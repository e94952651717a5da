// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// startOpaque is a proxy with a provider that introspects.
func startOpaque(t *testing.T, workers int) *idp {
	t.Helper()
	i := &idp{t: t, clock: now}
	i.proxy = load(t, wasmhost.Options{Clusters: []string{"idp"}, Clock: func() time.Time { return i.clock },
		Env: map[string]string{"SECRET": "top-secret"}})
	for range workers {
		i.workers = append(i.workers, worker(t, i.proxy, `{"providers": [{"name": "p", "introspection": {"cluster": "idp",
			"authority": "idp.example", "path": "/introspect", "clientId": "gateway", "clientSecretEnv": "SECRET"}}],
			"rules": [{"name": "r", "require": {"scopes": {"all": ["read"]}}}]}`))
	}
	return i
}

func (i *idp) askOpaque(worker int, token string) *wasmhost.Stream {
	return i.workers[worker].Request(request("/", bearer(token)), true)
}

const activeAnswer = `{"active": true, "sub": "ann", "scope": "read"}`

// One question for a token and VM, whoever asks; the answer is remembered.
func TestIntrospection(t *testing.T) {
	i := startOpaque(t, 2)
	first, second := i.askOpaque(0, "token"), i.askOpaque(0, "token")
	i.want("before the answer", first, 0, "")
	if call := i.proxy.Calls()[0]; call.Cluster != "idp" || call.Timeout != 2*time.Second ||
		string(call.Body) != "token=token&token_type_hint=access_token" {
		t.Errorf("%+v", call)
	}
	i.answer("200", activeAnswer)
	i.want("the first", first, 200, "")
	i.want("the second", second, 200, "")
	i.want("the third", i.askOpaque(0, "token"), 200, "")
	i.idle()
	elsewhere := i.askOpaque(1, "token")
	i.answer("200", `{"active": false}`)
	i.want("revoked by then, in another VM", elsewhere, 401, "token_inactive")
	i.want("again", i.askOpaque(1, "token"), 401, "token_inactive")
	i.idle()
	i.pass(6 * time.Second)
	i.askOpaque(1, "token")
	i.answer("200", activeAnswer)
	for what, want := range map[string]uint64{"allowed.code.ok": 4, "denied.code.token_inactive": 2} {
		if n := i.proxy.Counters()["tollgate.jwt_scope.rule.r.outcome."+what]; n != want {
			t.Errorf("%s: %d, want %d", what, n, want)
		}
	}
	if log := i.proxy.LogText(); strings.Contains(log, "top-secret") || strings.Contains(log, "token=") {
		t.Errorf("J28: a secret is in the log:\n%s", log)
	}
}

// J35: what the endpoint cannot tell is a refusal, and told in the log.
func TestIntrospectionFails(t *testing.T) {
	for _, c := range []struct {
		name, status, body, log string
	}{
		{"an error", "500", activeAnswer, "the answer has status 500"},
		{"a redirect", "302", activeAnswer, "the answer has status 302"},
		{"unauthorized", "401", `{"error":"invalid_client"}`, "the answer has status 401"},
		{"created", "201", activeAnswer, "the answer has status 201"},
		{"garbled", "200", activeAnswer[:20], "is no JSON that"},
		{"empty", "200", "", "empty or over 32 KiB"},
		{"large", "200", activeAnswer + strings.Repeat(" ", 32<<10), "empty or over 32 KiB"},
		{"no answer", "", "", "no answer"},
		{"the proxy's own", "503", "upstream connect error", "cluster idp cannot be reached"},
	} {
		i := startOpaque(t, 1)
		waiting, also := i.askOpaque(0, "token"), i.askOpaque(0, "token")
		switch {
		case c.status == "":
			i.call().Fail()
		case c.status == "503":
			i.answer(c.status, c.body)
		default:
			i.answer(c.status, c.body, [2]string{"date", "Thu, 01 Jan 1970 00:00:00 GMT"})
		}
		i.want(c.name, waiting, 503, "introspection_unavailable")
		i.want(c.name, also, 503, "introspection_unavailable")
		if log := i.proxy.LogText(); !strings.Contains(log, "introspection of provider p at idp.example: ") ||
			!strings.Contains(log, c.log) {
			t.Errorf("%s: the log is\n%s", c.name, log)
		}
		i.want(c.name+", again", i.askOpaque(0, "token"), 0, "")
	}
	// One that takes too long is not waited for, and its answer is for those who come after.
	i := startOpaque(t, 1)
	late := i.askOpaque(0, "token")
	i.pass(1900 * time.Millisecond)
	i.want("while it waits", late, 0, "")
	i.pass(150 * time.Millisecond)
	i.want("when it has waited for the timeout", late, 503, "introspection_unavailable")
	joins := i.askOpaque(0, "token")
	i.answer("200", activeAnswer)
	i.want("who joined", joins, 200, "")
	// A cluster that is not there.
	p := load(t, wasmhost.Options{Env: map[string]string{"SECRET": "s"}})
	w := worker(t, p, `{"providers": [{"name": "p", "introspection": {"cluster": "gone", "authority": "a", "path": "/",
		"clientId": "g", "clientSecretEnv": "SECRET"}}], "rules": [{"name": "r"}]}`)
	if s := w.Request(request("/", bearer("x")), true); s.Reply == nil || s.Reply.Status != 503 ||
		!strings.Contains(p.LogText(), "cluster gone cannot be called") {
		t.Errorf("W29 %+v\n%s", s.Reply, p.LogText())
	}
}

// J36 W1 W18: a thousand requests with one new token make one call, and their answers come in as many
// callbacks as it takes; a client that leaves is forgotten.
func TestIntrospectionCrowd(t *testing.T) {
	i := startOpaque(t, 1)
	var all []*wasmhost.Stream
	for n := range 1000 {
		s := i.askOpaque(0, "token")
		if n%10 == 9 {
			s.Close()
		} else {
			all = append(all, s)
		}
	}
	i.answer("200", activeAnswer)
	woken := 0
	for _, s := range all {
		if s.Resumed {
			woken++
		}
	}
	if woken == 0 || woken > 64 {
		t.Errorf("%d go on in one callback", woken)
	}
	i.pass(time.Second)
	for n, s := range all {
		i.want(fmt.Sprint("request ", n), s, 200, "")
	}
	if i.fetches != 1 || i.proxy.VMs() != 1 {
		t.Errorf("%d calls, %d VMs", i.fetches, i.proxy.VMs())
	}
}

// J36: strangers fill the room for those who wait, and then come with tokens of their own: when they are gone, others
// are asked for as before.
func TestIntrospectionAfterFlood(t *testing.T) {
	i := startOpaque(t, 1)
	var all []*wasmhost.Stream
	for range 4200 {
		all = append(all, i.askOpaque(0, "held"))
	}
	for n := range 1100 {
		i.want("one that finds no room", i.askOpaque(0, fmt.Sprint("made-up-", n)), 503, "introspection_unavailable")
	}
	i.answer("200", `{"active": false}`)
	i.pass(3 * time.Second)
	for n, s := range all {
		if s.Reply == nil {
			t.Fatalf("request %d is not answered", n)
		}
	}
	for n := range 20 {
		s := i.askOpaque(0, fmt.Sprint("good-", n))
		i.want("after the flood", s, 0, "")
		i.answer("200", activeAnswer)
		i.want("after the flood, answered", s, 200, "")
	}
}

// Every host call that an introspected request needs fails, in each place and from there on: then it does not go on.
func TestEveryCallOfIntrospectionFails(t *testing.T) {
	harness.Alone(t, "neighbours make calls of their own")
	at, calls, failed, watching := -1, []string(nil), "", false
	i := &idp{t: t, clock: now}
	i.proxy = load(t, wasmhost.Options{Clusters: []string{"idp"}, Clock: func() time.Time { return i.clock },
		Env: map[string]string{"SECRET": "s"}, Fault: func(call string) wasmhost.Status {
			if !watching {
				return wasmhost.OK
			}
			if calls = append(calls, call); len(calls)-1 == at {
				failed = call
			}
			if call == failed {
				return wasmhost.InternalFailure
			}
			return wasmhost.OK
		}})
	i.workers = append(i.workers, worker(t, i.proxy, `{"providers": [{"name": "p", "introspection": {"cluster": "idp",
		"authority": "idp.example", "path": "/introspect", "clientId": "g", "clientSecretEnv": "SECRET",
		"cache": {"entries": 0}}}], "rules": [{"name": "r"}],
		"forward": {"token": "strip", "claimHeaders": [{"path": ["sub"], "header": "x-user"}]}}`))
	ask := func() *wasmhost.Stream {
		s := i.askOpaque(0, "token")
		for _, call := range i.proxy.Calls() {
			call.Answer([][2]string{{":status", "200"}}, []byte(activeAnswer), nil)
		}
		return s
	}
	i.want("before", ask(), 200, "")
	watching = true
	i.want("nothing fails", ask(), 200, "")
	total := len(calls)
	for at = 0; at < total; at++ {
		calls, failed = nil, ""
		s := ask()
		watching = false
		for range 300 { // whoever is not answered yet waits for the deadline
			i.pass(10 * time.Millisecond)
		}
		watching = true
		if s.Reply == nil && (s.Action == wasmhost.Continue || s.Resumed) || s.Reply != nil && s.Reply.Status < 500 {
			t.Errorf("call %d, %s, fails: %+v, resumed %v, of %v", at, failed, s.Reply, s.Resumed, calls)
		}
		s.Close()
	}
	if total < 8 {
		t.Errorf("only %v", calls)
	}
}
