// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Engine is a running one.
type Engine struct {
	*process.Process
	dir     string
	env     []string // of every command
	compose []string
	before  surroundings
}

// ErrNotHere means that no engine can run on this machine.
var ErrNotHere = errors.New("no engine of Docker can be run here")

const (
	startTimeout = time.Minute
	// pool are the addresses of the networks, away from those that Docker's engines take by themselves.
	pool = "base=10.201.0.0/16,size=24"
)

// Start runs one; Stop must be called.
func Start(w io.Writer) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root", ErrNotHere)
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		if _, err := os.Stat("/sys/fs/cgroup/memory"); err != nil {
			return nil, fmt.Errorf("%w: no cgroups are mounted; on Debian: apt-get install cgroupfs-mount", ErrNotHere)
		}
	}
	env, compose, err := backends.Docker(w)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
	}
	// A short path: that of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "tollgate-engine-")
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, env: variables(append(env, "DOCKER_HOST=unix://"+dir+"/docker.sock", "DOCKER_CONFIG="+dir)),
		compose: compose}
	cmd := e.Command(context.Background(), "dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/docker.pid", "-H", "unix://"+dir+"/docker.sock",
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
		"--default-address-pool", pool,
		"--dns", "127.0.0.1") // names of nobody here are refused at once: nobody else can be asked
	if e.before, err = e.look(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if e.Process, err = process.Start(cmd); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	err = e.Await(func() bool { return e.Command(context.Background(), "docker", "version").Run() == nil }, startTimeout)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dockerd does not serve: %w; its log:\n%s", err, e.Log()), e.Stop())
	}
	return e, nil
}

// Env are the variables with which docker and compose find the engine, beside this program's own.
func (e *Engine) Env() []string { return e.env }

// Compose is the command of compose.
func (e *Engine) Compose() []string { return e.compose }

// Command runs a program that may be of the engine's packages.
func (e *Engine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, find(name, e.env), args...)
	cmd.Env = e.env
	return cmd
}

// variables are this program's own, and others in their place.
func variables(more []string) []string {
	all := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		// Those by which a user's own docker and compose are set up are not for this one.
		return strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "COMPOSE_") ||
			slices.ContainsFunc(more, func(m string) bool { return strings.HasPrefix(m, name+"=") })
	})
	return append(all, more...)
}

// find looks for a program on the PATH of env.
func find(name string, env []string) string {
	for _, v := range slices.Backward(env) {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(list) {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path
			}
		}
		break
	}
	return name
}

// Stop ends containers that are left, and the engine, and removes all it had. What it has left in
// the machine's network is an error.
func (e *Engine) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var problems []error
	if list, err := e.Command(ctx, "docker", "ps", "-aq").Output(); err == nil && len(strings.Fields(string(list))) > 0 {
		if out, err := e.Command(ctx, "docker",
			append([]string{"rm", "-f", "-v"}, strings.Fields(string(list))...)...).CombinedOutput(); err != nil {
			problems = append(problems, fmt.Errorf("docker rm: %w: %s", err, out))
		}
	}
	networks, err := e.Command(ctx, "docker", "network", "ls", "--quiet", "--filter", "driver=bridge").Output()
	if err != nil {
		problems = append(problems, fmt.Errorf("docker network ls: %w", err))
	}
	// Its bridges are the kernel's and would stay.
	if out, err := e.Command(ctx, "docker", "network", "prune", "-f").CombinedOutput(); err != nil {
		problems = append(problems, fmt.Errorf("docker network prune: %w: %s", err, out))
	}
	e.Process.Stop()
	for _, id := range strings.Fields(string(networks)) {
		if _, err := net.InterfaceByName("br-" + id); err == nil {
			problems = append(problems, fmt.Errorf("the engine has left the interface br-%s", id))
		}
	}
	if after, err := e.look(); err != nil || after != e.before {
		problems = append(problems, err,
			fmt.Errorf("the engine has changed the machine's network from %+v to %+v", e.before, after))
	}
	return errors.Join(append(problems, os.RemoveAll(e.dir))...)
}

// surroundings are the settings of the machine's network that an engine, if it did as it does by itself, would change.
type surroundings struct{ forwarding, firewall string }

func (e *Engine) look() (s surroundings, err error) {
	forwarding, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return s, err
	}
	// The policy, and Docker's chains beside those that were there. Where the kernel has no such
	// tables, nothing can change in them.
	firewall, err := e.Command(context.Background(), "iptables", "-S").Output()
	if err != nil {
		firewall = nil
	}
	return surroundings{strings.TrimSpace(string(forwarding)), string(firewall)}, nil
}
