// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/guest/probetest"
)

// A trap takes all steps down, and whoever waits in one; nobody passes by it. What the steps share with
// other workers outlives it: the VM that is made anew goes on counting where the old one was.
func TestTrap(t *testing.T) {
	faulty := probetest.Build(t, "e2e/chain/faulty")
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		issuer := harness.StartIssuer(t, string(mint.Set(idp)))
		release := issuer.Hold()
		config, err := json.Marshal(M{"chain": []M{
			{"name": "addresses", "filter": "rate-limit", "config": M{"limits": []M{{"name": "five",
				"key": []M{{"header": "x-key"}}, "rate": M{"requests": 5, "per": "1h"}}}}},
			{"name": "who", "filter": "jwt-scope", "config": M{
				"providers": []M{{"name": "idp", "issuer": "https://idp", "audiences": []string{"api"},
					"jwks": M{"remote": M{"cluster": "idp", "authority": "idp.example", "path": "/keys", "timeout": "10s"}}}},
				"rules": []M{{"name": "all"}}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		filter := bootstrap.Wasm{Name: "tollgate", Module: faulty, Configuration: string(config)}.Filter()
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: 1,
			Listeners: []M{bootstrap.Listener("main", 0, []M{filter}, bootstrap.To("upstream"),
				M{"stream_idle_timeout": "3s"})},
			Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false), bootstrap.Cluster("idp", issuer.Port, false)}})
		token := [2]string{"authorization", "Bearer " + idp.Token(M{"iss": "https://idp", "aud": "api", "sub": "ann",
			"exp": time.Now().Unix() + 300})}
		key := [2]string{"x-key", "ann"}
		waits := make(chan *harness.Message, 1)
		client := harness.NewClient1(t, envoy.Main())
		go func() { waits <- client.Do(harness.Request("GET", "/a/x", token, key)) }()
		if err := envoy.Await(func() bool {
			return envoy.Tollgate()["rate_limit.rule.five.outcome.allowed.code.ok"] == 1
		}, 10*time.Second); err != nil {
			t.Fatalf("the request does not come to the second step: %v", err)
		}
		if m := harness.HTTP1(t, envoy.Main(),
			harness.Request("GET", "/a/x", [2]string{"x-trap", "now"})); m.Status() != 503 {
			t.Errorf("the request that traps: %s", m.Start)
		}
		// Envoy leaves a stream alone whose VM is gone, until it has been idle for too long.
		if m := <-waits; m.Status() != 503 && m.Status() != 504 && m.Status() != 408 {
			t.Errorf("the request that waited: %s %s", m.Start, m.Body)
		}
		release()
		passed := 0
		if err := envoy.Await(func() bool {
			m := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/a/x", token, key))
			if m.Status() == 200 {
				passed++
			}
			return m.Status() == 429
		}, 30*time.Second); err != nil {
			t.Fatalf("the chain does not decide after the trap: %v", err)
		}
		// Of the five, one has gone with the request that waited.
		if got := len(up.Take()); passed == 0 || passed > 4 || got != passed {
			t.Errorf("%d answers, and %d requests upstream, of four that were left", passed, got)
		}
	})
}
