// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package observe reads the dashboards and alert rules of envoy/ for those who test them: natively
// here, and on a Prometheus with real data in build/loop.
package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Where they are, from the project's root.
const (
	DashboardsDir = "envoy/grafana/provisioning/dashboards/tollgate"
	RulesFile     = "envoy/prometheus/tollgate.rules.yml"
)

// Dashboard is what is asked of Prometheus for one.
type Dashboard struct {
	File       string `json:"-"`
	UID        string
	Title      string
	Templating struct{ List []Variable }
	Panels     []Panel
}

// Variable is one of a dashboard. Its query is an object for Prometheus, and text for a text box.
type Variable struct {
	Name, Type string
	Query      json.RawMessage
}

// Panel is one of a dashboard.
type Panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Datasource  struct{ Type, UID string }
	Targets     []Target
}

// Target is a query of a panel: of one instant, or over the time that is shown.
type Target struct {
	RefID   string
	Expr    string
	Instant bool
	Range   bool
}

// Dashboards reads all of them.
func Dashboards(root string) (list []Dashboard, err error) {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(DashboardsDir), "*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("there are no dashboards in %s", DashboardsDir))
	}
	for _, file := range files {
		d := Dashboard{File: filepath.Base(file)}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &d)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, d)
	}
	return list, nil
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// Label is what a variable's choices are: the values of a label, of those series. ok: it is a
// variable with such choices, and no text box.
func (v Variable) Label() (series, label string, ok bool) {
	var query struct{ Query string }
	if json.Unmarshal(v.Query, &query) != nil {
		return "", "", false
	}
	m := labelValues.FindStringSubmatch(query.Query)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// Text is what stands in a text box.
func (v Variable) Text() (text string) {
	_ = json.Unmarshal(v.Query, &text) // else it is none
	return text
}

// All is what Grafana puts in for a variable of which all values are chosen.
func All(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	if len(values) == 1 {
		return quoted[0]
	}
	return "(" + strings.Join(quoted, "|") + ")"
}

// Grafana's own variables, for 15 minutes in a panel of usual width, with the datasource's
// timeInterval of two seconds: $__rate_interval is four of those.
var builtin = strings.NewReplacer("$__rate_interval", "8s", "$__range", "900s")

var name = regexp.MustCompile(`\$([A-Za-z_]\w*)`)

// Expand puts values in the place of the variables of a query, as Grafana does. $1 and the like are the query's own.
func Expand(query string, values map[string]string) (string, error) {
	var missing error
	query = name.ReplaceAllStringFunc(builtin.Replace(query), func(v string) string {
		value, ok := values[v[1:]]
		if !ok {
			missing = errors.Join(missing, fmt.Errorf("there is no variable %s for %s", v, query))
		}
		return value
	})
	return query, missing
}

// Rules is the file of rules.
type Rules struct {
	Groups []struct {
		Name  string
		Rules []Rule
	}
}

// Rule records a series or raises an alert.
type Rule struct {
	Record, Alert string
	Expr          string
	For           string
	Labels        map[string]string
	Annotations   map[string]string
}

// Name is the rule's.
func (r Rule) Name() string { return r.Record + r.Alert }

// ReadRules reads them, and every key has to be one that is known.
func ReadRules(root string) (all []Rule, err error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(RulesFile)))
	if err != nil {
		return nil, err
	}
	var file Rules
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", RulesFile, err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

var condition = regexp.MustCompile(`^([a-z][a-z0-9_:]*(?:\{[^{}]*\})?) (?:>|<|==) \d+(?:\.\d+)?$`)

// Watches are the series that an alert compares with numbers: its expression without the
// thresholds. An alert is nothing but such comparisons, joined by and: what it watches can be
// looked at.
func (r Rule) Watches() (series []string, err error) {
	for _, c := range strings.Split(r.Expr, " and ") {
		m := condition.FindStringSubmatch(strings.TrimSpace(c))
		if m == nil {
			return nil, fmt.Errorf("%s compares no series with a number: %s; record what it computes as a "+
				"rule of its own", r.Alert, c)
		}
		series = append(series, m[1])
	}
	return series, nil
}
