// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// installTimeout covers a slow line, and the cold build of the rate-limit service on a busy machine.
const installTimeout = 20 * time.Minute

// cached returns dir/name in the project's cache. Where it is not there yet, install makes it in an
// empty folder beside it; nobody sees it half made, and other processes that want the same wait.
func cached(dir, name string, install func(ctx context.Context, dir string) error) (string, error) {
	cache, err := envoybin.Cache()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(cache, dir)
	program := filepath.Join(dir, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := envoybin.Lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil // somebody else did it while we waited
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	if err := install(ctx, scratch); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(scratch, name)); err != nil {
		return "", fmt.Errorf("what was installed has no %s: %w", name, err)
	}
	if err := os.RemoveAll(dir); err != nil { // of an installation without the program
		return "", err
	}
	return program, os.Rename(scratch, dir)
}

// own is the program that a variable names, or "".
func own(variable string) (string, error) {
	path := os.Getenv(variable)
	if path == "" {
		return "", nil
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("$%s is %s: %w; point it at a program or unset it", variable, path, err)
	}
	return filepath.Abs(path)
}

// redisProgram is in the package redis-tools; redis-server has a link to it.
const redisProgram = "usr/bin/redis-server"

// findRedis returns a redis-server, and the variables that it needs.
func findRedis(w io.Writer) (path string, env []string, err error) {
	if path, err = own("REDIS_SERVER"); path != "" || err != nil {
		return path, nil, err
	}
	if path, err := exec.LookPath("redis-server"); err == nil {
		return path, nil, nil
	}
	path, err = cached("redis", redisProgram, func(ctx context.Context, dir string) error {
		fmt.Fprintln(w, "fetching Redis, Debian's package (2 MB) …")
		began := time.Now()
		if err := unpackRedis(ctx, dir); err != nil {
			return fmt.Errorf("no redis-server here, and none could be fetched (is the network there?): install "+
				"Redis 6.2 or newer so that redis-server is on PATH, or set REDIS_SERVER to it: %w", err)
		}
		fmt.Fprintf(w, "Redis is there after %.0f s\n", time.Since(began).Seconds())
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	return path, libraries(strings.TrimSuffix(path, redisProgram)), nil
}

// libraries has a program find those that were unpacked with it.
func libraries(root string) []string {
	files, _ := filepath.Glob(filepath.Join(root, "usr", "lib", "*", "*.so*")) // the pattern is good
	more, _ := filepath.Glob(filepath.Join(root, "lib", "*", "*.so*"))
	var dirs []string
	for _, f := range append(files, more...) {
		if dir := filepath.Dir(f); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
}

// unpackRedis puts redis-server and the packages that it lacks on this machine into a folder.
func unpackRedis(ctx context.Context, dir string) error {
	if err := unpack(ctx, dir, "redis-server"); err != nil {
		return err
	}
	version := exec.CommandContext(ctx, filepath.Join(dir, redisProgram), "--version")
	version.Env = append(os.Environ(), libraries(dir)...)
	if out, err := version.CombinedOutput(); err != nil {
		return fmt.Errorf("the packaged redis-server does not run here: %w: %s", err, process.LastLine(out))
	}
	return nil
}

// unpack puts Debian's packages, and those that they lack on this machine, into a folder. It needs
// apt and dpkg, not root. apt checks the packages' signatures.
func unpack(ctx context.Context, dir string, packages ...string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("there is no %s", tool)
		}
	}
	apt := filepath.Join(dir, "apt")
	debs := filepath.Join(apt, "debs")
	for _, d := range []string{debs, filepath.Join(apt, "lists", "partial"),
		filepath.Join(apt, "cache", "archives", "partial")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// The machine's own lists first; where they are missing or out of date, fresh ones in our folder.
	err := download(ctx, debs, packages)
	if err != nil {
		private := []string{"-o", "Dir::State::Lists=" + filepath.Join(apt, "lists"), "-o",
			"Dir::Cache=" + filepath.Join(apt, "cache")}
		if _, err := aptGet(ctx, debs, append(private, "update")...); err != nil {
			return err
		}
		err = download(ctx, debs, packages, private...)
	}
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", f, dir).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb -x %s: %w: %s", filepath.Base(f), err, process.LastLine(out))
		}
	}
	return os.RemoveAll(apt)
}

// download asks apt what an installation would add, and downloads just that. Packages that it would
// only bring up to date stay as they are: half a newer libc is none.
func download(ctx context.Context, dir string, wanted []string, options ...string) error {
	plan, err := aptGet(ctx, dir, slices.Concat(options, []string{"--simulate", "--no-install-recommends", "install"},
		wanted)...)
	if err != nil {
		return err
	}
	var packages []string
	for line := range strings.Lines(plan) {
		// of one that is there, the present version comes first, in brackets
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Inst" && strings.HasPrefix(f[2], "(") {
			packages = append(packages, f[1])
		}
	}
	if len(packages) == 0 {
		return fmt.Errorf("apt-get says that %s is installed, but it is not on PATH", strings.Join(wanted, " "))
	}
	_, err = aptGet(ctx, dir, append(append(options, "download"), packages...)...)
	return err
}

func aptGet(ctx context.Context, dir string, args ...string) (string, error) {
	// As root, apt would download as the user _apt, who may not be allowed into our folder.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "APT::Sandbox::User=root"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", args[len(args)-1], err, process.LastLine(problems.Bytes()))
	}
	return out.String(), nil
}

// RateLimitVersion is the pinned one of envoyproxy/ratelimit, which has no releases: a commit of its main branch.
const RateLimitVersion = "v1.4.1-0.20260122083618-3fb702589d36"

const rateLimitModule = "github.com/envoyproxy/ratelimit"

// findRateLimit returns Envoy's rate-limit service.
func findRateLimit(w io.Writer) (string, error) {
	if path, err := own("RATELIMIT"); path != "" || err != nil {
		return path, err
	}
	// Other programs have that name too.
	if path, err := exec.LookPath("ratelimit"); err == nil {
		if info, err := buildinfo.ReadFile(path); err == nil && info.Main.Path == rateLimitModule {
			return path, nil
		}
	}
	return buildRateLimit(w, "service_cmd", "Envoy's rate-limit service",
		", or set RATELIMIT to the program of envoyproxy/ratelimit")
}

// findConfigCheck returns the service's own check of its configuration. It is looked for nowhere:
// no distribution has it.
func findConfigCheck(w io.Writer) (string, error) {
	return buildRateLimit(w, "config_check_cmd", "the configuration check of Envoy's rate-limit service", "")
}

// buildRateLimit returns a program of the service's Go module; orElse is what else its user can do
// where it cannot be built.
func buildRateLimit(w io.Writer, program, what, orElse string) (string, error) {
	dir := filepath.Join("ratelimit", RateLimitVersion)
	if program != "service_cmd" {
		dir += "-" + program // of its own: the service's may be in use while this one is installed
	}
	return installGo(w, dir, rateLimitModule+"/src/"+program, RateLimitVersion,
		what+" from its Go module (a minute or two)", orElse)
}

// installGo has go install a program of another module.
func installGo(w io.Writer, dir, pkg, version, what, orElse string) (string, error) {
	return cached(dir, filepath.Base(pkg), func(ctx context.Context, dir string) error {
		golang, err := exec.LookPath("go")
		if err != nil {
			return errors.New("there is no go here to build " + what + ": install Go" + orElse)
		}
		fmt.Fprintf(w, "building %s …\n", what)
		began := time.Now()
		if out, err := goCommand(ctx, golang, dir, "install", "-trimpath", "-ldflags=-s -w",
			pkg+"@"+version).CombinedOutput(); err != nil {
			return fmt.Errorf("go install %s@%s failed (is the network there?)%s: %w: %s", pkg, version, orElse, err,
				process.LastLine(out))
		}
		fmt.Fprintf(w, "%s is there after %.0f s\n", filepath.Base(pkg), time.Since(began).Seconds())
		return nil
	})
}

// goCommand runs go in dir, which is outside any module, and has it install into dir. The user's
// settings for modules and mirrors stay; those for a build of another kind, as make has them for
// the filters, do not.
func goCommand(ctx context.Context, golang, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, golang, args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GO111MODULE", "GOTOOLCHAIN",
			"CGO_ENABLED", "GOBIN"}, name)
	})
	cmd.Env = append(cmd.Env, "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=auto", "CGO_ENABLED=0", "GOBIN="+dir)
	return cmd
}
