// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Program is the path of one of Istio's programs, which make istio compiles: istiod, pilot-agent, istioctl.
func Program(t testing.TB, name string) string {
	t.Helper()
	cache, err := envoybin.Cache()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "istio", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run: make istio", err)
	}
	return path
}

var source = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio").Output()
	return strings.TrimSpace(string(out)), err
})

// Source is a file of Istio's module.
func Source(t testing.TB, path string) string {
	t.Helper()
	dir, err := source()
	if err != nil {
		t.Fatalf("where is istio.io/istio? %v", err)
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}

// envoy is the Envoy that the proxies run.
var envoy = sync.OnceValues(func() (string, error) {
	path, _, err := envoybin.Find(envoybin.Default, os.Stderr)
	return path, err
})
