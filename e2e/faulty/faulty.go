// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package faulty makes test builds of modules whose faults a request asks for by a header.
package faulty

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
)

// Register has fail called before a plugin of v decides a request that has the header. To be called in init.
func Register(v types.VMContext, header string, fail func(value string)) {
	proxywasm.SetVMContext(&vm{v, header, fail})
}

type vm struct {
	types.VMContext
	header string
	fail   func(value string)
}

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	p := v.VMContext.NewPluginContext(id)
	handler := direct.Of(id)
	decide := handler.Request
	handler.Request = func(stream uint32, end bool) types.Action {
		if value, err := proxywasm.GetHttpRequestHeader(v.header); err == nil {
			v.fail(value)
		}
		return decide(stream, end)
	}
	direct.Handle(id, handler)
	return p
}
