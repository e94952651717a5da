// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of rate-limit whose VM traps when a request's header x-trap asks
// for it: the fault handler panics, too, so that nothing is left to answer with.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/rate-limit/filter"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() {
	proxywasm.SetVMContext(&vm{VMContext: plugin.Register(filter.Filter)})
	guest.OnFault(func(f guest.Fault) { panic(f.Value) })
}

func main() {}

type vm struct{ types.VMContext }

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	p := v.VMContext.NewPluginContext(id)
	filter := direct.Of(id)
	direct.Handle(id, direct.Handler{End: filter.End, Request: func(stream uint32, end bool) types.Action {
		if _, err := proxywasm.GetHttpRequestHeader("x-trap"); err == nil {
			panic("as asked for")
		}
		return filter.Request(stream, end)
	}})
	return p
}
