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
