// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

// Command empty is a module that does nothing, with the least that Envoy loads: what a Go module
// costs before it does anything.
package main

import "unsafe"

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

var memory [64 << 10]byte

//go:wasmexport proxy_on_memory_allocate
func allocate(size int32) unsafe.Pointer {
	if int(size) > len(memory) {
		return nil
	}
	return unsafe.Pointer(&memory)
}
