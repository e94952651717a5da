// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/decide"
)

// P28: what jwt-scope's page says of its rules for MCP is what they decide. Nobody has a token here:
// the rule that asks for one is the one that fits.
func TestRulesForMCP(t *testing.T) {
	var config string
	for _, s := range snippets(t) {
		if s.file == "filters/jwt-scope/README.md" && s.language == "json" && strings.Contains(s.text, "mcp-name") {
			config = s.text
		}
	}
	p, err := scope.Parse(config, scope.Surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	if warnings := p.Warnings(); len(warnings) > 0 {
		t.Errorf("%v", warnings)
	}
	type h = [2]string
	version, call := h{"mcp-protocol-version", "2026-07-28"}, h{"mcp-method", "tools/call"}
	for _, c := range []struct {
		name, code, rule string
		headers          []h
	}{
		{"a refund", "token_missing", "refunds", []h{version, call, {"mcp-name", "refund"}}},
		{"a search", "token_missing", "searches", []h{version, call, {"mcp-name", "search_orders"}}},
		{"a list of tools", "token_missing", "lists", []h{version, {"mcp-method", "tools/list"}}},
		{"a list of tools with a name", "no_rule", "-", []h{version, {"mcp-method", "tools/list"}, {"mcp-name", "refund"}}},
		{"another tool", "no_rule", "-", []h{version, call, {"mcp-name", "delete"}}},
		{"an earlier revision, whose servers ignore the headers", "no_rule", "-",
			[]h{{"mcp-protocol-version", "2025-06-18"}, call, {"mcp-name", "refund"}}},
		{"no revision", "no_rule", "-", []h{call, {"mcp-name", "refund"}}},
		{"an encoded name", "no_rule", "-", []h{version, call, {"mcp-name", "=?base64?cmVmdW5k?="}}},
		{"two names", "header_ambiguous", "-", []h{version, call, {"mcp-name", "search_x"}, {"mcp-name", "refund"}}},
		{"a name in another spelling", "header_ambiguous", "-",
			[]h{version, call, {"mcp-name", "search_x"}, {"mcp_name", "refund"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := append([]h{{":method", "POST"}, {":authority", "mcp.example.com"}, {":path", "/mcp"}}, c.headers...)
			var d scope.Decision
			p.Decide(&d, &decide.Request{Headers: headers, Now: time.Unix(1_800_000_000, 0)})
			if v := d.Verdict(); d.Step() != decide.Done || v.Code.Name != c.code || p.RuleName(v.Rule) != c.rule {
				t.Errorf("%s by %s, want %s by %s", v.Code.Name, p.RuleName(v.Rule), c.code, c.rule)
			}
		})
	}
}
