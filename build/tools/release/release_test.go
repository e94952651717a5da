// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const changelog = `# Changelog

## [Unreleased]

### Added

- this

## [1.2.0] - 2026-11-27

- that

## [1.1.0]

- no day

## [1.0.0] - 2026-11-01

## [0.9.0] - 2026-10-01
`

func TestNotes(t *testing.T) {
	for version, want := range map[string]string{"v1.2.0": "- that\n", "v1.3.0-rc.1": "### Added\n\n- this\n"} {
		if text, err := notes(changelog, version); text != want || err != nil {
			t.Errorf("%s: %q, %v", version, text, err)
		}
	}
	for version, want := range map[string]string{"v1.3.0": `no section "## [1.3.0]`, "v1.1.0": "no section",
		"v1.0.0": "the section of 1.0.0 is empty", "v102.0": "no section"} {
		if text, err := notes(changelog, version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", version, text, err)
		}
	}
	if _, err := notes("## [1.2.0] - 2026-11-27\n- x\n", "v1.3.0-rc.1"); err == nil {
		t.Error("a pre-release of nothing")
	}
}

func TestVersions(t *testing.T) {
	for _, good := range []string{"v0.1.0", "v10.20.30", "v1.2.3-rc.1", "v1.2.3-0.a-b.7"} {
		if !versions.MatchString(good) {
			t.Errorf("%s is refused", good)
		}
	}
	for _, bad := range []string{"", "0.1.0", "v1", "v1.2", "v01.2.3", "v1.2.3+build", "v1.2.3-01", "v1.2.3-", "v1.2.3 x",
		"v1.2.3\n", "v1.2.3-a..b", "latest"} {
		if versions.MatchString(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
	for registry, good := range map[string]bool{"ghcr.io/tollgate-wasm": true, "ghcr.io": true, "127.0.0.1:5000": true,
		"localhost:5000/a/b_c": true, "https://ghcr.io": false, "ghcr.io/": false, "ghcr.io/A": false, "ghcr.io/a b": false,
		"ghcr.io//x": false, "ghcr.io/..": false, "ghcr.io/x:1": false, "ghcr.io/x@sha256": false, "tollgate": false} {
		if isRegistry(registry) != good {
			t.Errorf("%s: want %v", registry, good)
		}
	}
}

func shipped(t *testing.T) map[string][]byte {
	t.Helper()
	return must(readTree(filepath.Join(checkout.Root(t), "WasmPlugin")))
}

func testPins() *pins {
	p := &pins{from: "ghcr.io/tollgate-wasm", to: "127.0.0.1:5000/tollgate", tag: "0.1.0", version: "0.2.0-rc.1",
		digests: map[string]string{}}
	for i, module := range filters.Images() {
		p.digests[module] = strings.Repeat(string(rune('a'+i)), 64)
	}
	return p
}

// Every shipped resource gets the digest of the module whose image it names, and nothing else of it changes.
func TestPin(t *testing.T) {
	p, tree := testPins(), shipped(t)
	pinned := must(p.pin(tree))
	counted := 0
	for name, text := range pinned {
		if bytes.Contains(text, []byte("v"+p.tag)) {
			t.Errorf("%s speaks of another version of the source", name)
		}
		if bytes.Contains(text, []byte(placeholder)) || bytes.Contains(text, []byte(p.from+"/")) {
			t.Errorf("%s has a placeholder or another registry:\n%s", name, text)
		}
		old, lines := strings.Split(string(tree[name]), "\n"), strings.Split(string(text), "\n")
		if len(old) != len(lines) {
			t.Fatalf("%s has %d lines, and had %d", name, len(lines), len(old))
		}
		for i, line := range lines {
			if line == old[i] {
				continue
			}
			counted++
			back := strings.NewReplacer(p.to, p.from, p.version, p.tag).Replace(line)
			for _, digest := range p.digests {
				back = strings.ReplaceAll(back, digest, placeholder)
			}
			if back != old[i] {
				t.Errorf("%s:%d: %q was %q", name, i+1, line, old[i])
			}
		}
	}
	if counted < 60 {
		t.Errorf("%d lines have changed", counted)
	}
	for name, module := range map[string]string{"jwt-scope/mesh/wasmplugin.yaml": "jwt-scope",
		"tollgate/gateway/trafficextension.yaml": "tollgate", "envoy-gateway/edge.yaml": "tollgate",
		"istio/bound-bodies/envoyfilter.yaml": "edge-stamp"} {
		if !bytes.Contains(pinned[name], []byte(p.digests[module])) ||
			!bytes.Contains(pinned[name], []byte(p.to+"/"+module+":0.2.0-rc.1")) {
			t.Errorf("%s has not %s:\n%s", name, module, pinned[name])
		}
	}
	var values struct {
		Image struct {
			Registry, Tag string
			SHA256        map[string]string
		}
	}
	if err := yaml.Unmarshal(pinned["values.yaml"], &values); err != nil || values.Image.Registry != p.to ||
		values.Image.Tag != p.version {
		t.Errorf("%v: %+v", err, values)
	}
	for module, digest := range values.Image.SHA256 {
		if digest != p.digests[module] {
			t.Errorf("values.yaml: %s has %s", module, digest)
		}
	}
	var images struct{ Data map[string]string }
	if err := yaml.Unmarshal(pinned["images/images.yaml"], &images); err != nil || len(images.Data) != 8 {
		t.Errorf("%v: %+v", err, images)
	}
	for key, value := range images.Data {
		module, kind, _ := strings.Cut(key, ".")
		if want := map[string]string{"url": "oci://" + p.to + "/" + module + ":" + p.version,
			"sha256": p.digests[module]}[kind]; value != want {
			t.Errorf("images.yaml: %s is %s, want %s", key, value, want)
		}
	}
}

// A placeholder whose module is not known is no reason to guess.
func TestPinRefuses(t *testing.T) {
	line := `    sha256: "` + placeholder + "\"\n"
	url := "    url: oci://ghcr.io/tollgate-wasm/jwt-scope:0.1.0\n"
	for want, change := range map[string]func(map[string][]byte){
		"x.yaml:1: a placeholder of no module": func(m map[string][]byte) { m["x.yaml"] = []byte(line) },
		"x.yaml:5: a placeholder of no module": func(m map[string][]byte) { m["x.yaml"] = []byte(url + "\n\n\n" + line) },
		"x.yaml:2: a placeholder of no module": func(m map[string][]byte) {
			m["x.yaml"] = []byte(strings.Replace(url, "jwt-scope", "other", 1) + line)
		},
		"y.yaml:1: a placeholder of no module": func(m map[string][]byte) {
			m["x.yaml"], m["y.yaml"] = []byte(url), []byte(line)
		},
		"z.yaml:1: a placeholder of no module": func(m map[string][]byte) {
			m["z.yaml"] = []byte(strings.Replace(line, "sha256", "other", 1))
		},
		`"tag: 0.1.0" stands there 0 times`:     func(m map[string][]byte) { m["values.yaml"] = []byte("image:\n") },
		`"version: 0.1.0" stands there 0 times`: func(m map[string][]byte) { m["Chart.yaml"] = nil },
	} {
		tree := shipped(t)
		change(tree)
		if _, err := testPins().pin(tree); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestIgnored(t *testing.T) {
	rules := []string{"# no rule", "README.md", "base/", "istio/mtls/", "", "images.yaml"}
	for name, want := range map[string]bool{"README.md": true, "a/README.md": true, "base/a/b.yaml": true,
		"x/base/b.yaml": true, "base": false, "istio/mtls/a.yaml": true, "istio/mtls": false, "x/istio/mtls/a.yaml": false,
		"istio/authentication/a.yaml": false, "a/images.yaml": true, "Chart.yaml": false, "no rule": false} {
		if ignored(rules, name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for folder, files := range map[string]map[string][]byte{a: {"same": []byte("x"), "other": []byte("x"), "a": nil},
		b: {"same": []byte("x"), "other": []byte("y"), "b": nil}} {
		if err := writeTree(folder, files); err != nil {
			t.Fatal(err)
		}
	}
	if err := compare(a, b); err == nil || err.Error() != "a is in one of the two builds only\n"+
		"b is in one of the two builds only\nother differs between the two builds" {
		t.Errorf("%v", err)
	}
	if err := compare(a, a); err != nil {
		t.Error(err)
	}
}

// What must not be released is found in every kind of file, and within archives.
func TestScan(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	const base64 = "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY"
	const path = "/home/somebody/tollgate"
	pack := func(text string) map[string][]byte {
		inner := must(tarred([]file{{"deep", 0o644, []byte(text)}}, at))
		layout := must(bundle(inner).Archive())
		return map[string][]byte{"plain": []byte(text), "x.tgz": inner, "x.zip": must(zipped([]file{{"deep", 0o644,
			[]byte(text)}}, at)), "x.oci.tar": layout}
	}
	for text, want := range map[string]string{"sha256: " + placeholder: "a placeholder",
		"-----BEGIN EC PRIVATE KEY-----\n" + base64 + "\n":                                               "a private key",
		`"pem": "-----BEGIN PRIVATE KEY-----\n` + base64:                                                 "a private key",
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" + base64: "a private key",
		`{"kty":"EC","d": "` + base64 + `"}`:                                                             "a private key", "x" + path + "/y": "a path of this machine: " + path} {
		folder := t.TempDir()
		if err := writeTree(folder, pack(text)); err != nil {
			t.Fatal(err)
		}
		err := scan(folder, []string{path})
		if err == nil {
			t.Errorf("%s: nothing is found", text)
			continue
		}
		for _, name := range []string{"plain has ", "x.tgz: deep has ", "x.zip: deep has ", "deep has "} {
			if !strings.Contains(err.Error(), name+want) {
				t.Errorf("%v\nwant %s%s", err, name, want)
			}
		}
		if !strings.Contains(err.Error(), "x.oci.tar: blobs/sha256/") {
			t.Errorf("%v: nothing in the layout", err)
		}
	}
	folder := t.TempDir()
	if err := writeTree(folder, pack("-----BEGIN PRIVATE KEY----- is what a key begins with")); err != nil {
		t.Fatal(err)
	}
	if err := scan(folder, []string{path}); err != nil {
		t.Error(err)
	}
	if err := writeTree(folder, map[string][]byte{"program": []byte("\x00" + placeholder)}); err != nil {
		t.Fatal(err)
	}
	if err := scan(folder, nil); err != nil {
		t.Errorf("zeros of a program: %v", err)
	}
	nested := []byte("x")
	for range 5 {
		nested = must(tarred([]file{{"x", 0o644, nested}}, at))
	}
	for name, content := range map[string][]byte{"nested": nested, "cut": must(tarred(nil, at))[:15]} {
		folder := t.TempDir()
		if err := writeTree(folder, map[string][]byte{name: content}); err != nil {
			t.Fatal(err)
		}
		if err := scan(folder, nil); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}

// bundle is an image whose module has that content: what is no module has no image.
func bundle(content []byte) *image.Bundle {
	module := append([]byte("\x00asm\x01\x00\x00\x00"), content...)
	return must(image.Bundled(module, image.OCI, image.Info{}, content, nil))
}

// copied is a repository of what is in the checkout now, committed or not.
func copied(t *testing.T) string {
	t.Helper()
	root, dir := checkout.Root(t), t.TempDir()
	names := must(output(t.Context(), root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
	for _, name := range strings.Split(strings.Trim(names, "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		info, err := os.Lstat(from)
		if err != nil {
			continue // deleted, and still in the index
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if info.Mode()&os.ModeSymlink != 0 {
			if err := os.Symlink(must(os.Readlink(from)), to); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(to, must(os.ReadFile(from)), info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all"}, {"-c", "user.name=test", "-c",
		"user.email=test@example.com", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "test"}} {
		must(output(t.Context(), dir, nil, append([]string{"git"}, args...)...))
	}
	return dir
}

// A release for one system has what it promises: checksums, images that the command packs again to the byte, the
// command with its version, notes. What is not committed is refused. make test-release makes a whole one, twice.
func TestRelease(t *testing.T) {
	root := copied(t)
	r := release{root: root, version: "v0.2.0-rc.1", registry: "127.0.0.1:5000/tollgate", once: true,
		output: filepath.Join(t.TempDir(), "release"), targets: []target{{runtime.GOOS, runtime.GOARCH}},
		progress: io.Discard}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := must(readTree(r.output))
	if out, err := output(t.Context(), r.output, nil, "sha256sum", "--check", "--strict", "--quiet",
		"SHA256SUMS"); err != nil {
		t.Errorf("%s: %v", out, err)
	}
	if n := strings.Count(string(files["SHA256SUMS"]), "\n"); n != len(files)-1 {
		t.Errorf("%d sums of %d files", n, len(files))
	}
	commit := must(output(t.Context(), root, nil, "git", "rev-parse", "HEAD"))
	archive := "tollgate_0.2.0-rc.1_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	empty := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", filepath.Join(r.output, archive), "-C",
		empty).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := filepath.Join(empty, "tollgate")
	if out, err := output(t.Context(), empty, nil, command, "version"); err != nil ||
		!strings.HasPrefix(out, "tollgate v0.2.0-rc.1 "+commit+" go1.") {
		t.Errorf("%s, %v", out, err)
	}
	for _, name := range filters.Images() {
		digest, err := output(t.Context(), empty, nil, command, "image", "build", name, "-o", name+".tar", "--module",
			filepath.Join(r.output, name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(must(os.ReadFile(filepath.Join(empty, name+".tar"))), files[name+".oci.tar"]) {
			t.Errorf("%s is packed into another image than the release's", name)
		}
		if line := name + ".oci.tar 127.0.0.1:5000/tollgate/" + name + ":0.2.0-rc.1 " + digest + "\n"; !strings.Contains(
			string(files["images.txt"]), line) {
			t.Errorf("images.txt has no %q:\n%s", line, files["images.txt"])
		}
		if !strings.HasSuffix(name, "-lean") && !bytes.Contains(files["values.yaml"], []byte(`"`+strings.TrimPrefix(
			digest, "sha256:")+`"`)) {
			t.Errorf("values.yaml has no digest of %s", name)
		}
	}
	if !bytes.Contains(files["NOTES.md"], []byte("### ")) {
		t.Errorf("notes: %s", files["NOTES.md"])
	}
	checkProvenance(t, files, commit)
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "is there already: remove it first") {
		t.Errorf("%v", err)
	}
	r.output += "-other"
	if err := os.WriteFile(filepath.Join(root, "stray.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "?? stray.txt") {
		t.Errorf("%v", err)
	}
	for _, args := range [][]string{{"add", "--all"}, {"tag", "v0.2.0-rc.1"}, {"-c", "user.name=test", "-c",
		"user.email=test@example.com", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "stray"}} {
		must(output(t.Context(), root, nil, append([]string{"git"}, args...)...))
	}
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "is of another commit") {
		t.Errorf("%v", err)
	}
	r.version = "v0.2"
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), `VERSION "v0.2": want`) {
		t.Errorf("%v", err)
	}
	r.version, r.registry = "v0.2.0", "https://ghcr.io"
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), `REGISTRY "https://ghcr.io": want`) {
		t.Errorf("%v", err)
	}
}

// A program that says that it is something else than this release is none of it.
func TestInside(t *testing.T) {
	path := must(os.Executable())
	version := must(buildinfo.ReadFile(path)).Main.Version
	for want, b := range map[string]build{
		"and not v9.9.9 of ":             {release: &release{version: "v9.9.9"}},
		"and not " + version + " of abc": {release: &release{version: version}, commit: "abc"},
		"(changed: ":                     {release: &release{version: version}}, // tests have no stamp at all
	} {
		if _, err := b.inside(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// checkProvenance holds the statements against the files: each file is the subject of one.
func checkProvenance(t *testing.T, files map[string][]byte, commit string) {
	t.Helper()
	subjects := map[string]string{}
	for name, text := range files {
		if !strings.HasSuffix(name, image.ProvenanceSuffix) {
			continue
		}
		var statement struct {
			Subject []struct {
				Name   string
				Digest struct{ SHA256 string }
			}
		}
		if err := json.Unmarshal(text, &statement); err != nil || len(statement.Subject) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range statement.Subject {
			if other := subjects[s.Digest.SHA256]; other != "" {
				t.Errorf("%s is the subject of %s and %s", s.Name, other, name)
			}
			subjects[s.Digest.SHA256] = name
		}
		if !bytes.Contains(text, []byte(`"gitCommit":"`+commit+`"`)) {
			t.Errorf("%s names no commit: %s", name, text)
		}
	}
	for name, content := range files {
		if subjects[digest(content)] == "" && !strings.HasSuffix(name, image.ProvenanceSuffix) && name != "SHA256SUMS" {
			t.Errorf("%s is the subject of no provenance", name)
		}
	}
}
