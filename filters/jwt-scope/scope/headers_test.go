// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// mcpConfig has rules by header on one path.
var mcpConfig = testConfig[:strings.Index(testConfig, ` "rules"`)] + ` "rules": [
  {"name": "status", "match": [{"paths": ["/status"]}], "access": "public"},
  {"name": "refund", "match": [{"paths": ["/mcp"], "headers": [{"name": "Mcp-Method", "exact": "tools/call"}, {"name": "Mcp-Name", "any": ["refund", "void"]}]}], "require": {"scopes": {"all": ["refunds"]}}},
  {"name": "call", "match": [{"paths": ["/mcp"], "headers": [{"name": "mcp-method", "exact": "tools/call"}, {"name": "mcp-name", "present": true}]}]},
  {"name": "list", "match": [{"paths": ["/mcp"], "headers": [{"name": "mcp-method", "any": ["tools/list", "ping"]}, {"name": "mcp-name", "present": false}]}], "access": "public"},
  {"name": "trace", "match": [{"headers": [{"name": "x-trace", "prefix": "debug-"}]}], "access": "public"}
 ]}`

// P24 P25 P26 P27: rules by header, and headers that could be read in two ways.
func TestHeaders(t *testing.T) {
	p := parse(t, mcpConfig)
	type h = [2]string
	method, name := h{"mcp-method", "tools/call"}, h{"mcp-name", "refund"}
	token, refunds := bearerHeader(es256(t, good())), bearerHeader(es256(t, good(claims{"scope": "refunds"})))
	for _, c := range []struct {
		name, path string
		want       *verdict.Code
		rule       string
		headers    []h
	}{
		{"a tool of the first rule", "/mcp", verdict.OK, "refund", []h{method, name, refunds}},
		{"without its scope", "/mcp", InsufficientScope, "refund", []h{method, name, token}},
		{"another tool", "/mcp", verdict.OK, "call", []h{method, {"mcp-name", "weather"}, token}},
		{"P24 the name in another case", "/mcp", verdict.OK, "call", []h{method, {"mcp-name", "Refund"}, token}},
		{"a method of another rule", "/mcp", verdict.OK, "list", []h{{"mcp-method", "ping"}}},
		{"a header that must not be there", "/mcp", verdict.NoRule, "-", []h{{"mcp-method", "ping"}, name}},
		{"P28 the name in an encoding, where a rule takes any other", "/mcp", verdict.OK, "call",
			[]h{method, {"mcp-name", "=?base64?cmVmdW5k?="}, token}},
		{"no headers", "/mcp", verdict.NoRule, "-", []h{token}},
		{"a prefix, on any path", "/x", verdict.OK, "trace", []h{{"x-trace", "debug-1"}}},
		{"P25 a name twice", "/mcp", verdict.HeaderAmbiguous, "-", []h{method, {"mcp-name", "weather"}, name, token}},
		{"P25 a name twice, of a method that does not fit", "/mcp", verdict.HeaderAmbiguous, "-",
			[]h{{"mcp-method", "ping"}, name, name}},
		{"P26 a name in another spelling", "/mcp", verdict.HeaderAmbiguous, "-",
			[]h{method, {"mcp-name", "weather"}, {"mcp_name", "refund"}, token}},
		{"P26 only in another spelling", "/mcp", verdict.HeaderAmbiguous, "-", []h{{"mcp_method", "ping"}}},
		{"P27 twice, where no rule asks", "/status", verdict.OK, "status", []h{name, name, method, method}},
		{"P27 twice, of a rule behind the one that decides", "/mcp", verdict.OK, "list",
			[]h{{"mcp-method", "ping"}, {"x-trace", "a"}, {"x_trace", "b"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(p, now, request("POST", c.path, c.headers...)...)
			if v.Code != c.want || p.RuleName(v.Rule) != c.rule {
				t.Errorf("%s by %s, want %s by %s", v.Code.Name, p.RuleName(v.Rule), c.want.Name, c.rule)
			}
			if c.want == verdict.HeaderAmbiguous && (v.Challenge != "" || v.Code.Status != 400 || v.Admits()) {
				t.Errorf("%+v", v)
			}
		})
	}
	shadow := parse(t, strings.Replace(mcpConfig, "{", `{"mode":"shadow",`, 1))
	if v := judge(shadow, now, request("POST", "/mcp", method, name, name)...); v.Code != verdict.HeaderAmbiguous ||
		!v.Admits() || v.Outcome() != verdict.WouldDeny {
		t.Errorf("in shadow mode: %+v", v)
	}
	allow := parse(t, strings.Replace(mcpConfig, "{", `{"default":"allow",`, 1))
	if v := judge(allow, now, request("POST", "/mcp", name, name)...); v.Code != verdict.HeaderAmbiguous {
		t.Errorf("P25 where the default is allow: %s", v.Code.Name)
	}
}

// The explanation says which rule found a header ambiguous, and how.
func TestExplainHeaders(t *testing.T) {
	p := parse(t, mcpConfig)
	var d Decision
	p.Decide(&d, asked(request("POST", "/mcp", [2]string{"mcp-method", "tools/call"}, [2]string{"mcp_name", "x"}), now))
	e := d.Explain()
	if len(e.Rules) != 2 || e.Rules[1].Name != "refund" ||
		e.Rules[1].Why != "the header mcp-name is there in another spelling: it is ambiguous" {
		t.Errorf("%+v", e.Rules)
	}
	const want = "fails, header_ambiguous: refund asks for a header that could be read in two ways"
	if c := e.Checks[len(e.Checks)-1]; c.String() != want {
		t.Errorf("%s", c)
	}
}

// What a wait leaves of the headers is decided anew: they are the proxy's memory.
func TestHeadersAfterWait(t *testing.T) {
	p := parse(t, mcpConfig)
	headers := request("POST", "/mcp", [2]string{"mcp-method", "ping"})
	var d Decision
	p.Decide(&d, asked(headers, now))
	if d.Verdict().Code != verdict.OK {
		t.Fatal(d.Verdict().Code.Name)
	}
	headers[3] = [2]string{"mcp-method", "tools/drop"}
	p.DecideAfterWait(&d, asked(headers, now))
	if d.Step() != decide.Done || d.Verdict().Code != verdict.NoRule {
		t.Errorf("%s", d.Verdict().Code.Name)
	}
}
