// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asCommand has the test's own program be the command.
const asCommand = "TOLLGATE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A signal ends a command that waits for its input.
func TestSignals(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		signal syscall.Signal
		code   int
		args   []string
		fifo   bool // else standard input
	}{
		{syscall.SIGINT, 130, []string{"check", "-"}, false},
		{syscall.SIGTERM, 143, []string{"migrate", "-"}, false},
		{syscall.SIGINT, 130, []string{"check"}, true},
		{syscall.SIGTERM, 143, []string{"explain", "--request", "GET https://a/", "--config"}, true},
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		args := c.args
		if c.fifo {
			args = append(args, fifo)
		}
		command := exec.Command(self, args...)
		command.Env = append(os.Environ(), asCommand+"=1")
		in, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- command.Wait() }()
		// It reads: a FIFO has another end then, and a pipe takes no more than it has room for.
		if c.fifo {
			if in, err = os.OpenFile(fifo, os.O_WRONLY, 0); err != nil {
				t.Fatal(err)
			}
		} else if _, err := io.WriteString(in, strings.Repeat("#\n", 1<<19)); err != nil {
			t.Fatal(err)
		}
		if err := command.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Errorf("%v, %v: %v, want exit code %d", args, c.signal, err, c.code)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%v, %v: still there", args, c.signal)
			if err := command.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-done
		}
		_ = in.Close() // it may be closed already
	}
}
