// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package resources holds every resource in WasmPlugin/ against what the API server, Istio's
// webhook and tollgate check say of it, as a file and as kustomize and Helm render it.
package resources

import (
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Kustomize is what kubectl kustomize writes for a folder.
func Kustomize(folder string) (string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := resources.AsYaml()
	return string(text), err
}

// Chart is what helm template writes for a chart's folder with these values, in YAML.
func Chart(folder, namespace, values string) (string, error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return "", err
	}
	var own map[string]any
	if err := yaml.Unmarshal([]byte(values), &own); err != nil {
		return "", err
	}
	all, err := util.ToRenderValues(chart, own,
		common.ReleaseOptions{Name: "tollgate", Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, text := range rendered {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n---\n"), nil
}
