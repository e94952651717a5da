// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Tool runs kubectl or helm as whom a kubeconfig is for.
type Tool struct {
	Kubeconfig string
	Dir        string // to run in; default: the test's own
	Input      string // for standard input
}

// Run runs a program with arguments, and returns what it prints: on an error both outputs.
func (t Tool) Run(program string, args ...string) (string, error) {
	path, err := Program(program)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+t.Kubeconfig, "HELM_CACHE_HOME=/tmp/helm", "HELM_CONFIG_HOME=/tmp/helm",
		"HELM_DATA_HOME=/tmp/helm", "PATH="+os.Getenv("PATH"))
	cmd.Dir, cmd.Stdin = t.Dir, strings.NewReader(t.Input)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String() + problems.String(), fmt.Errorf("%s %s: %w: %s%s", program, strings.Join(args, " "), err,
			out.String(), problems.String())
	}
	return out.String(), nil
}

// Kubectl runs a line of kubectl's as the administrator; the test ends where it fails.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return c.must(t, "", "kubectl", args...)
}

// Apply applies resources in YAML.
func (c *Cluster) Apply(t testing.TB, text string) string {
	t.Helper()
	return c.must(t, text, "kubectl", "apply", "-f", "-")
}

// Delete deletes resources in YAML.
func (c *Cluster) Delete(t testing.TB, text string) string {
	t.Helper()
	return c.must(t, text, "kubectl", "delete", "--ignore-not-found", "-f", "-")
}

// Helm runs a line of helm's as the administrator; the test ends where it fails.
func (c *Cluster) Helm(t testing.TB, args ...string) string {
	t.Helper()
	return c.must(t, "", "helm", args...)
}

func (c *Cluster) must(t testing.TB, input, program string, args ...string) string {
	t.Helper()
	out, err := Tool{Kubeconfig: c.Kubeconfig, Input: input}.Run(program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Eventually waits until what is asked for is so, and returns how long that took. It asks no more often than limits
// for an address allow.
func Eventually(t testing.TB, what string, is func() bool) time.Duration {
	t.Helper()
	const limit = 2 * time.Minute // of a machine that does much else
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if is() {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
