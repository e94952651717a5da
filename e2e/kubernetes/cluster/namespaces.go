// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// The cluster's network. The bridge's own address is where the API server, and what stands for the rest of the world,
// listen.
const (
	bridge   = "pods"
	hostIP   = "10.244.0.1"
	podRange = "10.244.0.0/16"
	services = "10.96.0.0/16"
)

// inside is set where the test runs in namespaces of its own.
const inside = "TOLLGATE_INSIDE"

// Main runs tests in a network, a mount and a process namespace of their own: nothing that they start outlives them,
// and no port is taken. before runs outside, where there is a network: what tests need of it is to be fetched there.
func Main(m *testing.M, before func() error) {
	if run := programs[os.Getenv(program)]; run != nil {
		run()
		return
	}
	if os.Getenv(inside) == "" {
		os.Exit(enter(before))
	}
	if err := network(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// enter runs this program again, inside, and returns what it ended with.
func enter(before func() error) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make network namespaces and switch users: run them as root")
		return 1
	}
	if err := before(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "--pid", "--fork", "--kill-child",
		"--mount-proc", self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { // unshare ends with us, and all within with it
		<-signals
		_ = cmd.Process.Kill()
	}()
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(1, exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Apart runs a test in namespaces of its own within those of the others, for a cluster beside theirs: by this program
// once more. It returns true outside, where the test is then done.
func Apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apart) == t.Name() {
		return false
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", self,
		"-test.run", "^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), apart+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	} else if !strings.Contains(string(out), "\n--- PASS: "+t.Name()) {
		t.Error("it has not been run")
	}
	return true
}

// apart names the test that runs in namespaces of its own.
const apart = "TOLLGATE_APART"

// network makes the bridge that pods hang on, and a /run of our own, where ip keeps the names of network namespaces.
func network() error {
	for _, line := range []string{
		"mount -t tmpfs tmpfs /run", "mkdir -p /run/netns",
		"ip link set lo up",
		// An address of its own: a bridge without one takes the lowest of its ports', and changes it with each pod. Those
		// that know the old one then lose the API server, the DNS and the world for up to a minute.
		"ip link add " + bridge + " address 02:00:00:00:00:01 type bridge", "ip addr add " + hostIP + "/16 dev " + bridge,
		"ip link set " + bridge + " up",
	} {
		if err := command(line); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program with arguments without spaces.
func command(line string) error {
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// program names the one of programs that this binary is to be, in place of the tests.
const program = "TOLLGATE_PROGRAM"

// programs that are no more than a few lines: they are part of the tests' binary.
var programs = map[string]func(){"echo": echo}
