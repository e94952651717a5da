// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Crowd is many requests at once, over several connections: any number on each in HTTP/2, one on each in HTTP/1.1.
type Crowd struct {
	Address     string
	HTTP2       bool
	Connections int
	Requests    int // on each connection
	// Headers of a request, by its number among all: pseudo-headers first.
	Headers func(i int) [][2]string
	// Sent is called once, when all requests are on their way.
	Sent func()
	// Open has requests end later, or never: their bodies do not come.
	Open bool
	// Abandon closes the connections instead of reading answers.
	Abandon bool
}

// Answered is what one request of a crowd got, and how long after it was sent. A status of 0 means
// that there was no answer.
type Answered struct {
	Status int
	Took   time.Duration
}

// Run sends all requests, waits for all answers, and returns them.
func (c Crowd) Run(t testing.TB) []Answered {
	t.Helper()
	each := c.Requests
	if !c.HTTP2 {
		each = 1
	}
	got := make([]Answered, c.Connections*each)
	conns := make([]net.Conn, c.Connections)
	for i := range conns {
		conn, err := net.DialTimeout("tcp", c.Address, timeout)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
	}
	var sending, receiving sync.WaitGroup
	for i, conn := range conns {
		part := got[i*each : (i+1)*each]
		headers := func(n int) [][2]string { return c.Headers(i*each + n) }
		sent := make([]time.Time, each)
		sending.Add(1)
		receiving.Go(func() {
			exchange := c.one
			if c.HTTP2 {
				exchange = c.many
			}
			if err := exchange(conn, headers, sent, part, sending.Done); err != nil && !c.Abandon {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	sending.Wait()
	if c.Sent != nil {
		c.Sent()
	}
	if c.Abandon {
		for _, conn := range conns {
			conn.Close()
		}
	}
	receiving.Wait()
	return got
}

// one is a connection in HTTP/1.1.
func (c Crowd) one(conn net.Conn, headers func(int) [][2]string, sent []time.Time, got []Answered, done func()) error {
	var method, path, fields string
	for _, h := range headers(0) {
		switch h[0] {
		case ":method":
			method = h[1]
		case ":path":
			path = h[1]
		case ":authority":
			fields += "host: " + h[1] + "\r\n"
		case ":scheme":
		default:
			fields += h[0] + ": " + h[1] + "\r\n"
		}
	}
	sent[0] = time.Now()
	if c.Open {
		fields += "content-length: 10\r\n"
	}
	_, err := io.WriteString(conn, method+" "+path+" HTTP/1.1\r\n"+fields+"\r\n")
	done()
	if err != nil || c.Abandon {
		return err
	}
	m, err := readMessage(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	got[0] = Answered{m.Status(), time.Since(sent[0])}
	return nil
}

// many is a connection in HTTP/2.
func (c Crowd) many(conn net.Conn, headers func(int) [][2]string, sent []time.Time, got []Answered, done func()) error {
	w := bufio.NewWriterSize(conn, 64<<10)
	framer := http2.NewFramer(w, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var writing sync.Mutex
	if _, err := io.WriteString(w, http2.ClientPreface); err != nil {
		done()
		return err
	}
	failed := make(chan error, 1)
	go func() {
		defer done()
		failed <- func() error {
			writing.Lock()
			defer writing.Unlock()
			if err := framer.WriteSettings(); err != nil {
				return err
			}
			if err := framer.WriteWindowUpdate(0, 1<<30); err != nil { // no answer ever waits for us
				return err
			}
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			for n := range sent {
				block.Reset()
				for _, h := range headers(n) {
					if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
						return err
					}
				}
				sent[n] = time.Now()
				if err := writeHeaders(framer, uint32(2*n+1), block.Bytes(), !c.Open); err != nil {
					return err
				}
			}
			return w.Flush()
		}()
	}()
	if c.Abandon {
		return <-failed
	}
	statuses, over := make([]int, len(got)), make([]bool, len(got))
	for left := len(got); left > 0; {
		frame, err := framer.ReadFrame()
		if err != nil {
			return fmt.Errorf("%d requests have no answer: %w", left, err)
		}
		n := int(frame.Header().StreamID-1) / 2
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				writing.Lock()
				err = framer.WriteSettingsAck()
				if err == nil {
					err = w.Flush()
				}
				writing.Unlock()
				if err != nil {
					return err
				}
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode == http2.ErrCodeNo { // no more requests; those that are there get their answers
				continue
			}
			return fmt.Errorf("%d requests have no answer: GOAWAY %v", left, frame.ErrCode)
		case *http2.MetaHeadersFrame:
			if _, err := fmt.Sscan(frame.PseudoValue("status"), &statuses[n]); err != nil {
				return err
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			if !over[n] { // else it has had its answer, and needs to send no more
				statuses[n], ended = 0, true
			}
		}
		if ended {
			over[n] = true
			got[n] = Answered{statuses[n], time.Since(sent[n])}
			left--
		}
	}
	return <-failed
}
