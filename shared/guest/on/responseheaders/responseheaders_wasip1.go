// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package responseheaders

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnResponseHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseHeaders
func sdkOnResponseHeaders(contextID uint32, count int, endOfStream bool) uint32

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(contextID uint32, count, endOfStream int32) (action int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_response_headers", contextID, &action, abi.Pause)
	return int32(sdkOnResponseHeaders(contextID, int(count), endOfStream != 0))
}
