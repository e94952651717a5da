// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// connections to each listener; each has one request under way.
const connections = 4

// answerTimeout is far above what any answer takes: it ends a run whose Envoy hangs.
const answerTimeout = 10 * time.Second

// client sends one request again and again over a kept connection. Requests never differ and
// responses only in their headers, so it looks at the status and for the end only.
type client struct {
	c       net.Conn
	request []byte
	status  []byte // what every response begins with
	end     []byte // what every response ends with: the empty line and the body
	buffer  []byte
	least   int // bytes of an answer in chunks; 0: answers are not
}

// exchange opens a connection for a request and learns from a first answer, whose status must be
// the wanted one, what an answer looks like.
func exchange(address, request string, want int) (*client, error) {
	c, err := net.DialTimeout("tcp", address, answerTimeout)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(answerTimeout)) // fails on a closed connection only, as what follows then does
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	answer, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &raw)), nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != want {
		return nil, fmt.Errorf("the first answer is %s, not %d", answer.Status, want)
	}
	first := raw.Bytes()
	if answer.ContentLength < 0 {
		return &client{c: c, request: []byte(request), status: first[:len("HTTP/1.1 200")], buffer: make([]byte, 1<<18),
			least: len(first) / 2}, nil
	}
	return &client{c: c, request: []byte(request), status: first[:len("HTTP/1.1 200")],
		end: first[bytes.Index(first, []byte("\r\n\r\n")):], buffer: make([]byte, 4*len(first))}, nil
}

// do sends the request once. It looks at the status before it waits for the rest: a refusal may be
// shorter than the answer that was learnt.
func (c *client) do() error {
	_ = c.c.SetDeadline(time.Now().Add(answerTimeout))
	if c.least > 0 {
		return c.stream()
	}
	if _, err := c.c.Write(c.request); err != nil {
		return err
	}
	n, err := io.ReadAtLeast(c.c, c.buffer, len(c.status))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(c.buffer, c.status) {
		line, _, _ := bytes.Cut(c.buffer[:n], []byte("\r\n"))
		return fmt.Errorf("an answer is %q", line)
	}
	for !bytes.HasSuffix(c.buffer[:n], c.end) {
		more, err := c.c.Read(c.buffer[n:])
		if n += more; err != nil {
			return err
		}
		if more == 0 {
			return errors.New("an answer is far longer than the first")
		}
	}
	return nil
}

// load is a set of clients of one listener.
type load []*client

// open connects to a row's listener, which must refuse the request to be refused and answer the other.
func (l *load) open(address string, r row) error {
	if r.refused != "" {
		c, err := exchange(address, r.refused, http.StatusForbidden)
		if err != nil {
			return fmt.Errorf("the request to be refused: %w", err)
		}
		c.c.Close()
	}
	for range connections {
		c, err := exchange(address, r.request, http.StatusOK)
		if err != nil {
			return err
		}
		*l = append(*l, c)
	}
	return nil
}

func (l load) close() {
	for _, c := range l {
		c.c.Close()
	}
}

// each runs f for every client at once.
func (l load) each(f func(i int, c *client) error) error {
	errs := make([]error, len(l))
	var wg sync.WaitGroup
	for i, c := range l {
		wg.Go(func() { errs[i] = f(i, c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// closed sends n requests as fast as the answers come.
func (l load) closed(n int) error {
	return l.each(func(_ int, c *client) error {
		for range n / len(l) {
			if err := c.do(); err != nil {
				return err
			}
		}
		return nil
	})
}

// fixed sends rate requests a second for the duration, each at its own time, and returns how long
// the answers took. A request that had to wait for the one before it counts from when it was due
// (no coordinated omission); one that this program was late to send, from when it was sent: that
// delay is ours, not Envoy's.
func (l load) fixed(rate int, duration time.Duration) ([]time.Duration, error) {
	each := make([][]time.Duration, len(l))
	interval := time.Duration(len(l)) * time.Second / time.Duration(rate)
	start := time.Now().Add(10 * time.Millisecond)
	err := l.each(func(i int, c *client) error {
		for due := start.Add(interval * time.Duration(i) / time.Duration(len(l))); due.Before(
			start.Add(duration)); due = due.Add(interval) {
			from := due
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait) // a millisecond late at worst, which is why it must not count
				from = time.Now()
			}
			if err := c.do(); err != nil {
				return err
			}
			each[i] = append(each[i], time.Since(from))
		}
		return nil
	})
	return slices.Concat(each...), err
}
