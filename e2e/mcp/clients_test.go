// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package mcp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/keycloak"
)

// client is a program in testdata.
type client struct {
	name    string
	command []string // without the server's address
	more    []string // arguments behind the client's ID
}

// clients are the official SDKs. Where Python or Node.js is missing, the test fails: nothing is skipped.
func clients(t *testing.T) (python, typescript, typescript1 client) {
	t.Helper()
	interpreter, err := backends.PythonPackages(os.Stderr, "testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	program := harness.NodeProgram(t, "testdata", "client.mjs")
	return client{"Python SDK 2", []string{interpreter, "testdata/client.py"}, nil},
		client{"TypeScript SDK 2", append(program[:2:2], "@modelcontextprotocol/client"), nil},
		client{"TypeScript SDK 1", append(program[:2:2], "@modelcontextprotocol/sdk"), nil}
}

// run runs the client against a server and plays the user whom it asks for. What it tells is in the
// order in which it happened.
func (c client) run(t *testing.T, w *world, arguments ...string) (told []string, ended error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.command[0], append(c.command[1:len(c.command):len(c.command)], arguments...)...)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = in
	p, err := process.Start(cmd)
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	alice := keycloak.NewUser(w.password, "")
	lines := bufio.NewScanner(out) // ends when the program does
	for lines.Scan() {
		var line struct {
			Open, Registered, Granted, Refused, Failed, Revision, Called string

			Tools  []string
			Orders []int
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s writes %q: %v", c.name, lines.Text(), err)
		}
		switch {
		case line.Open != "":
			told = append(told, asked(line.Open, w.origin()))
			if _, err := alice.Open(line.Open); err != nil {
				t.Fatalf("%s, after %q: %v", c.name, told, err)
			}
		case line.Registered != "":
			told = append(told, "registers for "+sorted(line.Registered))
		case line.Granted != "":
			told = append(told, "gets "+sorted(line.Granted))
		case line.Refused != "":
			told = append(told, "is refused: "+line.Refused)
		case line.Failed != "":
			told = append(told, "fails: "+line.Failed)
		case line.Revision != "":
			told = append(told, "speaks "+line.Revision)
		case line.Tools != nil:
			told = append(told, "sees "+strings.Join(line.Tools, " "))
		default:
			told = append(told, fmt.Sprint(line.Called, " ", line.Orders))
		}
	}
	<-p.Done() // the context ends it in time
	if err := ctx.Err(); err != nil {
		t.Fatalf("%s has not ended in time: after %q\n%s", c.name, told, p.Log())
	}
	if strings.Contains(p.Log(), "eyJ") {
		t.Errorf("%s has a token in its log", c.name)
	}
	if t.Failed() {
		t.Log(p.Log())
	}
	return told, p.Err()
}

// asked tells what an authorization request is for. One without PKCE (RFC 7636) is none.
func asked(address, origin string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		return "asks without PKCE"
	}
	return "asks for " + sorted(q.Get("scope")) + " at " + strings.TrimPrefix(q.Get("resource"), origin)
}

func sorted(scopes string) string {
	list := strings.Fields(scopes)
	slices.Sort(list)
	return strings.Join(list, " ")
}

const allTools = "sees delete_order list_orders reset_orders"

// The clients find their way from the 401 to a token with the scopes of the challenge, see the tools
// and call one. A tool that needs more brings them 403, and they come back with a token for it.
//
// How they do it is theirs. The Python SDK asks for offline_access by itself, because Keycloak offers
// it. SDKs of revision 2026-07-28 step up by themselves, and ask for what they had, too. TypeScript SDK 1
// asks for the scopes of the challenge only, and steps up with some help (testdata/client.mjs, provider).
func TestClients(t *testing.T) {
	w := running(t)
	python, typescript, typescript1 := clients(t)
	plain := client{typescript1.name + " without help", typescript1.command, []string{"plain"}}
	harness.Each(t, func(t *testing.T, version string) {
		s := w.startServer(t)
		envoy := w.gateway(t, version, s)
		for _, c := range []struct {
			client
			path string
			told []string

			counters map[string]uint64
			fails    bool
		}{
			{python, "/mcp/orders", []string{
				"asks for mcp:read offline_access at /mcp/orders", "gets mcp:read offline_access", "speaks 2026-07-28",
				allTools, "list_orders [7 8 9]",
				"asks for mcp:delete mcp:read offline_access at /mcp/orders", "gets mcp:delete mcp:read offline_access",
				"delete_order [7 9]", "list_orders [7 9]"},
				map[string]uint64{"read.outcome.denied.code.token_missing": 1, "read.outcome.allowed.code.ok": 4,
					"delete.outcome.denied.code.insufficient_scope": 1, "delete.outcome.allowed.code.ok": 1}, false},
			{typescript, "/mcp/orders", []string{
				"asks for mcp:read at /mcp/orders", "gets mcp:read", "speaks 2026-07-28", allTools, "list_orders [7 9]",
				"asks for mcp:delete mcp:read at /mcp/orders", "gets mcp:delete mcp:read",
				"delete_order [7]", "list_orders [7]"},
				map[string]uint64{"read.outcome.denied.code.token_missing": 1, "read.outcome.allowed.code.ok": 4,
					"delete.outcome.denied.code.insufficient_scope": 1, "delete.outcome.allowed.code.ok": 1}, false},
			// Of a revision whose headers the server does not hold against the body, everything needs all scopes:
			// the first challenge has them, and there is no step up.
			{typescript1, "/mcp/orders", []string{
				"asks for mcp:delete mcp:read at /mcp/orders", "gets mcp:delete mcp:read", "speaks 2025-11-25", allTools,
				"list_orders [7 8 9]", "delete_order [7 8]", "list_orders [7 8]"},
				map[string]uint64{"others.outcome.denied.code.token_missing": 1, "others.outcome.allowed.code.ok": 7}, false},
			// Where somebody holds them against it, single tools have scopes of their own in every revision.
			{typescript1, "/mcp/checked", []string{
				"asks for mcp:read at /mcp/checked", "gets mcp:read", "speaks 2025-11-25", allTools, "list_orders [7 8 9]",
				"asks for mcp:delete mcp:read at /mcp/checked", "gets mcp:delete mcp:read",
				"delete_order [7 8]", "list_orders [7 8]"},
				map[string]uint64{"checked-read.outcome.denied.code.token_missing": 1,
					"checked-read.outcome.allowed.code.ok":                  6,
					"checked-delete.outcome.denied.code.insufficient_scope": 1, "checked-delete.outcome.allowed.code.ok": 1}, false},
			// Without help it refreshes its token in place of asking for more.
			{plain, "/mcp/checked", []string{
				"asks for mcp:read at /mcp/checked", "gets mcp:read", "speaks 2025-11-25", allTools, "list_orders [7 8 9]",
				"gets mcp:read", "fails: Streamable HTTP error: Server returned 403 after trying upscoping"},
				map[string]uint64{"checked-read.outcome.denied.code.token_missing": 1,
					"checked-read.outcome.allowed.code.ok":                  5,
					"checked-delete.outcome.denied.code.insufficient_scope": 2}, true},
		} {
			t.Run(c.name+" at "+c.path, func(t *testing.T) {
				if strings.HasPrefix(c.name, typescript1.name) { // the clients before have deleted orders
					s.reset(t)
				}
				before := len(s.handled(t))
				var told []string
				var ended error
				counted := envoy.Change(func() {
					told, ended = c.run(t, w, append([]string{w.origin() + c.path, "mcp-client"}, c.more...)...)
				})
				if !slices.Equal(told, c.told) || (ended != nil) != c.fails {
					t.Errorf("the client (%v)\n  %s\nwant\n  %s", ended, strings.Join(told, "\n  "), strings.Join(c.told, "\n  "))
				}
				want := map[string]uint64{"jwt_scope.rule.-.outcome.allowed.code.ok": 1} // the document
				for name, n := range c.counters {
					want["jwt_scope.rule."+name] = n
				}
				if !maps.Equal(counted, want) {
					t.Errorf("counters: %v, want %v", counted, want)
				}
				allowed := before
				for name, n := range c.counters {
					if strings.HasSuffix(name, ".code.ok") {
						allowed += int(n)
					}
				}
				for _, h := range s.await(t, allowed)[before:] {
					if h.Credential || h.Subject == "" || h.Path != c.path || h.Request == "POST" && h.Header != h.Body {
						t.Errorf("this has reached the server: %+v", h)
					}
				}
			})
		}
	})
}

// A client without an ID registers itself (RFC 7591). Keycloak then gives it the scopes of the first
// challenge and never others: a tool that needs more stays closed. The page says so.
func TestRegistration(t *testing.T) {
	w := running(t)
	python, _, _ := clients(t)
	w.gateway(t, envoybin.Default, w.startServer(t))
	told, ended := python.run(t, w, w.origin()+"/mcp/orders")
	if want := []string{"registers for mcp:read offline_access", "asks for mcp:read offline_access at /mcp/orders",
		"gets mcp:read offline_access", "speaks 2026-07-28", allTools, "list_orders [7 8 9]",
		"asks for mcp:delete mcp:read offline_access at /mcp/orders",
		"is refused: invalid_scope"}; !slices.Equal(told, want) {
		t.Errorf("the client\n  %s\nwant\n  %s", strings.Join(told, "\n  "), strings.Join(want, "\n  "))
	}
	if ended == nil {
		t.Error("the client has ended well, without a token for the tool")
	}
}

// reset brings the orders back that clients have deleted.
func (s *server) reset(t *testing.T) {
	t.Helper()
	before := len(s.handled(t))
	if a := s.call(t, "reset_orders", newest); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	s.await(t, before+1)
}
