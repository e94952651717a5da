// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// tollgate runs a command line, which must end with that code.
func tollgate(t *testing.T, code int, args ...string) (out, progress string) {
	t.Helper()
	var o, p bytes.Buffer
	if got := run(context.Background(), args, strings.NewReader(""), &o, &p); got != code {
		t.Fatalf("tollgate %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &o, &p)
	}
	return o.String(), p.String()
}

// Every command says what it is for, and what is no command line says so with a code of its own.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		out, _ := tollgate(t, 0, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if !c.HasSubCommands() && c.Name() != "help" && (!strings.Contains(out, "Examples:") || len(c.Long) < 80) {
			t.Errorf("%s teaches nothing:\n%s", c.CommandPath(), out)
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" {
				visit(sub)
			}
		}
	}
	visit(command())
	for line, want := range map[string]string{
		"nope": `there is no command "nope"`, "image nope": `tollgate image has no command "nope"`,
		"build nope": `there is no filter "nope"`, "build --nope": "unknown flag: --nope",
		"image build": "accepts 1 arg(s), received 0", "image build jwt-scope": "--output is required",
		"image push jwt-scope ::": "could not parse reference",
	} {
		if _, progress := tollgate(t, exitUsage, strings.Fields(line)...); !strings.Contains(progress, want) {
			t.Errorf("%s: %s", line, progress)
		}
	}
	if out, _ := tollgate(t, 0, "completion", "bash"); !strings.Contains(out, "__start_tollgate") {
		t.Error("no completion for bash")
	}
}

func TestBuild(t *testing.T) {
	for args, want := range map[string][]string{"build": filters.Modules(), "build rate-limit": {"rate-limit"},
		"build tollgate": {"tollgate"}} {
		out, _ := tollgate(t, 0, strings.Fields(args)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != len(want) {
			t.Errorf("%s: %s", args, out)
			continue
		}
		for i, module := range want {
			if !strings.HasPrefix(lines[i], harness.Module(t, module)+"\t") || !strings.Contains(lines[i], "\tsha256:") {
				t.Errorf("%s: %s", args, lines[i])
			}
		}
	}
}

// An image is pushed and pulled, in each form, with what refers to it; it is the one that is
// written to a file, and it is always the same.
func TestImages(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true),
		registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/tollgate/edge-stamp"
	module, err := os.ReadFile(harness.Module(t, "edge-stamp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range image.Forms {
		tag := repository + ":" + string(form)
		flags := []string{"--form", string(form), "--module", harness.Module(t, "edge-stamp"), "--version", "v1.2.0",
			"--revision", "abc", "--created", "2026-11-21T00:00:00Z"}
		out, progress := tollgate(t, 0, append([]string{"image", "push", "edge-stamp", "oci://" + tag}, flags...)...)
		pinned, ok := strings.CutPrefix(strings.TrimSpace(out), "oci://")
		if !ok || !strings.HasPrefix(pinned, repository+"@sha256:") || !strings.Contains(progress, "pushing "+tag) {
			t.Fatalf("%s%s", out, progress)
		}
		digest, err := name.NewDigest(pinned)
		if err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Image(digest)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := image.Module(pulled); err != nil || !bytes.Equal(got, module) {
			t.Errorf("%s: the module that is pulled is another: %v", form, err)
		}
		index, err := remote.Referrers(digest)
		if err != nil {
			t.Fatal(err)
		}
		m, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, d := range m.Manifests {
			// The registry lists the type of the empty configuration as artifactType; the manifest has the right one.
			referrer, err := remote.Image(digest.Context().Digest(d.Digest.String()))
			if err != nil {
				t.Fatal(err)
			}
			m, err := referrer.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, m.ArtifactType)
		}
		if len(kinds) != 2 || !strings.Contains(strings.Join(kinds, " "), image.SPDX) ||
			!strings.Contains(strings.Join(kinds, " "), image.InToto) {
			t.Errorf("%s: referrers %v", form, kinds)
		}
		dir := t.TempDir()
		var archives [][]byte
		for _, file := range []string{"a.tar", "b.tar"} {
			path := filepath.Join(dir, file)
			if out, _ := tollgate(t, 0, append([]string{"image", "build", "edge-stamp", "-o", path}, flags...)...); "@"+
				strings.TrimSpace(out) != strings.TrimPrefix(pinned, repository) {
				t.Errorf("%s: the file has %s, the registry %s", form, out, pinned)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			archives = append(archives, b)
		}
		if !bytes.Equal(archives[0], archives[1]) {
			t.Errorf("%s: two archives of one image differ", form)
		}
		folder := filepath.Join(dir, "layout")
		tollgate(t, 0, append([]string{"image", "build", "edge-stamp", "-o", folder}, flags...)...)
		written, err := layout.ImageIndexFromPath(folder)
		if err != nil {
			t.Fatal(err)
		}
		h, err := v1.NewHash(digest.DigestStr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := written.Image(h); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if _, progress := tollgate(t, exitFound,
			append([]string{"image", "build", "edge-stamp", "-o", folder}, flags...)...); !strings.Contains(progress,
			"is there already") {
			t.Errorf("%s", progress)
		}
	}
	tollgate(t, exitFound, "image", "push", "edge-stamp", "127.0.0.1:1/x:y", "--module", harness.Module(t, "edge-stamp"))
	if _, progress := tollgate(t, exitFound, "image", "build", "edge-stamp", "-o", filepath.Join(t.TempDir(), "x"),
		"--module", "main.go"); !strings.Contains(progress, "no WebAssembly module") {
		t.Errorf("%s", progress)
	}
}

// What is found is told as text and as JSON, and the exit code says whether it matters.
func TestCheck(t *testing.T) {
	good, bad := write(t, "good.yaml", "limits: [{name: a, key: [{header: x}], rate: {requests: 1, per: 1s}}]\n"),
		write(t, "bad.yaml", "limits: [{name: a}]\n")
	if out, progress := tollgate(t, 0, "check", good); !strings.HasPrefix(out, good+":1:20: warning: ") ||
		progress != "no errors, 1 warnings; 1 looked at, 0 passed over\n" {
		t.Errorf("%s%s", out, progress)
	}
	out, progress := tollgate(t, exitFound, "check", good, bad, "--output", "json")
	var findings []check.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || len(findings) != 2 ||
		findings[1].Severity != check.Error || findings[1].File != bad || findings[1].Path != "limits[0].rate" ||
		!strings.Contains(progress, "1 errors, 1 warnings") {
		t.Errorf("%v %s%s", err, out, progress)
	}
	var o, p bytes.Buffer
	if code := run(context.Background(), []string{"check", "-", "--output", "json", "--filter", "jwt-scope"},
		strings.NewReader(`{}`), &o, &p); code != exitFound || !strings.Contains(o.String(), `"problem": "is required"`) {
		t.Errorf("standard input: %d\n%s%s", code, &o, &p)
	}
	if out, _ := tollgate(t, 0, "check", "--output", "json",
		write(t, "service.yaml", "kind: Service\nmetadata: {name: a}\n")); out != "[]\n" {
		t.Errorf("%s", out)
	}
	for _, line := range [][]string{{"check"}, {"check", good, "--output", "xml"}, {"check", good, "--filter", "x"}} {
		tollgate(t, exitUsage, line...)
	}
	tollgate(t, exitFound, "check", "nowhere.yaml")
}

// What the service needs is written, or said to be more than it can count.
func TestDescriptors(t *testing.T) {
	const config = `{"limits":[{"name":"a","scope":"global","rate":{"requests":5,"per":"1m"}}],"global":{"cluster":"c","authority":"a","domain":"d"}}`
	if out, _ := tollgate(t, 0, "descriptors", write(t, "limits.json", config)); !strings.Contains(out,
		"rate_limit: {unit: minute, requests_per_unit: 5}") {
		t.Errorf("%s", out)
	}
	if _, progress := tollgate(t, exitFound, "descriptors",
		write(t, "limits.json", strings.Replace(config, "1m", "5m", 1))); !strings.Contains(progress,
		"limits[0].rate.per: is 5m, but") {
		t.Errorf("%s", progress)
	}
	for kind, spec := range map[string]string{"WasmPlugin": `{"pluginConfig": %s}`,
		"TrafficExtension": `{"wasm": {"pluginConfig": %s}}`} {
		if out, _ := tollgate(t, 0, "descriptors",
			write(t, "plugin.yaml", fmt.Sprintf("kind: %s\nspec: "+spec, kind, config))); !strings.Contains(out,
			"rate_limit: {unit: minute, requests_per_unit: 5}") {
			t.Errorf("%s: %s", kind, out)
		}
		if _, progress := tollgate(t, exitFound, "descriptors",
			write(t, "plugin.yaml", "kind: "+kind)); !strings.Contains(progress, "pluginConfig") {
			t.Errorf("%s without a configuration: %s", kind, progress)
		}
	}
	tollgate(t, exitUsage, "descriptors")
}
