// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/envoybin"
	"github.com/tollgate-wasm/tollgate/build/mint"
)

// request is one line to try and what must come of it.
type request struct {
	what   string
	method string
	path   string
	token  string // empty: none
	status int
	rule   string
	code   string // of the refusal; "ok" when allowed
}

func requests(key *mint.Key) []request {
	token := func(scope string, lifetime time.Duration) string {
		now := time.Now()
		return key.Token(bootstrap.M{"iss": issuer, "aud": "orders-api", "sub": "ann", "scope": scope, "iat": now.Add(-time.Hour).Unix(), "exp": now.Add(lifetime).Unix()})
	}
	read := token("orders:read", 24*time.Hour)
	return []request{
		{"the token has the scope", "GET", "/orders/7", read, 200, "read-orders", "ok"},
		{"no token", "GET", "/orders/7", "", 401, "read-orders", "token_missing"},
		{"the token has another scope", "POST", "/orders", read, 403, "write-orders", "insufficient_scope"},
		{"a token with that scope", "POST", "/orders", token("orders:read orders:write", 24*time.Hour), 200, "write-orders", "ok"},
		{"the token has expired", "GET", "/orders/7", token("orders:read", -10*time.Minute), 401, "read-orders", "token_expired"},
		{"a public path", "GET", "/healthz", "", 200, "health", "ok"},
		{"no rule, no pass", "GET", "/admin", read, 403, "-", "no_rule"},
		{"a path that could mean another", "GET", "/healthz/..;/orders/7", "", 400, "-", "path_ambiguous"},
	}
}

// arguments of curl for the request.
func (r *request) arguments(address string) []string {
	args := []string{"-i", "--path-as-is"}
	if r.method != "GET" {
		args = append(args, "-X", r.method)
	}
	if r.token != "" {
		args = append(args, "-H", "Authorization: Bearer "+r.token)
	}
	return append(args, "http://"+address+r.path)
}

func printRequests(w io.Writer, address string, requests []request) {
	for _, r := range requests {
		fmt.Fprintf(w, "# %d: %s\ncurl", r.status, r.what)
		for _, a := range r.arguments(address) {
			if strings.ContainsAny(a, " ;") {
				a = "'" + a + "'"
			}
			fmt.Fprint(w, " "+a)
		}
		fmt.Fprint(w, "\n\n")
	}
}

// checkAll runs the printed curl lines and compares status, reason and counter with what they promise.
func checkAll(w io.Writer, envoy *envoybin.Envoy, requests []request) error {
	if _, err := exec.LookPath("curl"); err != nil {
		return fmt.Errorf("the check runs the demo's curl lines: install curl")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\trequest\twhy\texpected\tgot")
	failed := 0
	wanted := map[string]uint64{}
	for i := range requests {
		r := &requests[i]
		out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "10"}, r.arguments(envoy.Address("main"))...)...).Output()
		if err != nil {
			return fmt.Errorf("curl: %w", err)
		}
		status, code := readAnswer(out)
		mark := "ok"
		if status != r.status || code != r.code {
			mark = "DIFFERENT"
			failed++
		}
		outcome := "denied"
		if r.code == "ok" {
			outcome = "allowed"
		}
		wanted["wasmcustom.tollgate.jwt_scope.rule."+r.rule+".outcome."+outcome+".code."+r.code]++
		fmt.Fprintf(table, "%s\t%s %s\t%s\t%d %s\t%d %s\n", mark, r.method, r.path, r.what, r.status, r.code, status, code)
	}
	table.Flush()
	counters, err := envoy.Counters()
	if err != nil {
		return err
	}
	for name, n := range wanted {
		if counters[name] != n {
			fmt.Fprintf(w, "the counter %s is %d, want %d\n", name, counters[name], n)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d differences", failed)
	}
	fmt.Fprintf(w, "%d requests answered as expected by Envoy %s, and counted so\n", len(requests), envoy.Version)
	return nil
}

// readAnswer takes status and reason out of curl -i's output.
func readAnswer(out []byte) (status int, code string) {
	head, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	if fields := strings.Fields(string(head)); len(fields) > 1 {
		status, _ = strconv.Atoi(fields[1])
	}
	var problem struct{ Code string }
	if json.Unmarshal(body, &problem) != nil {
		return status, "ok"
	}
	return status, problem.Code
}
