// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
)

func prepare(t *testing.T) *Folder {
	t.Helper()
	f := New(checkout.Root(t), filepath.Join(t.TempDir(), "compose"))
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A second time, nothing changes: what runs goes on with it.
func TestPrepareKeepsWhatIsThere(t *testing.T) {
	f := prepare(t)
	all := func() map[string]string {
		m := map[string]string{}
		err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != "probe" {
				m[path] = string(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before := all()
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	after := all()
	for path, text := range after {
		if before[path] != text {
			t.Errorf("%s is another", path)
		}
	}
	if len(after) != len(before) || len(after) < 20 {
		t.Errorf("%d files, and %d after another time", len(before), len(after))
	}
}

// Only the owner may enter the folder; nobody else reads what no container reads as another user.
func TestPermissions(t *testing.T) {
	f := prepare(t)
	for name, want := range map[string]fs.FileMode{".": 0o700, "tokens.jwk": 0o600, "stamps.jwk": 0o600,
		"edge.env": 0o600, "keycloak.env": 0o600, "grafana.env": 0o600, "ca/root-key.pem": 0o600, "ca/edge/ca-key.pem": 0o600,
		"edge": 0o755, "edge/tls/key.pem": 0o644, "edge/filters/tollgate.json": 0o644, "bin/healthcheck": 0o755} {
		if info, err := os.Stat(f.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %s", name, info, err, want)
		}
	}
}

// The proxies' certificates lead to one root, through an intermediate of their own, and name them.
func TestCertificates(t *testing.T) {
	f := prepare(t)
	intermediates := map[string]bool{}
	for _, p := range proxies {
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AppendCertsFromPEM(read(t, f.path("ca/root-cert.pem")))
		leaf, rest := pem.Decode(read(t, f.path(p.name+"/tls/chain.pem")))
		between.AppendCertsFromPEM(rest)
		intermediates[string(rest)] = true
		c, err := x509.ParseCertificate(leaf.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		if len(c.URIs) != 1 || c.URIs[0].String() != p.id {
			t.Errorf("%s is %v, want %s", p.name, c.URIs, p.id)
		}
	}
	if len(intermediates) != len(proxies) {
		t.Errorf("%d intermediates for %d proxies", len(intermediates), len(proxies))
	}
}

// The filters have nothing to say against the configurations, and the rate-limit service takes what is made for it.
func TestConfigurations(t *testing.T) {
	f := prepare(t)
	checker := &check.Checker{}
	for _, config := range configs() {
		checker.File(config, read(t, f.config(config)))
	}
	for _, finding := range checker.Findings() {
		t.Error(finding)
	}
	want, err := descriptors.Write(read(t, filepath.Join(checkout.Root(t), "envoy/edge/rate-limit.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	got := string(read(t, f.path("ratelimit/tollgate.yaml")))
	if got != string(want) {
		t.Errorf("the service's configuration is\n%s\nwant\n%s", got, want)
	}
	if err := backends.CheckRateLimit(map[string]string{"tollgate": got}, backends.Options{Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

// changeable is a folder whose configurations and modules are a test's own.
func changeable(t *testing.T) *Folder {
	t.Helper()
	f := New(checkout.Root(t), filepath.Join(t.TempDir(), "compose"))
	dir := t.TempDir()
	from := map[string]string{filepath.Join(dir, "tollgate.wasm"): f.compiled()}
	for _, config := range configs() {
		from[filepath.Join(dir, config)] = f.config(config)
	}
	for to, from := range from {
		text := read(t, from)
		if filepath.Ext(to) == ".wasm" {
			text = text[:1000] // nobody runs it
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f.Configs, f.Modules = dir, dir
	if err := os.Mkdir(f.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if changed, err := published(f); err != nil || len(changed) != len(Plugins) {
		t.Fatalf("at first: %v, %v", changed, err)
	}
	return f
}

// published are the plugins that Publish tells of; each must be there by then.
func published(f *Folder) (names []string, err error) {
	err = f.Publish(func(p Plugin) {
		if _, err := f.Version(p); err != nil {
			names = append(names, err.Error())
		}
		names = append(names, p.String())
	})
	return names, err
}

func change(t *testing.T, file, from, to string) {
	t.Helper()
	text := string(read(t, file))
	if !strings.Contains(text, from) {
		t.Fatalf("%s has no %q", file, from)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPublishTellsWhatHasChanged(t *testing.T) {
	f := changeable(t)
	publish := func(want ...string) {
		t.Helper()
		names, err := published(f)
		if err != nil || strings.Join(names, ", ") != strings.Join(want, ", ") {
			t.Errorf("changed: %v, %v, want %v", names, err, want)
		}
	}
	publish()
	change(t, filepath.Join(f.Configs, "edge/jwt-scope.yaml"), "orders:admin", "orders:boss")
	publish("tollgate of edge")
	change(t, filepath.Join(f.Configs, "mesh/jwt-scope.yaml"), "orders:admin", "orders:boss")
	publish("jwt-scope of mesh")
	change(t, filepath.Join(f.Configs, "edge/edge-stamp.yaml"), "ttl: 30s", "ttl: 31s")
	publish("tollgate of edge", "edge-stamp of edge")
	change(t, filepath.Join(f.Configs, "edge/rate-limit.yaml"), "requests: 5,", "requests: 7,")
	publish("tollgate of edge")
	if text := string(read(t, f.path("ratelimit/tollgate.yaml"))); !strings.Contains(text, "requests_per_unit: 7}") {
		t.Errorf("the service has\n%s", text)
	}
	for range 3 {
		change(t, filepath.Join(f.Modules, "tollgate.wasm"), "\x00asm", "\x00asm\x01")
		publish("tollgate of edge", "edge-stamp of edge", "edge-stamp of mesh", "jwt-scope of mesh")
	}
	// The module, and the last one that is not used any more.
	if files, err := os.ReadDir(f.path("modules")); err != nil || len(files) != 2 {
		t.Errorf("modules: %v, %v", files, err)
	}
	publish()
}

// Each plugin is the module with its filters: a chain in their order, or one that says whose it is.
// Those of a proxy share a VM, so that Envoy makes machine code once. Whatever they are made of is
// watched.
func TestPlugins(t *testing.T) {
	f := changeable(t)
	vms := map[string]string{}
	for _, p := range Plugins {
		var resource struct {
			Resources []struct {
				Name        string
				TypedConfig struct {
					Config struct {
						Name          string
						Configuration struct{ Value string }
						VM            struct {
							ID   string          `json:"vm_id"`
							Code json.RawMessage `json:"code"`
						} `json:"vm_config"`
					}
				} `json:"typed_config"`
			}
		}
		if err := json.Unmarshal(read(t, f.path(p.published())), &resource); err != nil || len(resource.Resources) != 1 {
			t.Fatalf("%s: %v, %+v", p, err, resource)
		}
		config := resource.Resources[0].TypedConfig.Config
		if config.Name != p.Name || resource.Resources[0].Name != p.Name {
			t.Errorf("%s is called %s and %s", p, resource.Resources[0].Name, config.Name)
		}
		vm := config.VM.ID + " " + string(config.VM.Code)
		if first, ok := vms[p.Proxy]; ok && first != vm {
			t.Errorf("%s has the VM %s, and another plugin of the proxy %s", p, vm, first)
		}
		vms[p.Proxy] = vm
		read, err := chain.Parse(config.Configuration.Value, filters.Names()...)
		if err != nil || len(read.Steps) != len(p.Steps) {
			t.Errorf("%s: %v, %d steps", p, err, len(read.Steps))
			continue
		}
		for i, s := range p.Steps {
			if read.Steps[i].Filter != s.Filter {
				t.Errorf("%s: step %d is %s", p, i, read.Steps[i].Filter)
			}
		}
	}
	inputs := strings.Join(f.Inputs(), " ")
	for _, want := range append(configs(), "tollgate.wasm") {
		if !strings.Contains(inputs, want) {
			t.Errorf("%s is not watched", want)
		}
	}
}

func TestPublishRefusesMistakes(t *testing.T) {
	f := changeable(t)
	before := string(read(t, f.path("edge/filters/tollgate.json")))
	for _, c := range []struct{ what, file, from, to, want string }{
		{"a misspelt key", "edge/jwt-scope.yaml", "scopes: {any:", "scopes: {nay:", "envoy/edge/jwt-scope.yaml:"},
		{"not YAML", "mesh/edge-stamp.yaml", "role: verify", "role: [verify", "envoy/mesh/edge-stamp.yaml"},
		{"what the service cannot count", "edge/rate-limit.yaml", "per: 1m", "per: 7s", "7s"},
	} {
		file := filepath.Join(f.Configs, c.file)
		good := read(t, file)
		change(t, file, c.from, c.to)
		// which must not get out alone
		change(t, filepath.Join(f.Configs, "edge/jwt-scope.yaml"), "realm: orders", "realm: other")
		if changed, err := published(f); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) ||
			changed != nil {
			t.Errorf("%s: %v, %v", c.what, changed, err)
		}
		change(t, filepath.Join(f.Configs, "edge/jwt-scope.yaml"), "realm: other", "realm: orders")
		if err := os.WriteFile(file, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// What is good by itself, and is not that step's.
	file := filepath.Join(f.Configs, "edge/jwt-scope.yaml")
	good := read(t, file)
	if err := os.WriteFile(file, read(t, filepath.Join(f.Configs, "edge/rate-limit.yaml")), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed, err := published(f); !errors.Is(err, ErrConfig) || changed != nil ||
		!strings.Contains(err.Error(), "the chain tollgate of edge:1:") ||
		!strings.Contains(err.Error(), "chain[0].config.providers: is required") {
		t.Errorf("another filter's configuration: %v, %v", changed, err)
	}
	if err := os.WriteFile(file, good, 0o644); err != nil {
		t.Fatal(err)
	}
	// A module that the compiler is just writing.
	if err := os.WriteFile(filepath.Join(f.Modules, "tollgate.wasm"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := published(f); err == nil || !strings.Contains(err.Error(), "is no module") {
		t.Errorf("an empty module: %v", err)
	}
	if after := string(read(t, f.path("edge/filters/tollgate.json"))); after != before {
		t.Errorf("after mistakes the proxy is given\n%s", after)
	}
}
