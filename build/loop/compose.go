// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// compose is a way to run docker compose.
type compose struct {
	command []string
	docker  string
	env     []string
	root    string
}

var errNoDocker = errors.New("there is no Docker here")

// usersCompose is the user's own: v2, or docker-compose 1.29. Its engine must answer.
func usersCompose(ctx context.Context, root string) (*compose, error) {
	const help = "install Docker (https://docs.docker.com/engine/install/), or, on Debian as root, make test-compose " +
		"brings an engine of its own"
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	docker, err := exec.LookPath("docker")
	if err != nil {
		return nil, fmt.Errorf("%w (no docker on PATH): %s", errNoDocker, help)
	}
	if out, err := exec.CommandContext(ctx, docker, "info", "--format",
		"{{.ServerVersion}}").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w (docker info: %s): start its engine, or %s", errNoDocker, process.LastLine(out), help)
	}
	c := &compose{docker: docker, env: os.Environ(), root: root}
	for _, command := range [][]string{{docker, "compose"}, {"docker-compose"}} {
		if exec.CommandContext(ctx, command[0], append(command[1:], "version")...).Run() == nil {
			c.command = command
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w (neither docker compose nor docker-compose): install the compose plugin, "+
		"https://docs.docker.com/compose/install/", errNoDocker)
}

func (c *compose) cmd(ctx context.Context, args ...string) *exec.Cmd {
	command := slices.Concat(c.command,
		[]string{"--file", filepath.Join(c.root, "envoy", "docker-compose.yaml"), "--project-directory",
			filepath.Join(c.root, "envoy")}, args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = c.env
	cmd.Dir = filepath.Join(c.root, "envoy") // where .env is
	grouped(cmd)
	return cmd
}

// grouped has a command end with what it starts. A Ctrl-C comes to us, and we end it.
func grouped(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
}

// run runs it with its output going to w; on a failure the end of that is in the error, too.
func (c *compose) run(ctx context.Context, w io.Writer, args ...string) error {
	cmd := c.cmd(ctx, args...)
	var log process.Log
	cmd.Stdout, cmd.Stderr = io.MultiWriter(w, &log), io.MultiWriter(w, &log)
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("docker compose %s: %w: %s", args[0], err, process.LastLine([]byte(log.String())))
	}
	return nil
}

// container is what docker inspect tells of one.
type container struct {
	Name  string
	State struct {
		Status string
		Pid    int
		Health struct {
			Status string
			Log    []struct{ Output string }
		}
	}
}

// containers are the project's.
func (c *compose) containers(ctx context.Context) ([]container, error) {
	ids, err := c.cmd(ctx, "ps", "--all", "--quiet").Output()
	if err != nil {
		return nil, fmt.Errorf("docker compose ps: %w", err)
	}
	if len(strings.Fields(string(ids))) == 0 {
		return nil, nil
	}
	inspect := exec.CommandContext(ctx, c.docker, append([]string{"inspect"}, strings.Fields(string(ids))...)...)
	inspect.Env = c.env
	text, err := inspect.Output()
	if err != nil {
		return nil, fmt.Errorf("docker inspect: %w", err)
	}
	var list []container
	return list, json.Unmarshal(text, &list)
}

// healthy waits until every container is.
func (l *loop) healthy(ctx context.Context) error {
	told := ""
	for {
		list, err := l.compose.containers(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		var waiting []string
		for _, c := range list {
			switch {
			case c.State.Status == "exited" || c.State.Health.Status == "unhealthy":
				why := ""
				if n := len(c.State.Health.Log); n > 0 {
					why = ": " + strings.TrimSpace(c.State.Health.Log[n-1].Output)
				}
				return fmt.Errorf("%s is %s %s%s; look at make logs", c.Name, c.State.Status, c.State.Health.Status, why)
			case c.State.Health.Status != "healthy":
				waiting = append(waiting, strings.TrimPrefix(c.Name, "/"))
			}
		}
		if len(list) > 0 && waiting == nil {
			return nil
		}
		if now := strings.Join(waiting, ", "); now != told {
			told = now
			fmt.Fprintln(os.Stderr, "waiting for", now)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not healthy in time: %s", strings.Join(waiting, ", "))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// await waits until a condition holds, or the context ends.
func (l *loop) await(ctx context.Context, what string, condition func() bool) error {
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s: %w", what, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
