// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

func TestDecisionText(t *testing.T) {
	var b strings.Builder
	printDecisions(&b, strings.NewReader(`{"time":"10:00:01","method":"GET","path":"/orders/7?token=secret","status":200,"details":"via_upstream"}
{"time":"10:00:02","method":"POST","path":"/orders","status":403,"details":"tollgate.jwt_scope.write-orders.insufficient_scope"}
{"time":"10:00:03","method":"GET","path":"/","status":403,"details":"tollgate.jwt_scope.-.no_rule"}
`), false)
	want := `10:00:01  200  GET    /orders/7                        allowed
10:00:02  403  POST   /orders                          refused  insufficient_scope (rule write-orders)
10:00:03  403  GET    /                                refused  no_rule
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPolicyIsTaken(t *testing.T) {
	if _, err := scope.Parse(string(policy(mint.New("k", jose.ES256)))); err != nil {
		t.Error(err)
	}
}
