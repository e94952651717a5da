// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package checkout finds the project's top folder. It imports nothing of an operating system's own: the command is
// compiled for all of them.
package checkout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Root is the project's top folder: the nearest one above the working directory with this module's go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		text := strings.ReplaceAll(string(b), "\r\n", "\n") // as git checks it out on Windows
		if err == nil && strings.HasPrefix(text, "module github.com/tollgate-wasm/tollgate\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run this inside a checkout of Tollgate")
		}
		dir = parent
	}
}
