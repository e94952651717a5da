// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package wasmhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
)

// AllowedWASI are the WASI functions that every Envoy since 1.33 offers a module: a module that
// imports another one does not load.
var AllowedWASI = []string{
	"args_get", "args_sizes_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_close", "fd_fdstat_get",
	"fd_fdstat_set_flags", "fd_prestat_dir_name", "fd_prestat_get",
	"fd_write", "poll_oneoff", "proc_exit", "random_get", "sched_yield",
}

// AllowedEnv are the functions of the proxy (Proxy-Wasm ABI 0.2.1) that the SDK calls, and its clock.
var AllowedEnv = []string{
	"proxy_add_header_map_value", "proxy_call_foreign_function", "proxy_close_stream", "proxy_continue_stream",
	"proxy_define_metric", "proxy_dequeue_shared_queue", "proxy_done",
	"proxy_enqueue_shared_queue", "proxy_get_buffer_bytes", "proxy_get_current_time_nanoseconds",
	"proxy_get_header_map_pairs", "proxy_get_header_map_value", "proxy_get_metric", "proxy_get_property",
	"proxy_get_shared_data",
	"proxy_http_call", "proxy_increment_metric", "proxy_log", "proxy_record_metric", "proxy_register_shared_queue",
	"proxy_remove_header_map_value", "proxy_replace_header_map_value",
	"proxy_resolve_shared_queue", "proxy_send_local_response", "proxy_set_buffer_bytes", "proxy_set_effective_context",
	"proxy_set_header_map_pairs", "proxy_set_property",
	"proxy_set_shared_data", "proxy_set_tick_period_milliseconds",
}

const (
	wasi = "wasi_snapshot_preview1"
	env  = "env"
)

// Module is a compiled module.
type Module struct {
	bytes   []byte
	imports []string // "env.proxy_log"
	exports map[string]bool
	pages   uint32
	code    int

	// Configure, where it is set, changes every configuration before a plugin gets it.
	Configure func(config string) string
}

// cache holds machine code for as long as the process lives, and on disk beyond it where a user
// cache folder is to be had: compiling a module takes seconds.
var cache = sync.OnceValue(func() wazero.CompilationCache {
	if dir, err := os.UserCacheDir(); err == nil {
		if c, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "tollgate-wasmhost")); err == nil {
			return c
		}
	}
	return wazero.NewCompilationCache()
})

// memoryLimit is the most memory a VM gets, in pages of 64 KiB: 1 GiB (limits.h:
// PROXY_WASM_HOST_MAX_WASM_MEMORY_SIZE_BYTES).
const memoryLimit = 1 << 14

func newRuntime(ctx context.Context) wazero.Runtime {
	return wazero.NewRuntimeWithConfig(ctx,
		wazero.NewRuntimeConfig().WithCompilationCache(cache()).WithMemoryLimitPages(memoryLimit))
}

// Load compiles a module and refuses one that imports what Envoy does not offer.
func Load(wasm []byte) (*Module, error) {
	ctx := context.Background()
	r := newRuntime(ctx)
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, err
	}
	m := &Module{bytes: wasm, exports: map[string]bool{}}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if !(module == wasi && slices.Contains(AllowedWASI, name)) && !(module == env && slices.Contains(AllowedEnv, name)) {
			return nil, fmt.Errorf("the module imports %s.%s, which Envoy does not offer", module, name)
		}
		m.imports = append(m.imports, module+"."+name)
	}
	if m.code, err = codeSection(wasm); err != nil {
		return nil, err
	}
	for _, memory := range compiled.ExportedMemories() {
		m.pages = memory.Min()
	}
	for name := range compiled.ExportedFunctions() {
		m.exports[name] = true
	}
	return m, nil
}

// LoadFile is Load of a file.
func LoadFile(path string) (*Module, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Load(wasm)
}

// Exports reports whether the module exports a function: Envoy makes only the calls that it does.
func (m *Module) Exports(name string) bool { return m.exports[name] }

// Imports lists what the module imports, as "module.name".
func (m *Module) Imports() []string { return slices.Clone(m.imports) }

// InitialPages is the memory that a VM begins with, in pages of 64 KiB.
func (m *Module) InitialPages() uint32 { return m.pages }

// CodeSection is how many bytes of the module are code: what V8 compiles before Envoy is ready.
func (m *Module) CodeSection() int { return m.code }

var errSections = errors.New("the module's sections cannot be read")

// codeSection finds the section with id 10 (WebAssembly Core Specification, "Modules" of the binary format).
func codeSection(wasm []byte) (int, error) {
	const header, code = 8, 10
	for rest := wasm[min(header, len(wasm)):]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:]) // unsigned LEB128
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return 0, errSections
		}
		if rest[0] == code {
			return int(size), nil
		}
		rest = rest[1+n+int(size):]
	}
	return 0, nil
}
