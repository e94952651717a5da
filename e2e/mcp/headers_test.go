// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build keycloak

package mcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// Revisions of MCP. From the newest one on, requests carry Mcp-Method and Mcp-Name, and servers must
// refuse those that differ from the body.
const newest, older = "2026-07-28", "2025-11-25"

// body is a JSON-RPC request of a revision.
func body(revision, method, tool string) string {
	params := map[string]any{}
	if tool != "" {
		params["name"], params["arguments"] = tool, map[string]any{}
	}
	if tool == "delete_order" {
		params["arguments"] = map[string]any{"id": 7}
	}
	if revision >= newest {
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": revision,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "the test", "version": "1.0.0"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{}}
	}
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		panic(err) // of strings and maps
	}
	return string(text)
}

// headers of a request, as the newest revision has them; empty ones are left out.
func headers(token, revision, method, name string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for key, value := range map[string]string{"Authorization": "Bearer " + token, "Mcp-Protocol-Version": revision,
		"Mcp-Method": method, "Mcp-Name": name} {
		if value != "" && value != "Bearer " {
			h.Set(key, value)
		}
	}
	return h
}

// call has the server run a tool, around the gateway.
func (s *server) call(t *testing.T, tool, revision string) answer {
	t.Helper()
	return send(t, "POST", s.address("/mcp/orders"), body(revision, "tools/call", tool),
		headers("", revision, "tools/call", tool))
}

func (s *server) address(path string) string {
	return "http://127.0.0.1:" + strconv.Itoa(s.port) + path
}

// orders are how many there are.
func (s *server) orders(t *testing.T) int {
	t.Helper()
	var result struct {
		Result struct {
			StructuredContent struct{ Orders []int }
		}
	}
	a := s.call(t, "list_orders", newest)
	if err := json.Unmarshal([]byte(a.body), &result); err != nil || result.Result.StructuredContent.Orders == nil {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return len(result.Result.StructuredContent.Orders)
}

// outcome tells who has answered: the filter with its code, or the server.
func (a answer) outcome() string {
	var problem struct{ Code string }
	if a.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal([]byte(a.body), &problem) == nil {
		return fmt.Sprint(a.StatusCode, " ", problem.Code)
	}
	return fmt.Sprint(a.StatusCode, " of the server")
}

// P29: a token for reading deletes nothing, whatever the headers say. Rules go by headers, and the gateway
// reads no bodies: who may believe the headers, and who may not, is what the page says.
func TestLyingHeaders(t *testing.T) {
	w := running(t)
	reader, err := w.keycloak.Token("mcp-robot", "mcp:read")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := w.keycloak.Token("mcp-robot") // without the audience
	if err != nil {
		t.Fatal(err)
	}
	list, remove := body(newest, "tools/call", "list_orders"), body(newest, "tools/call", "delete_order")
	harness.Each(t, func(t *testing.T, version string) {
		s := w.startServer(t)
		w.gateway(t, version, s)
		for _, c := range []struct {
			name, path string
			header     http.Header
			body, want string
		}{
			{"the headers are the body's", "/mcp/orders", headers(reader, newest, "tools/call", "list_orders"), list,
				"200 of the server"},
			{"the tool of the body needs more", "/mcp/orders", headers(reader, newest, "tools/call", "delete_order"), remove,
				"403 insufficient_scope"},
			{"another server's token", "/mcp/orders", headers(stranger, newest, "tools/call", "list_orders"), list,
				"401 token_audience"},
			{"Mcp-Name lies", "/mcp/orders", headers(reader, newest, "tools/call", "list_orders"), remove,
				"400 of the server"},
			{"Mcp-Method lies", "/mcp/orders", headers(reader, newest, "tools/list", ""), remove, "400 of the server"},
			{"no Mcp-Name", "/mcp/orders", headers(reader, newest, "tools/call", ""), remove, "403 insufficient_scope"},
			{"no Mcp-Method", "/mcp/orders", headers(reader, newest, "", "list_orders"), remove, "403 insufficient_scope"},
			{"a tool that no rule names", "/mcp/orders", headers(reader, newest, "tools/call", "reset_orders"),
				body(newest, "tools/call", "reset_orders"), "403 insufficient_scope"},
			{"the name in base64", "/mcp/orders", headers(reader, newest, "tools/call", "=?base64?ZGVsZXRlX29yZGVy?="), remove,
				"403 insufficient_scope"},
			{"the body is of an older revision", "/mcp/orders", headers(reader, newest, "tools/call", "list_orders"),
				body(older, "tools/call", "delete_order"), "400 of the server"},
			{"a batch", "/mcp/orders", headers(reader, newest, "tools/call", "list_orders"), "[" + remove + "]",
				"400 of the server"},
			{"an older revision, in which the server does not look", "/mcp/orders",
				headers(reader, older, "tools/call", "list_orders"), body(older, "tools/call", "delete_order"),
				"403 insufficient_scope"},
			{"no revision", "/mcp/orders", headers(reader, "", "tools/call", "list_orders"),
				body(older, "tools/call", "delete_order"), "403 insufficient_scope"},
			{"Mcp-Name twice", "/mcp/orders", add(headers(reader, newest, "tools/call", "list_orders"), "Mcp-Name",
				"delete_order"), remove, "400 header_ambiguous"},
			{"Mcp-Name in another spelling, too", "/mcp/orders", add(headers(reader, newest, "tools/call", "list_orders"),
				"mcp_name", "delete_order"), remove, "400 header_ambiguous"},
			{"an older revision, where somebody looks", "/mcp/checked", headers(reader, older, "tools/call", "list_orders"),
				body(older, "tools/call", "delete_order"), "400 of the server"},
			{"a batch, where somebody looks", "/mcp/checked", headers(reader, "2025-03-26", "tools/call", "list_orders"),
				"[" + body(older, "tools/call", "delete_order") + "]", "400 of the server"},
		} {
			a := send(t, "POST", w.origin()+c.path, c.body, c.header)
			if got := a.outcome(); got != c.want {
				t.Errorf("%s: %s, want %s\n%s", c.name, got, c.want, a.body)
			}
			if strings.HasPrefix(c.want, "403") && (a.Header.Get("Www-Authenticate") != w.challenge("mcp:read mcp:delete")) {
				t.Errorf("%s: the challenge is %q", c.name, a.Header.Get("Www-Authenticate"))
			}
			if n := s.orders(t); n != 3 {
				t.Fatalf("%s: there are %d orders", c.name, n)
			}
		}
	})
}

// What the SDKs' servers do with such requests, without a gateway. In the newest revision both refuse
// them. In older ones both run what the body says: that is why the page's rules ask for the revision.
func TestServers(t *testing.T) {
	w := running(t)
	python, _, _ := clients(t)
	for name, s := range map[string]*server{"Go SDK": w.startServer(t),
		"Python SDK": startServer(t, python.command[0], "testdata/server.py")} {
		t.Run(name, func(t *testing.T) {
			remove := body(newest, "tools/call", "delete_order")
			for _, c := range []struct {
				name           string
				revision       string
				method, header string
				body           string
				status, orders int
				code           int
			}{
				{"Mcp-Name lies", newest, "tools/call", "list_orders", remove, 400, 3, headerMismatch},
				{"Mcp-Method lies", newest, "tools/list", "", remove, 400, 3, headerMismatch},
				{"no Mcp-Name", newest, "tools/call", "", remove, 400, 3, headerMismatch},
				{"no Mcp-Method", newest, "", "delete_order", remove, 400, 3, headerMismatch},
				{"the body is of an older revision", newest, "tools/call", "list_orders",
					body(older, "tools/call", "delete_order"), 400, 3, invalidParams},
				{"a batch", newest, "tools/call", "list_orders", "[" + remove + "]", 400, 3, 0},
				{"Mcp-Name lies in an older revision", older, "tools/call", "list_orders",
					body(older, "tools/call", "delete_order"), 200, 2, 0},
			} {
				a := send(t, "POST", s.address("/mcp/orders"), c.body, headers("", c.revision, c.method, c.header))
				var answer struct{ Error struct{ Code int } }
				_ = json.Unmarshal([]byte(a.body), &answer) // of a batch, it is no JSON
				if n := s.orders(t); a.StatusCode != c.status || n != c.orders || c.code != 0 && answer.Error.Code != c.code {
					t.Errorf("%s: %d and %d orders, want %d and %d, with code %d\n%s", c.name, a.StatusCode, n, c.status, c.orders,
						c.code, a.body)
				}
			}
		})
	}
}

// Codes of JSON-RPC and MCP.
const headerMismatch, invalidParams = -32020, -32602

// challenge is that of a 403 at /mcp/orders.
func (w *world) challenge(scopes string) string {
	return `Bearer realm="tollgate", error="insufficient_scope", scope="` + scopes + `", resource_metadata="` +
		w.origin() + `/.well-known/oauth-protected-resource/mcp/orders"`
}

// add adds a header in just this spelling.
func add(h http.Header, name, value string) http.Header {
	h[name] = append(h[name], value)
	return h
}
