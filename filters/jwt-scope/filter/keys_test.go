// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// idp is a proxy with workers whose keys come from an issuer, and a clock to turn.
type idp struct {
	t       *testing.T
	proxy   *wasmhost.Proxy
	workers []*wasmhost.Worker
	clock   time.Time
	fetches int
}

func startIDP(t *testing.T, workers int) *idp {
	t.Helper()
	return startRemote(t, workers, `"path": "/keys"`)
}

func startRemote(t *testing.T, workers int, path string) *idp {
	t.Helper()
	i := &idp{t: t, clock: now}
	i.proxy = load(t, wasmhost.Options{Clusters: []string{"idp", "keys"}, Clock: func() time.Time { return i.clock }})
	for range workers {
		i.workers = append(i.workers, worker(t, i.proxy, `{"providers": [{"name": "p", "issuer": "i", "anyAudience": true,
		 "jwks": {"remote": {"cluster": "idp", "authority": "idp.example", `+path+`, "timeout": "2s", "refresh": "5m", "maxStale": "1h"}}}], "rules": [{"name": "r"}]}`))
	}
	return i
}

// startKnown begins with the first set fetched.
func startKnown(t *testing.T, workers int) *idp {
	t.Helper()
	i := startIDP(t, workers)
	i.pass(20 * time.Millisecond)
	i.answer("200", document(ec))
	i.pass(20 * time.Millisecond)
	i.want("known", i.ask(0, ec), 200, "")
	return i
}

// pass lets time go by, in steps of a tick.
func (i *idp) pass(d time.Duration) {
	const step = 10 * time.Millisecond
	for end := i.clock.Add(d); i.clock.Before(end); {
		i.clock = i.clock.Add(min(max(step, d/200), end.Sub(i.clock)))
		for _, w := range i.workers {
			w.Tick()
		}
	}
}

// passUntilFetch lets time go by until a fetch begins, at most half a minute and a bit.
func (i *idp) passUntilFetch() {
	i.t.Helper()
	i.passUntilFetchWithin(32 * time.Second)
}

func (i *idp) passUntilFetchWithin(most time.Duration) {
	i.t.Helper()
	for range most / (100 * time.Millisecond) {
		if len(i.proxy.Calls()) > 0 {
			return
		}
		i.pass(100 * time.Millisecond)
	}
	i.t.Fatal("no fetch has begun")
}

// call returns the one fetch that is under way.
func (i *idp) call() *wasmhost.Call {
	i.t.Helper()
	calls := i.proxy.Calls()
	if len(calls) != 1 {
		i.t.Fatalf("%d fetches are under way, want 1", len(calls))
	}
	i.fetches++
	return calls[0]
}

func (i *idp) answer(status string, body string, headers ...[2]string) {
	i.t.Helper()
	i.call().Answer(append([][2]string{{":status", status}}, headers...), []byte(body), nil)
}

func (i *idp) idle() {
	i.t.Helper()
	if n := len(i.proxy.Calls()); n != 0 {
		i.t.Fatalf("%d fetches are under way, want none", n)
	}
}

// ask sends a token to a worker.
func (i *idp) ask(worker int, k *mint.Key) *wasmhost.Stream {
	return i.workers[worker].Request(request("/",
		bearer(k.Token(map[string]any{"iss": "i", "exp": i.clock.Unix() + 60}))), true)
}

func (i *idp) want(what string, s *wasmhost.Stream, status uint32, code string) {
	i.t.Helper()
	switch {
	case status == 0 && s.Action == wasmhost.Pause && s.Reply == nil && !s.Resumed:
	case status == 200 && s.Reply == nil && (s.Action == wasmhost.Continue || s.Resumed):
	case status >= 400 && s.Reply != nil && s.Reply.Status == status && strings.Contains(s.Reply.Body, `"`+code+`"`):
	default:
		i.t.Errorf("%s: action %d, resumed %v, reply %+v; want %d %s", what, s.Action, s.Resumed, s.Reply, status, code)
	}
}

func document(keys ...*mint.Key) string { return string(mint.Set(keys...)) }

// J39: the keys are where the issuer's metadata says, as long as that may say so.
func TestDiscovery(t *testing.T) {
	i := startRemote(t, 2, `"discover": true, "discoverAuthorities": {"keys.example": "keys"}`)
	asks := func(cluster, path string) {
		t.Helper()
		call := i.call()
		asked := fmt.Sprint(call.Headers)
		if call.Cluster != cluster || !strings.Contains(asked, "[:path "+path+"]") {
			t.Fatalf("cluster %s is asked for %s, want %s of %s", call.Cluster, asked, path, cluster)
		}
		i.fetches--
	}
	metadata := func(url string) string { return `{"issuer":"i","jwks_uri":"` + url + `"}` }
	i.pass(20 * time.Millisecond)
	asks("idp", "/.well-known/openid-configuration")
	waiting := i.ask(1, ec)
	i.answer("200", metadata("https://keys.example/k?v=1"))
	asks("keys", "/k?v=1")
	i.want("before the keys are there", waiting, 0, "")
	i.answer("200", document(ec), [2]string{"etag", `"1"`})
	i.pass(20 * time.Millisecond)
	i.want("when they are", waiting, 200, "")
	for _, c := range []struct{ status, body string }{
		{"200", metadata("https://evil.example/k")}, {"200", `{"issuer":"j","jwks_uri":"https://keys.example/k"}`},
		{"200", "<html>"}, {"302", ""}, {"304", ""}, {"500", metadata("https://keys.example/k")},
	} {
		i.passUntilFetchWithin(6 * time.Minute)
		asks("idp", "/.well-known/openid-configuration")
		i.answer(c.status, c.body)
		i.idle()
		i.want("by the keys in use", i.ask(0, ec), 200, "")
	}
	i.passUntilFetchWithin(6 * time.Minute)
	i.answer("200", metadata("https://idp.example/new"))
	asks("idp", "/new")
	i.answer("304", "") // of a document that nobody has seen there
	i.want("by the keys in use", i.ask(0, ec), 200, "")
	i.passUntilFetchWithin(6 * time.Minute)
	i.answer("200", metadata("https://idp.example/new"))
	i.answer("200", document(other), [2]string{"etag", `"1"`})
	i.want("by keys that moved", i.ask(0, ec), 401, "token_signature")
	i.passUntilFetchWithin(6 * time.Minute)
	i.answer("200", metadata("https://idp.example/new"))
	if asked := fmt.Sprint(i.proxy.Calls()[0].Headers); !strings.Contains(asked, "if-none-match") {
		t.Errorf("the same document is fetched again: %s", asked)
	}
	i.answer("304", "")
	// Keys from where another configuration allows them are not this one's.
	w := worker(t, i.proxy, `{"providers": [{"name": "p", "issuer": "i", "anyAudience": true, "jwks": {"remote": {"cluster": "idp",
		"authority": "idp.example", "discover": true}}}], "rules": [{"name": "r"}]}`)
	if s := w.Request(request("/", bearer(other.Token(map[string]any{"iss": "i", "exp": i.clock.Unix() + 60}))),
		true); s.Reply ==
		nil && s.Action == wasmhost.Continue {
		t.Error("a configuration takes the keys of one that allows more")
	}
	// Both calls have to be made in the time of one.
	i.passUntilFetchWithin(6 * time.Minute)
	i.pass(1500 * time.Millisecond)
	i.answer("200", metadata("https://idp.example/new"))
	if left := i.call().Timeout; left > 500*time.Millisecond {
		t.Errorf("the keys may take another %s", left)
	}
}

func TestKeysAreFetchedOnceForAllWorkers(t *testing.T) {
	i := startIDP(t, 4)
	first := i.ask(2, ec)
	i.want("before the first set", first, 0, "")
	i.pass(50 * time.Millisecond)
	c := i.proxy.Calls()[0]
	if got := fmt.Sprint(c.Cluster, c.Headers); got != "idp[[:method GET] [:authority idp.example] [:path /keys] "+
		"[accept application/jwk-set+json, application/json;q=0.9, */*;q=0.5]]" || c.Timeout != 2*time.Second {
		t.Errorf("the fetch is %s, %s", got, c.Timeout)
	}
	i.answer("200", document(ec, rs), [2]string{"etag", `"v1"`})
	i.pass(50 * time.Millisecond)
	i.want("the request that waited", first, 200, "")
	for w := range i.workers {
		i.want("a worker that did not fetch", i.ask(w, rs), 200, "")
	}
	i.idle()
	// A worker that starts later takes what is there.
	i.workers = append(i.workers,
		worker(t, i.proxy, `{"providers": [{"name": "p", "issuer": "i", "anyAudience": true, "jwks": {"remote": {"cluster": "idp", "authority": "idp.example", "path": "/keys"}}}], "rules": [{"name": "r"}]}`))
	i.pass(20 * time.Millisecond)
	i.want("a new worker", i.ask(4, ec), 200, "")
	i.idle()
	i.pass(260 * time.Second)
	i.idle()
	i.pass(40 * time.Second)
	if c := i.proxy.Calls()[0]; fmt.Sprint(c.Headers[4:]) != `[[if-none-match "v1"]]` {
		t.Errorf("the refresh asks with %v", c.Headers)
	}
	i.answer("304", "")
	i.pass(20 * time.Millisecond)
	i.want("after 304", i.ask(0, ec), 200, "")
	if i.fetches != 2 {
		t.Errorf("%d fetches", i.fetches)
	}
}

// W28: a request that waits is always ended, by an answer or by time.
func TestNoKeysNoPass(t *testing.T) {
	i := startIDP(t, 1)
	waiting := i.ask(0, ec)
	i.pass(20 * time.Millisecond)
	i.pass(1900 * time.Millisecond)
	i.want("while it waits", waiting, 0, "")
	i.pass(200 * time.Millisecond)
	i.want("J26 when it has waited for the timeout", waiting, 503, "keys_unavailable")
	if s := waiting.Reply; s != nil &&
		fmt.Sprint(s.Headers) != "[[content-type application/problem+json] [retry-after 5]]" {
		t.Errorf("the headers are %v", s.Headers)
	}
	i.call().Fail()
	i.want("J26 after a failure there is no waiting", i.ask(0, ec), 503, "keys_unavailable")
	for _, c := range []struct{ status, body string }{
		{"200", "<html>"}, {"200", ""}, {"200", `{"keys":[]}`}, {"200", `{"keys":[{"kty":"oct","k":"` +
			strings.Repeat("A", 43) + `"}]}`}, {"302", document(ec)}, {"500", document(ec)}, {"404", ""}, {"304", ""},
		{"200", strings.Repeat(" ", 256<<10) + document(ec)},
	} {
		i.passUntilFetch()
		i.answer(c.status, c.body)
		i.pass(20 * time.Millisecond)
		i.want(fmt.Sprintf("J24 the answer %s %.20s", c.status, c.body), i.ask(0, ec), 503, "keys_unavailable")
	}
	i.passUntilFetch()
	i.answer("200", document(ec))
	i.want("a good answer at last", i.ask(0, ec), 200, "")
	if n := i.proxy.Counters()["tollgate.jwt_scope.rule.r.outcome.error.code.keys_unavailable"]; n == 0 {
		t.Error("the refusals were not counted")
	}
}

// A set that comes late, after failures, is everybody's at once: no worker refuses for want of keys that another has.
func TestLateSetIsEverybodysAtOnce(t *testing.T) {
	i := startIDP(t, 4)
	i.pass(20 * time.Millisecond)
	i.call().Fail()
	for w := range i.workers {
		i.want("while there is none", i.ask(w, ec), 503, "keys_unavailable")
	}
	i.passUntilFetch()
	i.answer("200", document(ec))
	for w := range i.workers {
		i.want(fmt.Sprintf("worker %d, when one has it", w), i.ask(w, ec), 200, "")
	}
	i.idle()
}

// J26: an issuer that is down, or answers nonsense, changes nothing until maxStale.
func TestLastGoodKeys(t *testing.T) {
	i := startKnown(t, 2)
	i.pass(280 * time.Second)
	for n := range 20 {
		i.passUntilFetch()
		i.answer("500", document(other))
		i.want("while the issuer is down", i.ask(n%2, ec), 200, "")
		i.want("while the issuer is down, the other's keys", i.ask(n%2, other), 401, "token_signature")
	}
	for range 100 {
		i.passUntilFetch()
		i.answer("500", "")
		i.pass(29 * time.Second)
	}
	i.want("J26 J31 past maxStale, even a token that is remembered", i.ask(0, ec), 503, "keys_unavailable")
}

// A fetch that was under way when a token with a new kid came may bring what the issuer published
// before it: it is no reason to refuse the token.
func TestNewKeyDuringRefresh(t *testing.T) {
	i := startKnown(t, 1)
	i.pass(270 * time.Second)
	i.passUntilFetch()
	c := i.call() // the issuer has read its keys: the old set is on its way
	i.clock = i.clock.Add(time.Millisecond)
	next := mint.New("next", jose.ES256)
	s := i.ask(0, next)
	i.want("a new kid during a refresh", s, 0, "")
	c.Answer([][2]string{{":status", "200"}}, []byte(document(ec)), nil)
	i.pass(50 * time.Millisecond)
	i.want("after the old set", s, 0, "")
	i.answer("200", document(ec, next))
	i.pass(50 * time.Millisecond)
	i.want("after the set that it asked for", s, 200, "")
}

// J25: an unknown kid has the keys fetched, and the request waits for them; made-up kids do so once in ten seconds.
func TestUnknownKidFetches(t *testing.T) {
	i := startIDP(t, 2)
	i.pass(20 * time.Millisecond)
	i.answer("200", document(ec))
	i.pass(40 * time.Second)
	next := mint.New("next", jose.ES256)
	waiting := i.ask(0, next)
	i.want("a kid that is new", waiting, 0, "")
	i.pass(20 * time.Millisecond)
	also := i.ask(1, next)
	i.want("the same at another worker, while it is fetched", also, 0, "")
	i.want("a known kid does not wait", i.ask(0, ec), 200, "")
	i.answer("200", document(ec, next))
	i.pass(20 * time.Millisecond)
	i.want("it has been found", waiting, 200, "")
	i.want("for both", also, 200, "")
	for n := range 50 {
		i.want("J25 a made-up kid soon after", i.ask(n%2, mint.New(fmt.Sprint("made-up-", n), jose.ES256)), 401,
			"token_key_unknown")
	}
	i.pass(20 * time.Millisecond)
	i.idle()
	i.pass(11 * time.Second)
	madeUp := i.ask(0, mint.New("made-up", jose.ES256))
	i.want("J25 ten seconds later", madeUp, 0, "")
	i.pass(20 * time.Millisecond)
	i.answer("200", document(ec, next))
	i.pass(20 * time.Millisecond)
	i.want("it is not there either", madeUp, 401, "token_key_unknown")
	// An issuer that takes its time costs the request no more than the timeout.
	i.pass(11 * time.Second)
	slow := i.ask(0, mint.New("slow", jose.ES256))
	i.pass(2100 * time.Millisecond)
	i.want("the issuer does not answer", slow, 401, "token_key_unknown")
}

// A worker that has not heard of the first set yet does not have it fetched again, and its request
// does not wait for that.
func TestFirstSetIsNotFetchedTwice(t *testing.T) {
	i := startIDP(t, 2)
	i.workers[0].Tick()
	i.answer("200", document(ec))
	i.clock = i.clock.Add(5 * time.Millisecond)
	i.want("at a worker that has not heard of it", i.ask(1, ec), 200, "")
	i.want("a forged token", i.ask(1, other), 401, "token_signature")
	i.clock = i.clock.Add(5 * time.Millisecond)
	i.workers[1].Tick()
	i.idle()
	i.pass(20 * time.Millisecond)
	next := i.ask(1, mint.New("next", jose.ES256))
	i.want("a new kid right after the first fetch", next, 0, "")
	i.pass(20 * time.Millisecond)
	i.answer("200", document(ec))
	i.pass(20 * time.Millisecond)
	i.want("which is not there", next, 401, "token_key_unknown")
}

// A leader that dies with its fetch is replaced when its lease is over.
func TestLeaderDies(t *testing.T) {
	i := startIDP(t, 2)
	i.pass(20 * time.Millisecond)
	i.call() // and no answer, ever
	i.pass(2900 * time.Millisecond)
	if n := len(i.proxy.Calls()); n != 1 {
		t.Fatalf("%d fetches while the lease lasts", n)
	}
	i.pass(200 * time.Millisecond)
	if n := len(i.proxy.Calls()); n != 2 {
		t.Fatalf("%d fetches when the lease is over", n)
	}
	i.proxy.Calls()[1].Answer([][2]string{{":status", "200"}}, []byte(document(ec)), nil)
	i.pass(20 * time.Millisecond)
	i.want("by the new leader", i.ask(0, ec), 200, "")
	i.want("by the new leader", i.ask(1, ec), 200, "")
}

// A cluster that is not there is an issuer that does not answer.
func TestMissingCluster(t *testing.T) {
	p := load(t, wasmhost.Options{})
	w := worker(t, p, `{"providers": [{"name": "p", "issuer": "i", "anyAudience": true, "jwks": {"remote": {"cluster": "gone", "authority": "a", "path": "/"}}}], "rules": [{"name": "r"}]}`)
	s := w.Request(request("/", bearer(ec.Token(claims(now.Unix()+1)))), true)
	w.Tick()
	w.Tick()
	if s.Reply == nil || s.Reply.Status != 503 || !strings.Contains(p.LogText(), "cluster gone cannot be called") {
		t.Errorf("W29 %+v\n%s", s.Reply, p.LogText())
	}
}

// W18: a client that leaves while its request waits is forgotten.
func TestClientLeavesWhileItWaits(t *testing.T) {
	i := startIDP(t, 1)
	gone, stays := i.ask(0, ec), i.ask(0, ec)
	gone.Close()
	i.pass(20 * time.Millisecond)
	i.answer("200", document(ec))
	i.pass(20 * time.Millisecond)
	i.want("the one that stays", stays, 200, "")
	if i.proxy.VMs() != 1 || gone.Resumed {
		t.Errorf("%d VMs, resumed %v", i.proxy.VMs(), gone.Resumed)
	}
}

// W23: VMs with the same vm_id can write each other's shared data. What is no record or no key set
// there never lets anybody in.
func TestNonsenseInSharedData(t *testing.T) {
	i := startKnown(t, 1)
	for key := range i.proxy.SharedData() {
		for _, junk := range []string{"", "x", strings.Repeat("\xff", 48), `"v1"` + "\n" + `{"keys":[]}`, "\n<html>",
			"\n" + document(other)[:40]} {
			i.proxy.SetSharedData(key, []byte(junk))
			i.pass(30 * time.Millisecond)
			// A record of which every bit is set is one of keys from before 1970: 503.
			if s := i.ask(0, other); s.Reply == nil || s.Reply.Status != 401 && s.Reply.Status != 503 {
				t.Errorf("%q in %q: a forged token: action %d, %+v", junk, key, s.Action, s.Reply)
			}
			for _, c := range i.proxy.Calls() {
				c.Answer([][2]string{{":status", "200"}}, []byte(document(ec)), nil)
			}
		}
	}
}

// W1 J25: thousands of requests that wait for the same keys are answered in as many callbacks as it takes, the first to
// come first: those of one callback end inside one another, and the VM's stack has room for some three hundred.
func TestCrowdWaits(t *testing.T) {
	for _, c := range []struct {
		name   string
		status string // of the issuer's answer
		kid    *mint.Key
		want   uint32
		code   string
	}{
		{"for a set that comes", "200", ec, 200, ""},
		{"for a set that does not come", "500", ec, 503, "keys_unavailable"},
		{"for a kid that does not exist", "200", mint.New("made-up", jose.ES256), 401, "token_key_unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := startIDP(t, 1)
			if c.want == 401 {
				i.pass(20 * time.Millisecond)
				i.answer("200", document(ec))
				i.pass(40 * time.Second)
			}
			token := bearer(c.kid.Token(map[string]any{"iss": "i", "exp": i.clock.Unix() + 60}))
			headers := request("/", token, [2]string{"x-noise", strings.Repeat("z", 50<<10)})
			var all []*wasmhost.Stream
			memory := uint32(0)
			for n := range 5000 {
				s := i.workers[0].Request(headers, true)
				if n < 4096 {
					i.want(fmt.Sprint("request ", n), s, 0, "")
					all = append(all, s)
				} else if s.Action != wasmhost.Pause || s.Reply == nil {
					t.Fatalf("request %d waits, too", n)
				}
				if n == 100 {
					memory = i.workers[0].Memory()
				}
			}
			if grown := i.workers[0].Memory() - memory; grown > 8<<20 {
				t.Errorf("with 4,096 requests that wait, the VM has %d KiB more than with 100", grown>>10)
			}
			i.pass(10 * time.Millisecond)
			i.answer(c.status, document(ec))
			for turns := 1; ; turns++ {
				i.clock = i.clock.Add(time.Duration(i.workers[0].TickPeriods()[0]) * time.Millisecond)
				i.workers[0].Tick()
				waiting := 0
				for _, s := range all {
					if s.Reply == nil && !s.Resumed {
						waiting++
					}
				}
				if waiting == 0 {
					break
				}
				if want := len(all) - 64*turns; waiting < want {
					t.Fatalf("%d requests were answered in one callback", len(all)-waiting)
				}
				if turns > 4096/64+1 || i.workers[0].TickPeriods()[0] != 1 {
					t.Fatalf("%d requests wait still after %d callbacks, the next in %d ms", waiting, turns,
						i.workers[0].TickPeriods()[0])
				}
			}
			for _, s := range all {
				i.want("a request that waited", s, c.want, c.code)
			}
			if n := i.proxy.VMs(); n != 1 || strings.Contains(i.proxy.LogText(), "trap") {
				t.Errorf("%d VMs:\n%s", n, i.proxy.LogText())
			}
		})
	}
}

// J25: however many made-up kids strangers send, a key that is published counts within ten seconds,
// and the issuer is asked no more than once in ten.
func TestRotationAmongMadeUpKids(t *testing.T) {
	for _, late := range []time.Duration{0, 3 * time.Second, 9900 * time.Millisecond} {
		i := startKnown(t, 4)
		next := mint.New("next", jose.ES256)
		i.pass(60 * time.Second)
		began, fetches, published, found := i.clock, i.fetches, false, time.Duration(-1)
		madeUp := 0
		for found < 0 && i.clock.Sub(began) < 30*time.Second {
			if !published && i.clock.Sub(began) >= late {
				published = true
			}
			var waiting []*wasmhost.Stream
			for w := range i.workers {
				madeUp++
				waiting = append(waiting, i.ask(w, mint.New(fmt.Sprint("made-up-", madeUp), jose.ES256)))
			}
			good := i.ask(madeUp%4, next)
			i.pass(20 * time.Millisecond)
			if len(i.proxy.Calls()) > 0 {
				set := document(ec)
				if published {
					set = document(ec, next)
				}
				i.answer("200", set)
			}
			i.pass(100 * time.Millisecond)
			for _, s := range waiting {
				i.want("a made-up kid", s, 401, "token_key_unknown")
			}
			if good.Reply == nil {
				i.want("the new key", good, 200, "")
				found = i.clock.Sub(began) - late
			}
		}
		if found < 0 || found > 10200*time.Millisecond {
			t.Errorf("published after %v, the new key counts %v later", late, found)
		}
		if most := int((i.clock.Sub(began))/(10*time.Second)) + 1; i.fetches-fetches > most {
			t.Errorf("%d fetches in %v", i.fetches-fetches, i.clock.Sub(began))
		}
	}
}

// A key without kid is tried for a kid that no key has, and where it has not signed the token,
// there may be a newer set.
func TestKeysWithoutKID(t *testing.T) {
	i := startIDP(t, 1)
	without := func(k *mint.Key) string { return strings.Replace(document(k), `"kid":"`+k.ID+`",`, "", 1) }
	i.pass(20 * time.Millisecond)
	i.answer("200", without(ec))
	i.pass(20 * time.Millisecond)
	i.want("a kid that no key has", i.ask(0, ec), 200, "")
	i.pass(40 * time.Second)
	i.want("again", i.ask(0, ec), 200, "")
	i.idle()
	next := mint.New("next", jose.ES256)
	s := i.ask(0, next)
	i.want("J25 a token of another key", s, 0, "")
	i.pass(20 * time.Millisecond)
	i.answer("200", without(next))
	i.pass(20 * time.Millisecond)
	i.want("which has just been published", s, 200, "")
	i.want("J25 and no other is looked for so soon", i.ask(0, mint.New("forged", jose.ES256)), 401, "token_signature")
	i.idle()
}

// What is passed over, and why no set comes, is in the log, once for each document; the gauges count it.
func TestKeysAreToldOf(t *testing.T) {
	i := startIDP(t, 2)
	i.pass(20 * time.Millisecond)
	odd := strings.Replace(document(ec), `{"keys":[`,
		`{"keys":[{"kty":"AKP","kid":"q\nuantum"},{"kty":"RSA","use":"enc","kid":"e"},`, 1)
	i.answer("200", odd)
	i.pass(time.Second)
	i.want("beside what is passed over", i.ask(0, ec), 200, "")
	for range 3 {
		i.passUntilFetchWithin(10 * time.Minute)
		i.answer("200", odd)
		i.pass(time.Second)
	}
	for text, times := range map[string]int{
		`keys of idp.example: key 0, kid "q\nuantum", is passed over: kty is not RSA`: 1,
		`key 1, kid "e", is passed over: the key is not for signatures`:               1,
	} {
		if n := strings.Count(i.proxy.LogText(), text); n != times {
			t.Errorf("the log has %q %d times, want %d:\n%s", text, n, times, i.proxy.LogText())
		}
	}
	gauges := i.proxy.Gauges()
	if gauges["tollgate.jwt_scope.keys.p.count"] != 1 || gauges["tollgate.jwt_scope.keys.p.passed_over"] != 2 {
		t.Errorf("the gauges are %v", gauges)
	}
	i.pass(100 * time.Second)
	if age := i.proxy.Gauges()["tollgate.jwt_scope.keys.p.age_seconds"]; age < 98 || age > 102 {
		t.Errorf("the set is %d seconds old", age)
	}
	i.passUntilFetchWithin(10 * time.Minute)
	i.answer("200", `{"keys":[{"kty":"AKP","kid":"only"}]}`)
	i.passUntilFetchWithin(10 * time.Minute)
	i.answer("503", "upstream connect error", [2]string{"content-type", "text/plain"})
	i.passUntilFetchWithin(10 * time.Minute)
	i.answer("503", "busy", [2]string{"server", "idp"})
	for _, text := range []string{
		`key 0, kid "only", is passed over: kty is not RSA, EC, OKP or oct`, "no key for verifying signatures; the " +
			"keys in use stay",
		"cluster idp cannot be reached (its counters say why: upstream_cx_connect_fail, ssl.fail_verify_error, …), " +
			"the proxy says: \"upstream connect error\"", "the answer has status 503;",
	} {
		if !strings.Contains(i.proxy.LogText(), text) {
			t.Errorf("the log lacks %q:\n%s", text, i.proxy.LogText())
		}
	}
}
