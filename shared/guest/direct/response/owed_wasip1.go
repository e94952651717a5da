// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package response

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(contextID uint32, _, end int32) int32 {
	if owing > 0 || len(followed) > 0 {
		return onHeaders(contextID, end != 0)
	}
	return int32(types.ActionContinue)
}

//go:noinline
func onHeaders(contextID uint32, end bool) (action int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_response_headers", contextID, &action, abi.Pause)
	headers(contextID, end) // before what is owed is added: as the upstream has sent them
	settle(contextID, add)
	return int32(types.ActionContinue)
}

// add lets a response go on that the proxy does not let it change: what the request wanted has been done.
func add(name string, value []byte, replace bool) {
	status := uint32(0)
	if replace {
		status = abi.ReplaceResponseHeader(name, value)
	} else {
		status = abi.AddResponseHeader(name, value)
	}
	if status != 0 {
		proxywasm.LogError("the proxy refuses the response header " + name)
	}
}
