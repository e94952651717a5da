// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func startIssuer(t *testing.T, keys ...*mint.Key) *harness.Issuer {
	t.Helper()
	return harness.StartIssuer(t, string(mint.Set(keys...)))
}

func remoteConfig(more string) string {
	return fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"jwks":{"remote":{"cluster":"idp","authority":"idp.example","path":"/keys"%s}}}],"rules":[{"name":"all"}]}`, issuer, more)
}

func startRemote(t *testing.T, version string, port int, more string) *harness.Envoy {
	t.Helper()
	return harness.Start(t, harness.Config{Version: version, Concurrency: 4,
		Filters:  []bootstrap.M{harness.Filter(t, "jwt-scope", remoteConfig(more))},
		Clusters: []bootstrap.M{bootstrap.Cluster("idp", port, false)}})
}

// status sends a token on a connection of its own, so that over many requests every worker is met.
func status(t *testing.T, envoy *harness.Envoy, k *mint.Key) (int, string) {
	t.Helper()
	answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/", bearer(k.Token(good()))))
	return answer.Status(), answer.Body
}

// W26: every worker ticks; one fetch serves four; a first set that takes its time is waited for.
func TestRemoteKeys(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey, rsaKey)
		release := idp.Hold()
		envoy := startRemote(t, version, idp.Port, "")
		time.AfterFunc(200*time.Millisecond, release)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if code, body := status(t, envoy, ecKey); code != 200 {
					t.Errorf("a request before the first set: %d %s", code, body)
				}
			})
		}
		wg.Wait()
		for range 40 {
			if code, body := status(t, envoy, rsaKey); code != 200 {
				t.Fatalf("%d %s", code, body)
			}
		}
		if n := idp.Fetches.Load(); n != 1 {
			t.Errorf("the keys were fetched %d times, want once for the proxy", n)
		}
		if code, body := status(t, envoy, forger); code != 401 || !strings.Contains(body, "token_signature") {
			t.Errorf("a forged token: %d %s", code, body)
		}
	})
}

// J25 J26: a key is published while requests run, tokens of both keys are good, made-up kids do not
// hammer the issuer, and the issuer goes down.
func TestRemoteRotation(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey)
		envoy := startRemote(t, version, idp.Port, "")
		for range 20 {
			if code, body := status(t, envoy, ecKey); code != 200 {
				t.Fatalf("before the rotation: %d %s", code, body)
			}
		}
		next := mint.New("next", jose.ES256)
		idp.Set(200, string(mint.Set(ecKey, next)))
		var wg sync.WaitGroup
		for i := range 40 {
			key := ecKey
			if i%2 == 0 {
				key = next
			}
			wg.Go(func() {
				if code, body := status(t, envoy, key); code != 200 {
					t.Errorf("during the rotation, kid %s: %d %s", key.ID, code, body)
				}
			})
		}
		wg.Wait()
		if n := idp.Fetches.Load(); n != 2 {
			t.Errorf("%d fetches, want the first and the one for the new kid", n)
		}
		for i := range 40 {
			if code, body := status(t, envoy, mint.New(fmt.Sprint("made-up-", i), jose.ES256)); code != 401 ||
				!strings.Contains(body, "token_key_unknown") {
				t.Errorf("a made-up kid: %d %s", code, body)
			}
		}
		if n := idp.Fetches.Load(); n != 2 {
			t.Errorf("%d fetches after made-up kids", n)
		}
	})
}

// J24 J26: the issuer answers nonsense, a redirect, or not at all: the last good keys stay.
func TestRemoteLastGood(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey)
		envoy := startRemote(t, version, idp.Port, `,"refresh":"1s"`)
		if code, body := status(t, envoy, ecKey); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		for _, c := range []struct {
			status int
			body   string
			log    string
		}{
			{302, string(mint.Set(forger)), "the answer has status 302"}, {500, string(mint.Set(forger)),
				"the answer has status 500"}, {200, "<html>", "not JSON"}, {200, `{"keys":[]}`, "no key for verifying signatures"},
		} {
			idp.Set(c.status, c.body)
			envoy.WaitLog(c.log)
			for range 8 {
				if code, body := status(t, envoy, ecKey); code != 200 {
					t.Errorf("%s: the last good key: %d %s", c.log, code, body)
				}
				if code, _ := status(t, envoy, forger); code != 401 {
					t.Errorf("%s: another key: %d", c.log, code)
				}
			}
		}
		if strings.Contains(envoy.Log(), ecKey.Token(good())[:30]) {
			t.Error("J28 a token is in the log")
		}
	})
}

// Nobody publishes keys: 503, within the timeout, and never a pass.
func TestRemoteUnavailable(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey)
		idp.Set(500, "")
		envoy := startRemote(t, version, idp.Port, `,"timeout":"500ms"`)
		for range 20 {
			began := time.Now()
			answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/", bearer(ecKey.Token(good()))))
			if answer.Status() != 503 || !strings.Contains(answer.Body, "keys_unavailable") ||
				answer.Header("retry-after") != "5" || answer.Header("www-authenticate") != "" {
				t.Errorf("%+v", answer)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		}
		idp.Set(200, string(mint.Set(ecKey)))
		if err := envoy.Await(func() bool { code, _ := status(t, envoy, ecKey); return code == 200 },
			40*time.Second); err != nil {
			t.Errorf("the issuer is back: %v", err)
		}
	})
}

// A request that waits for keys is held back with its body, also where Envoy passes the body of
// held headers on to the filter (allow_on_headers_stop_iteration, which edge-stamp needs).
func TestBodyOfWaitingRequest(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		idp := startIssuer(t, ecKey)
		release := idp.Hold()
		upstream := harness.StartUpstream(t)
		filter := bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"),
			Configuration: remoteConfig(`,"timeout":"10s"`), StopIteration: true}.Filter()
		envoy := harness.Start(t,
			harness.Config{Version: version, Filters: []bootstrap.M{filter}, Upstream: upstream.Port(),
				Clusters: []bootstrap.M{bootstrap.Cluster("idp", idp.Port, false)},
				HTTP:     bootstrap.M{"http_protocol_options": bootstrap.M{"enable_trailers": true}}})
		head := func(k *mint.Key, header string) string {
			b := bearer(k.Token(good()))
			return "POST /orders HTTP/1.1\r\nHost: a\r\n" + b[0] + ": " + b[1] + "\r\n" + header + "\r\n\r\n"
		}
		var waiting []*harness.Conn
		for _, k := range []*mint.Key{ecKey, forger} {
			for _, request := range []string{
				head(k, "content-length: 5") + "hello",
				head(k, "transfer-encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
				head(k, "transfer-encoding: chunked") + "5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n",
			} {
				c := harness.Dial(t, envoy.Main())
				c.Send(request)
				waiting = append(waiting, c)
			}
		}
		if err := envoy.Await(func() bool {
			return idp.Fetches.Load() > 0 &&
				envoy.Counter("http.main.downstream_rq_total") >= 6
		}, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if early := upstream.Take(); len(early) > 0 {
			t.Errorf("before the keys are there, %d requests have reached the upstream", len(early))
		}
		release()
		for i, c := range waiting {
			want := 200
			if i >= 3 {
				want = 401
			}
			if got := c.Receive().Status(); got != want {
				t.Errorf("request %d: %d, want %d", i, got, want)
			}
		}
		reached := upstream.Take()
		if len(reached) != 3 {
			t.Errorf("%d requests have reached the upstream, want 3", len(reached))
		}
		for _, m := range reached {
			if m.Body != "hello" {
				t.Errorf("the upstream got the body %q", m.Body)
			}
		}
	})
}
