// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package soak runs the filters under full load, jwt-scope with hostile requests among the good
// ones, edge-stamp with ever new stamps, rate-limit with ever new keys: for seconds in every test
// run, for as long as one likes with make soak.
package soak

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// duration of the load: TOLLGATE_SOAK, or a few seconds.
func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TOLLGATE_SOAK")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("TOLLGATE_SOAK=%q: want a duration such as 10m", text)
	}
	return d
}

const (
	issuer      = "https://idp.example"
	clients     = 8
	goodTokens  = 1500 // more than the cache holds
	hostileRate = 20   // one request in so many
)

func claims(more map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": "orders-api", "sub": "ann", "scope": "orders:read",
		"exp": time.Now().Add(24 * time.Hour).Unix()}
	for name, v := range more {
		c[name] = v
	}
	return c
}

// hostile makes requests that must be refused, none like another: what a fuzzer would send to a gateway.
func hostile(rng *rand.Rand, token string) string {
	parts := strings.Split(token, ".")
	random := make([]byte, rng.IntN(300))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	noise := base64.RawURLEncoding.EncodeToString(random)
	path, method := "/orders/7", "GET"
	headers := "Authorization: Bearer "
	bad := ""
	switch rng.IntN(14) {
	case 0:
		bad = parts[0] + "." + parts[1] + "." + noise
	case 1:
		bad = noise + "." + parts[1] + "." + parts[2]
	case 2:
		bad = parts[0] + "." + noise + "." + parts[2]
	case 3:
		bad = strings.Repeat(noise+".", 1+rng.IntN(30))
	case 4:
		bad = encode(map[string]any{"alg": []string{"none", "HS256", "ES256", "RS256", "PS512"}[rng.IntN(5)],
			"kid": noise}) + "." + parts[1] + "." + noise
	case 5:
		i := rng.IntN(len(token))
		bad = token[:i] + string("Aa0-_=.~"[rng.IntN(8)]) + token[i:]
	case 6:
		bad = encode(map[string]any{"alg": "ES256", "kid": strings.Repeat("k", rng.IntN(400))}) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", rng.IntN(4000)))) + "." + parts[2]
	case 7:
		bad = strings.Repeat("A", 20_000+rng.IntN(20_000))
	case 8:
		bad = token + "," + token
	case 9:
		bad, path = token, "/orders/"+strings.Repeat("%2e%2e/", rng.IntN(20))+"..;/"+
			strings.Repeat("a/", rng.IntN(300))+"..%2f"
	case 10:
		headers += token + "\r\nAuthorization: Bearer "
		bad = token
	case 11:
		bad, method = token, []string{"get", "QUERY", "DELETE", "PATCH"}[rng.IntN(4)]
	case 12:
		headers, bad = "Cookie: "+strings.Repeat("a=b; ", rng.IntN(200)), "z=1"
	case 13:
		bad = encode(map[string]any{"alg": "ES256", "kid": "ec"}) + "." +
			encode(map[string]any{"iss": issuer, "aud": strings.Repeat("x", rng.IntN(500)), "exp": 1e18,
				"deep": map[string]any{"a": map[string]any{"b": []any{1, 2.5, nil}}}}) + "." + parts[2]
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: api.example\r\n%s%s\r\n\r\n", method, path, headers, bad)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own making
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// answered counts what came back.
type answered struct{ admitted, refused, wrong atomic.Int64 }

// load sends requests over kept connections until the time is over.
func load(t *testing.T, address string, tokens []string, seed uint64, until time.Time, n *answered) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var c net.Conn
	var r *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for time.Now().Before(until) {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", address, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
			r = bufio.NewReader(c)
		}
		token := tokens[rng.IntN(len(tokens))]
		bad := rng.IntN(hostileRate) == 0
		request := "GET /orders/" + fmt.Sprint(rng.IntN(1000)) +
			" HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		if bad {
			request = hostile(rng, token)
		}
		_ = c.SetDeadline(time.Now().Add(15 * time.Second)) // fails on a closed connection only, as what follows then does
		if _, err := io.WriteString(c, request); err != nil {
			t.Errorf("sending: %v", err)
			return
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("no answer to %.300q: %v", request, err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("half an answer to %.300q: %v", request, err)
			return
		}
		switch {
		case resp.StatusCode >= 500, bad == (resp.StatusCode == 200):
			if n.wrong.Add(1) < 10 {
				t.Errorf("%d %s to %.300q", resp.StatusCode, body, request)
			}
		case bad:
			n.refused.Add(1)
		default:
			n.admitted.Add(1)
		}
		if resp.Close {
			c.Close()
			c = nil
		}
	}
}

// J27 W3 W8 W25: whatever is sent, no VM traps, the filter answers nothing with 5xx, the set of its
// counters stays that of the configuration, and memory stays where it was.
func TestSoak(t *testing.T) {
	rsaKey, ecKey := mint.New("rsa", jose.RS256), mint.New("ec", jose.ES256)
	var tokens []string
	for i := range goodTokens {
		k := ecKey
		if i%3 == 0 {
			k = rsaKey
		}
		tokens = append(tokens, k.Token(claims(map[string]any{"sub": fmt.Sprint("user-", i), "jti": fmt.Sprint(i)})))
	}
	config := fmt.Sprintf(`{"providers": [{"name": "corp", "issuer": %q, "audiences": ["orders-api"], "jwks": {"inline": %s}}],
	 "rules": [{"name": "read", "match": [{"paths": ["/orders/{**}"], "methods": ["GET"]}], "require": {"scopes": {"all": ["orders:read"]}}}],
	 "forward": {"payloadHeader": "x-jwt-payload", "claimHeaders": [{"path": ["sub"], "header": "x-user-id"}]}}`, issuer, mint.Set(rsaKey, ecKey))
	envoy := harness.Start(t, harness.Config{Version: harness.Versions(t)[0], Concurrency: 2, LogLevel: "error",
		Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
	const created = "wasm.envoy.wasm.runtime.v8.created"
	before := envoy.Counter(created)
	whole := duration(t)
	var n answered
	began := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { load(t, envoy.Main(), tokens, uint64(i), began.Add(whole), &n) })
	}
	// The first fifth is for caches and heaps to fill.
	var warm, most int64
	for step := 1; step <= 10; step++ {
		time.Sleep(time.Until(began.Add(whole * time.Duration(step) / 10)))
		memory, err := envoy.Memory()
		if err != nil {
			t.Fatal(err)
		}
		if step == 2 {
			warm = memory
		}
		most = max(most, memory)
		t.Logf("%s: %d MiB resident; %d admitted, %d refused, %d wrong", time.Since(began).Round(time.Second),
			memory>>20, n.admitted.Load(), n.refused.Load(), n.wrong.Load())
	}
	wg.Wait()
	if n.wrong.Load() > 0 || n.admitted.Load() < 1000 || n.refused.Load() < 20 {
		t.Errorf("%d admitted, %d refused, %d wrong", n.admitted.Load(), n.refused.Load(), n.wrong.Load())
	}
	if growth := most - warm; growth > warm/10+16<<20 {
		t.Errorf("memory has grown by %d MiB over %d MiB", growth>>20, warm>>20)
	}
	if after := envoy.Counter(created); after != before {
		t.Errorf("%d VMs were made anew", after-before)
	}
	for name := range envoy.Tollgate() {
		if !strings.HasPrefix(name, "jwt_scope.rule.read.outcome.") && !strings.HasPrefix(name, "jwt_scope.rule.-.outcome.") {
			t.Errorf("a counter that the configuration does not name: %s", name)
		}
	}
	if count := len(envoy.Tollgate()); count > 25 {
		t.Errorf("%d counters", count)
	}
}
