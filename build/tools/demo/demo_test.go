// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

func TestDecisionText(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("two hours ahead", 2*60*60)
	defer func() { time.Local = local }()
	var b strings.Builder
	printDecisions(&b, strings.NewReader(`{"time":"2026-11-21T10:00:01.123Z","method":"GET","path":"/orders/7?token=secret","status":200,"details":"via_upstream"}
{"time":"2026-11-21T10:00:02.123Z","method":"POST","path":"/orders","status":403,"details":"tollgate.jwt_scope.write-orders.insufficient_scope"}
{"time":"2026-11-21T10:00:03.123Z","method":"GET","path":"/","status":403,"details":"tollgate.jwt_scope.-.no_rule"}
{"time":"2026-11-21T10:00:04.123Z","method":null,"path":null,"status":400,"details":"http1.codec_error"}
{"time":"2026-11-21T10:00:05.123Z","method":"GET","path":"/a\u001b[31m","status":400,"details":"tollgate.jwt_scope.-.path_ambiguous"}
not JSON
{"time":"2026-11-21T10:00:06.123Z","method":"GET","path":"/`+strings.Repeat(`\u00e9`, 60<<10)+`","status":400,"details":"tollgate.jwt_scope.-.path_ambiguous"}
{"time":"2026-11-21T10:00:07.123Z","method":"GET","path":"/healthz","status":200,"details":"via_upstream"}
`), false)
	want := `12:00:01  200  GET    /orders/7                        allowed
12:00:02  403  POST   /orders                          refused  insufficient_scope (rule write-orders)
12:00:03  403  GET    /                                refused  no_rule
12:00:04  400                                          answered by Envoy  http1.codec_error
12:00:05  400  GET    /a�[31m                          refused  path_ambiguous
Envoy printed what is not a decision: invalid character 'o' in literal null (expecting 'u')
12:00:06  400  GET    /` + strings.Repeat("é", 63) + ` refused  path_ambiguous
12:00:07  200  GET    /healthz                         allowed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPolicyIsTaken(t *testing.T) {
	if _, err := scope.Parse(string(policy(mint.New("k", jose.ES256))), scope.Surroundings{}); err != nil {
		t.Error(err)
	}
}

// What a shell makes of the printed lines.
func TestLinesPaste(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:9")
	tokens, requests := requests(mint.New("k", jose.ES256))
	for _, c := range []struct {
		request int
		want    []string
	}{
		{2, []string{"-i", "--noproxy", "*", "-X", "POST", "-H", "Authorization: Bearer " + tokens[0].value,
			"http://a:1/orders"}},
		{7, []string{"-i", "--noproxy", "*", "--path-as-is", "http://a:1/healthz/../orders/7"}},
	} {
		out, err := exec.Command("sh", "-c", `curl() { printf '%s\n' "$@"; }`+"\n"+assignments(tokens)+
			requests[c.request].curl("a:1")).Output()
		if got := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("request %d: %q, %v, want %q", c.request, got, err, c.want)
		}
	}
}

// An upstream without a filter before it: everything is allowed, which the check must see. Go's
// requests must be curl's.
func TestCompareSeesDifferences(t *testing.T) {
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Method+" "+r.RequestURI+" "+r.Header.Get("Authorization"))
		(&upstream{}).ServeHTTP(w, r)
	}))
	defer server.Close()
	tokens, requests := requests(mint.New("k", jose.ES256))
	var table strings.Builder
	different, err := compare(context.Background(), &table, native, server.Listener.Addr().String(), requests)
	if err != nil || len(different) != 5 || strings.Count(table.String(), "DIFFERENT") != 5 {
		t.Errorf("%v, %q\n%s", err, different, table.String())
	}
	for i, r := range requests {
		want := r.method + " " + r.path + " "
		if r.token != nil {
			want += "Bearer " + r.token.value
		}
		if sent[i] != want {
			t.Errorf("sent %q, want %q", sent[i], want)
		}
	}
	for _, token := range tokens {
		if strings.Contains(table.String(), token.value) {
			t.Errorf("the table has the token %s", token.name)
		}
	}
}

func TestCompareCounters(t *testing.T) {
	requests := []request{{rule: "a", code: "ok"}, {rule: "-", code: "no_rule"}}
	const rule = "wasmcustom.tollgate.jwt_scope.rule."
	counters := map[string]uint64{rule + "a.outcome.allowed.code.ok": 1, rule + "-.outcome.denied.code.no_rule": 1,
		rule + "b.outcome.allowed.code.ok": 0, "http.main.downstream_rq_2xx": 9}
	if d := compareCounters(counters, requests); d != nil {
		t.Errorf("they are equal: %q", d)
	}
	counters[rule+"b.outcome.allowed.code.ok"] = 1
	counters[rule+"a.outcome.allowed.code.ok"] = 0
	if d := compareCounters(counters, requests); len(d) != 2 {
		t.Errorf("one too few and one too many: %q", d)
	}
}
