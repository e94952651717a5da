// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// What the README has readers write is rendered and accepted: an overlay of one's own, values of
// one's own, and what is set on helm's command line.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	overlays, values := 0, 0
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], "kind: EnvoyPatchPolicy") {
			continue // Envoy Gateway's: e2e/kubernetes
		}
		if !strings.Contains(m[1], "kind: Kustomization") {
			values++
			accepted(t, "values", charted(t, m[1]))
			continue
		}
		overlays++
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(copied, "overlays/own")
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(m[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		if rendered := kustomizedIn(t, own); accepted(t, "overlay", rendered) == 0 ||
			!strings.Contains(rendered, "mode: shadow") || strings.Contains(rendered, "kind: WasmPlugin") {
			t.Errorf("the overlay renders\n%s", rendered)
		}
	}
	sets := 0
	for _, m := range regexp.MustCompile(`(?m)^helm .* --set (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		sets++
		set, err := strvals.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		own, err := yaml.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if accepted(t, m[1], charted(t, string(own))) == 0 {
			t.Errorf("%s renders nothing", m[1])
		}
	}
	if overlays != 1 || values != 2 || sets != 3 {
		t.Errorf("%d overlays, %d values and %d settings: the test tests less than there is", overlays, values, sets)
	}
}
