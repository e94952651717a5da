// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/harness/emulated"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

var (
	edge   = mint.New("edge-1", jose.ES256)
	rsaKey = mint.New("rsa-1", jose.RS256)
	ed     = mint.New("ed-1", jose.EdDSA)
)

// world is one proxy with the module that ships, with a clock to turn.
type world struct {
	t     *testing.T
	proxy *wasmhost.Proxy
	clock time.Time
}

func start(t *testing.T, o wasmhost.Options) *world {
	t.Helper()
	module := emulated.Load(t, "edge-stamp")
	w := &world{t: t, clock: time.Unix(1_800_000_000, 0)}
	o.Clock = func() time.Time { return w.clock }
	o.Env = map[string]string{"EDGE": edge.PrivateJWK(), "RSA": rsaKey.PrivateJWK(), "ED": ed.PrivateJWK(), "HALF": half()}
	if o.Properties == nil {
		o.Properties = map[string]string{}
	}
	o.Properties["plugin_name"] = "edge-stamp"
	w.proxy = wasmhost.NewProxy(module, o)
	return w
}

// half is a key whose public half is another's.
func half() string {
	a, b := map[string]any{}, map[string]any{}
	for text, into := range map[string]*map[string]any{edge.PrivateJWK(): &a,
		mint.New("edge-1", jose.ES256).PrivateJWK(): &b} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			panic(err)
		}
	}
	a["x"], a["y"] = b["x"], b["y"]
	text, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (w *world) worker(configs ...string) *wasmhost.Worker {
	w.t.Helper()
	worker, err := w.proxy.Worker(configs...)
	if err != nil {
		w.t.Fatal(err)
	}
	return worker
}

func sign(kid, alg, env, more string) string {
	return fmt.Sprintf(`{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":%q,"alg":%q,"env":%q}],"rules":[{"name":"all","sign":true}]%s}`, kid, alg, env, more)
}

func verify(more string) string {
	return fmt.Sprintf(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":["ES256","RS256","EdDSA"],"jwks":{"inline":%s}}],"rules":[{"name":"all"}]%s}`, mint.Set(edge, rsaKey, ed), more)
}

func get(headers ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":authority", "api"}, {":path", "/orders/7?a=1"},
		{":scheme", "http"}}, headers...)
}

func (w *world) want(what string, s *wasmhost.Stream, code string) {
	w.t.Helper()
	if got := s.Outcome(); got != code {
		w.t.Errorf("%s: %s, want %s", what, got, code)
	}
}

// The edge signs and the mesh takes it, once; every kind of key, both profiles.
func TestChain(t *testing.T) {
	w := start(t, wasmhost.Options{})
	for _, profile := range []string{"", `,"profile":"rfc9421"`} {
		for _, k := range [][3]string{{"edge-1", "ES256", "EDGE"}, {"rsa-1", "RS256", "RSA"}, {"ed-1", "EdDSA", "ED"}} {
			worker := w.worker(sign(k[0], k[1], k[2], profile), verify(profile))
			s := worker.RequestTo(0, get([2]string{"x-edge-stamp", "forged"}), true)
			w.want("signing", s, "ok")
			w.want(k[1]+profile, worker.RequestTo(1, s.RequestHeaders(), true), "ok")
			w.want("S1 again", worker.RequestTo(1, s.RequestHeaders(), true), "stamp_replayed")
			w.want("without", worker.RequestTo(1, get(), true), "stamp_missing")
			counters := w.proxy.Counters()
			for _, code := range []string{"allowed.code.ok", "denied.code.stamp_replayed", "denied.code.stamp_missing"} {
				if counters["tollgate.edge_stamp.rule.all.outcome."+code] == 0 {
					t.Errorf("%s is not counted: %v", code, counters)
				}
			}
		}
	}
}

// A proxy without sign, as Envoy 1.36 is: EC keys are refused at start with the reason, all others sign in the filter.
func TestWithoutSign(t *testing.T) {
	w := start(t, wasmhost.Options{Foreign: map[string]func([]byte) ([]byte,
		wasmhost.Status){"sign": func([]byte) ([]byte, wasmhost.Status) { return nil, wasmhost.NotFound }}})
	if _, err := w.proxy.Worker(sign("edge-1", "ES256", "EDGE", "")); err == nil ||
		!strings.Contains(err.Error(),
			"keys[0]: ES256: this proxy cannot sign: the foreign function sign came with Envoy 1.37") {
		t.Errorf("ES256: %v", err)
	}
	for _, k := range [][3]string{{"rsa-1", "RS256", "RSA"}, {"ed-1", "EdDSA", "ED"}} {
		worker := w.worker(sign(k[0], k[1], k[2], ""), verify(""))
		s := worker.RequestTo(0, get(), true)
		w.want(k[1], worker.RequestTo(1, s.RequestHeaders(), true), "ok")
	}
}

// Keys that cannot sign are found out at start.
func TestKeysAreProven(t *testing.T) {
	for name, c := range map[string]struct {
		foreign map[string]func([]byte) ([]byte, wasmhost.Status)
		env     string
		want    string
	}{
		"halves of two keys": {nil, "HALF", "keys[0]: the public part does not belong to the private one"},
		"sign fails": {map[string]func([]byte) ([]byte,
			wasmhost.Status){"sign": func([]byte) ([]byte, wasmhost.Status) { return nil, wasmhost.InternalFailure }},
			"EDGE", "keys[0]: ES256: "},
		"sign answers nonsense": {map[string]func([]byte) ([]byte,
			wasmhost.Status){"sign": func([]byte) ([]byte, wasmhost.Status) {
			return []byte("\x08\x01\x12\x01x"),
				wasmhost.OK
		}}, "EDGE", "keys[0]: the proxy's signature has not the form that ES256 has"},
		"verify answers nonsense": {map[string]func([]byte) ([]byte,
			wasmhost.Status){"verify_signature": func([]byte) ([]byte, wasmhost.Status) {
			return []byte("x"),
				wasmhost.OK
		}}, "EDGE", "keys[0]: verify_signature answered what cannot be read"},
	} {
		w := start(t, wasmhost.Options{Foreign: c.foreign})
		_, err := w.proxy.Worker(sign("edge-1", "ES256", c.env, ""))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), `"d"`) {
			t.Errorf("%s: S14 the key is in the log", name)
		}
	}
}

// A body that is bound is awaited, hashed in parts and compared; what is refused reaches nobody.
func TestBody(t *testing.T) {
	const bind = `,"bind":["method","path","body"]`
	const demand = `,"require":{"bind":["body"]}`
	for _, profile := range []string{"", `,"profile":"rfc9421"`} {
		w := start(t, wasmhost.Options{})
		worker := w.worker(sign("edge-1", "ES256", "EDGE", bind+profile), verify(demand+profile))
		signed := func(parts ...string) [][2]string {
			t.Helper()
			s := worker.RequestTo(0, get(), false)
			w.want("signing", s, "waits")
			for i, part := range parts {
				w.want("signing", s, "waits")
				s.Body(strings.Join(parts[:i], "")+part, i == len(parts)-1)
			}
			w.want("signing", s, "ok")
			return s.RequestHeaders()
		}
		for name, c := range map[string]struct {
			body []string
			code string
		}{"the body": {[]string{"hello"}, "ok"}, "in parts": {[]string{"he", "", "llo"}, "ok"},
			"another": {[]string{"hellO"}, "stamp_mismatch"}, "more": {[]string{"hello", "x"}, "stamp_mismatch"},
			"none": {[]string{""}, "stamp_mismatch"}} {
			s := worker.RequestTo(1, signed("hel", "lo"), false)
			whole := ""
			for i, part := range c.body {
				w.want(name, s, "waits")
				whole += part
				s.Body(whole, i == len(c.body)-1)
			}
			w.want(name, s, c.code)
			s.Close()
		}
		// Trailers end a body, too.
		s := worker.RequestTo(1, signed("hello"), false)
		s.Body("hello", false)
		w.want("before the trailers", s, "waits")
		s.Trailers([][2]string{{"x", "1"}})
		w.want("with trailers", s, "ok")
		s = worker.RequestTo(1, signed("hello"), false)
		s.Body("hellO", false)
		s.Trailers([][2]string{{"x", "1"}})
		w.want("S8 with trailers, another", s, "stamp_mismatch")
		s = worker.RequestTo(0, get(), false)
		s.Trailers([][2]string{{"x", "1"}})
		w.want("trailers and no body", s, "ok")
		// No body at all.
		s = worker.RequestTo(0, get(), true)
		w.want("signing no body", s, "ok")
		w.want("no body", worker.RequestTo(1, s.RequestHeaders(), true), "ok")
		// Too much, said or not.
		s = worker.RequestTo(1, signed("hello"), false)
		s.Body(strings.Repeat("x", 1<<20), false)
		w.want("as much as may be", s, "waits")
		s.Body(strings.Repeat("x", 1<<20+1), false)
		w.want("more", s, "body_too_large")
		// Too slow.
		s = worker.RequestTo(1, signed("hello"), false)
		w.clock = w.clock.Add(29 * time.Second)
		worker.Tick()
		w.want("after 29 seconds", s, "waits")
		w.clock = w.clock.Add(2 * time.Second)
		worker.Tick()
		w.want("after 31 seconds", s, "body_timeout")
		if log := w.proxy.LogText(); !strings.Contains(log, "allow_on_headers_stop_iteration: true?") {
			t.Error("the log does not say what may be missing")
		}
		s.Close()
		worker.Tick()
	}
}

// The identity comes from filter state, and goes on there.
func TestIdentity(t *testing.T) {
	w := start(t, wasmhost.Options{
		Properties: map[string]string{"filter_state.wasm.tollgate.identity": `{"sub":"ann","iss":"idp"}`}})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", `,"copyClaims":["sub"]`),
		verify(`,"forward":{"stamp":"strip","claimHeaders":[{"path":["sub"],"header":"x-user"}]}`))
	s := worker.RequestTo(0, get(), true)
	w.want("signing", s, "ok")
	v := worker.RequestTo(1, append(s.RequestHeaders(), [2]string{"x-user", "root"}), true)
	w.want("verifying", v, "ok")
	identity, _ := v.FilterState("wasm.tollgate.identity")
	if h := fmt.Sprint(v.RequestHeaders()); !strings.Contains(identity, `"sub":"ann"`) ||
		!strings.Contains(identity, `"iss":"https://edge"`) || !strings.Contains(h, "[x-user ann]") ||
		strings.Contains(h, "stamp") || strings.Contains(h, "root") {
		t.Errorf("the identity is %s, the headers are %s", identity, h)
	}
}

// The edge answers for its keys itself.
func TestPublish(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", `,"publish":"/keys"`))
	s := worker.Request([][2]string{{":method", "GET"}, {":authority", "edge"}, {":path", "/keys"},
		{":scheme", "http"}}, true)
	var set jose.JSONWebKeySet
	if s.Reply == nil || s.Reply.Status != 200 || json.Unmarshal([]byte(s.Reply.Body), &set) != nil ||
		len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("%+v", s.Reply)
	}
	s = worker.Request([][2]string{{":method", "GET"}, {":authority", "edge"}, {":path", "/keys"}, {":scheme", "http"},
		{"if-none-match", value(s.Reply.Headers, "etag")}}, true)
	if s.Reply == nil || s.Reply.Status != 304 {
		t.Errorf("%+v", s.Reply)
	}
}

func value(headers [][2]string, name string) string {
	for _, h := range headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// A stamp that comes before the keys waits for them, with its body; one of a new key has them fetched again.
func TestRemoteKeys(t *testing.T) {
	w := start(t, wasmhost.Options{Clusters: []string{"edge"}})
	const mesh = `{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"remote":{"cluster":"edge","authority":"edge","path":"/keys"}}}],"rules":[{"name":"all","require":{"bind":["body"]}}]}`
	worker := w.worker(sign("edge-1", "ES256", "EDGE", `,"bind":["body"]`), mesh, sign("rsa-1", "RS256", "RSA", ""))
	signed := func(plugin int, body string) [][2]string {
		s := worker.RequestTo(plugin, get(), body == "")
		if body != "" {
			s.Body(body, true)
		}
		w.want("signing", s, "ok")
		return s.RequestHeaders()
	}
	pass := func() {
		w.clock = w.clock.Add(20 * time.Millisecond)
		worker.Tick()
	}
	early, empty, forged := worker.RequestTo(1, signed(0, "hello"), false), worker.RequestTo(1, signed(0, ""), true),
		worker.RequestTo(1, signed(0, "hello"), false)
	pass()
	early.Body("hello", true)
	forged.Body("hellO", true)
	for name, s := range map[string]*wasmhost.Stream{"early": early, "empty": empty, "forged": forged} {
		w.want(name, s, "waits")
	}
	if calls := w.proxy.Calls(); len(calls) != 1 {
		t.Fatalf("%d fetches", len(calls))
	}
	w.proxy.Calls()[0].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(edge)), nil)
	pass()
	w.want("early", early, "ok")
	w.want("empty", empty, "ok")
	w.want("forged", forged, "stamp_mismatch")
}

// W1 and the like: a fault while a body is awaited refuses that request, and no other.
func TestFaultWhileHeld(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", `,"bind":["body"]`))
	a, b := worker.Request(get(), false), worker.Request(get(), false)
	a.Close()
	b.Body("x", true)
	w.want("the other is gone", b, "ok")
	w.clock = w.clock.Add(time.Hour)
	worker.Tick()
	if n := w.proxy.VMs(); n != 1 {
		t.Errorf("%d VMs", n)
	}
}

// What still comes of the body of a request that has been answered is not looked at.
func TestBodyOfRefused(t *testing.T) {
	w := start(t, wasmhost.Options{Lingers: true})
	worker := w.worker(verify(`,"require":{"bind":["body"]}`))
	s := worker.Request(get([2]string{"x-edge-stamp", "x"}), false)
	w.want("refused", s, "stamp_malformed")
	worker.ResetCrossings()
	s.Reply = nil // as if the proxy passed it all the same
	s.Body("hello", true)
	if n := worker.Crossings()["proxy_get_buffer_bytes"]; n != 0 || s.Action != wasmhost.Pause {
		t.Errorf("its body is read %d times, action %d", n, s.Action)
	}
	s.Close()
	if n := w.proxy.VMs(); n != 1 {
		t.Errorf("%d VMs", n)
	}
}

// How often a request crosses between proxy and filter is its price.
func TestCrossings(t *testing.T) {
	harness.Alone(t, "neighbours have crossings of their own; those of chains are counted in filters/tollgate/chain")
	w := start(t, wasmhost.Options{})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", ""), verify(`,"require":{"replay":"off"}`), verify(""))
	count := func(plugin int, headers [][2]string) map[string]int {
		worker.RequestTo(plugin, headers, true).Close()
		worker.ResetCrossings()
		worker.RequestTo(plugin, headers, true).Close()
		return worker.Crossings()
	}
	s := worker.RequestTo(0, get(), true)
	stream := map[string]int{"proxy_on_context_create": 1, "proxy_on_request_headers": 1, "proxy_on_delete": 1,
		"proxy_get_header_map_pairs": 1, "proxy_get_current_time_nanoseconds": 1, "proxy_increment_metric": 1,
		"proxy_on_memory_allocate": 2, "proxy_call_foreign_function": 1}
	for name, c := range map[string]struct {
		got, more map[string]int
	}{
		"sign":   {count(0, get()), map[string]int{"proxy_replace_header_map_value": 1}},
		"verify": {count(1, s.RequestHeaders()), map[string]int{"proxy_set_property": 1}},
	} {
		for _, m := range []map[string]int{stream, c.more} {
			for call, n := range m {
				if c.got[call] != n {
					t.Errorf("%s: %s %d times, want %d", name, call, c.got[call], n)
				}
			}
		}
		for call, n := range c.got {
			if stream[call]+c.more[call] == 0 {
				t.Errorf("%s: %s %d times, want never", name, call, n)
			}
		}
	}
}

// S16: a million stamps take no more memory than the first thousands.
func TestManyStamps(t *testing.T) {
	w := start(t, wasmhost.Options{})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", ""), verify(`,"replay":{"entries":256}`))
	admitted, refused := 0, 0
	size := func() (n int) {
		for key, b := range w.proxy.SharedData() {
			if strings.HasPrefix(key, "tollgate.replay.") {
				n += len(b)
			}
		}
		return n
	}
	for range 2000 {
		s := worker.RequestTo(0, get(), true)
		v := worker.RequestTo(1, s.RequestHeaders(), true)
		if v.Reply == nil {
			admitted++
		} else {
			w.want("a full table", v, "replay_full")
			refused++
		}
		s.Close()
		v.Close()
	}
	if admitted < 256 || refused == 0 || size() > 512*16+100 {
		t.Errorf("%d admitted, %d refused, %d bytes", admitted, refused, size())
	}
	w.clock = w.clock.Add(time.Minute)
	s := worker.RequestTo(0, get(), true)
	w.want("when all have expired", worker.RequestTo(1, s.RequestHeaders(), true), "ok")
}

// Other workers change the record between this one's look and its write: it tries sixteen times,
// and a stamp that then is not remembered is refused.
func TestFasterWorkers(t *testing.T) {
	lost, tries := 0, 0
	w := start(t, wasmhost.Options{Fault: func(call string) wasmhost.Status {
		if call == "proxy_set_shared_data" && lost > 0 {
			lost, tries = lost-1, tries+1
			return wasmhost.CasMismatch
		}
		return wasmhost.OK
	}})
	worker := w.worker(sign("edge-1", "ES256", "EDGE", ""), verify(""))
	stamped := func() *wasmhost.Stream {
		s := worker.RequestTo(0, get(), true)
		return worker.RequestTo(1, s.RequestHeaders(), true)
	}
	lost = 15
	w.want("the sixteenth try", stamped(), "ok")
	lost, tries = 100, 0
	if w.want("never", stamped(), "internal"); tries != 16 {
		t.Errorf("%d tries", tries)
	}
}

func TestRefusedConfiguration(t *testing.T) {
	harness.Alone(t, "in a chain faults are told from its top: filters/tollgate/chain")
	w := start(t, wasmhost.Options{})
	for text, want := range map[string]string{"": "the configuration is empty", `{"role":"sign"}`: "issuer: is required"} {
		if _, err := w.proxy.Worker(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A rule with peers: a stamp that comes before the keys, or of a kid that must be fetched, waits
// for them as it does without peers.
func TestPeersAndRemoteKeys(t *testing.T) {
	const id = "spiffe://example.org/edge"
	for name, peers := range map[string]string{"without peers": "", "with peers": `,"peers":["` + id + `"]`} {
		t.Run(name, func(t *testing.T) {
			w := start(t, wasmhost.Options{Clusters: []string{"edge"},
				Properties: map[string]string{"connection.uri_san_peer_certificate": id}})
			mesh := `{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"remote":{"cluster":"edge","authority":"edge","path":"/keys"}}}],"rules":[{"name":"all"` + peers + `}]}`
			worker := w.worker(sign("edge-1", "ES256", "EDGE", ""), mesh, sign("rsa-1", "RS256", "RSA", ""))
			signed := func(plugin int) [][2]string {
				s := worker.RequestTo(plugin, get(), true)
				w.want("signing", s, "ok")
				return s.RequestHeaders()
			}
			pass := func(d time.Duration) {
				w.clock = w.clock.Add(d)
				worker.Tick()
			}
			early := worker.RequestTo(1, signed(0), true)
			w.want("before the first keys", early, "waits")
			pass(20 * time.Millisecond)
			w.proxy.Calls()[0].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(edge)), nil)
			pass(20 * time.Millisecond)
			w.want("before the first keys, once they are there", early, "ok")

			pass(time.Minute)
			rotated := worker.RequestTo(1, signed(2), true)
			w.want("a kid that is not there yet", rotated, "waits")
			pass(20 * time.Millisecond)
			if calls := w.proxy.Calls(); len(calls) > 0 {
				calls[len(calls)-1].Answer([][2]string{{":status", "200"}}, []byte(mint.Set(edge, rsaKey)), nil)
			}
			pass(20 * time.Millisecond)
			w.want("a kid that is not there yet, once it is", rotated, "ok")
		})
	}
}
