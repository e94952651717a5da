// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

func TestMain(m *testing.M) { Main(m) }

// A test that has an Envoy after another finds nothing of it: no counts, no log, no listener, no VM.
func TestPool(t *testing.T) {
	const code = "jwt_scope.rule.all.outcome.denied.code.token_missing"
	config := `{"providers": [{"name": "corp", "issuer": "i", "audiences": ["a"], "jwks": {"inline": ` +
		string(mint.Set(mint.New("k", jose.ES256))) + `}}], "rules": [{"name": "all"}]}`
	Each(t, func(t *testing.T, version string) {
		c := Config{Version: version, Filters: []bootstrap.M{Filter(t, "jwt-scope", config)},
			HTTP: bootstrap.M{"access_log": bootstrap.AccessLog(map[string]string{"seen": "%REQ(:PATH)%"})}}
		var pids []int
		var last, old string
		for _, path := range []string{"/first", "/second"} {
			t.Run(path, func(t *testing.T) {
				up := StartUpstream(t)
				c.Upstream = up.Port()
				envoy := Start(t, c)
				vms, err := envoy.Admin("/stats?filter=^wasm\\..*active$")
				if err != nil || !strings.Contains(vms, activeVMs) || last != "" && vms != last {
					t.Errorf("VMs: %q, before %q (%v)", vms, last, err)
				}
				last = vms
				pids = append(pids, envoy.Pid())
				if a := HTTP1(t, envoy.Main(), Request("GET", path)); a.Status() != 401 {
					t.Errorf("%+v", a)
				}
				envoy.WaitLog(path)
				if path == "/second" && strings.Contains(envoy.Log(), "/first") {
					t.Error("the log has what another test did")
				}
				if n := envoy.Counter("http.main.downstream_rq_total"); n != 1 || envoy.Tollgate()[code] != 1 {
					t.Errorf("%d requests, and counted %v", n, envoy.Tollgate())
				}
				if old == "" {
					old = envoy.Main()
				}
			})
		}
		if len(pids) != 2 || pids[0] != pids[1] {
			t.Errorf("two tests in turn had processes %v", pids)
		}
		if c, err := net.Dial("tcp", old); err == nil {
			c.Close()
			t.Error("a listener of a test that has ended takes connections")
		}

		one, two := Start(t, Config{Version: version}), Start(t, Config{Version: version})
		if one.Pid() == two.Pid() {
			t.Error("two Envoys of a test are one process")
		}
	})
}

// One that has died serves nobody else.
func TestPoolWithoutTheDead(t *testing.T) {
	var pid int
	t.Run("dies", func(t *testing.T) {
		envoy := Start(t, Config{Version: "1.40.0"})
		pid = envoy.Pid()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-envoy.Done()
	})
	t.Run("lives", func(t *testing.T) {
		envoy := Start(t, Config{Version: "1.40.0"})
		if a := HTTP1(t, envoy.Main(), Request("GET", "/")); a.Status() != 200 || envoy.Pid() == pid {
			t.Errorf("process %d after %d: %+v", envoy.Pid(), pid, a)
		}
	})
}
