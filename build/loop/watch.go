// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
)

const (
	// look is how often watch looks at the files. There are a few hundred: it costs less than a
	// millisecond of each second, and works on every file system.
	look = 100 * time.Millisecond
	// liveTimeout covers compiling a module on a busy machine.
	liveTimeout = 2 * time.Minute
)

// state is a file as it was when looked at; one that is not there is another state, too.
type state struct {
	size int64
	time time.Time
}

func stateOf(file string) state {
	info, err := os.Stat(file)
	if err != nil {
		return state{}
	}
	return state{info.Size(), info.ModTime()}
}

// watch publishes what changes, and compiles the module when its sources change, until the context ends.
// A mistake is told, and everything goes on as it was.
func (l *loop) watch(ctx context.Context, w io.Writer) error {
	for _, name := range []string{"EDGE_ADMIN_PORT", "MESH_ADMIN_PORT"} {
		if _, err := (client{}).send(ctx, "GET", "http://"+l.ports.address(name)+"/ready"); err != nil {
			return fmt.Errorf("nothing runs that could take changes: %w; run: make up", err)
		}
	}
	sources, err := l.sources()
	if err != nil {
		return err
	}
	inputs := statesOf(l.mounts.Inputs())
	if err := l.publish(ctx, w); err != nil {
		fmt.Fprintf(w, "%s  nothing is changed: %v\n", clock(), err)
	}
	fmt.Fprintf(w, "watching %d sources, and the configurations in envoy/edge and envoy/mesh. Ctrl-C ends.\n",
		len(sources))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
		now, err := l.sources()
		if err != nil {
			return err
		}
		changed := time.Now()
		if !same(now, sources) {
			sources = now
			l.compile(ctx, w, filters.Module)
		}
		if files := statesOf(l.mounts.Inputs()); !same(files, inputs) {
			inputs = files
			if err := l.publish(ctx, w); err != nil {
				fmt.Fprintf(w, "%s  nothing is changed: %v\n", clock(), err)
			} else if ctx.Err() == nil {
				fmt.Fprintf(w, "%s  all is live %.1f s after the change was seen\n", clock(), time.Since(changed).Seconds())
			}
		}
	}
}

func clock() string { return time.Now().Format(time.TimeOnly) }

func statesOf(files []string) map[string]state {
	m := map[string]state{}
	for _, f := range files {
		m[f] = stateOf(f)
	}
	return m
}

func same(a, b map[string]state) bool {
	if len(a) != len(b) {
		return false
	}
	for file, s := range a {
		if b[file] != s {
			return false
		}
	}
	return true
}

// publish hands changes to the proxies, one after another, and tells when each has its own.
func (l *loop) publish(ctx context.Context, w io.Writer) error {
	return l.mounts.Publish(func(p mounts.Plugin) {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, liveTimeout)
		defer cancel()
		switch err := l.live(limited, p); {
		case ctx.Err() != nil:
		case err != nil:
			fmt.Fprintf(w, "%s  %s: %v; look at make logs\n", clock(), p, err)
		default:
			fmt.Fprintf(w, "%s  %s is live after %.1f s\n", clock(), p, time.Since(began).Seconds())
		}
	})
}

// live waits until a proxy has a plugin as it was published last.
func (l *loop) live(ctx context.Context, p mounts.Plugin) error {
	version, err := l.mounts.Version(p)
	if err != nil {
		return err
	}
	address := "http://" + l.ports.address(strings.ToUpper(p.Proxy)+"_ADMIN_PORT") + "/config_dump?resource=ecds_filters"
	problem := ""
	err = l.await(ctx, "the proxy has the new version", func() bool {
		a, err := client{}.send(ctx, "GET", address)
		if err != nil {
			problem = err.Error()
			return false
		}
		var dump struct {
			Configs []struct {
				Filter struct {
					Name    string
					Version string `json:"version_info"`
				} `json:"ecds_filter"`
				Version string `json:"version_info"`
			}
		}
		if err := json.Unmarshal([]byte(a.body), &dump); err != nil {
			problem = err.Error()
			return false
		}
		problem = "it has another"
		for _, c := range dump.Configs {
			if c.Filter.Name == p.Name && c.Version == version {
				return true
			}
		}
		return false
	})
	if err != nil && problem != "" {
		return fmt.Errorf("%w (%s)", err, problem)
	}
	return err
}

// sources are what the modules are compiled of (the Makefile's SOURCES).
func (l *loop) sources() (map[string]state, error) {
	var files []string
	for _, dir := range []string{"filters", "shared", "build/tools/pretty"} {
		err := filepath.WalkDir(filepath.Join(l.root, dir), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // an editor's file that has just gone
			}
			if err != nil {
				return err
			}
			if name := d.Name(); filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") || name == "default.pgo" {
				rel, err := filepath.Rel(l.root, path)
				if err != nil {
					return err
				}
				files = append(files, rel)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	m := map[string]state{}
	for _, f := range append(files, "go.mod", "go.sum") {
		m[f] = stateOf(filepath.Join(l.root, f))
	}
	return m, nil
}

// compile has make build a module. What the compiler says of a mistake is printed.
func (l *loop) compile(ctx context.Context, w io.Writer, module string) {
	began := time.Now()
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "build/out/"+module+".wasm")
	cmd.Dir = l.root
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(w, "%s  not compiled (%v): the proxies keep what they have\n", clock(), err)
		return
	}
	fmt.Fprintf(w, "%s  %s compiled in %.1f s\n", clock(), module, time.Since(began).Seconds())
}
