// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package tick

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnTick github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnTick
func sdkOnTick(contextID uint32)

//go:wasmexport proxy_on_tick
func onTick(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_tick", contextID, nil, 0)
	sdkOnTick(contextID)
}
