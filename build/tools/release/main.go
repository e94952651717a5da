// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command release makes all that a release has, twice, and compares the bytes. make release runs it.
//
// It works on clones of what is committed, so that nothing that lies about in the checkout gets into a release. The
// second build has a cache of its own, beside Go's: what the first has compiled never passes for its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/tollgate-wasm/tollgate/build/tools/checkout"
)

func main() {
	r := release{targets: targets, progress: os.Stdout}
	flag.StringVar(&r.version, "version", "", "of the release: v1.2.3, or v1.2.3-rc.1 for a pre-release")
	flag.StringVar(&r.registry, "registry", "", "where the images will be pushed (default: the chart's image.registry)")
	flag.StringVar(&r.output, "output", "", "a folder that is not there yet (default: build/release/VERSION)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := checkout.Root()
	if err == nil {
		r.root = root
		err = r.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

// target is an operating system and an architecture that the command is compiled for.
type target struct{ os, arch string }

var targets = []target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"}}

// release is what is to be made.
type release struct {
	root              string // of the checkout
	version, registry string
	output            string
	targets           []target
	once              bool // for tests: there is no second build, and nothing is rendered
	progress          io.Writer

	began time.Time
}

// versions are those that a release may have: semantic ones without build metadata, which no tag of an image may have.
var versions = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?$`)

// registries are what may stand before the name of an image: a host, and components of a path (OCI distribution-spec,
// "Pulling manifests").
var registries = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*(:\d+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// isRegistry says whether a text may stand before the name of an image. "tollgate" alone would be a user of Docker Hub.
func isRegistry(text string) bool {
	image := text + "/tollgate"
	repository, err := name.NewRepository(image)
	return err == nil && repository.Name() == image && registries.MatchString(text)
}

func (r *release) say(format string, args ...any) {
	fmt.Fprintf(r.progress, "%4.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *release) run(ctx context.Context) error {
	r.began = time.Now()
	if !versions.MatchString(r.version) {
		return fmt.Errorf("VERSION %q: want v1.2.3, or v1.2.3-rc.1 for a pre-release", r.version)
	}
	if r.registry != "" && !isRegistry(r.registry) {
		return fmt.Errorf("REGISTRY %q: want a host with a path, such as ghcr.io/tollgate-wasm", r.registry)
	}
	if r.output == "" {
		r.output = filepath.Join(r.root, "build", "release", r.version)
	}
	if _, err := os.Stat(r.output); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: remove it first", r.output)
	}
	commit, err := r.committed(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "tollgate-release-")
	if err != nil {
		return err
	}
	defer removeAll(work)
	r.say("Tollgate %s of %s", r.version, commit)
	kustomize := ""
	if !r.once {
		if kustomize, err = installKustomize(ctx, work); err != nil {
			return err
		}
		r.say("kustomize %s is there", kustomizeVersion)
	}
	// Folders of different lengths: a path that gets into a file changes it.
	folders := []string{filepath.Join(work, "first"), filepath.Join(work, "a", "second", "build", "elsewhere")}
	if r.once {
		folders = folders[:1]
	}
	var made []string
	for i, folder := range folders {
		b := build{release: r, root: folder, output: filepath.Join(work, fmt.Sprintf("output-%d", i)),
			kustomize: kustomize, commit: commit}
		if i > 0 {
			cache, err := os.UserCacheDir()
			if err != nil {
				return err
			}
			b.env = []string{"GOCACHE=" + filepath.Join(cache, "tollgate-release"), "TZ=Pacific/Kiritimati", "LC_ALL=C"}
		}
		if err := r.clone(ctx, folder, commit); err != nil {
			return err
		}
		r.say("build %d of %d", i+1, len(folders))
		if err := b.run(ctx); err != nil {
			return err
		}
		made = append(made, b.output)
	}
	if !r.once {
		if err := compare(made[0], made[1]); err != nil {
			return err
		}
		r.say("both builds are the same bytes")
	}
	private, err := privatePaths(ctx, r.root, work)
	if err != nil {
		return err
	}
	if err := scan(made[0], private); err != nil {
		return err
	}
	r.say("no placeholder, no private key and no path of this machine is in any file")
	if err := os.MkdirAll(filepath.Dir(r.output), 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(r.output, os.DirFS(made[0])); err != nil {
		return err
	}
	r.say("the release is in %s", r.output)
	return nil
}

// removeAll also removes what Go writes without the right to change it.
func removeAll(folder string) {
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	_ = os.RemoveAll(folder)
}

// committed returns the commit that is checked out, and refuses a checkout that has more than that.
func (r *release) committed(ctx context.Context) (string, error) {
	changed, err := output(ctx, r.root, nil, "git", "status", "--porcelain")
	if err != nil {
		return "", err
	}
	if changed != "" {
		return "", fmt.Errorf("a release is made of what is committed, and this is not:\n%s", changed)
	}
	commit, err := output(ctx, r.root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	if tagged, err := output(ctx, r.root, nil, "git", "rev-parse", "--verify", "--quiet",
		"refs/tags/"+r.version+"^{commit}"); err == nil && tagged != commit {
		return "", fmt.Errorf("the tag %s is of another commit, %s: check it out", r.version, tagged)
	}
	return commit, nil
}

// clone makes a clean one, in which the commit has the version's tag: from there Go writes the version into the
// command.
func (r *release) clone(ctx context.Context, folder, commit string) error {
	for _, command := range [][]string{
		{"git", "clone", "--quiet", "--no-checkout", r.root, folder},
		{"git", "-C", folder, "checkout", "--quiet", "--detach", commit},
		{"git", "-C", folder, "tag", "--no-sign", "--force", r.version},
	} {
		if _, err := output(ctx, r.root, nil, command...); err != nil {
			return err
		}
	}
	return nil
}

// output runs a program and returns what it prints.
func output(ctx context.Context, dir string, env []string, command ...string) (string, error) {
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Dir, c.Env = dir, env
	var problems strings.Builder
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
