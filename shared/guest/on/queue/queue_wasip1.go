// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package queue

import (
	_ "unsafe" // for go:linkname

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

//go:linkname sdkOnQueueReady github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnQueueReady
func sdkOnQueueReady(contextID, queue uint32)

//go:wasmexport proxy_on_queue_ready
func onQueueReady(contextID, queue uint32) {
	abi.Enter()
	defer abi.Leave("proxy_on_queue_ready", contextID, nil, 0)
	sdkOnQueueReady(contextID, queue)
}
