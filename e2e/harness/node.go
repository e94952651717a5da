// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
)

// NodeProgram returns the command of a program for Node.js in a folder, with the packages of that
// folder's package-lock.json. Where Node.js is missing, the test fails: nothing is skipped.
func NodeProgram(t testing.TB, folder, program string) (command []string) {
	t.Helper()
	node, modules, err := backends.NodePackages(os.Stderr, folder)
	if err != nil {
		t.Fatal(err)
	}
	// Node.js looks for packages beside the program.
	dir := t.TempDir()
	path := filepath.Join(dir, program)
	text, err := os.ReadFile(filepath.Join(folder, program))
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return []string{node, path}
}
