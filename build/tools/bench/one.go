// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
)

// oneRows measure chains of filters in one plugin beside the same filters in plugins of their own,
// with tokens that are known.
func oneRows(out string) (list []row) {
	key := mint.New("k", jose.RS256)
	who := step{"jwt-scope", bootstrap.M{
		"providers": []bootstrap.M{{"name": "idp", "issuer": issuer, "audiences": []string{audience},
			"algorithms": []string{"RS256"}, "jwks": bootstrap.M{"inline": mint.Set(key)}}},
		"rules": []bootstrap.M{
			{"name": "all", "require": bootstrap.M{"scopes": bootstrap.M{"any": []string{"orders:read"}}}}},
	}}
	limit := func(part bootstrap.M) step {
		return step{"rate-limit",
			bootstrap.M{"limits": []bootstrap.M{{"name": "all", "key": []bootstrap.M{part},
				"rate": bootstrap.M{"requests": 1000000, "per": "1s"}}}, "headers": "none"}}
	}
	users, addresses := limit(bootstrap.M{"claim": []string{"iss"}}), limit(bootstrap.M{"sourceAddress": bootstrap.M{}})
	edge := mint.New("edge", jose.ES256)
	stamps := step{"edge-stamp", bootstrap.M{"role": "verify", "trust": []bootstrap.M{{"name": "edge",
		"issuer": "https://edge", "audiences": []string{"mesh"}, "jwks": bootstrap.M{"inline": mint.Set(edge)}}},
		"replay": bootstrap.M{"entries": 1 << 20}, "rules": []bootstrap.M{{"name": "all"}}}}
	trusted := step{"jwt-scope", bootstrap.M{
		"providers": []bootstrap.M{{"name": "idp", "issuer": issuer, "audiences": []string{audience},
			"trustedPayload": bootstrap.M{"header": "x-payload"}}},
		"rules": []bootstrap.M{
			{"name": "all", "require": bootstrap.M{"scopes": bootstrap.M{"any": []string{"orders:read"}}}}},
	}}
	// A stamp does once, so the mesh's filters stand behind one that signs, and what they cost is what they add to that.
	sign := bootstrap.Wasm{Name: "one-sign", Module: filepath.Join(out, "edge-stamp.wasm"),
		Configuration: marshal(bootstrap.M{
			"role": "sign", "issuer": "https://edge", "audience": "mesh", "rules": []bootstrap.M{{"name": "all", "sign": true}},
			"keys": []bootstrap.M{{"kid": "edge", "alg": "ES256", "env": "KEY"}}}),
		Env: map[string]string{"KEY": edge.PrivatePEM()}}
	carried := func(scope string) string {
		claims := marshal(bootstrap.M{"iss": issuer, "aud": audience, "scope": scope,
			"exp": time.Now().Add(24 * time.Hour).Unix()})
		return get("X-Payload: " + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "\r\n")
	}
	clients := row{request: request(key, "orders:read"), refused: request(key, "profile")}
	anybody := row{request: clients.request} // rate-limit alone refuses none of them
	signed := row{name: "what signs, before the mesh: tollgate", filters: []bootstrap.M{sign.Filter()},
		request: carried("orders:read")}
	mesh := row{request: signed.request, refused: carried("profile"), filters: signed.filters, beyond: signed.name}
	list = append(list, signed)
	for _, c := range []struct {
		name  string
		from  row
		steps []step
	}{
		{"jwt-scope, rate-limit", clients, []step{who, users}},
		{"rate-limit, jwt-scope, rate-limit", clients, []step{addresses, who, users}},
		{"edge-stamp, jwt-scope, rate-limit", mesh, []step{stamps, trusted, users}},
		{"jwt-scope alone", clients, []step{who}}, {"rate-limit alone", anybody, []step{addresses}},
	} {
		apart, whole := c.from, c.from
		apart.name, whole.name = c.name+": apart", c.name+": tollgate"
		apart.filters, whole.versus = slices.Clip(apart.filters), apart.name
		var parts []bootstrap.M
		for i, s := range c.steps {
			name := string(rune('a' + i))
			apart.filters = append(apart.filters,
				bootstrap.Wasm{Name: apart.name + name, Module: filepath.Join(out, s.filter+".wasm"),
					Configuration: marshal(s.config)}.Filter())
			parts = append(parts, bootstrap.M{"name": name, "filter": s.filter, "config": s.config})
		}
		whole.filters = append(slices.Clip(whole.filters),
			bootstrap.Wasm{Name: whole.name, Module: filepath.Join(out, "tollgate.wasm"),
				Configuration: marshal(bootstrap.M{"chain": parts})}.Filter())
		list = append(list, apart, whole)
	}
	return list
}

// step is a filter with its configuration.
type step struct {
	filter string
	config bootstrap.M
}

func marshal(config bootstrap.M) string {
	b, err := json.Marshal(config)
	if err != nil {
		panic(err) // maps of what is written here always marshal
	}
	return string(b)
}
