// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package response

import "github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"

const goOn = 0

// A response goes on whatever comes: what the request wanted has been done.
//
//go:wasmexport proxy_on_response_headers
func onResponseHeaders(contextID uint32, _, _ int32) int32 {
	if owing > 0 {
		pay(contextID)
	}
	return goOn
}

//go:noinline
func pay(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_response_headers", contextID, nil, 0)
	settle(contextID, add)
}

func add(name string, value []byte, replace bool) {
	status := uint32(0)
	if replace {
		status = abi.ReplaceResponseHeader(name, value)
	} else {
		status = abi.AddResponseHeader(name, value)
	}
	if status != 0 {
		panic("the proxy refuses a response header")
	}
}
