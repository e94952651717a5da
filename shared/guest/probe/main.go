// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command probe is a module for testing the bridge: told by the header x-probe, it makes one host
// call through the SDK with telling arguments and answers with what it got. Package probetest has
// the table of what must come back; it runs in wasmhost and in real Envoy.
package main

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/done"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/httpcall"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/log"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/queue"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/requestbody"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/requesttrailers"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/responsebody"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/responseheaders"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/responsetrailers"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/stream"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

func main() {}

// trap is panicked with where the fault handler, too, is to fail.
type trap struct{}

func init() {
	refuse := host.RefuseFaults(func() string { return "probe" })
	guest.OnFault(func(f guest.Fault) {
		if _, ok := f.Value.(trap); ok {
			panic(f.Value)
		}
		refuse(f)
	})
	proxywasm.SetVMContext(&vm{})
}

type vm struct{ types.DefaultVMContext }

func (*vm) OnVMStart(int) types.OnVMStartStatus {
	// Envoy passes the VM configuration, of which the test bootstraps have none.
	text, err := proxywasm.GetVMConfiguration()
	note("vm-configuration", result(string(text), err))
	return true
}

func (*vm) NewPluginContext(id uint32) types.PluginContext { return &plugin{id: id} }

type plugin struct {
	types.DefaultPluginContext
	id     uint32
	config string
	served int // requests since the VM was made
	ticks  int
	held   []uint32 // streams that wait for the order release
}

func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil || len(text) != size {
		return types.OnPluginStartStatusFailed
	}
	p.config = string(text)
	switch {
	case p.config == "panic":
		panic("while configuring")
	case p.config == "refuse":
		return types.OnPluginStartStatusFailed
	case strings.HasPrefix(p.config, "tick"):
		if err := proxywasm.SetTickPeriodMilliSeconds(20); err != nil {
			return types.OnPluginStartStatusFailed
		}
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	p.ticks++
	note("ticked", "yes")
	if p.config == "tick-panic" {
		panic("in a tick")
	}
}

func (p *plugin) OnQueueReady(uint32) { note("queue-ready", "yes") }

func (p *plugin) OnPluginDone() bool { return true }

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	if recall("panic-create") == "once" {
		note("panic-create", "done")
		panic("while creating a context")
	}
	p.served++
	return &stream{plugin: p, id: id}
}

// note keeps a value for later requests of any worker; recall reads it.
func note(key, value string) {
	if err := proxywasm.SetSharedData("probe-note-"+key, []byte(value), 0); err != nil {
		panic(err)
	}
}

func recall(key string) string {
	value, _, err := proxywasm.GetSharedData("probe-note-" + key)
	if err != nil {
		return ""
	}
	return string(value)
}
