// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package httpcall

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/httpcall"
)

//go:linkname sdkOnHttpCallResponse github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnHttpCallResponse
func sdkOnHttpCallResponse(contextID, callID uint32, headers, bodySize, trailers int)

func init() {
	httpcall.Others = func(contextID, callID uint32, a httpcall.Answer) {
		sdkOnHttpCallResponse(contextID, callID, a.Headers, a.Body, a.Trailers)
	}
}
