// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"
)

// folder is WasmPlugin/, from here.
const folder = "../../../WasmPlugin"

// object is a resource.
type object map[string]any

func (o object) kind() string { return o["kind"].(string) }

func (o object) name() string {
	m, _ := o["metadata"].(map[string]any)
	namespace, _ := m["namespace"].(string)
	name, _ := m["name"].(string)
	return o.kind() + " " + namespace + "/" + name
}

func objects(t *testing.T, text string) (list []object) {
	t.Helper()
	for _, document := range strings.Split("\n"+text, "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if o != nil {
			list = append(list, o)
		}
	}
	return list
}

// kustomized is what kubectl kustomize writes for a folder of WasmPlugin/.
func kustomized(t *testing.T, path string) string {
	t.Helper()
	return kustomizedIn(t, filepath.Join(folder, path))
}

func kustomizedIn(t *testing.T, path string) string {
	t.Helper()
	text, err := Kustomize(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// kustomizations are the folders of WasmPlugin/ that kubectl apply -k takes; components are for other kustomizations.
func kustomizations(t *testing.T) (list []string) {
	t.Helper()
	for _, path := range files(t) {
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == "kustomization.yaml" && strings.Contains(string(text), "\nkind: Kustomization\n") {
			list = append(list, filepath.Dir(path))
		}
	}
	return list
}

// charted is what helm template writes with these values.
func charted(t *testing.T, values string) string {
	t.Helper()
	text, err := chartWith(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func chartWith(t *testing.T, values string) (string, error) {
	t.Helper()
	chart, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range chart.Files {
		if f.Name != ".helmignore" && f.Name != "istio/authentication/requestauthentication.yaml" &&
			filepath.Base(f.Name) != "wasmplugin.yaml" {
			t.Errorf("the chart carries %s, which no template reads: see .helmignore", f.Name)
		}
	}
	return Chart(folder, "istio-system", values)
}

// files are all YAML files of WasmPlugin/ that are no templates.
func files(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "templates" {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".yaml") {
			path, err = filepath.Rel(folder, path)
			list = append(list, path)
		}
		return err
	})
	if err != nil || len(list) < 50 {
		t.Fatalf("%d files (%v)", len(list), err)
	}
	return list
}
