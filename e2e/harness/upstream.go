// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// Upstream is a server behind the proxy that keeps what reaches it and answers 200; the path /close
// makes it close the connection instead. It takes every upgrade and every CONNECT, with an echo:
// whatever it is asked for, only the proxy refuses.
type Upstream struct {
	listener net.Listener
	mu       sync.Mutex
	requests []*Message
}

// StartUpstream runs one until the test ends.
func StartUpstream(t testing.TB) *Upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed with the test
			}
			go u.serve(c)
		}
	}()
	return u
}

func (u *Upstream) serve(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		m, err := readMessage(r)
		if err != nil {
			return // the proxy has closed the connection, or sent what no test should cause: then it never gets an answer
		}
		u.mu.Lock()
		u.requests = append(u.requests, m)
		u.mu.Unlock()
		if strings.Contains(m.Start, " /close ") {
			return // a server that breaks off
		}
		if strings.HasPrefix(m.Start, "CONNECT ") {
			u.echo(c, r, "HTTP/1.1 200 OK\r\n\r\n")
			return
		}
		if protocol := m.Header("upgrade"); protocol != "" {
			u.echo(c, r, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "+protocol+"\r\n\r\n")
			return
		}
		const body = "answered by the upstream\n"
		if _, err := io.WriteString(c,
			fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(body), body)); err != nil {
			return
		}
	}
}

// echo answers and then sends back what comes, until the other side ends.
func (u *Upstream) echo(c net.Conn, r io.Reader, answer string) {
	if _, err := io.WriteString(c, answer); err != nil {
		return
	}
	_, _ = io.Copy(c, r) // an error is the end of the connection
}

// Port that it listens on.
func (u *Upstream) Port() int { return u.listener.Addr().(*net.TCPAddr).Port }

// Take returns what has reached the upstream since the last call. A request is there before its answer is.
func (u *Upstream) Take() []*Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.requests
	u.requests = nil
	return taken
}
