// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// Watched is an HTTP filter whose configuration Envoy reads from a file, and again whenever that
// changes (ECDS), as a mesh's control plane would send it.
type Watched struct {
	t       testing.TB
	name    string
	dir     string
	version int
}

// NewWatched makes one; Push its first configuration before Envoy starts.
func NewWatched(t testing.TB, name string) *Watched {
	return &Watched{t: t, name: name, dir: t.TempDir()}
}

// Filter is what stands for it among a listener's filters.
func (w *Watched) Filter() bootstrap.M {
	return bootstrap.M{"name": w.name, "config_discovery": bootstrap.M{
		"config_source": bootstrap.M{"path_config_source": bootstrap.M{"path": filepath.Join(w.dir, "ecds.json"),
			"watched_directory": bootstrap.M{"path": w.dir}}, "resource_api_version": "V3"},
		"type_urls": []string{"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"},
	}}
}

// Push writes a configuration; Envoy sees a rename.
func (w *Watched) Push(filter bootstrap.Wasm) {
	w.t.Helper()
	w.version++
	b, err := json.Marshal(bootstrap.M{"version_info": fmt.Sprint(w.version), "resources": []bootstrap.M{{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": w.name,
		"typed_config": filter.Filter()["typed_config"],
	}}})
	if err != nil {
		w.t.Fatal(err)
	}
	temporary := filepath.Join(w.dir, "ecds.json.new")
	if err := os.WriteFile(temporary, b, 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(w.dir, "ecds.json")); err != nil {
		w.t.Fatal(err)
	}
}
