// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// What cannot be read hides nothing that can, and JSON is JSON whatever was found.
func TestFaultsBesideEachOther(t *testing.T) {
	bad, part, missing := write(t, "bad.yaml", "limits: [{name: a}]\n"), write(t, "part.yaml",
		"limits: []\n---\na: b: c\n---\nlimits: []\n"), filepath.Join(t.TempDir(), "missing.yaml")
	for _, format := range []string{"json", "sarif", "text"} {
		out, _ := tollgate(t, exitFound, "check", missing, bad, part, "--format", format)
		if format != "text" && !json.Valid([]byte(out)) {
			t.Errorf("%s: %s", format, out)
		}
		for _, want := range []string{"is required", "no such file", "mapping values are not allowed", "the list is empty"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", format, want, out)
			}
		}
		if strings.Count(out, "the list is empty") != 2 {
			t.Errorf("%s: the document behind the fault is not looked at: %s", format, out)
		}
	}
	out, progress := tollgate(t, exitFound, "migrate", missing, write(t, "whole.yaml", policies), "--output", "json")
	var result struct {
		Configurations []any
		Findings       []check.Finding
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Configurations) != 0 ||
		len(result.Findings) < 2 || !strings.Contains(out, "nobody knows what this file would refuse") {
		t.Errorf("%v: %s%s", err, out, progress)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A result that nobody has got is no success.
func TestFullDisk(t *testing.T) {
	good := write(t, "good.yaml", "limits: [{name: a, rate: {requests: 1, per: 1s}}]\n")
	for _, args := range [][]string{
		{"check", good, "--output", "json"}, {"check",
			write(t, "warns.yaml", "limits: [{name: a, key: [{header: x}], rate: {requests: 1, per: 1s}}]\n")},
		{"migrate", write(t, "whole.yaml", policies)}, {"schema", "jwt-scope"}, {"version"},
		{"explain", "--config", good, "-r", "GET https://a/"}, {"help"}, {"keys", "new", "--kid", "a", "-o",
			filepath.Join(t.TempDir(), "k")}, {"build", "rate-limit"},
	} {
		var progress bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), full{}, &progress); code != exitFound ||
			!strings.Contains(progress.String(), "no space left") {
			t.Errorf("%v: exit code %d: %s", args, code, &progress)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": "limits: []\n", "deep/b.json": `{"limits": []}`,
		"values.yaml": "replicas: 2\n", "deep/service.yml": "kind: Service\n",
		"t/template.yaml": "{{- if .Values.a }}\na: b\n{{- end }}\n", ".git/c.yaml": "limits: []\n",
		"readme.md": "limits: []\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, progress := tollgate(t, exitFound, "check", dir)
	if strings.Count(out, "the list is empty") != 2 ||
		!strings.Contains(out, "template.yaml: warning: is a template") ||
		!strings.Contains(progress, "2 errors, 1 warnings; 2 looked at, 3 passed over") {
		t.Errorf("%s%s", out, progress)
	}
	tollgate(t, exitFound, "check", t.TempDir())
	to := filepath.Join(t.TempDir(), "out.sarif")
	if out, _ := tollgate(t, exitFound, "check", dir, "--format", "sarif", "-o", to); out != "" {
		t.Errorf("%s", out)
	}
	if b, err := os.ReadFile(to); err != nil || !bytes.Contains(b, []byte(`"version": "2.1.0"`)) ||
		!bytes.Contains(b, []byte(`"startLine": 1`)) {
		t.Errorf("%v %s", err, b)
	}
}

func TestAssume(t *testing.T) {
	plugin := write(t, "plugin.yaml", `kind: WasmPlugin
metadata: {name: jwt-scope, namespace: shop}
spec:
  url: file:///jwt-scope.wasm
  phase: AUTHZ
  failStrategy: FAIL_RELOAD
  match: [{mode: SERVER}]
  pluginConfig:
    providers: [{name: idp, issuer: https://idp, audiences: [api], trustedPayload: {header: x-payload}}]
    rules: [{name: all}]
`)
	if out, _ := tollgate(t, exitFound, "check", plugin); !strings.Contains(out, "--assume requestauthentication") {
		t.Errorf("%s", out)
	}
	tollgate(t, 0, "check", plugin, "--assume", "RequestAuthentication")
	tollgate(t, exitUsage, "check", plugin, "--assume", "wonders")
}

// keys as people expect them of -, and kids that can be told apart.
func TestKids(t *testing.T) {
	out, progress := tollgate(t, 0, "keys", "new", "--kid", "a", "-o", "-")
	if !strings.HasPrefix(out, "-----BEGIN PRIVATE KEY-----") || strings.Contains(out, `"keys"`) ||
		!strings.Contains(progress, "standard output") {
		t.Errorf("%s%s", out, progress)
	}
	if _, err := os.Stat("-"); err == nil {
		t.Error("there is a file called -")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	tollgate(t, 0, "keys", "new", "--kid", "urn:edge:7", "-o", file)
	if out, _ := tollgate(t, 0, "keys", "jwks", "urn:edge:7:ES256:"+file); !strings.Contains(out, `"kid": "urn:edge:7"`) {
		t.Errorf("%s", out)
	}
	tollgate(t, exitUsage, "keys", "new", "--kid", "a:ES256:b", "-o", filepath.Join(dir, "other"))
	if _, progress := tollgate(t, exitFound, "keys", "jwks", "a:ES256:"+file,
		"a:ES256:"+file); !strings.Contains(progress, `two keys with the kid "a"`) {
		t.Errorf("%s", progress)
	}
	tollgate(t, 0, "keys", "jwks", "a:ES256:"+file, "b:ES256:"+file)
}

func TestUsage(t *testing.T) {
	for _, line := range []string{"schema foo", "image build jwt-scope -o x --form foo --module y",
		"check x --format xml", "check x --output xml", "explain --config a.yaml --format xml -r x",
		"explain --config a.yaml --filter x", "explain --config - --token-file - -r x"} {
		tollgate(t, exitUsage, strings.Fields(line)...)
	}
	if out, _ := tollgate(t, 0, "version"); !strings.HasPrefix(out, "tollgate ") || !strings.Contains(out, " go1.") {
		t.Errorf("%s", out)
	}
}

// A module goes into no image of another filter, and an archive is one image to whoever copies it.
func TestImageOfAnother(t *testing.T) {
	dir := t.TempDir()
	if _, progress := tollgate(t, exitFound, "image", "build", "jwt-scope", "-o", filepath.Join(dir, "a.tar"),
		"--module", harness.Module(t, "rate-limit")); !strings.Contains(progress, "is rate-limit, and not jwt-scope") {
		t.Errorf("%s", progress)
	}
	if _, progress := tollgate(t, exitFound, "image", "build", "jwt-scope", "-o", filepath.Join(dir, "a.tar"),
		"--module", write(t, "empty.wasm", "\x00asm\x01\x00\x00\x00")); !strings.Contains(progress,
		"does not say which module it is") {
		t.Errorf("%s", progress)
	}
	if _, progress := tollgate(t, exitFound, "image", "build", "jwt-scope", "-o", filepath.Join(dir, "a.tar"),
		"--module", write(t, "cut.wasm", "\x00asm\x01\x00\x00\x00\x07\x7f")); !strings.Contains(progress, "is not whole") {
		t.Errorf("%s", progress)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.tar")); err == nil {
		t.Error("an image is written all the same")
	}
	folder := filepath.Join(dir, "layout")
	tollgate(t, 0, "image", "build", "rate-limit", "-o", folder, "--module", harness.Module(t, "rate-limit"))
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := index.IndexManifest(); err != nil || len(m.Manifests) != 1 {
		t.Errorf("%v: the index has %d manifests: skopeo asks which image is meant", err, len(m.Manifests))
	}
	var list struct {
		Manifests []struct{ Digest, ArtifactType string }
	}
	if b, err := os.ReadFile(filepath.Join(folder, image.ReferrersFile)); err != nil || json.Unmarshal(b, &list) != nil ||
		len(list.Manifests) != 2 {
		t.Fatalf("%v: %s has %+v", err, image.ReferrersFile, list)
	}
	for _, m := range list.Manifests {
		if _, err := os.Stat(filepath.Join(folder, "blobs", strings.Replace(m.Digest, ":", "/", 1))); err != nil ||
			m.ArtifactType == "" {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

// The module with all filters is packed as a filter's is, with what it is made of, and goes into no image of a filter.
func TestImageOfAllFilters(t *testing.T) {
	dir := t.TempDir()
	all, one := harness.Module(t, filters.Module), harness.Module(t, "jwt-scope")
	for module, as := range map[string]string{all: "jwt-scope", one: filters.Module} {
		is := strings.TrimSuffix(filepath.Base(module), ".wasm")
		if _, progress := tollgate(t, exitFound, "image", "build", as, "-o", filepath.Join(dir, "a.tar"), "--module",
			module); !strings.Contains(progress, "is "+is+", and not "+as) {
			t.Errorf("%s as %s: %s", is, as, progress)
		}
	}
	folder := filepath.Join(dir, "layout")
	tollgate(t, 0, "image", "build", filters.Module, "-o", folder)
	blobs, err := filepath.Glob(filepath.Join(folder, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var said string
	for _, blob := range blobs {
		b, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		if json.Valid(b) {
			said += string(b) + "\n"
		}
	}
	for what, want := range map[string]string{
		"its title": `"org.opencontainers.image.title":"tollgate"`, "what it is made of": `"spdxVersion":"SPDX-2.3"`,
		"what compiles it":        `"command":["make","build/out/tollgate.wasm"]`,
		"what the filters import": "pkg:golang/github.com/tidwall/gjson@",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s: %s", what, want)
		}
	}
}
