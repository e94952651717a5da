// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/loop/report"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// What the report takes the proxies' logs to tell is what their configurations have them note: the
// filters in this order, a stopwatch around each, two at the edge's beginning, and all of them the
// same.
func TestStopwatches(t *testing.T) {
	var first []byte
	for proxy, want := range map[string][]string{"edge": append([]string{"stopwatch", "stopwatch"},
		behind(report.Edge)...), "mesh": append([]string{"stopwatch"}, behind(report.Mesh)...)} {
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", proxy, "envoy.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Resources struct {
				Listeners []struct {
					Chains []struct {
						Filters []struct {
							Config struct {
								Log []struct {
									Config struct {
										Format struct {
											JSON map[string]string `json:"json_format"`
										} `json:"log_format"`
									} `json:"typed_config"`
								} `json:"access_log"`
								Filters []struct {
									Name   string
									Config json.RawMessage `json:"typed_config"`
								} `json:"http_filters"`
							} `json:"typed_config"`
						}
					} `json:"filter_chains"`
				}
			} `json:"static_resources"`
		}
		if err := yaml.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		manager := config.Resources.Listeners[0].Chains[0].Filters[0].Config
		var got []string
		for _, f := range manager.Filters {
			got = append(got, strings.TrimPrefix(f.Name, "envoy.filters.http."))
			if f.Name != "stopwatch" {
				continue
			}
			if first == nil {
				first = f.Config
			}
			if !bytes.Equal(f.Config, first) {
				t.Errorf("%s: a stopwatch is another than the first", proxy)
			}
		}
		if !slices.Equal(got, append(want, "router")) {
			t.Errorf("%s: the filters are %q, want %q", proxy, got, append(want, "router"))
		}
		if format := manager.Log[0].Config.Format.JSON; format["times"] != "%DYNAMIC_METADATA(tollgate.stopwatch:times)%" || format["trace"] == "" {
			t.Errorf("%s: the log is %v", proxy, format)
		}
	}
}

// behind puts a stopwatch behind each.
func behind(filters []string) (list []string) {
	for _, f := range filters {
		list = append(list, f, "stopwatch")
	}
	return list
}

// The sample stays under the limit of a user, so that what it measures is not refusals.
func TestSampleIsAllowed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", "edge", "rate-limit.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Limits []struct {
			Name string
			Rate struct{ Requests int }
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for _, l := range config.Limits {
		if l.Name == "per-user" && l.Rate.Requests < 2*2*rounds || l.Name == "reports" &&
			(l.Rate.Requests != reportsLimit || 2*l.Rate.Requests >= rounds/4) {
			t.Errorf("%+v", l)
		}
	}
}

func TestDecided(t *testing.T) {
	s := func(rule, code string, n float64) sampled {
		return sampled{Metric: map[string]string{"__name__": "tollgate_rate_limit", "proxy": "edge", "rule": rule,
			"outcome": "denied", "code": code}, Value: value{number: n}}
	}
	got := decided([]sampled{s("a", "x", 1), s("b", "x", 2)}, []sampled{s("a", "x", 4), s("b", "x", 2), s("a", "y", 5)})
	want := []report.Decision{{Proxy: "edge", Filter: "rate-limit", Outcome: "denied", Code: "x", Count: 6, During: 3},
		{Proxy: "edge", Filter: "rate-limit", Outcome: "denied", Code: "y", Count: 5, During: 5}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestValue(t *testing.T) {
	for text, want := range map[string]value{`[1795292974.615,"3"]`: {time.UnixMilli(1795292974615), 3},
		`[1,"+Inf"]`: {time.UnixMilli(1000), math.Inf(1)}} {
		var v value
		if err := json.Unmarshal([]byte(text), &v); err != nil || v != want {
			t.Errorf("%s: %+v, %v", text, v, err)
		}
	}
	for _, text := range []string{`[1,2]`, `[1,"x"]`, `{}`, `[]`} {
		var v value
		if json.Unmarshal([]byte(text), &v) == nil {
			t.Errorf("%s: %+v", text, v)
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"9e5580933739aabb/1.40.0/Clean/RELEASE/BoringSSL": "1.40.0 (RELEASE, commit 9e5580933739)",
		"a/1.40.0/Clean/RELEASE/BoringSSL":                "1.40.0 (RELEASE, commit a)", "x": "x", "": ""} {
		if got := version(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// Where nothing runs, it says what to do.
func TestReportWithoutALoop(t *testing.T) {
	free, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := (&loop{ports: free}).report(t.Context(), &strings.Builder{}, file, ""); err == nil ||
		!strings.Contains(err.Error(), "run: make up") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a page of nothing")
	}
}
