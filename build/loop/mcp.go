// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// What edge/jwt-scope.yaml says of the MCP server, which the profile mcp starts.
const (
	mcpPath     = "/mcp/orders"
	mcpDocument = "/.well-known/oauth-protected-resource" + mcpPath
	mcpIssuer   = "http://127.0.0.1:8180/realms/shop"
)

// mcpRevision is the first one in which requests tell in headers what they call.
const mcpRevision = "2026-07-28"

// mcp sends an MCP request: what the headers say, and what the body does.
func (l *loop) mcp(ctx context.Context, token, method, header, tool string) (answer, error) {
	params := map[string]any{"_meta": map[string]any{"io.modelcontextprotocol/protocolVersion": mcpRevision,
		"io.modelcontextprotocol/clientCapabilities": map[string]any{}}}
	if tool != "" {
		params["name"], params["arguments"] = tool, map[string]any{}
	}
	if tool == "delete_order" {
		params["arguments"] = map[string]any{"id": 7}
	}
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequest("POST", "http://"+l.ports.address("EDGE_PORT")+mcpPath, strings.NewReader(string(text)))
	if err != nil {
		return answer{}, err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {mcpRevision}, "Mcp-Method": {method}}
	if header != "" {
		req.Header.Set("Mcp-Name", header)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return exchanged(ctx, &http.Transport{DisableKeepAlives: true}, req)
}

var (
	challengeScope    = regexp.MustCompile(`\sscope="([^"]*)"`)
	challengeDocument = regexp.MustCompile(`\sresource_metadata="([^"]*)"`)
)

// triedMCP are the lines of the table about the MCP server.
func (l *loop) triedMCP(reader, deleter string) []tried {
	edge := "http://" + l.ports.address("EDGE_PORT")
	call := func(token, method, header, tool string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			a, err := l.mcp(ctx, token, method, header, tool)
			if a.status == http.StatusBadRequest && a.code == "?" {
				return "400 of the MCP server", err
			}
			return a.String(), err
		}
	}
	return []tried{
		{"an MCP client without a token", "401 token_missing, needs mcp:read, look at " + edge + mcpDocument,
			func(ctx context.Context) (string, error) {
				a, err := l.mcp(ctx, "", "server/discover", "", "")
				if err != nil {
					return "", err
				}
				challenge := a.header.Get("WWW-Authenticate")
				scope, document := challengeScope.FindStringSubmatch(challenge), challengeDocument.FindStringSubmatch(challenge)
				if scope == nil || document == nil {
					return a.String() + ", " + challenge, nil
				}
				return fmt.Sprintf("%s, needs %s, look at %s", a, scope[1], document[1]), nil
			}},
		{"  the document about the MCP server", edge + mcpPath + ", of " + mcpIssuer + ", mcp:delete mcp:read",
			func(ctx context.Context) (string, error) {
				a, err := l.get(ctx, mcpDocument)
				if err != nil {
					return "", err
				}
				var d struct {
					Resource string
					Servers  []string `json:"authorization_servers"`
					Scopes   []string `json:"scopes_supported"`
				}
				if err := json.Unmarshal([]byte(a.body), &d); err != nil {
					return a.String(), nil
				}
				slices.Sort(d.Scopes)
				return fmt.Sprintf("%s, of %s, %s", d.Resource, strings.Join(d.Servers, " "), strings.Join(d.Scopes, " ")), nil
			}},
		{"  tools/list, scope mcp:read", "200 ok", call(reader, "tools/list", "", "")},
		{"  tools/call list_orders, scope mcp:read", "200 ok", call(reader, "tools/call", "list_orders", "list_orders")},
		{"  tools/call delete_order, scope mcp:read", "403 insufficient_scope",
			call(reader, "tools/call", "delete_order", "delete_order")},
		{"  tools/call delete_order, scope mcp:delete, too", "200 ok",
			call(deleter, "tools/call", "delete_order", "delete_order")},
		{"  list_orders in the header, delete_order in the body", "400 of the MCP server",
			call(reader, "tools/call", "list_orders", "delete_order")},
	}
}
