// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/mint"
)

// row is one listener of the benchmark and the request that is sent to it.
type row struct {
	name    string
	filters []bootstrap.M
	request string
	versus  string // the row whose added cost this one's is divided by; empty: none
}

const (
	nothing  = "no filter"
	issuer   = "https://idp.example"
	audience = "orders-api"
)

// rows are the benchmark. A later filter adds its own and, beside them, the native one that it is measured by.
func rows(module string) []row {
	get := func(headers string) string {
		return "GET /orders/7 HTTP/1.1\r\nHost: api.example\r\n" + headers + "\r\n"
	}
	list := []row{{name: nothing, request: get("")}}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		key := mint.New("k", alg)
		token := key.Token(bootstrap.M{"iss": issuer, "aud": audience, "sub": "ann", "scope": "profile orders:read", "exp": time.Now().Add(24 * time.Hour).Unix()})
		request := get("Authorization: Bearer " + token + "\r\n")
		native := fmt.Sprintf("jwt_authn+rbac %s", alg)
		list = append(list,
			row{name: native, filters: jwtAuthn(key, false), request: request},
			row{name: native + " token cache", filters: jwtAuthn(key, true), request: request, versus: native},
			row{name: fmt.Sprintf("jwt-scope %s", alg), filters: []bootstrap.M{jwtScope(module, key)}, request: request, versus: native},
		)
	}
	return list
}

// jwtAuthn is Envoy's own way to the same decision: verify the token, then let RBAC look for the scope in what jwt_authn left in the metadata.
func jwtAuthn(key *mint.Key, cache bool) []bootstrap.M {
	provider := bootstrap.M{
		"issuer": issuer, "audiences": []string{audience}, "forward": true, "payload_in_metadata": "jwt",
		"local_jwks": bootstrap.M{"inline_string": string(mint.Set(key))},
	}
	if cache {
		provider["jwt_cache_config"] = bootstrap.M{"jwt_cache_size": 1024}
	}
	return []bootstrap.M{
		bootstrap.Filter("envoy.filters.http.jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication", bootstrap.M{
			"providers": bootstrap.M{"idp": provider},
			"rules":     []bootstrap.M{{"match": bootstrap.M{"prefix": "/"}, "requires": bootstrap.M{"provider_name": "idp"}}},
		}),
		bootstrap.Filter("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC", bootstrap.M{
			"rules": bootstrap.M{"action": "ALLOW", "policies": bootstrap.M{"read-orders": bootstrap.M{
				"permissions": []bootstrap.M{{"and_rules": bootstrap.M{"rules": []bootstrap.M{
					{"header": bootstrap.M{"name": ":method", "string_match": bootstrap.M{"exact": "GET"}}},
					{"url_path": bootstrap.M{"path": bootstrap.M{"prefix": "/orders"}}},
				}}}},
				"principals": []bootstrap.M{{"metadata": bootstrap.M{
					"filter": "envoy.filters.http.jwt_authn", "path": []bootstrap.M{{"key": "jwt"}, {"key": "scope"}},
					"value": bootstrap.M{"string_match": bootstrap.M{"contains": "orders:read"}},
				}}},
			}}},
		}),
	}
}

func jwtScope(module string, key *mint.Key) bootstrap.M {
	config, err := json.Marshal(bootstrap.M{
		"providers": []bootstrap.M{{"name": "idp", "issuer": issuer, "audiences": []string{audience}, "jwks": bootstrap.M{"inline": mint.Set(key)}}},
		"rules": []bootstrap.M{{"name": "read-orders", "match": []bootstrap.M{{"paths": []string{"/orders/{**}"}, "methods": []string{"GET"}}},
			"require": bootstrap.M{"scopes": bootstrap.M{"all": []string{"orders:read"}}}}},
	})
	if err != nil {
		panic(err) // a literal that does not marshal
	}
	// Its own VM, so that the listeners' counters and caches do not meet.
	return bootstrap.Wasm{Name: "jwt-scope-" + string(key.Algorithm), Module: module, Configuration: string(config)}.Filter()
}
