// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// elsewhere is the command, compiled, in a folder outside of any checkout.
type elsewhere struct {
	t           *testing.T
	binary, dir string
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tollgate")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &elsewhere{t, binary, t.TempDir()}
}

// run runs a command line that succeeds or not, and returns what it prints.
func (e *elsewhere) run(good bool, args ...string) (out, progress string) {
	e.t.Helper()
	command := exec.Command(e.binary, args...)
	command.Dir = e.dir
	var errors strings.Builder
	command.Stderr = &errors
	text, err := command.Output()
	if good != (err == nil) {
		e.t.Fatalf("%s: %v\n%s%s", args, err, text, errors.String())
	}
	return string(text), errors.String()
}

func (e *elsewhere) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func newRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true),
		registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// A module that was compiled elsewhere is packed where there is no checkout. With what was published beside it, the
// image and its referrers are those of whoever compiled it, to the byte.
func TestImageWithoutCheckout(t *testing.T) {
	e := newElsewhere(t)
	module, err := os.ReadFile(harness.Module(t, "rate-limit"))
	if err != nil {
		t.Fatal(err)
	}
	e.write("rate-limit.wasm", string(module))
	_, progress := e.run(true, "image", "build", "rate-limit", "-o", "bare.tar", "--module", "rate-limit.wasm")
	if !strings.Contains(progress, "no bill of materials") {
		t.Errorf("%s", progress)
	}
	if _, progress := e.run(false, "image", "build", "rate-limit", "-o", "y.tar"); !strings.Contains(progress,
		"--module") {
		t.Errorf("%s", progress)
	}

	info := image.Info{Name: "rate-limit", Version: "v1.2.0", Revision: strings.Repeat("a", 40), Source: image.Source}
	info.Created = info.Created.AddDate(2025, 0, 0)
	evidence := func(module []byte) *image.Evidence {
		dependencies := []image.Dependency{{Path: "std", Version: "1.26.8"}}
		materials, err := image.Materials(module, info, dependencies)
		if err != nil {
			t.Fatal(err)
		}
		provenance, err := image.Provenance(module, info, "go1.26.8", []string{"make"}, dependencies)
		if err != nil {
			t.Fatal(err)
		}
		return &image.Evidence{Materials: materials, Provenance: provenance}
	}
	good := evidence(module)
	published := info
	published.Licences = "Apache-2.0"
	bundle, err := image.Bundled(module, image.OCI, published, good.Materials, good.Provenance)
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.Write(filepath.Join(e.dir, "release.tar")); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(e.dir, "release.tar"))
	if err != nil {
		t.Fatal(err)
	}
	same := func(args ...string) {
		t.Helper()
		e.run(true, append([]string{"image", "build", "rate-limit", "-o", "x.tar", "--module", "rate-limit.wasm"},
			args...)...)
		if got, err := os.ReadFile(filepath.Join(e.dir, "x.tar")); err != nil || string(got) != string(want) {
			t.Errorf("%s: another image than the release's: %v", args, err)
		}
	}
	e.write("rate-limit.wasm.spdx.json", string(good.Materials))
	e.write("rate-limit.wasm.provenance.json", string(good.Provenance))
	same()
	same("--version", "v1.2.0", "--revision", info.Revision, "--created", "2026-01-01T00:00:00Z")
	for _, conflict := range []string{"--version=v1.2.1", "--revision=abc", "--source=https://example.com/x",
		"--created=2026-01-02T00:00:00Z"} {
		if _, progress := e.run(false, "image", "build", "rate-limit", "-o", "z.tar", "--module", "rate-limit.wasm",
			conflict); !strings.Contains(progress, "what was published with the module says") {
			t.Errorf("%s: %s", conflict, progress)
		}
	}
	if err := os.Mkdir(filepath.Join(e.dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".spdx.json", ".provenance.json"} {
		if err := os.Rename(filepath.Join(e.dir, "rate-limit.wasm"+suffix), filepath.Join(e.dir, "b", suffix)); err != nil {
			t.Fatal(err)
		}
	}
	same("--sbom", "b/.spdx.json", "--provenance", "b/.provenance.json")
	host := newRegistry(t)
	pushed, _ := e.run(true, "image", "push", "rate-limit", host+"/a/rate-limit:1", "--module", "rate-limit.wasm",
		"--sbom", "b/.spdx.json", "--provenance", "b/.provenance.json")
	digest, err := bundle.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(pushed) != "oci://"+host+"/a/rate-limit@"+digest.String() {
		t.Errorf("%s, and the release has %s", pushed, digest)
	}

	other := evidence(append(module, 0, 1, 0))
	e.write("other.spdx.json", string(other.Materials))
	e.write("other.provenance.json", string(other.Provenance))
	for _, c := range [][]string{
		{"the bill of materials is of another module", "--sbom", "other.spdx.json"},
		{"the provenance is of another module", "--provenance", "other.provenance.json"},
		{"no such file", "--sbom", "missing.json"},
		{"--bare is without", "--bare", "--sbom", "other.spdx.json"},
	} {
		if _, progress := e.run(false, append([]string{"image", "build", "rate-limit", "-o", "z.tar", "--module",
			"rate-limit.wasm"}, c[1:]...)...); !strings.Contains(progress, c[0]) {
			t.Errorf("%s: %s", c, progress)
		}
	}
	if _, err := os.Stat(filepath.Join(e.dir, "z.tar")); err == nil {
		t.Error("an image is written all the same")
	}
}

// Of a module that was published with something, the checkout around it says nothing: it is of another commit.
func TestImageInCheckout(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.wasm")
	module, err := os.ReadFile(harness.Module(t, "jwt-scope"))
	if err != nil {
		t.Fatal(err)
	}
	created := func(folder string, flags ...string) string {
		t.Helper()
		tollgate(t, 0, append([]string{"image", "build", "jwt-scope", "-o", filepath.Join(dir, folder), "--module", path},
			flags...)...)
		b, err := image.ReadLayout(filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.Image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		return m.Annotations["org.opencontainers.image.created"]
	}
	if err := os.WriteFile(path, module, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if at := created("own"); at == "" {
		t.Error("of a module without anything beside it, the checkout says nothing")
	}
	materials, err := image.Materials(module, image.Info{Name: "jwt-scope"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".spdx.json", materials, 0o644); err != nil {
		t.Fatal(err)
	}
	if at := created("published"); at != "" {
		t.Errorf("the checkout says %s", at)
	}
}

// A lean module is packed under its own name only, and no other under it.
func TestImageOfLean(t *testing.T) {
	output := filepath.Join(t.TempDir(), "x.tar")
	build := func(code int, module, of string) string {
		t.Helper()
		_, progress := tollgate(t, code, "image", "build", module, "--module", harness.Module(t, of), "-o", output)
		return progress
	}
	build(0, "rate-limit-lean", "rate-limit-lean")
	for module, of := range map[string]string{"rate-limit": "rate-limit-lean", "rate-limit-lean": "rate-limit",
		"tollgate": "tollgate-lean", "tollgate-lean": "tollgate"} {
		if progress := build(exitFound, module, of); !strings.Contains(progress, "is "+of+", and not "+module) {
			t.Errorf("%s", progress)
		}
	}
	tollgate(t, exitUsage, "image", "build", "jwt-scope-lean", "-o", output)
	tollgate(t, exitUsage, "image", "build", "rate-limit", "-o", output, "--sbom", "x")
}

// What image build has written is pushed as it is, and signed with the key that is named.
func TestImagePushLayout(t *testing.T) {
	dir := t.TempDir()
	archive, folder, key := filepath.Join(dir, "x.tar"), filepath.Join(dir, "x"), filepath.Join(dir, "key.pem")
	digest, _ := tollgate(t, 0, "image", "build", "edge-stamp", "-o", archive)
	tollgate(t, 0, "image", "build", "edge-stamp", "-o", folder)
	digest = strings.TrimSpace(digest)
	host := newRegistry(t)
	tollgate(t, 0, "keys", "new", "--kid", "images", "-o", key)
	public := filepath.Join(dir, "cosign.pub")
	for repository, layout := range map[string]string{host + "/archive": archive, host + "/folder": folder} {
		out, _ := tollgate(t, 0, "image", "push", "--layout", layout, repository+":1")
		if strings.TrimSpace(out) != "oci://"+repository+"@"+digest {
			t.Errorf("%s was pushed as %s", digest, out)
		}
		ref, err := name.NewDigest(repository + "@" + digest)
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Referrers(ref)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := index.IndexManifest(); err != nil || len(m.Manifests) != 2 {
			t.Errorf("%s has %+v, %v", repository, m, err)
		}
		tollgate(t, 0, "image", "sign", "--key", key, "--public-key", public, ref.Name())
		if out, _ := tollgate(t, 0, "image", "verify", "--key", public, "oci://"+repository+":1"); strings.TrimSpace(
			out) != "oci://"+ref.Name() {
			t.Errorf("%s was verified: %s", ref, out)
		}
	}
	tollgate(t, 0, "image", "push", "--layout", archive, host+"/signed:1", "--sign-key", key)
	tollgate(t, 0, "image", "verify", "--key", public, host+"/signed:1")
	tollgate(t, 0, "image", "push", "--layout", archive, host+"/unsigned:1")
	if _, progress := tollgate(t, exitFound, "image", "verify", "--key", public,
		host+"/unsigned:1"); !strings.Contains(progress, "has no signature in cosign's format") {
		t.Errorf("%s", progress)
	}
	for want, line := range map[string][]string{
		"as it is":                      {"push", "--layout", archive, host + "/x:1", "--version", "v1"},
		"accepts 1 arg(s)":              {"push", "edge-stamp", "--layout", archive, host + "/x:1"},
		"accepts 2 arg(s)":              {"push", host + "/x:1"},
		"--key is required: a private":  {"sign", host + "/x:1"},
		"--key is required: a public":   {"verify", host + "/x:1"},
		"could not parse reference: ::": {"verify", "::"},
		"no part of a repository's":     {"verify", "--key", public, host + "/signed/../signed:1"},
		"which it would replace":        {"sign", "--key", key, "--public-key", key, host + "/signed:1"},
	} {
		if _, progress := tollgate(t, exitUsage, append([]string{"image"}, line...)...); !strings.Contains(progress, want) {
			t.Errorf("%s: %s", line, progress)
		}
	}
	if _, progress := tollgate(t, exitFound, "image", "sign", "--key", public, host+"/signed:1"); !strings.Contains(
		progress, `is a PEM block "PUBLIC KEY": want a private key`) {
		t.Errorf("%s", progress)
	}
}
