// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J43: RFC 9449 §9, with a client that is not ours and tokens that Keycloak has bound to its key: the client
// learns a nonce by one refusal and goes on with it, at every worker, and at every proxy that shares the
// key. It learns another one where a proxy has a new key.
func TestNonces(t *testing.T) {
	s := running(t)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		run := func(port int, nonces string, env map[string]string) *harness.Envoy {
			t.Helper()
			filter := bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"), Env: env,
				Configuration: fmt.Sprintf(`{
				 "providers": [{"name": "shop", "issuer": %q, "audiences": ["orders-api"], "senderConstraint": "dpop",
				  "jwks": {"remote": {"cluster": "keycloak", "authority": %q, "path": %q}}}],
				 "rules": [{"name": "read", "match": [{"paths": ["/orders/{**}"]}], "require": {"scopes": {"all": ["orders:read"]}}}],
				 "dpop": {"nonce": "required"%s}}`, s.Issuer(), s.Authority, s.CertsPath(), nonces)}.Filter()
			return harness.Start(t, harness.Config{Version: version, Concurrency: 4, Upstream: up.Port(), Own: true,
				Listeners: []bootstrap.M{bootstrap.Listener("main", port, []bootstrap.M{filter}, bootstrap.To("upstream"), nil)},
				Clusters:  []bootstrap.M{bootstrap.Cluster("keycloak", s.Port(), false)}})
		}
		c := startClient(t, s, "shop-courier", true, s.clientSecret)
		if told := c.login(nil); !slices.Equal(told, []string{"gets dpop"}) {
			t.Fatalf("the client %q", told)
		}
		const unknown, passes = "401 dpop_nonce: dpop error=use_dpop_nonce", "200"
		tells := func(what, address string, want ...string) {
			t.Helper()
			if told := c.get("http://"+address+"/orders/7", 1); !slices.Equal(told, want) {
				t.Fatalf("%s: %q, want %q", what, told, want)
			}
		}
		// everywhere sends a request over each of so many new connections, all with the nonce that the client has.
		everywhere := func(what string, e *harness.Envoy) {
			t.Helper()
			counted := map[string]int{}
			for _, told := range c.get("http://"+e.Main()+"/orders/7", connections) {
				counted[told]++
			}
			if want := map[string]int{passes: connections}; !maps.Equal(counted, want) {
				t.Errorf("%s: %v, want %v", what, counted, want)
			}
		}
		counts := func(what string, e *harness.Envoy, denied, allowed uint64) {
			t.Helper()
			got := e.Tollgate()
			const rule = "jwt_scope.rule.read.outcome."
			if got[rule+"denied.code.dpop_nonce"] != denied || got[rule+"allowed.code.ok"] != allowed {
				t.Errorf("%s: counters %v, want %d denied for their nonce and %d allowed", what, got, denied, allowed)
			}
		}

		free, err := process.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		alone := run(free[0], "", nil)
		tells("the first request", alone.Main(), unknown, passes)
		tells("the second request", alone.Main(), passes)
		everywhere("the nonce of one worker, at all of them", alone)
		counts("one proxy", alone, 1, 2+connections)
		if n := workers(t, alone); n < 3 {
			t.Errorf("%d connections have reached %d of four workers", connections, n)
		}

		alone.Stop()
		alone = run(free[0], "", nil)
		tells("after a restart", alone.Main(), unknown, passes)
		everywhere("the nonce after a restart", alone)
		counts("the proxy after a restart", alone, 1, 1+connections)

		key := map[string]string{"NONCES": rand.Text() + rand.Text()}
		one, other := run(0, `, "nonceKeyEnv": "NONCES"`, key), run(0, `, "nonceKeyEnv": "NONCES"`, key)
		both := balance(t, one, other)
		tells("two proxies with one key", both, unknown, passes)
		for range 4 {
			tells("two proxies with one key, later", both, passes)
		}
		counts("one of two", one, 1, 2)
		counts("the other", other, 0, 3)
		// Without a common key, each proxy refuses what the other has given.
		tells("two proxies with two keys", balance(t, one, alone), unknown, unknown)

		if n, want := len(up.Take()), 2+connections+1+connections+5; n != want {
			t.Errorf("%d requests have reached the upstream, want %d", n, want)
		}
	})
}

// workers is how many of an Envoy's workers have had a connection.
func workers(t *testing.T, e *harness.Envoy) (n int) {
	t.Helper()
	counters, err := e.CountersMatching(`^listener\.127.*\.worker_\d+\.downstream_cx_total$`)
	if err != nil {
		t.Fatal(err)
	}
	for _, connections := range counters {
		if connections > 0 {
			n++
		}
	}
	return n
}

// balance is the address of a load balancer that sends requests to each of the proxies in turn.
func balance(t *testing.T, proxies ...*harness.Envoy) string {
	t.Helper()
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		to := proxies[(turn.Add(1)-1)%uint64(len(proxies))]
		r.SetURL(&url.URL{Scheme: "http", Host: to.Main()})
		r.Out.Host = r.In.Host // proofs are for the address that the client knows
	}}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(harness.Serve(t, proxy.ServeHTTP)))
}
