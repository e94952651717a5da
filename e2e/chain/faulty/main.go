// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of tollgate.wasm whose VM traps when a request's header x-trap asks
// for it: the fault handler panics, too, so that nothing is left to answer with.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/tollgate/module"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
)

func init() {
	proxywasm.SetVMContext(&vm{VMContext: module.Register()})
	guest.OnFault(func(f guest.Fault) { panic(f.Value) })
}

func main() {}

type vm struct{ types.VMContext }

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	p := v.VMContext.NewPluginContext(id)
	chain := direct.Of(id)
	direct.Handle(id, direct.Handler{Body: chain.Body, End: chain.End,
		Request: func(stream uint32, end bool) types.Action {
			if _, err := proxywasm.GetHttpRequestHeader("x-trap"); err == nil {
				panic("as asked for")
			}
			return chain.Request(stream, end)
		}})
	return p
}
