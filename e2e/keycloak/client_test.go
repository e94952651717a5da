// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package keycloak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// client is a running testdata/client.mjs with its user.
type client struct {
	t     *testing.T
	name  string
	bound bool
	user  *User

	process *process.Process
	in      io.Writer
	lines   chan string

	authTime int64 // of the token that it has, in seconds
}

// startClient runs one until the test ends. With a secret it has no user.
func startClient(t *testing.T, s *Server, name string, bound bool, secret string) *client {
	t.Helper()
	command := append(harness.NodeProgram(t, "testdata", "client.mjs"), s.Issuer(), name)
	if bound {
		command = append(command, "bound")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "CLIENT_SECRET="+secret)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	p, err := process.Start(cmd)
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, name: name, bound: bound, user: NewUser(password, seed), process: p, in: in,
		lines: make(chan string)}
	stopped := make(chan struct{})
	go func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); { // ends when the program does
			select {
			case c.lines <- lines.Text():
			case <-stopped:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stopped)
		p.Stop()
		out.Close()
		if strings.Contains(p.Log(), "eyJ") {
			t.Errorf("%s has a token in its log", name)
		}
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, p.Log())
		}
	})
	return c
}

// login gets a token. The parameters are those of the authorization request.
func (c *client) login(parameters map[string]string) (told []string) {
	c.t.Helper()
	if parameters == nil {
		parameters = map[string]string{}
	}
	return c.do(map[string]any{"login": parameters})
}

// get sends so many requests at once.
func (c *client) get(address string, times int) (told []string) {
	c.t.Helper()
	return c.do(map[string]any{"get": address, "times": times})
}

// follow sends a request and does what its challenge asks for.
func (c *client) follow(address string) (told []string) {
	c.t.Helper()
	return c.do(map[string]any{"follow": address})
}

// do has the client do something, and returns what it tells, in the order in which it happened.
func (c *client) do(command map[string]any) (told []string) {
	c.t.Helper()
	text, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(text, '\n')); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.After(60 * time.Second); ; {
		select {
		case text, running := <-c.lines:
			var line clientLine
			if err := json.Unmarshal([]byte(text), &line); !running || err != nil {
				c.t.Fatalf("%s, after %q, writes %q (%v)\n%s", c.name, told, text, err, c.process.Log())
			}
			if line.Done {
				return told
			}
			told = append(told, c.heard(line)...)
		case <-deadline:
			c.t.Fatalf("%s has not done in time what it should: after %q\n%s", c.name, told, c.process.Log())
		}
	}
}

// clientLine is what the program writes.
type clientLine struct {
	Done         bool
	Open, Failed string
	Granted      struct {
		Type, ACR string
		AuthTime  int64
		Own       bool
	}
	Answer struct {
		Status       int
		Code, Scheme string
		Parameters   map[string]string
	}
}

// heard plays the user, and says in words what a line tells.
func (c *client) heard(line clientLine) []string {
	switch a := line.Answer; {
	case line.Open != "":
		forms, err := c.user.Open(line.Open)
		if err != nil {
			c.t.Fatalf("%s sends the user to %s: %v", c.name, line.Open, err)
		}
		told := []string{asked(line.Open)}
		for _, form := range forms {
			told = append(told, "the user gives the "+form)
		}
		return told
	case line.Granted.Type != "":
		if line.Granted.Own != c.bound {
			c.t.Errorf("%s: the token is bound to the client's key: %t", c.name, line.Granted.Own)
		}
		c.authTime = line.Granted.AuthTime
		return []string{strings.TrimSpace("gets " + line.Granted.Type + " " + line.Granted.ACR)}
	case a.Code != "":
		said := fmt.Sprintf("%d %s: %s", a.Status, a.Code, a.Scheme)
		for _, name := range slices.Sorted(maps.Keys(a.Parameters)) {
			if name != "realm" && name != "algs" {
				said += " " + name + "=" + a.Parameters[name]
			}
		}
		return []string{said}
	case a.Status != 0:
		return []string{fmt.Sprint(a.Status)}
	}
	return []string{"fails: " + line.Failed}
}

// asked tells what an authorization request asks of the authentication. One without PKCE (RFC 7636) is none.
func asked(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		return "asks without PKCE"
	}
	said := "asks for a login"
	for _, name := range []string{"acr_values", "max_age"} {
		if q.Has(name) {
			said += " " + name + "=" + q.Get(name)
		}
	}
	return said
}
