// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package httpcall

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnHttpCallResponse github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnHttpCallResponse
func sdkOnHttpCallResponse(contextID, callID uint32, headers, bodySize, trailers int)

//go:wasmexport proxy_on_http_call_response
func onHttpCallResponse(contextID, callID uint32, headers, bodySize, trailers int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_http_call_response", contextID, nil, 0)
	sdkOnHttpCallResponse(contextID, callID, int(headers), int(bodySize), int(trailers))
}
