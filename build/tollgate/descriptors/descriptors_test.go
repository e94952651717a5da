// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package descriptors

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/loop/backends"
)

const global = `"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"tollgate"}`

const sample = `
limits:
- name: "null"
  key: [{claim: [sub]}]
  rate: {requests: 600, per: 60s, burst: 700}
  tiers: {claim: [plan], values: {gold: {requests: 6000, per: 1m}, "*": {requests: 1, per: 24h}}}
  scope: global
- name: per-address
  key: [{sourceAddress: {}}]
  rate: {requests: 7, per: 7s}
- name: all
  rate: {requests: 1000000, per: 1s}
  scope: global
  mode: shadow
global: {cluster: ratelimit, authority: ratelimit, domain: "tollgate"}
`

const sampleOut = `# Of envoyproxy/ratelimit, for the limits of scope: global of the rate-limit filter. Written by tollgate descriptors; write it anew when they change.
domain: "tollgate"
descriptors:
- key: limit
  value: "null"
  descriptors:
  - key: key
    # burst: 700 is for a proxy that limits alone (onError: local). The service counts in fixed windows and has none.
    rate_limit: {unit: minute, requests_per_unit: 600}
    descriptors:
    - key: tier
      value: "*"
      rate_limit: {unit: day, requests_per_unit: 1}
    - key: tier
      value: "gold"
      rate_limit: {unit: minute, requests_per_unit: 6000}
- key: limit
  value: "all"
  # In shadow mode in the filter, which counts what it would refuse. Not so here (shadow_mode): the filter would be told that nothing ever is over the limit.
  descriptors:
  - key: key
    rate_limit: {unit: second, requests_per_unit: 1000000}
`

func TestDescriptors(t *testing.T) {
	out, err := Write([]byte(sample))
	if err != nil || string(out) != sampleOut {
		t.Errorf("%v\n%s", err, out)
	}
}

// What requests bring along, and what is unlimited, has no rate there.
func TestBrought(t *testing.T) {
	out, err := Write([]byte(`
limits:
- name: own
  rate: {requests: {claim: [quota], default: 60, max: 6000}, per: 1m}
  tiers: {claim: [plan], values: {gold: {requests: 6000, per: 7d}, staff: unlimited}}
  scope: global
- {name: staff, rate: unlimited, scope: global}
global: {cluster: ratelimit, authority: ratelimit, domain: tollgate}
`))
	const want = `domain: "tollgate"
descriptors:
- key: limit
  value: "own"
  descriptors:
  - key: key
    # rate.requests.claim: each request brings its own rate_limit.
    descriptors:
    - key: tier
      value: "gold"
      rate_limit: {unit: week, requests_per_unit: 6000}
    - key: tier
      value: "staff"
      # unlimited: the filter does not ask.
`
	if err != nil || !strings.HasSuffix(string(out), "when they change.\n"+want) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		"a: [":       "yaml",
		"{":          "at line 1",
		"a: 1":       "limits: is required",
		"a: 1\na: 2": "already",
		`{"limits":[{"name":"a","rate":{"requests":1,"per":"1m"}}]}`: "none has scope: global",
		`{"limits":[{"name":"a","scope":"global","rate":{"requests":10,"per":"10m"}}],` + global +
			`}`: "limits[0].rate.per: is 10m, but",
	} {
		if out, err := Write([]byte(config)); err == nil || out != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}

// limited is a chain with rate-limit steps of those limits, in a domain each, behind one of another filter.
func limited(domains []string, limits ...string) string {
	text := `{"chain":[{"name":"stamped","filter":"edge-stamp","config":{}}`
	for i, list := range limits {
		text += fmt.Sprintf(`,{"name":"step-%d","filter":"rate-limit","config":{"limits":[%s]`, i, list)
		if domains[i] != "" {
			text += `,"global":{"cluster":"ratelimit","authority":"ratelimit","domain":"` + domains[i] + `"}`
		}
		text += "}}"
	}
	return text + "]}"
}

// Of a chain, the limits of all steps are in one file, in their order.
func TestChain(t *testing.T) {
	const a, b = `{"name":"a","scope":"global","rate":{"requests":5,"per":"1m"}}`,
		`{"name":"b","scope":"global","rate":{"requests":6,"per":"1h"}}`
	const local = `{"name":"a","rate":{"requests":1,"per":"7s"}}`
	out, err := Write([]byte(limited([]string{"d", "", "d"}, a, local, b)))
	want := `domain: "d"
descriptors:
- key: limit
  value: "a"
  descriptors:
  - key: key
    rate_limit: {unit: minute, requests_per_unit: 5}
- key: limit
  value: "b"
  descriptors:
  - key: key
    rate_limit: {unit: hour, requests_per_unit: 6}
`
	if _, text, _ := strings.Cut(string(out), "\n"); err != nil || text != want {
		t.Errorf("%v\n%s", err, out)
	}
	for text, want := range map[string]string{
		limited([]string{"d", "e"}, a, b): "chain[2].config.global.domain: is e, " +
			"and that of the step step-0 is d",
		limited([]string{"d", "d"}, a, strings.Replace(b, `"b"`, `"a"`, 1)): "chain[2].config.limits: has a, as the " +
			"step step-0 has",
		limited([]string{"d"}, strings.Replace(a, "1m", "7s", 1)): "chain[1].config.limits[0].rate.per: is 7s",
		limited([]string{"d"}, "{}"):                              "chain[1].config.limits[0].name: is required",
		limited([]string{""}, local):                              "chain: no limit has scope: global",
		limited(nil):                                              "chain: no step is rate-limit",
		`{"chain":[{"name":"a"}]}`:                                "chain[0].filter: is required",
		"chain: [{name: a, filter: x}]":                           "chain[0].filter: want jwt-scope",
	} {
		if out, err := Write([]byte(text)); err == nil || out != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The service's own check takes whatever is printed, with names and tiers that YAML or the service
// could take for something else.
func TestServiceTakesIt(t *testing.T) {
	configs := map[string]string{}
	add := func(config string) {
		out, err := Write([]byte(config))
		if err != nil {
			t.Fatalf("%v\n%s", err, config)
		}
		// A file for each domain: two of the same are refused.
		n := fmt.Sprint(len(configs))
		configs[n] = strings.Replace(string(out), `domain: "`, `domain: "`+n, 1)
	}
	add(sample)
	for _, name := range []string{"1", "0x1", "1e3", "true", "no", "null", "a-b"} {
		add(`{"limits":[{"name":"` + name + `","scope":"global","rate":{"requests":1000000000,"per":"24h"}}],` + global + `}`)
	}
	for _, tier := range []string{"~", " ", "a: b", "#", "'", `\"`, `\\`, `\u0001`, `\u007f`, `\u0085\u2028`, `\ufffe`,
		`é`, `😀`, "gold*", "- a", "{", "%", "\\t", "<&>", "a_b", strings.Repeat("x", 3000)} {
		add(`{"limits":[{"name":"a","scope":"global","rate":{"requests":1,"per":"1h"},"tiers":{"claim":["plan"],"values":{"` + tier + `":{"requests":2,"per":"1h"}}}}],` + strings.Replace(global, `"tollgate"`, `"`+tier+`"`, 1) + `}`)
	}
	if err := backends.CheckRateLimit(configs, backends.Options{Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
	configs = map[string]string{"wrong": strings.Replace(configs["0"], "minute", "5m", 1)}
	if err := backends.CheckRateLimit(configs, backends.Options{Dir: t.TempDir()}); err == nil ||
		!strings.Contains(err.Error(), "invalid rate limit unit '5m'") {
		t.Errorf("the check takes anything: %v", err)
	}
}
