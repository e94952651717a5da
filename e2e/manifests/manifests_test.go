// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package manifests holds the resources in WasmPlugin/ against the filters' own readers, against
// each other and against Envoy. What Istio and the API server say of them is in
// e2e/istio/resources.
package manifests

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

type object = map[string]any

func folder(t *testing.T) string {
	t.Helper()
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "WasmPlugin")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load reads a file that has one resource.
func load(t *testing.T, path string) (o object) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(read(t, path)), &o); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o
}

// member is what a path of names leads to.
func member(o object, path ...string) any {
	var v any = o
	for _, name := range path {
		m, _ := v.(object)
		v = m[name]
	}
	return v
}

// modules are the places of each module: of the filters', and of the one with all of them.
func modules() map[string][]string {
	all := map[string][]string{filters.Module: filters.ModulePlaces}
	for _, f := range filters.All {
		all[f.Name] = f.Places
	}
	return all
}

// Every module has its places, and every place its files.
func TestPlaces(t *testing.T) {
	for filter, want := range modules() {
		entries, err := os.ReadDir(filepath.Join(folder(t), filter))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
			place := filepath.Join(filter, e.Name())
			plugin := load(t, filepath.Join(place, "wasmplugin.yaml"))
			if name := member(plugin, "metadata", "labels", "app.kubernetes.io/name"); name != filter {
				t.Errorf("%s is labelled %v: kustomize finds its image by that", place, name)
			}
			if got := member(plugin, "spec", "failStrategy"); got != "FAIL_RELOAD" {
				t.Errorf("%s: failStrategy is %v", place, got)
			}
			if !reflect.DeepEqual(member(load(t, filepath.Join(place, "kustomization.yaml")), "resources"),
				[]any{"wasmplugin.yaml"}) {
				t.Errorf("%s: kustomization.yaml has not wasmplugin.yaml", place)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the places %v, want %v", filter, got, want)
		}
	}
}

// A TrafficExtension is the WasmPlugin beside it, in its other form (istio/istio,
// pilot/pkg/config/kube/extensions/translate.go).
func TestPairs(t *testing.T) {
	for filter, list := range modules() {
		for _, place := range list {
			want := load(t, filepath.Join(filter, place, "wasmplugin.yaml"))
			spec, outer := want["spec"].(object), object{}
			for _, name := range []string{"selector", "targetRefs", "match", "phase", "priority"} {
				if v, ok := spec[name]; ok {
					outer[name] = v
					delete(spec, name)
				}
			}
			outer["wasm"] = spec
			want["kind"], want["spec"] = "TrafficExtension", outer
			if got := load(t, filepath.Join(filter, place, "trafficextension.yaml")); !reflect.DeepEqual(got, want) {
				t.Errorf("%s/%s: the pair differs:\n%v\n%v", filter, place, got, want)
			}
		}
	}
}

// What the files have as their images is what kustomize and Helm put there.
func TestImages(t *testing.T) {
	images, values := load(t, "images/images.yaml"), load(t, "values.yaml")
	chart := load(t, "Chart.yaml")
	if member(values, "image", "tag") != chart["appVersion"] {
		t.Errorf("values.yaml has the tag %v, Chart.yaml %v", member(values, "image", "tag"), chart["appVersion"])
	}
	for filter, list := range modules() {
		url := fmt.Sprintf("oci://%s/%s:%s", member(values, "image", "registry"), filter, member(values, "image", "tag"))
		sum := member(values, "image", "sha256", filter)
		if member(images, "data", filter+".url") != url || member(images, "data", filter+".sha256") != sum {
			t.Errorf("%s: images.yaml and values.yaml differ", filter)
		}
		for _, place := range list {
			plugin := load(t, filepath.Join(filter, place, "wasmplugin.yaml"))
			if member(plugin, "spec", "url") != url || member(plugin, "spec", "sha256") != sum {
				t.Errorf("%s/%s has another image than values.yaml", filter, place)
			}
			if _, ok := member(values, "places", filter+"/"+place).(object); !ok {
				t.Errorf("values.yaml has not the place %s/%s", filter, place)
			}
		}
		if one := read(t, "one-module/kustomization.yaml"); filter == filters.Module && !strings.Contains(one, `"`+url+`"`) {
			t.Errorf("one-module has another image than values.yaml")
		}
	}
}

// A chain has the single plugins of its place as steps: all of them, by their names, with their configurations, in the
// order in which Istio runs them, and with their environment. It stands where the first of them does, but never before
// what a step relies on.
func TestSteps(t *testing.T) {
	for _, place := range filters.ModulePlaces {
		path := filepath.Join(filters.Module, place)
		plugin := load(t, filepath.Join(path, "wasmplugin.yaml"))
		var singles []string
		for _, f := range filters.All {
			if slices.Contains(f.Places, place) {
				singles = append(singles, filepath.Join(f.Name, place))
			}
		}
		var names []string
		trusts, first := false, len(phases)
		steps, _ := member(plugin, "spec", "pluginConfig", "chain").([]any)
		for _, s := range steps {
			step := s.(object)
			single := load(t, filepath.Join(fmt.Sprint(step["filter"]), place, "wasmplugin.yaml"))
			names = append(names, fmt.Sprint(member(plugin, "metadata", "labels", "team"), " ", step["name"]))
			if step["name"] != member(single, "metadata", "name") {
				t.Errorf("%s: the step %v is the plugin %v", path, step["name"], member(single, "metadata", "name"))
			}
			if !reflect.DeepEqual(step["config"], member(single, "spec", "pluginConfig")) {
				t.Errorf("%s: the step %v has another configuration than the plugin:\n%v\n%v", path, step["name"], step["config"],
					member(single, "spec", "pluginConfig"))
			}
			for _, at := range [][]string{{"metadata", "namespace"}, {"metadata", "labels", "team"}, {"spec", "failStrategy"}} {
				if !reflect.DeepEqual(member(single, at...), member(plugin, at...)) {
					t.Errorf("%s: %s differs from that of %v", path, strings.Join(at, "."), step["name"])
				}
			}
			if env := member(single, "spec", "vmConfig"); env != nil &&
				!reflect.DeepEqual(env, member(plugin, "spec", "vmConfig")) {
				t.Errorf("%s has not the environment of %v", path, step["name"])
			}
			first = min(first, slices.Index(phases, fmt.Sprint(member(single, "spec", "phase"))))
			trusts = trusts || strings.Contains(fmt.Sprint(step["config"]), "trustedPayload")
		}
		if want := chain(t, singles...); !slices.Equal(names, want) {
			t.Errorf("%s has the steps %q, and requests meet the plugins in the order %q", path, names, want)
		}
		if trusts {
			first = slices.Index(phases, "AUTHZ") // behind RequestAuthentication, and not behind AuthorizationPolicies
		}
		if got := member(plugin, "spec", "phase"); got != phases[first] {
			t.Errorf("%s is in the phase %v, want %s", path, got, phases[first])
		}
	}
}

// Each chain, wherever it stands, is read by the readers of its filters.
func TestChainsAreRead(t *testing.T) {
	edge := mint.New("edge-2026-11", jose.ES256).PrivateJWK()
	key := func(name string) (string, bool) { return edge, name == "EDGE_STAMP_KEY" }
	found := map[string]int{}
	for kind, files := range sets(t) {
		for _, file := range files {
			for _, config := range chains(t, file) {
				found[kind]++
				if err := filters.Read(filters.Module, config, key); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
	want := map[string]int{"envoy": 2, "envoy-gateway": 1, "wasmplugin" + chained: len(filters.ModulePlaces),
		"trafficextension" + chained: len(filters.ModulePlaces)}
	if !maps.Equal(found, want) {
		t.Errorf("chains are found in %v, want %v", found, want)
	}
}

// chains are the configurations with a chain in a file, as JSON.
func chains(t *testing.T, file string) (configs []string) {
	t.Helper()
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case object:
			if _, ok := v["chain"]; ok {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				configs = append(configs, string(text))
				return
			}
			for _, child := range v {
				look(child)
			}
		case []any:
			for _, child := range v {
				look(child)
			}
		case string: // of a bootstrap
			if inner := (object{}); json.Unmarshal([]byte(v), &inner) == nil {
				look(inner)
			}
		}
	}
	for _, document := range strings.Split("\n"+read(t, file), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		look(o)
	}
	return configs
}

// chained is what the names of the sets end in that have chains.
const chained = ", chains"

// sets are files that belong together.
func sets(t *testing.T) map[string][]string {
	t.Helper()
	var istio, envoy, envoyGateway []string
	err := filepath.WalkDir(folder(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		path, err = filepath.Rel(folder(t), path)
		switch top, _, _ := strings.Cut(path, "/"); {
		case top == "istio":
			istio = append(istio, path)
		case top == "envoy":
			envoy = append(envoy, path)
		case top == "envoy-gateway":
			envoyGateway = append(envoyGateway, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{"envoy": envoy, "envoy-gateway": envoyGateway}
	for _, kind := range []string{"wasmplugin", "trafficextension"} {
		add := func(set, filter string, places ...string) {
			if found[set] == nil {
				found[set] = slices.Clone(istio)
			}
			for _, place := range places {
				found[set] = append(found[set], filepath.Join(filter, place, kind+".yaml"))
			}
		}
		for _, f := range filters.All {
			add(kind, f.Name, f.Places...)
		}
		add(kind+chained, filters.Module, filters.ModulePlaces...)
		add(kind+chained, "jwt-scope", "namespace", "workload")
		add(kind+chained, "rate-limit", "namespace", "workload")
	}
	return found
}

// tollgate check finds the placeholders, and nothing else.
func TestCheck(t *testing.T) {
	for name, files := range sets(t) {
		var c check.Checker
		placeholders := 0
		for _, f := range files {
			text := read(t, f)
			c.File(f, []byte(text))
			placeholders += strings.Count(text, `sha256: "`+strings.Repeat("0", 64)+`"`)
		}
		found, alternatives := 0, 0
		for _, f := range c.Findings() {
			switch {
			case strings.Contains(f.Problem, "decides by the header x-edge-stamp") && strings.HasPrefix(f.File, "edge-stamp/"):
				alternatives++ // of which a pod has one: they say so, and check says why
				continue
			case strings.HasPrefix(f.Problem, "takes the place of EnvoyExtensionPolicy edge/tollgate") &&
				f.Severity == check.Warning:
				alternatives++
				continue
			case strings.HasPrefix(f.Problem, "is a route: ") && f.Severity == check.Note:
				continue
			}
			if f.Severity != check.Warning || !strings.HasPrefix(f.Problem, "is a placeholder") {
				t.Error(f)
			} else {
				found++
			}
		}
		if found != placeholders {
			t.Errorf("%s: %d placeholders are found of %d", name, found, placeholders)
		}
		alone := name == "envoy" || strings.HasSuffix(name, chained)
		if alternatives == 0 && !alone {
			t.Errorf("%s: it is not told that two of them exclude each other", name)
		}
		if name != "envoy" && found < 1 || len(files) < 2 {
			t.Errorf("%s: %d files with %d placeholders: the test tests nothing", name, len(files), found)
		}
	}
}

// phases in the order in which a request meets them.
var phases = []string{"AUTHN", "AUTHZ", "STATS"}

// chain is in which order requests meet the plugins of these places: by phase, and within it by
// priority, the highest first (istio/istio, pilot/pkg/model/push_context.go, sortByPriority). Who
// owns a plugin, and in which namespace it stands, does not count.
func chain(t *testing.T, list ...string) []string {
	t.Helper()
	type position struct {
		phase    int
		priority float64
		name     string
	}
	var chain []position
	for _, place := range list {
		o := load(t, filepath.Join(place, "wasmplugin.yaml"))
		phase := slices.Index(phases, fmt.Sprint(member(o, "spec", "phase")))
		priority, ok := member(o, "spec", "priority").(float64)
		if phase < 0 || !ok {
			t.Errorf("%s has not both phase and priority", place)
		}
		chain = append(chain, position{phase, priority,
			fmt.Sprint(member(o, "metadata", "labels", "team"), " ", member(o, "metadata", "name"))})
	}
	slices.SortFunc(chain, func(a, b position) int {
		if a.phase != b.phase {
			return a.phase - b.phase
		}
		return int(b.priority - a.priority)
	})
	var names []string
	for i, p := range chain {
		if i > 0 && chain[i-1].phase == p.phase && chain[i-1].priority == p.priority {
			t.Errorf("%s and %s are in no order", chain[i-1].name, p.name)
		}
		names = append(names, p.name)
	}
	return names
}

// The layers of three teams meet on one workload in this order, and the README says so.
func TestChains(t *testing.T) {
	readme := read(t, "README.md")
	for _, c := range []struct{ places, want []string }{
		{[]string{"edge-stamp/gateway", "jwt-scope/gateway", "rate-limit/gateway"},
			[]string{"platform rate-limit-addresses", "platform jwt-scope-gateway", "platform edge-stamp-sign"}},
		{[]string{"rate-limit/workload", "rate-limit/namespace", "jwt-scope/workload", "jwt-scope/namespace",
			"jwt-scope/mesh", "edge-stamp/mesh"},
			[]string{"platform edge-stamp-mesh", "platform jwt-scope-mesh", "application jwt-scope-shop",
				"microservice jwt-scope-orders", "application rate-limit-shop", "microservice rate-limit-orders"}},
		{[]string{"rate-limit/waypoint", "jwt-scope/waypoint", "edge-stamp/waypoint"},
			[]string{"application edge-stamp-waypoint", "application jwt-scope-waypoint", "application rate-limit-waypoint"}},
	} {
		if got := chain(t, c.places...); !slices.Equal(got, c.want) {
			t.Errorf("requests meet\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		after := 0
		for _, name := range c.want {
			_, name, _ = strings.Cut(name, " ")
			at := strings.Index(readme[after:], "`"+name+"`")
			if at < 0 {
				t.Errorf("README.md does not have %s where it comes", name)
				continue
			}
			after += at
		}
	}
}

// Whatever makes labels of the counters' names makes the same ones: Envoy's bootstrap includes
// nothing, so each has a copy of those in istio/stats.
func TestStatsTags(t *testing.T) {
	want := statsTags(t)
	if len(want) != 5 {
		t.Fatalf("%d tags", len(want))
	}
	copies := map[string]object{"envoy-gateway/envoyproxy.yaml": gatewayBootstrap(t)}
	for _, name := range []string{"envoy/edge.yaml", "envoy/mesh.yaml", "../envoy/edge/envoy.yaml",
		"../envoy/mesh/envoy.yaml"} {
		copies[name] = load(t, name)
	}
	for name, got := range copies {
		if !reflect.DeepEqual(member(got, "stats_config", "stats_tags"), any(want)) {
			t.Errorf("%s has other tags than istio/stats: copy them from there", name)
		}
	}
}

// statsTags are those of istio/stats, of which all others are copies.
func statsTags(t *testing.T) []any {
	t.Helper()
	var override object
	text, _ := member(load(t, "istio/stats/tollgate-stats.yaml"), "data", "custom_bootstrap.json").(string)
	if err := json.Unmarshal([]byte(text), &override); err != nil {
		t.Fatal(err)
	}
	return member(override, "stats_config", "stats_tags").([]any)
}

// gatewayBootstrap is what Envoy Gateway merges into its bootstrap.
func gatewayBootstrap(t *testing.T) (o object) {
	t.Helper()
	text, _ := member(load(t, "envoy-gateway/envoyproxy.yaml"), "spec", "bootstrap", "value").(string)
	if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// extension are the members of Envoy Gateway's types, with true for those that have to be there
// (envoyproxy/gateway, api/v1alpha1/wasm_types.go).
var extension = map[string]map[string]bool{
	"":            {"name": true, "rootID": true, "code": true, "config": true, "failOpen": true, "env": false},
	".code":       {"type": true, "image": true, "pullPolicy": false},
	".code.image": {"url": true, "sha256": true, "pullSecretRef": false, "tls": false},
	".env":        {"hostKeys": true},
}

// The structure of what Envoy Gateway takes, of which there is no schema to be had here; what
// configures the filters is TestCheck's.
func TestEnvoyGateway(t *testing.T) {
	sampled := map[string]bool{}
	for _, file := range []string{"envoy-gateway/edge.yaml", "envoy-gateway/route.yaml"} {
		o := load(t, file)
		if o["apiVersion"] != "gateway.envoyproxy.io/v1alpha1" || o["kind"] != "EnvoyExtensionPolicy" {
			t.Errorf("%s is a %v %v", file, o["apiVersion"], o["kind"])
		}
		if spec := slices.Sorted(maps.Keys(o["spec"].(object))); !slices.Equal(spec, []string{"targetRefs", "wasm"}) {
			t.Errorf("%s: spec has %v", file, spec)
		}
		for _, wasm := range member(o, "spec", "wasm").([]any) {
			steps, _ := member(wasm.(object), "config", "chain").([]any)
			for _, step := range steps {
				sampled[member(step.(object), "filter").(string)] = true
			}
			for path, members := range extension {
				at, _ := member(wasm.(object), strings.FieldsFunc(path, func(r rune) bool { return r == '.' })...).(object)
				for name := range at {
					if _, ok := members[name]; !ok {
						t.Errorf("%s: wasm%s has no member %s", file, path, name)
					}
				}
				for name, required := range members {
					if required && at != nil && at[name] == nil {
						t.Errorf("%s: wasm%s has not %s", file, path, name)
					}
				}
			}
		}
	}
	if len(sampled) != len(filters.All) {
		t.Errorf("samples of %v only", sampled)
	}
}
