// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tollgate-wasm/tollgate/build/engine"
	"github.com/tollgate-wasm/tollgate/build/loop/made"
	"github.com/tollgate-wasm/tollgate/build/process"
)

// testTimeout is for all of it, but for fetching and building programs the first time.
const testTimeout = 10 * time.Minute

const banner = `
************************************************************************
*** NOT RUN: make test-compose.
*** %v
************************************************************************
`

// test brings everything up, tries it, changes it while it runs, and takes it down: with the user's Docker and the official images, or with images made here in an engine of its own.
func test(ctx context.Context, root string) (err error) {
	began := time.Now()
	step := func(format string, args ...any) {
		fmt.Printf("== %4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	free, err := freePorts()
	if err != nil {
		return err
	}
	// A project, a folder and ports of its own: a loop that somebody has running stays.
	dir, err := os.MkdirTemp(filepath.Join(root, "build", "out"), "compose-test-")
	if err != nil {
		return err
	}
	l := &loop{root: root, made: made.New(root, dir), ports: free}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), os.RemoveAll(l.inputs)) }()
	variables := []string{"COMPOSE_PROJECT_NAME=" + filepath.Base(dir), "TOLLGATE_MADE=" + dir}
	for name, port := range free {
		variables = append(variables, name+"="+port)
	}

	c, err := usersCompose(ctx, root)
	switch {
	case err == nil:
		step("the user's Docker: official images")
		c.env = append(c.env, variables...)
		l.compose = c
	case errors.Is(err, errNoDocker):
		step("%v", err)
		e, err := engine.Start(os.Stdout)
		if errors.Is(err, engine.ErrNotHere) {
			fmt.Fprintf(os.Stderr, banner, err)
			if os.Getenv("CI") == "true" {
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		defer func() {
			step("stopping the engine")
			err = errors.Join(err, e.Stop())
		}()
		step("an engine of its own serves; images are made of the real programs")
		images, err := e.StandIns(ctx, os.Stdout)
		if err != nil {
			return err
		}
		l.compose = &compose{command: e.Compose(), docker: e.Command(ctx, "docker").Path, env: append(e.Env(), append(variables, images...)...), root: root}
	default:
		return err
	}
	return l.scenario(ctx, step)
}

func (l *loop) scenario(ctx context.Context, step func(string, ...any)) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, testTimeout, fmt.Errorf("it took more than %s", testTimeout))
	defer cancel()
	defer func() {
		step("down")
		// Also after a Ctrl-C, and with its own deadline.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err != nil {
			logs, _ := l.compose.cmd(ctx, "logs", "--no-color", "--tail", "60").CombinedOutput() // what there is
			fmt.Printf("the services' logs:\n%s\n", logs)
		}
		var quiet strings.Builder
		if e := l.compose.run(ctx, &quiet, "down", "--volumes", "--remove-orphans"); e != nil {
			err = errors.Join(err, e)
		}
	}()
	every := *l.compose
	every.env = append(slices.Clip(every.env), "COMPOSE_PROFILES="+strings.Join(profiles, ","))
	if err := l.made.Prepare(); err != nil {
		return err
	}
	var text strings.Builder
	if err := every.run(ctx, &text, "config", "--quiet"); err != nil {
		return err
	}
	step("docker compose up")
	if err := l.up(ctx); err != nil {
		return err
	}
	step("make try")
	if err := l.try(ctx, os.Stdout); err != nil {
		return err
	}
	step("the logs")
	if err := l.logged(ctx); err != nil {
		return err
	}
	step("Prometheus")
	if err := l.measured(ctx); err != nil {
		return err
	}
	step("the report")
	if err := l.reported(ctx, step); err != nil {
		return err
	}
	return l.changes(ctx, step)
}

// logged waits until the logs tell what try has done, and looks for what they must not tell.
func (l *loop) logged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	logs, missing := "", ""
	if err := l.await(ctx, "the logs tell everything", func() bool {
		text, err := l.compose.cmd(ctx, "logs", "--no-color", "edge", "mesh").Output()
		if err != nil {
			return false
		}
		logs, missing = string(text), ""
		for _, want := range []string{
			`"details":"tollgate.jwt_scope.read-orders.token_expired"`, `"details":"tollgate.rate_limit.reports.rate_limited"`, `"details":"tollgate.edge_stamp.everything.stamp_replayed"`,
			`"details":"tollgate.edge_stamp.everything.peer_untrusted"`, `"peer":"spiffe://edge.example.com/ns/edge/sa/gateway"`, `"identity":"{\"`,
		} {
			if !strings.Contains(logs, want) {
				missing = want
			}
		}
		return missing == ""
	}); err != nil {
		return fmt.Errorf("%w: %s is not there:\n%s", err, missing, logs)
	}
	if at := strings.Index(logs, "eyJ"); at >= 0 { // as every JWS begins
		return fmt.Errorf("the logs have a token or a stamp: %.200s", logs[max(0, at-150):])
	}
	// W3C Trace Context: of a request that has gone through both proxies, both tell the same trace.
	traces := map[string]int{}
	for _, m := range regexp.MustCompile(`"path":"/orders/7".*"status":200.*"trace":"([0-9a-f]{32})"`).FindAllStringSubmatch(logs, -1) {
		traces[m[1]]++
	}
	for _, n := range traces {
		if n == 2 {
			return nil
		}
	}
	return fmt.Errorf("no trace goes through both proxies: %v\n%s", traces, logs)
}

// measured waits until Prometheus has what the filters of both proxies and the rate-limit service have counted, in labels.
func (l *loop) measured(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, query := range []string{
		`up{job="envoy",proxy="edge"} == 1`, `up{job="envoy",proxy="mesh"} == 1`, `up{job="ratelimit"} == 1`,
		`tollgate_jwt_scope{proxy="edge",rule="read-orders",outcome="denied",code="token_expired"} >= 1`,
		`tollgate_rate_limit{proxy="edge",rule="reports",outcome="denied",code="rate_limited"} >= 1`,
		`tollgate_edge_stamp{proxy="mesh",rule="everything",outcome="denied",code="stamp_replayed"} >= 1`,
		`tollgate_jwt_scope{proxy="mesh",rule="read-orders",outcome="allowed",code="ok"} >= 1`,
	} {
		address := "http://" + l.ports.address("PROMETHEUS_PORT") + "/api/v1/query?query=" + url.QueryEscape(query)
		last := ""
		if err := l.await(ctx, "Prometheus has "+query, func() bool {
			a, err := client{}.send(ctx, "GET", address)
			last = a.body
			return err == nil && a.status == 200 && strings.Contains(a.body, `"metric":`)
		}); err != nil {
			return fmt.Errorf("%w; it answers %s", err, last)
		}
	}
	return nil
}

// changes brings other rules and another module to the running proxies, while try goes on.
func (l *loop) changes(ctx context.Context, step func(string, ...any)) error {
	if err := l.copyInputs(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop(nil)
	var log process.Log
	wait.Go(func() {
		if err := l.watch(ctx, &log); err != nil {
			stop(fmt.Errorf("watching: %w\n%s", err, log.String()))
		}
	})
	tries := 0
	wait.Go(func() {
		for ctx.Err() == nil {
			var table strings.Builder
			if err := l.try(ctx, &table); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("while changes came in: %w\n%s", err, table.String()))
			}
			tries++
		}
	})
	step("changed rules, while make try goes on")
	if err := l.changeRules(ctx, step); err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	step("another module, while make try goes on")
	if err := l.changeModule(ctx, step); err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	stop(nil)
	wait.Wait()
	step("make try went through %d times meanwhile", tries)
	return nil
}

// copyInputs has the folder made of copies, which the test can change.
func (l *loop) copyInputs() error {
	configs, err := os.MkdirTemp(l.made.Modules, "compose-test-inputs-")
	if err != nil {
		return err
	}
	l.inputs = configs
	for _, from := range l.made.Inputs() {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(configs, filepath.Base(filepath.Dir(from)), filepath.Base(from))
		if filepath.Ext(from) == ".wasm" {
			to = filepath.Join(configs, filepath.Base(from))
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644)); err != nil {
			return err
		}
	}
	l.made.Configs, l.made.Modules = configs, configs
	return nil
}

// changeLimit is how soon a changed rule must be live. A machine that has other things to do gets three goes.
const changeLimit = 2 * time.Second

func (l *loop) changeRules(ctx context.Context, step func(string, ...any)) error {
	file := filepath.Join(l.inputs, "edge", "jwt-scope.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	best := time.Duration(math.MaxInt64)
	for n := 1; n <= 3 && best > changeLimit; n++ {
		path := fmt.Sprintf("/archive-%d", n)
		address := "http://" + l.ports.address("EDGE_PORT") + path
		if a, err := (client{}).send(ctx, "GET", address); err != nil || a.String() != "403 no_rule" {
			return fmt.Errorf("GET %s before there is a rule: %s, %w", path, a, err)
		}
		changed := strings.Replace(string(text), "\nrules:\n", fmt.Sprintf("\nrules:\n- name: archive-%d\n  match: [{paths: [%s]}]\n  require: {scopes: {all: [\"archive:read\"]}}\n", n, path), 1)
		began := time.Now()
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		err := l.await(limited, "the changed rule decides", func() bool {
			a, err := client{}.send(limited, "GET", address)
			return err == nil && a.String() == "401 token_missing"
		})
		cancel()
		if err != nil {
			return err
		}
		took := time.Since(began)
		best = min(best, took)
		step("a changed rule decides %.2f s after its file was written", took.Seconds())
	}
	if best > changeLimit {
		return fmt.Errorf("a changed rule took %s, more than %s", best, changeLimit)
	}
	return nil
}

// changeModule gives jwt-scope other bytes, as a compiler would: a custom section more, which no runtime looks at.
func (l *loop) changeModule(ctx context.Context, step func(string, ...any)) error {
	file := filepath.Join(l.inputs, "jwt-scope.wasm")
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	const name = "tollgate.loop"
	section := append([]byte{0, byte(1 + len(name)), byte(len(name))}, name...) // https://webassembly.github.io/spec/core/binary/modules.html#custom-section
	before := map[string]string{}
	for _, f := range made.Filters {
		if before[f.String()], err = l.made.Version(f); err != nil {
			return err
		}
	}
	cpu, err := l.proxiesCPU(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := os.WriteFile(file, append(b, section...), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, f := range made.Filters {
		if f.Name != "jwt-scope" {
			continue
		}
		if err := l.await(ctx, "the new module is published", func() bool {
			v, err := l.made.Version(f)
			return err == nil && v != before[f.String()]
		}); err != nil {
			return err
		}
		if err := l.live(ctx, f); err != nil {
			return err
		}
		step("the new module of %s is live %.2f s after it was written", f, time.Since(began).Seconds())
	}
	after, err := l.proxiesCPU(ctx)
	if err == nil && cpu > 0 {
		step("both proxies used %.1f s of the processor for that, and for the requests meanwhile", (after - cpu).Seconds())
	}
	return err
}

// proxiesCPU is the processor time of both Envoys; 0 where containers are in another machine. Of a busy machine it tells more than the clock does.
func (l *loop) proxiesCPU(ctx context.Context) (sum time.Duration, err error) {
	list, err := l.compose.containers(ctx)
	for _, c := range list {
		if !strings.Contains(c.Name, "edge") && !strings.Contains(c.Name, "mesh") {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.State.Pid))
		if err != nil {
			return 0, nil
		}
		_, fields, _ := strings.Cut(string(b), ") ")
		for _, f := range strings.Fields(fields)[11:13] { // utime and stime (proc(5)), in the ticks of USER_HZ, which is 100
			ticks, err := strconv.Atoi(f)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum, err
}

// freePorts are ports that nobody listens on.
func freePorts() (ports, error) {
	p := ports{}
	for name := range defaultPorts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are chosen: none twice
		p[name] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return p, nil
}
