// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var (
	known  = mint.New("known", jose.ES256)
	madeUp = mint.New("made-up", jose.ES256)
)

func bearer(k *mint.Key) [2]string {
	return [2]string{"authorization",
		"Bearer " + k.Token(map[string]any{"iss": "https://idp.example", "aud": "api", "exp": time.Now().Unix() + 300})}
}

// keyTimeout is how long a request waits for keys at most.
const keyTimeout = 3 * time.Second

func tokens(t testing.TB, more string) bootstrap.M {
	t.Helper()
	return harness.Filter(t, "jwt-scope", fmt.Sprintf(`{"providers":[{"name":"idp","issuer":"https://idp.example","audiences":["api"],
	 "jwks":{"remote":{"cluster":"idp","authority":"idp.example","path":"/keys","timeout":"3s"%s}}}],
	 "rules":[{"name":"bystander","match":[{"paths":["/bystander","/control"]}],"access":"public"},{"name":"all"}]}`, more))
}

// W1 J25 J26: a crowd waits for keys, and gets what each of it would have got alone.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, s shape) {
		set := string(mint.Set(known))
		for _, c := range []struct {
			name string
			key  *mint.Key
			want int
			// before has the issuer ready when the proxy starts; hold has the crowd wait until release, if there is one.
			before func(idp *harness.Issuer) (release func())
			hold   func(t *testing.T, e *harness.Envoy, idp *harness.Issuer) (release func())
		}{
			{name: "for a set that comes", key: known, want: 200,
				before: func(idp *harness.Issuer) func() { return idp.Hold() }},
			{name: "for a set that does not come", key: known, want: 503, before: func(idp *harness.Issuer) func() {
				idp.Set(500, "")
				return idp.Hold()
			}},
			{name: "for a kid that does not exist", key: madeUp, want: 401,
				hold: func(t *testing.T, e *harness.Envoy, idp *harness.Issuer) func() {
					awaitKeys(t, e)
					return idp.Hold()
				}},
			{name: "and goes away", key: madeUp, want: 0,
				hold: func(t *testing.T, e *harness.Envoy, idp *harness.Issuer) func() {
					awaitKeys(t, e)
					t.Cleanup(idp.Hold())
					return func() {}
				}},
			{name: "for an issuer that hangs", key: madeUp, want: 401,
				hold: func(t *testing.T, e *harness.Envoy, idp *harness.Issuer) func() {
					awaitKeys(t, e)
					t.Cleanup(idp.Hold())
					return func() {}
				}},
		} {
			t.Run(c.name, func(t *testing.T) {
				idp := harness.StartIssuer(t, set)
				token := bearer(c.key)
				var release func()
				if c.before != nil {
					release = c.before(idp)
				}
				s.run(t, crowd{
					filters: []bootstrap.M{tokens(t, "")}, clusters: []bootstrap.M{bootstrap.Cluster("idp", idp.Port, false)},
					headers: func(int) [][2]string { return harness.Pseudo("GET", "/", token) },
					begin: func(e *harness.Envoy) {
						if c.hold != nil {
							release = c.hold(t, e, idp)
						}
					},
					release: func() { release() },
					want:    c.want, deadline: keyTimeout,
				})
			})
		}
	})
}

// awaitKeys has the proxy fetch its first set.
func awaitKeys(t *testing.T, e *harness.Envoy) {
	t.Helper()
	if m := harness.HTTP1(t, e.Main(), harness.Request("GET", "/", bearer(known))); m.Status() != 200 {
		t.Fatalf("before the crowd: %s", m.Start)
	}
}
