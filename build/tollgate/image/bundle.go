// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bundle is an image with its referrers.
type Bundle struct {
	Image     v1.Image
	Referrers []v1.Image
}

// Bundled makes the image of a module, with its bill of materials and its provenance as referrers, where there are any.
func Bundled(module []byte, form Form, info Info, materials, provenance []byte) (*Bundle, error) {
	img, err := New(module, form, info)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Image: img}
	for _, r := range []struct {
		mediaType string
		content   []byte
	}{{SPDX, materials}, {InToto, provenance}} {
		if r.content == nil {
			continue
		}
		referrer, err := Referrer(img, r.mediaType, r.content, info)
		if err != nil {
			return nil, err
		}
		b.Referrers = append(b.Referrers, referrer)
	}
	return b, nil
}

// Files of an OCI image layout. ReferrersFile lists the referrers of the image, as a registry's referrers API would
// (OCI distribution-spec 1.1): an image index.
const (
	ReferrersFile = "referrers.json"
	indexFile     = "index.json"
	layoutFile    = "oci-layout"
	blobsFolder   = "blobs/sha256/"
)

// files are the files of its layout. The index has the image alone: skopeo and others take each manifest there for one
// to choose.
func (b *Bundle) files() (map[string][]byte, error) {
	files := map[string][]byte{layoutFile: []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	referrers := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for i, img := range append([]v1.Image{b.Image}, b.Referrers...) {
		d, err := addBlobs(files, img)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			index.Manifests = append(index.Manifests, *d)
		} else {
			referrers.Manifests = append(referrers.Manifests, *d)
		}
	}
	var err error
	if files[indexFile], err = json.Marshal(index); err == nil && len(b.Referrers) > 0 {
		files[ReferrersFile], err = json.Marshal(referrers)
	}
	return files, err
}

func addBlobs(files map[string][]byte, img v1.Image) (*v1.Descriptor, error) {
	manifest, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	blobs := [][]byte{manifest, config}
	for _, l := range layers {
		content, err := compressed(l)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, content)
	}
	for _, content := range blobs {
		files[blobsFolder+sum(content)] = content
	}
	d, err := partial.Descriptor(img)
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	// What the manifest says of itself stands there.
	d.ArtifactType, d.Annotations = m.ArtifactType, nil
	return d, nil
}

func compressed(l v1.Layer) ([]byte, error) {
	r, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Write writes an OCI image layout: a folder that is not there yet, or, where the name ends in .tar, an archive. That
// has no times and no owners: the same image gives the same bytes.
func (b *Bundle) Write(output string) error {
	if strings.HasSuffix(output, ".tar") {
		text, err := b.Archive()
		if err != nil {
			return err
		}
		return os.WriteFile(output, text, 0o644)
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	if _, err := os.Stat(output); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", output)
	}
	for file, content := range files {
		file = filepath.Join(output, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Archive is the archive that Write writes.
func (b *Bundle) Archive() ([]byte, error) {
	files, err := b.files()
	if err != nil {
		return nil, err
	}
	return tarOf(files)
}

func tarOf(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(files[file])),
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[file]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// maxLayout is how many bytes of a layout are read: many times what the largest module takes.
const maxLayout = 256 << 20

// ReadLayout reads the layout that Write, or another tool, has written: a folder, or an archive of it. Its index has
// one image. Every blob has the content that its digest says, or the layout is refused.
func ReadLayout(input string) (*Bundle, error) {
	info, err := os.Stat(input)
	if err != nil {
		return nil, err
	}
	var files map[string][]byte
	if info.IsDir() {
		files, err = readFolder(os.DirFS(input))
	} else {
		files, err = readTar(input)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", input, err)
	}
	b, err := bundleOf(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", input, err)
	}
	return b, nil
}

var errLarge = fmt.Errorf("has more than %d MiB, which no image of Tollgate has", maxLayout>>20)

func readFolder(folder fs.FS) (map[string][]byte, error) {
	files, size := map[string][]byte{}, int64(0)
	return files, fs.WalkDir(folder, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", file)
		}
		if info.Size() > maxLayout-size {
			return errLarge
		}
		size += info.Size()
		files[file], err = fs.ReadFile(folder, file)
		return err
	})
}

func readTar(input string) (map[string][]byte, error) {
	f, err := os.Open(input)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files, size := map[string][]byte{}, int64(0)
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return files, nil
		case err != nil:
			return nil, fmt.Errorf("is no archive of an OCI image layout: %w", err)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		if h.Size > maxLayout-size { // not a sum: what a header says may be as large as a number can be
			return nil, errLarge
		}
		size += h.Size
		if files[path.Clean(h.Name)], err = io.ReadAll(t); err != nil {
			return nil, err
		}
	}
}

func bundleOf(files map[string][]byte) (*Bundle, error) {
	for file, content := range files {
		if digest, ok := strings.CutPrefix(file, blobsFolder); ok && digest != sum(content) {
			return nil, fmt.Errorf("the blob %s has another content: fetch the layout again", digest)
		}
	}
	list, err := images(files, indexFile)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%s has %d images: want one", indexFile, len(list))
	}
	b := &Bundle{Image: list[0]}
	if _, ok := files[ReferrersFile]; !ok {
		return b, nil
	}
	if b.Referrers, err = images(files, ReferrersFile); err != nil {
		return nil, err
	}
	digest, err := b.Image.Digest()
	if err != nil {
		return nil, err
	}
	for _, r := range b.Referrers {
		m, err := r.Manifest()
		if err != nil {
			return nil, err
		}
		if m.Subject == nil || m.Subject.Digest != digest {
			return nil, fmt.Errorf("%s has a manifest that refers to another image than %s", ReferrersFile, digest)
		}
	}
	return b, nil
}

// images are those that an index lists, made of the blobs of their layout.
func images(files map[string][]byte, index string) (list []v1.Image, err error) {
	text, ok := files[index]
	if !ok {
		return nil, fmt.Errorf("has no %s: it is no OCI image layout", index)
	}
	var m v1.IndexManifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	for _, d := range m.Manifests {
		img, err := imageOf(files, d)
		if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	return list, nil
}

func imageOf(files map[string][]byte, d v1.Descriptor) (v1.Image, error) {
	content := func(d v1.Descriptor) ([]byte, error) {
		b, ok := files[blobsFolder+d.Digest.Hex]
		if !ok {
			return nil, fmt.Errorf("has no blob %s", d.Digest)
		}
		if int64(len(b)) != d.Size {
			return nil, fmt.Errorf("the blob %s has %d bytes, and is said to have %d", d.Digest, len(b), d.Size)
		}
		return b, nil
	}
	manifest, err := content(d)
	if err != nil {
		return nil, err
	}
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("the manifest %s: %w", d.Digest, err)
	}
	p := &packed{mediaType: m.MediaType, manifest: manifest}
	if p.mediaType == "" {
		p.mediaType = d.MediaType
	}
	if !p.mediaType.IsImage() {
		return nil, fmt.Errorf("%s is %s, and no image", d.Digest, p.mediaType)
	}
	if p.config, err = content(m.Config); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		b, err := content(l)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, newBlob(b, l.MediaType))
	}
	return partial.CompressedToImage(p)
}

// options are how registries are spoken to: with the credentials of docker login.
func options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("tollgate")}
}

// Push writes the image to a registry, under a tag or under its digest, and then its referrers.
func (b *Bundle) Push(ctx context.Context, ref name.Reference) error {
	digest, err := b.Image.Digest()
	if err != nil {
		return err
	}
	if d, ok := ref.(name.Digest); ok && d.DigestStr() != digest.String() {
		return fmt.Errorf("%s: the image is %s", ref.Name(), digest)
	}
	if err := remote.Write(ref, b.Image, options(ctx)...); err != nil {
		return err
	}
	for _, r := range b.Referrers {
		digest, err := r.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(ref.Context().Digest(digest.String()), r, options(ctx)...); err != nil {
			return fmt.Errorf("a referrer of %s, which has been pushed: %w", ref.Name(), err)
		}
	}
	return nil
}
