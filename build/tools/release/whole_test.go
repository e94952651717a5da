// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build release

package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// program is one that make test-release compiles.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("$%s is not set: run make test-release", variable)
	}
	return path
}

// tool runs one of them, without anything of the user's.
type tool struct {
	t         *testing.T
	path, dir string
}

func (c tool) run(good bool, args ...string) string {
	c.t.Helper()
	command := exec.Command(c.path, args...)
	command.Dir = c.dir
	command.Env = append(os.Environ(), "HOME="+c.dir, "COSIGN_PASSWORD=secret", "HELM_CACHE_HOME="+c.dir,
		"HELM_CONFIG_HOME="+c.dir, "HELM_DATA_HOME="+c.dir)
	out, err := command.CombinedOutput()
	if good != (err == nil) {
		c.t.Fatalf("%s %s: %v\n%s", filepath.Base(c.path), args, err, out)
	}
	return string(out)
}

// A whole release, of two builds. It stays in $RELEASE_OUTPUT, for e2e/kubernetes. Its chart is read by Helm, and is
// what Helm packs; its manifests are pinned, and tollgate check has nothing against them. Its images are pushed to a
// registry, and signed and verified by the command and by cosign, each what the other has signed.
func TestWholeRelease(t *testing.T) {
	helm, cosign := program(t, "HELM"), program(t, "COSIGN")
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true),
		registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://") + "/tollgate"
	r := release{root: copied(t), version: "v0.2.0-rc.1", output: os.Getenv("RELEASE_OUTPUT"), targets: targets,
		progress: os.Stdout}
	if r.output == "" {
		r.output = filepath.Join(t.TempDir(), "release")
	}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := must(readTree(r.output))
	digests := map[string]string{}
	for line := range strings.Lines(string(files["images.txt"])) {
		f := strings.Fields(line)
		digests[f[1]] = f[2]
	}
	t.Run("commands", func(t *testing.T) {
		for _, t2 := range targets {
			name := "tollgate_0.2.0-rc.1_" + t2.os + "_" + t2.arch
			if files[name+".tar.gz"] == nil && files[name+".zip"] == nil {
				t.Errorf("there is no %s", name)
			}
		}
	})
	t.Run("manifests", func(t *testing.T) { manifests(t, files, digests) })
	t.Run("chart", func(t *testing.T) { helmChart(t, tool{t, helm, t.TempDir()}, r.output, files) })
	t.Run("signatures", func(t *testing.T) { signatures(t, cosign, r.output, host, digests) })
}

// named is the registry that the chart and the files name.
const named = "ghcr.io/tollgate-wasm"

var pinnedURL = regexp.MustCompile(`url: oci://(\S+)`)

func manifests(t *testing.T, files map[string][]byte, digests map[string]string) {
	for _, name := range []string{"overlay-production.yaml", "overlay-separate.yaml", "overlay-trafficextension.yaml",
		"overlay-staging.yaml", "overlay-ambient.yaml", "overlay-classic.yaml", "istio-services.yaml", "istio-mtls.yaml",
		"istio-bound-bodies.yaml"} {
		text := string(files[name])
		if text == "" {
			t.Errorf("there is no %s", name)
			continue
		}
		// The whole of an overlay: what is about pieces that belong together is then about nothing that is missing.
		var c check.Checker
		c.File(name, files[name])
		for _, f := range c.Findings() {
			if f.Severity == check.Error || strings.Contains(f.String(), "digest") {
				t.Errorf("%s", f)
			}
		}
		for _, m := range pinnedURL.FindAllStringSubmatch(text, -1) {
			digest := digests[m[1]]
			if !strings.HasPrefix(m[1], named+"/") || digest == "" ||
				!strings.Contains(text, strings.TrimPrefix(digest, "sha256:")) {
				t.Errorf("%s: %s is not pinned to %s", name, m[1], digest)
			}
		}
		if strings.HasPrefix(name, "overlay-") && !pinnedURL.MatchString(text) {
			t.Errorf("%s has no image", name)
		}
	}
}

func helmChart(t *testing.T, helm tool, release string, files map[string][]byte) {
	const name = "tollgate-0.2.0-rc.1.tgz"
	archive := filepath.Join(release, name)
	if out := helm.run(true, "show", "chart", archive); !strings.Contains(out, "version: 0.2.0-rc.1") ||
		!strings.Contains(out, "appVersion: 0.2.0-rc.1") {
		t.Errorf("%s", out)
	}
	out := helm.run(true, "template", "tollgate", archive, "--namespace", "istio-system")
	if !strings.Contains(out, "kind: WasmPlugin") || strings.Contains(out, placeholder) {
		t.Errorf("%s", out)
	}
	// Helm packs the same files from the manifests' archive.
	helm.t = t
	if out, err := exec.Command("tar", "-xzf", filepath.Join(release, "tollgate-manifests-0.2.0-rc.1.tar.gz"), "-C",
		helm.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if from := helm.run(true, "template", "tollgate", "WasmPlugin", "--namespace", "istio-system"); from != out {
		t.Error("the archive is rendered as something else than the folder")
	}
	helm.run(true, "package", "WasmPlugin", "--destination", "packed")
	list := func(path string) map[string]string {
		found := map[string]string{}
		for _, outer := range must(unpack(must(os.ReadFile(path)))) {
			for _, f := range must(unpack(outer.content)) {
				found[f.name] = string(f.content)
			}
		}
		return found
	}
	ours, theirs := list(archive), list(filepath.Join(helm.dir, "packed", name))
	for name, text := range theirs {
		if got, ok := ours[name]; !ok {
			t.Errorf("%s is in Helm's archive only", name)
		} else if got != text && name != "tollgate/Chart.yaml" { // which Helm writes anew
			t.Errorf("%s is another in Helm's archive", name)
		}
	}
	for name := range ours {
		if _, ok := theirs[name]; !ok {
			t.Errorf("%s is in our archive only", name)
		}
	}
}

func signatures(t *testing.T, cosign, release, host string, digests map[string]string) {
	dir := t.TempDir()
	archive := "tollgate_0.2.0-rc.1_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	if out, err := exec.Command("tar", "-xzf", filepath.Join(release, archive), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ours, theirs := tool{t, filepath.Join(dir, "tollgate"), dir}, tool{t, cosign, dir}
	pinned := map[string]string{}
	for _, name := range filters.Images() {
		tag := host + "/" + name + ":0.2.0-rc.1"
		out := ours.run(true, "image", "push", "--layout", filepath.Join(release, name+".oci.tar"), tag)
		pinned[name] = host + "/" + name + "@" + digests[named+"/"+name+":0.2.0-rc.1"]
		if !strings.Contains(out, "oci://"+pinned[name]+"\n") {
			t.Errorf("%s was pushed as %s, want %s", name, out, pinned[name])
		}
	}
	ours.run(true, "keys", "new", "--kid", "images", "-o", "pkcs8.pem")
	theirs.run(true, "generate-key-pair")
	verify := func(good bool, public, image string) {
		t.Helper()
		theirs.run(good, "verify", "--key", public, "--insecure-ignore-tlog", image)
		ours.run(good, "image", "verify", "--key", public, image)
	}
	// Ours, with a key of each kind, is taken by both.
	ours.run(true, "image", "sign", "--key", "pkcs8.pem", "--public-key", "pkcs8.pub", pinned["tollgate"])
	verify(true, "pkcs8.pub", pinned["tollgate"])
	verify(false, "cosign.pub", pinned["tollgate"])
	ours.run(true, "image", "sign", "--key", "cosign.key", pinned["tollgate"])
	verify(true, "cosign.pub", pinned["tollgate"])
	verify(true, "pkcs8.pub", pinned["tollgate"])
	// Theirs is taken by both.
	theirs.run(true, "sign", "--key", "cosign.key", "--use-signing-config=false", "--new-bundle-format=false",
		"--tlog-upload=false", "--yes", pinned["jwt-scope"])
	verify(true, "cosign.pub", pinned["jwt-scope"])
	verify(false, "pkcs8.pub", pinned["jwt-scope"])
	// Both on one image.
	ours.run(true, "image", "sign", "--key", "pkcs8.pem", pinned["jwt-scope"])
	verify(true, "cosign.pub", pinned["jwt-scope"])
	verify(true, "pkcs8.pub", pinned["jwt-scope"])
	verify(false, "cosign.pub", pinned["edge-stamp"])
}
