// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindPrefersTheUsersOwn(t *testing.T) {
	own, onPath := t.TempDir(), t.TempDir()
	t.Setenv("PATH", onPath)
	redis := script(t, onPath, "redis-server", "")
	if path, env, err := findRedis(io.Discard); path != redis || env != nil || err != nil {
		t.Errorf("on PATH: %s %s, %v", path, env, err)
	}
	redis = script(t, own, "redis", "")
	t.Setenv("REDIS_SERVER", redis)
	if path, env, err := findRedis(io.Discard); path != redis || env != nil || err != nil {
		t.Errorf("$REDIS_SERVER: %s %s, %v", path, env, err)
	}
	service := script(t, own, "service", "")
	t.Setenv("RATELIMIT", service)
	if path, err := findRateLimit(io.Discard); path != service || err != nil {
		t.Errorf("$RATELIMIT: %s, %v", path, err)
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	t.Setenv("TOLLGATE_CACHE", t.TempDir())
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("REDIS_SERVER", "/nowhere/redis-server")
	if _, _, err := findRedis(io.Discard); err == nil ||
		!strings.Contains(err.Error(), "$REDIS_SERVER is /nowhere/redis-server") ||
		!strings.Contains(err.Error(), "point it at a program") {
		t.Errorf("a wrong $REDIS_SERVER: %v", err)
	}
	t.Setenv("REDIS_SERVER", "")
	if _, _, err := findRedis(io.Discard); err == nil || !strings.Contains(err.Error(), "install Redis 6.2 or newer") ||
		!strings.Contains(err.Error(), "there is no apt-get") {
		t.Errorf("without apt: %v", err)
	}
	t.Setenv("RATELIMIT", "/nowhere/ratelimit")
	if _, err := findRateLimit(io.Discard); err == nil || !strings.Contains(err.Error(), "point it at a program") {
		t.Errorf("a wrong $RATELIMIT: %v", err)
	}
	t.Setenv("RATELIMIT", "")
	script(t, bin, "ratelimit", "") // another program of that name
	if path, err := findRateLimit(io.Discard); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("without go: %s, %v", path, err)
	}
	script(t, bin, "go", "echo first >&2; echo no such host >&2; exit 1")
	if path, err := findRateLimit(io.Discard); err == nil || !strings.Contains(err.Error(), "is the network there?") ||
		!strings.HasSuffix(err.Error(), ": no such host") {
		t.Errorf("with a go that fails: %s, %v", path, err)
	}
}

// The plan of apt is read for what it would add; what is there stays as it is.
func TestDownloadRedis(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	script(t, bin, "apt-get", `echo "$@" >> calls
case "$*" in *--simulate*)
echo "Inst liblzf1 (3.6-3 Debian:12 [amd64])"
echo "Inst libc6 [2.36-8] (2.36-9 Debian:12 [amd64]) []"
echo "Inst redis-server (5:7.0 Debian:12 [amd64])"
echo "Conf redis-server (5:7.0 Debian:12 [amd64])"
esac`)
	if err := download(context.Background(), dir, []string{"redis-server"}, "-o", "a=b"); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	if err != nil || len(lines) != 2 || !strings.HasSuffix(lines[1], " -o a=b download liblzf1 redis-server") {
		t.Errorf("%q, %v", lines, err)
	}
}

// A failed installation leaves nothing that would pass for one, and the next attempt has an empty folder.
func TestCached(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("TOLLGATE_CACHE", cache)
	fault := errors.New("a fault")
	runs := 0
	install := func(fail error) func(context.Context, string) error {
		return func(_ context.Context, dir string) error {
			runs++
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("the folder has %v, %v", entries, err)
			}
			if err := os.WriteFile(filepath.Join(dir, "program"), nil, 0o755); err != nil {
				t.Error(err)
			}
			return fail
		}
	}
	if path, err := cached("kind/1", "program", install(fault)); path != "" || err != fault {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := cached("kind/1", "missing", install(nil)); err == nil ||
		!strings.Contains(err.Error(), "has no missing") {
		t.Error(err)
	}
	for range 2 {
		if path, err := cached("kind/1", "program", install(nil)); path != filepath.Join(cache, "kind/1/program") ||
			err != nil {
			t.Errorf("%s, %v", path, err)
		}
	}
	if runs != 3 {
		t.Errorf("%d installations, want 3", runs)
	}
	entries, err := os.ReadDir(filepath.Join(cache, "kind"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, []string{"1", "1.lock"}) {
		t.Errorf("the cache has %q, %v", names, err)
	}
}

func TestChromium(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("TOLLGATE_CACHE", t.TempDir())
	t.Setenv("PATH", bin)
	if p, err := Chromium(io.Discard); err == nil ||
		!strings.Contains(err.Error(), "install it so that chromium or google-chrome is on PATH") ||
		!strings.Contains(err.Error(), "there is no apt-get") {
		t.Errorf("without apt: %v, %v", p, err)
	}
	own := script(t, bin, "google-chrome", "")
	if p, err := Chromium(io.Discard); p.Path != own || p.Env != nil || err != nil {
		t.Errorf("on PATH: %v, %v", p, err)
	}
}
