// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package envoybin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func script(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindPrefersTheUsersOwn(t *testing.T) {
	own := script(t, t.TempDir(), "echo 'envoy  version: abc/1.36.4/Clean/RELEASE/BoringSSL'")
	onPath := script(t, t.TempDir(), "echo 'envoy  version: abc/1.39.3/Clean/RELEASE/BoringSSL'")
	t.Setenv("PATH", filepath.Dir(onPath))
	t.Setenv("ENVOY", own)
	if path, v, err := Find("", os.Stderr); path != own || v != "1.36.4" || err != nil {
		t.Errorf("with $ENVOY: %s %s, %v", path, v, err)
	}
	t.Setenv("ENVOY", "")
	if path, v, err := Find("", os.Stderr); path != onPath || v != "1.39.3" || err != nil {
		t.Errorf("on PATH: %s %s, %v", path, v, err)
	}
	if path, v, err := Find("1.39.3", os.Stderr); path != onPath || v != "1.39.3" || err != nil {
		t.Errorf("a version that is on PATH: %s %s, %v", path, v, err)
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	t.Setenv("TOLLGATE_CACHE", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	t.Setenv("ENVOY", "/nowhere/envoy")
	if _, _, err := Find("", os.Stderr); err == nil || !strings.Contains(err.Error(), "point it at an Envoy binary") {
		t.Errorf("a wrong $ENVOY: %v", err)
	}
	t.Setenv("ENVOY", script(t, t.TempDir(), "echo hello"))
	if _, _, err := Find("", os.Stderr); err == nil || !strings.Contains(err.Error(), "does not look like Envoy's") {
		t.Errorf("an $ENVOY that is something else: %v", err)
	}
	t.Setenv("ENVOY", "")
	if _, _, err := Find("", os.Stderr); err == nil ||
		!strings.Contains(err.Error(), "install python3 and python3-venv") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without python3: %v", err)
	}
}
