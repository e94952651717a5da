// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// endpoint is an introspection endpoint that answers as it is told. e2e/keycloak has a real one.
type endpoint struct {
	port  int
	calls atomic.Int64

	mu     sync.Mutex
	status int
	body   string
	delay  time.Duration
	last   string // form and Authorization
}

func startEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.port = harness.Serve(t, e.serve)
	return e
}

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	e.calls.Add(1)
	form, err := io.ReadAll(r.Body)
	e.mu.Lock()
	status, body, delay := e.status, e.body, e.delay
	e.last = fmt.Sprint(r.Method, " ", r.Host, r.URL.Path, " ", r.Header.Get("Authorization"), " ", string(form), err)
	e.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done(): // the proxy has given up
		return
	}
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (e *endpoint) tell(status int, body string, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.body, e.delay = status, body, delay
}

const activeAnswer = `{"active":true,"sub":"ann","scope":"orders:read"}`

func startOpaque(t *testing.T, version string, port, workers int, more string) *harness.Envoy {
	t.Helper()
	config := `{"providers":[{"name":"opaque","introspection":{"cluster":"as","authority":"as.example","path":"/introspect",
		"clientId":"gateway","clientSecretEnv":"SECRET","timeout":"500ms"` + more + `}}],
		"rules":[{"name":"all","require":{"scopes":{"all":["orders:read"]}}}],
		"forward":{"claimHeaders":[{"path":["sub"],"header":"x-user"}]}}`
	filter := bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"), Configuration: config,
		Env: map[string]string{"SECRET": "hush-hush"}}.Filter()
	return harness.Start(t, harness.Config{Version: version, Concurrency: workers, Filters: []bootstrap.M{filter},
		Clusters: []bootstrap.M{bootstrap.Cluster("as", port, false)}})
}

// J34 J35: an endpoint's word counts, for as long as it may be remembered, and whatever else it says is a refusal.
func TestIntrospection(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		as := startEndpoint(t)
		envoy := startOpaque(t, version, as.port, 1, `,"cache":{"ttl":"1s","negativeTtl":"1s"}`)
		client := harness.NewClient1(t, envoy.Main())
		ask := func(token string) string {
			m := client.Do(harness.Request("GET", "/", [2]string{"Authorization", "Bearer " + token}))
			_, code, _ := strings.Cut(m.Body, `"code":"`)
			code, _, _ = strings.Cut(code, `"`)
			return fmt.Sprint(m.Status(), " ", code)
		}
		for i, c := range []struct {
			name   string
			status int
			body   string
			delay  time.Duration
			want   string
		}{
			{"active", 200, activeAnswer, 0, "200 "},
			{"inactive", 200, `{"active":false}`, 0, "401 token_inactive"},
			{"without the scope", 200, `{"active":true,"scope":"x"}`, 0, "403 insufficient_scope"},
			{"expired", 200, `{"active":true,"scope":"orders:read","exp":1000000000}`, 0, "401 token_expired"},
			{"active in a text", 200, `{"active":"true","scope":"orders:read"}`, 0, "503 introspection_unavailable"},
			{"active twice", 200, `{"active":false,"active":true,"scope":"orders:read"}`, 0, "503 introspection_unavailable"},
			{"garbled", 200, "<html>", 0, "503 introspection_unavailable"},
			{"empty", 200, "", 0, "503 introspection_unavailable"},
			{"large", 200, `{"active":true,"x":"` + strings.Repeat("x", 40<<10) + `"}`, 0, "503 introspection_unavailable"},
			{"an error", 500, activeAnswer, 0, "503 introspection_unavailable"},
			{"a redirect", 302, activeAnswer, 0, "503 introspection_unavailable"},
			{"the client is refused", 401, `{"error":"invalid_client"}`, 0, "503 introspection_unavailable"},
			{"slow", 200, activeAnswer, 700 * time.Millisecond, "503 introspection_unavailable"},
		} {
			as.tell(c.status, c.body, c.delay)
			began := time.Now()
			if got := ask(fmt.Sprint("token-", i)); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			if c.delay > 0 && time.Since(began) < 450*time.Millisecond {
				t.Errorf("%s: answered after %s", c.name, time.Since(began))
			}
		}
		const question = "POST as.example/introspect Basic Z2F0ZXdheTpodXNoLWh1c2g= " +
			"token=token-12&token_type_hint=access_token<nil>"
		if last := as.last; last != question {
			t.Errorf("the last question is %s", last)
		}
		// Revoked: good for as long as ttl says.
		as.tell(200, activeAnswer, 0)
		ask("revoked")
		as.tell(200, `{"active":false}`, 0)
		calls := as.calls.Load()
		deadline := time.Now().Add(5 * time.Second)
		for ask("revoked") == "200 " {
			if time.Now().After(deadline) {
				t.Fatal("a revoked token is still good")
			}
			time.Sleep(20 * time.Millisecond)
		}
		if n := as.calls.Load() - calls; n != 1 {
			t.Errorf("the endpoint was asked %d times", n)
		}
		if log := envoy.Log(); strings.Contains(log, "hush-hush") || strings.Contains(log, "token-4") ||
			!strings.Contains(log, "introspection of provider opaque at as.example: the answer") {
			t.Errorf("J28: the log is\n%s", log)
		}
	})
}

// J36 W1: a thousand requests at once with one new token make one call for each VM, and all are answered.
func TestIntrospectionBurst(t *testing.T) {
	const workers = 2
	harness.Each(t, func(t *testing.T, version string) {
		as := startEndpoint(t)
		envoy := startOpaque(t, version, as.port, workers, "")
		for i, answer := range []struct {
			body string
			want int
		}{{activeAnswer, 200}, {`{"active":false}`, 401}, {"<html>", 503}} {
			as.tell(200, answer.body, 300*time.Millisecond)
			calls := as.calls.Load()
			got := harness.Crowd{Address: envoy.Main(), HTTP2: true, Connections: 8, Requests: 125,
				Headers: func(int) [][2]string {
					return harness.Pseudo("GET", "/", [2]string{"authorization", fmt.Sprint("Bearer burst-", i)})
				}}.Run(t)
			for n, a := range got {
				if a.Status != answer.want {
					t.Fatalf("%s: request %d is answered %d", answer.body, n, a.Status)
				}
			}
			if n := as.calls.Load() - calls; n < 1 || n > workers {
				t.Errorf("%s: %d calls for %d requests, want one for each of %d VMs", answer.body, n, len(got), workers)
			}
		}
	})
}
