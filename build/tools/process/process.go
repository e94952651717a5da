// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package process runs programs that must not outlive the one that started them: Envoy and its
// companions in tests, benchmarks and the demo.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a running program.
type Process struct {
	cmd  *exec.Cmd
	log  *Log
	done chan struct{} // closed when the program has ended
	err  error         // its outcome; to be read after done
}

// Log is what a program has printed so far. It may be read while the program writes.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Start runs cmd with its output going to a log, and to cmd.Stdout too where that is set. The
// kernel kills it should this program end without calling Stop.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, log: &Log{}, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	cmd.Stderr = p.log
	// A process group of its own: a Ctrl-C in the terminal comes to us, and we stop the child in our order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is sent when the thread that started the child ends: this one stays until the child has.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Pid is the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is what the program has printed.
func (p *Process) Log() string { return p.log.String() }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended; to be asked after Done.
func (p *Process) Err() error { return p.err }

// Stop ends the program: politely, then, after a grace period of ten seconds, not. What it has
// started itself ends with it: a script that waits for its program would leave that behind.
func (p *Process) Stop() {
	select {
	case <-p.done: // its number, and so its group's, may be another's by now
		return
	default:
	}
	_ = syscall.Kill(-p.Pid(), syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
		<-p.done
	}
}

// ErrTimeout means that a condition did not come true in time.
var ErrTimeout = errors.New("it took too long")

// Await asks for a condition until it holds, the program ends or the time is over.
func (p *Process) Await(condition func() bool, timeout time.Duration) error {
	deadline := time.After(timeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-p.done:
			if condition() {
				return nil
			}
			return fmt.Errorf("%s has ended: %v", p.cmd.Path, p.err)
		case <-deadline:
			return ErrTimeout
		case <-tick.C:
		}
	}
	return nil
}

// CPU is the processor time that the program has used, in user and kernel mode, to the nanosecond:
// the sum over its threads, which must all still live.
func (p *Process) CPU() (time.Duration, error) {
	dir := "/proc/" + strconv.Itoa(p.Pid()) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, t := range threads {
		b, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// Memory is the program's resident set, in bytes.
func (p *Process) Memory() (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.Pid()) + "/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// LastLine is the last line that a program has printed: where most of them say what went wrong.
func LastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
