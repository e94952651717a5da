// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/loop/observe"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

// observed holds every query of the dashboards and every rule against the Prometheus of the loop,
// which has what try has done: each must find something there. Then it takes the rate-limit service
// away, and sees the alert of that.
func (l *loop) observed(ctx context.Context, step func(string, ...any)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute,
		errors.New("looking at dashboards and alerts took more than two minutes"))
	defer cancel()
	// The filters' counters begin with their first event, and rates with the second: only now are shares numbers.
	if err := l.try(ctx, io.Discard); err != nil {
		return err
	}
	tokens, err := l.mounts.TokenKey()
	if err != nil {
		return err
	}
	away := claims("observed", "orders:read", time.Now(), time.Hour)
	away["iss"] = keycloakIssuer
	if a, err := l.get(ctx, "/orders/7", bearer(mint.New("away", jose.RS256).Token(away))); err != nil ||
		a.String() != "503 keys_unavailable" {
		return fmt.Errorf("a token of Keycloak, which is not running here, is answered %s, not 503 "+
			"keys_unavailable (%v)", a, err)
	}
	panels, err := l.dashboards(ctx)
	if err != nil {
		return err
	}
	rules, err := observe.ReadRules(l.root)
	if err != nil {
		return err
	}
	if err := l.rules(ctx, rules); err != nil {
		return err
	}
	step("all %d queries of the dashboards find something, and all %d rules", panels, len(rules))
	// What try did with stamps is what this alert is for, and it does not wait.
	if err := l.alert(ctx, "TollgateStampsMisused", "firing"); err != nil {
		return err
	}
	return l.limiterDown(ctx, step, tokens.Token(claims("observed", "orders:read", time.Now(), time.Hour)))
}

// keycloakIssuer is the second that edge/jwt-scope.yaml trusts.
const keycloakIssuer = "http://127.0.0.1:8180/realms/shop"

// dashboards asks what Grafana would ask, until everything has an answer.
func (l *loop) dashboards(ctx context.Context) (queries int, err error) {
	list, err := observe.Dashboards(l.root)
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		values := map[string]string{}
		for _, v := range d.Templating.List {
			series, label, ok := v.Label()
			if !ok {
				values[v.Name] = v.Text()
				continue
			}
			var found []string
			if err := l.prometheus(ctx, "label/"+label+"/values", url.Values{"match[]": {series}}, &found); err != nil {
				return 0, fmt.Errorf("%s: the variable %s: %w", d.File, v.Name, err)
			}
			if len(found) == 0 {
				return 0, fmt.Errorf("%s: the variable %s has no values", d.File, v.Name)
			}
			values[v.Name] = observe.All(found)
		}
		for _, p := range d.Panels {
			for _, t := range p.Targets {
				query, err := observe.Expand(t.Expr, values)
				if err != nil {
					return 0, fmt.Errorf("%s: %s: %w", d.File, p.Title, err)
				}
				if err := l.found(ctx, query, t.Range); err != nil {
					return 0, fmt.Errorf("%s: the panel %q: %w", d.File, p.Title, err)
				}
				queries++
			}
		}
	}
	return queries, nil
}

// rules sees that all are loaded and could be computed, and that what is recorded and watched is there.
func (l *loop) rules(ctx context.Context, rules []observe.Rule) error {
	for _, r := range rules {
		series := []string{r.Record}
		if r.Alert != "" {
			var err error
			if series, err = r.Watches(); err != nil {
				return err
			}
		}
		for _, s := range series {
			if err := l.found(ctx, s, false); err != nil {
				return fmt.Errorf("the rule %s: %w", r.Name(), err)
			}
		}
	}
	loaded, err := l.loadedRules(ctx)
	if err != nil {
		return err
	}
	var names, want []string
	for _, r := range loaded {
		names = append(names, r.Name)
		if r.Health != "ok" {
			err = errors.Join(err, fmt.Errorf("the rule %s is %s: %s", r.Name, r.Health, r.LastError))
		}
	}
	for _, r := range rules {
		want = append(want, r.Name())
	}
	slices.Sort(names) // groups come in the order of their names
	slices.Sort(want)
	if !slices.Equal(names, want) {
		err = errors.Join(err, fmt.Errorf("the rules in Prometheus are %q, want %q", names, want))
	}
	return err
}

// loadedRule is what Prometheus tells of a rule.
type loadedRule struct{ Name, Health, LastError, State string }

func (l *loop) loadedRules(ctx context.Context) (list []loadedRule, err error) {
	var answer struct {
		Groups []struct{ Rules []loadedRule }
	}
	if err := l.prometheus(ctx, "rules", nil, &answer); err != nil {
		return nil, err
	}
	for _, g := range answer.Groups {
		list = append(list, g.Rules...)
	}
	return list, nil
}

// limiterDown stops the rate-limit service, sees Prometheus raise the alert while requests go on,
// and brings the service back. What comes after two minutes of that is promtool's to test
// (build/loop/observe).
func (l *loop) limiterDown(ctx context.Context, step func(string, ...any), token string) error {
	const name = "TollgateLimiterDown"
	if err := l.alert(ctx, name, "inactive"); err != nil {
		return err
	}
	var quiet strings.Builder
	if err := l.compose.run(ctx, &quiet, "stop", "--timeout", "1", "ratelimit"); err != nil {
		return err
	}
	if err := l.await(ctx, name+" is raised", func() bool {
		a, err := l.get(ctx, "/orders/7", bearer(token))
		if err != nil || a.status != http.StatusOK { // onError: local
			return false
		}
		state, err := l.state(ctx, name)
		return err == nil && state != "inactive"
	}); err != nil {
		return err
	}
	step("without the rate-limit service requests pass, and the alert %s is raised", name)
	if err := l.compose.run(ctx, &quiet, "start", "ratelimit"); err != nil {
		return err
	}
	return l.healthy(ctx)
}

// alert waits until Prometheus has an alert in that state.
func (l *loop) alert(ctx context.Context, name, want string) error {
	last := ""
	if err := l.await(ctx, "the alert "+name+" is "+want, func() bool {
		state, err := l.state(ctx, name)
		last = fmt.Sprint(state, " ", err)
		return err == nil && state == want
	}); err != nil {
		return fmt.Errorf("%w; it is %s", err, last)
	}
	return nil
}

func (l *loop) state(ctx context.Context, name string) (string, error) {
	list, err := l.loadedRules(ctx)
	for _, r := range list {
		if r.Name == name {
			return r.State, err
		}
	}
	return "", errors.Join(err, fmt.Errorf("there is no alert %s", name))
}
