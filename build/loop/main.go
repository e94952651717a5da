// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command loop runs the local loop of envoy/: it makes what docker-compose.yaml mounts, brings the
// services up and down, sends requests that show what the filters do, and brings changes to the
// running proxies. The Makefile has a target for each of its commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate-wasm/tollgate/build/loop/mounts"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

const usage = `usage: loop COMMAND

  prepare   make keys, certificates and the filters' configurations in build/out/compose
  up        prepare, start the services and wait until all are healthy
  down      stop the services and remove their containers
  logs      print the services' logs until Ctrl-C
  try       send requests and compare the answers with what they should be
  token     print a token; -scope, -subject, -ttl
  watch     bring changed rules and modules to the running proxies
  report    measure the running loop and write a page of it; -o FILE, -png FOLDER
  test      all of it with images made of the real programs, in an engine of its own, where there is no Docker`

func main() {
	// A SIGTERM to `go run` ends that alone and leaves its child: have the kernel pass it on.
	// Should the call fail, only this is lost.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	root, err := envoybin.Root()
	if err != nil {
		return err
	}
	l := &loop{root: root, mounts: mounts.New(root, filepath.Join(root, "build", "out", "compose")),
		ports: portsOf(os.Getenv), profiles: strings.Split(os.Getenv("COMPOSE_PROFILES"), ",")}
	f := flag.NewFlagSet(args[0], flag.ExitOnError)
	switch args[0] {
	case "prepare":
		return l.mounts.Prepare()
	case "up", "down", "logs":
		if l.compose, err = usersCompose(ctx, root); err != nil {
			return err
		}
		if args[0] != "up" { // which profiles are running, nobody remembers
			l.compose.env = append(l.compose.env, "COMPOSE_PROFILES="+strings.Join(profiles, ","))
		} else if slices.Contains(l.profiles, "traces") && os.Getenv("TRACES") == "" {
			l.compose.env = append(l.compose.env, "TRACES=10000") // all of them
		}
		switch args[0] {
		case "up":
			return l.up(ctx)
		case "down":
			// It wants the files that it mounts, even to end.
			if err := l.mounts.Prepare(); err != nil {
				return err
			}
			return l.compose.run(ctx, os.Stdout, "down", "--volumes", "--remove-orphans")
		default:
			if err := l.compose.run(ctx, os.Stdout, "logs", "--follow", "--tail", "100"); ctx.Err() == nil {
				return err
			}
			return nil // Ctrl-C is how it ends
		}
	case "try":
		return l.try(ctx, os.Stdout)
	case "token":
		scope := f.String("scope", "orders:read orders:write", "the scopes, separated by spaces")
		subject := f.String("subject", "developer", "sub")
		ttl := f.Duration("ttl", time.Hour, "from now until exp")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		key, err := l.mounts.TokenKey()
		if err != nil {
			return err
		}
		fmt.Println(key.Token(claims(*subject, *scope, time.Now(), *ttl)))
		return nil
	case "watch":
		return l.watch(ctx, os.Stdout)
	case "report":
		file := f.String("o", filepath.Join(root, "build", "out", "report.html"), "the page")
		pictures := f.String("png", "", "a folder for pictures of the page, in light and in dark, drawn by a Chromium")
		if err := f.Parse(args[1:]); err != nil {
			return err
		}
		if l.compose, err = usersCompose(ctx, root); err != nil {
			return err
		}
		return l.report(ctx, os.Stdout, *file, *pictures)
	case "test":
		return test(ctx, root)
	}
	return fmt.Errorf("there is no command %q\n%s", args[0], usage)
}

// loop is the services of envoy/docker-compose.yaml, and what is made for them.
type loop struct {
	root    string
	mounts  *mounts.Folder
	compose *compose
	ports   ports
	// profiles are those that make up was asked for.
	profiles []string
}

// profiles are docker-compose.yaml's.
var profiles = []string{"idp", "mcp", "dashboards", "traces", "registry"}

// ports are those of the loopback interface, by the variables that docker-compose.yaml has for them.
type ports map[string]string

// defaultPorts are docker-compose.yaml's, too: a test holds them together.
var defaultPorts = ports{"EDGE_PORT": "10000", "EDGE_ADMIN_PORT": "9901", "MESH_PORT": "10443",
	"MESH_ADMIN_PORT": "9902", "PROMETHEUS_PORT": "9090", "KEYCLOAK_PORT": "8180", "GRAFANA_PORT": "3000",
	"REGISTRY_PORT": "5000"}

func portsOf(env func(string) string) ports {
	p := ports{}
	for name, port := range defaultPorts {
		if p[name] = port; env(name) != "" {
			p[name] = env(name)
		}
	}
	return p
}

func (p ports) address(name string) string { return "127.0.0.1:" + p[name] }

// upTimeout covers images of 1 GB over a slow line, and Keycloak's start.
const upTimeout = 15 * time.Minute

func (l *loop) up(ctx context.Context) error {
	if err := readable(filepath.Join(l.root, "envoy")); err != nil {
		return err
	}
	if err := l.mounts.Prepare(); err != nil {
		return err
	}
	if slices.Contains(l.profiles, "mcp") {
		if err := l.mounts.MCPServer(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	began := time.Now()
	if err := l.compose.run(ctx, os.Stderr, "up", "--detach", "--remove-orphans"); err != nil {
		return err
	}
	if err := l.healthy(ctx); err != nil {
		return err
	}
	if err := l.works(ctx); err != nil {
		return err
	}
	fmt.Printf("up after %.0f s. The edge is http://%s, the mesh https://%s; Prometheus http://%s\n",
		time.Since(began).Seconds(), l.ports.address("EDGE_PORT"), l.ports.address("MESH_PORT"),
		l.ports.address("PROMETHEUS_PORT"))
	for _, s := range []struct{ profile, service, port, path string }{
		{"idp", "Keycloak is http://", "KEYCLOAK_PORT", ""}, {"mcp", "The MCP server is http://", "EDGE_PORT", mcpPath},
		{"dashboards", "Grafana is http://", "GRAFANA_PORT", ""}, {"registry", "The registry is ", "REGISTRY_PORT", ""}} {
		if slices.Contains(l.profiles, s.profile) {
			fmt.Println(s.service + l.ports.address(s.port) + s.path)
		}
	}
	fmt.Println("make try sends requests, make watch brings your changes in, make logs tells what was decided, make " +
		"down ends it.")
	return nil
}

// works waits until the edge has found the mesh and has the keys of all tokens, and the mesh those
// of the stamps: each proxy is ready by itself before.
func (l *loop) works(ctx context.Context) error {
	key, err := l.mounts.TokenKey()
	if err != nil {
		return err
	}
	tokens := map[string]string{"a token of make token": key.Token(claims("up", "orders:read", time.Now(), time.Hour))}
	// of which the edge hears last: it asks less often the longer nobody answers, twice a minute in the end
	if slices.Contains(l.profiles, "idp") {
		if tokens["Keycloak's token"], err = l.keycloakToken(ctx); err != nil {
			return err
		}
	}
	for what, token := range tokens {
		last := ""
		if err := l.await(ctx, "GET /orders/7 with "+what+" is let through", func() bool {
			a, err := l.get(ctx, "/orders/7", bearer(token))
			if last = a.String(); err != nil {
				last = err.Error()
			}
			return last == "200 ok"
		}); err != nil {
			return fmt.Errorf("%w; it is answered %s", err, last)
		}
	}
	return nil
}

// readable looks for what the proxies' user could not read: a clone of somebody who shares nothing
// (umask 077) has such files.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o004 == 0 || d.IsDir() && info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("containers cannot read %s, which is %s; run: chmod -R go+rX %s", path, info.Mode(), dir)
		}
		return nil
	})
}
