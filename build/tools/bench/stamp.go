// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// stampRows measure edge-stamp: signing beside a module that only has Envoy sign something,
// verifying beside jwt_authn. A stamp does once, so what verifies stands behind what signs, and its
// cost is what it adds to that.
func stampRows(out string) []row {
	key := mint.New("k", jose.ES256)
	private := key.PrivatePEM()
	sign := func(more string) bootstrap.M {
		config := fmt.Sprintf(`{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":"k","alg":"ES256","env":"KEY"}],"rules":[{"name":"all","sign":true}]%s}`, more)
		return bootstrap.Wasm{Name: "sign" + name(more), Module: filepath.Join(out, "edge-stamp.wasm"),
			Configuration: config, Env: map[string]string{"KEY": private}}.Filter()
	}
	verify := func(more string) bootstrap.M {
		set, err := json.Marshal(mint.Set(key))
		if err != nil {
			panic(err) // a set of our own making
		}
		config := fmt.Sprintf(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":%s}}],"replay":{"entries":1048576},"rules":[{"name":"all"}]%s}`, set, more)
		return bootstrap.Wasm{Name: "verify" + name(more), Module: filepath.Join(out, "edge-stamp.wasm"),
			Configuration: config}.Filter()
	}
	const message, free = `,"profile":"rfc9421"`, `,"require":{"replay":"off"}`
	hostSign := bootstrap.Wasm{Name: "hostsign", Module: filepath.Join(out, "hostsign.wasm"),
		Configuration: private}.Filter()
	native := request(key, "profile orders:read")
	return []row{
		{name: "host sign ES256", filters: []bootstrap.M{hostSign}, request: get("")},
		{name: "jwt_authn ES256", filters: jwtAuthn(key, false)[:1], request: native},
		{name: "edge-stamp sign ES256", filters: []bootstrap.M{sign("")}, request: get(""), versus: "host sign ES256"},
		{name: "edge-stamp verify ES256", filters: []bootstrap.M{sign(""), verify("")}, request: get(""),
			versus: "jwt_authn ES256", beyond: "edge-stamp sign ES256"},
		{name: "edge-stamp verify ES256, replay off", filters: []bootstrap.M{sign(""), verify(free)}, request: get(""),
			versus: "jwt_authn ES256", beyond: "edge-stamp sign ES256"},
		{name: "edge-stamp sign ES256, rfc9421", filters: []bootstrap.M{sign(message)}, request: get(""),
			versus: "host sign ES256"},
		{name: "edge-stamp verify ES256, rfc9421", filters: []bootstrap.M{sign(message), verify(message)},
			request: get(""), versus: "jwt_authn ES256", beyond: "edge-stamp sign ES256, rfc9421"},
	}
}

// name makes a name for a filter's VM of what its configuration has more.
func name(more string) string {
	return strings.NewReplacer(`"`, "", ",", "-", ":", "", "{", "", "}", "").Replace(more)
}
