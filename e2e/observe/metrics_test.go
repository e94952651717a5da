// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package observe_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
	"github.com/tollgate-wasm/tollgate/shared/wasmhost"
)

// metricsOf is what the filters have of metrics, as Prometheus sees it.
type metricsOf struct {
	names  map[string]bool            // tollgate_jwt_scope
	labels map[string]map[string]bool // of outcome, code and filter: what they can be
}

// metrics asks the compiled filters, with the loop's configurations, what metrics they define, and
// makes names and labels of those as Envoy does.
func metrics(t *testing.T) metricsOf {
	t.Helper()
	m := metricsOf{names: map[string]bool{},
		labels: map[string]map[string]bool{"outcome": {}, "code": codes(), "filter": {}}}
	// the last two are the rate-limit service's
	for _, o := range []verdict.Outcome{verdict.Allowed, verdict.Denied, verdict.WouldDeny, verdict.Marked, verdict.Error,
		"answered", "failed"} {
		m.labels["outcome"][string(o)] = true
	}
	tags := statsTags(t)
	for _, f := range filters.All {
		filter := f.Name
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", proxyWith(filter), filter+".yaml"))
		if err == nil {
			text, err = yaml.YAMLToJSON(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		module, err := wasmhost.LoadFile(harness.Module(t, filter))
		if err != nil {
			t.Fatal(err)
		}
		proxy := wasmhost.NewProxy(module,
			wasmhost.Options{Properties: map[string]string{"plugin_name": filter},
				Clusters: []string{"tokens", "keycloak", "ratelimit", "edge-keys"}})
		worker, err := proxy.Worker(string(text))
		if err != nil {
			t.Fatalf("%s: %v", filter, err)
		}
		worker.Request([][2]string{{":method", "GET"}, {":path", "/nothing"}, {":authority", "example.com"},
			{":scheme", "http"}}, true).Close()
		m.labels["filter"][f.Metric()] = true
		for _, name := range proxy.Metrics() {
			prometheus, labels := tags.apply("wasmcustom." + name)
			m.names[prometheus] = true
			for label, value := range labels {
				if known := m.labels[label]; known != nil && !known[value] {
					t.Errorf("%s has %s=%q, which nobody knows", name, label, value)
				}
			}
		}
	}
	return m
}

// proxyWith is the proxy of the loop with the filter's configuration. At the edge, edge-stamp
// signs: its key is not here.
func proxyWith(filter string) string {
	if filter == "edge-stamp" {
		return "mesh"
	}
	return "edge"
}

// codes are those that the filters have.
func codes() map[string]bool {
	found := map[string]bool{}
	for _, c := range filters.Codes() {
		found[c.Name] = true
	}
	return found
}

// The logs of the local loop call the same codes errors as the filters' counters do.
func TestLoggedOutcomes(t *testing.T) {
	var undecided []string
	for _, c := range filters.Codes() {
		if c.IsUndecided() {
			undecided = append(undecided, c.Name)
		}
	}
	slices.Sort(undecided)
	if len(undecided) < 4 {
		t.Fatalf("the undecided codes are %q", undecided)
	}
	want := "in ['" + strings.Join(undecided, "', '") + "'] ? 'error'"
	for _, proxy := range []string{"edge", "mesh"} {
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", proxy, "envoy.yaml"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("envoy/%s/envoy.yaml: the outcome of the access log is not %s, %v", proxy, want, err)
		}
	}
}

type tags []struct {
	Name string `json:"tag_name"`
	*regexp.Regexp
	Regex string
}

// statsTags are those of Istio's bootstrap override; all others are copies of them (e2e/manifests).
func statsTags(t *testing.T) (list tags) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), "WasmPlugin/istio/stats/tollgate-stats.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Data map[string]string }
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	var bootstrap struct {
		Stats struct {
			Tags tags `json:"stats_tags"`
		} `json:"stats_config"`
	}
	if err := json.Unmarshal([]byte(config.Data["custom_bootstrap.json"]), &bootstrap); err != nil ||
		len(bootstrap.Stats.Tags) == 0 {
		t.Fatalf("%d tags, %v", len(bootstrap.Stats.Tags), err)
	}
	for i := range bootstrap.Stats.Tags {
		tag := &bootstrap.Stats.Tags[i]
		tag.Regexp = regexp.MustCompile(tag.Regex)
	}
	return bootstrap.Stats.Tags
}

// apply does as Envoy does: of each tag's match, the first group goes out of the name, and the
// second is the label. Prometheus gets the rest with underscores.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/metrics/v3/stats.proto#config-metrics-v3-tagspecifier
func (list tags) apply(name string) (prometheus string, labels map[string]string) {
	labels = map[string]string{}
	out := make([]bool, len(name)) // whether a byte goes out
	for _, tag := range list {
		if m := tag.FindStringSubmatchIndex(name); m != nil {
			for i := m[2]; i < m[3]; i++ {
				out[i] = true
			}
			labels[tag.Name] = name[m[4]:m[5]]
		}
	}
	rest := ""
	for i := range len(name) {
		if !out[i] {
			rest += name[i : i+1]
		}
	}
	rest, custom := strings.CutPrefix(rest, "wasmcustom.")
	if !custom {
		rest = "envoy." + rest
	}
	return regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(rest, "_"), labels
}

// TestLabels: nothing of what changes is left in a name.
func TestLabels(t *testing.T) {
	list := statsTags(t)
	for name, want := range map[string]string{
		"wasmcustom." + verdict.Metric("jwt_scope", "read-orders", verdict.WouldDeny,
			new(verdict.Codes).New("token_expired",
				401)): `tollgate_jwt_scope map[code:token_expired outcome:would_deny rule:read-orders]`,
		"wasmcustom." + verdict.Metric("rate_limit", verdict.NoRuleName, verdict.Allowed,
			verdict.OK): `tollgate_rate_limit map[code:ok outcome:allowed rule:-]`,
		"wasmcustom.tollgate.rate_limit.service.outcome.failed":                                     `tollgate_rate_limit_service map[outcome:failed]`,
		"wasmcustom.tollgate.rate_limit.rule.cost.cost.given_back":                                  `tollgate_rate_limit_cost_given_back map[rule:cost]`,
		"wasmcustom.tollgate.rate_limit.rule.per-user.in_flight":                                    `tollgate_rate_limit_in_flight map[rule:per-user]`,
		"wasmcustom.tollgate.edge_stamp.vm.memory_bytes":                                            `tollgate_edge_stamp_vm_memory_bytes map[]`,
		"wasmcustom.tollgate.jwt_scope.keys.corp-1.age_seconds":                                     `tollgate_jwt_scope_keys_age_seconds map[provider:corp-1]`,
		"wasmcustom.tollgate.edge_stamp.keys.edge.count":                                            `tollgate_edge_stamp_keys_count map[provider:edge]`,
		"wasm.istio-ingress.jwt-scope.vm_reload_success":                                            `envoy_wasm_vm_reload_success map[plugin:istio-ingress.jwt-scope]`,
		"wasm.jwt-scope.vm_memory_size":                                                             `envoy_wasm_vm_memory_size map[plugin:jwt-scope]`,
		"extension_config_discovery.http_filter.extensions.istio.io/wasmplugin/a.b.update_rejected": `envoy_extension_config_discovery_http_filter_update_rejected map[plugin:extensions.istio.io/wasmplugin/a.b]`,
		"wasm.envoy.wasm.runtime.v8.active":                                                         `envoy_wasm_envoy_wasm_runtime_v8_active map[]`,
		"wasm.wasm_vm_count":                                                                        `envoy_wasm_wasm_vm_count map[]`,
		"wasm.remote_load_cache_hits":                                                               `envoy_wasm_remote_load_cache_hits map[]`,
	} {
		prometheus, labels := list.apply(name)
		if got := fmt.Sprint(prometheus, " ", labels); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
