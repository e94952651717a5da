// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/docker"
	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// testTimeout is for all of it, but for fetching and building programs the first time.
const testTimeout = 20 * time.Minute

// notRun tells loudly what cannot be run here, and why; where CI=true, everything must run, and it is an error.
func notRun(w io.Writer, what string, why error) error {
	line := strings.Repeat("*", 72)
	fmt.Fprintf(w, "\n%s\n*** NOT RUN: %s.\n*** %v\n%s\n", line, what, why, line)
	if os.Getenv("CI") == "true" {
		return why
	}
	return nil
}

// test brings everything up, tries it, changes it while it runs, and takes it down, with the
// targets that people use: with the user's Docker and the official images, or with images made here
// in an engine of its own.
func test(ctx context.Context, root string) (err error) {
	began := time.Now()
	step := func(format string, args ...any) {
		fmt.Printf("== %4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	free, err := freePorts()
	if err != nil {
		return err
	}
	cache, err := envoybin.Cache()
	if err != nil {
		return err
	}
	// A checkout, a project and ports of its own: it can change sources, and a loop that somebody has running stays.
	dir, err := os.MkdirTemp(filepath.Join(root, "build", "out"), "compose-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyCheckout(root, dir); err != nil {
		return err
	}
	l := &loop{root: dir, mounts: mounts.New(dir, filepath.Join(dir, "build", "out", "compose")), ports: free}
	variables := []string{"COMPOSE_PROJECT_NAME=" + filepath.Base(dir), "TOLLGATE_CACHE=" + cache}
	for name, port := range free {
		variables = append(variables, name+"="+port)
	}
	running := slices.Clone(profiles)

	c, err := usersCompose(ctx, dir)
	switch {
	case err == nil:
		step("the user's Docker: official images")
		c.env = append(c.env, variables...)
		l.compose = c
	case errors.Is(err, errNoDocker):
		step("%v", err)
		e, problem := docker.Start(os.Stdout)
		if errors.Is(problem, docker.ErrNotHere) {
			return notRun(os.Stderr, "make test-compose", problem)
		}
		if problem != nil {
			return problem
		}
		defer func() { // of the function's own err
			step("stopping the engine")
			err = errors.Join(err, e.Stop())
		}()
		step("an engine of its own serves; images are made of the real programs")
		images, left, problem := e.StandIns(ctx, os.Stdout)
		if problem != nil {
			return problem
		}
		for profile, why := range left {
			running = slices.DeleteFunc(running, func(p string) bool { return p == profile })
			fmt.Printf("*** NOT RUN: the profile %s: %s ***\n", profile, why)
		}
		l.compose = &compose{command: e.Compose(), docker: e.Command(ctx, "docker").Path,
			env: append(e.Env(), append(variables, images...)...), root: dir}
	default:
		return err
	}
	l.compose.env = append(l.compose.env, "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=") // of the make that runs this
	return l.scenario(ctx, step, running)
}

// copyCheckout copies what a clone has and the compiled modules, with their times: make finds them up to date.
func copyCheckout(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch slash := filepath.ToSlash(rel); {
		case slash == ".git" && !d.IsDir():
			return nil
		case slash == ".git" || slash == "build/.cache" || strings.HasPrefix(slash, "build/out/") && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || strings.HasPrefix(slash, "build/out/") && filepath.Ext(slash) != ".wasm":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(to, rel)
		return errors.Join(os.WriteFile(to, b, info.Mode().Perm()), os.Chtimes(to, info.ModTime(), info.ModTime()))
	})
}

// freePorts are ports that nobody listens on.
func freePorts() (ports, error) {
	free, err := process.FreePorts(len(defaultPorts))
	if err != nil {
		return nil, err
	}
	p := ports{}
	for name := range defaultPorts {
		p[name], free = strconv.Itoa(free[0]), free[1:]
	}
	return p, nil
}
