// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

const policy = `
providers:
- {name: idp, issuer: https://idp, audiences: [api], algorithms: [ES256], jwks: {remote: {cluster: idp, authority: idp, path: /certs}}}
- {name: mesh, issuer: https://mesh, audiences: [api], trustedPayload: {header: X-Payload}}
rules:
- {name: open, match: [{paths: ["/healthz"], methods: [GET]}], access: public}
- {name: shadow, match: [{hosts: ["*.test"]}], mode: shadow, require: {providers: [idp]}}
- {name: inside, match: [{paths: ["/inside/{**}"]}], require: {providers: [mesh]}}
- {name: read, match: [{paths: ["/orders/{id}"], methods: [GET]}], require: {providers: [idp], scopes: {any: [read]}, claims: [{path: [plan], any: [gold]}]}}
`

// What a person reads of a decision, and the exit code that goes with it.
func TestExplain(t *testing.T) {
	config := write(t, "policy.yaml", policy)
	key := mint.New("k", jose.ES256)
	set := write(t, "jwks.json", string(mint.Set(key)))
	published := write(t, "published.json",
		"\ufeff"+strings.Replace(string(mint.Set(key)), `{"keys":[{`,
			`{"keys":[{"kty":"AKP","kid":"pq","alg":"ML-DSA-65"},{"d":null,`, 1))
	claims := map[string]any{"iss": "https://idp", "aud": "api", "scope": "read", "plan": "gold",
		"exp": time.Now().Add(time.Hour).Unix(), "x": "\x1b[2J"}
	token := key.Token(claims)
	file := func(text string) string { return write(t, "claims.json", text) }
	limits := write(t, "limits.yaml", `
limits:
- {name: address, key: [{sourceAddress: {}}], rate: {requests: 5, per: 1s}}
- {name: user, match: [{paths: ["/orders/{id}"]}], key: [{claim: [sub]}, {pathTemplate: true}], rate: {requests: 600, per: 1m}, tiers: {claim: [plan], values: {gold: {requests: 6000, per: 1m}}}, onMissingKey: deny}
- {name: all, scope: global, mode: shadow, cost: {header: x-cost, max: 9}, rate: {requests: 100, per: 1h}}
global: {cluster: c, authority: a, domain: d, onError: deny}
`)
	some := write(t, "some.yaml", `
limits:
- {name: outside, except: [{sources: [10.0.0.0/8]}], group: g, rate: unlimited}
- {name: paying, claims: [{path: [plan], any: [gold]}], group: g, rate: {requests: {claim: [quota], default: 60, max: 6000}, per: 30d}}
- {name: rest, match: [{sources: [192.0.2.0/24]}], rate: {requests: 5, per: 1m}, tiers: {header: x-plan, values: {tin: {requests: 2, per: 1m}}}}
`)
	for _, c := range []struct {
		name string
		code int
		args []string
		want []string // lines, without the spaces of the columns
	}{
		{"a token", 0, []string{"--config", config, "-r", "GET https://api/orders/7", "--token", token, "--jwks", set},
			[]string{`rule open does not fit: the path "/orders/7" is none of /healthz`,
				`rule shadow does not fit: the host "api" is none of *.test`, "rule read fits",
				"issuer passes: provider idp", `audience passes: "api"`, "signature passes: good",
				"scopes passes: it has [read]; any of [read] wanted", `claim passes: plan is "gold"; any is asked for`,
				"verdict allowed, ok, by read"}},
		{"keys that are not there", exitFound,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--token", token}, nil},
		{"claims", exitFound, []string{"--config", config, "-r", "GET https://api/orders/7", "--claims",
			file(`{"iss":"https://idp","aud":"api","scope":"write","exp":9999999999}`)},
			[]string{"scopes fails, insufficient_scope: it has [write]; any of [read] wanted",
				"verdict denied, insufficient_scope, by read", "answer 403",
				`www-authenticate: Bearer realm="tollgate", error="insufficient_scope", scope="read"`}},
		{"claims of another", exitFound,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--claims",
				file(`{"iss":"https://idp","aud":"other","exp":9999999999}`)},
			[]string{`audience fails, token_audience: aud is "other"; wanted is one of api`}},
		{"a set as issuers write it", 0,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--token", token, "--jwks", published},
			[]string{`key set key 0, kid "pq", is passed over: kty is not RSA, EC, OKP or oct`, "signature passes: good"}},
		{"a set without the key", exitFound,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--token",
				mint.WithID(key, "other").Token(claims), "--jwks", set},
			[]string{`key fails, token_key_unknown: kid "other", alg ES256; the provider's keys are kid "k" (EC P-256, ES256)`}},
		{"no kid", 0, []string{"--config", config, "-r", "GET https://api/orders/7", "--token",
			mint.WithID(key, "").Token(claims), "--jwks", set}, []string{`form passes: alg ES256, no kid, typ "JWT"`}},
		{"no token", exitFound, []string{"--config", config, "-r", "GET https://api/orders/7"},
			[]string{"credential fails, token_missing: none in header authorization, scheme bearer"}},
		{"no exp", exitFound, []string{"--config", config, "-r", "GET https://api/orders/7", "--claims",
			file(`{"iss":"https://idp","aud":"api"}`)},
			[]string{"times fails, token_malformed: exp is missing; wanted is one (requireExpiry)"}},
		{"an exp that is text", exitFound,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--claims",
				file(`{"iss":"https://idp","aud":"api","exp":"1"}`)},
			[]string{`times fails, token_malformed: exp is "1"; wanted are seconds since 1970, as a number`}},
		{"no aud", exitFound, []string{"--config", config, "-r", "GET https://api/orders/7", "--claims",
			file(`{"iss":"https://idp","exp":9999999999}`)},
			[]string{"audience fails, token_audience: aud is missing; wanted is one of api"}},
		{"another iss", exitFound,
			[]string{"--config", config, "-r", "GET https://api/orders/7", "--token",
				key.Token(map[string]any{"iss": "https://idp/", "aud": "api", "exp": 9999999999}), "--jwks", set},
			[]string{`issuer fails, token_issuer: iss is "https://idp/"; the providers are idp ("https://idp")`}},
		{"an earlier time", exitFound, []string{"--config", config, "-r", "GET https://api/orders/7", "--token", token,
			"--jwks", set, "--at", "2100-01-01T00:00:00Z"}, []string{"times fails, token_expired"}},
		{"a trusted payload", 0,
			[]string{"--config", config, "-r", "GET https://api/inside/x", "--claims",
				file(`{"iss":"https://mesh","aud":"api","exp":9999999999}`)},
			[]string{"payload passes: there", "verdict allowed, ok, by inside"}},
		{"shadow mode", 0, []string{"--config", config, "-r", "GET https://a.test/x"},
			[]string{"credential fails, token_missing", "verdict would_deny, token_missing, in shadow mode, by shadow"}},
		{"no rule", exitFound, []string{"--config", config, "-r", "PUT https://api/orders/7"},
			[]string{`rule read does not fit: the method "PUT" is none of GET`,
				"rule fails, no_rule: none fits, and default is deny"}},
		{"an ambiguous path", exitFound, []string{"--config", config, "-r", "GET https://api/orders/../healthz"},
			[]string{"path fails, path_ambiguous: the upstream could read it in another way", "answer 400"}},
		{"limits", 0, []string{"--config", limits, "-r", "GET https://api/orders/7", "--claims",
			file(`{"sub":"ann","plan":"gold"}`), "--source", "198.51.100.7:1", "-H", "x-cost: 7"},
			[]string{"limit address ok: 5 requests per 1s, burst 5, cost 1, key a:198.51.100.7",
				"limit user ok: 6000 requests per 1m0s, burst 6000, cost 1, tier gold, key s:ann|t:/orders/{id}",
				"limit all limiter_unavailable: 100 requests per 1h0m0s, burst 100, cost 7, one bucket for all, " +
					"global: without the service, onError decides, in shadow mode",
				`header ratelimit: "address";r=4;t=1, "user";r=5999;t=1`, "verdict allowed, ok, by address"}},
		{"limits for some requests", 0, []string{"--config", some, "-r", "GET https://api/", "--claims",
			file(`{"plan":"gold","quota":7}`), "--source", "10.0.0.7:1"},
			[]string{"limit outside does not fit: it is excepted by except[0]",
				"limit rest does not fit: the address 10.0.0.7 is in none of the sources",
				"limit paying ok: 7 requests per 30d by the claim quota, burst 7, cost 1, one bucket for all, first of the group g",
				`header ratelimit-policy: "paying";q=7;w=2592000`}},
		{"limits for others", 0, []string{"--config", some, "-r", "GET https://api/", "-H", "X-Plan: tin"},
			[]string{"limit paying does not fit: a claim does not hold: plan is not there; any is asked for",
				"limit outside ok: unlimited, one bucket for all, first of the group g",
				"limit rest ok: 2 requests per 1m0s, burst 2, cost 1, tier tin by the header x-plan, one bucket for all"}},
		{"a missing key", exitFound, []string{"--config", limits, "-r", "GET https://api/orders/7"},
			[]string{"limit user key_missing: 600 requests per 1m0s, burst 600, cost 1, a part of its key is missing",
				"answer 403"}},
		{"a limit elsewhere", 0, []string{"--config", limits, "-r", "GET https://api/x"},
			[]string{`limit user does not fit: the path "/x" is none of /orders/{id}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, progress := tollgate(t, c.code, append([]string{"explain"}, c.args...)...)
			if strings.Contains(out, "\x1b") {
				t.Error("a claim moves the cursor")
			}
			var lines []string
			for _, l := range strings.Split(out, "\n") {
				lines = append(lines, strings.Join(strings.Fields(l), " "))
			}
			all := "\n" + strings.Join(lines, "\n")
			for _, want := range c.want {
				if !strings.Contains(all, "\n"+want) {
					t.Errorf("no line %q in\n%s", want, out)
				}
			}
			if c.want == nil && !strings.Contains(progress, "the keys are at idp/certs: give the set by --jwks") {
				t.Errorf("%s", progress)
			}
		})
	}
	secret := write(t, "secret.json", `{"keys":[{"kty":"EC","kid":"k","d":"AAAA"}]}`)
	if _, progress := tollgate(t, exitFound, "explain", "--config", config, "-r", "GET https://api/orders/7", "--token",
		token, "--jwks", secret); !strings.Contains(progress, "the filter refuses this key set: the key has "+
		"private members") {
		t.Error(progress)
	}
	for _, line := range [][]string{{"explain"}, {"explain", "--config", config},
		{"explain", "--config", config, "-r", "GET https://a/", "--at", "x"}} {
		tollgate(t, exitUsage, line...)
	}
	tollgate(t, exitFound, "explain", "--config", write(t, "bad.yaml", "rules: []"), "-r", "GET https://a/")
}

// Every filter that there is can be explained, whatever it then says of a request.
func TestExplainsAll(t *testing.T) {
	for _, f := range filters.All {
		config := write(t, "smallest.json", f.Smallest)
		var out, progress bytes.Buffer
		code := run(t.Context(), []string{"explain", "--config", config, "-r", "GET https://a/", "--format", "json"},
			nil, &out, &progress)
		var r report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || code == exitUsage || r.Filter != f.Name || r.Verdict == nil {
			t.Errorf("%s: %d %v %s%s", f.Name, code, err, &out, &progress)
		}
	}
}
