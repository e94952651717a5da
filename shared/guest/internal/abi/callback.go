// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package abi

// Fault is a panic that was caught at an export.
type Fault struct {
	Callback  string // the export's name, "proxy_on_request_headers"
	ContextID uint32 // of the stream or the plugin that the callback was for
	Value     any    // what was panicked with: it may hold anything, so it is not for logs as it is
}

// OnFault is called for every fault. Where it is nil, or panics itself, the panic goes on and traps
// the VM: Envoy answers 503 and makes a new one.
var OnFault func(Fault)

// What a callback returns to the proxy after a fault.
const (
	Refuse int32 = 0 // proxy_on_vm_start, proxy_on_configure: false
	Pause  int32 = 1 // stream callbacks: the stream waits for the answer that OnFault has given
	Done   int32 = 1 // proxy_on_done: true
)

// ReplyDetails are the response code details of the next local reply; a callback begins without.
var ReplyDetails string

var depth int

// Enter begins a callback. The proxy may call back while a host call runs, so only the outermost
// callback owns the arena.
func Enter() {
	if depth == 0 {
		releaseArena()
		ReplyDetails = ""
	}
	depth++
}

// Leave ends the callback that Enter began; it must be deferred itself, for it recovers. After a
// fault *result becomes afterFault. A callback without a result passes nil.
func Leave(callback string, contextID uint32, result *int32, afterFault int32) {
	if value := recover(); value != nil {
		LeaveFault(callback, contextID, result, afterFault, value)
		return
	}
	LeaveWell()
}

// LeaveWell ends a callback in which nothing went wrong, and LeaveFault one that has recovered from
// a panic with value. A callback that calls them itself saves what recovering costs even where
// there is nothing to recover from.
func LeaveWell() { depth-- }

// LeaveFault is described at LeaveWell.
//
//go:noinline
func LeaveFault(callback string, contextID uint32, result *int32, afterFault int32, value any) {
	depth--
	if OnFault == nil {
		panic(value)
	}
	if result != nil {
		*result = afterFault
	}
	OnFault(Fault{callback, contextID, value})
}

// Bool is how the ABI passes one.
func Bool(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
