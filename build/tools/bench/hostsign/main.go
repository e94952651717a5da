// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command hostsign is a module that has Envoy sign a text for every request, and does nothing else:
// what edge-stamp's signing is measured by. Its configuration is the key, a PEM.
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/jose"
)

func init() {
	guest.OnFault(host.RefuseFaults(func() string { return "hostsign" }))
	proxywasm.SetVMContext(&vm{})
}

func main() {}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(id uint32) types.PluginContext {
	p := &plugin{}
	direct.Handle(id, direct.Handler{Request: p.request, End: func(uint32) {}})
	return p
}

type plugin struct {
	types.DefaultPluginContext
	key *jose.PrivateKey
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		p.key, err = jose.ParsePrivateKey(string(text), "k", jose.ES256)
	}
	if err != nil {
		proxywasm.LogCritical(err.Error())
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// text is about as long as what a stamp signs.
var text = string(make([]byte, 400))

func (p *plugin) request(uint32, bool) types.Action {
	if _, err := host.Sign(p.key.Signing(text)); err != nil {
		panic(err)
	}
	return types.ActionContinue
}
