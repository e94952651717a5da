// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Issuer publishes a document, such as a key set, as http://idp.example/keys.
type Issuer struct {
	Port    int
	Fetches atomic.Int64

	mu     sync.Mutex
	status int
	body   string
	fields [][2]string
	gate   chan struct{} // closed: answers go out; nil: at once
}

// StartIssuer runs one until the test ends.
func StartIssuer(t testing.TB, body string) *Issuer {
	t.Helper()
	s := &Issuer{status: 200, body: body}
	s.Port = Serve(t, s.serve)
	return s
}

func (s *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	s.Fetches.Add(1)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done(): // the proxy has given up
			return
		}
	}
	s.mu.Lock()
	status, body, fields := s.status, s.body, s.fields
	s.mu.Unlock()
	if r.URL.Path != "/keys" || r.Host != "idp.example" {
		status = 404
	}
	if status == 302 {
		w.Header().Set("location", "/other")
	}
	for _, f := range fields {
		w.Header().Set(f[0], f[1])
	}
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

// Set changes what is answered from now on.
func (s *Issuer) Set(status int, body string, fields ...[2]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body, s.fields = status, body, fields
}

// Hold has all answers from now on wait until release is called.
func (s *Issuer) Hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.gate = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gate = nil
		close(gate)
	}
}
