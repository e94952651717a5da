// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package direct

import (
	_ "unsafe" // for go:linkname

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func sdkOnContextCreate(contextID, pluginContextID uint32)

//go:linkname sdkOnDelete github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDelete
func sdkOnDelete(contextID uint32)

// What is called for every stream does as little as can be: code that is not in the processor's cache is what it costs.

//go:wasmexport proxy_on_context_create
func onContextCreate(contextID, pluginContextID uint32) {
	if pluginContextID != 0 {
		created = stream{contextID, pluginContextID}
		return
	}
	createPlugin(contextID)
}

//go:noinline
func createPlugin(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_context_create", contextID, nil, 0)
	sdkOnContextCreate(contextID, 0)
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(contextID uint32, _, end int32) (action int32) {
	abi.Enter()
	decided := false
	defer func() {
		if !decided {
			abi.LeaveFault("proxy_on_request_headers", contextID, &action, abi.Pause, recover())
		}
	}()
	action = int32(request(contextID, end != 0))
	decided = true
	abi.LeaveWell()
	return action
}

//go:wasmexport proxy_on_request_body
func onRequestBody(contextID uint32, size, end int32) int32 {
	if len(paused) == 0 {
		return int32(types.ActionContinue)
	}
	return onBody("proxy_on_request_body", contextID, int(size), end != 0)
}

// Trailers end a body of which no callback has said that it is the end.
//
//go:wasmexport proxy_on_request_trailers
func onRequestTrailers(contextID uint32, _ int32) int32 {
	if len(paused) == 0 {
		return int32(types.ActionContinue)
	}
	return onBody("proxy_on_request_trailers", contextID, -1, true)
}

//go:noinline
func onBody(callback string, contextID uint32, size int, end bool) (action int32) {
	abi.Enter()
	defer abi.Leave(callback, contextID, &action, abi.Pause)
	return int32(body(contextID, size, end))
}

//go:wasmexport proxy_on_delete
func onDelete(contextID uint32) {
	if OnEnd != nil {
		OnEnd(contextID)
	}
	if concerns(contextID) {
		ended(contextID)
	}
}

//go:noinline
func ended(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_delete", contextID, nil, 0)
	if Followed > 0 {
		OnOver(contextID)
	}
	if plugin, tell := end(contextID); plugin {
		sdkOnDelete(contextID)
	} else if tell != nil {
		tell(contextID)
	}
}
