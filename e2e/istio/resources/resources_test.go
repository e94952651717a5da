// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	schemas "istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	apps "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
)

// apiServer validates as the API server does with the CRDs of Istio and of the Gateway API: schema,
// CEL rules and unknown fields.
var apiServer = sync.OnceValues(func() (*schemas.Validator, error) {
	istio, err := module("istio.io/istio")
	if err != nil {
		return nil, err
	}
	gateway, err := module("sigs.k8s.io/gateway-api")
	if err != nil {
		return nil, err
	}
	crds := []string{filepath.Join(istio, "manifests/charts/base/files/crd-all.gen.yaml")}
	more, err := filepath.Glob(filepath.Join(gateway, "config/crd/standard/gateway.networking.k8s.io_*s.yaml"))
	if err != nil {
		return nil, err
	}
	for _, f := range more {
		if !strings.Contains(f, "_vap_") { // admission policies, which are no CRDs
			crds = append(crds, f)
		}
	}
	return schemas.NewValidatorFromFilesWithOptions(crds, schemas.WithoutCRDValidation())
})

// module is where the sources of a module of go.mod are.
func module(path string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err == nil && len(out) < 2 {
		err = fmt.Errorf("the sources of %s are not there", path)
	}
	return strings.TrimSpace(string(out)), err
}

// builtin are the kinds that have no CRD; local, what is never applied.
var (
	builtin = map[string]bool{"ConfigMap": true, "Deployment": true, "ValidatingAdmissionPolicy": true,
		"ValidatingAdmissionPolicyBinding": true, "ClusterRole": true, "Role": true, "RoleBinding": true}
	local = map[string]bool{"Kustomization": true, "Component": true}
)

// verdicts are what each stage has against a resource, by the stage: "schema" and "webhook".
func verdicts(t *testing.T, o object) map[string]string {
	t.Helper()
	v, err := apiServer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	if err := v.ValidateCustomResourceYAML(string(text), nil); err != nil {
		found["schema"] = err.Error()
	}
	if !strings.Contains(o["apiVersion"].(string), "istio.io") {
		return found
	}
	configs, _, err := crd.ParseInputs(string(text))
	if err != nil || len(configs) != 1 {
		found["webhook"] = fmt.Sprintf("%d resources: %v", len(configs), err)
		return found
	}
	schema, ok := collections.Pilot.FindByGroupVersionKind(configs[0].GroupVersionKind)
	if !ok {
		t.Fatalf("Istio does not know %v", configs[0].GroupVersionKind)
	}
	warning, err := schema.ValidateConfig(configs[0])
	if o.kind() == "EnvoyFilter" && warning != nil && strings.HasPrefix(warning.Error(), "EnvoyFilter exposes internal") {
		warning = nil // said of every EnvoyFilter
	}
	if err != nil || warning != nil {
		found["webhook"] = fmt.Sprintf("errors: %v; warnings: %v", err, warning)
	}
	return found
}

// accepted holds resources against the API server's and Istio's verdicts, and tells how many there were to hold.
func accepted(t *testing.T, where, text string) (n int) {
	t.Helper()
	for _, o := range objects(t, text) {
		if builtin[o.kind()] || local[o.kind()] {
			continue
		}
		n++
		for stage, problem := range verdicts(t, o) {
			t.Errorf("%s: %s: %s: %s", where, o.name(), stage, problem)
		}
	}
	return n
}

// everywhere is what the sets are called that have every place at once.
const everywhere = "everywhere"

// advised holds a set that belongs together against tollgate check. Placeholders are what it is to
// find, and nothing else.
func advised(t *testing.T, where, text string, wantPlaceholders bool) {
	t.Helper()
	var c check.Checker
	c.File(where, []byte(text))
	placeholders := 0
	for _, f := range c.Findings() {
		switch {
		case f.Severity == check.Warning && strings.HasPrefix(f.Problem, "is a placeholder"):
			placeholders++
		case strings.HasPrefix(f.Problem, "decides by the header x-edge-stamp") && strings.HasPrefix(where, everywhere):
			// The plugins for a namespace, a workload and a waypoint are alternatives, and say so.
		default:
			t.Error(f)
		}
	}
	plugins := strings.Count(text, "\nkind: WasmPlugin\n") + strings.Count(text, "\nkind: TrafficExtension\n")
	if wantPlaceholders && placeholders != plugins || !wantPlaceholders && placeholders > 0 {
		t.Errorf("%s: %d placeholders in %d plugins", where, placeholders, plugins)
	}
}

// Every file by itself. Envoy's and Envoy Gateway's are none of Istio's: the project's own tests see to them.
func TestFiles(t *testing.T) {
	n := 0
	for _, path := range files(t) {
		switch top, _, _ := strings.Cut(path, "/"); top {
		case "envoy", "envoy-gateway", "Chart.yaml", "values.yaml":
			continue
		}
		if strings.HasPrefix(path, "trust/cert-manager/") {
			continue // TestTrust
		}
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		n += accepted(t, path, string(text))
	}
	if n < 40 {
		t.Errorf("only %d resources were held: the test tests nothing", n)
	}
}

// With the values for istiod, Istio's own chart makes an istiod that signs nothing and proxies that
// ask istio-csr, in one trust domain with it.
func TestTrust(t *testing.T) {
	read := func(name string) (v map[string]any, text string) {
		b, err := os.ReadFile(filepath.Join(folder, "trust/cert-manager", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(b, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v, string(b)
	}
	istiod, values := read("istiod-values.yaml")
	istio, err := module("istio.io/istio")
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := Chart(filepath.Join(istio, "manifests/charts/istio-control/istio-discovery"), "istio-system", values)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"istiod's own CA is off":                  "- name: ENABLE_CA_SERVER\n            value: \"false\"",
		"proxies ask istio-csr":                   `"caAddress": "cert-manager-istio-csr.cert-manager.svc:443"`,
		"the gateway's mesh is an alias":          "trustDomainAliases:\n    - edge.example.com",
		"the trust domain is the internal mesh's": "trustDomain: internal.example.com",
	} {
		if !strings.Contains(rendered, want) {
			t.Errorf("%s: no %q in what the chart renders", what, want)
		}
	}
	csr, _ := read("istio-csr-values.yaml")
	app := csr["app"].(map[string]any)
	domain, mesh := app["tls"].(map[string]any)["trustDomain"], istiod["meshConfig"].(map[string]any)["trustDomain"]
	if domain != mesh {
		t.Errorf("istio-csr signs for %v", domain)
	}
	issuer, _ := read("issuer.yaml")
	if want := app["certmanager"].(map[string]any)["issuer"].(map[string]any); issuer["kind"] != want["kind"] ||
		issuer["metadata"].(map[string]any)["name"] != want["name"] {
		t.Errorf("istio-csr asks %v, and the issuer is %v", want, issuer["metadata"])
	}
}

// Every folder that kubectl apply -k takes; those that make a whole are held against tollgate check, too.
func TestKustomizations(t *testing.T) {
	whole := 0
	for _, path := range kustomizations(t) {
		if strings.HasPrefix(path, "envoy") {
			continue
		}
		text := kustomized(t, path)
		if accepted(t, path, text) == 0 && !strings.HasPrefix(path, "istio/") {
			t.Errorf("%s: nothing is rendered", path)
		}
		switch path {
		case "base/application", "base/microservice": // what they believe is the platform's
			continue
		}
		if strings.HasPrefix(path, "overlays/") || strings.HasPrefix(path, "base") {
			whole++
			advised(t, path, text, true)
		}
	}
	if whole < 10 {
		t.Errorf("only %d sets", whole)
	}
}

// What a user asks Istio itself: istioctl validate and istioctl analyze find nothing in any set.
func TestIstioctl(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command(mesh.Program(t, "istioctl"), args...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%v\n%s", err, out)
		}
		return ""
	}
	for _, overlay := range []string{"production", "staging", "trafficextension", "ambient", "classic",
		"separate"} {
		file := filepath.Join(dir, overlay+".yaml")
		if err := os.WriteFile(file, []byte(kustomized(t, "overlays/"+overlay)), 0o644); err != nil {
			t.Fatal(err)
		}
		if problem := run("validate", "-f", file); problem != "" {
			t.Errorf("istioctl validate: %s: %s", overlay, problem)
		}
		if problem := run("analyze", "--use-kube=false", file); problem != "" {
			t.Errorf("istioctl analyze: %s: %s", overlay, problem)
		}
	}
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken,
		[]byte("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: a, namespace: b}\nspec: "+
			"{url: 'ftp://a', phase: LAST}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if run("validate", "-f", broken) == "" || run("analyze", "--use-kube=false", broken) == "" {
		t.Error("istioctl finds nothing in a plugin that is wrong: nothing is tried here")
	}
}

// What has no CRD is read as Kubernetes reads it, without a field that it does not know; and the
// pod of either gateway gets the key that the plugin reads from its environment.
func TestGatewayPods(t *testing.T) {
	plugin, err := os.ReadFile(filepath.Join(folder, "tollgate/gateway/wasmplugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	vm := objects(t, string(plugin))[0]["spec"].(map[string]any)["vmConfig"].(map[string]any)
	env := vm["env"].([]any)[0].(map[string]any)
	if env["valueFrom"] != "HOST" {
		t.Errorf("the plugin's variable is %v", env)
	}
	options := objects(t, kustomized(t, "istio/gateway-key"))[0]["data"].(map[string]any)["deployment"].(string)
	classic, err := os.ReadFile(filepath.Join(folder, "istio/classic-gateway/deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"istio/gateway-key": options, "istio/classic-gateway": string(classic)} {
		var d apps.Deployment
		if err := yaml.UnmarshalStrict([]byte(text), &d); err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		c := d.Spec.Template.Spec.Containers[0]
		if e := c.Env[0]; c.Name != "istio-proxy" || e.Name != env["name"] || e.Value != "" ||
			e.ValueFrom.SecretKeyRef.Name != "edge-stamp-key" || e.ValueFrom.SecretKeyRef.Key != "private.pem" {
			t.Errorf("%s: the container %s has %+v", where, c.Name, e)
		}
	}
}

// modules have an image each.
func modules() []string { return append(filters.Names(), filters.Module) }

// sum stands for the digest of a module's image.
func sum(module string) string {
	return strings.Repeat(strconv.Itoa(slices.Index(modules(), module)+1), 64)
}

// pinned are values with images of one's own.
func pinned() string {
	text := "\nimage:\n  registry: 127.0.0.1:5000/filters\n  tag: \"7\"\n  pullSecret: registry\n  sha256:\n"
	for _, filter := range modules() {
		text += "    " + filter + ": \"" + sum(filter) + "\"\n"
	}
	return text
}

const ambient = `
places:
  edge-stamp/mesh: {enabled: false}
  jwt-scope/mesh: {enabled: false}
  jwt-scope/namespace: {enabled: false}
  rate-limit/namespace: {enabled: false}
  jwt-scope/workload: {enabled: false}
  rate-limit/workload: {enabled: false}
  edge-stamp/waypoint: {enabled: true}
  jwt-scope/waypoint: {enabled: true}
  rate-limit/waypoint: {enabled: true}
`

// What Helm renders is what kustomize renders.
func TestChartIsKustomization(t *testing.T) {
	for overlay, values := range map[string]string{
		"overlays/production":       "",
		"overlays/staging":          "mode: shadow",
		"overlays/trafficextension": "kind: TrafficExtension",
		"overlays/ambient":          "kind: TrafficExtension" + ambient,
		"overlays/classic":          "classicGateway: {enabled: true}",
		"overlays/separate":         "module: separate",
	} {
		t.Run(overlay, func(t *testing.T) {
			text := charted(t, values)
			accepted(t, overlay, text)
			advised(t, overlay, text, true)
			got, want := byName(t, text), byName(t, kustomized(t, overlay))
			for name, o := range want {
				if !reflect.DeepEqual(got[name], o) {
					t.Errorf("%s: the chart renders\n%s\nkustomize renders\n%s", name, printed(got[name]), printed(o))
				}
				delete(got, name)
			}
			for name := range got {
				t.Errorf("only the chart renders %s", name)
			}
			if len(want) < 6 {
				t.Errorf("only %d resources", len(want))
			}
		})
	}
}

func byName(t *testing.T, text string) map[string]object {
	t.Helper()
	m := map[string]object{}
	for _, o := range objects(t, text) {
		if m[o.name()] != nil {
			t.Errorf("%s is rendered twice", o.name())
		}
		m[o.name()] = o
	}
	return m
}

func printed(o object) string {
	text, _ := yaml.Marshal(o)
	return string(text)
}

// ownImages holds each plugin's image against those of pinned, and tells how many plugins there are.
func ownImages(t *testing.T, text, kind string, pullSecret any) (n int) {
	t.Helper()
	for _, o := range objects(t, text) {
		if o.kind() != kind {
			continue
		}
		n++
		wasm := o["spec"].(map[string]any)
		if kind == "TrafficExtension" {
			wasm = wasm["wasm"].(map[string]any)
		}
		filter := o["metadata"].(map[string]any)["labels"].(map[string]any)["app.kubernetes.io/name"].(string)
		if wasm["url"] != "oci://127.0.0.1:5000/filters/"+filter+":7" || wasm["sha256"] != sum(filter) ||
			wasm["imagePullSecret"] != pullSecret {
			t.Errorf("%s has the image %v, %v, %v", o.name(), wasm["url"], wasm["sha256"], wasm["imagePullSecret"])
		}
	}
	return n
}

// One file says for kustomize where all images come from.
func TestImages(t *testing.T) {
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	own := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tollgate-images\n  annotations: " +
		"{config.kubernetes.io/local-config: \"true\"}\ndata:\n"
	for _, filter := range modules() {
		own += "  " + filter + ".url: oci://127.0.0.1:5000/filters/" + filter + ":7\n  " + filter + ".sha256: \"" +
			sum(filter) + "\"\n"
	}
	if err := os.WriteFile(filepath.Join(copied, "images/images.yaml"), []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	for overlay, kind := range map[string]string{"production": "WasmPlugin", "staging": "WasmPlugin",
		"classic": "WasmPlugin", "separate": "WasmPlugin", "trafficextension": "TrafficExtension",
		"ambient": "TrafficExtension"} {
		text := kustomizedIn(t, filepath.Join(copied, "overlays", overlay))
		if ownImages(t, text, kind, nil) < 4 {
			t.Errorf("%s renders\n%s", overlay, text)
		}
		advised(t, overlay, text, false)
	}
}

// The chart's values do what they say, for every place and both kinds.
func TestChartValues(t *testing.T) {
	everything := "places:\n"
	for _, o := range places(t) {
		everything += "  " + o + ": {enabled: true}\n"
	}
	// Chains stand for these: all of the gateway, and edge-stamp in the mesh.
	chained := []string{"rate-limit/gateway", "jwt-scope/gateway", "edge-stamp/gateway", "edge-stamp/mesh"}
	for module, want := range map[string]int{"tollgate": len(places(t)) - len(chained),
		"separate": len(places(t)) - len(filters.ModulePlaces)} {
		for _, kind := range []string{"WasmPlugin", "TrafficExtension"} {
			where := everywhere + ", " + kind + ", " + module
			text := charted(t, "kind: "+kind+"\nmodule: "+module+
				"\nnamespaces: {istio-system: root, istio-ingress: edge, shop: apps}\n"+pinned()+everything)
			accepted(t, where, text)
			advised(t, where, text, false)
			for _, o := range objects(t, text) {
				if namespace := o["metadata"].(map[string]any)["namespace"]; namespace != "root" && namespace != "edge" &&
					namespace != "apps" {
					t.Errorf("%s: %s keeps its namespace", where, o.name())
				}
			}
			if n := ownImages(t, text, kind, "registry"); n != want {
				t.Errorf("%s: %d plugins, want %d", where, n, want)
			}
			ofModule := map[string]int{"tollgate": want}[module]
			if one := strings.Count(text, "app.kubernetes.io/name: tollgate\n"); one != ofModule {
				t.Errorf("%s: %d plugins of the one module", where, one)
			}
		}
	}

	// A place can have another spec and another configuration.
	text := charted(t, "places: {rate-limit/workload: {enabled: true, spec: {priority: 7, selector: {matchLabels: "+
		"{app: carts}}}, pluginConfig: {limits: [{name: a, rate: {requests: 5, per: 1s}}]}}}")
	spec := byName(t, text)["WasmPlugin shop/rate-limit-orders"]["spec"].(map[string]any)
	if spec["priority"] != 7.0 || spec["selector"].(map[string]any)["matchLabels"].(map[string]any)["app"] != "carts" ||
		len(spec["pluginConfig"].(map[string]any)) != 2 || spec["phase"] != "STATS" {
		t.Errorf("the place is rendered as %v", spec)
	}
	if text := charted(t, "authentication: false"); strings.Contains(text, "RequestAuthentication") {
		t.Error("authentication: false leaves the RequestAuthentication")
	}
	for name, values := range map[string]string{
		"an unknown key":         "images: {}",
		"an unknown mode":        "mode: off",
		"an unknown module":      "module: one",
		"a place's own of those": "places: {jwt-scope/mesh: {enabled: true, module: one}}",
		"a spec for a step":      "places: {jwt-scope/gateway: {enabled: true, spec: {priority: 7}}}",
		"a chain without a step": "places: {tollgate/gateway: {enabled: true, pluginConfig: {chain: [" +
			"{name: a, filter: jwt-scope, config: {}}]}}}",
		"a digest with a prefix":  "image: {sha256: {jwt-scope: 'sha256:" + strings.Repeat("1", 64) + "'}}",
		"a scheme in a registry":  "image: {registry: oci://ghcr.io}",
		"a place that is none":    "places: {rate-limit/mesh: {enabled: true}}",
		"another image in a spec": "places: {rate-limit/workload: {enabled: true, spec: {url: 'oci://a'}}}",
	} {
		if text, err := chartWith(t, values); err == nil {
			t.Errorf("%s: the chart takes it:\n%s", name, text)
		}
	}
}

// chainOf are the filters of a chain in their order, with their configurations.
func chainOf(o object) (filters []string, configs []map[string]any) {
	spec, _ := o["spec"].(map[string]any)
	if wasm, ok := spec["wasm"].(map[string]any); ok {
		spec = wasm
	}
	config, _ := spec["pluginConfig"].(map[string]any)
	steps, _ := config["chain"].([]any)
	for _, s := range steps {
		step := s.(map[string]any)
		filters = append(filters, step["filter"].(string))
		configs = append(configs, step["config"].(map[string]any))
	}
	return filters, configs
}

// The values for a filter are those of its step where it is one.
func TestChartChains(t *testing.T) {
	for _, c := range []struct {
		name, values string
		chain        string // of the gateway
		apart        string // images of other plugins there
	}{
		{"as shipped", "", "rate-limit jwt-scope edge-stamp", ""},
		{"a step less", "rate-limit/gateway: {enabled: false}", "jwt-scope edge-stamp", ""},
		{"none", "rate-limit/gateway: {enabled: false}, jwt-scope/gateway: {enabled: false}, " +
			"edge-stamp/gateway: {enabled: false}", "", ""},
		{"a step as a module of its own", "edge-stamp/gateway: {enabled: true, module: separate, spec: {priority: 7}}",
			"rate-limit jwt-scope", "edge-stamp"},
		{"no chain", "tollgate/gateway: {enabled: false}", "", "tollgate tollgate tollgate"},
		{"a chain of one's own", "tollgate/gateway: {enabled: true, pluginConfig: {chain: [" +
			"{name: a, filter: rate-limit, config: {}}, {name: b, filter: jwt-scope, config: {}}, " +
			"{name: c, filter: rate-limit, config: {}}, {name: d, filter: edge-stamp, config: {}}]}}",
			"rate-limit jwt-scope rate-limit edge-stamp", ""},
	} {
		var chain, apart []string
		for _, o := range objects(t, charted(t, "mode: shadow\nplaces: {"+c.values+"}")) {
			m := o["metadata"].(map[string]any)
			if m["namespace"] != "istio-ingress" {
				continue
			}
			filters, configs := chainOf(o)
			if chain = append(chain, filters...); len(filters) == 0 {
				apart = append(apart, m["labels"].(map[string]any)["app.kubernetes.io/name"].(string))
			}
			for _, config := range configs {
				if config["mode"] != "shadow" {
					t.Errorf("%s: a step enforces", c.name)
				}
			}
		}
		if strings.Join(chain, " ") != c.chain || strings.Join(apart, " ") != c.apart {
			t.Errorf("%s: the chain is %q, and apart are %q", c.name, chain, apart)
		}
	}

	own := byName(t, charted(t, "places: {rate-limit/gateway: {enabled: true, pluginConfig: {limits: [{name: a}]}}}"))
	if _, configs := chainOf(own["WasmPlugin istio-ingress/tollgate-gateway"]); fmt.Sprint(configs[0]["limits"]) !=
		"[map[name:a]]" {
		t.Errorf("a step's own configuration is %v", configs[0])
	}
	// A namespace's chain is no step of anything.
	own = byName(t, charted(t, "places: {jwt-scope/namespace: {enabled: true, pluginConfig: {chain: [{name: a, "+
		"filter: jwt-scope, config: {}}, {name: b, filter: rate-limit, config: {}}]}}}"))
	o := own["WasmPlugin shop/jwt-scope-shop"]
	if filters, _ := chainOf(o); !slices.Equal(filters, []string{"jwt-scope", "rate-limit"}) ||
		strings.Contains(printed(o), "\n    filter:") {
		t.Errorf("a namespace's own chain is rendered as\n%s", printed(o))
	}
	// Pods without the label keep the baseline where those with it have a chain.
	own = byName(t, charted(t, "places: {tollgate/mesh: {enabled: true}}"))
	if own["WasmPlugin istio-system/tollgate-mesh"] == nil || own["WasmPlugin istio-system/jwt-scope-mesh"] == nil ||
		own["WasmPlugin istio-system/edge-stamp-mesh"] != nil {
		t.Errorf("with a chain in the mesh there are %v", slices.Sorted(maps.Keys(own)))
	}
}

// In shadow mode, every filter is, in chains as well, before and behind the change to TrafficExtensions.
func TestShadow(t *testing.T) {
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, components := range []string{"shadow", "shadow, ../../trafficextension", "trafficextension, ../../shadow"} {
		own := filepath.Join(copied, "overlays", "own")
		if err := os.MkdirAll(own, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"),
			[]byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../base, "+
				"../../tollgate/mesh]\ncomponents: [../../"+components+"]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		plugins := 0
		for _, o := range objects(t, kustomizedIn(t, own)) {
			if o.kind() != "WasmPlugin" && o.kind() != "TrafficExtension" {
				continue
			}
			plugins++
			_, configs := chainOf(o)
			if configs == nil {
				spec := o["spec"].(map[string]any)
				if wasm, ok := spec["wasm"].(map[string]any); ok {
					spec = wasm
				}
				configs = append(configs, spec["pluginConfig"].(map[string]any))
			}
			for i, config := range configs {
				if config["mode"] != "shadow" {
					t.Errorf("%s: %s enforces in its configuration %d", components, o.name(), i)
				}
			}
		}
		if plugins < 8 {
			t.Errorf("%s: %d plugins", components, plugins)
		}
	}
}

// places are the folders of a filter each.
func places(t *testing.T) (list []string) {
	t.Helper()
	for _, path := range files(t) {
		if filepath.Base(path) == "wasmplugin.yaml" {
			list = append(list, filepath.Dir(path))
		}
	}
	return list
}

// Each stage refuses what it is there for: so the checks above check.
func TestBroken(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "jwt-scope/workload/wasmplugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, stage string }{
		{"an unknown field", "  phase: AUTHZ", "  phase: AUTHZ\n  stage: AUTHZ", "schema"},
		{"an unknown phase", "phase: AUTHZ", "phase: AUTHOR", "schema"},
		{"a digest that is none", `sha256: "0`, `sha256: "x`, "schema"},
		{"a selector and targetRefs", "  selector:",
			"  targetRefs: [{kind: Service, name: orders, group: \"\"}]\n  selector:", "schema"},
		{"a URL of another scheme", "url: oci:", "url: ftp:", "webhook"},
		{"an unknown key of the filter", "issuer:", "isuer:", "check"},
		{"a door", "FAIL_RELOAD", "FAIL_OPEN", "check"},
		{"before the header is there", "phase: AUTHZ", "phase: AUTHN", "check"},
		{"another header", "x-jwt-payload", "x-payload", "check"},
	} {
		broken := strings.Replace(string(text), c.from, c.to, 1)
		if broken == string(text) {
			t.Fatalf("%s: there is no %s", c.name, c.from)
		}
		if c.stage != "check" {
			if v := verdicts(t, objects(t, broken)[0]); v[c.stage] == "" {
				t.Errorf("%s: %s has nothing against it: %v", c.name, c.stage, v)
			}
			continue
		}
		var checker check.Checker
		checker.File("broken", []byte(broken+"\n---\n"+kustomized(t, "istio/authentication")))
		errors := 0
		for _, f := range checker.Findings() {
			if f.Severity == check.Error {
				errors++
			}
		}
		if errors == 0 {
			t.Errorf("%s: tollgate check finds nothing", c.name)
		}
	}
}
