// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// P25 P26 P27: every limit that fits counts, and any that asks for a header may find it ambiguous.
func TestHeaders(t *testing.T) {
	config := limitsConfig(
		named("all", `{"requests":50,"per":"1m"}`, ""),
		named("calls", two, `"match":[{"paths":["/mcp"],"headers":[{"name":"Mcp-Method","exact":"tools/call"}]}]`),
		named("search", five, `"match":[{"headers":[{"name":"mcp-name","any":["search","find"]},{"name":"mcp-method","present":true}]}]`))
	type h = [2]string
	call, search := h{"mcp-method", "tools/call"}, h{"mcp-name", "search"}
	for _, c := range []struct {
		name, path string
		want       *verdict.Code
		rule       string
		counts     string
		headers    []h
	}{
		{"none", "/mcp", verdict.OK, "all", "all allowed ok", nil},
		{"one", "/mcp", verdict.OK, "calls", "calls allowed ok, all allowed ok", []h{call}},
		{"both", "/mcp", verdict.OK, "calls", "calls allowed ok, all allowed ok, search allowed ok", []h{call, search}},
		{"on another path", "/x", verdict.OK, "search", "search allowed ok, all allowed ok", []h{call, search}},
		{"P25 twice, though a limit before asks for nothing", "/mcp", verdict.HeaderAmbiguous, "-",
			"- denied header_ambiguous", []h{call, call}},
		{"P25 twice, and the last limit asks", "/x", verdict.HeaderAmbiguous, "-", "- denied header_ambiguous",
			[]h{call, search, {"mcp-name", "other"}}},
		{"P26 in another spelling", "/x", verdict.HeaderAmbiguous, "-", "- denied header_ambiguous",
			[]h{call, {"mcp_name", "search"}}},
		{"P26 a header that need only be there", "/x", verdict.HeaderAmbiguous, "-", "- denied header_ambiguous",
			[]h{{"mcp_method", "x"}, search}},
		{"P27 twice, where no limit asks for its value", "/x", verdict.OK, "search", "search allowed ok, all allowed ok",
			[]h{call, call, search}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t, config)
			d := p.get(c.path, c.headers...)
			wantCode(t, c.name, d, c.want, c.rule)
			if counts(d) != c.counts {
				t.Errorf("%s, want %s", counts(d), c.counts)
			}
			if e := d.Explain(); len(e.Rules) != 3 {
				t.Errorf("explained by %+v", e)
			}
		})
	}
	p := newProxy(t, config)
	p.get("/mcp", call)
	p.get("/mcp", call)
	wantCode(t, "one too many", p.get("/mcp", call), RateLimited, "calls")
	wantCode(t, "another method", p.get("/mcp", h{"mcp-method", "ping"}), verdict.OK, "all")
	p = newProxy(t, with(config, `"mode":"shadow"`))
	if d := p.get("/mcp", call, call); !d.Verdict().Admits() || counts(d) != "- would_deny header_ambiguous" {
		t.Errorf("in shadow mode: %s", counts(d))
	}
}
