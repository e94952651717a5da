// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Worker is one of Envoy's worker threads with its VM. A VM that has trapped is made anew for the
// next stream, as failure_policy FAIL_RELOAD has it.
type Worker struct {
	proxy   *Proxy
	configs []string
	vm      api.Module
	dead    bool

	plugins   []*pluginContext
	streams   map[uint32]*Stream
	nextID    uint32
	metrics   []*metric // by the ids that this VM was given
	calling   []string  // the callbacks now running, outermost first
	current   uint32    // the context that the running callback is for
	effective uint32    // the context set by proxy_set_effective_context; 0: none
	after     []func()  // what waits for the running callback to return
	nested    int       // how many such things are being done, one inside the other
	crossings map[string]int
	nextCall  uint32
}

// pluginContext is the root context of one plugin configuration.
type pluginContext struct {
	worker      *Worker
	vm          api.Module
	id          uint32
	config      []byte
	configuring bool
	tick        uint32 // milliseconds; 0: none

	inCall                    bool // an answer is being delivered
	callHeaders, callTrailers [][2]string
	callBody                  []byte
}

// Worker starts a VM with one plugin for each configuration. The error of one that is refused has
// what was logged meanwhile.
func (p *Proxy) Worker(configurations ...string) (*Worker, error) {
	if p.module.Configure != nil {
		for i := range configurations {
			configurations[i] = p.module.Configure(configurations[i])
		}
	}
	w := &Worker{proxy: p, configs: configurations}
	return w, w.start()
}

func (w *Worker) start() error {
	ctx := context.Background()
	p := w.proxy
	p.vms++
	logged := len(p.log)
	w.vm, w.dead, w.plugins, w.streams, w.metrics, w.calling, w.after = nil, false, nil, map[uint32]*Stream{}, nil, nil,
		nil
	w.nested = 0
	if w.crossings == nil {
		w.crossings = map[string]int{}
	}
	fail := func(what string, err error) error {
		w.dead = true
		var lines []string
		for _, l := range p.log[logged:] {
			lines = append(lines, l.Text)
		}
		return fmt.Errorf("%s: %w\n%s", what, err, strings.Join(lines, "\n"))
	}
	r := newRuntime(ctx)
	if err := w.instantiateHost(ctx, r); err != nil {
		return fail("host module", err)
	}
	before := w.crossed()
	vm, err := r.InstantiateWithConfig(ctx, p.module.bytes, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return fail("_initialize", err)
	}
	if w.crossed() != before {
		return fail("_initialize", errEarly) // Envoy offers nearly nothing before the first callback
	}
	w.vm = vm
	for i, config := range w.configs {
		w.nextID++
		plugin := &pluginContext{worker: w, vm: vm, id: w.nextID, config: []byte(config)}
		w.plugins = append(w.plugins, plugin)
		w.call(nil, "proxy_on_context_create", uint64(plugin.id), 0)
		if i == 0 && p.module.Exports("proxy_on_vm_start") {
			if ok := w.call(nil, "proxy_on_vm_start", uint64(plugin.id), 0); ok == 0 {
				return fail("proxy_on_vm_start", errRefused)
			}
		}
		plugin.configuring = true
		ok := w.call(nil, "proxy_on_configure", uint64(plugin.id), uint64(len(config)))
		plugin.configuring = false
		if ok == 0 || w.dead {
			return fail("proxy_on_configure", errRefused)
		}
	}
	return nil
}

var (
	errRefused = errors.New("the module refuses")
	errEarly   = errors.New("the module calls the proxy before its first callback")
)

// crossed is how often there has been a call between proxy and module, WASI's left out: a
// toolchain's start-up needs those.
func (w *Worker) crossed() (n int) {
	for name, times := range w.crossings {
		if strings.HasPrefix(name, "proxy_") {
			n += times
		}
	}
	return n
}

// call makes a callback, if the module exports it, and then does what waited for its end. A trap kills the VM.
func (w *Worker) call(s *Stream, name string, args ...uint64) (result uint64) {
	if w.dead || !w.proxy.module.Exports(name) {
		return 0
	}
	if w.nested > maxNested {
		w.trap(s, name, errStack)
		return 0
	}
	w.crossings[name]++
	w.calling = append(w.calling, name)
	outer, outerEffective := w.current, w.effective
	w.current, w.effective = uint32(args[0]), 0
	results, err := w.vm.ExportedFunction(name).Call(context.Background(), args...)
	w.current, w.effective = outer, outerEffective
	w.calling = w.calling[:len(w.calling)-1]
	if err != nil {
		w.trap(s, name, err)
		return 0
	}
	if len(w.calling) == 0 {
		w.nested++
		for len(w.after) > 0 {
			next := w.after[0]
			w.after = w.after[1:]
			next()
		}
		w.nested--
	}
	if len(results) > 0 {
		return results[0]
	}
	return 0
}

// maxNested is how deep the stack gets. Envoy does what a callback has queued, such as replies,
// when that returns (DeferAfterCallActions in proxy-wasm-cpp-host); a reply ends its stream, which
// is a callback of its own, which takes the next from the same queue when it returns, and so on.
// Envoy 1.40.0 trapped at the 311th.
const maxNested = 300

var errStack = errors.New("uncaught RangeError: Maximum call stack size exceeded")

// trap kills the VM, with all streams that are still open.
func (w *Worker) trap(s *Stream, callback string, err error) {
	w.dead = true
	w.proxy.log = append(w.proxy.log, LogLine{5, "trap in " + callback + ": " + err.Error()})
	w.after = nil
	for _, open := range w.streams {
		open.fail()
	}
	if s != nil {
		s.fail()
	}
}

// Tick runs proxy_on_tick of every plugin that has asked for ticks.
func (w *Worker) Tick() {
	for _, p := range w.plugins {
		if p.tick > 0 {
			w.call(nil, "proxy_on_tick", uint64(p.id))
		}
	}
}

// TickPeriods are the periods that the plugins have asked for, in milliseconds.
func (w *Worker) TickPeriods() []uint32 {
	var periods []uint32
	for _, p := range w.plugins {
		periods = append(periods, p.tick)
	}
	return periods
}

// Crossings counts every call between proxy and module so far, by its name: proxy_on_… into the
// module, other proxy_… and WASI out of it.
func (w *Worker) Crossings() map[string]int { return maps.Clone(w.crossings) }

// ResetCrossings begins counting anew.
func (w *Worker) ResetCrossings() { clear(w.crossings) }

// Memory is the size of the VM's linear memory, in bytes.
func (w *Worker) Memory() uint32 { return w.vm.Memory().Size() }

// context the running host call is for: the one set as effective, or the callback's.
func (w *Worker) context() uint32 {
	if w.effective != 0 {
		return w.effective
	}
	return w.current
}

// stream of the running host call; nil where it is for a plugin.
func (w *Worker) stream() *Stream { return w.streams[w.context()] }

// plugin of the running host call.
func (w *Worker) plugin() *pluginContext {
	id := w.context()
	if s := w.streams[id]; s != nil {
		return s.plugin
	}
	for _, p := range w.plugins {
		if p.id == id {
			return p
		}
	}
	return nil
}
