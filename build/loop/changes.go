// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// changes brings other rules and another module to the running proxies, while try goes on.
func (l *loop) changes(ctx context.Context, step func(string, ...any)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watch, err := process.Start(l.target(ctx, "watch"))
	if err != nil {
		return err
	}
	defer watch.Stop()
	if err := watch.Await(func() bool { return strings.Contains(watch.Log(), "watching ") }, time.Minute); err != nil {
		return fmt.Errorf("make watch: %w\n%s", err, watch.Log())
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop(nil)
	tries := 0
	wait.Go(func() {
		for pace := time.NewTicker(time.Second); ctx.Err() == nil; <-pace.C {
			var table strings.Builder
			if err := l.try(ctx, &table); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("while changes came in: %w\n%s", err, table.String()))
			}
			tries++
		}
	})
	step("make watch: changed rules, while make try goes on")
	if err := l.changeRules(ctx, step); err != nil {
		return fmt.Errorf("%w\n%s", err, watch.Log())
	}
	step("make watch: a changed source, while make try goes on")
	if err := l.changeSource(ctx, step, watch); err != nil {
		return fmt.Errorf("%w\n%s", err, watch.Log())
	}
	stop(nil)
	wait.Wait()
	if err := context.Cause(ctx); err != context.Canceled { // a try that failed when nobody waited any more
		return err
	}
	step("make try went through %d times meanwhile", tries)
	return nil
}

// changeLimit is how soon a changed rule must be live. A machine that has other things to do gets three goes.
const changeLimit = 2 * time.Second

func (l *loop) changeRules(ctx context.Context, step func(string, ...any)) error {
	file := filepath.Join(l.root, "envoy", "edge", "jwt-scope.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	best := time.Duration(math.MaxInt64)
	for n := 1; n <= 3 && best > changeLimit; n++ {
		path := fmt.Sprintf("/archive-%d", n)
		if a, err := l.get(ctx, path); err != nil || a.String() != "403 no_rule" {
			return fmt.Errorf("GET %s before there is a rule: %s, %w", path, a, err)
		}
		changed := strings.Replace(string(text), "\nrules:\n",
			fmt.Sprintf("\nrules:\n- name: archive-%d\n  match: [{paths: [%s]}]\n  require: {scopes: {all: "+
				"[\"archive:read\"]}}\n", n, path), 1)
		began := time.Now()
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		err := l.await(limited, "the changed rule decides", func() bool {
			a, err := l.get(limited, path)
			return err == nil && a.String() == "401 token_missing"
		})
		cancel()
		if err != nil {
			return err
		}
		took := time.Since(began)
		best = min(best, took)
		step("a changed rule decides %.2f s after its file was written", took.Seconds())
	}
	if best > changeLimit {
		return fmt.Errorf("a changed rule took %s, more than %s", best, changeLimit)
	}
	return nil
}

// liveLimit is how soon after the compiler the module must decide in a proxy, in all of its plugins.
// Envoy compiles it to machine code meanwhile, six seconds of the processor's time, on all cores: a
// quarter more than for jwt-scope alone, and once for all filters.
const liveLimit = 7 * time.Second

// changeSource has the refusals name another scheme of authentication, and waits until they do. A
// machine that has other things to do gets three goes.
func (l *loop) changeSource(ctx context.Context, step func(string, ...any), watch *process.Process) (err error) {
	file := filepath.Join(l.root, "filters", "jwt-scope", "scope", "answers.go")
	original, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	defer func() { // in the end it is as it was, for make, too
		watch.Stop()
		err = errors.Join(err, os.WriteFile(file, original, info.Mode().Perm()),
			os.Chtimes(file, info.ModTime(), info.ModTime()))
	}()
	const scheme = "`Bearer realm=\"`"
	if !strings.Contains(string(original), scheme) {
		return fmt.Errorf("%s has no %s to change", file, scheme)
	}
	best := map[string]time.Duration{}
	slowest := time.Duration(math.MaxInt64)
	for n := 1; n <= 3 && slowest > liveLimit; n++ {
		changed := fmt.Sprintf("Changed-%d", n)
		before := map[string]string{}
		for _, p := range mounts.Plugins {
			if before[p.String()], err = l.mounts.Version(p); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := os.WriteFile(file, []byte(strings.Replace(string(original), scheme, "`"+changed+" realm=\"`", 1)),
			0o644); err != nil {
			return err
		}
		slowest = 0
		for _, p := range mounts.Plugins {
			name := p.String()
			published, took, err := l.exchanged(ctx, p, before[name])
			if err != nil {
				return err
			}
			step("the new module of %s was there %.1f s after its source was written, and decided %.1f s later", name,
				published.Sub(began).Seconds(), took.Seconds())
			if best[name] == 0 || took < best[name] {
				best[name] = took
			}
			slowest = max(slowest, best[name])
		}
		step("a changed source decided in both proxies %.1f s after it was written", time.Since(began).Seconds())
		if a, err := l.get(ctx, "/orders/7"); err != nil ||
			!strings.HasPrefix(a.header.Get("WWW-Authenticate"), changed+" ") {
			return fmt.Errorf("the changed source does not decide: %s %q, %w", a, a.header.Get("WWW-Authenticate"), err)
		}
	}
	if slowest > liveLimit {
		return fmt.Errorf("a new module took %s to decide, more than %s", slowest, liveLimit)
	}
	return nil
}

// exchanged waits until a plugin is published in another version than before, and then until its proxy has that.
func (l *loop) exchanged(ctx context.Context, p mounts.Plugin, before string) (published time.Time, took time.Duration,
	err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // of which the compiler may take most
	defer cancel()
	if err := l.await(ctx, "the new module of "+p.String()+" is published", func() bool {
		v, err := l.mounts.Version(p)
		return err == nil && v != before
	}); err != nil {
		return published, 0, err
	}
	published = time.Now()
	err = l.live(ctx, p)
	return published, time.Since(published), err
}
