// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// What a person reads of tokens that an endpoint is asked for, and of what is new among conditions.
func TestExplainIntrospection(t *testing.T) {
	const config = `providers:
- {name: opaque, audiences: [orders], introspection: {cluster: as, authority: as.example, path: /i, clientId: g, clientSecretEnv: NOT_HERE}, require: {scopes: {all: [base]}}}
resources: [{path: /.well-known/oauth-protected-resource/orders, authorizationServers: ["https://as.example"]}]
rules:
- name: orders
  require: {anyOf: [{scopes: {all: [a]}}, {claims: [{path: [levels, "*"], atLeast: 2}]}], authentication: {acr: [gold]}}
`
	for _, c := range []struct {
		name, answer string
		code         int
		want         []string
	}{
		{"no answer", "", exitFound, []string{"the token has to be introspected at as.example: give its answer by --introspection"}},
		{"inactive", `{"active":false}`, exitFound, []string{"token_inactive: provider opaque introspects it at as.example"}},
		{"garbled", `{"active":1}`, exitFound, []string{"the answer's active is neither true nor false"}},
		{"for others", `{"active":true,"aud":"x"}`, exitFound, []string{"the answer's aud is none of orders"}},
		{"without the provider's scope", `{"active":true,"aud":"orders","scope":"a"}`, exitFound,
			[]string{"provider opaque, scopes fails, insufficient_scope: it has [a]; all of [base] wanted"}},
		{"none of the alternatives", `{"active":true,"aud":"orders","scope":"base","levels":[1]}`, exitFound,
			[]string{"anyOf fails, insufficient_scope: [0] it has [base]; all of [a] wanted; [1] levels.* is 1; asked for is a number of at least 2"}},
		{"another login", `{"active":true,"aud":"orders","scope":"base","levels":[2,3]}`, exitFound,
			[]string{"anyOf passes: [1] is met", "authentication fails, authentication_insufficient: acr is missing, one of [gold] wanted"}},
		{"all of it", `{"active":true,"aud":"orders","scope":"base a","acr":"gold"}`, 0,
			[]string{"introspection passes: provider opaque: active", "anyOf passes: [0] is met", "authentication passes: acr is \"gold\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"explain", "--config", write(t, "config.yaml", config), "-r",
				"GET https://api.example/orders", "--token", "opaque"}
			if c.answer != "" {
				args = append(args, "--introspection", write(t, "answer.json", c.answer))
			}
			out, errs := tollgate(t, c.code, args...)
			all := strings.Join(strings.Fields(out+errs), " ")
			for _, want := range c.want {
				if !strings.Contains(all, want) {
					t.Errorf("no %q in\n%s%s", want, out, errs)
				}
			}
		})
	}
	out, _ := tollgate(t, 0, "explain", "--config", write(t, "config.yaml", config), "-r",
		"GET https://api.example/.well-known/oauth-protected-resource/orders")
	if !strings.Contains(out, `"resource":"https://api.example/orders"`) || !strings.Contains(out, "before any rule") {
		t.Errorf("of metadata:\n%s", out)
	}
}
