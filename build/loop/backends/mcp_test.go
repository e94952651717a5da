// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// Where Python or Node.js is missing or too old, or a file of packages is none, that is told: nothing
// goes without its packages.
func TestPackagesThatCannotBeHad(t *testing.T) {
	python := func() error { _, err := backends.PythonPackages(os.Stderr, "no-requirements.txt"); return err }
	node := func() error { _, _, err := backends.NodePackages(os.Stderr, "no-folder"); return err }
	program := func(name, says string) func(dir string) error {
		return func(dir string) error {
			return os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+says+"\n"), 0o755)
		}
	}
	none := func(string) error { return nil }
	for _, c := range []struct {
		name string
		have func(dir string) error
		do   func() error
		want string
	}{
		{"no Python", none, python, "there is no python3 here: install Python 3.10 or newer"},
		{"an old Python", program("python3", "3.9"), python, "install Python 3.10 or newer"},
		{"no list of packages for Python", program("python3", "3.10"), python, "no-requirements.txt"},
		{"no Node.js", none, node, "there is no node here: install Node.js 20 or newer"},
		{"an old Node.js", program("node", "v18.20.1"), node, "install Node.js 20 or newer"},
		{"no npm", program("node", "v20.0.0"), node, "there is no npm here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.have(dir); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir)
			if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// The MCP server can be compiled, and listens where it is told to.
func TestMCPServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "mcpserver")
	if err := backends.MCPServer(t.Context(), checkout.Root(t), program); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-listen", "nowhere").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nowhere") {
		t.Errorf("%v: %s", err, out)
	}
}
