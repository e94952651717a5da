// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"context"
	"crypto/rand"
	"fmt"
	"sort"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// WASI results (errno).
const (
	wasiOK     = 0
	wasiBadf   = 8
	wasiInval  = 28
	wasiNoSys  = 52
	wasiNotSup = 58
)

// wasiCall is a WASI function as Envoy has it (proxy-wasm-cpp-host, src/exports.cc): no files, no
// arguments, clocks, randomness and standard output into the log.
type wasiCall struct {
	params []api.ValueType
	do     func(w *Worker, m *memory, a []uint64) uint32
}

// instantiateWASI offers the module what AllowedWASI lists.
func (w *Worker) instantiateWASI(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(wasi)
	for name, call := range wasiCalls {
		results := words(1)
		if name == "proc_exit" {
			results = nil
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, module api.Module,
			stack []uint64) {
			w.crossings[name]++
			m := &memory{worker: w, module: module}
			code := call.do(w, m, stack[:len(call.params)])
			if results != nil {
				stack[0] = uint64(code)
			}
		}), call.params, results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

func always(code uint32) func(*Worker, *memory, []uint64) uint32 {
	return func(*Worker, *memory, []uint64) uint32 { return code }
}

// environ lists the VM's environment as "NAME=value\0", sorted so that runs are alike.
func (w *Worker) environ() []string {
	var list []string
	for name, value := range w.proxy.options.Env {
		list = append(list, name+"="+value+"\x00")
	}
	sort.Strings(list)
	return list
}

var wasiCalls = map[string]wasiCall{
	"args_sizes_get": {words(2), func(_ *Worker, m *memory, a []uint64) uint32 {
		m.put32(u32(a[0]), 0)
		m.put32(u32(a[1]), 0)
		return wasiOK
	}},
	"args_get": {words(2), always(wasiOK)},
	"environ_sizes_get": {words(2), func(w *Worker, m *memory, a []uint64) uint32 {
		size := 0
		for _, e := range w.environ() {
			size += len(e)
		}
		m.put32(u32(a[0]), uint32(len(w.environ())))
		m.put32(u32(a[1]), uint32(size))
		return wasiOK
	}},
	"environ_get": {words(2), func(w *Worker, m *memory, a []uint64) uint32 {
		at := u32(a[1])
		for i, e := range w.environ() {
			m.put32(u32(a[0])+uint32(4*i), at)
			m.bad = m.bad || !m.module.Memory().WriteString(at, e)
			at += uint32(len(e))
		}
		return wasiOK
	}},
	"clock_time_get": {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeI32},
		func(w *Worker, m *memory, a []uint64) uint32 {
			if u32(a[0]) > 1 {
				return wasiNotSup // realtime and monotonic only
			}
			m.put64(u32(a[2]), uint64(w.proxy.options.Clock().UnixNano()))
			return wasiOK
		}},
	"random_get": {words(2), func(_ *Worker, m *memory, a []uint64) uint32 {
		if u32(a[1]) > 64<<10 { // limits.h: PROXY_WASM_HOST_WASI_RANDOM_GET_MAX_SIZE_BYTES
			return wasiInval
		}
		b := make([]byte, u32(a[1]))
		_, _ = rand.Read(b) // never fails
		m.bad = m.bad || !m.module.Memory().Write(u32(a[0]), b)
		return wasiOK
	}},
	"fd_write": {words(4), func(w *Worker, m *memory, a []uint64) uint32 {
		level := map[uint32]uint32{1: 2, 2: 4}[u32(a[0])] // standard output is logged as info, standard error as error
		if level == 0 {
			return wasiBadf
		}
		text := ""
		for i := range u32(a[2]) {
			vector := m.bytes(u32(a[1])+8*i, 8)
			if m.bad {
				return wasiInval
			}
			text += m.text(le.Uint32(vector), le.Uint32(vector[4:]))
		}
		w.proxy.log = append(w.proxy.log, LogLine{level, text})
		m.put32(u32(a[3]), uint32(len(text)))
		return wasiOK
	}},
	"fd_fdstat_get": {words(2), func(_ *Worker, m *memory, a []uint64) uint32 {
		if u32(a[0]) != 1 && u32(a[0]) != 2 {
			return wasiBadf
		}
		m.put64(u32(a[1]), 0)
		m.put64(u32(a[1])+8, 64) // the right to write
		m.put64(u32(a[1])+16, 0)
		return wasiOK
	}},
	"fd_fdstat_set_flags": {words(2), always(wasiNoSys)},
	"fd_close":            {words(1), always(wasiNoSys)},
	"fd_prestat_get":      {words(2), always(wasiBadf)},
	"fd_prestat_dir_name": {words(3), always(wasiNoSys)},
	// before Envoy 1.39; Go's runtime throws on it, so a module that gets here is broken
	"poll_oneoff": {words(4), always(wasiNoSys)},
	"sched_yield": {nil, always(wasiOK)},
	"proc_exit": {words(1), func(_ *Worker, _ *memory, a []uint64) uint32 {
		panic(fmt.Errorf("the module exits with status %d", u32(a[0])))
	}},
}
