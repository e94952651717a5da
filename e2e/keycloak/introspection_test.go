// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// between is a proxy before Keycloak that counts what is asked, and slows down or changes what it answers.
type between struct {
	port   int
	asked  atomic.Int64
	delay  atomic.Int64 // nanoseconds
	change atomic.Pointer[func(answer []byte) []byte]
}

func startBetween(t *testing.T, s *Server) *between {
	t.Helper()
	b := &between{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			b.asked.Add(1)
			r.SetURL(&url.URL{Scheme: "http", Host: s.Authority})
		},
		ModifyResponse: func(answer *http.Response) error {
			time.Sleep(time.Duration(b.delay.Load())) // what is slow is what is tested
			if change := b.change.Load(); change != nil {
				text, err := io.ReadAll(answer.Body)
				if err != nil {
					return err
				}
				text = (*change)(text)
				answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
				answer.Header.Set("content-length", fmt.Sprint(len(text)))
			}
			return nil
		},
	}
	b.port = harness.Serve(t, proxy.ServeHTTP)
	return b
}

// introspecting runs an Envoy whose filter asks Keycloak for every token.
func introspecting(t *testing.T, s *Server, version string, port int, client, secret, more string) *harness.Envoy {
	t.Helper()
	config := fmt.Sprintf(`{"providers": [{"name": "shop", "issuer": %q, "audiences": ["orders-api"],
		"introspection": {"cluster": "keycloak", "authority": %q, "path": %q, "clientId": %q, "clientSecretEnv": "SECRET",
		"for": "all"%s}}],
		"rules": [{"name": "read-orders", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"any": ["orders:read"]}}}],
		"forward": {"claimHeaders": [{"path": ["azp"], "header": "x-client"}]}}`, s.Issuer(), s.Authority,
		"/realms/"+s.realm+"/protocol/openid-connect/token/introspect", client, more)
	up := harness.StartUpstream(t)
	return harness.Start(t, harness.Config{Version: version, Upstream: up.Port(), Concurrency: 1,
		Filters: []bootstrap.M{bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"),
			Configuration: config,
			Env:           map[string]string{"SECRET": secret}}.Filter()},
		Clusters: []bootstrap.M{bootstrap.Cluster("keycloak", port, false)}})
}

// J34 J35: RFC 7662 at Keycloak's own endpoint: what it says of tokens counts, and where it cannot say
// anything nobody passes.
func TestIntrospection(t *testing.T) {
	s := running(t)
	for _, version := range harness.Versions(t) {
		for _, auth := range []string{"basic", "post"} {
			b := startBetween(t, s)
			e := introspecting(t, s, version, b.port, "shop-web", s.clientSecret,
				`, "timeout": "5s", "cache": {"ttl": "2s", "negativeTtl": "1s"}, "clientAuth": "`+auth+`"`)
			c := harness.Dial(t, e.Main())
			want := func(name, token, want string) {
				t.Helper()
				if got := outcome(c.Do(get(token))); got != want {
					t.Errorf("Envoy %s, %s, %s: %s, want %s", version, auth, name, got, want)
				}
			}
			token := issue(t, s, "shop-web")
			want("active", token, "200")
			asked := b.asked.Load()
			want("active, again", token, "200")
			if b.asked.Load() != asked {
				t.Errorf("Envoy %s: asked again for a token that is known", version)
			}
			want("altered", alter(t, token, 1, "scope", "orders:admin"), "401 token_inactive")
			want("opaque", "no-token-of-keycloaks", "401 token_inactive")
			want("for another audience", issue(t, s, "billing"), "401 token_audience")
			brief := issue(t, s, "shop-brief")
			want("brief", brief, "200")
			if err := s.Revoke("shop-web", token); err != nil {
				t.Fatal(err)
			}
			eventually(t, "revoked", func() bool { return outcome(c.Do(get(token))) == "401 token_inactive" })
			eventually(t, "expired", func() bool {
				got := outcome(c.Do(get(brief)))
				return got == "401 token_inactive" || got == "401 token_expired"
			})
			if auth == "post" {
				continue
			}
			cut := func(answer []byte) []byte {
				return bytes.Replace(answer, []byte(`"active":true`), []byte(`"active":tru`), 1)
			}
			b.change.Store(&cut)
			garbled := issue(t, s, "shop-web")
			want("garbled", garbled, "503 introspection_unavailable")
			lies := func(answer []byte) []byte {
				return bytes.Replace(answer, []byte(`"active":true`), []byte(`"active":false,"active":true`), 1)
			}
			b.change.Store(&lies)
			want("with active twice", garbled, "503 introspection_unavailable")
			b.change.Store(nil)
			want("as it is", garbled, "200")
		}
		slow := startBetween(t, s)
		slow.delay.Store(int64(2 * time.Second))
		e := introspecting(t, s, version, slow.port, "shop-web", s.clientSecret, `, "timeout": "300ms"`)
		began := time.Now()
		if got := outcome(harness.HTTP1(t, e.Main(), get(issue(t, s, "shop-web")))); got != "503 introspection_unavailable" ||
			time.Since(began) > 1500*time.Millisecond {
			t.Errorf("Envoy %s, slow: %s after %s", version, got, time.Since(began))
		}
		e = introspecting(t, s, version, s.Port(), "shop-web", "wrong", "")
		if got := outcome(harness.HTTP1(t, e.Main(), get(issue(t, s, "shop-web")))); got != "503 introspection_unavailable" {
			t.Errorf("Envoy %s, another secret: %s", version, got)
		}
		e.WaitLog("introspection of provider shop at " + s.Authority + ": the answer has status 401")
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free.Close() // nobody listens there any more
		e = introspecting(t, s, version, free.Addr().(*net.TCPAddr).Port, "shop-web", s.clientSecret, "")
		if got := outcome(harness.HTTP1(t, e.Main(), get(issue(t, s, "shop-web")))); got != "503 introspection_unavailable" {
			t.Errorf("Envoy %s, down: %s", version, got)
		}
	}
}

// eventually waits for what a cache's ttl puts off.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// J39: the keys are where Keycloak's own metadata says (OpenID Connect Discovery 1.0).
func TestDiscovery(t *testing.T) {
	s := running(t)
	for _, version := range harness.Versions(t) {
		config := strings.Replace(policy(t, s, `, "discover": true`), s.CertsPath(),
			"/realms/"+s.realm+"/.well-known/openid-configuration", 1)
		e := harness.Start(t, harness.Config{Version: version, Concurrency: 2,
			Filters:  []bootstrap.M{harness.Filter(t, "jwt-scope", config)},
			Clusters: []bootstrap.M{bootstrap.Cluster("keycloak", s.Port(), false)}})
		token := issue(t, s, "shop-web")
		if got := dial(t, e).answers(get(token)); got["200"] != connections {
			t.Errorf("Envoy %s: %v; the log is\n%s", version, got, e.Log())
		}
		// Keycloak calls itself what it is asked as: under another issuer nothing may be believed.
		other := strings.Replace(config, `"issuer": "`+s.Issuer(), `"issuer": "`+s.Issuer()+"/", 1)
		e = harness.Start(t, harness.Config{Version: version, Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", other)},
			Clusters: []bootstrap.M{bootstrap.Cluster("keycloak", s.Port(), false)}})
		e.WaitLog("they must be the same, byte for byte")
	}
}
