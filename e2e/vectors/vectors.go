// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package vectors reads public test vectors, which lie beside the project and not in it: in
// ../shared/vectors seen from its top folder, or where $TOLLGATE_VECTORS says.
package vectors

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Read returns a file of vectors after checking it against SHA256SUMS. Without the vectors the test
// is skipped and says so; with CI=true it fails.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("TOLLGATE_VECTORS")
	if dir == "" {
		root, err := envoybin.Root()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(root, "..", "shared", "vectors")
	}
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no test vectors: %v; set TOLLGATE_VECTORS to their folder", err)
		}
		t.Skipf("SKIPPED, PUBLIC TEST VECTORS ARE NOT HERE: %v; set TOLLGATE_VECTORS to their folder", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	for _, line := range strings.Split(string(sums), "\n") {
		want, file, _ := strings.Cut(line, "  ")
		if strings.TrimPrefix(file, "./") == name {
			if want != hex.EncodeToString(sum[:]) {
				t.Fatalf("%s is not the file that SHA256SUMS names", name)
			}
			return b
		}
	}
	t.Fatalf("SHA256SUMS does not name %s", name)
	return nil
}
