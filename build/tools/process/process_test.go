// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A script that waits for its program is stopped with it.
func TestStopEndsTheGroup(t *testing.T) {
	p, err := Start(exec.Command("sh", "-c", "sleep 600 & echo $!; wait"))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if err := p.Await(func() bool {
		line, _, whole := strings.Cut(p.Log(), "\n")
		child, err = strconv.Atoi(line)
		return whole && err == nil
	}, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		p.Stop()
		p.Stop() // of one that has ended: nothing
		close(stopped)
	}()
	select {
	case <-stopped: // it waits until nobody writes to the log any more
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(child, syscall.SIGKILL)
		t.Fatal("what the script has started still runs")
	}
}

// Ports that are chosen together are none twice, and none that the kernel gives to outgoing connections.
func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil || len(ports) != 20 {
		t.Fatalf("%v, %v", ports, err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 || ports[0] < 20000 || ports[19] >= 32000 {
		t.Errorf("%v", ports)
	}
}
