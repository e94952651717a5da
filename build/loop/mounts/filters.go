// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// Filter is one filter of one proxy. Its configuration is envoy/<Proxy>/<Name>.yaml, its module build/out/<Name>.wasm.
type Filter struct {
	Proxy, Name string
	Task        string // what it is there for, in a few words for the report
	hostEnv     []string
}

// Filters are all of them, in the order in which a request meets them (envoy/edge/envoy.yaml,
// envoy/mesh/envoy.yaml; a test holds them against these).
var Filters = []Filter{
	{Proxy: "edge", Name: "jwt-scope", Task: "who may come in"},
	{Proxy: "edge", Name: "rate-limit", Task: "how often"},
	{Proxy: "edge", Name: "edge-stamp", Task: "signs the request", hostEnv: []string{"EDGE_STAMP_KEY"}},
	{Proxy: "mesh", Name: "edge-stamp", Task: "signed, once?"},
	{Proxy: "mesh", Name: "jwt-scope", Task: "service’s rules"},
}

// Chain are the names of a proxy's filters.
func Chain(proxy string) (names []string) {
	for _, f := range Filters {
		if f.Proxy == proxy {
			names = append(names, f.Name)
		}
	}
	return names
}

// Config is the file with the filter's configuration, from the folder envoy.
func (f Filter) Config() string { return filepath.Join(f.Proxy, f.Name+".yaml") }

// published is the file that Envoy reads.
func (f Filter) published() string { return f.Proxy + "/filters/" + f.Name + ".json" }

func (f Filter) String() string { return f.Name + " of " + f.Proxy }

// Folder is where it all lies.
type Folder struct {
	root    string // of the project
	dir     string
	Configs string // where the filters' configurations are, <Proxy>/<Name>.yaml
	Modules string // where the compiled modules are, <Name>.wasm
}

// New is the folder dir for a project's checkout, with its configurations and modules.
func New(root, dir string) *Folder {
	return &Folder{root: root, dir: dir, Configs: filepath.Join(root, "envoy"),
		Modules: filepath.Join(root, "build", "out")}
}

// Inputs are the files that Publish reads.
func (f *Folder) Inputs() (files []string) {
	for _, filter := range Filters {
		files = append(files, f.config(filter), f.compiled(filter.Name))
	}
	return files
}

func (f *Folder) config(filter Filter) string   { return filepath.Join(f.Configs, filter.Config()) }
func (f *Folder) compiled(module string) string { return filepath.Join(f.Modules, module+".wasm") }

// Version is that under which a filter has been published, and which Envoy tells when it has it.
func (f *Folder) Version(filter Filter) (string, error) {
	text, err := os.ReadFile(f.path(filter.published()))
	if err != nil {
		return "", err
	}
	var resource struct {
		Version string `json:"version_info"`
	}
	err = json.Unmarshal(text, &resource)
	return resource.Version, err
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Prepare makes all that is missing or out of date.
func (f *Folder) Prepare() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(f.dir, 0o700); err != nil { // it may be older than this rule
		return err
	}
	if err := f.secrets(); err != nil {
		return err
	}
	if err := f.probe(); err != nil {
		return err
	}
	return f.Publish(func(Filter) {})
}

// probe compiles the health check, for the containers' system. Docker's machine has the processor of this one.
func (f *Folder) probe() error {
	if err := f.folder("bin"); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", f.path("bin/healthcheck"),
		"./build/loop/healthcheck")
	build.Dir = f.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling build/loop/healthcheck: %w\n%s", err, out)
	}
	return os.Chmod(f.path("bin/healthcheck"), 0o755)
}

// ErrConfig is what is wrong with a configuration; its text has all faults with their lines. The
// proxies keep what they have.
var ErrConfig = errors.New("the configuration is refused")

// Publish writes the filters' configurations, as far as they or their modules have changed, one
// after another, and calls published after each: whoever waits there until the proxy has it leaves
// all of the machine to that one. Each is complete before a proxy sees it: the module lies there
// under the name of its content, and the file is renamed into its place. Where any configuration
// has a fault, nothing is written.
func (f *Folder) Publish(published func(Filter)) (err error) {
	var limits []byte
	configs := make([][]byte, len(Filters))
	checker := &check.Checker{}
	for i, filter := range Filters {
		if configs[i], err = os.ReadFile(f.config(filter)); err != nil {
			return err
		}
		checker.File(filepath.Join("envoy", filter.Config()), configs[i])
		if filter.Name == "rate-limit" {
			limits = configs[i]
		}
	}
	var faults []error
	for _, finding := range checker.Findings() {
		if finding.Severity == check.Error {
			faults = append(faults, errors.New(finding.String()))
		}
	}
	if faults != nil {
		return fmt.Errorf("%w:\n%w", ErrConfig, errors.Join(faults...))
	}
	service, err := descriptors.Write(limits)
	if err != nil {
		return fmt.Errorf("%w: for the rate-limit service:\n%w", ErrConfig, err)
	}
	var modules []string
	resources := make([][]byte, len(Filters))
	for i, filter := range Filters {
		module, err := f.module(filter.Name)
		if err != nil {
			return err
		}
		modules = append(modules, module)
		if resources[i], err = discovered(filter, module, configs[i]); err != nil {
			return err
		}
	}
	// The service first: a limit that it does not know yet is no limit.
	if _, err := f.update("ratelimit/tollgate.yaml", service); err != nil {
		return err
	}
	for i, filter := range Filters {
		wrote, err := f.update(filter.published(), resources[i])
		if err != nil {
			return err
		}
		if wrote {
			published(filter)
		}
	}
	return f.prune(modules)
}

// discovered is a filter as Envoy discovers it (ECDS). Its version is what it is made of.
func discovered(filter Filter, module string, config []byte) ([]byte, error) {
	text, err := yaml.YAMLToJSONStrict(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filter.Config(), err)
	}
	wasm := bootstrap.Wasm{Name: filter.Name, Module: "/etc/tollgate/modules/" + module, Configuration: string(text),
		HostEnv: filter.hostEnv}
	resource := bootstrap.M{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name": filter.Name, "typed_config": wasm.Filter()["typed_config"]}
	version, err := json.Marshal(resource)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(bootstrap.M{"version_info": short(version), "resources": []bootstrap.M{resource}}, "", " ")
}

// module puts a compiled module where the proxies see it, under a name that tells its content: a
// file that is overwritten changes no configuration, and so nothing would load it.
func (f *Folder) module(name string) (string, error) {
	b, err := os.ReadFile(f.compiled(name))
	if err != nil {
		return "", fmt.Errorf("%w; run: make build", err)
	}
	if !bytes.HasPrefix(b, []byte("\x00asm")) {
		return "", fmt.Errorf("%s is no module; run: make build", f.compiled(name))
	}
	file := name + "-" + short(b) + ".wasm"
	_, err = f.update("modules/"+file, b)
	return file, err
}

func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// prune removes modules that no configuration names any more, but for the youngest of them: a proxy
// may be just about to load it.
func (f *Folder) prune(used []string) error {
	entries, err := os.ReadDir(f.path("modules"))
	if err != nil {
		return err
	}
	var old []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !slices.Contains(used, e.Name()) {
			old = append(old, info)
		}
	}
	slices.SortFunc(old, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, info := range old {
		if i == 0 {
			continue
		}
		if err := os.Remove(f.path("modules/" + info.Name())); err != nil {
			return err
		}
	}
	return nil
}

// update writes a file that containers read, if it has another content; others see the old or the new one whole.
func (f *Folder) update(name string, content []byte) (wrote bool, err error) {
	if present, err := os.ReadFile(f.path(name)); err == nil && bytes.Equal(present, content) {
		return false, nil
	}
	return true, f.write(name, content, 0o644)
}

// write replaces a file at once.
func (f *Folder) write(name string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := f.folder(filepath.ToSlash(filepath.Dir(name))); err != nil {
		return err
	}
	// Not in the folder itself: the rate-limit service reads whatever lies in its own.
	if err := f.folder("new"); err != nil {
		return err
	}
	scratch := f.path("new/" + strings.ReplaceAll(name, "/", "-"))
	if err := os.WriteFile(scratch, content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(scratch, mode); err != nil { // whatever the umask
		return err
	}
	return os.Rename(scratch, f.path(name))
}

// folder makes one within that containers may read.
func (f *Folder) folder(name string) error {
	for at := f.path(name); at != f.dir && len(at) > len(f.dir); at = filepath.Dir(at) {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(at, 0o755); err != nil {
			return err
		}
	}
	return nil
}
