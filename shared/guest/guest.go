// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package guest carries filters written against github.com/tetratelabs/proxy-wasm-go-sdk to the
// official Go toolchain (GOOS=wasip1, -buildmode=c-shared).
//
// The SDK is made for TinyGo: built by Go it has neither imports nor exports of its own. This
// package supplies the host calls and the callbacks that every filter needs; the others stand in
// folders of their own under on/, for a filter's main package to import for their effect. A proxy
// calls what a module exports, and each call costs 1.5 to 4 µs, so a filter imports no more than it
// uses.
//
// Memory: whatever a host call returns is valid until the callback ends. Copy what is kept longer (strings.Clone).
//
// Panics: every export recovers. The handler given to OnFault answers the stream; without a handler
// the VM traps, which Envoy answers with 503. main does not run in a c-shared module: register the
// filter in init.
package guest

import "github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"

// Fault is a panic that was caught at an export, with the callback's name, the context's id and the value.
type Fault = abi.Fault

// OnFault sets what is done about faults: the handler must see to it that the stream whose callback
// failed is refused, since the callback itself then tells the proxy to wait. It runs once, at
// start. A handler that panics traps the VM.
func OnFault(handler func(Fault)) { abi.OnFault = handler }
