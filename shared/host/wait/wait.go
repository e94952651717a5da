// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package wait lets requests wait for something that the proxy has to bring, such as the keys of an issuer, and takes them up again.
package wait

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// CopyHeaders copies what the proxy's memory holds, for whoever needs it beyond the callback.
//
//go:noinline
func CopyHeaders(headers [][2]string) [][2]string {
	copies := make([][2]string, len(headers))
	for i, h := range headers {
		copies[i] = [2]string{strings.Clone(h[0]), strings.Clone(h[1])}
	}
	return copies
}

// Resume takes a stream up again that waits: do goes on with it, and where it returns types.ActionContinue the request does, too. A panic of do refuses the request. Nothing is done for
// a stream that has ended.
//
//go:noinline
func Resume(filter string, stream uint32, do func() types.Action) {
	if proxywasm.SetEffectiveContext(stream) != nil {
		return
	}
	defer func() {
		if fault := recover(); fault != nil {
			host.RefuseFault(filter, fault)
		}
	}()
	if do() == types.ActionContinue {
		if err := direct.Resume(stream); err != nil {
			panic(err)
		}
	}
}
