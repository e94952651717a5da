// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package guard has the tests of the project's own rules: what may import what, what a module may
// weigh, which tests may skip.
package guard

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

const module = "github.com/tollgate-wasm/tollgate/"

// pure are the packages that decide: they know neither the SDK, nor the clock, nor the network.
func pure() []string {
	list := []string{"shared/strictjson", "shared/conf", "shared/match", "shared/verdict", "shared/sha2", "shared/jose",
		"shared/jwks",
		"shared/replay", "shared/sfv", "shared/httpsig", "shared/ratelimit", "shared/jwt", "shared/forward",
		"shared/gcra", "shared/inflight", "shared/condition", "shared/parameter", "filters/tollgate/chain",
		"filters/rate-limit/usage"}
	for _, f := range filters.All {
		list = append(list, "filters/"+f.Name+"/"+f.Core)
	}
	return list
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = checkout.Root(t)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func TestPurePackages(t *testing.T) {
	for _, p := range pure() {
		for _, dep := range goList(t, "-deps", "./"+p) {
			if strings.Contains(dep, "proxywasm") || strings.HasPrefix(dep, "net") ||
				strings.HasPrefix(dep, module+"shared/host") || strings.HasPrefix(dep, module+"shared/guest") {
				t.Errorf("%s depends on %s", p, dep)
			}
		}
		for _, dep := range goList(t, "-f", `{{join .Imports "\n"}}`, "./"+p) {
			if dep == "os" || dep == "io/fs" || dep == "math/rand" || dep == "crypto/rand" {
				t.Errorf("%s imports %s", p, dep)
			}
		}
		files, err := filepath.Glob(filepath.Join(checkout.Root(t), p, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files (%v)", p, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(f, "_test.go") && regexp.MustCompile(`time\.(Now|Since|Until|Sleep|After)\(`).Match(b) {
				t.Errorf("%s reads the clock", f)
			}
		}
	}
}

// What must stay out of the modules: each of these costs size, and so start-up time, or an import
// that Envoy does not have.
func TestGuestDependencies(t *testing.T) {
	for _, name := range filters.Names() {
		for _, dep := range goList(t, "-deps", "./filters/"+name) {
			switch dep {
			case "encoding/json", "crypto/x509", "crypto/ecdsa", "crypto/sha256", "crypto/sha512", "crypto/hmac",
				"crypto/ed25519", "regexp", "crypto/rsa", "net", "net/http", "encoding/asn1", "text/template":
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

// W4 W6: no goroutine, timer, sleep or exit in what runs inside the proxy.
func TestGuestCode(t *testing.T) {
	forbidden := regexp.MustCompile(
		`(?m)^\s*go (func|\w+[.(])|time\.(Sleep|After|NewTimer|NewTicker|Tick)\(|os\.Exit\(|log\.Fatal|\bselect \{`)
	for _, pkg := range goList(t, "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, "./filters/...") {
		dir, ok := strings.CutPrefix(pkg, module)
		if !ok {
			continue
		}
		files, err := filepath.Glob(filepath.Join(checkout.Root(t), dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if m := forbidden.Find(b); m != nil && !strings.HasSuffix(f, "_test.go") {
				t.Errorf("%s: %q", f, bytes.TrimSpace(m))
			}
		}
	}
}

// W9 W10 W11 W17 W19 W24 (no response, log, done or queue callbacks, so nothing runs after a reply
// or when maps are gone; of a filter that adds headers to responses, package response does so for
// streams that are owed some, and a refused one is not): what a module imports, weighs and asks
// for.
func TestModules(t *testing.T) {
	const maxPages = 64
	all := filters.Filter{Name: filters.Module, Code: filters.ModuleCode, OfResponses: true}
	for _, f := range append([]filters.Filter{all}, filters.All...) {
		name, maxCode := f.Name, f.Code
		b, err := os.ReadFile(harness.Module(t, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := wasmhost.Load(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m.CodeSection() > maxCode {
			t.Errorf("%s has %d bytes of code, more than %d: V8 compiles them before Envoy is ready", name,
				m.CodeSection(), maxCode)
		}
		t.Logf("measured: %s has %d bytes of code, %d in all", name, m.CodeSection(), len(b))
		if pages := m.InitialPages(); pages > maxPages {
			t.Errorf("%s begins with %d pages of memory, more than %d", name, pages, maxPages)
		}
		for _, filter := range filters.All {
			if export := "tollgate_filter_" + filter.Metric(); m.Exports(export) != (filter.Name == name) {
				t.Errorf("%s exports %s: %t", name, export, m.Exports(export))
			}
		}
		if f.OfResponses {
			lean, err := wasmhost.LoadFile(harness.Module(t, name+"-lean"))
			if err != nil {
				t.Fatal(err)
			}
			for _, export := range []string{"proxy_on_response_body", "proxy_on_response_trailers"} {
				if !m.Exports(export) || lean.Exports(export) {
					t.Errorf("%s exports %s: %v, lean: %v", name, export, m.Exports(export), lean.Exports(export))
				}
			}
		}
		for _, export := range []string{"proxy_abi_version_0_2_1", "proxy_on_memory_allocate",
			"proxy_on_context_create", "proxy_on_configure", "proxy_on_request_headers", "proxy_on_request_body",
			"proxy_on_request_trailers", "proxy_on_delete"} {
			if !m.Exports(export) {
				t.Errorf("%s does not export %s", name, export)
			}
		}
		for _, export := range []string{"proxy_on_response_headers", "proxy_on_response_body",
			"proxy_on_response_trailers", "proxy_on_log", "proxy_on_done", "proxy_on_queue_ready"} {
			if m.Exports(export) && !(f.OfResponses && strings.HasPrefix(export, "proxy_on_response_")) {
				t.Errorf("%s exports %s, which it does not need: every call of it costs", name, export)
			}
		}
	}
}

// sources are the project's files of those names, from its root: those that git has or would take, and
// that are there. One that is moved is not, until that is committed.
func sources(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	list := exec.Command("git", append([]string{"ls-files", "--cached", "--others", "--exclude-standard"}, patterns...)...)
	list.Dir = checkout.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for _, f := range strings.Fields(string(out)) {
		if _, err := os.Lstat(filepath.Join(list.Dir, f)); err == nil {
			files = append(files, f)
		}
	}
	return files
}

// A module is the same bytes wherever and however often it is built: here from a copy of the
// sources in another folder, with an empty build cache.
func TestReproducible(t *testing.T) {
	root, dir := checkout.Root(t), t.TempDir()
	for _, f := range sources(t, "*.go", "*.s", "*.pgo", "go.mod", "go.sum", "Makefile", "build/tools/pretty") {
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cache := t.TempDir()
	for _, name := range filters.Names() {
		want, err := os.ReadFile(harness.Module(t, name))
		if err != nil {
			t.Fatal(err)
		}
		build := exec.Command("make", "build/out/"+name+".wasm")
		build.Dir = dir
		build.Env = append(os.Environ(), "GOCACHE="+cache)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got, err := os.ReadFile(filepath.Join(dir, "build", "out", name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the module built elsewhere differs; is build/out/%s.wasm up to date (make build)?", name)
		}
	}
}

// Every id in e2e/ATTACKS.md stands in a test, or in a table that tests read.
func TestAttacksHaveTests(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(checkout.Root(t), "e2e", "ATTACKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \|`).FindAllSubmatch(b, -1)
	last := map[byte]int{}
	for _, id := range ids {
		name := string(id[1])
		if n, err := strconv.Atoi(name[1:]); err != nil || n != last[name[0]]+1 {
			t.Errorf("%s follows %c%d", name, name[0], last[name[0]])
		}
		last[name[0]]++
		list := exec.Command("git", "grep", "--untracked", "-lw", "-e", name, "--", "*_test.go",
			"shared/guest/probetest/*.go")
		list.Dir = checkout.Root(t)
		if out, err := list.Output(); err != nil || len(bytes.TrimSpace(out)) == 0 {
			t.Errorf("%s has no test: %v", name, err)
		}
	}
	for kind, n := range map[byte]int{'J': 45, 'P': 29, 'R': 37, 'S': 29, 'W': 33} {
		if last[kind] != n {
			t.Errorf("%d ids with %c, want %d", last[kind], kind, n)
		}
	}
}

// J30: MACs are compared in constant time.
func TestMACsInConstantTime(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(checkout.Root(t), "shared", "jose", "hmac.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte("return subtle.ConstantTimeCompare(")) || bytes.Contains(b, []byte("bytes.Equal")) {
		t.Error("shared/jose/hmac.go compares tags by other means than crypto/subtle")
	}
}

// W32: precompiled code in a module is not checked against its source, so no configuration of ours allows it.
func TestNothingPrecompiled(t *testing.T) {
	list := exec.Command("git", "grep", "-lE", "allow_precompiled|allowPrecompiled")
	list.Dir = checkout.Root(t)
	out, err := list.Output()
	if _, none := err.(*exec.ExitError); err != nil && !none {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(out)) {
		if f != "e2e/guard/guard_test.go" && f != "e2e/ATTACKS.md" {
			t.Errorf("%s allows precompiled code", f)
		}
	}
}

// A test that skips proves nothing. Two things may: vectors that people elsewhere do not have, which
// fail under CI=true, and where filters run as steps, what is about a filter alone.
func TestNothingSkips(t *testing.T) {
	list := exec.Command("git", "grep", "-lE", `\.Skip(f|Now)?\(`, "--", "*.go")
	list.Dir = checkout.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(out)) {
		if f != "e2e/vectors/vectors.go" && f != "e2e/harness/step.go" && f != "e2e/guard/guard_test.go" {
			t.Errorf("%s skips tests", f)
		}
	}
}

// Whoever compiles: the modules are compiled with the same settings, whatever stands in the
// environment or was written by go env -w. Where Go's modules come from stays as it is set.
func TestSameBytes(t *testing.T) {
	root := checkout.Root(t)
	settings := func(env ...string) string {
		command := exec.Command("make", "--no-print-directory", "wasm-env")
		command.Dir, command.Env = root, append(os.Environ(), env...)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("GOWASM=satconv\nGOEXPERIMENT=newinliner\nGOFLAGS=-race\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(t.TempDir(), "go.work")
	if err := os.WriteFile(work, []byte("go 1.25\n\nuse "+root+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usual := settings("GOENV=off", "GOPROXY=https://proxy.golang.org")
	for _, env := range [][]string{{"GOWASM=satconv,signext"}, {"GOEXPERIMENT=newinliner"}, {"GOFIPS140=v1.0.0"},
		{"GOFLAGS=-tags=x"}, {"CGO_ENABLED=1"}, {"GOENV=" + file}, {"GOWORK=" + work}, {"GO111MODULE=auto"}} {
		if got := settings(append([]string{"GOENV=off", "GOPROXY=https://proxy.golang.org"}, env...)...); got != usual {
			t.Errorf("%v: compiled with\n%s, and else with\n%s", env, got, usual)
		}
	}
	if got := settings("GOENV=off", "GOPROXY=off"); !strings.Contains(got, "off\n") {
		t.Errorf("where modules come from is not what is set: %s", got)
	}
}
