// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of jwt-scope that panics when a request's header x-fault asks for it, before the filter has looked at anything.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
)

func init() {
	filter.Register()
	proxywasm.SetVMContext(&vm{VMContext: filter.New()})
}

func main() {}

type vm struct{ types.VMContext }

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	return &plugin{v.VMContext.NewPluginContext(id)}
}

type plugin struct{ types.PluginContext }

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{p.PluginContext.NewHttpContext(id)}
}

type stream struct{ types.HttpContext }

func (s *stream) OnHttpRequestHeaders(count int, endOfStream bool) types.Action {
	if fault, err := proxywasm.GetHttpRequestHeader("x-fault"); err == nil {
		var list []int
		_ = list[len(fault)]
	}
	return s.HttpContext.OnHttpRequestHeaders(count, endOfStream)
}
