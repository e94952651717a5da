// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
)

const (
	verify  = `{"name":"who","filter":"jwt-scope","config":{"providers":[],"forward":{"payloadHeader":"X-Payload","claimHeaders":[{"path":["sub"],"header":"x-sub"}]}}}`
	limits  = `{"name":"users","filter":"rate-limit","config":{"limits":[]}}`
	stamped = `{"name":"stamp","filter":"edge-stamp","config":{"role":"verify"}}`
	signed  = `{"name":"sign","filter":"edge-stamp","config":{"role":"sign"}}`
)

func list(steps ...string) string { return `{"chain":[` + strings.Join(steps, ",") + `]}` }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		steps      int
		after      int
	}{
		{"one filter", `{"filter":"rate-limit","limits":[]}`, 1, 0},
		{"a chain", list(limits, verify, signed), 3, 1},
		{"the last that verifies", list(verify, stamped, limits), 3, 1},
		{"nobody verifies", list(limits, signed), 2, -1},
		{"nothing is published", `{"publishIdentity":false,"chain":[` + verify + `]}`, 1, -1},
	} {
		got, err := chain.Parse(c.text, filters.Names()...)
		if err != nil || len(got.Steps) != c.steps || got.PublishAfter != c.after {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	got, err := chain.Parse(list(limits, verify), filters.Names()...)
	if err != nil || got.Steps[1].Name != "who" || got.Steps[1].Filter != "jwt-scope" ||
		got.Steps[1].Path != "chain[1].config." || !strings.HasPrefix(got.Steps[1].Config, `{"providers"`) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseFaults(t *testing.T) {
	trusting := func(header string) string {
		return `{"name":"trust","filter":"jwt-scope","config":{"providers":[{"trustedPayload":{"header":"x-other"}},{"trustedPayload":{"header":"` + header + `"}}]}}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "the configuration is empty"},
		{"no filter", `{"limits":[]}`,
			"filter: is required, or chain: this module carries jwt-scope, edge-stamp, rate-limit"},
		{"another filter", `{"filter":"cors"}`, "filter: want jwt-scope, edge-stamp or rate-limit"},
		{"an empty chain", `{"chain":[]}`, "chain: the list is empty: name at least one, or leave the key out"},
		{"a chain and a filter", `{"filter":"rate-limit","chain":[` + limits + `]}`, "filter: unknown key"},
		{"all that is missing", `{"chain":[{}],"publishIdentity":1}`,
			"chain[0].name: is required\nchain[0].filter: is required\nchain[0].config: is " +
				"required\npublishIdentity: want true or false, got a number"},
		{"a name twice", list(limits, limits), "chain[1].name: is in use already"},
		{"an unknown key", `{"chain":[{"name":"a","filter":"rate-limit","config":{},"when":1}]}`,
			"chain[0].when: unknown key"},
		{"a configuration that is text", `{"chain":[{"name":"a","filter":"rate-limit","config":"{}"}]}`,
			"chain[0].config: want an object, got a string"},
		{"a header that an earlier step writes", list(verify, trusting("x-payload")),
			"chain[1].config.providers[1].trustedPayload.header: is written by the earlier step who"},
		{"a claim's header that an earlier step writes", list(verify, trusting("x-sub")),
			"chain[1].config.providers[1].trustedPayload.header: is written by the earlier step who"},
		{"in another spelling", list(verify, trusting("X_Payload")),
			"chain[1].config.providers[1].trustedPayload.header: is written by the earlier step who"},
		{"the header of an earlier step's stamps", list(`{"name":"edge","filter":"edge-stamp","config":{"role":"sign"}}`,
			trusting("x-edge-stamp")), "chain[1].config.providers[1].trustedPayload.header: is written by the " +
			"earlier step edge"},
		{"by a name of one's own", list(`{"name":"edge","filter":"edge-stamp","config":{"role":"sign","header":"X-Mine"}}`,
			trusting("x-mine")), "chain[1].config.providers[1].trustedPayload.header: is written by the earlier step edge"},
		{"a header that a later step writes", list(trusting("x-payload"), verify), ""},
	} {
		got := ""
		if _, err := chain.Parse(c.text, filters.Names()...); err != nil {
			got = err.Error()
		}
		lines := strings.Split(got, "\n")
		for i, want := range strings.Split(c.want, "\n") {
			if i >= len(lines) || !strings.HasPrefix(lines[i], want) || c.want == "" && got != "" {
				t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
				break
			}
		}
	}
}
