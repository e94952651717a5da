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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// connections to each listener; each has one request under way.
const connections = 4

// client sends one request again and again over a kept connection. Requests and responses never differ, so it reads by length and looks at the status only.
type client struct {
	c       net.Conn
	request []byte
	status  []byte // what every response begins with
	buffer  []byte // as long as a response
}

// dial opens a connection and learns from a first exchange what a response looks like: it must be a 200.
func dial(address, request string) (*client, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	size, length := 0, -1
	status := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size += len(line)
		if status == "" {
			status = line
		}
		if value, ok := strings.CutPrefix(strings.ToLower(line), "content-length:"); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") || length < 0 {
		return nil, fmt.Errorf("the first answer is %q", strings.TrimSpace(status))
	}
	if _, err := r.Discard(length); err != nil {
		return nil, err
	}
	return &client{c, []byte(request), []byte(status), make([]byte, size+length)}, nil
}

func (c *client) do() error {
	if _, err := c.c.Write(c.request); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.c, c.buffer); err != nil {
		return err
	}
	if !bytes.HasPrefix(c.buffer, c.status) {
		line, _, _ := bytes.Cut(c.buffer, []byte("\r\n"))
		return fmt.Errorf("an answer is %q", line)
	}
	return nil
}

// load is a set of clients of one listener.
type load []*client

func open(address, request string) (load, error) {
	var l load
	for range connections {
		c, err := dial(address, request)
		if err != nil {
			return nil, err
		}
		l = append(l, c)
	}
	return l, nil
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

// fixed sends rate requests a second for the duration, each at its own time, and returns how long the answers took from then on, sorted: a late request counts its
// delay (there is no coordinated omission).
func (l load) fixed(rate int, duration time.Duration) ([]time.Duration, error) {
	each := make([][]time.Duration, len(l))
	interval := time.Duration(len(l)) * time.Second / time.Duration(rate)
	start := time.Now().Add(10 * time.Millisecond)
	err := l.each(func(i int, c *client) error {
		for due := start.Add(interval * time.Duration(i) / time.Duration(len(l))); due.Before(start.Add(duration)); due = due.Add(interval) {
			time.Sleep(time.Until(due))
			if err := c.do(); err != nil {
				return err
			}
			each[i] = append(each[i], time.Since(due))
		}
		return nil
	})
	all := slices.Concat(each...)
	slices.Sort(all)
	return all, err
}
