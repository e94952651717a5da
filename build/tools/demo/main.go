// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command demo runs jwt-scope in a real Envoy on the loopback interface, with a key made for this
// run, and prints requests to try; with -check it tries them itself.
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
	"sync/atomic"
	"syscall"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

func main() {
	check := flag.Bool("check", false, "send the requests, compare the answers and end")
	port := flag.Int("port", 10000, "port to listen on; a free one is taken where it is in use")
	flag.Parse()
	// A SIGTERM to `go run` ends that alone and leaves its child: have the kernel pass it on.
	// Should the call fail, only this is lost.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once; the kernel then kills Envoy
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
	up, err := startUpstream()
	if err != nil {
		return err
	}
	defer up.Close()

	// Read from the start to the end: Envoy cannot end while somebody owes it a reader.
	log, logEnd := io.Pipe()
	printed := make(chan struct{})
	live := io.Writer(os.Stdout)
	if check {
		live = io.Discard
	}
	go func() {
		defer close(printed)
		printDecisions(live, log, colours(os.Stdout))
	}()
	defer func() {
		logEnd.Close()
		<-printed
	}()

	fmt.Fprintln(os.Stderr, "starting Envoy with jwt-scope …")
	envoy, err := envoybin.Run(configuration(module, string(policy), up.port, freePort(port)),
		envoybin.Options{Dir: dir, Stdout: logEnd, LogLevel: "warning"})
	if err != nil {
		if envoy != nil {
			return fmt.Errorf("running Envoy: %w\n%s", err, envoy.Log())
		}
		return err
	}
	defer envoy.Stop()

	tokens, requests := requests(key)
	if check {
		return checkAll(ctx, os.Stdout, envoy, up, tokens, requests)
	}
	if ctx.Err() == nil {
		fmt.Printf("Envoy %s with jwt-scope listens on %s. Its configuration, whole and the filter's part:\n  "+
			"%s\n  %s\n\n", envoy.Version, envoy.Address("main"),
			filepath.Join(dir, "envoy.json"), filepath.Join(dir, "jwt-scope.json"))
		printRequests(os.Stdout, envoy.Address("main"), tokens, requests)
		fmt.Printf("Decisions appear here as you send requests. Ctrl-C ends.\n\n")
	}
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
			{"name": "health", "match": []bootstrap.M{{"paths": []string{"/healthz"}, "methods": []string{"GET"}}},
				"access": "public"},
			{"name": "read-orders", "match": []bootstrap.M{{"paths": []string{"/orders/{**}"},
				"methods": []string{"GET", "HEAD"}}},
				"require": bootstrap.M{"scopes": bootstrap.M{"any": []string{"orders:read", "orders:admin"}}}},
			{"name": "write-orders",
				"match": []bootstrap.M{{"paths": []string{"/orders/{**}"},
					"methods": []string{"POST", "PUT", "PATCH", "DELETE"}}},
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
	listener := bootstrap.Listener("main", port, []bootstrap.M{filter}, bootstrap.To("upstream"),
		bootstrap.M{"access_log": bootstrap.AccessLog(logFields)})
	return bootstrap.Bootstrap([]bootstrap.M{listener}, []bootstrap.M{bootstrap.Cluster("upstream", upstream, false)})
}

// upstream is the service behind the proxy.
type upstream struct {
	*http.Server
	port   int
	served atomic.Int64 // requests
}

// greeting begins every answer of the upstream.
const greeting = "the orders service got "

func startUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	up := &upstream{port: l.Addr().(*net.TCPAddr).Port}
	up.Server = &http.Server{Handler: up}
	go func() { _ = up.Serve(l) }() // ends with Close
	return up, nil
}

// ServeHTTP tells what reached the service; of the token, only that it did.
func (up *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	up.served.Add(1)
	token := "none"
	if r.Header.Get("Authorization") != "" {
		token = "forwarded"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, greeting+"%s %s\n  host: %s\n  token: %s\n", r.Method, r.RequestURI, r.Host, token)
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
