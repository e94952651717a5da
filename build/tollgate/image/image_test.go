// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var (
	module = []byte(magic + strings.Repeat("code", 10000))
	info   = Info{Name: "jwt-scope", Version: "v1.2.0", Revision: "abc", Source: "https://example.com/tollgate",
		Licences: "Apache-2.0", Created: time.Unix(1_800_000_000, 0)}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What Istio's agent looks at: the media types, the number of layers, the module in the last one.
func TestForms(t *testing.T) {
	for form, want := range map[Form]struct {
		manifest, config, last types.MediaType
		layers                 int
		annotated              bool
		// an image is the same wherever it is made: after a change that is meant, write the new one here
		digest string
	}{
		OCI: {types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer, 1, true,
			"sha256:bbcdb88ac5cc7a3ecf497e91601db5e3128d082f5bc0252a5880904e12ce2cb9"},
		Docker: {types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer, 1, false,
			"sha256:9262f636b66ebf66b697b65229ea95abad1a45078bbd6c8077ce60b7caf28657"},
		Artifact: {types.OCIManifestSchema1, wasmConfig, wasmContent, 2, true,
			"sha256:7e01626a33513bb801fe0a3f995ce084362a9d48154ba860fab30aad97be2d99"},
	} {
		img, err := New(module, form, info)
		if err != nil {
			t.Fatal(err)
		}
		if form != Artifact { // whose layers are no archives
			if err := validate.Image(img); err != nil {
				t.Errorf("%s: %v", form, err)
			}
		}
		m := must(img.Manifest())
		if m.MediaType != want.manifest || m.Config.MediaType != want.config || len(m.Layers) != want.layers ||
			m.Layers[want.layers-1].MediaType != want.last {
			t.Errorf("%s: %+v", form, m)
		}
		if a := m.Annotations; want.annotated != (a["org.opencontainers.image.revision"] == "abc" &&
			a["org.opencontainers.image.created"] == "2027-01-15T08:00:00Z" && len(a) == 6) {
			t.Errorf("%s: %v", form, a)
		}
		if got := must(Module(img)); !bytes.Equal(got, module) {
			t.Errorf("%s holds another module", form)
		}
		if d := must(img.Digest()); d.String() != want.digest {
			t.Errorf("%s has the digest %s", form, d)
		}
	}
	if _, err := New([]byte("#!/bin/sh"), OCI, info); err == nil {
		t.Error("anything is taken for a module")
	}
	if _, err := New(module, "cncf", info); err == nil || !strings.Contains(err.Error(), "oci artifact docker") {
		t.Errorf("a form that Istio refuses: %v", err)
	}
}

func TestReferrers(t *testing.T) {
	img := must(New(module, OCI, info))
	dependencies := []Dependency{{"std", "go1.26.8", ""},
		{"github.com/tidwall/gjson", "v1.20.0", "h1:" + strings.Repeat("A", 43) + "="}}
	for mediaType, content := range map[string][]byte{SPDX: must(Materials(module, info, dependencies)),
		InToto: must(Provenance(module, info, "go1.26.8", []string{"go", "build"}, dependencies))} {
		r := must(Referrer(img, mediaType, content, info))
		m := must(r.Manifest())
		if m.Subject == nil || m.Subject.Digest != must(img.Digest()) ||
			m.Subject.MediaType != types.OCIManifestSchema1 || m.ArtifactType != mediaType ||
			m.Config.Digest != digestOf("{}") || len(m.Layers) != 1 {
			t.Errorf("%s: %+v", mediaType, m)
		}
		if !json.Valid(content) || !bytes.Contains(content, []byte("pkg:golang/github.com/tidwall/gjson@v1.20.0")) ||
			!bytes.Contains(content, []byte(moduleDigest())) {
			t.Errorf("%s: %s", mediaType, content)
		}
	}
}

func digestOf(text string) v1.Hash {
	h, _, _ := v1.SHA256(strings.NewReader(text))
	return h
}

func moduleDigest() string {
	h, _, _ := v1.SHA256(bytes.NewReader(module))
	return h.Hex
}
