// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package requestbody

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnRequestBody github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestBody
func sdkOnRequestBody(contextID uint32, size int, endOfStream bool) uint32

//go:wasmexport proxy_on_request_body
func onRequestBody(contextID uint32, size, endOfStream int32) (action int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_request_body", contextID, &action, abi.Pause)
	return int32(sdkOnRequestBody(contextID, int(size), endOfStream != 0))
}
