// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m, fetch) }

// fetched is what the tests need of the network, found before they leave it.
type fetched struct {
	Root                                    string // of the project
	Cache                                   string
	Envoy                                   string
	Iptables, Redis, RateLimit              backends.Program
	Istio, GatewayAPI, GatewayAPIForGateway string // folders of modules
}

// variable has it, for the tests within.
const variable = "TOLLGATE_FETCHED"

func fetch() error {
	var f fetched
	var err error
	step := func(do func() error) {
		if err == nil {
			err = do()
		}
	}
	step(func() error { f.Root, err = envoybin.Root(); return err })
	step(func() error { f.Cache, err = envoybin.Cache(); return err })
	step(func() error { f.Envoy, _, err = envoybin.Find(envoybin.Default, os.Stderr); return err })
	step(func() error { f.Iptables, err = backends.Iptables(os.Stderr); return err })
	step(func() error { f.Redis, err = backends.RedisServer(os.Stderr); return err })
	step(func() error { f.RateLimit, err = backends.RateLimitService(os.Stderr); return err })
	module := func(dir, name string, into *string) {
		step(func() error {
			list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", name)
			list.Dir = filepath.Join(f.Root, dir)
			out, err := list.Output()
			*into = string(out[:max(0, len(out)-1)])
			if err != nil || *into == "" {
				return fmt.Errorf("where is %s? %w", name, err)
			}
			return nil
		})
	}
	module("e2e/istio", "istio.io/istio", &f.Istio)
	module("e2e/istio", "sigs.k8s.io/gateway-api", &f.GatewayAPI)
	if err != nil {
		return err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.Setenv(variable, string(text))
}

// found is what fetch has found.
func found(t testing.TB) (f fetched) {
	t.Helper()
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &f); err != nil {
		t.Fatal(err)
	}
	// Inside, the caches are where they were.
	t.Setenv("TOLLGATE_CACHE", f.Cache)
	return f
}
