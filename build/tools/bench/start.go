// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// startRounds is how often each start is measured; the median counts.
const startRounds = 3

// Start is what an Envoy with one worker takes until it is ready, by the modules that it loads.
type Start struct {
	Modules  string  `json:"modules"`
	Code     int     `json:"codeBytes"`
	Bytes    int     `json:"bytes"`
	Ready    float64 `json:"readySeconds"`
	CPU      float64 `json:"cpuSeconds"`
	Resident float64 `json:"residentMiB"`
}

// startModule is a module with the smallest configuration that it takes.
type startModule struct{ name, config string }

// startModules are a module of Go that does nothing, and ours.
func startModules() []startModule {
	modules := []startModule{{name: "empty"}}
	for _, f := range filters.All {
		modules = append(modules, startModule{f.Name, f.Smallest})
	}
	return modules
}

// oneModule is the module that carries all filters, with the configurations of the others in a chain.
func oneModule() startModule {
	var parts []bootstrap.M
	for _, f := range filters.All {
		parts = append(parts, bootstrap.M{"name": f.Name, "filter": f.Name, "config": json.RawMessage(f.Smallest)})
	}
	return startModule{filters.Module, marshal(bootstrap.M{"chain": parts})}
}

// measureStarts starts an Envoy without modules, with each of them, and with all of ours, in turns.
func measureStarts(out, version string) ([]Start, error) {
	sets, all := [][]startModule{nil}, startModules()
	for _, m := range all {
		sets = append(sets, []startModule{m})
	}
	sets = append(sets, all[1:], []startModule{oneModule()})
	starts := make([]Start, len(sets))
	values := make([][3][]float64, len(sets))
	for round := range startRounds {
		fmt.Fprintf(os.Stderr, "starts, round %d of %d\n", round+1, startRounds)
		for i, set := range sets {
			if err := measureStart(out, version, set, &starts[i], &values[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range starts {
		starts[i].Ready, starts[i].CPU, starts[i].Resident = median(values[i][0]), median(values[i][1]), median(values[i][2])
	}
	return starts, nil
}

func measureStart(out, version string, set []startModule, s *Start, values *[3][]float64) error {
	dir, err := os.MkdirTemp("", "tollgate-start")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var filters []bootstrap.M
	var names []string
	s.Code, s.Bytes = 0, 0
	for _, m := range set {
		file := filepath.Join(out, m.name+".wasm")
		module, err := wasmhost.LoadFile(file)
		if err != nil {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		s.Code += module.CodeSection()
		s.Bytes += int(info.Size())
		names = append(names, m.name)
		filters = append(filters, bootstrap.Wasm{Name: m.name, Module: file, Configuration: m.config}.Filter())
	}
	if s.Modules = strings.Join(names, ", "); s.Modules == "" {
		s.Modules = "none"
	}
	began := time.Now()
	e, err := envoybin.Run(bootstrap.Bootstrap(
		[]bootstrap.M{bootstrap.Listener("main", 0, filters, bootstrap.Answer(200, "ok"), nil)}, nil),
		envoybin.Options{Version: version, Dir: dir, LogLevel: "warning"})
	if err != nil {
		return err
	}
	defer e.Stop()
	ready := time.Since(began)
	used, err := e.CPU()
	if err != nil {
		return err
	}
	resident, err := residentMiB(e.Pid())
	if err != nil {
		return err
	}
	for i, v := range []float64{ready.Seconds(), used.Seconds(), resident} {
		values[i] = append(values[i], v)
	}
	return nil
}

// residentMiB is the memory of a process that is in RAM (VmRSS in proc(5)).
func residentMiB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

func printStarts(w io.Writer, starts []Start) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "modules\tcode\tready\tCPU until ready\tresident\tadded\t")
	for _, s := range starts {
		fmt.Fprintf(t, "%s\t%.2f MB\t%.2f s\t%.2f s\t%.0f MiB\t%+.0f MiB\t\n", s.Modules, float64(s.Code)/1e6, s.Ready,
			s.CPU, s.Resident, s.Resident-starts[0].Resident)
	}
	t.Flush()
}

// runStarts measures and prints, and writes JSON beside the benchmark's.
func runStarts(out, file, version string) error {
	starts, err := measureStarts(out, version)
	if err != nil {
		return err
	}
	printStarts(os.Stdout, starts)
	b, err := json.MarshalIndent(starts, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
