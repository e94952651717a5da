// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// P25 P26 P27: rules by header, in both roles, and headers that could be read in two ways.
func TestHeaders(t *testing.T) {
	const mcp = `"match":[{"headers":[{"name":"Mcp-Method","exact":"tools/call"}]}]`
	sign := parse(t, edgeConfig(`"rules":[{"name":"calls",`+mcp+`,"sign":true},{"name":"rest","sign":false}]`))
	verify := parse(t, meshConfig(`"rules":[{"name":"calls",`+mcp+`},{"name":"rest","access":"public"}]`))
	type h = [2]string
	for _, c := range []struct {
		name         string
		sign, verify *verdict.Code
		rule         string
		headers      []h
	}{
		{"the header", verdict.OK, StampMissing, "calls", []h{{"mcp-method", "tools/call"}}},
		{"another value", verdict.OK, verdict.OK, "rest", []h{{"mcp-method", "ping"}}},
		{"P25 twice", verdict.HeaderAmbiguous, verdict.HeaderAmbiguous, "-",
			[]h{{"mcp-method", "ping"}, {"mcp-method", "tools/call"}}},
		{"P26 in another spelling", verdict.HeaderAmbiguous, verdict.HeaderAmbiguous, "-",
			[]h{{"mcp_method", "tools/call"}}},
		{"another header twice", verdict.OK, verdict.OK, "rest", []h{{"mcp-name", "a"}, {"mcp-name", "b"}}},
	} {
		for _, role := range []struct {
			p    *Policy
			want *verdict.Code
		}{{sign, c.sign}, {verify, c.verify}} {
			d := (&proxy{now: now}).decide(role.p, request("POST", "/mcp", c.headers...))
			v := d.Verdict()
			if v.Reason() != role.want || role.p.RuleName(v.Rule) != c.rule {
				t.Errorf("%s: %s by %s, want %s by %s", c.name, v.Reason().Name, role.p.RuleName(v.Rule), role.want.Name, c.rule)
			}
			if e := d.Explain(); c.rule == "-" && (len(e.Rules) != 1 || e.Rules[0].Why == "") ||
				c.rule == "rest" && len(e.Rules) != 2 {
				t.Errorf("%s is explained by %+v", c.name, e)
			}
		}
	}
}
