// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m, fetch) }

// fetched is what the tests need of the network, found before they leave it.
type fetched struct {
	Root                       string // of the project
	Cache                      string
	Envoy                      string
	Iptables, Redis, RateLimit backends.Program
	Istio, GatewayAPI          string // folders of modules
}

// variable has it, for the tests within.
const variable = "TOLLGATE_FETCHED"

func fetch() error {
	var f fetched
	for _, find := range []func() error{
		func() (err error) { f.Root, err = envoybin.Root(); return err },
		func() (err error) { f.Cache, err = envoybin.Cache(); return err },
		func() (err error) { f.Envoy, _, err = envoybin.Find(envoybin.Default, os.Stderr); return err },
		func() (err error) { f.Iptables, err = backends.Iptables(os.Stderr); return err },
		func() (err error) { f.Redis, err = backends.RedisServer(os.Stderr); return err },
		func() (err error) { f.RateLimit, err = backends.RateLimitService(os.Stderr); return err },
		func() (err error) { f.Istio, err = moduleOf(f.Root, "istio.io/istio"); return err },
		func() (err error) { f.GatewayAPI, err = moduleOf(f.Root, "sigs.k8s.io/gateway-api"); return err },
	} {
		if err := find(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	// Inside, the caches are where they were.
	return errors.Join(os.Setenv(variable, string(text)), os.Setenv("TOLLGATE_CACHE", f.Cache))
}

// moduleOf is the folder of a module in the version of e2e/istio.
func moduleOf(root, name string) (string, error) {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", name)
	list.Dir = filepath.Join(root, "e2e/istio")
	out, err := list.Output()
	dir := strings.TrimSpace(string(out))
	if err == nil && dir == "" {
		err = errors.New("its sources are not there")
	}
	if err != nil {
		return "", fmt.Errorf("where is %s? %w", name, err)
	}
	return dir, nil
}

// found is what fetch has found.
func found(t testing.TB) (f fetched) {
	t.Helper()
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &f); err != nil {
		t.Fatal(err)
	}
	return f
}
