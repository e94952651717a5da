// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package stream

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func sdkOnContextCreate(contextID, pluginContextID uint32)

//go:wasmexport proxy_on_context_create
func onContextCreate(contextID, pluginContextID uint32) {
	abi.Enter()
	// A stream whose context could not be made is unknown to the SDK, which panics in its next
	// callback: that one refuses it.
	defer abi.Leave("proxy_on_context_create", contextID, nil, 0)
	sdkOnContextCreate(contextID, pluginContextID)
}

//go:linkname sdkOnRequestHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestHeaders
func sdkOnRequestHeaders(contextID uint32, count int, endOfStream bool) uint32

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(contextID uint32, count, endOfStream int32) (action int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_request_headers", contextID, &action, abi.Pause)
	return int32(sdkOnRequestHeaders(contextID, int(count), endOfStream != 0))
}

//go:linkname sdkOnDelete github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDelete
func sdkOnDelete(contextID uint32)

//go:wasmexport proxy_on_delete
func onDelete(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_delete", contextID, nil, 0)
	sdkOnDelete(contextID)
}
