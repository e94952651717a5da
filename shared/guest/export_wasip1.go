// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package guest

import (
	"unsafe"

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func onMemoryAllocate(size uint32) unsafe.Pointer { return abi.Allocate(size) }

//go:linkname sdkOnVMStart github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnVMStart
func sdkOnVMStart(contextID uint32, size int) bool

//go:wasmexport proxy_on_vm_start
func onVMStart(contextID uint32, size int32) (ok int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_vm_start", contextID, &ok, abi.Refuse)
	return abi.Bool(sdkOnVMStart(contextID, int(size)))
}

//go:linkname sdkOnConfigure github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnConfigure
func sdkOnConfigure(contextID uint32, size int) bool

//go:wasmexport proxy_on_configure
func onConfigure(contextID uint32, size int32) (ok int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_configure", contextID, &ok, abi.Refuse)
	return abi.Bool(sdkOnConfigure(contextID, int(size)))
}

//go:linkname sdkOnContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func sdkOnContextCreate(contextID, pluginContextID uint32)

//go:wasmexport proxy_on_context_create
func onContextCreate(contextID, pluginContextID uint32) {
	abi.Enter()
	// A stream whose context could not be made is unknown to the SDK, which panics in its next callback: that one refuses it.
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
