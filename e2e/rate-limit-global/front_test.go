// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package ratelimitglobal

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// front stands between the proxy and the service. It passes calls on, until it has a fault: then it
// answers in the service's place.
type front struct {
	net.Listener
	mu     sync.Mutex
	answer http.HandlerFunc // nil: passes on
	raw    string           // what each connection gets instead of HTTP/2
	open   []net.Conn
}

func startFront(t testing.TB, service string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{Listener: l}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	pass := &httputil.ReverseProxy{
		Transport:     transport,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: service}) },
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := &http.Server{Protocols: transport.Protocols,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			answer := f.answer
			f.mu.Unlock()
			if answer == nil {
				answer = pass.ServeHTTP
			}
			answer(w, r)
		})}
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	go func() { _ = server.Serve(f) }() // ends with an error when it is closed
	return f
}

// set gives the front a fault, or takes it away.
func (f *front) set(answer http.HandlerFunc, raw string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if raw != f.raw {
		for _, c := range f.open {
			c.Close()
		}
		f.open = nil
	}
	f.answer, f.raw = answer, raw
}

func (f *front) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		raw := f.raw
		f.open = append(f.open, c)
		f.mu.Unlock()
		if raw == "" {
			return c, nil
		}
		go func() {
			_, _ = io.WriteString(c, raw) // the proxy may not wait for it
			_ = c.SetDeadline(time.Now().Add(time.Second))
			_, _ = io.Copy(io.Discard, c) // closed with bytes unread, the connection would be reset before the proxy has read
			c.Close()
		}()
	}
}

func (f *front) port() int { return f.Addr().(*net.TCPAddr).Port }

// status is a good one: OK, 8 a day, 5 left, an hour to go.
const status = "\x08\x01\x12\x04\x08\x08\x10\x04\x18\x05\x22\x03\x08\x90\x1c"

// message is a RateLimitResponse of OK, or of another code, with statuses.
func message(code string, statuses ...string) string {
	m := "\x08" + code
	for _, s := range statuses {
		m += "\x12" + string(rune(len(s))) + s
	}
	return m
}

// frame is a gRPC message.
func frame(message string) string { return "\x00\x00\x00\x00" + string(rune(len(message))) + message }

// grpc answers with a body and a status; an empty one is left out.
func grpc(body, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/grpc")
		if body == "" {
			w.Header().Set("grpc-status", status)
			return
		}
		_, _ = io.WriteString(w, body) // the proxy may be gone
		if status != "" {
			w.Header().Set(http.TrailerPrefix+"grpc-status", status)
		}
	}
}

// malformed are answers that are none, by what is wrong with them.
var malformed = []struct {
	name   string
	answer http.HandlerFunc
}{
	{"HTTP 503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
	{"HTTP 200 without grpc-status", grpc(frame(message("\x01", status)), "")},
	{"grpc-status 13", grpc("", "13")},
	{"grpc-status 0 without a message", grpc("", "0")},
	{"grpc-status 8 beside a message that says OK", grpc(frame(message("\x01", status)), "8")},
	{"half a message", grpc(frame(message("\x01", status))[:12], "0")},
	{"two messages", grpc(frame(message("\x01", status))+frame(message("\x01", status)), "0")},
	{"a message that is said to be compressed", grpc("\x01"+frame(message("\x01", status))[1:], "0")},
	{"bytes that are no message", grpc(frame("\xff\xff\xff\xff\xff\xff"), "0")},
	{"a message about no descriptor", grpc(frame(message("\x01")), "0")},
	{"a message about too many descriptors", grpc(frame(message("\x01", status, status)), "0")},
	{"a code that is neither OK nor OVER_LIMIT", grpc(frame(message("\x03", status)), "0")},
	{"OVER_LIMIT, and no descriptor is", grpc(frame(message("\x02", status)), "0")},
	{"a megabyte", grpc(frame(message("\x01", status))+strings.Repeat("x", 1<<20), "0")},
	{"a stream that breaks off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
}

// slow is a good answer, too late.
func slow(delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done(): // the proxy has given up
		case <-time.After(delay):
			grpc(frame(message("\x01", status)), "0")(w, r)
		}
	}
}

// endless is an answer that begins and does not end.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/grpc")
	_, _ = io.WriteString(w, "\x00")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}
