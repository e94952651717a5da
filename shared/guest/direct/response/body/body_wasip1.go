// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package body

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest/direct/response"
	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:wasmexport proxy_on_response_body
func onResponseBody(contextID uint32, size, end int32) int32 {
	if response.Following() {
		return follow("proxy_on_response_body", contextID, int(size), end != 0)
	}
	return int32(types.ActionContinue)
}

// Trailers end a body of which no callback has said that it is the end.
//
//go:wasmexport proxy_on_response_trailers
func onResponseTrailers(contextID uint32, _ int32) int32 {
	if response.Following() {
		return follow("proxy_on_response_trailers", contextID, 0, true)
	}
	return int32(types.ActionContinue)
}

//go:noinline
func follow(callback string, contextID uint32, size int, end bool) (action int32) {
	abi.Enter()
	defer abi.Leave(callback, contextID, &action, abi.Pause)
	response.Body(contextID, size, end)
	return int32(types.ActionContinue)
}
