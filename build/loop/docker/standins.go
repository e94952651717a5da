// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// registryConfig is the one of the official image, as far as the loop needs it.
const registryConfig = "version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: " +
	"\":5000\"}\n"

// StandIns makes images of the real programs for the services of envoy/docker-compose.yaml, but for
// Grafana, whose program no package registry has, and returns the variables that have compose take
// them. Their names say what they are: none is another's with the same name. left are the profiles
// that cannot run here, and why.
func (e *Engine) StandIns(ctx context.Context, w io.Writer) (variables []string, left map[string]string, err error) {
	left = map[string]string{"dashboards": "no package registry has Grafana's program; its dashboards' queries are tried"}
	envoy, version, err := envoybin.Find("", w)
	if err != nil {
		return nil, nil, err
	}
	redis, cli, err := backends.RedisPrograms(w)
	if err != nil {
		return nil, nil, err
	}
	limiter, err := backends.RateLimitProgram(w)
	if err != nil {
		return nil, nil, err
	}
	httpbin, err := backends.HTTPBin(w)
	if err != nil {
		return nil, nil, err
	}
	prometheus, err := backends.Prometheus(w)
	if err != nil {
		return nil, nil, err
	}
	collector, err := backends.Collector(w)
	if err != nil {
		return nil, nil, err
	}
	registry, err := backends.Registry(w)
	if err != nil {
		return nil, nil, err
	}
	config := filepath.Join(e.dir, "registry.yml")
	if err := os.WriteFile(config, []byte(registryConfig), 0o644); err != nil {
		return nil, nil, err
	}
	type programs = map[string]backends.Program
	images := map[string]Image{
		"ENVOY_IMAGE": {Name: "envoy:" + version, Programs: programs{"/usr/local/bin/envoy": {Path: envoy}}},
		"REDIS_IMAGE": {Name: "redis:here",
			Programs: programs{"/usr/local/bin/redis-server": redis, "/usr/local/bin/redis-cli": cli}},
		"RATELIMIT_IMAGE": {Name: "ratelimit:here", Programs: programs{"/bin/ratelimit": limiter}},
		"HTTPBIN_IMAGE": {Name: "go-httpbin:" + backends.HTTPBinVersion,
			Programs: programs{"/bin/go-httpbin": httpbin}, Command: []string{"/bin/go-httpbin"}},
		"PROMETHEUS_IMAGE": {Name: "prometheus:here", Programs: programs{"/bin/prometheus": prometheus}},
		"OTEL_IMAGE":       {Name: "otelcol:" + backends.CollectorVersion, Programs: programs{"/otelcol": collector}},
		"REGISTRY_IMAGE": {Name: "registry:here", Programs: programs{"/bin/registry": registry},
			Files: map[string]string{"/etc/docker/registry/config.yml": config}},
	}
	switch keycloak, err := e.keycloak(ctx, w); {
	case errors.Is(err, errNoJava):
		left["idp"] = err.Error()
	case err != nil:
		return nil, nil, err
	default:
		images["KEYCLOAK_IMAGE"] = keycloak
	}
	for variable, image := range images {
		image.Name = "tollgate-stand-in/" + image.Name
		if err := e.Import(ctx, image); err != nil {
			return nil, nil, fmt.Errorf("the stand-in for %s: %w", variable, err)
		}
		variables = append(variables, variable+"="+image.Name)
	}
	return variables, left, nil
}

var errNoJava = errors.New("it needs Java 17 or newer on PATH")

// keycloak is Keycloak with this machine's Java, and the tools that its script calls.
func (e *Engine) keycloak(ctx context.Context, w io.Writer) (image Image, err error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return image, errNoJava
	}
	settings, err := exec.CommandContext(ctx, java, "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return image, fmt.Errorf("java -version: %w: %s", err, settings)
	}
	property := func(name string) string {
		_, value, _ := strings.Cut(string(settings), name+" = ")
		value, _, _ = strings.Cut(value, "\n")
		return value
	}
	if v, err := strconv.Atoi(property("java.specification.version")); err != nil || v < 17 {
		return image, errNoJava
	}
	image = Image{Name: "keycloak:" + backends.KeycloakVersion, Programs: map[string]backends.Program{},
		Files: map[string]string{}, Env: []string{"JAVA_HOME=/opt/java"}}
	dir := filepath.Join(e.dir, "keycloak")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return image, err
	}
	if err := backends.Keycloak(w, dir); err != nil {
		return image, err
	}
	home := property("java.home")
	if err := errors.Join(tree(image.Files, "/opt/keycloak", dir), tree(image.Files, "/opt/java", home)); err != nil {
		return image, err
	}
	for _, of := range []string{"bin/java", "lib/server/libjvm.so"} { // the rest needs what these need, or a screen
		image.Programs["/opt/java/"+of] = backends.Program{Path: filepath.Join(home, of)}
	}
	for _, tool := range []string{"sh", "uname", "readlink", "dirname", "sed", "grep", "xargs", "printf"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			return image, err
		}
		image.Programs["/bin/"+tool] = backends.Program{Path: path}
	}
	return image, nil
}

// tree adds the files of a folder, which lie under another path in an image. Links are followed:
// Debian has Java's settings elsewhere. A development kit's own parts are left out.
func tree(files map[string]string, to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		file := filepath.Join(from, entry.Name())
		info, err := os.Stat(file)
		switch {
		// a link to what is not installed
		case errors.Is(err, fs.ErrNotExist),
			slices.Contains([]string{"jmods", "src.zip", "man", "docs", "demo", "include"}, entry.Name()):
		case err != nil:
			return err
		case info.IsDir():
			if err := tree(files, to+"/"+entry.Name(), file); err != nil {
				return err
			}
		default:
			files[to+"/"+entry.Name()] = file
		}
	}
	return nil
}
