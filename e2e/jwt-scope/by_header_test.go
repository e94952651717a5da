// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// P24 P25 P26 P27 P28: rules by header, by what Envoy makes of the headers that a client sends.
func TestRulesByHeader(t *testing.T) {
	const rules = `{"name": "refund", "match": [{"paths": ["/mcp"], "headers": [{"name": "Mcp-Method", "exact": "tools/call"}, {"name": "Mcp-Name", "any": ["refund", "void"]}]}], "access": "required"},
	  {"name": "search", "match": [{"paths": ["/mcp"], "headers": [{"name": "mcp-method", "exact": "tools/call"}, {"name": "mcp-name", "prefix": "search_"}]}], "access": "public"},
	  {"name": "json", "match": [{"paths": ["/json"], "headers": [{"name": "content-type", "exact": "application/json"}]}], "access": "public"},
	  {"name": "plain", "match": [{"paths": ["/plain"]}], "access": "public"},`
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		text := strings.Replace(config(t, ""), `"rules": [`, `"rules": [`+rules, 1)
		envoy := harness.Start(t, harness.Config{Version: version, Upstream: up.Port(),
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", text)}})
		type h = [2]string
		call, search, refund := h{"Mcp-Method", "tools/call"}, h{"Mcp-Name", "search_all"}, h{"Mcp-Name", "refund"}
		for _, c := range []struct {
			name, path string
			headers    []h
			status     int
			rule, code string
		}{
			{"a tool without token", "/mcp", []h{call, search}, 200, "search", "ok"},
			{"a tool that wants a token", "/mcp", []h{call, refund}, 401, "refund", "token_missing"},
			{"a tool with its token", "/mcp", []h{call, refund, bearer(ecKey.Token(good()))}, 200, "refund", "ok"},
			{"P24 names in another case are the same header", "/mcp", []h{call, {"MCP-name", "search_all"}}, 200, "search", "ok"},
			{"P24 white space around a value is none of it", "/mcp", []h{call, {"Mcp-Name", "  void \t"}}, 401, "refund",
				"token_missing"},
			{"P24 a value in another case", "/mcp", []h{call, {"Mcp-Name", "Search_all"}}, 403, "-", "no_rule"},
			{"P24 a value with more behind it", "/mcp", []h{call, {"Mcp-Name", "refund,search_all"}}, 403, "-", "no_rule"},
			{"P28 an encoded value", "/mcp", []h{call, {"Mcp-Name", "=?base64?cmVmdW5k?="}}, 403, "-", "no_rule"},
			{"no header", "/mcp", []h{call}, 403, "-", "no_rule"},
			{"P25 twice", "/mcp", []h{call, search, refund}, 400, "-", "header_ambiguous"},
			{"P25 twice the same", "/mcp", []h{call, search, search}, 400, "-", "header_ambiguous"},
			{"P25 twice, in two cases", "/mcp", []h{call, search, {"mcp-NAME", "refund"}}, 400, "-", "header_ambiguous"},
			{"P25 twice, once empty", "/mcp", []h{call, {"Mcp-Name", ""}, search}, 400, "-", "header_ambiguous"},
			{"P26 an underscore beside it", "/mcp", []h{call, search, {"Mcp_Name", "refund"}}, 400, "-", "header_ambiguous"},
			{"P26 an underscore in its place", "/mcp", []h{call, {"mcp_name", "search_all"}}, 400, "-", "header_ambiguous"},
			{"P27 twice, where no rule asks", "/plain", []h{call, search, refund, {"mcp_name", "x"}}, 200, "plain", "ok"},
			{"one content-type", "/json", []h{{"Content-Type", "application/json"}}, 200, "json", "ok"},
			{"P25 two, which Envoy joins", "/json",
				[]h{{"Content-Type", "application/json"}, {"Content-Type", "text/plain"}}, 403, "-", "no_rule"},
		} {
			for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
				t.Run(c.name+" over "+protocol, func(t *testing.T) {
					var answer *harness.Message
					changes := envoy.Change(func() {
						if protocol == "HTTP/1.1" {
							answer = harness.HTTP1(t, envoy.Main(), harness.Request("POST", c.path, c.headers...))
							return
						}
						var headers []h
						for _, one := range c.headers {
							headers = append(headers, h{strings.ToLower(one[0]), strings.TrimSpace(one[1])})
						}
						answer = harness.HTTP2(t, envoy.Main(), harness.Pseudo("POST", c.path, headers...), "")
					})
					reached := up.Take()
					want := fmt.Sprintf(`,"status":%d,"code":"%s"}`, c.status, c.code)
					if answer.Status() != c.status || (c.status == 200) != (len(reached) == 1) ||
						c.status != 200 && !strings.HasSuffix(answer.Body, want) {
						t.Errorf("%s %s, and %d requests reach the upstream", answer.Start, answer.Body, len(reached))
					}
					if challenge := answer.Header("www-authenticate"); (challenge != "") != (c.status == 401) {
						t.Errorf("the challenge is %q", challenge)
					}
					outcome := "denied"
					if c.status == 200 {
						outcome = "allowed"
					}
					if name := "jwt_scope.rule." + c.rule + ".outcome." + outcome + ".code." + c.code; len(changes) != 1 ||
						changes[name] != 1 {
						t.Errorf("counted: %v, want %s", changes, name)
					}
				})
			}
		}
	})
}
