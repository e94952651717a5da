// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// W1 J36: a crowd waits for an introspection endpoint, with one token or one each.
func TestIntrospection(t *testing.T) {
	filter := func(t *testing.T) bootstrap.M {
		return bootstrap.Wasm{Name: "jwt-scope", Module: harness.Module(t, "jwt-scope"),
			Env: map[string]string{"SECRET": "s"},
			Configuration: `{"providers":[{"name":"opaque","introspection":{"cluster":"as","authority":"idp.example","path":"/keys",
				"clientId":"gateway","clientSecretEnv":"SECRET","timeout":"1s"}}],"rules":[{"name":"bystander",
				"match":[{"paths":["/bystander","/control"]}],"access":"public"},{"name":"all"}]}`}.Filter()
	}
	each(t, func(t *testing.T, s shape) {
		for _, c := range []struct {
			name, answer string
			own          bool // each has a token of its own
			hangs        bool
			want         int
		}{
			{"one token that is active", `{"active":true}`, false, false, 200},
			{"one token that is not", `{"active":false}`, false, false, 401},
			{"many tokens, and the endpoint hangs", "", true, true, 503},
			{"one token, and the crowd goes away", "", false, true, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				as := harness.StartIssuer(t, c.answer)
				release := as.Hold()
				if c.hangs {
					t.Cleanup(release)
					release = nil
				}
				s.run(t, crowd{
					filters: []bootstrap.M{filter(t)}, clusters: []bootstrap.M{bootstrap.Cluster("as", as.Port, false)},
					headers: func(i int) [][2]string {
						if !c.own {
							i = 0
						}
						return harness.Pseudo("GET", "/", [2]string{"authorization", fmt.Sprint("Bearer token-", i)})
					},
					release: release, want: c.want, deadline: time.Second,
				})
				if n := as.Fetches.Load(); !c.own && (n < 1 || n > int64(s.workers)) {
					t.Errorf("%d calls for one token, want one for each of %d VMs", n, s.workers)
				}
			})
		}
	})
}
