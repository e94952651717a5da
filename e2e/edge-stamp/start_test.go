// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// An Envoy that cannot sign with EC keys refuses a configuration that wants it to, and says which can.
func TestStartWithoutSign(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		filters := []M{stampFilter(t, sign(edgeEC))}
		if version >= "1.37" {
			harness.Start(t, harness.Config{Version: version, Filters: filters})
			return
		}
		if log := harness.StartRefused(t, harness.Config{Version: version, Filters: filters}); !strings.Contains(log,
			":   keys[0]: ES256: this proxy cannot sign: the foreign function sign came with Envoy 1.37") {
			t.Errorf("the log does not say why:\n%s", log)
		}
	})
}

// S14: a key that comes by the environment of Envoy itself is in no log, no error and no config dump.
func TestKeysStaySecret(t *testing.T) {
	t.Setenv("EDGE_ED", edgeEd.PrivateJWK())
	t.Setenv("EDGE_RSA", edgeRSA.PrivateJWK())
	harness.Each(t, func(t *testing.T, version string) {
		filter := stampFilter(t, sign(edgeEd, M{"keys": []M{key(edgeEd), key(edgeRSA)}}))
		vm := filter["typed_config"].(M)["config"].(M)["vm_config"].(M)
		vm["environment_variables"] = M{"host_env_keys": []string{"EDGE_ED", "EDGE_RSA"}}
		envoy := harness.Start(t, harness.Config{Version: version, Own: true, Filters: []M{filter}, LogLevel: "debug"})
		if answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", "/")); answer.Status() != 200 {
			t.Fatalf("%+v", answer)
		}
		dump, err := envoy.Admin("/config_dump")
		if err != nil || !strings.Contains(dump, "host_env_keys") {
			t.Fatalf("the dump is %.200s, %v", dump, err)
		}
		for _, where := range []string{dump, envoy.Log()} {
			for _, k := range []string{secret(edgeEd), secret(edgeRSA)} {
				if strings.Contains(where, k[:20]) {
					t.Error("the key can be read")
				}
			}
		}
	})
}

// A configuration with many mistakes is refused with all of them, in one go.
func TestRefusedWithEveryFault(t *testing.T) {
	harness.Alone(t, "in a chain faults are told from its top: filters/tollgate/chain")
	const config = `{"role":"verify","mode":"off","trust":[{"name":"Edge","issuer":"","audiences":[],"algorithms":["ES257"],"jwks":{},"maxTtl":"1h","clockskew":"5s"}],
	 "require":{"bind":["path","path","host"],"replay":"twice"},"replay":{"entries":0},"rules":[{"name":"a","access":"private","peers":["edge"]},{"name":"a","sign":true}],"forward":{"stamp":"drop"}}`
	harness.Each(t, func(t *testing.T, version string) {
		log := harness.StartRefused(t,
			harness.Config{Version: version,
				Filters: []M{bootstrap.Wasm{Name: "edge-stamp", Module: harness.Module(t, "edge-stamp"),
					Configuration: config}.Filter()}})
		for _, fault := range []string{
			"mode: want enforce or shadow", "trust[0].name: want 1 to 63 lower-case letters",
			"trust[0].issuer: must not be empty", "trust[0].audiences: the list is empty", "trust[0].algorithms[0]: want RS256",
			"trust[0].jwks: want one of inline and remote", "trust[0].maxTtl: must be from 1s to 10m",
			"trust[0].clockskew: unknown key; did you mean clockSkew?",
			"require.bind[2]: want method, authority, path, query or body", "require.replay: want once, " +
				"onceGlobal or off", "replay.entries: must be from 1 to 1048576", "rules[0].access: want stamped or public",
			"rules[0].peers: want SPIFFE IDs", "rules[1].name: is in use already", "rules[1].sign: unknown key",
			"forward.stamp: want keep or strip",
		} {
			if !strings.Contains(log, "edge_stamp:   "+fault) {
				t.Errorf("the log does not have %q", fault)
			}
		}
		if t.Failed() {
			t.Logf("%.6000s", log)
		}
	})
}
