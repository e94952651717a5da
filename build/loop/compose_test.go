// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/checkout"
)

// prepared is a folder with all that is made.
func prepared(t *testing.T) (dir string, f *mounts.Folder) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "compose")
	f = mounts.New(checkout.Root(t), dir)
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	return dir, f
}

type service struct {
	Image       string            `json:"image"`
	Profiles    []string          `json:"profiles"`
	User        string            `json:"user"`
	Entrypoint  []string          `json:"entrypoint"`
	Command     []string          `json:"command"`
	EnvFile     []string          `json:"env_file"`
	Environment map[string]string `json:"environment"`
	Ports       []string          `json:"ports"`
	Volumes     []string          `json:"volumes"`
	Tmpfs       []string          `json:"tmpfs"`
	DependsOn   map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
	Healthcheck struct {
		Test     []string `json:"test"`
		Interval string   `json:"interval"`
		Timeout  string   `json:"timeout"`
		Retries  int      `json:"retries"`
	} `json:"healthcheck"`
	Restart     string   `json:"restart"`
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	Logging     any      `json:"logging"`
}

func services(t *testing.T) map[string]service {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", "docker-compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]service `json:"services"`
		Service  any                `json:"x-service"`
		Health   any                `json:"x-health"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("there are no services")
	}
	return file.Services
}

// Every port is one of the loopback interface, by a variable; the program knows the same ones.
func TestPorts(t *testing.T) {
	found := ports{}
	for name, s := range services(t) {
		for _, p := range s.Ports {
			m := regexp.MustCompile(`^127\.0\.0\.1:\$\{([A-Z_]+_PORT):-(\d+)\}:\d+$`).FindStringSubmatch(p)
			if m == nil {
				t.Errorf("%s publishes %q", name, p)
				continue
			}
			found[m[1]] = m[2]
		}
	}
	if !maps.Equal(found, defaultPorts) {
		t.Errorf("docker-compose.yaml has %v, the program %v", found, defaultPorts)
	}
}

// Every service has a health check with a program that every image of it has.
func TestHealthChecks(t *testing.T) {
	for name, s := range services(t) {
		check := s.Healthcheck
		ofImage := name == "redis" && slices.Equal(check.Test, []string{"CMD", "redis-cli", "ping"})
		probe := len(check.Test) == 3 && check.Test[0] == "CMD" && check.Test[1] == "/etc/tollgate/bin/healthcheck" &&
			strings.HasPrefix(check.Test[2], "http://127.0.0.1:") &&
			slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasSuffix(v, "/bin:/etc/tollgate/bin:ro") })
		if !ofImage && !probe || check.Interval == "" || check.Timeout == "" || check.Retries < 100 {
			t.Errorf("%s: %+v", name, check)
		}
		for on, d := range s.DependsOn {
			if d.Condition != "service_healthy" {
				t.Errorf("%s waits for %s to be %q", name, on, d.Condition)
			}
		}
	}
}

// Images have versions and can be replaced; what needs no more has no more.
func TestServices(t *testing.T) {
	var found []string
	for name, s := range services(t) {
		if !regexp.MustCompile(`^\$\{[A-Z]+_IMAGE:-[a-z0-9./-]+:[a-z0-9.-]*[0-9][a-z0-9.-]*\}$`).MatchString(s.Image) {
			t.Errorf("%s: the image %q", name, s.Image)
		}
		found = append(found, s.Profiles...)
		if s.Profiles == nil && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.SecurityOpt == nil) {
			t.Errorf("%s may do more than it must", name)
		}
	}
	slices.Sort(found)
	if want := slices.Sorted(slices.Values(profiles)); !slices.Equal(found, want) {
		t.Errorf("the profiles are %q, the program knows %q", found, want)
	}
	// Official images are of the versions that the tests run; ratelimit's are called after the
	// first eight digits of the commit.
	commit := backends.RateLimitVersion[strings.LastIndexByte(backends.RateLimitVersion, '-')+1:]
	for name, want := range map[string]string{"edge": "envoyproxy/envoy:v" + envoybin.Default,
		"mesh":      "envoyproxy/envoy:v" + envoybin.Default,
		"ratelimit": "envoyproxy/ratelimit:" + commit[:8], "upstream": "ghcr.io/mccutchen/go-httpbin:" +
			strings.TrimPrefix(backends.HTTPBinVersion, "v")} {
		if got := services(t)[name].Image; !strings.HasSuffix(got, ":-"+want+"}") {
			t.Errorf("%s runs %s, the tests %s", name, got, want)
		}
	}
}

// Everything that is mounted is there: in git, or made by Prepare. Containers only read.
func TestMounts(t *testing.T) {
	const variable = "${TOLLGATE_MADE:-../build/out/compose}"
	dir, _ := prepared(t)
	local := func(path string) string {
		if rest, ok := strings.CutPrefix(path, variable); ok {
			return dir + rest
		}
		return filepath.Join(checkout.Root(t), "envoy", path)
	}
	for name, s := range services(t) {
		for _, v := range s.Volumes {
			at := strings.LastIndex(strings.TrimSuffix(v, ":ro"), ":/")
			if at < 0 || !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s mounts %q", name, v)
				continue
			}
			// Folders, not files: a file that is replaced by another of its name would stay the old one in the container.
			info, err := os.Stat(local(v[:at]))
			if err != nil || !info.IsDir() || strings.HasPrefix(v, variable) && info.Mode().Perm()&0o005 != 0o005 {
				t.Errorf("%s mounts %q: no folder that containers may read (%v)", name, v, err)
			}
		}
		for _, f := range s.EnvFile {
			if info, err := os.Stat(local(f)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s reads %q: %v, %v", name, f, info, err)
			}
		}
	}
}

// What containers cannot read is told before they fail.
func TestReadable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edge", "envoy.yaml")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Dir(file), 0o755),
		os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := readable(dir); err != nil {
		t.Errorf("a usual clone: %v", err)
	}
	for _, path := range []string{file, filepath.Dir(file)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, info.Mode().Perm()&0o700); err != nil {
			t.Fatal(err)
		}
		if err := readable(dir); err == nil || !strings.Contains(err.Error(), path) ||
			!strings.Contains(err.Error(), "chmod -R go+rX "+dir) {
			t.Errorf("without rights on %s: %v", path, err)
		}
		if err := os.Chmod(path, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// Envoy takes both bootstraps. Their filters it takes in every other test, and here the published
// ones must be what the bootstraps discover; validating would compile the module four times.
func TestEnvoyValidates(t *testing.T) {
	dir, _ := prepared(t)
	binary, _, err := envoybin.Find(envoybin.Default, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"edge", "mesh"} {
		text, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", proxy, "envoy.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		config := strings.ReplaceAll(string(text), "/etc/tollgate/made/", dir+"/"+proxy+"/")
		file := filepath.Join(t.TempDir(), "envoy.yaml")
		validate := func(config string) (string, error) {
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(binary, "--mode", "validate", "-c", file, "-l", "error").CombinedOutput()
			return string(out), err
		}
		if out, err := validate(config); err != nil {
			t.Errorf("%s: %v\n%s", proxy, err, out)
		}
		if _, err := validate(strings.Replace(config, "stats_tags", "stat_tags", 1)); err == nil {
			t.Errorf("%s: Envoy takes a mistake: the test tests nothing", proxy)
		}
		discovered := map[string]bool{}
		for _, m := range regexp.MustCompile(
			`name: ([a-z-]+).*\n\s+config_discovery:\n\s+config_source: \{path_config_source: \{path: (\S+), watched_directory: \{path: (\S+)\}\}, `).FindAllStringSubmatch(config, -1) {
			var published struct {
				Resources []struct{ Name string }
			}
			text, err := os.ReadFile(m[2])
			if err == nil {
				err = json.Unmarshal(text, &published)
			}
			if err != nil || len(published.Resources) != 1 || published.Resources[0].Name != m[1] || m[3] != filepath.Dir(m[2]) {
				t.Errorf("%s discovers %q: %+v, %v", proxy, m[1:], published, err)
			}
			discovered[m[1]] = true
		}
		for _, plugin := range mounts.Plugins {
			if plugin.Proxy == proxy && !discovered[plugin.Name] {
				t.Errorf("%s discovers %v, and not %s", proxy, discovered, plugin.Name)
			}
		}
	}
}

// What is in git for the loop has no secret: keys are made, passwords are made, and what is made is not in git.
func TestNoSecrets(t *testing.T) {
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "envoy", "build/loop",
		"build/loop/docker")
	list.Dir = checkout.Root(t)
	out, err := list.Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("git ls-files: %q, %v", out, err)
	}
	secret := regexp.MustCompile(
		`-----BEGIN [A-Z]|"d"\s*:\s*"|(?i:password|secret)["']?\s*[:=]\s*["']?[A-Za-z0-9]{8}|eyJ[A-Za-z0-9_-]{10,}`)
	for _, f := range strings.Fields(string(out)) {
		b, err := os.ReadFile(filepath.Join(checkout.Root(t), f))
		if err != nil {
			t.Fatal(err)
		}
		if m := secret.Find(b); m != nil {
			t.Errorf("%s has %q", f, m)
		}
	}
	ignored := exec.Command("git", "check-ignore", "--quiet", "build/out/compose/edge.env")
	ignored.Dir = checkout.Root(t)
	if err := ignored.Run(); err != nil {
		t.Errorf("git does not ignore build/out/compose: %v", err)
	}
}

// What try says of the configurations is what they say.
func TestTryKnowsTheConfigurations(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(checkout.Root(t), "envoy", name))
		if err == nil {
			err = yaml.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var scope struct {
		Providers []struct {
			Name, Issuer string
			Audiences    []string
		}
	}
	read("edge/jwt-scope.yaml", &scope)
	if p := scope.Providers[0]; p.Name != "dev" || p.Issuer != tokenIssuer ||
		!slices.Contains(p.Audiences, tokenAudience) {
		t.Errorf("tokens are of %s for %s, the edge wants %+v", tokenIssuer, tokenAudience, p)
	}
	keycloak := services(t)["keycloak"].Environment["KC_HOSTNAME"]
	if p := scope.Providers[1]; p.Name != "shop" || p.Issuer != keycloak+"/realms/shop" || p.Issuer != keycloakIssuer {
		t.Errorf("Keycloak is %s, the edge wants %+v", keycloak, p)
	}
	var stamp struct{ Issuer, Audience string }
	read("edge/edge-stamp.yaml", &stamp)
	if stamp.Issuer != stampIssuer || stamp.Audience != stampAudience {
		t.Errorf("stamps are of %s for %s, the edge signs %+v", stampIssuer, stampAudience, stamp)
	}
	var limit struct {
		Limits []struct {
			Name string
			Rate struct {
				Requests int
				Per      string
			}
		}
	}
	read("edge/rate-limit.yaml", &limit)
	if r := limit.Limits[1]; r.Name != "reports" || r.Rate.Requests != reportsLimit || r.Rate.Per != "1m" {
		t.Errorf("reports are limited to %+v, not %d a minute", r, reportsLimit)
	}
}

// What cannot be run is told, and fails where everything must run.
func TestNotRun(t *testing.T) {
	why := errors.New("no engine")
	for ci, want := range map[string]error{"true": why, "": nil} {
		t.Setenv("CI", ci)
		var told strings.Builder
		if err := notRun(&told, "the test", why); err != want ||
			!strings.Contains(told.String(), "*** NOT RUN: the test.\n*** no engine\n") {
			t.Errorf("CI=%s: %v, %q", ci, err, told.String())
		}
	}
}
