// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package probetest has the table of what the probe must answer, the same in wasmhost and in real
// Envoy: it proves the bridge's host calls, argument by argument, and that wasmhost is like Envoy.
package probetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Case is one order and its answer.
type Case struct {
	Calls   string // the host calls that it proves, by the SDK's names
	Order   string
	Headers [][2]string // besides x-probe
	Want    string      // the body of the answer, status 200
	Log     []string    // what must then stand in the log
}

// Cases of the orders that answer at once.
var Cases = []Case{
	{Calls: "GetPluginConfiguration GetVMConfiguration", Order: "config",
		Want: `"probe configuration" error error status returned by host: not found`},
	{Calls: "GetHttpRequestHeader", Order: "header",
		Headers: [][2]string{{"x-a", "1"}, {"x-b", "a \u00e9 b"}, {"x-a", "2"}},
		Want:    `"1" "a é b" error error status returned by host: not found "/probe?q=1"`},
	{Calls: "GetHttpRequestHeaders", Order: "pairs",
		Headers: [][2]string{{"X-T-B", "1"}, {"x-t-a", ""}, {"x-t-b", "2"}}, Want: ` x-t-b="1" x-t-a="" x-t-b="2"`},
	{Calls: "AddHttpRequestHeader", Order: "add", Headers: [][2]string{{"x-t-a", "1"}}, Want: `ok x-t-a="1" x-t-a="2"`},
	{Calls: "ReplaceHttpRequestHeader", Order: "replace",
		Headers: [][2]string{{"x-t-a", "1"}, {"x-t-b", "b"}, {"x-t-a", "3"}}, Want: `ok x-t-b="b" x-t-a="2"`},
	{Calls: "RemoveHttpRequestHeader", Order: "remove",
		Headers: [][2]string{{"x-t-a", "1"}, {"x-t-b", "b"}, {"x-t-a", "3"}}, Want: `ok x-t-b="b"`},
	{Calls: "ReplaceHttpRequestHeaders", Order: "set-pairs", Headers: [][2]string{{"x-t-a", "1"}, {"x-t-a", "2"}},
		Want: `ok x-t-a="1" x-t-a="2" x-t-b="é"`},
	{Calls: "LogInfo LogWarn LogError LogCritical", Order: "log", Want: "ok",
		Log: []string{"probe logs at info " + strings.Repeat("x", 3000) + " to the end", "probe logs at warn",
			"probe logs at error", "probe logs at critical"}},
	{Calls: "SetProperty GetProperty", Order: "property", Want: `ok "a\x00b\xff\n" "a\x00b\xff\n"`},
	{Calls: "GetProperty", Order: "late-property", Want: "error error status returned by host: not found"},
	{Calls: "guest.Now", Order: "clock", Want: "true"},
	{Calls: "GetSharedData SetSharedData", Order: "data",
		Want: `error error status returned by host: not found, create with any cas: ok "a\x00b\xff\n" cas known true, wrong cas: error error status returned by host: cas mismatch, right cas: ok, ` +
			`old cas: error error status returned by host: cas mismatch, cas 0: ok ""`},
	{Calls: "RegisterSharedQueue ResolveSharedQueue DequeueSharedQueue EnqueueSharedQueue", Order: "queue",
		Want: `ok, resolved to the same true ok, unknown name: error error status returned by host: not found, nothing in it: error error status returned by host: empty, ok "a\x00b\xff\n", ` +
			`unknown queue: error error status returned by host: not found`},
	{Calls: "DefineCounterMetric Increment Value DefineGaugeMetric Add DefineHistogramMetric Record", Order: "metrics",
		Want: "1099511627776 4"},
	{Calls: "SetEffectiveContext", Order: "effective",
		Want: `unknown context: error error status returned by host: bad argument, the plugin: ok, which has no headers: error error status returned by host: bad argument, back: ok "effective"`},
	{Calls: "CallForeignFunction", Order: "foreign",
		Want: "error error status returned by host: not found, error error status returned by host: bad argument"},
	{Calls: "PluginDone", Order: "done", Want: "ok"},
	{Calls: "CloseDownstream", Order: "close", Want: "ok"},
	{Calls: "DispatchHttpCall", Order: "bad-call",
		Want: "error error status returned by host: bad argument, error error status returned by host: bad argument"},
	{Calls: "GetHttpRequestBody", Order: "no-body", Want: "error error status returned by host: not found"},
	{Calls: "GetHttpResponseHeader", Order: "no-response", Want: "error error status returned by host: bad argument"},
	{Calls: "GetHttpRequestTrailer", Order: "no-trailers", Want: "error error status returned by host: bad argument"},
	{Calls: "proxy_on_memory_allocate", Order: "arena", Want: "intact"},
	{Calls: "proxy_on_memory_allocate", Order: "big", Want: "true ok"},
	{Calls: "nothing", Order: "mistyped", Want: `the probe knows no order "mistyped"`},
}

// Crowds are numbers of streams that are answered in one callback (the orders hold and release),
// and whether the VM survives it.
var Crowds = []struct {
	Streams int
	Traps   bool
}{{64, false}, {1000, true}}

// Build compiles a module of the project with the flags of the Makefile and returns its path. It is
// there until the test ends.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "module.wasm")
	built.Lock()
	defer built.Unlock()
	if module, ok := built.modules[pkg]; ok { // go build links anew each time
		if err := os.WriteFile(out, module, 0o644); err != nil {
			t.Fatal(err)
		}
		return out
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid=", "-o", out, "github.com/tollgate-wasm/tollgate/"+pkg)
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tollgate-wasm/tollgate").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir = strings.TrimSpace(string(root)) // the module that has the package, whichever the test is in
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s", pkg, err, log))
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	built.modules[pkg] = module
	return out
}

// built are the modules that this process has compiled, by their packages.
var built = struct {
	sync.Mutex
	modules map[string][]byte
}{modules: map[string][]byte{}}
