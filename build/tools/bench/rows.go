// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// row is one listener of the benchmark and the request that is sent to it.
type row struct {
	name    string
	filters []bootstrap.M
	behind  []bootstrap.M // filters of a second Envoy, to which the first sends the request; -chain only
	request string        // answered 200
	refused string        // answered 403, which shows that the filters decide; empty: none
	versus  string        // the row whose added cost this one's is divided by; empty: none
	streams stream        // what a service streams in answer; -answers only
	beyond  string        // the row that this one's added cost is counted from; empty: the one without filters
}

const (
	nothing  = "no filter"
	issuer   = "https://idp.example"
	audience = "orders-api"

	cacheEntries = 1024 // of the token caches, where there is one: jwt-scope's default
)

// rows are the benchmark; with every, jwt-scope has one for each kind of algorithm. A later filter
// adds its own and, beside them, the native one that it is measured by.
func rows(out string, every bool) []row {
	module := filepath.Join(out, "jwt-scope.wasm")
	list := []row{{name: nothing, request: get("")}}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		key := mint.New("k", alg)
		good, bad := request(key, "profile orders:read"), request(key, "profile")
		// All are compared with what Istio ships, jwt_authn without its token cache.
		native, ours, cached := fmt.Sprintf("jwt_authn+rbac %s", alg), fmt.Sprintf("jwt-scope %s", alg), ", token cache"
		list = append(list,
			row{name: native, filters: jwtAuthn(key, false), request: good, refused: bad},
			row{name: ours, filters: []bootstrap.M{jwtScope(module, key, 0)}, request: good, refused: bad, versus: native},
			row{name: native + cached, filters: jwtAuthn(key, true), request: good, refused: bad, versus: native},
			row{name: ours + cached, filters: []bootstrap.M{jwtScope(module, key, cacheEntries)}, request: good,
				refused: bad, versus: native},
		)
	}
	list = append(append(append(list, stampRows(out)...), limitRows(out)...), oneRows(out)...)
	if !every {
		return list
	}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS512, jose.PS256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256} {
		key := mint.New("k", alg)
		list = append(list, row{name: fmt.Sprintf("jwt-scope %s", alg),
			filters: []bootstrap.M{jwtScope(module, key, 0)}, request: request(key, "profile orders:read"),
			refused: request(key, "profile")})
	}
	return list
}

func get(headers string) string {
	return "GET /orders/7 HTTP/1.1\r\nHost: api.example\r\n" + headers + "\r\n"
}

// request is one with a token of these scopes.
func request(key *mint.Key, scope string) string {
	return get("Authorization: Bearer " +
		key.Token(bootstrap.M{"iss": issuer, "aud": audience, "sub": "ann", "scope": scope,
			"exp": time.Now().Add(24 * time.Hour).Unix()}) + "\r\n")
}

// jwtAuthn is Envoy's own way to the same decision, as Istio configures it for a
// RequestAuthentication and an AuthorizationPolicy with paths, methods and
// request.auth.claims[scope] (istio/istio, pilot/pkg/security/authn/policy_applier.go and
// authz/matcher/metadata.go): a valid token or none, the claims in the metadata with scope split at
// spaces, and RBAC looking for the scope among them. With cache, also what Istio never sets:
// jwt_authn's token cache.
func jwtAuthn(key *mint.Key, cache bool) []bootstrap.M {
	provider := bootstrap.M{
		"issuer": issuer, "audiences": []string{audience}, "forward": true, "payload_in_metadata": "payload",
		"normalize_payload_in_metadata": bootstrap.M{"space_delimited_claims": []string{"permission", "scope"}},
		"local_jwks":                    bootstrap.M{"inline_string": string(mint.Set(key))},
	}
	if cache {
		provider["jwt_cache_config"] = bootstrap.M{"jwt_cache_size": cacheEntries}
	}
	return []bootstrap.M{
		bootstrap.Filter("envoy.filters.http.jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
			bootstrap.M{
				"providers": bootstrap.M{"origins-0": provider},
				"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"},
					"requires": bootstrap.M{
						"requires_any": bootstrap.M{"requirements": []bootstrap.M{{"provider_name": "origins-0"},
							{"allow_missing": bootstrap.M{}}}}}}},
				"bypass_cors_preflight": true,
			}),
		bootstrap.Filter("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC", bootstrap.M{
			"rules": bootstrap.M{"action": "ALLOW", "policies": bootstrap.M{"ns[shop]-policy[read-orders]-rule[0]": bootstrap.M{
				"permissions": []bootstrap.M{{"and_rules": bootstrap.M{"rules": []bootstrap.M{
					{"or_rules": bootstrap.M{
						"rules": []bootstrap.M{{"header": bootstrap.M{"name": ":method", "string_match": bootstrap.M{"exact": "GET"}}}}}},
					{"or_rules": bootstrap.M{
						"rules": []bootstrap.M{{"url_path": bootstrap.M{"path": bootstrap.M{"prefix": "/orders/"}}}}}},
				}}}},
				"principals": []bootstrap.M{
					{"and_ids": bootstrap.M{"ids": []bootstrap.M{{"or_ids": bootstrap.M{"ids": []bootstrap.M{{"metadata": bootstrap.M{
						"filter": "envoy.filters.http.jwt_authn", "path": []bootstrap.M{{"key": "payload"}, {"key": "scope"}},
						"value": bootstrap.M{"list_match": bootstrap.M{
							"one_of": bootstrap.M{"string_match": bootstrap.M{"exact": "orders:read"}}}},
					}}}}}}}}},
			}}},
		}),
	}
}

// jwtScope is our filter with the same decision to make; 0 entries: no token cache.
func jwtScope(module string, key *mint.Key, entries int) bootstrap.M {
	config, err := json.Marshal(bootstrap.M{
		"providers": []bootstrap.M{{"name": "idp", "issuer": issuer, "audiences": []string{audience},
			"algorithms": []string{string(key.Algorithm)},
			"jwks":       bootstrap.M{"inline": mint.Set(key)}}},
		"cache": bootstrap.M{"entries": entries},
		"rules": []bootstrap.M{{"name": "read-orders",
			"match":   []bootstrap.M{{"paths": []string{"/orders/{**}"}, "methods": []string{"GET"}}},
			"require": bootstrap.M{"scopes": bootstrap.M{"all": []string{"orders:read"}}}}},
	})
	if err != nil {
		panic(err) // a literal that does not marshal
	}
	// Its own VM, so that the listeners' counters and caches do not meet.
	return bootstrap.Wasm{Name: fmt.Sprintf("jwt-scope-%s-%d", key.Algorithm, entries), Module: module,
		Configuration: string(config)}.Filter()
}
