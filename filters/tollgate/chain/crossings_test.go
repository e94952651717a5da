// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

// What a request costs is calls between the proxy and the module: of each chain that is measured
// (make bench), with a token that is known, here are all of them.
func TestCrossings(t *testing.T) {
	limit := func(name, key string) string {
		return `{"name":"` + name + `","filter":"rate-limit","config":{"headers":"none","limits":[{"name":"` + name +
			`","key":[` +
			key + `],"rate":{"requests":1000,"per":"1s"}}]}}`
	}
	byAddress, byClaim := limit("addresses", `{"sourceAddress":{}}`), limit("users", `{"claim":["sub"]}`)
	tokens := `{"name":"who","filter":"jwt-scope","config":{"providers":[{"name":"idp","issuer":"https://idp","audiences":["api"],` +
		`"jwks":` + inline() + `}],"rules":[{"name":"all"}]}}`
	stamps := `{"name":"stamp","filter":"edge-stamp","config":{"role":"verify","trust":[{"name":"edge","issuer":"https://edge",` +
		`"audiences":["mesh"],"jwks":{"inline":` + string(mint.Set(edge)) + `}}],"rules":[{"name":"all"}]}}`
	trusted := `{"name":"who","filter":"jwt-scope","config":{"providers":[{"name":"idp","issuer":"https://idp","audiences":["api"],` +
		`"trustedPayload":{"header":"x-payload"}}],"rules":[{"name":"all"}]}}`
	// Each stream's own: its beginning, its headers with room for them, the time, the callback for
	// its response, which this module has whoever is owed something, and its end.
	always := map[string]int{"proxy_on_context_create": 1, "proxy_on_request_headers": 1, "proxy_on_memory_allocate": 1,
		"proxy_get_header_map_pairs": 1, "proxy_get_current_time_nanoseconds": 1, "proxy_on_response_headers": 1,
		"proxy_on_delete": 1}
	verifies := map[string]int{"proxy_increment_metric": 1}
	publishes := map[string]int{"proxy_set_property": 1}
	takes := map[string]int{"proxy_increment_metric": 1, "proxy_get_shared_data": 1, "proxy_set_shared_data": 1,
		"proxy_on_memory_allocate": 1}
	reads := map[string]int{"proxy_get_property": 1, "proxy_on_memory_allocate": 1}
	checks := map[string]int{"proxy_call_foreign_function": 1, "proxy_on_memory_allocate": 1}
	for _, c := range []struct {
		name  string
		steps []string
		want  []map[string]int
	}{
		{"jwt-scope", []string{tokens}, []map[string]int{verifies, publishes}},
		{"jwt-scope, rate-limit", []string{tokens, byClaim}, []map[string]int{verifies, publishes, takes}},
		{"rate-limit, jwt-scope, rate-limit", []string{byAddress, tokens, byClaim},
			[]map[string]int{reads, takes, verifies, publishes, takes}},
		{"edge-stamp, jwt-scope, rate-limit", []string{stamps, trusted, byClaim},
			[]map[string]int{checks, takes, verifies, publishes, takes}},
	} {
		w := start(t)
		worker := w.worker(chained(c.steps...))
		token := w.token("ann")
		request := func() {
			headers := get(token)
			if strings.Contains(c.name, "edge-stamp") {
				headers = throughEdge(w)
			}
			worker.ResetCrossings()
			s := worker.Request(headers, true)
			w.want(c.name, s, "ok")
			s.Respond([][2]string{{":status", "200"}}, "", nil)
			s.Close()
		}
		request() // a counter is defined when it is needed first
		request()
		want := maps.Clone(always)
		for _, more := range c.want {
			for call, n := range more {
				want[call] += n
			}
		}
		if got := worker.Crossings(); !maps.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, want)
		}
	}
}

// throughEdge are the headers of a request that the edge has sent on.
func throughEdge(w *world) [][2]string {
	edge := w.worker(chained(`{"name":"sign","filter":"edge-stamp","config":{"role":"sign","issuer":"https://edge",` +
		`"audience":"mesh","keys":[{"kid":"edge","alg":"ES256","env":"EDGE"}],"rules":[{"name":"all","sign":true}]}}`))
	payload := fmt.Sprintf(`{"iss":"https://idp","aud":"api","sub":"ann","exp":%d}`, w.clock.Unix()+60)
	s := edge.Request(get([2]string{"x-payload", base64.RawURLEncoding.EncodeToString([]byte(payload))}), true)
	w.want("at the edge", s, "ok")
	return s.RequestHeaders()
}
