// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package observe_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/loop/observe"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// promtool runs it in a folder.
func promtool(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	program, err := backends.Promtool(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program.Path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func rules(t *testing.T) []observe.Rule {
	t.Helper()
	list, err := observe.ReadRules(checkout.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRules: each alert says how bad it is and what to do, and compares recorded series with
// numbers only, so that what it watches can be looked at.
func TestRules(t *testing.T) {
	dir := filepath.Join(checkout.Root(t), "envoy/prometheus")
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", filepath.Base(observe.RulesFile)},
		{"check", "config", "prometheus.yml"}} {
		if out, err := promtool(t, dir, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	var config struct {
		Files []string `json:"rule_files"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "prometheus.yml"))
	if err == nil {
		err = yaml.Unmarshal(text, &config)
	}
	if err != nil || len(config.Files) != 1 || config.Files[0] != filepath.Base(observe.RulesFile) {
		t.Errorf("Prometheus loads the rules %q (%v)", config.Files, err)
	}
	names := map[string]bool{}
	recorded := map[string]bool{"up": true}
	for _, r := range rules(t) {
		if names[r.Name()] || (r.Record == "") == (r.Alert == "") {
			t.Errorf("%+v is one of two, or records and alerts", r)
		}
		names[r.Name()] = true
		if r.Record != "" {
			recorded[r.Record] = true
			continue
		}
		if severity := r.Labels["severity"]; !strings.HasPrefix(r.Alert, "Tollgate") || severity != "critical" &&
			severity != "warning" || len(r.Labels) != 1 {
			t.Errorf("%s has the labels %v", r.Alert, r.Labels)
		}
		if len(r.Annotations) != 2 || r.Annotations["summary"] == "" || len(r.Annotations["summary"]) > 120 ||
			len(r.Annotations["description"]) < 100 {
			t.Errorf("%s says %v", r.Alert, r.Annotations)
		}
		watched, err := r.Watches()
		if err != nil {
			t.Error(err)
		}
		for _, series := range watched {
			if name, _, _ := strings.Cut(series, "{"); !recorded[name] {
				t.Errorf("%s watches %s, which no rule before it records", r.Alert, series)
			}
		}
	}
	if readme, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy/README.md")); err != nil {
		t.Error(err)
	} else {
		for name := range names {
			if strings.HasPrefix(name, "Tollgate") && !strings.Contains(string(readme), "`"+name+"`") {
				t.Errorf("envoy/README.md does not tell of %s", name)
			}
		}
	}
}

// TestPrometheusRule: what README.md makes of the file is a resource of the Prometheus operator, with all of it.
func TestPrometheusRule(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("```sh\n(.*tollgate.rules.yml.*) \\| kubectl apply -f -\n```").FindSubmatch(readme)
	if m == nil {
		t.Fatal("envoy/README.md has no command that makes a PrometheusRule")
	}
	cmd := exec.Command("bash", "-c", string(m[1]))
	cmd.Dir = checkout.Root(t)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var resource struct {
		APIVersion string `json:"apiVersion"`
		Kind       string
		Metadata   map[string]string
		Spec       observe.Rules
	}
	if err := yaml.UnmarshalStrict(text, &resource); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range resource.Spec.Groups {
		n += len(g.Rules)
	}
	if resource.Kind != "PrometheusRule" || n != len(rules(t)) {
		t.Errorf("a %s with %d rules", resource.Kind, n)
	}
}

// TestAlerts: each alert fires in its case and is silent in the opposite one. Without it, its case
// fails; were it always on, the opposite one would.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), observe.RulesFile))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile("testdata/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "tollgate.rules.yml", string(text))
	write(t, dir, "alerts.yml", string(cases))
	if out, err := promtool(t, dir, "test", "rules", "alerts.yml"); err != nil {
		t.Fatalf("promtool test rules: %v\n%s", err, out)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		for _, changed := range []struct{ how, alert, expr, fails string }{
			{"is not there", r.Alert + "Not", r.Expr, r.Alert + " fires"},
			{"is always on", r.Alert, "vector(1)", r.Alert + " is silent"},
		} {
			one := regexp.MustCompile(`- alert: ` + r.Alert + `\n    expr: .*\n(?:    for: .*\n)?`)
			if !one.Match(text) {
				t.Fatalf("%s is not written as this test reads it", r.Alert)
			}
			write(t, dir, "tollgate.rules.yml",
				one.ReplaceAllString(string(text), fmt.Sprintf("- alert: %s\n    expr: %s\n", changed.alert, changed.expr)))
			write(t, dir, "alerts.yml", only(t, cases, changed.fails))
			if out, err := promtool(t, dir, "test", "rules", "alerts.yml"); err == nil || !strings.Contains(out, "FAILED") {
				t.Errorf("%s %s, and the case %q holds: %v\n%s", r.Alert, changed.how, changed.fails, err, out)
			}
		}
	}
}

// only is the file with those cases alone whose names begin so; there is at least one.
func only(t *testing.T, cases []byte, prefix string) string {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal(cases, &file); err != nil {
		t.Fatal(err)
	}
	var kept []any
	for _, c := range file["tests"].([]any) {
		if name := c.(map[string]any)["name"].(string); strings.HasPrefix(name, prefix) {
			kept = append(kept, c)
		}
	}
	if kept == nil {
		t.Fatalf("there is no case %q", prefix)
	}
	file["tests"] = kept
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestQueries: Prometheus reads every query of the dashboards.
func TestQueries(t *testing.T) {
	var text strings.Builder
	text.WriteString("groups:\n- name: queries\n  rules:\n")
	n := 0
	for _, d := range dashboards(t) {
		values := map[string]string{}
		for _, v := range d.Templating.List {
			values[v.Name] = "x"
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				query, err := observe.Expand(q.Expr, values)
				if err != nil {
					t.Fatal(err)
				}
				n++
				fmt.Fprintf(&text, "  - {record: 'q:%d', expr: %q}\n", n, query)
			}
		}
	}
	dir := t.TempDir()
	write(t, dir, "queries.yml", text.String())
	if out, err := promtool(t, dir, "check", "rules", "queries.yml"); err != nil ||
		!strings.Contains(out, fmt.Sprintf("%d rules found", n)) {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
