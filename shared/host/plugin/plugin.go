// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package plugin makes plugins of filters: one filter alone, or several that decide a request one behind the other.
package plugin

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/guest/direct"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
)

// Filter is one that plugins can be made of.
type Filter struct {
	Name string // part of metric names, log lines and response code details: "jwt_scope"
	New  func(h *Host) Step
}

// Step is a filter with its configuration, in one VM. Configurations of the same module share the
// VM, so nothing of one is a package variable.
type Step struct {
	// Configure reads the configuration, and makes ready what it asks for. An error, a line for each fault, refuses it.
	Configure func(text string) error

	// Request decides a request (Host.Request). It returns what Host.Pass returns, or Host.Answered
	// where it has answered the request, or types.ActionPause where it takes it up again later
	// (Host.Resume).
	Request func(stream uint32) types.Action

	// Body tells of the body of a request that this step has waiting: how many bytes of it the proxy holds by now (-1: as
	// many as before), and whether that is all. early: an earlier step has it waiting, and this one may only take note.
	// nil: the body waits as the request does.
	Body func(stream uint32, size int, end, early bool) types.Action

	// End says that a stream is no more whose request was not simply let go on.
	End func(stream uint32)

	// Tick does what is due, within the turn, and returns how soon, in milliseconds, it wants the next.
	Tick func(now time.Time, turn *wait.Turn) (next uint32)
}

// Part is a filter in a plugin's configuration.
type Part struct {
	Filter Filter
	Name   string // takes the place of Envoy's filter name in what is kept by it; empty: that is it
	Config string
	Path   string // of its configuration in the plugin's, with a dot behind it; empty: it is the plugin's
}

// Plan is what a plugin is made of.
type Plan struct {
	Parts []Part

	// PublishAfter is the part after which the claims that have been verified are published; -1: never.
	PublishAfter int
}

// Register makes a filter the one of this module, and returns the VM's context, for whoever wants
// to put one of its own around it. To be called in init: main does not run.
func Register(f Filter) types.VMContext {
	return RegisterPlan(f.Name, func(text string) (Plan, error) {
		return Plan{Parts: []Part{{Filter: f, Config: text}}},
			nil
	})
}

// RegisterPlan has a module's plugins made as their configurations say. name stands in the log
// before it is known whose they are.
func RegisterPlan(name string, plan func(text string) (Plan, error)) types.VMContext {
	running = name
	guest.OnFault(host.RefuseFaults(faulty))
	v := &vm{make: func(id uint32) *context {
		c := &chain{id: id, name: name, plan: plan, flows: map[uint32]*flow{}}
		direct.Handle(id, direct.Handler{Request: c.request, Body: c.body, End: c.end})
		return &context{configure: c.configure, tick: c.tick}
	}}
	proxywasm.SetVMContext(v)
	return v
}

// running is the filter that has been called last.
var running string

// faulty is the filter that a fault is of.
func faulty() string { return running }

// vm is functions only, as context is.
type vm struct {
	types.DefaultVMContext
	make func(id uint32) *context
}

func (v *vm) NewPluginContext(id uint32) types.PluginContext { return v.make(id) }

// context is a plugin as the SDK sees it. It is functions only: of a type that stands behind an
// interface the linker keeps all that could be reached from its fields by reflection, every type
// with its methods, and that was 70 KB, mostly of formatting times: so no time.Time is in the type
// of a function here, either.
type context struct {
	types.DefaultPluginContext
	configure func(text string) bool
	tick      func()
}

func (c *context) OnPluginStart(int) types.OnPluginStartStatus {
	// Without a configuration the proxy has no bytes to give and the SDK reports an error: to a
	// reader that is an empty text, which it refuses.
	text, _ := proxywasm.GetPluginConfiguration()
	return types.OnPluginStartStatus(c.configure(string(text)))
}

func (c *context) OnTick() { c.tick() }
