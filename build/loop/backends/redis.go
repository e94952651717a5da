// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Redis is a running one. It writes nothing to disk: after Stop, what it held is gone.
type Redis struct {
	service
	port int
}

// RunRedis starts one and returns when it answers.
func RunRedis(o Options) (*Redis, error) {
	if o.Progress == nil {
		o.Progress = os.Stderr
	}
	path, env, err := findRedis(o.Progress)
	if err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{port: ports[0]}
	r.command = func() *exec.Cmd {
		cmd := exec.Command(path, "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--save", "", "--appendonly",
			"no", "--dir", o.Dir, "--daemonize", "no")
		cmd.Env = slices.Concat(os.Environ(), env, o.Env)
		return cmd
	}
	r.ready = func() bool {
		answer, err := r.Do("PING")
		return err == nil && answer == "PONG"
	}
	if err := r.Restart(); err != nil {
		return nil, fmt.Errorf("no Redis serves: %w", err)
	}
	return r, nil
}

// Address is host:port.
func (r *Redis) Address() string { return address(r.port) }

// Port that it listens on.
func (r *Redis) Port() int { return r.port }

// Keys are all that it holds.
func (r *Redis) Keys() ([]string, error) {
	answer, err := r.Do("KEYS", "*")
	if err != nil {
		return nil, err
	}
	items, ok := answer.([]any)
	if !ok {
		return nil, errRESP
	}
	keys := make([]string, len(items))
	for i := range items {
		if keys[i], ok = items[i].(string); !ok {
			return nil, errRESP
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Size is the number of keys.
func (r *Redis) Size() (int, error) {
	answer, err := r.Do("DBSIZE")
	n, ok := answer.(int64)
	if err == nil && !ok {
		err = errRESP
	}
	return int(n), err
}

const redisTimeout = 5 * time.Second

var errRESP = errors.New("Redis answers what was not expected")

// Do sends one command on a connection of its own, in plain RESP
// (https://redis.io/docs/latest/develop/reference/protocol-spec/). What comes back is a string, an
// int64, a []any or nil.
func (r *Redis) Do(command ...string) (any, error) {
	c, err := net.DialTimeout("tcp", r.Address(), redisTimeout)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(redisTimeout)); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	return readRESP(bufio.NewReader(c))
}

func readRESP(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errRESP
	}
	rest := line[1:]
	switch line[0] {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New("Redis: " + rest)
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n < -1 || n > 1<<24 {
			return nil, errRESP
		}
		if n == -1 {
			return nil, nil
		}
		if line[0] == '*' {
			items := make([]any, n)
			for i := range items {
				if items[i], err = readRESP(r); err != nil {
					return nil, err
				}
			}
			return items, nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	}
	return nil, errRESP
}
