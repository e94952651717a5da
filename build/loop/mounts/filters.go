// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bytes"
	"context"
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

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// Plugin is the module with all filters, as one proxy discovers it: with one filter, or with a chain
// of several. Each has its configuration in a file of its own, envoy/<Proxy>/<Filter>.yaml, so that
// it can be changed, checked and explained by itself.
type Plugin struct {
	Proxy, Name string
	Steps       []Step
	Aside       bool // not on the way of requests
	hostEnv     []string
}

// Step is a filter of a plugin: its name, which is that of the step in a chain and of the file, too.
type Step struct {
	Filter string
	Task   string // what it is there for, in a few words for the report
}

var signs = Step{"edge-stamp", "signs the request"}

// Plugins are all of them, in the order in which a request meets them (envoy/edge/envoy.yaml,
// envoy/mesh/envoy.yaml; a test holds them against these). Those of one proxy share a VM.
//
// The mesh has two: jwt-scope believes the payload that edge-stamp has verified and written
// (trustedPayload), which steps of one chain may not.
var Plugins = []Plugin{
	{Proxy: "edge", Name: filters.Module, hostEnv: []string{"EDGE_STAMP_KEY"},
		Steps: []Step{{"jwt-scope", "who may come in"}, {"rate-limit", "how often"}, signs}},
	// publishes the keys, for the mesh
	{Proxy: "edge", Name: "edge-stamp", Steps: []Step{signs}, Aside: true, hostEnv: []string{"EDGE_STAMP_KEY"}},
	{Proxy: "mesh", Name: "edge-stamp", Steps: []Step{{"edge-stamp", "signed, once?"}}},
	{Proxy: "mesh", Name: "jwt-scope", Steps: []Step{{"jwt-scope", "service’s rules"}}},
}

// Way are the plugins of a proxy that a request meets.
func Way(proxy string) (list []Plugin) {
	for _, p := range Plugins {
		if p.Proxy == proxy && !p.Aside {
			list = append(list, p)
		}
	}
	return list
}

// Configs are the files with the configurations of the steps, from the folder envoy.
func (p Plugin) Configs() (files []string) {
	for _, s := range p.Steps {
		files = append(files, filepath.Join(p.Proxy, s.Filter+".yaml"))
	}
	return files
}

// published is the file that Envoy reads.
func (p Plugin) published() string { return p.Proxy + "/filters/" + p.Name + ".json" }

func (p Plugin) String() string { return p.Name + " of " + p.Proxy }

// Folder is where it all lies.
type Folder struct {
	root    string // of the project
	dir     string
	Configs string // where the filters' configurations are, <Proxy>/<Filter>.yaml
	Modules string // where the compiled modules are, <Name>.wasm
}

// New is the folder dir for a project's checkout, with its configurations and modules.
func New(root, dir string) *Folder {
	return &Folder{root: root, dir: dir, Configs: filepath.Join(root, "envoy"),
		Modules: filepath.Join(root, "build", "out")}
}

// Inputs are the files that Publish reads.
func (f *Folder) Inputs() (files []string) {
	for _, config := range configs() {
		files = append(files, f.config(config))
	}
	return append(files, f.compiled())
}

// configs are the files of all plugins, each once.
func configs() (files []string) {
	for _, p := range Plugins {
		for _, config := range p.Configs() {
			if !slices.Contains(files, config) {
				files = append(files, config)
			}
		}
	}
	return files
}

func (f *Folder) config(name string) string { return filepath.Join(f.Configs, name) }
func (f *Folder) compiled() string          { return filepath.Join(f.Modules, filters.Module+".wasm") }

// Version is that under which a plugin has been published, and which Envoy tells when it has it.
func (f *Folder) Version(p Plugin) (string, error) {
	text, err := os.ReadFile(f.path(p.published()))
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
	return f.Publish(func(Plugin) {})
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

// MCPServer compiles the MCP server of the profile mcp.
func (f *Folder) MCPServer(ctx context.Context) error {
	if err := f.folder("bin"); err != nil {
		return err
	}
	return backends.MCPServer(ctx, f.root, f.path("bin/mcpserver"))
}

// ErrConfig is what is wrong with a configuration; its text has all faults with their lines. The
// proxies keep what they have.
var ErrConfig = errors.New("the configuration is refused")

// Publish writes the plugins' configurations, as far as they or the module have changed, one
// after another, and calls published after each: whoever waits there until the proxy has it leaves
// all of the machine to that one. Each is complete before a proxy sees it: the module lies there
// under the name of its content, and the file is renamed into its place. Where any configuration
// has a fault, nothing is written.
func (f *Folder) Publish(published func(Plugin)) (err error) {
	texts := map[string][]byte{}
	checker := &check.Checker{}
	for _, config := range configs() {
		if texts[config], err = os.ReadFile(f.config(config)); err != nil {
			return err
		}
		checker.File(filepath.Join("envoy", config), texts[config])
	}
	if err := refused(checker); err != nil {
		return err
	}
	var limits []byte
	wholes := make([][]byte, len(Plugins))
	chains := &check.Checker{} // what the steps are to each other
	for i, p := range Plugins {
		if wholes[i], err = p.configuration(texts); err != nil {
			return err
		}
		chains.File("the chain "+p.String(), wholes[i])
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Filter == "rate-limit" }) {
			limits = wholes[i]
		}
	}
	if err := refused(chains); err != nil {
		return err
	}
	service, err := descriptors.Write(limits)
	if err != nil {
		return fmt.Errorf("%w: for the rate-limit service:\n%w", ErrConfig, err)
	}
	module, err := f.module()
	if err != nil {
		return err
	}
	resources := make([][]byte, len(Plugins))
	for i, p := range Plugins {
		if resources[i], err = discovered(p, module, wholes[i]); err != nil {
			return err
		}
	}
	// The service first: a limit that it does not know yet is no limit.
	if _, err := f.update("ratelimit/tollgate.yaml", service); err != nil {
		return err
	}
	for i, p := range Plugins {
		wrote, err := f.update(p.published(), resources[i])
		if err != nil {
			return err
		}
		if wrote {
			published(p)
		}
	}
	return f.prune(module)
}

// refused are the errors among findings.
func refused(checker *check.Checker) error {
	var faults []error
	for _, finding := range checker.Findings() {
		if finding.Severity == check.Error {
			faults = append(faults, errors.New(finding.String()))
		}
	}
	if faults == nil {
		return nil
	}
	return fmt.Errorf("%w:\n%w", ErrConfig, errors.Join(faults...))
}

// configuration is a plugin's, in JSON, of what its files say: a chain, or the one filter's, which says whose it is.
func (p Plugin) configuration(texts map[string][]byte) ([]byte, error) {
	var chain []filters.Step
	for i, config := range p.Configs() {
		text, err := yaml.YAMLToJSONStrict(texts[config])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", config, err)
		}
		chain = append(chain, filters.Step{Name: p.Steps[i].Filter, Filter: p.Steps[i].Filter, Config: text})
	}
	if len(chain) > 1 {
		return json.Marshal(bootstrap.M{"chain": chain})
	}
	alone, err := chain[0].Alone()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Configs()[0], err)
	}
	return alone, nil
}

// discovered is a plugin as Envoy discovers it (ECDS). Its version is what it is made of.
func discovered(p Plugin, module string, config []byte) ([]byte, error) {
	wasm := bootstrap.Wasm{Name: p.Name, VM: filters.Module, Module: "/etc/tollgate/modules/" + module,
		Configuration: string(config), HostEnv: p.hostEnv}
	resource := bootstrap.M{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name": p.Name, "typed_config": wasm.Filter()["typed_config"]}
	version, err := json.Marshal(resource)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(bootstrap.M{"version_info": short(version), "resources": []bootstrap.M{resource}}, "", " ")
}

// module puts the compiled module where the proxies see it, under a name that tells its content: a
// file that is overwritten changes no configuration, and so nothing would load it.
func (f *Folder) module() (string, error) {
	b, err := os.ReadFile(f.compiled())
	if err != nil {
		return "", fmt.Errorf("%w; run: make build", err)
	}
	if !bytes.HasPrefix(b, []byte("\x00asm")) {
		return "", fmt.Errorf("%s is no module; run: make build", f.compiled())
	}
	file := filters.Module + "-" + short(b) + ".wasm"
	_, err = f.update("modules/"+file, b)
	return file, err
}

func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// prune removes modules that no configuration names any more, but for the youngest of them: a proxy
// may be just about to load it.
func (f *Folder) prune(used string) error {
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
		if e.Name() != used {
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
