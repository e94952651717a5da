// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

const chained = `
chain:
- {name: addresses, filter: rate-limit, config: {limits: [{name: per-address, key: [{sourceAddress: {}}], rate: {requests: 5, per: 1s}}]}}
- name: who
  filter: jwt-scope
  config:
    providers: [{name: idp, issuer: https://idp, audiences: [api], jwks: {remote: {cluster: idp, authority: idp, path: /certs}}}]
    rules: [{name: all}]
    forward: {token: strip, claimHeaders: [{path: [sub], header: x-user}]}
- {name: users, filter: rate-limit, config: {limits: [{name: per-user, key: [{claim: [sub]}, {header: x-user}], rate: {requests: 9, per: 1m}, onMissingKey: deny}]}}
- {name: late, filter: jwt-scope, config: {providers: [{name: idp, issuer: https://idp, audiences: [api], jwks: {remote: {cluster: idp, authority: idp, path: /certs}}}], rules: [{name: again}]}}
`

// Each step of a chain decides what the ones before have left, and the first refusal is the answer.
func TestExplainChain(t *testing.T) {
	config := write(t, "chain.yaml", chained)
	claims := write(t, "claims.json", `{"iss":"https://idp","aud":"api","sub":"ann","exp":9999999999}`)
	out, _ := tollgate(t, exitFound, "explain", "--config", config, "-r", "GET https://api/a")
	for _, want := range []string{"step addresses", "step who", "credential", "answer  401",
		`ratelimit: "per-address";r=4;t=1`, "by who: all"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "step users") {
		t.Errorf("a step behind the refusal is told of:\n%s", out)
	}
	out, _ = tollgate(t, exitFound, "explain", "--config", config, "-r", "GET https://api/a", "--claims", claims,
		"--format", "json")
	var got struct {
		Filter string
		Chain  []struct {
			Name, Filter string
			Steps        []struct{ What, Said string }
			Verdict      struct{ Code, By string }
		}
		Verdict struct{ Code, By string }
		Answer  struct {
			Status  int
			Headers [][2]string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The last has nothing to verify: the token is gone, and it was the claims' alone.
	if len(got.Chain) != 4 || got.Chain[1].Verdict.Code != "ok" || got.Chain[2].Verdict.Code != "ok" ||
		got.Verdict.By != "late: again" || got.Answer.Status != 401 || got.Filter != "tollgate" {
		t.Errorf("%+v", got)
	}
	key := ""
	for _, s := range got.Chain[2].Steps {
		key += s.Said
	}
	if !strings.Contains(key, "key s:ann|h:ann") {
		t.Errorf("the users' step sees %s", key)
	}
	wrong := write(t, "wrong.yaml", strings.Replace(chained, "requests: 5", "requests: 0", 1))
	_, progress := tollgate(t, exitFound, "explain", "--config", wrong, "-r", "GET https://api/a")
	if !strings.Contains(progress, "chain[0].config.limits[0].rate.requests: must be from 1") {
		t.Errorf("%s", progress)
	}
}

// Whoever asks for the edge's keys gets them, and nobody behind it sees the request.
func TestExplainPublished(t *testing.T) {
	key := mint.New("edge", jose.ES256)
	config, err := json.Marshal(map[string]any{"chain": []map[string]any{
		{"name": "edge", "filter": "edge-stamp", "config": map[string]any{"role": "sign", "issuer": "https://edge",
			"audience": "mesh", "publish": "/keys", "keys": []map[string]any{{"kid": "edge", "alg": "ES256",
				"pem": key.PrivatePEM()}}, "rules": []map[string]any{{"name": "all", "sign": true}}}},
		{"name": "who", "filter": "jwt-scope", "config": map[string]any{"rules": []map[string]any{{"name": "all"}},
			"providers": []map[string]any{{"name": "idp", "issuer": "https://idp", "audiences": []string{"api"},
				"jwks": map[string]any{"inline": mint.Set(key)}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := tollgate(t, 0, "explain", "--config", write(t, "edge.json", string(config)), "-r", "GET https://api/keys")
	if !strings.Contains(out, `"kid":"edge"`) || strings.Contains(out, "step who") || !strings.Contains(out, "200") {
		t.Errorf("%s", out)
	}
	tollgate(t, exitFound, "explain", "--config", write(t, "edge.json", string(config)), "-r", "GET https://api/other")
}

// What is wrong with a chain that stands by itself is told with its place, however much of it is wrong.
func TestCheckBareChains(t *testing.T) {
	for text, want := range map[string]string{
		"chain: []\n":                        ":1:1: error: chain: the list is empty",
		"chain: {}\n":                        ":1:1: error: chain: want a list",
		"filter: rate-limit\n" + chained[1:]: ":1:1: error: filter: unknown key",
		"chain:\n- {name: a, filters: rate-limit, config: {}}\n": "error: chain[0].filters: unknown key",
	} {
		out, _ := tollgate(t, exitFound, "check", write(t, "chain.yaml", text))
		if !strings.Contains(out, want) {
			t.Errorf("%s\ngot %s\nwant %s", text, out, want)
		}
	}
}
