// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
)

// What a person reads of conditions on headers, of every filter.
func TestExplainHeaders(t *testing.T) {
	const headers = `match: [{paths: [/mcp], headers: [{name: Mcp-Method, exact: tools/call}, {name: mcp-name, any: [refund, void]}]}]`
	const mesh = `providers: [{name: mesh, issuer: "https://mesh", anyAudience: true, trustedPayload: {header: x-payload}}]`
	scope := mesh + "\nrules:\n- {name: refund, access: public, " + headers + "}\n- {name: rest, access: public, match: [{paths: [/x]}]}\n"
	stamp := `{role: verify, trust: [{name: e, issuer: "https://e", anyAudience: true, jwks: {remote: {cluster: e, authority: e, path: /k}}}],
  rules: [{name: refund, access: public, ` + headers + `}]}`
	limit := "limits:\n- {name: refund, rate: {requests: 1, per: 1s}, " + headers + "}\n"
	many := mesh + "\nrules:\n"
	for i := range few + 1 {
		many += fmt.Sprintf("- {name: r%d, access: public, match: [{headers: [{name: a, exact: \"%d\"}]}]}\n", i, i)
	}
	for _, c := range []struct {
		name, config string
		code         int
		args, want   []string
	}{
		{"a value", scope, 0, []string{"-H", "mcp-method: tools/call", "-H", "Mcp-Name: void"}, []string{"rule refund fits"}},
		{"another value", scope, exitFound, []string{"-H", "mcp-method: tools/call", "-H", "mcp-name: x"},
			[]string{`rule refund does not fit: the header mcp-name is "x", wanted is "refund" or "void"`,
				"verdict denied, no_rule, by -"}},
		{"no header", scope, exitFound, []string{"-H", "mcp-name: void"},
			[]string{"rule refund does not fit: the header mcp-method is not there"}},
		{"a header twice", scope, exitFound,
			[]string{"-H", "mcp-method: tools/call", "-H", "mcp-name: void", "-H", "mcp-name: x"},
			[]string{"rule refund does not fit: the header mcp-name is there twice: it is ambiguous",
				"rule fails, header_ambiguous: refund asks for a header that could be read in two ways",
				"verdict denied, header_ambiguous, by -", "answer 400"}},
		{"of a stamp", stamp, exitFound, []string{"-H", "mcp_method: tools/call"},
			[]string{"rule refund does not fit: the header mcp-method is there in another spelling: it is ambiguous, " +
				"the header mcp-name is not there", "verdict denied, header_ambiguous, by -"}},
		{"of a limit", limit, exitFound,
			[]string{"-H", "mcp-method: tools/call", "-H", "mcp_name: void", "--source", "192.0.2.1:1"},
			[]string{"limit refund does not fit: the header mcp-name is there in another spelling: it is ambiguous",
				"verdict denied, header_ambiguous, by -"}},
		{"of many rules", many, exitFound, []string{"-H", "a: x"},
			[]string{"11 other rules are for other hosts, paths or headers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _ := tollgate(t, c.code, append([]string{"explain", "--config", write(t, "config.yaml", c.config),
				"-r", "POST https://mcp/mcp"}, c.args...)...)
			var lines []string
			for _, l := range strings.Split(out, "\n") {
				lines = append(lines, strings.Join(strings.Fields(l), " "))
			}
			all := "\n" + strings.Join(lines, "\n") + "\n"
			for _, want := range c.want {
				if !strings.Contains(all, "\n"+want+"\n") {
					t.Errorf("no line %q in\n%s", want, out)
				}
			}
		})
	}
}
