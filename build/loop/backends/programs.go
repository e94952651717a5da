// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

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
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Program is one that others run or pack. Progress of an installation goes to w, as in all of these functions.
type Program struct {
	Path string
	Env  []string // which it needs, "NAME=value"
}

// RedisPrograms are redis-server and redis-cli.
func RedisPrograms(w io.Writer) (server, cli Program, err error) {
	server.Path, server.Env, err = findRedis(w)
	if err != nil {
		return server, cli, err
	}
	// packages have them together
	cli = Program{Path: filepath.Join(filepath.Dir(server.Path), "redis-cli"), Env: server.Env}
	_, err = exec.LookPath(cli.Path)
	return server, cli, err
}

// RateLimitProgram is Envoy's rate-limit service, which has no libraries.
func RateLimitProgram(w io.Writer) (Program, error) {
	path, err := findRateLimit(w)
	return Program{Path: path}, err
}

// HTTPBinVersion is the pinned one of go-httpbin.
const HTTPBinVersion = "v2.18.3"

// HTTPBin is go-httpbin, a service that tells what has reached it. It has no libraries.
func HTTPBin(w io.Writer) (Program, error) {
	path, err := installGo(w, filepath.Join("go-httpbin", HTTPBinVersion),
		"github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin", HTTPBinVersion, "go-httpbin from its Go module", "")
	return Program{Path: path}, err
}

// Prometheus is the one on PATH, or Debian's.
func Prometheus(w io.Writer) (Program, error) {
	if path, err := exec.LookPath("prometheus"); err == nil {
		return Program{Path: path}, nil
	}
	root, err := debian(w, "prometheus", "usr/bin/prometheus", "prometheus")
	return Program{Path: filepath.Join(root, "usr/bin/prometheus")}, err
}

// Registry is the one of the Distribution project, the one on PATH or Debian's; it is run with
// "serve" and a configuration.
func Registry(w io.Writer) (Program, error) {
	if path, err := exec.LookPath("docker-registry"); err == nil {
		return Program{Path: path}, nil
	}
	root, err := debian(w, "docker-registry", "usr/bin/docker-registry", "docker-registry")
	return Program{Path: filepath.Join(root, "usr/bin/docker-registry")}, err
}

// CollectorVersion is the pinned one of the OpenTelemetry collector.
const CollectorVersion = "v0.150.0"

// Of the parts of the core distribution, those that envoy/otel/collector.yaml names.
const collectorParts = `dist: {name: otelcol, output_path: ./source, version: 0.150.0, module: otelcol}
receivers:
- gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v0.150.0
exporters:
- gomod: go.opentelemetry.io/collector/exporter/debugexporter v0.150.0
extensions:
- gomod: github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension v0.150.0
providers:
- gomod: go.opentelemetry.io/collector/confmap/provider/envprovider v1.56.0
- gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v1.56.0
`

// Collector is OpenTelemetry's, which is put together from Go modules by its project's own builder.
// It has no libraries.
func Collector(w io.Writer) (Program, error) {
	path, err := cached(filepath.Join("otelcol", CollectorVersion), "otelcol",
		func(ctx context.Context, dir string) error {
			golang, err := exec.LookPath("go")
			if err != nil {
				return errors.New("there is no go here to build the OpenTelemetry collector: install Go")
			}
			fmt.Fprintln(w, "building the OpenTelemetry collector from its Go modules (two minutes) …")
			began := time.Now()
			parts := filepath.Join(dir, "parts.yaml")
			if err := os.WriteFile(parts, []byte(collectorParts), 0o644); err != nil {
				return err
			}
			if out, err := goCommand(ctx, golang, dir, "run", "go.opentelemetry.io/collector/cmd/builder@"+CollectorVersion,
				"--config", parts).CombinedOutput(); err != nil {
				return fmt.Errorf("building the OpenTelemetry collector failed (is the network there?): %w: %s", err,
					process.LastLine(out))
			}
			fmt.Fprintf(w, "the collector is there after %.0f s\n", time.Since(began).Seconds())
			return errors.Join(os.Rename(filepath.Join(dir, "source", "otelcol"), filepath.Join(dir, "otelcol")),
				os.RemoveAll(filepath.Join(dir, "source")))
		})
	return Program{Path: path}, err
}

// Promtool checks and tests rules: the one on PATH, or that of Prometheus's package.
func Promtool(w io.Writer) (Program, error) {
	if path, err := exec.LookPath("promtool"); err == nil {
		return Program{Path: path}, nil
	}
	root, err := debian(w, "prometheus", "usr/bin/prometheus", "prometheus")
	return Program{Path: filepath.Join(root, "usr/bin/promtool")}, err
}

const (
	chromiumProgram = "usr/lib/chromium/chromium-headless-shell"
	// fontsFile has fontconfig look for fonts in the machine's folder and beside the program, and
	// take Inter wherever a page names no font of its own.
	fontsFile = "fonts.conf"
	fonts     = `<?xml version="1.0"?>
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
</fontconfig>
`
)

// Chromium is a browser that can do without a window: one on PATH, which has the fonts that its
// user has, or Debian's headless one with the font Inter.
func Chromium(w io.Writer) (Program, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chromium-headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return Program{Path: path}, nil
		}
	}
	path, err := cached("chromium", chromiumProgram, func(ctx context.Context, dir string) error {
		fmt.Fprintln(w, "fetching Chromium without windows, Debian's package (70 MB) …")
		began := time.Now()
		err := unpack(ctx, dir, "chromium-headless-shell", "fonts-inter")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fontsFile), []byte(fonts), 0o644)
		}
		if err == nil {
			version := exec.CommandContext(ctx, filepath.Join(dir, chromiumProgram), "--version")
			version.Env = append(os.Environ(), browserLibraries(dir))
			if out, e := version.CombinedOutput(); e != nil {
				err = fmt.Errorf("the packaged browser does not run here: %w: %s", e, process.LastLine(out))
			}
		}
		if err != nil {
			return fmt.Errorf("no Chromium here, and none could be fetched (is the network there?): install it so "+
				"that chromium or google-chrome is on PATH: %w", err)
		}
		fmt.Fprintf(w, "Chromium is there after %.0f s\n", time.Since(began).Seconds())
		return nil
	})
	if err != nil {
		return Program{}, err
	}
	root := strings.TrimSuffix(path, chromiumProgram)
	return Program{Path: path,
		Env: []string{browserLibraries(root), "FONTCONFIG_FILE=" + filepath.Join(root, fontsFile)}}, nil
}

// browserLibraries are those unpacked with the browser, and a folder that PulseAudio's library
// finds its other half in by a path that is built in.
func browserLibraries(root string) string {
	list := libraries(root)[0]
	if dirs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/pulseaudio")); len(dirs) > 0 { // the pattern is good
		list += ":" + dirs[0]
	}
	return list
}

// Docker has dockerd, docker-compose and iptables found: env are the variables by which, and
// compose the command. What is not on PATH comes from Debian's packages, which are not installed:
// nothing of the system is touched, and no engine starts by itself.
func Docker(w io.Writer) (env, compose []string, err error) {
	var packages []string
	program := ""
	for _, p := range []struct{ name, pkg, path string }{
		{"dockerd", "docker.io", "usr/sbin/dockerd"},
		{"iptables", "iptables", iptablesProgram},
		{"docker-compose", "docker-compose", "usr/bin/docker-compose"},
	} {
		if _, err := exec.LookPath(p.name); err != nil {
			packages = append(packages, p.pkg)
			program = p.path
		}
	}
	compose = []string{"docker-compose"}
	if packages == nil {
		return nil, compose, nil
	}
	root, err := debian(w, strings.Join(packages, "+"), program, packages...)
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(packages, "iptables") {
		if err := linkIptables(root); err != nil {
			return nil, nil, err
		}
	}
	if slices.Contains(packages, "docker-compose") { // in Python, Debian's own, whatever else is first on PATH
		compose = []string{"/usr/bin/python3", filepath.Join(root, "usr/bin/docker-compose")}
		env = append(env, "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"))
	}
	return append(env, unpackedEnv(root)...), compose, nil
}

// links is a folder of what packages are linked to on installation.
const links = "links"

// linkIptables makes the links that the installed package has from update-alternatives.
func linkIptables(root string) error {
	if err := os.MkdirAll(filepath.Join(root, links), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save",
		"ip6tables-restore"} {
		if err := os.Symlink("../"+iptablesProgram, filepath.Join(root, links, name)); err != nil &&
			!errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// unpackedEnv has packages that were unpacked into a folder found there.
func unpackedEnv(root string) []string {
	env := []string{"PATH=" + strings.Join([]string{filepath.Join(root, links), filepath.Join(root, "usr/sbin"),
		filepath.Join(root, "usr/bin"), os.Getenv("PATH")}, ":")}
	if plugins, _ := filepath.Glob(filepath.Join(root, "usr/lib/*/xtables")); len(plugins) > 0 { // the pattern is good
		env = append(env, "XTABLES_LIBDIR="+plugins[0])
	}
	return append(env, libraries(root)...)
}

const iptablesProgram = "usr/sbin/xtables-nft-multi"

// Iptables finds it, or unpacks Debian's: the variables are those by which a program finds iptables on PATH.
func Iptables(w io.Writer) (Program, error) {
	if path, err := exec.LookPath("iptables"); err == nil {
		return Program{Path: path}, nil
	}
	root, err := debian(w, "iptables", iptablesProgram, "iptables")
	if err == nil {
		err = linkIptables(root)
	}
	return Program{Path: filepath.Join(root, links, "iptables"), Env: unpackedEnv(root)}, err
}

// RedisServer finds Redis, or unpacks Debian's, for those who run it themselves.
func RedisServer(w io.Writer) (Program, error) {
	path, env, err := findRedis(w)
	return Program{Path: path, Env: env}, err
}

// RateLimitService finds Envoy's rate-limit service, or builds it, for those who run it themselves.
func RateLimitService(w io.Writer) (Program, error) {
	path, err := findRateLimit(w)
	return Program{Path: path}, err
}

// debian is a folder of the cache with packages in it.
func debian(w io.Writer, dir, program string, packages ...string) (root string, err error) {
	path, err := cached(dir, program, func(ctx context.Context, dir string) error {
		fmt.Fprintf(w, "fetching Debian's packages %s …\n", strings.Join(packages, ", "))
		began := time.Now()
		if err := unpack(ctx, dir, packages...); err != nil {
			return fmt.Errorf("cannot fetch Debian's packages %s (is the network there?): %w", strings.Join(packages, ", "), err)
		}
		fmt.Fprintf(w, "they are there after %.0f s\n", time.Since(began).Seconds())
		return nil
	})
	return strings.TrimSuffix(path, program), err
}
