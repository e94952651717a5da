// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func bundle() *Bundle {
	dependencies := []Dependency{{"std", "1.26.8", ""}}
	return must(Bundled(module, OCI, info, must(Materials(module, info, dependencies)),
		must(Provenance(module, info, "go1.26.8", []string{"make"}, dependencies))))
}

// A layout is read as it was written, as a folder and as an archive, and the library reads it, too.
func TestLayout(t *testing.T) {
	b, dir := bundle(), t.TempDir()
	for _, output := range []string{filepath.Join(dir, "x.tar"), filepath.Join(dir, "x")} {
		if err := b.Write(output); err != nil {
			t.Fatal(err)
		}
		got, err := ReadLayout(output)
		if err != nil {
			t.Fatal(err)
		}
		if want := must(b.Image.Digest()); must(got.Image.Digest()) != want || len(got.Referrers) != 2 {
			t.Errorf("%s: %v with %d referrers, want %s", output, must(got.Image.Digest()), len(got.Referrers), want)
		}
		if !bytes.Equal(must(Module(got.Image)), module) {
			t.Errorf("%s holds another module", output)
		}
		if files := must(got.files()); !maps.EqualFunc(files, must(b.files()), bytes.Equal) {
			t.Errorf("%s is written anew as something else", output)
		}
	}
	m := must(must(layout.ImageIndexFromPath(filepath.Join(dir, "x"))).IndexManifest())
	if len(m.Manifests) != 1 || m.Manifests[0].Digest != must(b.Image.Digest()) {
		t.Errorf("the index has %+v", m)
	}
	if err := b.Write(filepath.Join(dir, "x")); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("%v", err)
	}
}

// Other tools leave the type out of manifests, and begin names by a dot.
func TestLayoutOfOthers(t *testing.T) {
	files := map[string][]byte{}
	for name, content := range must(bundle().files()) {
		files["./"+name] = content
	}
	manifest := bytes.Replace(must(bundle().Image.RawManifest()),
		[]byte(`"mediaType":"application/vnd.oci.image.manifest.v1+json",`), nil, 1)
	files["./"+blobsFolder+sum(manifest)] = manifest
	files["./"+indexFile] = []byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"digest":"sha256:` + sum(manifest) + `","size":` + strconv.Itoa(len(manifest)) + `}]}`)
	delete(files, "./"+ReferrersFile)
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, must(tarOf(files)), 0o644); err != nil {
		t.Fatal(err)
	}
	img := must(ReadLayout(path)).Image
	if d := must(img.Digest()); d.Hex != sum(manifest) || must(img.MediaType()) != types.OCIManifestSchema1 {
		t.Errorf("%s of type %s", d, must(img.MediaType()))
	}
}

// What is not whole, or speaks of something else, is refused.
func TestLayoutRefused(t *testing.T) {
	manifest := blobsFolder + must(bundle().Image.Digest()).Hex
	layer := blobsFolder + must(bundle().Image.Manifest()).Layers[0].Digest.Hex
	config := blobsFolder + must(bundle().Image.Manifest()).Config.Digest.Hex
	other := must(Bundled(append(bytes.Clone(module), 1), OCI, info, []byte("{}"), nil))
	for want, change := range map[string]func(map[string][]byte){
		"has another content":             func(f map[string][]byte) { f[layer] = append(f[layer], 0) },
		"has no index.json":               func(f map[string][]byte) { delete(f, indexFile) },
		"index.json: ":                    func(f map[string][]byte) { f[indexFile] = []byte("[]") },
		"has 0 images":                    func(f map[string][]byte) { f[indexFile] = []byte("{}") },
		"has no blob " + digest(manifest): func(f map[string][]byte) { delete(f, manifest) },
		"has no blob " + digest(layer):    func(f map[string][]byte) { delete(f, layer) },
		"has no blob " + digest(config):   func(f map[string][]byte) { delete(f, config) },
		"has no blob sha512:": func(f map[string][]byte) {
			f[indexFile] = []byte(`{"manifests":[{"digest":"sha512:` + strings.Repeat("0", 128) + `"}]}`)
		},
		"and is said to have 1": func(f map[string][]byte) {
			f[indexFile] = []byte(`{"manifests":[{"digest":"` + digest(manifest) + `","size":1}]}`)
		},
		"and is said to have 2": func(f map[string][]byte) { resize(f, manifest, "config", 2) },
		"and is said to have 3": func(f map[string][]byte) { resize(f, manifest, "layer", 3) },
		"and no image": func(f map[string][]byte) {
			index := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`)
			f[blobsFolder+sum(index)] = index
			f[indexFile] = []byte(`{"manifests":[{"digest":"sha256:` + sum(index) + `","size":` +
				strconv.Itoa(len(index)) + `}]}`)
		},
		"refers to another image": func(f map[string][]byte) {
			files := must(other.files())
			maps.Copy(f, files)
			f[indexFile] = must(bundle().files())[indexFile]
		},
	} {
		files := must(bundle().files())
		change(files)
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, must(tarOf(files)), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLayout(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for want, header := range map[string]tar.Header{
		"has more than 256 MiB": {Name: "hole", Typeflag: tar.TypeReg, Size: maxLayout + 1},
		"has no index.json":     {Name: indexFile, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	} {
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLayout(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	var b bytes.Buffer // a size with which a sum would begin anew
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{{Name: "a", Typeflag: tar.TypeReg, Size: 1}, {Name: "b", Typeflag: tar.TypeReg,
		Size: math.MaxInt64}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size == 1 {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	overflow := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(overflow, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLayout(overflow); err == nil || !strings.Contains(err.Error(), "has more than 256 MiB") {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(path, []byte(strings.Repeat("no archive", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLayout(path); err == nil || !strings.Contains(err.Error(), "no archive of an OCI image layout") {
		t.Errorf("%v", err)
	}
	folder := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(folder, indexFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLayout(folder); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("%v", err)
	}
	large := filepath.Join(t.TempDir(), "x")
	if err := os.MkdirAll(large, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(large, "hole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(large, "hole"), maxLayout+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLayout(large); err == nil || !strings.Contains(err.Error(), "has more than 256 MiB") {
		t.Errorf("%v", err)
	}
}

// resize has the manifest of a layout say another size of its configuration or of its layer.
func resize(files map[string][]byte, manifest, of string, size int64) {
	var m v1.Manifest
	if err := json.Unmarshal(files[manifest], &m); err != nil {
		panic(err)
	}
	if of == "config" {
		m.Config.Size = size
	} else {
		m.Layers[0].Size = size
	}
	text := must(json.Marshal(m))
	files[blobsFolder+sum(text)] = text
	files[indexFile] = must(json.Marshal(v1.IndexManifest{Manifests: []v1.Descriptor{{MediaType: m.MediaType,
		Digest: v1.Hash{Algorithm: "sha256", Hex: sum(text)}, Size: int64(len(text))}}}))
}

func digest(blob string) string { return "sha256:" + strings.TrimPrefix(blob, blobsFolder) }

// An image is not pushed under another's digest.
func TestPushDigest(t *testing.T) {
	ref := must(name.NewDigest("127.0.0.1:1/x@sha256:" + strings.Repeat("a", 64)))
	if err := bundle().Push(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "the image is sha256:") {
		t.Errorf("%v", err)
	}
}

// What was published with a module says what its image says, and is refused with another module.
func TestEvidence(t *testing.T) {
	dependencies := []Dependency{{"std", "1.26.8", ""}}
	materials := must(Materials(module, info, dependencies))
	provenance := must(Provenance(module, info, "go1.26.8", []string{"make"}, dependencies))
	e := must(ReadEvidence(module, "jwt-scope", materials, provenance))
	want := info
	want.Licences, want.Created = "", want.Created.UTC()
	if e.Info != want {
		t.Errorf("%+v, want %+v", e.Info, want)
	}
	if e := must(ReadEvidence(module, "jwt-scope", must(Materials(module, Info{Name: "jwt-scope"}, nil)),
		nil)); e.Info != (Info{Name: "jwt-scope"}) {
		t.Errorf("of one that says nothing: %+v", e.Info)
	}
	elsewhere := info
	elsewhere.Source = "https://example.com/other"
	replace := func(b []byte, old, new string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("%s is not in %s", old, b)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	for want, c := range map[string]struct {
		name                  string
		materials, provenance []byte
	}{
		"the bill of materials is no JSON":               {"jwt-scope", []byte("x"), provenance},
		"the bill of materials is no SPDX 2 document":    {"jwt-scope", []byte("{}"), provenance},
		"describes jwt-scope, and not rate-limit":        {"rate-limit", materials, nil},
		"describes no package with a SHA256 checksum":    {"jwt-scope", replace(materials, `"SHA256"`, `"SHA1"`), nil},
		"the bill of materials is of another module":     {"jwt-scope", replace(materials, moduleDigest()+`"}`, `00"}`), nil},
		"describes no package":                           {"jwt-scope", replace(materials, "DESCRIBES", "CONTAINS"), nil},
		"has no time in creationInfo.created":            {"jwt-scope", replace(materials, "2027-01-15T", "today"), nil},
		"the provenance is no JSON":                      {"jwt-scope", materials, []byte("x")},
		"the provenance is no in-toto statement":         {"jwt-scope", materials, []byte("{}")},
		`predicateType "https://slsa.dev/provenance/v9"`: {"jwt-scope", nil, replace(provenance, predicateType, "https://slsa.dev/provenance/v9")},
		`_type "https://in-toto.io/Statement/v9"`:        {"jwt-scope", nil, replace(provenance, statementType, "https://in-toto.io/Statement/v9")},
		"has 2 subjects":                                 {"jwt-scope", nil, replace(provenance, `"subject":[`, `"subject":[{"name":"x"},`)},
		"has 0 subjects":                                 {"jwt-scope", nil, []byte(`{"_type":"` + statementType + `","predicateType":"` + predicateType + `"}`)},
		"the provenance is of another module":            {"jwt-scope", nil, replace(provenance, moduleDigest(), "00")},
		`is of "jwt-scope", and not of rate-limit`:       {"rate-limit", nil, provenance},
		"has the source https://example.com/other": {"jwt-scope", materials,
			must(Provenance(module, elsewhere, "go1.26.8", nil, nil))},
	} {
		if _, err := ReadEvidence(module, c.name, c.materials, c.provenance); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A layer that is no blob of the layout is no layer of its image.
func TestLayerOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := bundle().Write(path); err != nil {
		t.Fatal(err)
	}
	img := must(ReadLayout(path)).Image
	if _, err := img.LayerByDigest(v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}); err == nil {
		t.Error("there is a layer of any digest")
	}
}
