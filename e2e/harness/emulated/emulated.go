// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package emulated loads filters for the emulated host of shared/wasmhost.
package emulated

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// Load is the module of a filter, the one that ships; where filters run as steps (harness.AsStep),
// every configuration that it gets is the middle of a chain.
func Load(t testing.TB, filter string) *wasmhost.Module {
	t.Helper()
	name := filter
	if harness.AsStep() {
		name = filters.Module
	}
	module, err := wasmhost.LoadFile(harness.Module(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if harness.AsStep() {
		module.Configure = func(config string) string { return harness.Between(filter, "step", config) }
	}
	return module
}
