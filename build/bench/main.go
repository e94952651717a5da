// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the filters cost beside Envoy's native ones, in one Envoy process.
//
// The figure is CPU time of the process per request: machines are noisy, and it is far steadier than throughput or latency. Rows take turns, round by round, so that noise
// hits all of them; ratios between rows are what to compare across machines.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 7, "rounds; every row has a turn in each")
	flag.IntVar(&o.requests, "requests", 8000, "requests of one turn")
	flag.IntVar(&o.rate, "rate", 1000, "requests a second for the latency")
	flag.DurationVar(&o.fixed, "fixed", 5*time.Second, "how long the fixed rate is held for each row")
	flag.StringVar(&o.only, "only", "", "measure only rows whose name has this text, and what they are compared with")
	flag.StringVar(&o.version, "envoy", "", "version of Envoy (default: any that is there, else "+envoybin.Default+")")
	flag.StringVar(&o.out, "o", filepath.Join("build", "out", "bench.json"), "JSON file to write")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, requests, rate int
	fixed                  time.Duration
	only, version, out     string
}

func run(o options) error {
	root, err := envoybin.Root()
	if err != nil {
		return err
	}
	module := filepath.Join(root, "build", "out", "jwt-scope.wasm")
	if _, err := os.Stat(module); err != nil {
		return fmt.Errorf("%w; run: make build", err)
	}
	chosen := choose(rows(module), o.only)
	var listeners []bootstrap.M
	for _, r := range chosen {
		listeners = append(listeners, bootstrap.Listener(r.name, 0, r.filters, bootstrap.Answer(200, "ok"), nil))
	}
	dir, err := os.MkdirTemp("", "tollgate-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	envoy, err := envoybin.Run(bootstrap.Bootstrap(listeners, nil), envoybin.Options{Version: o.version, Dir: dir, LogLevel: "warning"})
	if err != nil {
		if envoy != nil {
			return fmt.Errorf("running Envoy: %w\n%s", err, envoy.Log())
		}
		return err
	}
	defer envoy.Stop()
	report := &Report{Envoy: envoy.Version, Rounds: o.rounds, Requests: o.requests, Rate: o.rate}
	loads := make([]load, len(chosen))
	for i, r := range chosen {
		if loads[i], err = open(envoy.Address(r.name), r.request); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		defer loads[i].close()
		report.Rows = append(report.Rows, Result{Name: r.name, Versus: r.versus})
		if err := loads[i].closed(o.requests / 4); err != nil { // V8 optimises what has run often
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for i, r := range chosen {
			before, err := envoy.CPU()
			if err != nil {
				return err
			}
			if err := loads[i].closed(o.requests); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			after, err := envoy.CPU()
			if err != nil {
				return err
			}
			report.Rows[i].CPU = append(report.Rows[i].CPU, micros(after-before)/float64(o.requests/connections*connections))
		}
	}
	fmt.Fprintf(os.Stderr, "latency at %d requests/s\n", o.rate)
	for i, r := range chosen {
		took, err := loads[i].fixed(o.rate, o.fixed)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		report.Rows[i].P50, report.Rows[i].P99 = percentile(took, 0.50), percentile(took, 0.99)
	}
	report.finish()
	report.print(os.Stdout)
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(o.out, report.json(), 0o644)
}

// choose keeps the rows whose name has the text, those that they are compared with, and the one without filters.
func choose(all []row, text string) []row {
	wanted := map[string]bool{nothing: true}
	for _, r := range all {
		if strings.Contains(r.name, text) {
			wanted[r.name], wanted[r.versus] = true, true
		}
	}
	var chosen []row
	for _, r := range all {
		if wanted[r.name] {
			chosen = append(chosen, r)
		}
	}
	return chosen
}
