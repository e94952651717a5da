// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

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
	if err := l.mounts.Prepare(); err != nil {
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
		a, err := l.get(ctx, "/orders/7", bearer(strings.TrimSpace(string(token))))
		if err != nil || a.String() != want {
			return fmt.Errorf("with the token of make token SCOPE=%s: %s, %w, want %s", scope, a, err, want)
		}
	}
	return nil
}

// logged waits until make logs tells what try has done, looks for what the logs must not tell, and
// ends it as a Ctrl-C does.
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
			`"details":"tollgate.jwt_scope.read-orders.token_expired"`,
			`"details":"tollgate.rate_limit.reports.rate_limited"`, `"details":"tollgate.edge_stamp.everything.stamp_replayed"`,
			`"details":"tollgate.edge_stamp.everything.peer_untrusted"`,
			`"peer":"spiffe://edge.example.com/ns/edge/sa/gateway"`, `"identity":"{\"`,
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
	for _, m := range regexp.MustCompile(
		`"path":"/orders/7".*"status":200.*"trace":"([0-9a-f]{32})"`).FindAllStringSubmatch(logs, -1) {
		traces[m[1]]++
	}
	for _, n := range traces {
		if n == 2 {
			return nil
		}
	}
	return fmt.Errorf("no trace goes through both proxies: %v\n%s", traces, logs)
}

// measured waits until Prometheus has what the filters of both proxies and the rate-limit service
// have counted, in labels.
func (l *loop) measured(ctx context.Context) error {
	for _, query := range []string{
		`up{job="envoy",proxy="edge"} == 1`, `up{job="envoy",proxy="mesh"} == 1`, `up{job="ratelimit"} == 1`,
		`tollgate_jwt_scope{proxy="edge",rule="read-orders",outcome="denied",code="token_expired"} >= 1`,
		`tollgate_rate_limit{proxy="edge",rule="reports",outcome="denied",code="rate_limited"} >= 1`,
		`tollgate_rate_limit{proxy="edge",rule="refunds-often",outcome="marked",code="rate_limited"} >= 1`,
		`tollgate_rate_limit_cost_settled{proxy="edge",rule="service-time"} > 0`,
		`tollgate_rate_limit_in_flight{proxy="edge",rule="at-once"} == 0`,
		`tollgate_edge_stamp{proxy="mesh",rule="everything",outcome="denied",code="stamp_replayed"} >= 1`,
		`tollgate_jwt_scope{proxy="mesh",rule="read-orders",outcome="allowed",code="ok"} >= 1`,
	} {
		if err := l.found(ctx, query, false); err != nil {
			return err
		}
	}
	return nil
}

// traced sends a request with a trace of its own, and waits until the collector tells of both
// proxies' spans in it, with what was decided.
func (l *loop) traced(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	key, err := l.mounts.TokenKey()
	if err != nil {
		return err
	}
	type span []string // what its line has
	for _, c := range []struct {
		token string
		spans []span
	}{
		{key.Token(claims("tracer", "orders:read", time.Now(), time.Hour)), []span{
			{" node_id=edge ", " tollgate.decision=via_upstream"}, {" node_id=mesh ", " tollgate.decision=via_upstream",
				" tollgate.peer=spiffe://edge.example.com/ns/edge/sa/gateway"}}},
		{key.Token(claims("tracer", "", time.Now(), time.Hour)),
			[]span{{" node_id=edge ", " tollgate.decision=tollgate.jwt_scope.read-orders.insufficient_scope"}}},
	} {
		trace := hex.EncodeToString(random(16))
		if _, err := l.get(ctx, "/orders/7", bearer(c.token),
			[2]string{"Traceparent", "00-" + trace + "-" + hex.EncodeToString(random(8)) + "-01"}); err != nil {
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

// pushed puts the module's image into the registry, and looks for it there.
func (l *loop) pushed(ctx context.Context) error {
	repository := l.ports.address("REGISTRY_PORT") + "/tollgate/tollgate"
	push := exec.CommandContext(ctx, "go", "run", "./build/tollgate", "image", "push", "tollgate", repository+":test",
		"--module", "build/out/tollgate.wasm", "--created", "2026-01-01T00:00:00Z")
	push.Dir, push.Env = l.root, l.compose.env
	if out, err := push.CombinedOutput(); err != nil {
		return fmt.Errorf("tollgate image push: %w\n%s", err, out)
	}
	a, err := client{}.send(ctx, "GET", "http://"+l.ports.address("REGISTRY_PORT")+"/v2/tollgate/tollgate/tags/list")
	if err != nil || a.status != 200 || !strings.Contains(a.body, `"test"`) {
		return fmt.Errorf("the registry's tags: %s %s, %w", a, a.body, err)
	}
	return nil
}
