// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// timeout of every exchange.
const timeout = 15 * time.Second

// Message is an HTTP message as it came.
type Message struct {
	Start   string      // the request or status line; of HTTP/2, "HTTP/2 200"
	Headers [][2]string // in their order; names in lower case, values without the white space around them
	Body    string

	Trailers [][2]string // of HTTP/1.1
}

// Header is the value of the first header called name, in lower case, or an empty string.
func (m *Message) Header(name string) string {
	for _, h := range m.Headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// Values are the values of all headers called name.
func (m *Message) Values(name string) []string {
	var values []string
	for _, h := range m.Headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return values
}

// Status is the status code of a response.
func (m *Message) Status() int {
	fields := strings.Fields(m.Start)
	if len(fields) < 2 {
		return 0
	}
	code, _ := strconv.Atoi(fields[1])
	return code
}

// readMessage reads one message: its head, and the body that the head announces.
func readMessage(r *bufio.Reader) (*Message, error) {
	m, err := readHead(r)
	if err != nil {
		return nil, err
	}
	return m, m.readBody(r)
}

func readHead(r *bufio.Reader) (*Message, error) {
	start, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	m := &Message{Start: strings.TrimRight(start, "\r\n")}
	m.Headers, err = readFields(r)
	return m, err
}

// readFields reads header lines up to the empty one.
func readFields(r *bufio.Reader) (fields [][2]string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return fields, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("a header line without colon: %q", line)
		}
		fields = append(fields, [2]string{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

func (m *Message) readBody(r *bufio.Reader) error {
	var body strings.Builder
	switch length := m.Header("content-length"); {
	case m.Header("transfer-encoding") == "chunked":
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			size, err := strconv.ParseInt(strings.TrimRight(line, "\r\n"), 16, 64)
			if err != nil {
				return err
			}
			if size == 0 {
				if m.Trailers, err = readFields(r); err != nil {
					return err
				}
				break
			}
			if _, err := io.CopyN(&body, r, size); err != nil {
				return err
			}
			if end, err := r.ReadString('\n'); err != nil || end != "\r\n" {
				return errors.New("a chunk does not end where it should")
			}
		}
	case length != "":
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(&body, r, n); err != nil {
			return err
		}
	}
	m.Body = body.String()
	return nil
}

// HTTP1 sends the bytes of a request over a connection of its own and returns the response.
func HTTP1(t testing.TB, address, request string) *Message {
	t.Helper()
	return Dial(t, address).Do(request)
}

// Conn is a connection that serves several requests, one after the other.
type Conn struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
}

// Dial opens a connection that is closed with the test.
func Dial(t testing.TB, address string) *Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Conn{t, c, bufio.NewReader(c)}
}

// Do sends a request and returns the response.
func (c *Conn) Do(request string) *Message {
	c.t.Helper()
	c.Send(request)
	return c.Receive()
}

// Receive returns the next response.
func (c *Conn) Receive() *Message {
	c.t.Helper()
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		c.t.Fatal(err)
	}
	m, err := readMessage(c.r)
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	return m
}

// Send writes bytes and waits for nothing: early data, or what goes through a tunnel.
func (c *Conn) Send(bytes string) {
	c.t.Helper()
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.WriteString(c.c, bytes); err != nil {
		c.t.Fatal(err)
	}
}

// Read returns the next n bytes that come, whatever they mean.
func (c *Conn) Read(n int) string {
	c.t.Helper()
	b := make([]byte, n)
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		c.t.Fatal(err)
	}
	if n, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatalf("%d bytes and then %v", n, err)
	}
	return string(b)
}

// Close ends the connection, whatever is under way on it.
func (c *Conn) Close() { c.c.Close() }

// Rest returns what comes until the other side closes the connection.
func (c *Conn) Rest() string {
	c.t.Helper()
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(c.r)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatalf("the connection stays open; so far: %q", b)
	}
	return string(b) // a reset is an end, too
}

// Closed is the start line of what stands for an answer where the proxy has closed the connection without one.
const Closed = "CLOSED"

// Client1 sends any number of requests in HTTP/1.1, over one connection as long as the proxy keeps it.
type Client1 struct {
	t       testing.TB
	address string
	c       net.Conn
	r       *bufio.Reader
}

// NewClient1 makes a client whose connection is closed with the test.
func NewClient1(t testing.TB, address string) *Client1 {
	c := &Client1{t: t, address: address}
	t.Cleanup(c.close)
	return c
}

func (c *Client1) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

// Do sends the bytes of a request and returns the response.
func (c *Client1) Do(request string) *Message {
	c.t.Helper()
	for {
		reused := c.c != nil
		if !reused {
			conn, err := net.DialTimeout("tcp", c.address, timeout)
			if err != nil {
				c.t.Fatal(err)
			}
			c.c, c.r = conn, bufio.NewReader(conn)
		}
		if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
			c.t.Fatal(err)
		}
		_, err := io.WriteString(c.c, request)
		if err == nil {
			// One byte first: only where none came has the proxy closed the connection before it saw the request.
			if _, err = c.r.Peek(1); err == nil {
				m, err := readHead(c.r)
				if err == nil && !strings.HasPrefix(request, "HEAD ") {
					err = m.readBody(c.r)
				}
				if err != nil {
					c.t.Fatalf("half a response to %.200q: %v", request, err)
				}
				if m.Header("connection") == "close" {
					c.close()
				}
				return m
			}
		}
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			c.t.Fatalf("no response to %.200q: %v", request, err)
		}
		c.close()
		if !reused {
			return &Message{Start: Closed}
		}
	}
}

// Request writes a request for HTTP1: the path and the headers stand in it exactly as given. Host
// is api.example unless the headers have one.
func Request(method, path string, headers ...[2]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, path)
	host := false
	for _, h := range headers {
		host = host || strings.EqualFold(h[0], "host")
	}
	if !host {
		b.WriteString("Host: api.example\r\n")
	}
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	return b.String()
}
