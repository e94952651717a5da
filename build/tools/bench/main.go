// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the filters cost beside Envoy's native ones, in one Envoy process.
//
// The figure is CPU time of the process per request: machines are noisy, and it is far steadier
// than throughput or latency. Rows take turns, round by round, so that noise hits all of them;
// ratios between rows are what to compare across machines.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 7, "rounds; every row has a turn in each")
	flag.IntVar(&o.requests, "requests", 8000, "requests of one turn")
	flag.IntVar(&o.rate, "rate", 1000, "requests a second for the latency")
	flag.DurationVar(&o.fixed, "fixed", 5*time.Second, "how long the fixed rate is held for each row, over all rounds")
	flag.StringVar(&o.only, "only", "", "measure only rows whose name has this text, and what they are compared with")
	flag.BoolVar(&o.every, "algorithms", false, "measure jwt-scope with every algorithm, too")
	flag.BoolVar(&o.service, "service", false,
		fmt.Sprintf("measure global limits instead, with a real rate-limit service; -rate is %d by default then, and "+
			"-o bench-service.json", serviceRate))
	flag.BoolVar(&o.told, "answers", false,
		"measure what rate-limit costs where answers matter instead, by CPU only (-fixed is 0 by default then), and -o "+
			"bench-answers.json")
	flag.BoolVar(&o.update, "update", false, "with -answers: write the table of "+filepath.ToSlash(answersFile))
	flag.BoolVar(&o.chain, "chain", false,
		fmt.Sprintf("measure two Envoys one behind the other instead: each verifying by itself, or the first "+
			"stamping what the second admits; -rate is %d by default then, and -o bench-chain.json, with a "+
			"plot beside it", chainRate))
	flag.DurationVar(&o.answers, "introspection", 5*time.Millisecond,
		"with -chain: how long an identity provider takes to answer, in the row where it takes long")
	flag.BoolVar(&o.starts, "starts", false,
		"measure only what a module takes until Envoy is ready, and write bench-start.json")
	flag.StringVar(&o.version, "envoy", "", "version of Envoy (default: any that is there, else "+envoybin.Default+")")
	flag.StringVar(&o.out, "o", filepath.Join("build", "out", "bench.json"), "JSON file to write")
	flag.Parse()
	set := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { set[f.Name] = true })
	other := func(rate int, out string) {
		if !set["rate"] {
			o.rate = rate
		}
		if !set["o"] {
			o.out = filepath.Join(filepath.Dir(o.out), out)
		}
	}
	switch {
	case o.service:
		other(serviceRate, "bench-service.json")
	case o.chain:
		other(chainRate, "bench-chain.json")
	case o.told:
		other(o.rate, "bench-answers.json")
		if !set["fixed"] {
			o.fixed = 0
		}
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, requests, rate int
	fixed, answers         time.Duration
	only, version, out     string
	every, service, chain  bool
	starts, told, update   bool
}

func run(o options) error {
	modes := 0
	for _, mode := range []bool{o.service, o.chain, o.told} {
		if mode {
			modes++
		}
	}
	if flag.NArg() > 0 || modes > 1 || o.update && (!o.told || o.only != "") || o.rounds < 1 ||
		o.requests < connections || o.rate < 1 || o.fixed < 0 || o.answers < 0 {
		return fmt.Errorf("it takes flags only, at most one of -service, -chain and -answers, -update only with all of -answers, "+
			"with at least 1 round, %d requests and a rate of 1", connections)
	}
	o.requests -= o.requests % connections // each connection sends as many
	root, err := envoybin.Root()
	if err != nil {
		return err
	}
	out := filepath.Join(root, "build", "out")
	for _, module := range append(filters.Names(), "rate-limit-lean", "hostsign", "empty") {
		if _, err := os.Stat(filepath.Join(out, module+".wasm")); err != nil {
			return fmt.Errorf("%w; run: make bench", err)
		}
	}
	if o.starts || !o.service && !o.chain && !o.told && o.only == "" {
		if err := runStarts(out, filepath.Join(filepath.Dir(o.out), "bench-start.json"), o.version); err != nil || o.starts {
			return err
		}
		fmt.Println()
	}
	all := rows(out, o.every)
	switch {
	case o.service:
		all = serviceRows(out)
	case o.chain:
		all = chainRows(out, o.answers)
	case o.told:
		all = answerRows(out)
	}
	chosen := choose(all, o.only)
	if len(chosen) == 1 && !strings.Contains(nothing, o.only) {
		return fmt.Errorf("-only %q is in the name of no row", o.only)
	}
	dir, err := os.MkdirTemp("", "tollgate-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	routes, clusters := bootstrap.Answer(200, "ok"), []bootstrap.M(nil)
	if o.service {
		around, err := startSurroundings(chosen, dir)
		if err != nil {
			return err
		}
		defer around.stop()
		routes, clusters = around.routes, around.clusters
	}
	var processes []*envoybin.Envoy
	route := func(row) []bootstrap.M { return routes }
	if o.chain {
		introspection, err := startIntrospection(chosen, o.answers)
		if err != nil {
			return err
		}
		defer introspection.stop()
		behind, err := startBehind(chosen, introspection.cluster, o.version, dir)
		if err != nil {
			return err
		}
		defer behind.Stop()
		processes = append(processes, behind)
		for _, r := range chosen {
			cluster, err := clusterOf(behind, r)
			if err != nil {
				return err
			}
			clusters = append(clusters, cluster)
		}
		route = func(r row) []bootstrap.M { return bootstrap.To(r.name) }
	}
	if o.told {
		for _, s := range []stream{megabyte, singles} {
			cluster, stop := s.start()
			defer stop()
			clusters = append(clusters, cluster)
		}
		route = answerRoutes
	}
	var listeners []bootstrap.M
	for _, r := range chosen {
		listeners = append(listeners, bootstrap.Listener(r.name, 0, r.filters, route(r), nil))
	}
	envoy, err := envoybin.Run(bootstrap.Bootstrap(listeners, clusters),
		envoybin.Options{Version: o.version, Dir: dir, LogLevel: "warning"})
	if err != nil {
		if envoy != nil {
			return fmt.Errorf("running Envoy: %w\n%s", err, envoy.Log())
		}
		return err
	}
	defer envoy.Stop()
	// Stopped under their hands, the loads fail, and this function ends as it does after any error.
	interrupted, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	defer context.AfterFunc(interrupted, envoy.Stop)()
	report, err := measure(append([]*envoybin.Envoy{envoy}, processes...), chosen, o)
	if interrupted.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	report.finish()
	report.print(os.Stdout)
	if o.told {
		fmt.Println("\n" + report.answersTable())
	}
	if o.update {
		if err := report.writeAnswers(root); err != nil {
			return err
		}
	}
	if o.service || o.chain {
		report.printLatency(os.Stdout)
	}
	if o.chain {
		path := strings.TrimSuffix(o.out, ".json") + ".svg"
		if err := os.WriteFile(path, []byte(report.plot()), 0o644); err != nil {
			return err
		}
		fmt.Println("\nplot:", path)
	}
	b, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(b, '\n'), 0o644)
}

// measure gives every row a turn in each round: first at full speed for the CPU time, then at the
// fixed rate for the latency. The first of the Envoys gets the requests; the CPU time is that of
// all.
func measure(envoys []*envoybin.Envoy, chosen []row, o options) (*Report, error) {
	envoy := envoys[0]
	report := &Report{Envoy: envoy.Version, Processes: len(envoys),
		Answer: answering(o), Rounds: o.rounds, Requests: o.requests, Rate: o.rate}
	loads := make([]load, len(chosen))
	defer func() {
		for _, l := range loads {
			l.close()
		}
	}()
	for i, r := range chosen {
		err := loads[i].open(envoy.Address(r.name), r)
		if err == nil {
			err = loads[i].closed(r.requests(o) / 4) // V8 optimises what has run often
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		report.Rows = append(report.Rows, Result{Name: r.name, Versus: r.versus, Beyond: r.beyond})
	}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for i, r := range chosen {
			if err := turn(envoys, loads[i], r, o, &report.Rows[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return report, nil
}

// answering is who answers the requests.
func answering(o options) string {
	switch {
	case o.service:
		return "an upstream"
	case o.told:
		return "direct response, and an upstream that streams"
	}
	return "direct response"
}

// requests of one turn of a row: each connection sends as many. An answer that is streamed takes longer.
func (r row) requests(o options) int {
	return max(o.requests/max(r.streams.share, 1)/connections, 1) * connections
}

// figure is what a request of a row has cost, or what a part of its answer has.
func (r row) figure(used time.Duration, requests int) float64 {
	return micros(used) / float64(requests*max(r.streams.units, 1))
}

// turn adds one round's measurements to a row's.
func turn(envoys []*envoybin.Envoy, l load, r row, o options, result *Result) error {
	requests := r.requests(o)
	before, err := cpu(envoys)
	if err != nil {
		return err
	}
	if err := l.closed(requests); err != nil {
		return err
	}
	after, err := cpu(envoys)
	if err != nil {
		return err
	}
	result.CPU = append(result.CPU, r.figure(after-before, requests))
	took, err := l.fixed(o.rate, o.fixed/time.Duration(o.rounds))
	result.took = append(result.took, took...)
	slices.Sort(took)
	result.P50s, result.P99s = append(result.P50s, percentile(took, 0.50)), append(result.P99s, percentile(took, 0.99))
	return err
}

// cpu is the processor time of all.
func cpu(envoys []*envoybin.Envoy) (sum time.Duration, err error) {
	for _, e := range envoys {
		used, err := e.CPU()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// choose keeps the rows whose name has the text, those that they are compared with, and the one without filters.
func choose(all []row, text string) []row {
	wanted := map[string]bool{nothing: true}
	for _, r := range all {
		if strings.Contains(r.name, text) {
			wanted[r.name], wanted[r.versus], wanted[r.beyond] = true, true, true
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
