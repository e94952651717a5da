// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package abi is the machine side of the bridge: the proxy's imports (host_wasip1.go), the memory
// it writes its answers to (arena.go) and what stands around every callback (callback.go). Package
// guest and its on/ folders export the callbacks themselves.
//
// It rests on two properties of GOARCH=wasm. A Go int and a Go pointer are 8 bytes there, while the
// proxy writes 4: every result variable that the SDK passes is zeroed before, and wasm is
// little-endian, so the lower half that is written is the value. And the SDK hands every host call,
// when it is not built by TinyGo, to the variable currentHost of its internal package, meant for
// its emulator: we put the real host there.
package abi
