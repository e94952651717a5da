// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package observe_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/loop/observe"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

func dashboards(t *testing.T) []observe.Dashboard {
	t.Helper()
	list, err := observe.Dashboards(checkout.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestGrafanaTypes holds the dashboards against Grafana's own types: no key that Grafana does not
// know, and no value that it would not take. The types are those of a newer Grafana; of what they
// have beyond those of Grafana 11.6, which docker-compose.yaml runs, the dashboards use nothing
// (github.com/grafana/grafana-foundation-sdk, branch v11.6.x+cog-v0.0.x, has no version that Go's
// checksum database knows).
func TestGrafanaTypes(t *testing.T) {
	grafana := cog.NewRuntime()
	grafana.RegisterPanelcfgVariant(timeseries.VariantConfig())
	grafana.RegisterPanelcfgVariant(stat.VariantConfig())
	grafana.RegisterPanelcfgVariant(table.VariantConfig())
	grafana.RegisterDataqueryVariant(prometheus.VariantConfig())
	strict := func(text []byte) error {
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(text); err != nil {
			return err
		}
		if err := d.Validate(); err != nil {
			return err
		}
		// The panels' queries: of a panel whose datasource is read after them, they are passed over above.
		var raw struct {
			Panels []struct{ Targets []json.RawMessage }
		}
		if err := json.Unmarshal(text, &raw); err != nil {
			return err
		}
		for _, p := range raw.Panels {
			for _, target := range p.Targets {
				if _, err := cog.StrictUnmarshalDataquery(target, "prometheus"); err != nil {
					return fmt.Errorf("%s: %w", target, err)
				}
			}
		}
		return nil
	}
	for _, d := range dashboards(t) {
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), observe.DashboardsDir, d.File))
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(text); err != nil {
			t.Errorf("%s: %v", d.File, err)
		}
		for _, mistake := range [][2]string{{`"gridPos"`, `"gridpos"`}, {`"legendFormat"`, `"legend"`},
			{`"reduceOptions"`, `"reduce"`}, {`"placement": "bottom"`, `"placement": 7`}, {`"schemaVersion": 41`,
				`"schemaVersion": "41"`}} {
			wrong := bytes.Replace(text, []byte(mistake[0]), []byte(mistake[1]), 1)
			if !bytes.Equal(wrong, text) && strict(wrong) == nil {
				t.Errorf("%s: with %s nobody complains: the test tests nothing", d.File, mistake[1])
			}
		}
	}
}

// TestDashboards: every panel says what it shows, in what unit, and what to do about it; none lies over another.
func TestDashboards(t *testing.T) {
	var files []string
	uids := map[string]bool{}
	for _, d := range dashboards(t) {
		files = append(files, d.File)
		if d.UID != "tollgate-"+strings.TrimSuffix(d.File, ".json") || d.Title == "" || uids[d.UID] {
			t.Errorf("%s: uid %q, title %q", d.File, d.UID, d.Title)
		}
		uids[d.UID] = true
		values := map[string]string{}
		for _, v := range d.Templating.List {
			if _, _, ok := v.Label(); !ok && v.Text() == "" {
				t.Errorf("%s: the variable %s has neither a query nor a text", d.File, v.Name)
			}
			values[v.Name] = "x"
		}
		ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
		used := ""
		for _, p := range d.Panels {
			where := d.File + ": " + p.Title
			if p.ID == 0 || ids[p.ID] || p.Title == "" || titles[p.Title] {
				t.Errorf("%s: id %d or the title is not its own", where, p.ID)
			}
			ids[p.ID], titles[p.Title] = true, true
			if len(p.Description) < 60 || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "prometheus" {
				t.Errorf("%s: description %q, unit %q, datasource %q", where, p.Description,
					p.FieldConfig.Defaults.Unit, p.Datasource.UID)
			}
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X+g.W > 24 {
				t.Errorf("%s: %+v is not in the grid of 24", where, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := cells[[2]int{x, y}]; other != "" {
						t.Fatalf("%s lies over %s", where, other)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s has no query", where)
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if q.Instant == q.Range || refs[q.RefID] || q.RefID == "" {
					t.Errorf("%s: %+v", where, q)
				}
				refs[q.RefID] = true
				if _, err := observe.Expand(q.Expr, values); err != nil {
					t.Errorf("%s: %v", where, err)
				}
				used += q.Expr
			}
		}
		for v := range values {
			if !strings.Contains(used, "$"+v) {
				t.Errorf("%s: nothing uses the variable %s", d.File, v)
			}
		}
	}
	want := []string{"overview.json", "shadow.json"}
	for _, name := range filters.Names() {
		want = append(want, name+".json")
	}
	if slices.Sort(want); !slices.Equal(files, want) {
		t.Errorf("the dashboards are %q, want %q", files, want)
	}
}

// TestProvisioned: Grafana is told of the folder that docker-compose.yaml mounts, and of the
// datasource that the panels name.
func TestProvisioned(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy/grafana/provisioning", name))
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var providers struct {
		APIVersion int `json:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			DisableDeletion    bool `json:"disableDeletion"`
			AllowUIUpdates     bool `json:"allowUiUpdates"`
			Options            struct{ Path string }
		}
	}
	read("dashboards/tollgate.yaml", &providers)
	const mounted = "/etc/grafana/provisioning"
	if p := providers.Providers; len(p) != 1 || p[0].Type != "file" ||
		strings.TrimPrefix(p[0].Options.Path, mounted) != strings.TrimPrefix(observe.DashboardsDir,
			"envoy/grafana/provisioning") {
		t.Errorf("Grafana reads dashboards from %+v", providers)
	}
	compose, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy/docker-compose.yaml"))
	if err != nil || !strings.Contains(string(compose), "- ./grafana/provisioning:"+mounted+":ro\n") {
		t.Errorf("docker-compose.yaml mounts no %s (%v)", mounted, err)
	}
	var sources struct {
		Datasources []struct {
			UID      string
			JSONData struct {
				TimeInterval string `json:"timeInterval"`
			} `json:"jsonData"`
			Name, Type, Access, URL string
			IsDefault               bool `json:"isDefault"`
		}
		APIVersion int `json:"apiVersion"`
	}
	read("datasources/prometheus.yaml", &sources)
	// for which Expand knows $__rate_interval
	if s := sources.Datasources; len(s) != 1 || s[0].UID != "prometheus" || s[0].JSONData.TimeInterval != "2s" {
		t.Errorf("the datasources are %+v", s)
	}
}

var (
	ours  = regexp.MustCompile(`\btollgate_[a-z0-9_]+`)
	label = regexp.MustCompile(`\b(outcome|code|filter)(!?=~?)"([^"$]*)"`)
)

// TestQueriesNameWhatThereIs: metrics, outcomes and codes of the filters in queries are those that
// the filters have. (That Envoy has those of Envoy, and the whole query finds something, build/loop
// sees.)
func TestQueriesNameWhatThereIs(t *testing.T) {
	known := metrics(t)
	queries := map[string]string{}
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				queries[fmt.Sprintf("%s: %s: %s", d.File, p.Title, q.RefID)] = q.Expr
			}
		}
		for _, v := range d.Templating.List {
			if series, _, ok := v.Label(); ok {
				queries[d.File+": "+v.Name] = series
			}
		}
	}
	rules, err := observe.ReadRules(checkout.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, r := range rules {
		queries[r.Name()] = r.Expr
		recorded[r.Record] = true
	}
	found := map[string]bool{}
	for where, q := range queries {
		// Alternatives of a regular expression on the name are names, too.
		spread := regexp.MustCompile(`"(tollgate_)\(([a-z_|]+)\)([a-z_]*)"`).ReplaceAllStringFunc(q, func(s string) string {
			m := regexp.MustCompile(`\(([a-z_|]+)\)([a-z_]*)"`).FindStringSubmatch(s)
			var names []string
			for _, name := range strings.Split(m[1], "|") {
				names = append(names, "tollgate_"+name+m[2])
			}
			return strings.Join(names, " ")
		})
		for _, name := range ours.FindAllString(strings.ReplaceAll(spread, `"tollgate_(.+)`, ""), -1) {
			found[name] = true
			if !known.names[name] {
				t.Errorf("%s: no filter has the metric %s: there are %q", where, name, slices.Sorted(maps.Keys(known.names)))
			}
		}
		for _, name := range regexp.MustCompile(`\btollgate:[a-z0-9_:]+`).FindAllString(q, -1) {
			if !recorded[name] {
				t.Errorf("%s: no rule records %s", where, name)
			}
		}
		for _, m := range label.FindAllStringSubmatch(q, -1) {
			for _, value := range strings.Split(m[3], "|") {
				fits := func(known string) bool {
					return regexp.MustCompile("^(?:" + value + ")$").MatchString(known)
				}
				if values := known.labels[m[1]]; !slices.ContainsFunc(slices.Collect(maps.Keys(values)), fits) {
					t.Errorf("%s: no filter has %s=%q: there are %q", where, m[1], value, slices.Sorted(maps.Keys(values)))
				}
			}
		}
	}
	for name := range known.names {
		if !found[name] {
			t.Errorf("nothing shows %s", name)
		}
	}
}
