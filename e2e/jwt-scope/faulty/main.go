// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of jwt-scope that panics when a request's header x-fault asks for
// it, before the filter has looked at anything.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() {
	proxywasm.SetVMContext(&vm{VMContext: plugin.Register(filter.Filter)})
}

func main() {}

type vm struct{ types.VMContext }

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	p := v.VMContext.NewPluginContext(id)
	filter := direct.Of(id)
	direct.Handle(id, direct.Handler{End: filter.End, Request: func(stream uint32, end bool) types.Action {
		if fault, err := proxywasm.GetHttpRequestHeader("x-fault"); err == nil {
			var list []int
			_ = list[len(fault)]
		}
		return filter.Request(stream, end)
	}})
	return p
}
