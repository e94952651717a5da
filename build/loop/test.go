// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/engine"
	"github.com/tollgate-wasm/tollgate/build/loop/made"
)

// testTimeout is for all of it, but for fetching and building programs the first time.
const testTimeout = 10 * time.Minute

const banner = `
************************************************************************
*** NOT RUN: make test-compose.
*** %v
************************************************************************
`

// test brings everything up, tries it, changes it while it runs, and takes it down: with the user's Docker and the official images, or with images made here in an engine of its own.
func test(ctx context.Context, root string) (err error) {
	began := time.Now()
	step := func(format string, args ...any) {
		fmt.Printf("== %4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	free, err := freePorts()
	if err != nil {
		return err
	}
	// A project, a folder and ports of its own: a loop that somebody has running stays.
	dir, err := os.MkdirTemp(filepath.Join(root, "build", "out"), "compose-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l := &loop{root: root, made: made.New(root, dir), ports: free}
	variables := []string{"COMPOSE_PROJECT_NAME=" + filepath.Base(dir), "TOLLGATE_MADE=" + dir}
	for name, port := range free {
		variables = append(variables, name+"="+port)
	}

	c, err := usersCompose(ctx, root)
	switch {
	case err == nil:
		step("the user's Docker: official images")
		c.env = append(c.env, variables...)
		l.compose = c
	case errors.Is(err, errNoDocker):
		step("%v", err)
		e, err := engine.Start(os.Stdout)
		if errors.Is(err, engine.ErrNotHere) {
			fmt.Fprintf(os.Stderr, banner, err)
			if os.Getenv("CI") == "true" {
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		defer func() {
			step("stopping the engine")
			err = errors.Join(err, e.Stop())
		}()
		step("an engine of its own serves; images are made of the real programs")
		images, err := e.StandIns(ctx, os.Stdout)
		if err != nil {
			return err
		}
		l.compose = &compose{command: e.Compose(), docker: e.Command(ctx, "docker").Path, env: append(e.Env(), append(variables, images...)...), root: root}
	default:
		return err
	}
	return l.scenario(ctx, step)
}

func (l *loop) scenario(ctx context.Context, step func(string, ...any)) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, testTimeout, fmt.Errorf("it took more than %s", testTimeout))
	defer cancel()
	defer func() {
		step("down")
		// Also after a Ctrl-C, and with its own deadline.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err != nil {
			logs, _ := l.compose.cmd(ctx, "logs", "--no-color", "--tail", "60").CombinedOutput() // what there is
			fmt.Printf("the services' logs:\n%s\n", logs)
		}
		var quiet strings.Builder
		if e := l.compose.run(ctx, &quiet, "down", "--volumes", "--remove-orphans"); e != nil {
			err = errors.Join(err, e)
		}
	}()
	step("docker compose up")
	if err := l.up(ctx); err != nil {
		return err
	}
	step("make try")
	if err := l.try(ctx, os.Stdout); err != nil {
		return err
	}
	return nil
}

// freePorts are ports that nobody listens on.
func freePorts() (ports, error) {
	p := ports{}
	for name := range defaultPorts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are chosen: none twice
		p[name] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return p, nil
}
