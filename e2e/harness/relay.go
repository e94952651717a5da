// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay passes connections on to an address that may be named later, and keeps them waiting until
// then: two proxies that each want the other's port are started one after the other. It may change
// the requests.
type Relay struct {
	listener net.Listener
	target   string
	named    chan struct{} // closed when target is there, or the test ends
	once     sync.Once
	change   func(request []byte) []byte // nil: nothing is changed
}

// StartRelay runs one until the test ends. change, where not nil, gets what clients send as it
// comes: a small request in one piece.
func StartRelay(t testing.TB, change func([]byte) []byte) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{listener: l, named: make(chan struct{}), change: change}
	t.Cleanup(func() {
		l.Close()
		r.To("")
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed with the test
			}
			go r.serve(c)
		}
	}()
	return r
}

// Port that it listens on.
func (r *Relay) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// To names the address that all connections go to.
func (r *Relay) To(address string) {
	r.once.Do(func() {
		r.target = address
		close(r.named)
	})
}

func (r *Relay) serve(c net.Conn) {
	defer c.Close()
	<-r.named
	s, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		_, _ = io.Copy(c, s) // an error is the end of the connection
		c.Close()
	}()
	for b := make([]byte, 64<<10); ; {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		part := b[:n]
		if r.change != nil {
			part = r.change(part)
		}
		if _, err := s.Write(part); err != nil {
			return
		}
	}
}
