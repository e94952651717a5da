// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 sends one request in HTTP/2 without TLS, with exactly these header fields (pseudo-headers first), and returns the response with its trailers among the headers. A
// stream that is reset gives a message with the start line "RST_STREAM code".
func HTTP2(t testing.TB, address string, headers [][2]string, body string) *Message {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range headers {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	const stream = 1
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(f.WriteSettings())
	check(f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == ""}))
	if body != "" {
		check(f.WriteData(stream, true, []byte(body)))
	}
	m := &Message{}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("no response: %v", err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				check(f.WriteSettingsAck())
			}
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == ":status" {
					m.Start = "HTTP/2 " + field.Value
				}
				m.Headers = append(m.Headers, [2]string{field.Name, field.Value})
			}
			if frame.StreamEnded() {
				return m
			}
		case *http2.DataFrame:
			m.Body += string(frame.Data())
			if frame.StreamEnded() {
				return m
			}
		case *http2.RSTStreamFrame:
			return &Message{Start: "RST_STREAM " + frame.ErrCode.String()}
		case *http2.GoAwayFrame:
			return &Message{Start: "GOAWAY " + frame.ErrCode.String()}
		}
	}
}

// Pseudo are the header fields that begin every request in HTTP/2.
func Pseudo(method, path string, headers ...[2]string) [][2]string {
	return append([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "api.example"}, {":path", path}}, headers...)
}

// GRPC sends a request that has the shape of a gRPC call.
func GRPC(t testing.TB, address, path string, headers ...[2]string) *Message {
	t.Helper()
	return HTTP2(t, address, Pseudo("POST", path, append([][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}}, headers...)...), "\x00\x00\x00\x00\x00")
}
