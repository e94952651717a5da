// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

var (
	idp  = mint.New("idp", jose.ES256)
	edge = mint.New("edge", jose.ES256)
)

// world is a proxy with the module that ships.
type world struct {
	t     *testing.T
	proxy *wasmhost.Proxy
	clock time.Time
}

func start(t *testing.T) *world {
	t.Helper()
	module, err := wasmhost.LoadFile(harness.Module(t, "tollgate"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: time.Unix(1_800_000_000, 0)}
	w.proxy = wasmhost.NewProxy(module,
		wasmhost.Options{Clock: func() time.Time { return w.clock }, Env: map[string]string{"EDGE": edge.PrivateJWK()},
			Clusters: []string{"idp", "ratelimit"}, Properties: map[string]string{"plugin_name": "tollgate",
				"source.address": "192.0.2.1:4711"}})
	return w
}

func (w *world) worker(config string) *wasmhost.Worker {
	w.t.Helper()
	worker, err := w.proxy.Worker(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return worker
}

func (w *world) want(what string, s *wasmhost.Stream, code string) {
	w.t.Helper()
	if got := s.Outcome(); got != code {
		w.t.Errorf("%s: %s, want %s", what, got, code)
	}
}

func (w *world) token(sub string) [2]string {
	return [2]string{"authorization",
		"Bearer " + idp.Token(map[string]any{"iss": "https://idp", "aud": "api", "sub": sub, "exp": w.clock.Unix() + 60})}
}

func get(headers ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":authority", "api"}, {":path", "/orders/7"}, {":scheme", "http"}},
		headers...)
}

// The steps of a whole chain.
const (
	addresses = `{"name":"addresses","filter":"rate-limit","config":{"limits":[{"name":"per-address","key":[{"sourceAddress":{}}],"rate":{"requests":5,"per":"1h"}}]}}`
	users     = `{"name":"users","filter":"rate-limit","config":{"limits":[{"name":"per-user","key":[{"claim":["sub"]}],"rate":{"requests":2,"per":"1h"},"onMissingKey":"deny"}]}}`
	sign      = `{"name":"stamp","filter":"edge-stamp","config":{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":"edge","alg":"ES256","env":"EDGE"}],"copyClaims":["sub"],"rules":[{"name":"all","sign":true}]}}`
	global    = `{"name":"global","filter":"rate-limit","config":{"limits":[{"name":"shared","key":[{"claim":["sub"]}],"rate":{"requests":5,"per":"1h"},"scope":"global"}],"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"d","onError":"deny"}}}`
)

func who(keys string) string {
	return `{"name":"who","filter":"jwt-scope","config":{"providers":[{"name":"idp","issuer":"https://idp","audiences":["api"],"jwks":` + keys + `}],"rules":[{"name":"all"}],"forward":{"token":"strip","claimHeaders":[{"path":["sub"],"header":"x-user"}]}}}`
}

func inline() string { return `{"inline":` + string(mint.Set(idp)) + `}` }

const remote = `{"remote":{"cluster":"idp","authority":"idp","path":"/keys"}}`

func chained(steps ...string) string { return `{"chain":[` + strings.Join(steps, ",") + `]}` }

// A request goes through all steps; each sees what the ones before have left, and the first refusal answers.
func TestChain(t *testing.T) {
	w := start(t)
	worker := w.worker(chained(addresses, who(inline()), users, sign))
	s := worker.Request(get(w.token("ann"), [2]string{"x-user", "forged"}, [2]string{"x-edge-stamp", "forged"}), true)
	w.want("the first", s, "ok")
	headers := map[string]string{}
	for _, h := range s.RequestHeaders() {
		headers[h[0]] = h[1]
	}
	if headers["x-user"] != "ann" || headers["authorization"] != "" || len(headers) != 6 {
		t.Errorf("the upstream gets %v", headers)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(headers["x-edge-stamp"], ".")[1])
	if err != nil || !strings.Contains(string(payload), `"sub":"ann"`) {
		t.Errorf("the stamp says %s, %v", payload, err)
	}
	if identity, ok := s.FilterState("wasm.tollgate.identity"); !ok || !strings.Contains(identity, `"sub":"ann"`) {
		t.Errorf("the identity is %q", identity)
	}
	got, _ := s.Respond([][2]string{{":status", "200"}}, "", nil)
	want := [][2]string{{":status", "200"}, {"ratelimit-policy", `"per-user";q=2;w=3600`},
		{"ratelimit", `"per-user";r=1;t=1800`}, {"ratelimit-policy", `"per-address";q=5;w=3600`}, {"ratelimit",
			`"per-address";r=4;t=720`}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the answer has %v,\nwant %v", got, want)
	}
	s.Close()
	w.want("no token", worker.Request(get(), true), "token_missing")
	w.want("the second", worker.Request(get(w.token("ann")), true), "ok")
	w.want("over the limit of a user", worker.Request(get(w.token("ann")), true), "rate_limited")
	w.want("another user", worker.Request(get(w.token("bob")), true), "ok")
	w.want("over the limit of an address", worker.Request(get(w.token("bob")), true), "rate_limited")
	for counter, n := range map[string]uint64{
		"rate_limit.rule.per-address.outcome.allowed.code.ok":          5,
		"rate_limit.rule.per-address.outcome.denied.code.rate_limited": 1, "jwt_scope.rule.all.outcome.allowed.code.ok": 4,
		"jwt_scope.rule.all.outcome.denied.code.token_missing":      1,
		"rate_limit.rule.per-user.outcome.allowed.code.ok":          3,
		"rate_limit.rule.per-user.outcome.denied.code.rate_limited": 1, "edge_stamp.rule.all.outcome.allowed.code.ok": 3,
	} {
		if got := w.proxy.Counters()["tollgate."+counter]; got != n {
			t.Errorf("%s is %d, want %d", counter, got, n)
		}
	}
	var tables []string
	for key := range w.proxy.SharedData() {
		if strings.HasSuffix(key, "seed") {
			tables = append(tables, key)
		}
	}
	if text := fmt.Sprintf("%q", tables); len(tables) != 2 || !strings.Contains(text, "addresses") ||
		!strings.Contains(text, "users") {
		t.Errorf("the tables are %s: each step's goes by its name", text)
	}
}

// What is published, and when.
func TestPublishedIdentity(t *testing.T) {
	for _, c := range []struct {
		name, config string
		want         bool
	}{
		{"by default", chained(who(inline()), users), true},
		{"not at all", `{"publishIdentity":false,` + chained(who(inline()), users)[1:], false},
	} {
		w := start(t)
		worker := w.worker(c.config)
		worker.ResetCrossings()
		s := worker.Request(get(w.token("ann")), true)
		w.want(c.name, s, "ok")
		if _, ok := s.FilterState("wasm.tollgate.identity"); ok != c.want {
			t.Errorf("%s: published %v", c.name, ok)
		}
		// Between steps the identity needs no host call; headers are read again where a step has changed them.
		got := worker.Crossings()
		if n := got["proxy_set_property"]; (n == 1) != c.want || got["proxy_get_property"] > 0 ||
			got["proxy_on_request_headers"] != 1 || got["proxy_get_header_map_pairs"] != 2 {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A step may wait, wherever it stands, with the others still to come, and with the body on its way.
func TestWaiting(t *testing.T) {
	w := start(t)
	bound := strings.Replace(sign, `"copyClaims"`, `"bind":["method","body"],"bodyTimeout":"5s","copyClaims"`, 1)
	worker := w.worker(chained(addresses, who(remote), global, bound, users))
	tick := func(d time.Duration) {
		w.clock = w.clock.Add(d)
		worker.Tick()
	}
	stream := func(sub string) *wasmhost.Stream {
		return worker.Request(append([][2]string{{":method", "POST"}}, get(w.token(sub))[1:]...), false)
	}
	ann, bob, eve, joe := stream("ann"), stream("bob"), stream("eve"), stream("joe")
	for _, s := range []*wasmhost.Stream{ann, bob, eve, joe} {
		w.want("before there are keys", s, "waits")
	}
	ann.Body("all of it", true) // while the keys are awaited
	w.want("whose body is there", ann, "waits")
	bob.Body("some", false)
	eve.Close() // cancelled
	tick(20 * time.Millisecond)
	w.proxy.Calls()[0].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(idp)), nil)
	tick(20 * time.Millisecond)
	calls := w.proxy.Calls()
	if len(calls) != 3 {
		t.Fatalf("the service is asked %d times, want for each that is still there", len(calls))
	}
	answer := func(c *wasmhost.Call, code byte) {
		status := []byte{0x08, code, 0x12, 4, 0x08, 5, 0x10, 3, 0x18, 4} // code, limit of 5 an hour, 4 left
		body := append([]byte{0x08, code, 0x12, byte(len(status))}, status...)
		c.Answer([][2]string{{":status", "200"}, {"content-type", "application/grpc"}},
			append([]byte{0, 0, 0, 0, byte(len(body))}, body...), [][2]string{{"grpc-status", "0"}})
	}
	answer(calls[0], 1)
	w.want("ann, whose body was there before", ann, "ok")
	answer(calls[1], 1)
	w.want("bob, whose body is not", bob, "waits")
	answer(calls[2], 2)
	w.want("joe, who is over the shared limit", joe, "rate_limited")
	bob.Body("some more", true)
	w.want("bob, when his body is there", bob, "ok")
	for sub, s := range map[string]*wasmhost.Stream{"ann": ann, "bob": bob} {
		found := 0
		for _, h := range s.RequestHeaders() {
			if h[0] == "x-user" && h[1] == sub || h[0] == "x-edge-stamp" {
				found++
			}
			if h[0] == "authorization" {
				t.Errorf("%s: the token goes upstream", sub)
			}
		}
		if found != 2 {
			t.Errorf("%s: %v", sub, s.RequestHeaders())
		}
	}
	// The last step counts what has come so far, and no more.
	if n := w.proxy.Counters()["tollgate.rate_limit.rule.per-user.outcome.allowed.code.ok"]; n != 2 {
		t.Errorf("the last step has seen %d requests, want 2", n)
	}
	late := stream("zoe")
	w.want("zoe asks the service", late, "waits")
	answer(w.proxy.Calls()[0], 1)
	w.want("and is waited for", late, "waits")
	tick(5 * time.Second)
	w.want("whose body does not come", late, "body_timeout")
	if n := w.proxy.VMs(); n != 1 {
		t.Errorf("%d VMs", n)
	}
}

// A step asks an introspection endpoint, and later ones go by its answer; metadata is answered by its step.
func TestIntrospectedStep(t *testing.T) {
	w := start(t)
	const opaque = `{"name":"who","filter":"jwt-scope","config":{"providers":[{"name":"as","introspection":{"cluster":"idp",` +
		`"authority":"as","path":"/i","clientId":"g","clientSecretEnv":"EDGE"}}],"rules":[{"name":"all"}],` +
		`"resources":[{"path":"/.well-known/oauth-protected-resource/orders","authorizationServers":["https://as"]}],` +
		`"forward":{"token":"strip","claimHeaders":[{"path":["sub"],"header":"x-user"}]}}}`
	worker := w.worker(chained(addresses, opaque, users, sign))
	ask := func(token string) *wasmhost.Stream {
		return worker.Request(get([2]string{"authorization", "Bearer " + token}), true)
	}
	tell := func(body string) {
		t.Helper()
		calls := w.proxy.Calls()
		if len(calls) != 1 {
			t.Fatalf("%d calls", len(calls))
		}
		calls[0].Answer([][2]string{{":status", "200"}}, []byte(body), nil)
	}
	for i, want := range []string{"ok", "ok", "rate_limited"} { // the later step counts ann's two requests
		s := ask(fmt.Sprint("anns-", i))
		w.want("before the answer", s, "waits")
		tell(`{"active":true,"sub":"ann"}`)
		w.want(fmt.Sprint("request ", i), s, want)
		if want != "ok" {
			continue
		}
		user, stamps := "", 0
		for _, h := range s.RequestHeaders() {
			if h[0] == "x-user" {
				user += h[1]
			}
			if h[0] == "x-edge-stamp" {
				stamps++
			}
		}
		if user != "ann" || stamps != 1 {
			t.Errorf("%v", s.RequestHeaders())
		}
	}
	s := ask("mallorys")
	tell(`{"active":false}`)
	w.want("inactive", s, "token_inactive")
	document := get()
	document[2] = [2]string{":path", "/.well-known/oauth-protected-resource/orders"}
	if s := worker.Request(document, true); s.Reply == nil || s.Reply.Status != 200 ||
		!strings.Contains(s.Reply.Body, `"resource":"http://api/orders"`) {
		t.Errorf("metadata: %+v", s.Reply)
	}
	w.want("the first step has counted it, too", worker.Request(get(), true), "rate_limited")
}

// A fault in a step refuses the request under the name of that step's filter.
func TestFaults(t *testing.T) {
	module, err := wasmhost.LoadFile(harness.Module(t, "tollgate"))
	if err != nil {
		t.Fatal(err)
	}
	failing := ""
	p := wasmhost.NewProxy(module,
		wasmhost.Options{Properties: map[string]string{"plugin_name": "t", "source.address": "192.0.2.1:4711"},
			Fault: func(call string) wasmhost.Status {
				if call == failing {
					return wasmhost.InternalFailure
				}
				return wasmhost.OK
			}})
	worker, err := p.Worker(chained(addresses, who(inline())))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"proxy_get_header_map_pairs", "proxy_get_property", "proxy_get_shared_data",
		"proxy_remove_header_map_value", "proxy_set_property", "proxy_call_foreign_function"} {
		failing = call
		// another each time
		token := idp.Token(map[string]any{"iss": "https://idp", "aud": "api", "sub": "ann", "exp": time.Now().Unix() + 60})
		s := worker.Request(get([2]string{"authorization", "Bearer " + token}), true)
		if s.Reply == nil || s.Reply.Status < 429 || s.Action != wasmhost.Pause {
			t.Errorf("%s fails: action %d, reply %+v", call, s.Action, s.Reply)
		}
	}
	if counters := p.Counters(); counters["tollgate.jwt_scope.rule.-.outcome.error.code.internal"] == 0 ||
		counters["tollgate.rate_limit.rule.-.outcome.error.code.internal"] == 0 {
		t.Errorf("the counters are %v", counters)
	}
	if p.VMs() != 1 {
		t.Errorf("%d VMs", p.VMs())
	}
}

// A fault while a request is taken up again answers it: nothing that comes later lets it go on.
func TestFaultAfterWait(t *testing.T) {
	module, err := wasmhost.LoadFile(harness.Module(t, "tollgate"))
	if err != nil {
		t.Fatal(err)
	}
	failing := ""
	clock := time.Unix(1_800_000_000, 0)
	p := wasmhost.NewProxy(module, wasmhost.Options{Clock: func() time.Time { return clock }, Clusters: []string{"idp"},
		Env:        map[string]string{"EDGE": edge.PrivateJWK()},
		Properties: map[string]string{"plugin_name": "t", "source.address": "192.0.2.1:4711"},
		Fault: func(call string) wasmhost.Status {
			if call == failing {
				return wasmhost.InternalFailure
			}
			return wasmhost.OK
		}})
	bound := strings.Replace(sign, `"copyClaims"`, `"bind":["method","body"],"copyClaims"`, 1)
	worker, err := p.Worker(chained(who(remote), bound))
	if err != nil {
		t.Fatal(err)
	}
	token := idp.Token(map[string]any{"iss": "https://idp", "aud": "api", "sub": "ann", "exp": clock.Unix() + 60})
	s := worker.Request(get([2]string{"authorization", "Bearer " + token}), false)
	clock = clock.Add(20 * time.Millisecond)
	worker.Tick()
	p.Calls()[0].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(idp)), nil)
	failing = "proxy_get_header_map_pairs"
	clock = clock.Add(20 * time.Millisecond)
	worker.Tick()
	failing = ""
	if got := s.Outcome(); got != "internal" {
		t.Errorf("the request that cannot be read when its keys are there: %s", got)
	}
	s.Body("all of it", true)
	clock = clock.Add(time.Second)
	worker.Tick()
	if s.Action != wasmhost.Pause || s.Outcome() != "internal" {
		t.Errorf("then its body comes: action %d, %s", s.Action, s.Outcome())
	}
}

// A fault of a later step is that step's filter's, also after an earlier one has waited.
func TestFaultOfLaterStep(t *testing.T) {
	module, err := wasmhost.LoadFile(harness.Module(t, "tollgate"))
	if err != nil {
		t.Fatal(err)
	}
	reads, clock := -1, time.Unix(1_800_000_000, 0)
	p := wasmhost.NewProxy(module, wasmhost.Options{Clock: func() time.Time { return clock }, Clusters: []string{"idp"},
		Properties: map[string]string{"plugin_name": "t", "source.address": "192.0.2.1:4711"},
		Fault: func(call string) wasmhost.Status {
			if call == "proxy_get_header_map_pairs" && reads >= 0 {
				if reads++; reads == 2 { // the first step's is the first; it removes the token
					return wasmhost.InternalFailure
				}
			}
			return wasmhost.OK
		}})
	worker, err := p.Worker(chained(who(remote), addresses))
	if err != nil {
		t.Fatal(err)
	}
	token := idp.Token(map[string]any{"iss": "https://idp", "aud": "api", "sub": "ann", "exp": clock.Unix() + 60})
	s := worker.Request(get([2]string{"authorization", "Bearer " + token}), true)
	clock = clock.Add(20 * time.Millisecond)
	worker.Tick()
	p.Calls()[0].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(idp)), nil)
	reads = 0
	clock = clock.Add(20 * time.Millisecond)
	worker.Tick()
	if s.Reply == nil {
		t.Fatal("it waits on")
	}
	if n := p.Counters()["tollgate.rate_limit.rule.-.outcome.error.code.internal"]; n != 1 ||
		s.Outcome() != "internal" {
		t.Errorf("%s, and the counters are %v", s.Outcome(), p.Counters())
	}
}

// Configurations of one filter, and what is wrong with any.
func TestConfigurations(t *testing.T) {
	var step struct{ Config map[string]any }
	if err := json.Unmarshal([]byte(addresses), &step); err != nil {
		t.Fatal(err)
	}
	step.Config["filter"] = "rate-limit"
	alone, err := json.Marshal(step.Config)
	if err != nil {
		t.Fatal(err)
	}
	w := start(t)
	worker := w.worker(string(alone))
	for range 5 {
		w.want("within", worker.Request(get(), true), "ok")
	}
	w.want("beyond", worker.Request(get(), true), "rate_limited")
	if _, ok := w.proxy.SharedData()["tollgate.limit.1\x00tollgate\x00seed"]; !ok {
		t.Error("the table of a filter alone does not go by Envoy's name")
	}
	bad := chained(strings.Replace(addresses, `"5"`, `"x"`, 1),
		strings.Replace(who(inline()), `"rules":[{"name":"all"}]`, `"rules":[{"name":"all","match":[{"paths":["x"]}]}]`,
			1), strings.Replace(users, `"requests":2`, `"requests":0`, 1))
	_, err = w.proxy.Worker(bad)
	for _, want := range []string{"tollgate:   chain[1].config.rules[0].match[0].paths[0]: ",
		"tollgate:   chain[2].config.limits[0].rate.requests: must be from 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if _, err := w.proxy.Worker(`{"limits":[]}`); err == nil ||
		!strings.Contains(err.Error(), "filter: is required, or chain") {
		t.Errorf("%v", err)
	}
}
