// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 sends one request in HTTP/2 without TLS, over a connection of its own, as Client2.Do does.
func HTTP2(t testing.TB, address string, headers [][2]string, body string) *Message {
	t.Helper()
	c := NewClient2(t, address)
	defer c.close()
	m := c.Do(headers, body)
	if m.Start == Closed {
		t.Fatal("no response: the connection was closed")
	}
	return m
}

// Client2 sends any number of requests in HTTP/2 without TLS, one after the other, over one
// connection as long as the proxy keeps it.
type Client2 struct {
	t       testing.TB
	address string
	c       net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
}

// NewClient2 makes a client whose connection is closed with the test.
func NewClient2(t testing.TB, address string) *Client2 {
	c := &Client2{t: t, address: address}
	t.Cleanup(c.close)
	return c
}

func (c *Client2) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

func (c *Client2) dial() error {
	conn, err := net.DialTimeout("tcp", c.address, timeout)
	if err != nil {
		return err
	}
	c.c, c.stream = conn, 1
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	c.framer = http2.NewFramer(conn, conn)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	if err := c.framer.WriteSettings(); err != nil {
		return err
	}
	return c.framer.WriteWindowUpdate(0, 1<<30) // so that no answer ever waits for us
}

// maxFrame is the largest frame that a peer takes without being asked (RFC 9113 §4.2).
const maxFrame = 16384

// Do sends one request with exactly these header fields (pseudo-headers first) and returns the
// response with its trailers among the headers. A stream that is reset gives a message with the
// start line "RST_STREAM code", a connection that ends "GOAWAY code" or Closed.
func (c *Client2) Do(headers [][2]string, body string) *Message {
	c.t.Helper()
	return c.do(headers, body, true)
}

// Open is Do for a stream that stays open on our side, as tunnels and handshakes do: it returns
// with the response's header fields where the stream goes on.
func (c *Client2) Open(headers [][2]string) *Message {
	c.t.Helper()
	return c.do(headers, "", false)
}

func (c *Client2) do(headers [][2]string, body string, end bool) *Message {
	c.t.Helper()
	m, err := c.exchange(headers, body, end)
	if err == nil {
		return m
	}
	c.close()
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatalf("no response to %.200q: %v", headers, err)
	}
	return &Message{Start: Closed}
}

func (c *Client2) exchange(headers [][2]string, body string, end bool) (*Message, error) {
	if c.c == nil {
		if err := c.dial(); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	stream := c.stream
	c.stream += 2
	c.block.Reset()
	for _, h := range headers {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			return nil, err
		}
	}
	if err := writeHeaders(c.framer, stream, c.block.Bytes(), end && body == ""); err != nil {
		return nil, err
	}
	if body != "" {
		if err := c.framer.WriteData(stream, end, []byte(body)); err != nil {
			return nil, err
		}
	}
	m := &Message{}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		if frame, ok := frame.(*http2.SettingsFrame); ok && !frame.IsAck() {
			if err := c.framer.WriteSettingsAck(); err != nil {
				return nil, err
			}
		}
		if frame, ok := frame.(*http2.GoAwayFrame); ok {
			c.close()
			return &Message{Start: "GOAWAY " + frame.ErrCode.String()}, nil
		}
		if frame.Header().StreamID != stream {
			continue // of a stream that has had its answer
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == ":status" {
					m.Start = "HTTP/2 " + field.Value
				}
				m.Headers = append(m.Headers, [2]string{field.Name, field.Value})
			}
			if frame.StreamEnded() || !end {
				return m, nil
			}
		case *http2.DataFrame:
			m.Body += string(frame.Data())
			if frame.StreamEnded() {
				return m, nil
			}
		case *http2.RSTStreamFrame:
			return &Message{Start: "RST_STREAM " + frame.ErrCode.String()}, nil
		}
	}
}

// writeHeaders writes a block of header fields in as many frames as it takes.
func writeHeaders(framer *http2.Framer, stream uint32, block []byte, end bool) error {
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first,
		EndHeaders: len(block) == 0, EndStream: end})
	for err == nil && len(block) > 0 {
		next := block[:min(len(block), maxFrame)]
		block = block[len(next):]
		err = framer.WriteContinuation(stream, len(block) == 0, next)
	}
	return err
}

// Pseudo are the header fields that begin every request in HTTP/2.
func Pseudo(method, path string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "api.example"}, {":path", path}},
		headers...)
}

// GRPC sends a request that has the shape of a gRPC call.
func GRPC(t testing.TB, address, path string, headers ...[2]string) *Message {
	t.Helper()
	return HTTP2(t, address,
		Pseudo("POST", path, append([][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}},
			headers...)...), "\x00\x00\x00\x00\x00")
}
