// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package docs checks that the snippets in the project's documents are true.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/migration"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

type snippet struct{ file, language, text string }

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

func documents(t *testing.T) map[string]string {
	t.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	list.Dir = checkout.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, f := range strings.Fields(string(out)) {
		b, err := os.ReadFile(filepath.Join(list.Dir, f))
		if err != nil {
			t.Fatal(err)
		}
		docs[f] = string(b)
	}
	return docs
}

func snippets(t *testing.T) []snippet {
	t.Helper()
	var all []snippet
	for file, text := range documents(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			all = append(all, snippet{file, m[1], m[2]})
		}
	}
	return all
}

// sample is the first configuration in a document.
func sample(t *testing.T, file string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindStringSubmatch(documents(t)[file])
	if m == nil {
		t.Fatalf("%s has no configuration", file)
	}
	return m[1]
}

// moduleOf is whose configurations a page shows: those of its folder's module, and jwt-scope's elsewhere.
func moduleOf(file string) string {
	for _, module := range filters.Modules() {
		if strings.HasPrefix(file, "filters/"+module+"/") {
			return module
		}
	}
	return "jwt-scope"
}

// Every snippet has a language for which there is a check here.
func TestSnippets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(checkout.Root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	program := command(t)
	checked, config := map[string]int{}, snippet{}
	for _, s := range snippets(t) {
		checked[s.language]++
		switch s.language {
		case "http":
			if config.file != s.file {
				config = snippet{}
			}
			checkExchanges(t, s, config.text)
		case "json":
			config = s
			if err := filters.Read(moduleOf(s.file), s.text, environment); err != nil {
				t.Errorf("%s: a configuration that the filter refuses:\n%v", s.file, err)
			}
		case "yaml":
			switch {
			case s.file == migration.File: // TestMigration
			case s.file == mcpPage: // e2e/mcp has a browser go through an Envoy with it
			// e2e/edge-stamp-global has the service run with it
			case s.file == stampReadme && strings.HasPrefix(s.text, "domain:"):
			case s.file == stampReadme && strings.HasPrefix(s.text, "chain:"):
				if err := readYAML("tollgate", s.text); err != nil {
					t.Errorf("%s: a chain that the module refuses:\n%v", s.file, err)
				}
			case s.file == stampReadme:
				checkStampFilter(t, s)
			case s.file == limitReadme && strings.HasPrefix(s.text, "#"):
				checkDescriptors(t, program, s)
			case s.file == limitReadme:
				checkLimitFilters(t, s)
			case s.file == manifestsReadme && strings.Contains(s.text, "kind: Kustomization"):
				checkKustomization(t, s)
			case s.file == loopReadme:
				checkRule(t, s)
			case s.file == manifestsReadme: // the chart's values: e2e/istio/resources renders them
			case s.file == "README.md" && strings.HasPrefix(s.text, "image:"): // e2e/istio installs the chart with them
			default:
				checkFilter(t, s)
			}
		case "yml": // what tollgate migrate makes of a sample: e2e/migration
			if s.file != migration.File {
				t.Errorf("%s: no check for a snippet in %q", s.file, s.language)
			}
		case "text":
			checkFaults(t, s)
		case "sh":
			for _, line := range strings.Split(strings.TrimSpace(s.text), "\n") {
				word, rest, _ := strings.Cut(line, " ")
				switch word {
				case "make":
					target, _, _ := strings.Cut(rest, " ")
					if !strings.Contains(string(makefile), "\n"+target+":") {
						t.Errorf("%s: the Makefile has no target %q", s.file, target)
					}
				case "go": // checkDescriptors
					if line != "go run ./build/tollgate descriptors limits.json" {
						t.Errorf("%s: no check for %q", s.file, line)
					}
				case "tollgate":
					checkCommand(t, program, s.file, rest)
				case "kubectl":
					checkKubectl(t, s.file, rest)
				case "helm": // e2e/istio and e2e/istio/resources render what it sets
					if _, err := os.Stat(filepath.Join(checkout.Root(t), "WasmPlugin", "Chart.yaml")); err != nil ||
						!slices.Contains(strings.Fields(rest), "WasmPlugin") && !strings.Contains(rest, " tollgate-0.1.0.tgz ") {
						t.Errorf("%s: %q: %v", s.file, line, err)
					}
				case "WasmPlugin/trust/make-ca.sh": // e2e/istio makes its authorities with it
					if info, err := os.Stat(filepath.Join(checkout.Root(t), word)); err != nil || info.Mode()&0o111 == 0 {
						t.Errorf("%s: %s is no program (%v)", s.file, word, err)
					}
				case "(printf": // build/loop/observe makes a PrometheusRule with it
					if s.file != loopReadme || !strings.Contains(rest, "tollgate.rules.yml") {
						t.Errorf("%s: no check for %q", s.file, line)
					}
				case "cosign", "sha256sum": // build/tools/release: but for the identity, which is only known online
					if !slices.Contains([]string{"README.md", manifestsReadme}, s.file) {
						t.Errorf("%s: no check for %q", s.file, line)
					}
				case "sed": // e2e/kubernetes runs it
					file, applied := strings.CutSuffix(rest, " | kubectl apply -f -")
					checkFile(t, s.file, file[strings.LastIndex(file, " ")+1:])
					if !applied {
						t.Errorf("%s: no check for %q", s.file, line)
					}
				case "curl": // what the demo prints; CI runs it as make demo CHECK=1
				default:
					t.Errorf("%s: no check for %q", s.file, line)
				}
			}
		default:
			t.Errorf("%s: no check for a snippet in %q", s.file, s.language)
		}
	}
	for _, language := range []string{"http", "json", "yaml", "text", "sh"} {
		if checked[language] == 0 {
			t.Errorf("no snippet in %s was found: the test tests nothing", language)
		}
	}
}

// What a README puts into a namespace, or labels, it has made in a line before: on a fresh cluster there are only
// those of Istio and Envoy Gateway.
func TestNamespaces(t *testing.T) {
	secrets := regexp.MustCompile(`^kubectl create secret .*--namespace (\S+)`)
	labels := regexp.MustCompile(`^kubectl label namespace (\S+)`)
	found := 0
	for _, s := range snippets(t) {
		made := []string{"istio-system", "envoy-gateway-system"}
		for line := range strings.Lines(s.text) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "kubectl create namespace "); ok {
				made = append(made, name)
			}
			for _, r := range []*regexp.Regexp{secrets, labels} {
				if m := r.FindStringSubmatch(line); m != nil {
					if found++; !slices.Contains(made, m[1]) {
						t.Errorf("%s: %s: nobody has made %s", s.file, strings.TrimSpace(line), m[1])
					}
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("%d lines were found: the test tests nothing", found)
	}
}

// The filter accepts every sample of the notes on migration, completed as the notes say. What the
// samples decide is tried in e2e/migration.
func TestMigration(t *testing.T) {
	notes, err := migration.Read(documents(t)[migration.File])
	if err != nil {
		t.Fatal(err)
	}
	samples := 0
	for _, c := range notes.Cases {
		samples += 2
		if _, err := scope.Parse(c.Config, scope.Surroundings{}); err != nil {
			t.Errorf("%s, %s: a configuration that the filter refuses:\n%v", migration.File, c.Name, err)
		}
	}
	fenced := 0
	for _, s := range snippets(t) {
		if s.file == migration.File && s.language == "yaml" {
			fenced++
		}
	}
	if samples != fenced || samples == 0 {
		t.Errorf("%s has %d snippets, of which %d are samples", migration.File, fenced, samples)
	}
}

// checkFilter runs Envoy with the filter of the snippet, with the path and the policy of the demo put in.
func checkFilter(t *testing.T, s snippet) {
	var filter bootstrap.M
	text := strings.Replace(s.text, "/etc/envoy/jwt-scope.wasm", harness.Module(t, "jwt-scope"), 1)
	policy := sample(t, "README.md")
	text = strings.Replace(text, `'{"providers": […], "rules": […]}'`, "'"+strings.ReplaceAll(policy, "\n", " ")+"'", 1)
	if err := yaml.Unmarshal([]byte(text), &filter); err != nil {
		t.Fatalf("%s: %v", s.file, err)
	}
	envoy := harness.Start(t, harness.Config{Version: envoybin.Default, Filters: []bootstrap.M{filter}})
	for path, want := range map[string]int{"/healthz": 200, "/orders/7": 401, "/": 403} {
		if answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", path)); answer.Status() != want {
			t.Errorf("%s: GET %s answers %d, want %d", s.file, path, answer.Status(), want)
		}
	}
}

const mcpPage = "filters/jwt-scope/MCP.md"

const stampReadme = "filters/edge-stamp/README.md"

// edgeKey is what EDGE_STAMP_KEY stands for in the samples.
var edgeKey = sync.OnceValue(mint.New("edge-2026-11", jose.ES256).PrivateJWK)

// environment has the variables that samples name: a key serves for a secret, too.
func environment(name string) (string, bool) {
	return edgeKey(), name == "EDGE_STAMP_KEY" || name == "INTROSPECTION_SECRET"
}

// readYAML has a module read a configuration in YAML.
func readYAML(module, text string) error {
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	return filters.Read(module, string(b), environment)
}

// checkStampFilter runs Envoy with the filter of the snippet and the first sample of the document,
// with bodies that are bound.
func checkStampFilter(t *testing.T, s snippet) {
	t.Setenv("EDGE_STAMP_KEY", edgeKey())
	text := strings.Replace(s.text, "/etc/envoy/edge-stamp.wasm", harness.Module(t, "edge-stamp"), 1)
	text = strings.Replace(text, `'{"role": "sign", …}'`, "'"+strings.ReplaceAll(sample(t, stampReadme), "\n", " ")+"'", 1)
	var filter bootstrap.M
	if err := yaml.Unmarshal([]byte(text), &filter); err != nil {
		t.Fatalf("%s: %v", s.file, err)
	}
	upstream := harness.StartUpstream(t)
	envoy := harness.Start(t,
		harness.Config{Version: envoybin.Default, Filters: []bootstrap.M{filter}, Upstream: upstream.Port()})
	for request, stamps := range map[string]int{
		harness.Request("GET", "/healthz"): 0, harness.Request("GET", "/orders"): 1,
		"PUT /uploads/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello": 1,
	} {
		if answer := harness.HTTP1(t, envoy.Main(), request); answer.Status() != 200 {
			t.Errorf("%s: %.20s answers %d", s.file, request, answer.Status())
		}
		if got := upstream.Take(); len(got) != 1 || len(got[0].Values("x-edge-stamp")) != stamps {
			t.Errorf("%s: %.20s reaches the upstream as %+v", s.file, request, got)
		}
	}
}

const limitReadme = "filters/rate-limit/README.md"

// command compiles the project's command, once for all lines that call it: go run links it anew for each.
func command(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tollgate")
	build := exec.Command("go", "build", "-o", program, "./build/tollgate")
	build.Dir = checkout.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// checkDescriptors has the command write the service's configuration for the first sample of the document.
func checkDescriptors(t *testing.T, program string, s snippet) {
	file := filepath.Join(t.TempDir(), "limits.json")
	if err := os.WriteFile(file, []byte(sample(t, s.file)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "descriptors", file).Output(); err != nil || string(out) != s.text {
		t.Errorf("%s: %v; the command writes\n%s", s.file, err, out)
	}
}

// checkLimitFilters runs Envoy with the filters of the snippet, with jwt-scope and the policy of
// the project's README between them.
func checkLimitFilters(t *testing.T, s snippet) {
	var chain struct {
		Filters []bootstrap.M `json:"http_filters"`
	}
	text := strings.ReplaceAll(s.text, "/etc/envoy/rate-limit.wasm", harness.Module(t, "rate-limit"))
	if err := yaml.Unmarshal([]byte(text), &chain); err != nil || len(chain.Filters) != 2 {
		t.Fatalf("%s: %v, %d filters", s.file, err, len(chain.Filters))
	}
	policy := sample(t, "README.md")
	filters := []bootstrap.M{chain.Filters[0], harness.Filter(t, "jwt-scope", policy), chain.Filters[1]}
	envoy := harness.Start(t, harness.Config{Version: envoybin.Default, Filters: filters})
	for i, want := range []int{200, 401, 429, 429} {
		path := []string{"/healthz", "/orders/7"}[i%2]
		if answer := harness.HTTP1(t, envoy.Main(), harness.Request("GET", path)); answer.Status() != want {
			t.Errorf("%s: request %d, GET %s, answers %d, want %d", s.file, i, path, answer.Status(), want)
		}
	}
}

const manifestsReadme = "WasmPlugin/README.md"

const loopReadme = "envoy/README.md"

// checkRule has jwt-scope take a rule among those of the local loop's edge.
func checkRule(t *testing.T, s snippet) {
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", "edge", "jwt-scope.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSONStrict([]byte(strings.Replace(string(text), "\nrules:\n", "\nrules:\n"+s.text, 1)))
	if err == nil {
		_, err = scope.Parse(string(json), scope.Surroundings{})
	}
	if err != nil || !strings.Contains(string(json), `"invoices"`) {
		t.Errorf("%s: a rule that jwt-scope refuses: %v", s.file, err)
	}
}

// checkKustomization looks for what an overlay refers to, from a folder of WasmPlugin/overlays.
func checkKustomization(t *testing.T, s snippet) {
	var k struct{ Resources, Components []string }
	if err := yaml.Unmarshal([]byte(s.text), &k); err != nil || len(k.Resources) == 0 || len(k.Components) == 0 {
		t.Errorf("%s: %+v: %v", s.file, k, err)
	}
	for kind, list := range map[string][]string{"Kustomization": k.Resources, "Component": k.Components} {
		for _, path := range list {
			checkKind(t, s.file, filepath.Join("WasmPlugin/overlays/own", path), kind)
		}
	}
}

// checkKind looks for a folder for kustomize.
func checkKind(t *testing.T, file, path, kind string) {
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), path, "kustomization.yaml"))
	if err != nil || !strings.Contains(string(text), "\nkind: "+kind+"\n") {
		t.Errorf("%s: %s is no %s (%v)", file, path, kind, err)
	}
}

// checkKubectl looks for what is applied. Secrets are made of files that readers have.
func checkKubectl(t *testing.T, file, arguments string) {
	switch words := strings.Fields(arguments); {
	case len(words) == 3 && words[0] == "apply" && words[1] == "-k":
		checkKind(t, file, words[2], "Kustomization")
	case len(words) == 3 && words[0] == "apply" && words[1] == "-f" && strings.HasPrefix(words[2], "WasmPlugin/"):
		checkFile(t, file, words[2])
	case len(words) == 3 && words[0] == "apply" && words[1] == "-f": // a file of a release
		set, name, _ := strings.Cut(strings.TrimSuffix(words[2], ".yaml"), "-")
		folder := map[string]string{"overlay": "overlays", "istio": "istio"}[set]
		checkKind(t, file, filepath.Join("WasmPlugin", folder, name), "Kustomization")
	case strings.HasPrefix(arguments, "create secret generic "), strings.HasPrefix(arguments, "create namespace "),
		strings.HasPrefix(arguments, "label namespace "), strings.HasPrefix(arguments, "label service "):
		// e2e/kubernetes runs them
	default:
		t.Errorf("%s: no check for kubectl %s", file, arguments)
	}
}

// checkFile looks for a resource's file.
func checkFile(t *testing.T, file, path string) {
	if text, err := os.ReadFile(filepath.Join(checkout.Root(t), path)); err != nil ||
		!strings.Contains(string(text), "\nkind: ") {
		t.Errorf("%s: %s has no resource (%v)", file, path, err)
	}
}

// checkCommand asks the command for help with what the line does: it has to know the command and each flag.
func checkCommand(t *testing.T, program, file, line string) {
	var words, flags []string
	for _, w := range strings.Fields(line) {
		switch {
		case strings.HasPrefix(w, "--"):
			flags = append(flags, w)
		case len(flags) == 0 && len(words) < 2:
			words = append(words, w)
		}
	}
	out, err := exec.Command(program, append(words, "--help")...).Output()
	if err != nil || !strings.Contains(string(out), "tollgate "+strings.Join(words, " ")) {
		t.Errorf("%s: tollgate %s: %v\n%s", file, line, err, out)
	}
	for _, f := range flags {
		if !strings.Contains(string(out), f+" ") {
			t.Errorf("%s: tollgate %s has no %s", file, strings.Join(words, " "), f)
		}
	}
}

// checkFaults makes the mistakes that the snippet reports and compares the lines.
func checkFaults(t *testing.T, s snippet) {
	policy := sample(t, "README.md")
	policy = strings.Replace(policy, `"algorithms"`, `"audience": [], "algorithms"`, 1)
	policy = strings.Replace(policy, `"all": ["orders:write"]`, `"any": [7]`, 1)
	_, err := scope.Parse(policy, scope.Surroundings{})
	want := "jwt_scope: the configuration is refused:\n"
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			want += "jwt_scope:   " + line + "\n"
		}
	}
	if s.text != want {
		t.Errorf("%s: got\n%s\nwant\n%s", s.file, s.text, want)
	}
}

// Links to files of the project lead somewhere.
func TestLinks(t *testing.T) {
	for file, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(checkout.Root(t), filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			}
		}
	}
}
