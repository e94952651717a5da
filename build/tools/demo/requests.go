// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// token is a credential under the name of the shell variable that the printed lines use.
type token struct{ name, value string }

// request is one line to try and what must come of it.
type request struct {
	what   string
	method string
	path   string
	token  *token // nil: none
	status int
	rule   string
	code   string // of the refusal; "ok" when allowed
}

func requests(key *mint.Key) ([]*token, []request) {
	mint := func(name, scope string, lifetime time.Duration) *token {
		now := time.Now()
		return &token{name, key.Token(bootstrap.M{"iss": issuer, "aud": "orders-api", "sub": "ann", "scope": scope,
			"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(lifetime).Unix()})}
	}
	read := mint("READ", "orders:read", 24*time.Hour)
	write := mint("WRITE", "orders:read orders:write", 24*time.Hour)
	expired := mint("EXPIRED", "orders:read", -10*time.Minute)
	return []*token{read, write, expired}, []request{
		{"the token has the scope orders:read", "GET", "/orders/7", read, 200, "read-orders", "ok"},
		{"no token", "GET", "/orders/7", nil, 401, "read-orders", "token_missing"},
		{"the token lacks the scope orders:write", "POST", "/orders", read, 403, "write-orders", "insufficient_scope"},
		{"a token with that scope", "POST", "/orders", write, 200, "write-orders", "ok"},
		{"the token expired ten minutes ago", "GET", "/orders/7", expired, 401, "read-orders", "token_expired"},
		{"a public path needs no token", "GET", "/healthz", nil, 200, "health", "ok"},
		{"no rule for this path, so no pass", "GET", "/admin", read, 403, "-", "no_rule"},
		{"which path is meant: the public one?", "GET", "/healthz/../orders/7", nil, 400, "-", "path_ambiguous"},
	}
}

// assignments are the lines that set the tokens' shell variables.
func assignments(tokens []*token) string {
	var b strings.Builder
	for _, t := range tokens {
		fmt.Fprintf(&b, "%s=%s\n", t.name, t.value)
	}
	return b.String()
}

// curl is the line to paste, after the assignments.
func (r *request) curl(address string) string {
	line := "curl -i"
	if os.Getenv("http_proxy")+os.Getenv("all_proxy")+os.Getenv("ALL_PROXY") != "" {
		line += " --noproxy '*'" // curl would ask the proxy for the loopback interface too
	}
	if strings.Contains(r.path, "/../") {
		line += " --path-as-is" // curl would resolve the dots
	}
	if r.method != "GET" {
		line += " -X " + r.method
	}
	if r.token != nil {
		line += ` -H "Authorization: Bearer $` + r.token.name + `"`
	}
	return line + " http://" + address + r.path
}

func printRequests(w io.Writer, address string, tokens []*token, requests []request) {
	fmt.Fprintf(w, "Paste the tokens first, then any of the requests:\n\n%s\n", assignments(tokens))
	for _, r := range requests {
		fmt.Fprintf(w, "# %d %s: %s\n%s\n\n", r.status, r.code, r.what, r.curl(address))
	}
}
