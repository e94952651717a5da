// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
)

// World is what is outside of the cluster: hosts with names and certificates that its pods know.
type World struct {
	Authority *Authority

	mu    sync.Mutex
	names map[string]string
	next  int
}

func newWorld() (*World, error) {
	authority, err := newAuthority("the world")
	return &World{Authority: authority, names: map[string]string{}}, err
}

// Name has a name stand for an address.
func (w *World) Name(name, ip string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[name] = ip
}

// lookup is the address of a name, or "".
func (w *World) lookup(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[name]
}

// address adds one to the bridge.
func (w *World) address() (string, error) {
	w.mu.Lock()
	w.next++
	ip := fmt.Sprintf("10.244.255.%d", w.next)
	w.mu.Unlock()
	return ip, command("ip addr add " + ip + "/32 dev " + bridge)
}

// Serve answers https://name until the returned server is closed. Each has an address of its own.
func (w *World) Serve(handler http.Handler, names ...string) (*http.Server, error) {
	ip, err := w.address()
	if err != nil {
		return nil, err
	}
	config, err := w.Authority.Server(names...)
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(ip, "443"), config)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		w.Name(name, ip)
	}
	server := &http.Server{Handler: handler, TLSConfig: config}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, names, err)
		}
	}()
	return server, nil
}
