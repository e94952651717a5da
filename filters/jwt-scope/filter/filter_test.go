// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"fmt"
	"reflect"
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
	now   = time.Unix(1_700_000_000, 0)
	ec    = mint.New("ec", jose.ES256)
	rs    = mint.New("rsa", jose.RS256)
	other = mint.New("ec", jose.ES256)
)

func config() string {
	return fmt.Sprintf(`{"providers": [{"name": "p", "issuer": "i", "audiences": ["a"], "jwks": {"inline": %s}}],
	 "rules": [{"name": "public", "match": [{"paths": ["/public"]}], "access": "public"}, {"name": "tool", "match": [{"paths": ["/mcp"], "headers": [{"name": "Mcp-Name", "exact": "search"}]}], "access": "public"}, {"name": "read", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"all": ["read"]}}}]}`, mint.Set(ec, rs))
}

func claims(exp int64) map[string]any {
	return map[string]any{"iss": "i", "aud": "a", "scope": "read", "exp": exp}
}

// load gives the module that ships, in a proxy whose clock stands at now.
func load(t *testing.T, o wasmhost.Options) *wasmhost.Proxy {
	t.Helper()
	module := emulated.Load(t, "jwt-scope")
	if o.Clock == nil {
		o.Clock = func() time.Time { return now }
	}
	return wasmhost.NewProxy(module, o)
}

func worker(t *testing.T, p *wasmhost.Proxy, configs ...string) *wasmhost.Worker {
	t.Helper()
	w, err := p.Worker(configs...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func request(path string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", "GET"}, {":authority", "api"}, {":path", path}, {":scheme", "http"}}, headers...)
}

func bearer(token string) [2]string { return [2]string{"authorization", "Bearer " + token} }

// W12 W13: main does not run and the proxy offers nothing while a module starts (wasmhost fails
// where it is called then), and yet the filter is there.
func TestCompiledModule(t *testing.T) {
	p := load(t, wasmhost.Options{})
	w := worker(t, p, config())
	for _, c := range []struct {
		name    string
		headers [][2]string
		status  uint32 // 0: goes on
		counter string
	}{
		{"public", request("/public"), 0, "rule.public.outcome.allowed.code.ok"},
		{"ES256", request("/orders/7", bearer(ec.Token(claims(now.Unix()+1)))), 0, "rule.read.outcome.allowed.code.ok"},
		{"RS256", request("/orders/7", bearer(rs.Token(claims(now.Unix()+1)))), 0, "rule.read.outcome.allowed.code.ok"},
		{"the clock is the proxy's", request("/orders/7", bearer(ec.Token(claims(now.Unix()-30)))), 401,
			"rule.read.outcome.denied.code.token_expired"},
		{"forged", request("/orders/7", bearer(other.Token(claims(now.Unix()+1)))), 401,
			"rule.read.outcome.denied.code.token_signature"},
		{"no token", request("/orders/7"), 401, "rule.read.outcome.denied.code.token_missing"},
		{"no rule", request("/"), 403, "rule.-.outcome.denied.code.no_rule"},
		{"ambiguous", request("//"), 400, "rule.-.outcome.denied.code.path_ambiguous"},
		{"by header", request("/mcp", [2]string{"mcp-name", "search"}), 0, "rule.tool.outcome.allowed.code.ok"},
		{"another value", request("/mcp", [2]string{"mcp-name", "refund"}), 403, "rule.-.outcome.denied.code.no_rule"},
		{"P25 a header twice", request("/mcp", [2]string{"mcp-name", "search"}, [2]string{"mcp-name", "refund"}), 400,
			"rule.-.outcome.denied.code.header_ambiguous"},
		{"P26 a header in another spelling",
			request("/mcp", [2]string{"mcp-name", "search"}, [2]string{"mcp_name", "refund"}), 400, "rule.-.outcome.denied.code.header_ambiguous"},
		{"P27 a header twice, for which nobody asks", request("/public", [2]string{"mcp-name", "a"},
			[2]string{"mcp-name", "b"}), 0, "rule.public.outcome.allowed.code.ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			counter := "tollgate.jwt_scope." + c.counter
			before := p.Counters()[counter]
			s := w.Request(c.headers, true)
			defer s.Close()
			if c.status == 0 && (s.Reply != nil || s.Action != wasmhost.Continue) || c.status != 0 &&
				(s.Reply == nil || s.Reply.Status != c.status || s.Action != wasmhost.Pause) {
				t.Errorf("action %d, reply %+v", s.Action, s.Reply)
			}
			if after := p.Counters()[counter]; after != before+1 {
				t.Errorf("%s went from %d to %d", counter, before, after)
			}
		})
	}
}

// Every algorithm, by the proxy or here, with a token and with the same token of another key.
func TestAlgorithms(t *testing.T) {
	var names []string
	var keys, forgers []*mint.Key
	for _, a := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512} {
		names = append(names, `"`+string(a)+`"`)
		keys, forgers = append(keys, mint.New(string(a), a)), append(forgers, mint.New(string(a), a))
	}
	w := worker(t, load(t, wasmhost.Options{}),
		strings.Replace(strings.Replace(config(), string(mint.Set(ec, rs)), string(mint.Set(keys...)), 1),
			`"audiences"`, `"algorithms": [`+strings.Join(names, ",")+`], "audiences"`, 1))
	for i, k := range keys {
		if s := w.Request(request("/orders/7", bearer(k.Token(claims(now.Unix()+1)))), true); s.Reply != nil {
			t.Errorf("%s: %+v", k.Algorithm, s.Reply)
		}
		if s := w.Request(request("/orders/7", bearer(forgers[i].Token(claims(now.Unix()+1)))), true); s.Reply == nil ||
			!strings.Contains(s.Reply.Body, "token_signature") {
			t.Errorf("%s of another key: %+v", k.Algorithm, s.Reply)
		}
	}
}

// How often a request crosses between proxy and filter is its price.
func TestCrossings(t *testing.T) {
	harness.Alone(t, "neighbours have crossings of their own; those of chains are counted in filters/tollgate/chain")
	w := worker(t, load(t, wasmhost.Options{}), config())
	token := bearer(ec.Token(claims(now.Unix() + 1)))
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    map[string]int
	}{
		{"a public request", request("/public"),
			map[string]int{"proxy_on_context_create": 1, "proxy_on_request_headers": 1, "proxy_on_delete": 1,
				"proxy_get_header_map_pairs": 1,
				"proxy_on_memory_allocate":   1, "proxy_get_current_time_nanoseconds": 1, "proxy_increment_metric": 1}},
		{"a known token", request("/orders/7", token),
			map[string]int{"proxy_on_context_create": 1, "proxy_on_request_headers": 1, "proxy_on_delete": 1,
				"proxy_get_header_map_pairs": 1,
				"proxy_on_memory_allocate":   1, "proxy_get_current_time_nanoseconds": 1, "proxy_increment_metric": 1,
				"proxy_set_property": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Request(c.headers, true).Close() // defines the counter, and verifies the token
			w.ResetCrossings()
			w.Request(c.headers, true).Close()
			got := w.Crossings()
			for name, n := range c.want {
				if got[name] != n {
					t.Errorf("%s: %d times, want %d", name, got[name], n)
				}
			}
			for name, n := range got {
				if c.want[name] == 0 {
					t.Errorf("%s: %d times, want never", name, n)
				}
			}
		})
	}
}

// What the service behind gets to see.
func TestForwarding(t *testing.T) {
	forward := strings.Replace(config(), "{",
		`{"forward": {"token": "strip", "payloadHeader": "x-payload", "claimHeaders": [{"path": ["sub"], "header": "x-user"}]},`, 1)
	w := worker(t, load(t, wasmhost.Options{}), forward)
	c := claims(now.Unix() + 1)
	c["sub"] = "ann"
	token := ec.Token(c)
	s := w.Request(request("/orders/7", [2]string{"x_user", "root"}, bearer(token), [2]string{"x-user", "root"},
		[2]string{"x-b", "1"}), true)
	want := append(request("/orders/7"),
		[][2]string{{"x-b", "1"}, {"x-payload", strings.Split(token, ".")[1]}, {"x-user", "ann"}}...)
	if got := s.RequestHeaders(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if identity, ok := s.FilterState("wasm.tollgate.identity"); !ok || !strings.Contains(identity, `"sub":"ann"`) {
		t.Errorf("the identity is %q", identity)
	}
	s = w.Request(request("/public", [2]string{"x-user", "root"}), true)
	if got := s.RequestHeaders(); !reflect.DeepEqual(got, request("/public")) {
		t.Errorf("P9 on a public path: %v", got)
	}
	if _, ok := s.FilterState("wasm.tollgate.identity"); ok {
		t.Error("an identity without token")
	}
}

// W22: two configurations in one VM do not know of each other.
func TestTwoConfigurationsInOneVM(t *testing.T) {
	open := strings.Replace(config(), `"/public"`, `"/orders/{**}"`, 1)
	w := worker(t, load(t, wasmhost.Options{}), config(), open)
	if s := w.RequestTo(0, request("/orders/7"), true); s.Reply == nil || s.Reply.Status != 401 {
		t.Errorf("the strict configuration: %+v", s.Reply)
	}
	if s := w.RequestTo(1, request("/orders/7"), true); s.Reply != nil {
		t.Errorf("the open configuration: %+v", s.Reply)
	}
}

func TestRefusedConfiguration(t *testing.T) {
	harness.Alone(t, "in a chain faults are told from its top: filters/tollgate/chain")
	for text, want := range map[string]string{
		"":                           "the configuration is empty",
		"{":                          "not JSON at line 1, column 2",
		`{"rules":[],"providers":1}`: "providers: want a list, got a number",
	} {
		if _, err := load(t, wasmhost.Options{}).Worker(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A host call that fails is a refusal, whatever the token.
func TestSignatureCheckThatFails(t *testing.T) {
	token := bearer(ec.Token(claims(now.Unix() + 1)))
	for name, f := range map[string]func([]byte) ([]byte, wasmhost.Status){
		"the call fails":                   func([]byte) ([]byte, wasmhost.Status) { return nil, wasmhost.InternalFailure },
		"the call is not there":            func([]byte) ([]byte, wasmhost.Status) { return nil, wasmhost.NotFound },
		"an answer that is none":           func([]byte) ([]byte, wasmhost.Status) { return []byte{8, 2}, wasmhost.OK },
		"success with something behind it": func([]byte) ([]byte, wasmhost.Status) { return []byte{8, 1, 8, 1}, wasmhost.OK },
	} {
		p := load(t, wasmhost.Options{Foreign: map[string]func([]byte) ([]byte, wasmhost.Status){"verify_signature": f}})
		s := worker(t, p, config()).Request(request("/orders/7", token), true)
		if s.Reply == nil || s.Reply.Status != 500 ||
			p.Counters()["tollgate.jwt_scope.rule.read.outcome.error.code.internal"] != 1 {
			t.Errorf("%s: %+v, %v", name, s.Reply, p.Counters())
		}
	}
	for name, result := range map[string][]byte{"nothing": nil, "an error": {0x12, 1, 'x'}} {
		p := load(t, wasmhost.Options{Foreign: map[string]func([]byte) ([]byte,
			wasmhost.Status){"verify_signature": func([]byte) ([]byte, wasmhost.Status) { return result, wasmhost.OK }}})
		if s := worker(t, p, config()).Request(request("/orders/7", token), true); s.Reply == nil || s.Reply.Status != 401 {
			t.Errorf("the answer %s: %+v", name, s.Reply)
		}
	}
}

// J28 W30: no token, claim or configuration in the log.
func TestLogTellsNothing(t *testing.T) {
	p := load(t, wasmhost.Options{})
	w := worker(t, p, config())
	token := ec.Token(map[string]any{"iss": "i", "aud": "a", "scope": "read", "exp": now.Unix() + 1,
		"sub": "s3cr3t-subject"})
	w.Request(request("/orders/7?q=s3cr3t-query", bearer(token)), true).Close()
	w.Request(request("/orders/7", bearer(token+"x")), true).Close()
	if lines := p.Log(); len(lines) != 1 ||
		lines[0] != (wasmhost.LogLine{Level: 1,
			Text: "jwt_scope: denied rule=read code=token_malformed: not canonical base64url"}) {
		t.Errorf("the log has %v, want one line at debug level for the refusal", lines)
	}
	many := claims(now.Unix() + 1)
	for i := range 1100 {
		many[fmt.Sprint("s3cr3t-", i)] = i
	}
	w.Request(request("/orders/7", bearer(ec.Token(many))), true).Close()
	if text := p.LogText(); !strings.Contains(text, "code=token_malformed: over limits.tokenBytes: ") &&
		!strings.Contains(text, "over limits.jsonMembers: 1104, of 1024 allowed") {
		t.Errorf("the log does not name the limit:\n%s", text)
	}
	if text := p.LogText(); strings.Contains(text, "s3cr3t") || strings.Contains(text, token[:20]) {
		t.Errorf("the log has a secret:\n%s", text)
	}
}

// W14: what a host call returns lies in memory that the next request uses again; what is remembered
// of a token must be a copy.
func TestRememberedTokenIsACopy(t *testing.T) {
	forward := strings.Replace(config(), "{",
		`{"forward": {"payloadHeader": "x-payload", "claimHeaders": [{"path": ["sub"], "header": "x-user"}]},`, 1)
	w := worker(t, load(t, wasmhost.Options{}), forward)
	token := func(sub string) string {
		c := claims(now.Unix() + 1)
		c["sub"] = sub
		return ec.Token(c)
	}
	tokens := map[string]string{"ann": token("ann"), "bob": token("bob"), "eve": token("eve")}
	for range 3 {
		for sub, token := range tokens {
			s := w.Request(request("/orders/7", [2]string{"x-noise", strings.Repeat("z", 3000)}, bearer(token)), true)
			headers := s.RequestHeaders()
			if got := headers[len(headers)-2:]; !reflect.DeepEqual(got,
				[][2]string{{"x-payload", strings.Split(token, ".")[1]}, {"x-user", sub}}) {
				t.Errorf("%s is forwarded as %v", sub, got)
			}
			if identity, _ := s.FilterState("wasm.tollgate.identity"); !strings.Contains(identity, `"sub":"`+sub+`"`) {
				t.Errorf("the identity of %s is %s", sub, identity)
			}
			s.Close()
			w.Request(request("/"+strings.Repeat("overwritten/", 300),
				[2]string{"x-noise", strings.Repeat("y", 60<<10)}), true).Close()
		}
	}
}

// W31: the proxy does not tell how much memory a VM has; the filter does.
func TestMemoryIsTold(t *testing.T) {
	harness.Alone(t, "neighbours have gauges of their own")
	clock := now
	p := load(t, wasmhost.Options{Clock: func() time.Time { return clock }})
	w := worker(t, p, config())
	const gauge = "tollgate.jwt_scope.vm.memory_bytes"
	w.Tick()
	if n := p.Gauges()[gauge]; n < 1<<20 || n > 64<<20 || uint32(n) > w.Memory() {
		t.Errorf("%s is %d, of a memory of %d", gauge, n, w.Memory())
	}
	w.ResetCrossings()
	for range 9 {
		clock = clock.Add(time.Second)
		w.Tick()
	}
	if n := w.Crossings()["proxy_record_metric"]; n != 0 {
		t.Errorf("it is told %d times in nine seconds", n)
	}
	clock = clock.Add(time.Second)
	if w.Tick(); w.Crossings()["proxy_record_metric"] != 1 {
		t.Error("it is not told after ten seconds")
	}
}
