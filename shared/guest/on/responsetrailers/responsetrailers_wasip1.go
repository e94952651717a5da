// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package responsetrailers

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnResponseTrailers github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseTrailers
func sdkOnResponseTrailers(contextID uint32, count int) uint32

//go:wasmexport proxy_on_response_trailers
func onResponseTrailers(contextID uint32, count int32) (action int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_response_trailers", contextID, &action, abi.Pause)
	return int32(sdkOnResponseTrailers(contextID, int(count)))
}
