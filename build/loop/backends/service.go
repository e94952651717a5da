// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Options of Run….
type Options struct {
	Dir      string    // for files; must exist
	Progress io.Writer // of an installation; nil: standard error
	// Env are more variables of the service, "NAME=value", which win over those that are set here:
	// envoyproxy/ratelimit is configured by them.
	Env []string
}

// startTimeout covers a busy machine; both serve within a second on a quiet one.
const startTimeout = 60 * time.Second

// service is a program on fixed ports that can be stopped and started again.
type service struct {
	command func() *exec.Cmd
	ready   func() bool
	refused string // in the log: it runs, but will never be ready

	mu      sync.Mutex
	current *process.Process
	before  string // the log of the runs before this one
}

var errRefused = errors.New("it does not take its configuration")

// Restart stops the program, if it runs, and starts it again on the same port; it returns when it
// serves. What it held in memory is gone.
func (s *service) Restart() error {
	s.Stop()
	p, err := process.Start(s.command())
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.current != nil {
		s.before += s.current.Log()
	}
	s.current = p
	s.mu.Unlock()
	refused := false
	err = p.Await(func() bool {
		refused = s.refused != "" && strings.Contains(p.Log(), s.refused)
		return refused || s.ready()
	}, startTimeout)
	if err == nil && refused {
		err = errRefused
	}
	if err != nil {
		p.Stop()
		return fmt.Errorf("%w; its log:\n%s", err, p.Log())
	}
	return nil
}

func (s *service) process() *process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Stop ends it; its port then refuses connections.
func (s *service) Stop() {
	if p := s.process(); p != nil {
		s.Thaw() // a frozen program does not see that it is to end
		p.Stop()
	}
}

// Freeze has it do nothing any more while its port still takes connections: the fault that only a
// timeout ends. Thaw has it go on. It returns when every thread stands still: the signal alone
// stops them one after the other, and a request may still be answered meanwhile.
func (s *service) Freeze() {
	s.signal(syscall.SIGSTOP)
	p := s.process()
	for !stopped(p.Pid()) {
		select {
		case <-p.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// stopped reports whether all threads of a process are stopped (proc(5): the state is the field
// behind the name in parentheses).
func stopped(pid int) bool {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		if name := strings.LastIndexByte(string(b), ')'); name < 0 || !strings.HasPrefix(string(b[name:]), ") T ") {
			return false
		}
	}
	return true
}

// Thaw ends Freeze.
func (s *service) Thaw() { s.signal(syscall.SIGCONT) }

func (s *service) signal(sig syscall.Signal) {
	p := s.process()
	select {
	case <-p.Done(): // its number may be another's by now
	default:
		_ = syscall.Kill(p.Pid(), sig) // an error: it has just ended
	}
}

// Log is what it has printed, in all its runs.
func (s *service) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return s.before
	}
	return s.before + s.current.Log()
}

// Pid is the program's process id.
func (s *service) Pid() int { return s.process().Pid() }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
