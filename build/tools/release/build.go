// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/image"
)

// kustomizeVersion is the one whose library holds the overlays in the tests in Istio, too.
const kustomizeVersion = "v5.8.1"

func installKustomize(ctx context.Context, work string) (string, error) {
	env, err := goEnv(ctx, work)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(work, "bin")
	_, err = output(ctx, work, append(env, "GOBIN="+bin), "go", "install",
		"sigs.k8s.io/kustomize/kustomize/v5@"+kustomizeVersion)
	return filepath.Join(bin, "kustomize"), err
}

// goEnv are the variables that Go compiles with: nothing of the settings of whoever runs it, but for where modules and
// toolchains come from, and where the caches are.
func goEnv(ctx context.Context, dir string) ([]string, error) {
	kept := []string{"GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOMODCACHE", "GOCACHE",
		"GOTOOLCHAIN"}
	values, err := output(ctx, dir, nil, append([]string{"go", "env"}, kept...)...)
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "GO") || name == "CGO_ENABLED" || strings.HasPrefix(name, "MAKE") ||
			name == "MFLAGS" || name == "SOURCE_DATE_EPOCH"
	})
	for i, value := range strings.Split(values, "\n") {
		env = append(env, kept[i]+"="+value)
	}
	return append(env, "GOENV=off", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOEXPERIMENT=", "GOFIPS140=off",
		"CGO_ENABLED=0"), nil
}

// build is one of the two builds.
type build struct {
	*release
	root, output string
	kustomize    string
	commit       string
	env          []string // what differs from the other build

	info         image.Info
	toolchain    string
	digests      map[string]string // of the images, by module
	dependencies []image.Dependency
	files        map[string][]byte // what is made
}

func (b *build) number() string { return strings.TrimPrefix(b.version, "v") }

func (b *build) run(ctx context.Context) error {
	env, err := goEnv(ctx, b.root)
	if err != nil {
		return err
	}
	b.env = append(env, b.env...)
	b.files, b.digests = map[string][]byte{}, map[string]string{}
	if err := b.origin(ctx); err != nil {
		return err
	}
	tree, err := readTree(filepath.Join(b.root, "WasmPlugin"))
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.notes, b.modules, b.commands,
		func(ctx context.Context) error { return b.resources(ctx, tree) }} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := b.provenance(); err != nil {
		return err
	}
	b.files["SHA256SUMS"] = sums(b.files)
	return writeTree(b.output, b.files)
}

// origin finds out what all files say of their source.
func (b *build) origin(ctx context.Context) error {
	seconds, err := output(ctx, b.root, b.env, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	b.info = image.Info{Version: b.version, Revision: b.commit, Source: image.Source,
		Licences: "Apache-2.0", Created: time.Unix(unix, 0).UTC()}
	b.toolchain, err = output(ctx, b.root, b.env, "go", "env", "GOVERSION")
	return err
}

func (b *build) notes(context.Context) error {
	changelog, err := os.ReadFile(filepath.Join(b.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	text, err := notes(string(changelog), b.version)
	b.files["NOTES.md"] = []byte(text)
	return err
}

// layoutSuffix is that of the images.
const layoutSuffix = ".oci.tar"

// modules compiles the modules by the Makefile's recipes, and packs each.
func (b *build) modules(ctx context.Context) error {
	if _, err := output(ctx, b.root, b.env, "make", "--no-print-directory", "-j2", "build"); err != nil {
		return err
	}
	b.say("the modules are compiled")
	for _, name := range filters.Images() {
		module, err := os.ReadFile(filepath.Join(b.root, "build", "out", name+".wasm"))
		if err != nil {
			return err
		}
		info := b.info
		info.Name = name
		evidence, err := image.Compiled(ctx, b.root, module, info)
		if err != nil {
			return err
		}
		bundle, err := image.Bundled(module, image.OCI, info, evidence.Materials, evidence.Provenance)
		if err != nil {
			return err
		}
		digest, err := bundle.Image.Digest()
		if err != nil {
			return err
		}
		b.digests[name] = digest.Hex
		layout, err := bundle.Archive()
		if err != nil {
			return err
		}
		b.files[name+".wasm"] = module
		b.files[name+".wasm"+image.MaterialsSuffix] = evidence.Materials
		b.files[name+".wasm"+image.ProvenanceSuffix] = evidence.Provenance
		b.files[name+layoutSuffix] = layout
	}
	b.say("their images are packed")
	return nil
}

// commands compiles the command for all targets, and packs each with the licence.
func (b *build) commands(ctx context.Context) error {
	licence, err := os.ReadFile(filepath.Join(b.root, "LICENSE"))
	if err != nil {
		return err
	}
	for _, t := range b.targets {
		program := "tollgate"
		if t.os == "windows" {
			program += ".exe"
		}
		path := filepath.Join(b.root, "build", "out", t.os+"-"+t.arch, program)
		if _, err := output(ctx, b.root, append(slices.Clone(b.env), "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1",
			"GOARM64=v8.0"), "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", path,
			"./build/tollgate"); err != nil {
			return err
		}
		dependencies, err := b.inside(path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("tollgate_%s_%s_%s", b.number(), t.os, t.arch)
		files := []file{{"LICENSE", 0o644, licence}, {program, 0o755, text}}
		var archive []byte
		if t.os == "windows" {
			name += ".zip"
			archive, err = zipped(files, b.info.Created)
		} else {
			name += ".tar.gz"
			archive, err = tarred(files, b.info.Created)
		}
		if err != nil {
			return err
		}
		info := b.info
		info.Name = name
		b.files[name] = archive
		if b.files[name+image.MaterialsSuffix], err = image.Materials(archive, info, dependencies); err != nil {
			return err
		}
		b.say("the command for %s on %s", t.os, t.arch)
	}
	return nil
}

// inside returns what a compiled command is made of, as Go has written it there, and refuses one that says that it is
// something else than this release.
func (b *build) inside(path string) ([]image.Dependency, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if info.Main.Version != b.version || settings["vcs.revision"] != b.commit || settings["vcs.modified"] != "false" {
		return nil, fmt.Errorf("%s says that it is %s of %s (changed: %s), and not %s of %s", filepath.Base(path),
			info.Main.Version, settings["vcs.revision"], settings["vcs.modified"], b.version, b.commit)
	}
	list := []image.Dependency{{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	for _, d := range info.Deps {
		dependency := image.Dependency{Path: d.Path, Version: d.Version, Sum: d.Sum}
		if d.Replace != nil { // by a folder of the project
			dependency.Version, dependency.Sum = "", ""
		}
		list = append(list, dependency)
	}
	for _, d := range list {
		if !slices.Contains(b.dependencies, d) {
			b.dependencies = append(b.dependencies, d)
		}
	}
	return list, nil
}

// resources writes the digests into the resources, and packs and renders those.
func (b *build) resources(ctx context.Context, tree map[string][]byte) error {
	registry, tag, err := imageOf(tree["values.yaml"])
	if err != nil {
		return err
	}
	p := pins{from: registry, tag: tag, to: b.registry, version: b.number(), digests: b.digests}
	if p.to == "" {
		p.to = registry
	}
	pinned, err := p.pin(tree)
	if err != nil {
		return err
	}
	b.files["values.yaml"] = pinned["values.yaml"]
	if b.files["tollgate-"+b.number()+".tgz"], err = chart(pinned, b.info.Created); err != nil {
		return err
	}
	var list []file
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		list = append(list, file{"WasmPlugin/" + name, mode, pinned[name]})
	}
	if b.files["tollgate-manifests-"+b.number()+".tar.gz"], err = tarred(list, b.info.Created); err != nil {
		return err
	}
	var lines strings.Builder
	for _, name := range filters.Images() {
		fmt.Fprintf(&lines, "%s %s/%s:%s sha256:%s\n", name+layoutSuffix, p.to, name, p.version, b.digests[name])
	}
	b.files["images.txt"] = []byte(lines.String())
	if b.kustomize == "" {
		return nil
	}
	folder := filepath.Join(filepath.Dir(b.output), filepath.Base(b.output)+"-pinned")
	if err := writeTree(folder, pinned); err != nil {
		return err
	}
	for _, set := range []string{"overlays", "istio"} {
		names, err := kustomizations(pinned, set)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := output(ctx, folder, b.env, b.kustomize, "build", filepath.Join(set, name))
			if err != nil {
				return err
			}
			b.files[strings.TrimSuffix(set, "s")+"-"+name+".yaml"] = []byte(text + "\n")
		}
	}
	b.say("the chart and the manifests name the images by their digests")
	return nil
}

// kustomizations are the folders of a set that kustomize builds.
func kustomizations(tree map[string][]byte, set string) (names []string, err error) {
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		parts := strings.Split(path, "/")
		if len(parts) == 3 && parts[0] == set && parts[2] == "kustomization.yaml" {
			names = append(names, parts[1])
		}
	}
	if len(names) == 0 {
		err = errors.New("there are no kustomizations in WasmPlugin/" + set)
	}
	return names, err
}

// provenance is one for all files that have none of their own.
func (b *build) provenance() error {
	var subjects []image.Subject
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if b.files[name+image.ProvenanceSuffix] == nil && !strings.HasSuffix(name, image.ProvenanceSuffix) {
			subjects = append(subjects, image.Subject{Name: name, Digest: digest(b.files[name])})
		}
	}
	parameters := map[string]any{"version": b.version}
	command := []string{"make", "release", "VERSION=" + b.version}
	if b.registry != "" {
		parameters["registry"] = b.registry
		command = append(command, "REGISTRY="+b.registry)
	}
	var err error
	b.files["tollgate_"+b.number()+image.ProvenanceSuffix], err = image.Statement(subjects, b.info, parameters,
		b.toolchain, command, b.dependencies)
	return err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sums are the lines that sha256sum --check reads.
func sums(files map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s  %s\n", digest(files[name]), name)
	}
	return b.Bytes()
}

func readTree(folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	root := os.DirFS(folder)
	return files, fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(root, path)
		return err
	})
}

func writeTree(folder string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// imageOf are the registry and the tag that the chart's values have.
func imageOf(values []byte) (registry, tag string, err error) {
	var v struct {
		Image struct{ Registry, Tag string }
	}
	if err := yaml.Unmarshal(values, &v); err != nil {
		return "", "", fmt.Errorf("values.yaml: %w", err)
	}
	if v.Image.Registry == "" || v.Image.Tag == "" {
		return "", "", errors.New("values.yaml: image.registry or image.tag is missing")
	}
	return v.Image.Registry, v.Image.Tag, nil
}
