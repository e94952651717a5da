// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package done

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnDone github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDone
func sdkOnDone(contextID uint32) bool

//go:wasmexport proxy_on_done
func onDone(contextID uint32) (done int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_done", contextID, &done, abi.Done)
	return abi.Bool(sdkOnDone(contextID))
}
