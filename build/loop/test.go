// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/engine"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
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

// test brings everything up, tries it, changes it while it runs, and takes it down, with the targets that people use: with the user's Docker and the official images, or with images made here in an engine
// of its own.
func test(ctx context.Context, root string) (err error) {
	began := time.Now()
	step := func(format string, args ...any) {
		fmt.Printf("== %4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	free, err := freePorts()
	if err != nil {
		return err
	}
	cache, err := envoybin.Cache()
	if err != nil {
		return err
	}
	// A checkout, a project and ports of its own: it can change sources, and a loop that somebody has running stays.
	dir, err := os.MkdirTemp(filepath.Join(root, "build", "out"), "compose-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyCheckout(root, dir); err != nil {
		return err
	}
	l := &loop{root: dir, made: made.New(dir, filepath.Join(dir, "build", "out", "compose")), ports: free}
	variables := []string{"COMPOSE_PROJECT_NAME=" + filepath.Base(dir), "TOLLGATE_CACHE=" + cache}
	for name, port := range free {
		variables = append(variables, name+"="+port)
	}
	running := slices.Clone(profiles)

	c, err := usersCompose(ctx, dir)
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
		images, left, err := e.StandIns(ctx, os.Stdout)
		if err != nil {
			return err
		}
		for profile, why := range left {
			running = slices.DeleteFunc(running, func(p string) bool { return p == profile })
			fmt.Printf("*** NOT RUN: the profile %s: %s ***\n", profile, why)
		}
		l.compose = &compose{command: e.Compose(), docker: e.Command(ctx, "docker").Path, env: append(e.Env(), append(variables, images...)...), root: dir}
	default:
		return err
	}
	l.compose.env = append(l.compose.env, "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=") // of the make that runs this
	return l.scenario(ctx, step, running)
}

// copyCheckout copies what a clone has and the compiled modules, with their times: make finds them up to date.
func copyCheckout(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch slash := filepath.ToSlash(rel); {
		case slash == ".git" && !d.IsDir():
			return nil
		case slash == ".git" || slash == "build/.cache" || strings.HasPrefix(slash, "build/out/") && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || strings.HasPrefix(slash, "build/out/") && filepath.Ext(slash) != ".wasm":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(to, rel)
		return errors.Join(os.WriteFile(to, b, info.Mode().Perm()), os.Chtimes(to, info.ModTime(), info.ModTime()))
	})
}

// target is one of the Makefile's, to be run as people run it.
func (l *loop) target(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "make", append([]string{"--no-print-directory", "--silent", name}, args...)...)
	cmd.Dir, cmd.Env = l.root, l.compose.env
	grouped(cmd)
	return cmd
}

// run runs a target; its output goes to w.
func (l *loop) run(ctx context.Context, w io.Writer, name string, args ...string) error {
	cmd := l.target(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make %s: %w", name, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// withProfiles has what follows ask for profiles.
func (l *loop) withProfiles(list []string) {
	l.profiles = list
	l.compose.env = append(l.compose.env, "COMPOSE_PROFILES="+strings.Join(list, ","))
}

// scenario is a morning of a developer's with these profiles.
func (l *loop) scenario(ctx context.Context, step func(string, ...any), running []string) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, testTimeout, fmt.Errorf("it took more than %s", testTimeout))
	defer cancel()
	defer func() {
		step("make down")
		// Also after a Ctrl-C, and with its own deadline.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err != nil {
			logs, _ := l.compose.cmd(ctx, "logs", "--no-color", "--tail", "60").CombinedOutput() // what there is
			fmt.Printf("the services' logs:\n%s\n", logs)
		}
		var text strings.Builder
		if e := l.run(ctx, &text, "down"); e != nil {
			err = errors.Join(err, fmt.Errorf("%w\n%s", e, text.String()))
		}
		if list, e := l.compose.containers(ctx); e != nil || len(list) > 0 {
			err = errors.Join(err, e, fmt.Errorf("make down has left %d containers", len(list)))
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
	// Keycloak comes later, into the running loop: until then its tokens are some whose keys nobody has.
	l.withProfiles(slices.DeleteFunc(slices.Clone(running), func(p string) bool { return p == "idp" }))
	for _, s := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"make up", func(ctx context.Context) error { return l.run(ctx, os.Stdout, "up") }},
		{"make try", func(ctx context.Context) error { return l.run(ctx, os.Stdout, "try") }},
		{"make token", l.token},
		{"make logs", l.logged},
		{"Prometheus", l.measured},
		{"dashboards and alerts", func(ctx context.Context) error { return l.observed(ctx, step) }},
		{"the report", func(ctx context.Context) error { return l.reported(ctx, step) }},
		{"traces", l.traced},
		{"the registry", l.pushed},
	} {
		step("%s", s.what)
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	if err := l.changes(ctx, step); err != nil || !slices.Contains(running, "idp") {
		return err
	}
	step("make up and make try with Keycloak")
	l.withProfiles(running)
	for _, target := range []string{"up", "try"} {
		if err := l.run(ctx, os.Stdout, target); err != nil {
			return err
		}
	}
	return nil
}

// token takes one as envoy/README.md tells it.
func (l *loop) token(ctx context.Context) error {
	for scope, want := range map[string]string{"orders:read": "200 ok", "orders:nothing": "403 insufficient_scope"} {
		cmd := l.target(ctx, "token", "SCOPE="+scope)
		var problems strings.Builder
		cmd.Stderr = &problems
		token, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("make token: %w\n%s", err, problems.String())
		}
		a, err := client{}.send(ctx, "GET", "http://"+l.ports.address("EDGE_PORT")+"/orders/7", bearer(strings.TrimSpace(string(token))))
		if err != nil || a.String() != want {
			return fmt.Errorf("with the token of make token SCOPE=%s: %s, %w, want %s", scope, a, err, want)
		}
	}
	return nil
}

// logged waits until make logs tells what try has done, looks for what the logs must not tell, and ends it as a Ctrl-C does.
func (l *loop) logged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := process.Start(l.target(ctx, "logs"))
	if err != nil {
		return err
	}
	defer p.Stop()
	missing := ""
	if err := p.Await(func() bool {
		logs := p.Log()
		missing = ""
		for _, want := range []string{
			`"details":"tollgate.jwt_scope.read-orders.token_expired"`, `"details":"tollgate.rate_limit.reports.rate_limited"`, `"details":"tollgate.edge_stamp.everything.stamp_replayed"`,
			`"details":"tollgate.edge_stamp.everything.peer_untrusted"`, `"peer":"spiffe://edge.example.com/ns/edge/sa/gateway"`, `"identity":"{\"`,
			`"filter":"jwt_scope"`, `"outcome":"denied"`, `"rule":"reports"`, `"code":"stamp_replayed"`, `"outcome":"allowed"`,
		} {
			if !strings.Contains(logs, want) {
				missing = want
			}
		}
		return missing == ""
	}, time.Minute); err != nil {
		return fmt.Errorf("make logs: %w: %s is not there:\n%s", err, missing, p.Log())
	}
	if err := syscall.Kill(-p.Pid(), syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.New("make logs does not end with Ctrl-C")
	}
	logs := p.Log()
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
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watch, err := process.Start(l.target(ctx, "watch"))
	if err != nil {
		return err
	}
	defer watch.Stop()
	if err := watch.Await(func() bool { return strings.Contains(watch.Log(), "watching ") }, time.Minute); err != nil {
		return fmt.Errorf("make watch: %w\n%s", err, watch.Log())
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop(nil)
	tries := 0
	wait.Go(func() {
		for pace := time.NewTicker(time.Second); ctx.Err() == nil; <-pace.C {
			var table strings.Builder
			if err := l.try(ctx, &table); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("while changes came in: %w\n%s", err, table.String()))
			}
			tries++
		}
	})
	step("make watch: changed rules, while make try goes on")
	if err := l.changeRules(ctx, step); err != nil {
		return fmt.Errorf("%w\n%s", err, watch.Log())
	}
	step("make watch: a changed source, while make try goes on")
	if err := l.changeSource(ctx, step, watch); err != nil {
		return fmt.Errorf("%w\n%s", err, watch.Log())
	}
	stop(nil)
	wait.Wait()
	step("make try went through %d times meanwhile", tries)
	return nil
}

// changeLimit is how soon a changed rule must be live. A machine that has other things to do gets three goes.
const changeLimit = 2 * time.Second

func (l *loop) changeRules(ctx context.Context, step func(string, ...any)) error {
	file := filepath.Join(l.root, "envoy", "edge", "jwt-scope.yaml")
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

// liveLimit is how soon after the compiler a module must decide. Envoy compiles it to machine code meanwhile, six to eight seconds of the processor's time, on all cores.
const liveLimit = 5 * time.Second

// changeSource has the refusals name another scheme of authentication, and waits until they do. A machine that has other things to do gets three goes.
func (l *loop) changeSource(ctx context.Context, step func(string, ...any), watch *process.Process) (err error) {
	file := filepath.Join(l.root, "filters", "jwt-scope", "scope", "policy.go")
	original, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	defer func() { // in the end it is as it was, for make, too
		watch.Stop()
		err = errors.Join(err, os.WriteFile(file, original, info.Mode().Perm()), os.Chtimes(file, info.ModTime(), info.ModTime()))
	}()
	const scheme = "`Bearer realm=\"`"
	if !strings.Contains(string(original), scheme) {
		return fmt.Errorf("%s has no %s to change", file, scheme)
	}
	best := map[string]time.Duration{}
	slowest := time.Duration(math.MaxInt64)
	for n := 1; n <= 3 && slowest > liveLimit; n++ {
		changed := fmt.Sprintf("Changed-%d", n)
		before := map[string]string{}
		for _, f := range made.Filters {
			if before[f.String()], err = l.made.Version(f); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := os.WriteFile(file, []byte(strings.Replace(string(original), scheme, "`"+changed+" realm=\"`", 1)), 0o644); err != nil {
			return err
		}
		slowest = 0
		for _, f := range made.Filters {
			if f.Name != "jwt-scope" {
				continue
			}
			name := f.String()
			published, took, err := l.exchanged(ctx, f, before[name])
			if err != nil {
				return err
			}
			step("the new module of %s was there %.1f s after its source was written, and decided %.1f s later", name, published.Sub(began).Seconds(), took.Seconds())
			if best[name] == 0 || took < best[name] {
				best[name] = took
			}
			slowest = max(slowest, best[name])
		}
		if a, err := (client{}).send(ctx, "GET", "http://"+l.ports.address("EDGE_PORT")+"/orders/7"); err != nil || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), changed+" ") {
			return fmt.Errorf("the changed source does not decide: %s %q, %w", a, a.header.Get("WWW-Authenticate"), err)
		}
	}
	if slowest > liveLimit {
		return fmt.Errorf("a new module took %s to decide, more than %s", slowest, liveLimit)
	}
	return nil
}

// exchanged waits until a filter is published in another version than before, and then until its proxy has that.
func (l *loop) exchanged(ctx context.Context, f made.Filter, before string) (published time.Time, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute) // of which the compiler may take most
	defer cancel()
	if err := l.await(ctx, "the new module of "+f.String()+" is published", func() bool {
		v, err := l.made.Version(f)
		return err == nil && v != before
	}); err != nil {
		return published, 0, err
	}
	published = time.Now()
	err = l.live(ctx, f)
	return published, time.Since(published), err
}

// traced sends a request with a trace of its own, and waits until the collector tells of both proxies' spans in it, with what was decided.
func (l *loop) traced(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	key, err := l.made.TokenKey()
	if err != nil {
		return err
	}
	type span []string // what its line has
	for _, c := range []struct {
		token string
		spans []span
	}{
		{key.Token(claims("tracer", "orders:read", time.Now(), time.Hour)), []span{
			{" node_id=edge ", " tollgate.decision=via_upstream"}, {" node_id=mesh ", " tollgate.decision=via_upstream", " tollgate.peer=spiffe://edge.example.com/ns/edge/sa/gateway"}}},
		{key.Token(claims("tracer", "", time.Now(), time.Hour)), []span{{" node_id=edge ", " tollgate.decision=tollgate.jwt_scope.read-orders.insufficient_scope"}}},
	} {
		trace := hex.EncodeToString(random(16))
		if _, err := (client{}).send(ctx, "GET", "http://"+l.ports.address("EDGE_PORT")+"/orders/7", bearer(c.token), [2]string{"Traceparent", "00-" + trace + "-" + hex.EncodeToString(random(8)) + "-01"}); err != nil {
			return err
		}
		told, missing := "", span(nil)
		if err := l.await(ctx, "the collector has the trace", func() bool {
			text, err := l.compose.cmd(ctx, "logs", "--no-color", "otel").Output()
			if err != nil {
				return false
			}
			var lines []string
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, trace) {
					lines = append(lines, line)
				}
			}
			told, missing = strings.Join(lines, ""), nil
			for _, s := range c.spans {
				if !slices.ContainsFunc(lines, func(line string) bool {
					return !slices.ContainsFunc(s, func(part string) bool { return !strings.Contains(line, part) })
				}) {
					missing = s
				}
			}
			return missing == nil
		}); err != nil {
			return fmt.Errorf("%w: no line has %q:\n%s", err, missing, told)
		}
	}
	return nil
}

// pushed puts an image of a filter into the registry, and looks for it there.
func (l *loop) pushed(ctx context.Context) error {
	repository := l.ports.address("REGISTRY_PORT") + "/tollgate/jwt-scope"
	push := exec.CommandContext(ctx, "go", "run", "./build/tollgate", "image", "push", "jwt-scope", repository+":test", "--module", "build/out/jwt-scope.wasm", "--created", "2026-01-01T00:00:00Z")
	push.Dir, push.Env = l.root, l.compose.env
	if out, err := push.CombinedOutput(); err != nil {
		return fmt.Errorf("tollgate image push: %w\n%s", err, out)
	}
	a, err := client{}.send(ctx, "GET", "http://"+l.ports.address("REGISTRY_PORT")+"/v2/tollgate/jwt-scope/tags/list")
	if err != nil || a.status != 200 || !strings.Contains(a.body, `"test"`) {
		return fmt.Errorf("the registry's tags: %s %s, %w", a, a.body, err)
	}
	return nil
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
