// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Main runs a package's tests with a pool of Envoys; it is what the package's TestMain calls.
//
// A module costs V8 six seconds of processor time to compile, in each process anew, and next to
// nothing where another VM of that process has the same bytes. With a pool Start therefore takes an
// Envoy that no test has at the time, and hands it listeners and clusters by discovery (LDS, CDS,
// from files) instead of a bootstrap. To the test it is one of its own: two that run at the same
// time are two processes, the VMs, ports and connections are new, the counters begin at 0, the log
// begins with Start. When the test ends, its listeners, clusters and VMs go, which is awaited, and
// only then may the next test have the process. What a test does to the process itself — Stop, its
// memory, its environment — needs Config.Own.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "tollgate-envoys-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pool.dir = dir
	if AsStep() {
		bootstrap.Rewrite = stepOf
	}
	code := m.Run()
	for _, p := range pool.idle {
		p.Stop()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var pool struct {
	mu   sync.Mutex
	dir  string // empty: there is no pool
	made int
	idle []*pooled
}

// pooled is an Envoy that discovers its listeners and clusters.
type pooled struct {
	*envoybin.Envoy
	kind     string // what it was started with; a test takes one of the kind that it needs
	dir      string
	workers  int
	version  int
	keepers  []bootstrap.M
	served   []string // the listeners' names
	clusters bool     // it has any
	vms      float64
}

// lend has an Envoy of the pool serve a configuration until the test ends.
func lend(t testing.TB, c Config) *Envoy {
	t.Helper()
	p, err := take(c)
	if err != nil {
		t.Fatal(err)
	}
	e := &Envoy{Envoy: p.Envoy, t: t}
	listeners, clusters := c.resources()
	if err := p.keep(listeners); err != nil {
		p.Stop()
		t.Fatalf("Envoy %s does not serve what the pool needs: %v\n%s", c.Version, err, p.Log())
	}
	if e.before, err = p.Counters(); err != nil {
		p.Stop()
		t.Fatal(err)
	}
	e.begin = len(p.Log())
	if err = p.discoverClusters(clusters); err == nil {
		err = p.discoverListeners(listeners)
	}
	if err == nil {
		err = p.ReadPorts()
	}
	if err != nil {
		p.Stop()
		t.Log(e.Log())
		t.Fatalf("Envoy %s does not serve: %v", c.Version, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of Envoy %s:\n%s", c.Version, e.Log())
		}
		if err := p.giveBack(); err != nil {
			t.Logf("this Envoy serves no other test: %v", err)
		}
	})
	return e
}

// take returns an idle Envoy, or a new one.
func take(c Config) (*pooled, error) {
	kind := fmt.Sprintln(c.Version, c.Concurrency, c.LogLevel, os.Environ())
	pool.mu.Lock()
	i := slices.IndexFunc(pool.idle, func(p *pooled) bool { return p.kind == kind && p.alive() })
	if i >= 0 {
		p := pool.idle[i]
		pool.idle = slices.Delete(pool.idle, i, i+1)
		pool.mu.Unlock()
		return p, nil
	}
	pool.made++
	p := &pooled{kind: kind, dir: filepath.Join(pool.dir, strconv.Itoa(pool.made)), workers: max(c.Concurrency, 1)}
	pool.mu.Unlock()

	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return nil, err
	}
	if err := errors.Join(p.write("cds", "cluster.v3.Cluster", nil),
		p.write("lds", "listener.v3.Listener", nil)); err != nil {
		return nil, err
	}
	var err error
	p.Envoy, err = envoybin.Run(bootstrap.Discovered(p.dir),
		envoybin.Options{Version: c.Version, Concurrency: c.Concurrency, LogLevel: c.LogLevel, Dir: p.dir,
			Arguments: []string{"--drain-time-s", "0", "--drain-strategy", "immediate"}}) // a test that ends waits for nobody
	return p, err
}

func (p *pooled) alive() bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// giveBack takes the test's listeners and clusters from the process and returns it to the pool. One
// that does not let go of them is ended.
func (p *pooled) giveBack() error {
	err := p.discoverListeners(nil)
	if err == nil {
		err = p.Await(func() bool {
			draining, err := p.stat("listener_manager.total_listeners_draining")
			vms, err2 := p.stat(activeVMs)
			return errors.Join(err, err2) == nil && draining == 0 && vms == p.vms
		}, 10*time.Second)
	}
	if err == nil {
		err = p.discoverClusters(nil)
	}
	if err != nil {
		p.Stop()
		return err
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.idle = append(pool.idle, p)
	return nil
}

const activeVMs = "wasm.envoy.wasm.runtime.v8.active"

// keep makes a VM of each of our modules that the listeners have, also of the one with all filters:
// it lives as long as the process, and the compiled code with it.
func (p *pooled) keep(listeners []bootstrap.M) error {
	text, err := json.Marshal(listeners)
	if err != nil {
		return err
	}
	before := len(p.keepers)
	type kept struct{ name, module, configuration string }
	var modules []kept
	for _, filter := range filters.All {
		modules = append(modules, kept{filter.Name, filter.Module(), filter.Smallest})
	}
	modules = append(modules, kept{filters.Module, filters.Module + ".wasm",
		Between(filters.All[0].Name, "step", filters.All[0].Smallest)})
	for _, m := range modules {
		name, module := "keeper-"+m.name, filepath.Join("build", "out", m.module)
		if !strings.Contains(string(text), module) ||
			slices.ContainsFunc(p.keepers, func(l bootstrap.M) bool { return l["name"] == name }) {
			continue
		}
		root, err := envoybin.Root()
		if err != nil {
			return err
		}
		w := bootstrap.Wasm{Name: name, Module: filepath.Join(root, module), Configuration: m.configuration}
		p.keepers = append(p.keepers, bootstrap.Listener(name, 0, []bootstrap.M{w.Filter()}, bootstrap.Answer(404, ""), nil))
	}
	if len(p.keepers) == before {
		return nil
	}
	if err := p.discoverListeners(nil); err != nil {
		return err
	}
	p.vms, err = p.stat(activeVMs)
	return err
}

func (p *pooled) discoverClusters(clusters []bootstrap.M) error {
	if len(clusters) == 0 && !p.clusters {
		return nil
	}
	p.clusters = len(clusters) > 0
	if err := p.discover("cds", "cluster.v3.Cluster", "cluster_manager.cds", clusters); err != nil {
		return err
	}
	return p.Await(func() bool {
		n, err := p.stat("cluster_manager.warming_clusters")
		return err == nil && n == 0
	}, startTimeout)
}

// discoverListeners has the process serve these besides the keepers, and returns when all workers accept connections.
func (p *pooled) discoverListeners(listeners []bootstrap.M) error {
	all := append(p.keepers[:len(p.keepers):len(p.keepers)], listeners...)
	added := 0
	for _, l := range all {
		if !slices.Contains(p.served, l["name"].(string)) {
			added++
		}
	}
	p.served = nil
	for _, l := range all {
		p.served = append(p.served, l["name"].(string))
	}
	const onWorker = "listener_manager.listener_create_success" // counted on each worker
	before, err := p.stat(onWorker)
	if err != nil {
		return err
	}
	if err := p.discover("lds", "listener.v3.Listener", "listener_manager.lds", all); err != nil {
		return err
	}
	return p.Await(func() bool {
		n, err := p.stat(onWorker)
		return err == nil && n == before+float64(added*p.workers)
	}, startTimeout)
}

// startTimeout covers V8 compiling several modules on a busy machine.
const startTimeout = 60 * time.Second

// discover writes the resources of one kind and returns when Envoy has taken them.
func (p *pooled) discover(file, kind, stat string, resources []bootstrap.M) error {
	taken, err := p.stat(stat + ".update_success")
	if err != nil {
		return err
	}
	refused, err := p.stat(stat + ".update_rejected")
	if err != nil {
		return err
	}
	if err := p.write(file, kind, resources); err != nil {
		return err
	}
	no := false
	if err := p.Await(func() bool {
		n, err := p.stat(stat + ".update_rejected")
		if no = err == nil && n > refused; no {
			return true
		}
		n, err = p.stat(stat + ".update_success")
		return err == nil && n > taken
	}, startTimeout); err != nil {
		return err
	}
	if no {
		return errors.New("the configuration is refused")
	}
	return nil
}

// write puts resources where Envoy looks for them; it sees the rename.
func (p *pooled) write(file, kind string, resources []bootstrap.M) error {
	p.version++
	typed := []bootstrap.M{}
	for _, r := range resources {
		typed = append(typed, bootstrap.Typed("config."+kind, r))
	}
	b, err := json.Marshal(bootstrap.M{"version_info": strconv.Itoa(p.version), "resources": typed})
	if err != nil {
		return err
	}
	path := filepath.Join(p.dir, file+".json")
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// stat is the value of one counter or gauge of Envoy's own.
func (p *pooled) stat(name string) (float64, error) {
	text, err := p.Admin("/stats?filter=^" + strings.ReplaceAll(name, ".", `\.`) + "$")
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(strings.TrimSpace(text), ": ")
	if !ok {
		return 0, nil // one that Envoy does not know yet
	}
	return strconv.ParseFloat(value, 64)
}
