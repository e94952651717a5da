// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package log

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnLog github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnLog
func sdkOnLog(contextID uint32)

//go:wasmexport proxy_on_log
func onLog(contextID uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_log", contextID, nil, 0)
	sdkOnLog(contextID)
}
