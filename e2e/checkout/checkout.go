// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package checkout tells tests where the project lies.
package checkout

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Root is the project's top folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
