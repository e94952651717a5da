// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package httpcall

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

// Send begins a call that belongs to a plugin context, so that it outlives the stream that it is
// made for; done is called when its answer is there, or will not come. stream is the context to go
// back to, 0 where the current context is the plugin's.
func Send(plugin, stream uint32, cluster string, headers [][2]string, body []byte, timeout time.Duration,
	done func(Answer)) error {
	if stream != 0 {
		if err := proxywasm.SetEffectiveContext(plugin); err != nil {
			return err
		}
	}
	id, status := abi.HTTPCall(cluster, headers, body, uint32(timeout.Milliseconds()))
	if stream != 0 {
		if err := proxywasm.SetEffectiveContext(stream); err != nil {
			panic(err) // what followed would be done to another context
		}
	}
	if status != 0 {
		return ErrCall
	}
	open[id] = done
	return nil
}

//go:wasmexport proxy_on_http_call_response
func onHttpCallResponse(contextID, callID uint32, headers, body, trailers int32) {
	abi.Enter()
	defer abi.Leave("proxy_on_http_call_response", contextID, nil, 0)
	answer := Answer{int(headers), int(body), int(trailers)}
	if done := take(callID); done != nil {
		done(answer)
	} else if Others != nil {
		Others(contextID, callID, answer)
	}
}
