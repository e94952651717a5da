// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command demo runs jwt-scope in a real Envoy on the loopback interface, with a key made for this run, and prints requests to try; with -check it tries them itself.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
	"github.com/tollgate-wasm/tollgate/build/mint"
)

func main() {
	check := flag.Bool("check", false, "send the requests, compare the answers and end")
	port := flag.Int("port", 10000, "port to listen on; a free one is taken where it is in use")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *check, *port); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

const issuer = "https://idp.example.com/realms/shop"

func run(ctx context.Context, check bool, port int) error {
	root, err := envoybin.Root()
	if err != nil {
		return err
	}
	module := filepath.Join(root, "build", "out", "jwt-scope.wasm")
	if _, err := os.Stat(module); err != nil {
		return fmt.Errorf("%w; run: make build", err)
	}
	dir := filepath.Join(root, "build", "out", "demo")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	key := mint.New("demo", jose.ES256)
	policy := policy(key)
	if err := os.WriteFile(filepath.Join(dir, "jwt-scope.json"), policy, 0o644); err != nil {
		return err
	}
	upstream, upstreamPort, err := startUpstream()
	if err != nil {
		return err
	}
	defer upstream.Close()

	decisions, w := io.Pipe()
	envoy, err := envoybin.Run(configuration(module, string(policy), upstreamPort, freePort(port)), envoybin.Options{Dir: dir, Stdout: w, LogLevel: "warning"})
	if err != nil {
		if envoy != nil {
			return fmt.Errorf("running Envoy: %w\n%s", err, envoy.Log())
		}
		return err
	}
	defer envoy.Stop()

	requests := requests(key)
	if check {
		go func() { _, _ = io.Copy(io.Discard, decisions) }()
		return checkAll(os.Stdout, envoy, requests)
	}
	fmt.Printf("Envoy %s with jwt-scope listens on %s.\nIts configuration: %s and, for the filter, %s\n\n", envoy.Version, envoy.Address("main"),
		relative(filepath.Join(dir, "envoy.json")), relative(filepath.Join(dir, "jwt-scope.json")))
	printRequests(os.Stdout, envoy.Address("main"), requests)
	fmt.Printf("\nDecisions appear here as you send requests. Ctrl-C ends.\n\n")
	go printDecisions(os.Stdout, decisions, colours(os.Stdout))
	select {
	case <-ctx.Done():
		fmt.Println("\nstopping Envoy …")
		return nil
	case <-envoy.Done():
		return fmt.Errorf("running Envoy: it has ended: %v\n%s", envoy.Err(), envoy.Log())
	}
}

// policy is the filter's configuration: what a team would write for an orders service.
func policy(key *mint.Key) []byte {
	b, err := json.MarshalIndent(bootstrap.M{
		"providers": []bootstrap.M{{
			"name": "corp", "issuer": issuer, "audiences": []string{"orders-api"}, "algorithms": []string{"ES256"},
			"jwks": bootstrap.M{"inline": mint.Set(key)},
		}},
		"rules": []bootstrap.M{
			{"name": "health", "match": []bootstrap.M{{"paths": []string{"/healthz"}, "methods": []string{"GET"}}}, "access": "public"},
			{"name": "read-orders", "match": []bootstrap.M{{"paths": []string{"/orders/{**}"}, "methods": []string{"GET", "HEAD"}}},
				"require": bootstrap.M{"scopes": bootstrap.M{"any": []string{"orders:read", "orders:admin"}}}},
			{"name": "write-orders", "match": []bootstrap.M{{"paths": []string{"/orders/{**}"}, "methods": []string{"POST", "PUT", "PATCH", "DELETE"}}},
				"require": bootstrap.M{"scopes": bootstrap.M{"all": []string{"orders:write"}}}},
		},
		"errors": bootstrap.M{"realm": "orders"},
	}, "", "  ")
	if err != nil {
		panic(err) // a literal that does not marshal
	}
	return b
}

func configuration(module, policy string, upstream, port int) []byte {
	filter := bootstrap.Wasm{Name: "jwt-scope", Module: module, Configuration: policy}.Filter()
	listener := bootstrap.Listener("main", port, []bootstrap.M{filter}, bootstrap.To("upstream"), bootstrap.M{
		"access_log": bootstrap.AccessLog(map[string]string{"time": "%START_TIME(%H:%M:%S)%", "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%"}),
	})
	return bootstrap.Bootstrap([]bootstrap.M{listener}, []bootstrap.M{bootstrap.Cluster("upstream", upstream, false)})
}

// startUpstream is the service behind the proxy: it tells what reached it.
func startUpstream() (*http.Server, int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the orders service answers %s %s\n", r.Method, r.URL.Path)
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	return server, l.Addr().(*net.TCPAddr).Port, nil
}

// freePort is the port that was wanted, or 0, which lets the kernel choose, where somebody has it.
func freePort(wanted int) int {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", wanted))
	if err != nil {
		fmt.Fprintf(os.Stderr, "port %d is in use: taking another\n", wanted)
		return 0
	}
	l.Close()
	return wanted
}

func relative(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil {
			return rel
		}
	}
	return path
}
