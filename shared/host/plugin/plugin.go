// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package plugin makes a filter of functions: what the SDK wants of one is the same for all.
package plugin

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
)

// Plugin is one configuration in one VM. Configurations of the same module share the VM, so nothing of one is a package variable.
type Plugin struct {
	// Configure reads the configuration, and makes ready what it asks for. An error, a line for each fault, refuses it.
	Configure func(text string) error

	// Tick does what is due. Configure sets how often it is called. It takes no time: see context.
	Tick func()

	Stream direct.Handler
}

// Register makes a filter the one of this module: "jwt_scope", for one. To be called in init: main does not run.
func Register(filter string, make func(id uint32) Plugin) {
	guest.OnFault(host.RefuseFaults(filter))
	proxywasm.SetVMContext(New(filter, make))
}

// New makes a filter's VM context, for a module that registers more than this filter.
func New(filter string, make func(id uint32) Plugin) types.VMContext {
	return &vm{filter: filter, make: make}
}

type vm struct {
	types.DefaultVMContext
	filter string
	make   func(id uint32) Plugin
}

func (v *vm) NewPluginContext(id uint32) types.PluginContext {
	p := v.make(id)
	direct.Handle(id, p.Stream)
	return &context{filter: v.filter, configure: p.Configure, tick: p.Tick}
}

// context is a plugin as the SDK sees it. It is functions only: of a type that stands behind an interface the linker keeps all that could be reached from its fields by reflection, every
// type with its methods, and that was 70 KB, mostly of formatting times: so no time.Time is in the type of a function here, either.
type context struct {
	types.DefaultPluginContext
	filter    string
	configure func(text string) error
	tick      func()
	memory    host.Memory
}

func (c *context) OnPluginStart(int) types.OnPluginStartStatus {
	// Without a configuration the proxy has no bytes to give and the SDK reports an error: to a reader that is an empty text, which it refuses.
	text, _ := proxywasm.GetPluginConfiguration()
	err := c.configure(string(text))
	if err == nil {
		c.memory, err = host.NewMemory(c.filter)
	}
	if err != nil {
		host.LogRefused(c.filter, err)
	}
	return types.OnPluginStartStatus(err == nil)
}

func (c *context) OnTick() {
	if err := c.memory.Tick(guest.Now()); err != nil {
		panic(err)
	}
	c.tick()
}
