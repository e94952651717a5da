// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package image packs a filter's module as the OCI images that Istio's agent pulls (istio/istio,
// pkg/wasm/imagefetcher.go), with a bill of materials and the provenance as referrers.
//
// The same module and Info give the same bytes, and so the same digests, wherever and whenever that is.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Form is how an image holds the module.
type Form string

// The forms, all of which Istio accepts. Others, such as the CNCF's one-layer artifact, it refuses.
const (
	OCI      Form = "oci"      // an OCI manifest with one layer, a tar.gz with plugin.wasm
	Artifact Form = "artifact" // an OCI artifact of two layers, the second of which is the module itself
	Docker   Form = "docker"   // as OCI, in a Docker manifest (version 2, schema 2)
)

// Forms are all of them.
var Forms = []Form{OCI, Artifact, Docker}

// Source is where the source of Tollgate is.
const Source = "https://github.com/tollgate-wasm/tollgate"

// Info is what the annotations say about an image (OCI image-spec, annotations.md). Empty fields are left out.
type Info struct {
	Name     string    // org.opencontainers.image.title: "jwt-scope"
	Version  string    // of the release: "v1.2.0"
	Revision string    // of the source: a commit
	Source   string    // where that is: a URL
	Licences string    // SPDX expression
	Created  time.Time // of the source, not of the build
}

func (i *Info) annotations() map[string]string {
	a := map[string]string{}
	for name, value := range map[string]string{"title": i.Name, "version": i.Version, "revision": i.Revision,
		"source": i.Source, "licenses": i.Licences} {
		if value != "" {
			a["org.opencontainers.image."+name] = value
		}
	}
	if !i.Created.IsZero() {
		a["org.opencontainers.image.created"] = i.Created.UTC().Format(time.RFC3339)
	}
	return a
}

// The media types of the two-layer artifact, as Istio and solo.io's wasm-to-oci have them.
const (
	wasmConfig  types.MediaType = "application/vnd.module.wasm.config.v1+json"
	wasmContent types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
)

// plugin is the file that Istio looks for in the layer.
const plugin = "plugin.wasm"

// magic is what every WebAssembly module of version 1 begins with.
const magic = "\x00asm\x01\x00\x00\x00"

var errNoModule = errors.New("this is no WebAssembly module")

// New makes the image of a module.
func New(module []byte, form Form, info Info) (v1.Image, error) {
	if !bytes.HasPrefix(module, []byte(magic)) {
		return nil, errNoModule
	}
	if form == Artifact {
		description := []byte(`{"type":"envoy_proxy"}`)
		return pack(types.OCIManifestSchema1, wasmConfig, "", description, nil, info.annotations(),
			newBlob(description, wasmConfig), newBlob(module, wasmContent))
	}
	archive, err := tarOf(map[string][]byte{plugin: module})
	if err != nil {
		return nil, err
	}
	layer, err := compress(archive)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(&v1.ConfigFile{Architecture: "wasm", OS: "wasip1",
		Created: v1.Time{Time: info.Created.UTC()}, RootFS: v1.RootFS{Type: "layers",
			DiffIDs: []v1.Hash{{Algorithm: "sha256", Hex: sum(archive)}}}})
	if err != nil {
		return nil, err
	}
	switch form {
	case OCI:
		return pack(types.OCIManifestSchema1, types.OCIConfigJSON, "", config, nil, info.annotations(),
			newBlob(layer, types.OCILayer))
	case Docker: // whose manifests have no annotations
		return pack(types.DockerManifestSchema2, types.DockerConfigJSON, "", config, nil, nil,
			newBlob(layer, types.DockerLayer))
	}
	return nil, fmt.Errorf("no form is called %q: want one of %v", form, Forms)
}

// Referrer makes a manifest that says something about another one: its content, of a media type,
// refers to subject (OCI image-spec 1.1, artifacts).
func Referrer(subject v1.Image, mediaType string, content []byte, info Info) (v1.Image, error) {
	of, err := partial.Descriptor(subject)
	if err != nil {
		return nil, err
	}
	of.Annotations = nil
	return pack(types.OCIManifestSchema1, "application/vnd.oci.empty.v1+json", mediaType, []byte("{}"), of,
		info.annotations(), newBlob(content, types.MediaType(mediaType)))
}

func compress(archive []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b) // its header has neither a name nor a time
	if _, err := w.Write(archive); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// blob is what a manifest points at.
type blob struct {
	content    []byte
	descriptor v1.Descriptor
}

func newBlob(content []byte, mediaType types.MediaType) *blob {
	return &blob{content, v1.Descriptor{MediaType: mediaType, Size: int64(len(content)),
		Digest: v1.Hash{Algorithm: "sha256", Hex: sum(content)}}}
}

func (b *blob) Digest() (v1.Hash, error)            { return b.descriptor.Digest, nil }
func (b *blob) Size() (int64, error)                { return b.descriptor.Size, nil }
func (b *blob) MediaType() (types.MediaType, error) { return b.descriptor.MediaType, nil }
func (b *blob) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.content)), nil
}

// packed is an image whose manifest and configuration are given as bytes.
type packed struct {
	mediaType        types.MediaType
	config, manifest []byte
	layers           []*blob
}

func pack(mediaType, configType types.MediaType, artifactType string, config []byte, subject *v1.Descriptor,
	annotations map[string]string, layers ...*blob) (v1.Image, error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: mediaType, Annotations: annotations, Subject: subject,
		ArtifactType: artifactType, Config: newBlob(config, configType).descriptor}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.descriptor)
	}
	manifest, err := json.Marshal(&m)
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&packed{mediaType, config, manifest, layers})
}

func (p *packed) MediaType() (types.MediaType, error) { return p.mediaType, nil }
func (p *packed) RawConfigFile() ([]byte, error)      { return p.config, nil }
func (p *packed) RawManifest() ([]byte, error)        { return p.manifest, nil }

func (p *packed) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range p.layers {
		if l.descriptor.Digest == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// Module returns the module that an image of any form holds.
func Module(img v1.Image) ([]byte, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) == 0 {
		return nil, errors.New("the image has no layers")
	}
	last := layers[len(layers)-1]
	r, err := last.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if mediaType, err := last.MediaType(); err != nil || mediaType == wasmContent {
		b, readErr := io.ReadAll(r)
		return b, errors.Join(err, readErr)
	}
	plain, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil, errors.New("the image's last layer has no " + plugin)
		}
		if err != nil {
			return nil, err
		}
		if h.Name == plugin {
			return io.ReadAll(t)
		}
	}
}
