// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// Versions of Envoy that this run covers: those in $TOLLGATE_ENVOY (a comma list, newest, oldest or
// all), by default the newest and the oldest.
func Versions(t testing.TB) []string {
	t.Helper()
	versions := []string{envoybin.Default, envoybin.Oldest}
	switch list := os.Getenv("TOLLGATE_ENVOY"); list {
	case "":
	case "newest":
		versions = []string{envoybin.Default}
	case "oldest":
		versions = []string{envoybin.Oldest}
	case "all":
		versions = envoybin.Versions
	default:
		versions = strings.Split(list, ",")
	}
	for _, v := range versions {
		if !slices.Contains(envoybin.Versions, v) {
			t.Fatalf("TOLLGATE_ENVOY names %q; Tollgate claims %s", v, strings.Join(envoybin.Versions, ", "))
		}
	}
	return versions
}

// Each runs a test in each of the Versions.
func Each(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, v := range Versions(t) {
		t.Run("envoy="+v, func(t *testing.T) { test(t, v) })
	}
}

// Config of one Envoy. Its listener is called "main" unless Listeners says otherwise.
type Config struct {
	Version     string
	Concurrency int // workers; 0: 1
	LogLevel    string
	Own         bool // a process of its own, which began with this configuration, also where there is a pool

	// Of the listener "main":
	Filters  []bootstrap.M // before the router
	Upstream int           // port of the upstream; 0: Envoy answers every request itself, with 200
	Routes   []bootstrap.M // instead of the one route that Upstream gives
	HTTP     bootstrap.M   // more fields of the HTTP connection manager

	Listeners []bootstrap.M // instead of "main"
	Clusters  []bootstrap.M // besides "upstream"
}

// Envoy is a running Envoy that belongs to a test.
type Envoy struct {
	*envoybin.Envoy
	t testing.TB

	// Of one from the pool: what it had counted, and logged, before this test.
	before map[string]uint64
	begin  int
}

// Log is what it has printed for this test.
func (e *Envoy) Log() string { return e.Envoy.Log()[e.begin:] }

// Counters are the values of all counters, as this test has brought them about.
func (e *Envoy) Counters() (map[string]uint64, error) { return e.matching("") }

// matching are the counters whose names match a pattern: a hundred clusters have twenty thousand
// counters, and a test that asks before and after each request would spend its time on those.
func (e *Envoy) matching(pattern string) (map[string]uint64, error) {
	counters, err := e.CountersMatching(pattern)
	for name, n := range counters {
		// else the counter is a new one: the old has gone with its listener or cluster
		if before := e.before[name]; before <= n {
			counters[name] = n - before
		}
	}
	return counters, err
}

// resources are the listeners and clusters.
func (c *Config) resources() (_, _ []bootstrap.M) {
	clusters := c.Clusters
	routes := bootstrap.Answer(200, "answered by the proxy\n")
	if c.Upstream != 0 {
		clusters = append(clusters[:len(clusters):len(clusters)], bootstrap.Cluster("upstream", c.Upstream, false))
		routes = bootstrap.To("upstream")
	}
	if c.Routes != nil {
		routes = c.Routes
	}
	listeners := c.Listeners
	if listeners == nil {
		listeners = []bootstrap.M{bootstrap.Listener("main", 0, c.Filters, routes, c.HTTP)}
	}
	return listeners, clusters
}

// Start runs Envoy until the test ends: one of the pool, where the package has that (see Main).
func Start(t testing.TB, c Config) *Envoy {
	t.Helper()
	if pool.dir != "" && !c.Own {
		return lend(t, c)
	}
	e, err := c.run(t)
	if err != nil {
		if e != nil {
			t.Log(e.Log())
		}
		t.Fatalf("Envoy %s does not serve: %v", c.Version, err)
	}
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("the log of Envoy %s:\n%s", c.Version, e.Log())
		}
	})
	return &Envoy{Envoy: e, t: t}
}

// StartRefused runs Envoy with a configuration that it must refuse, and returns its log.
func StartRefused(t testing.TB, c Config) string {
	t.Helper()
	e, err := c.run(t)
	if err == nil {
		e.Stop()
		t.Fatalf("Envoy %s serves with a configuration that it should refuse", c.Version)
	}
	if e == nil {
		t.Fatal(err)
	}
	return e.Log()
}

func (c *Config) run(t testing.TB) (*envoybin.Envoy, error) {
	return envoybin.Run(bootstrap.Bootstrap(c.resources()),
		envoybin.Options{Version: c.Version, Concurrency: c.Concurrency, LogLevel: c.LogLevel, Dir: t.TempDir()})
}

// Main is the address of the listener "main".
func (e *Envoy) Main() string { return e.Address("main") }

// WaitLog waits until the log has text.
func (e *Envoy) WaitLog(text string) {
	e.t.Helper()
	if err := e.Await(func() bool { return strings.Contains(e.Log(), text) }, 10*time.Second); err != nil {
		e.t.Fatalf("the log never had %q: %v", text, err)
	}
}

// Counter is the value of one counter; one that Envoy does not know yet is 0.
func (e *Envoy) Counter(name string) uint64 {
	e.t.Helper()
	counters, err := e.matching("^" + regexp.QuoteMeta(name) + "$")
	if err != nil {
		e.t.Fatal(err)
	}
	return counters[name]
}

// Tollgate are the counters of our filters that are not 0, by their names without
// "wasmcustom.tollgate.". In Envoy 1.36 that has "cluster.<name>." before it where the VM was first
// made for an upstream filter.
func (e *Envoy) Tollgate() map[string]uint64 {
	e.t.Helper()
	counters, err := e.matching(`wasmcustom\.tollgate\.`)
	if err != nil {
		e.t.Fatal(err)
	}
	ours := map[string]uint64{}
	for name, value := range counters {
		if _, name, ok := strings.Cut(name, "wasmcustom.tollgate."); ok && value > 0 && !ofNeighbour(name) {
			ours[name] += value
		}
	}
	return ours
}

// Change runs something and returns what it added to our counters.
func (e *Envoy) Change(what func()) map[string]uint64 { return Change([]*Envoy{e}, what) }

// Change runs something and returns what it added to our counters in several Envoys together.
func Change(envoys []*Envoy, what func()) map[string]uint64 {
	sum := func() map[string]uint64 {
		all := map[string]uint64{}
		for _, e := range envoys {
			for name, n := range e.Tollgate() {
				all[name] += n
			}
		}
		return all
	}
	before := sum()
	what()
	after := sum()
	for name, n := range after {
		if after[name] = n - before[name]; after[name] == 0 {
			delete(after, name)
		}
	}
	return after
}

// Module is the path of a filter's compiled module, the one that ships.
func Module(t testing.TB, name string) string {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "build", "out", name+".wasm")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run: make build", err)
	}
	return path
}

// Filter is one of our filters with its configuration.
func Filter(t testing.TB, name, configuration string) bootstrap.M {
	t.Helper()
	return bootstrap.Wasm{Name: name, Module: Module(t, name), Configuration: configuration}.Filter()
}
