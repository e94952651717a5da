// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"path/filepath"

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
	good, bad := request(key, "orders:read"), request(key, "profile")
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"jwt-scope, rate-limit", []step{who, users}}, {"rate-limit, jwt-scope, rate-limit",
			[]step{addresses, who, users}}, {"jwt-scope alone", []step{who}},
	} {
		apart := row{name: c.name + ": apart", request: good, refused: bad}
		whole := row{name: c.name + ": tollgate", request: good, refused: bad, versus: apart.name}
		var parts []bootstrap.M
		for i, s := range c.steps {
			name := string(rune('a' + i))
			apart.filters = append(apart.filters,
				bootstrap.Wasm{Name: apart.name + name, Module: filepath.Join(out, s.filter+".wasm"),
					Configuration: marshal(s.config)}.Filter())
			parts = append(parts, bootstrap.M{"name": name, "filter": s.filter, "config": s.config})
		}
		whole.filters = []bootstrap.M{bootstrap.Wasm{Name: whole.name, Module: filepath.Join(out, "tollgate.wasm"),
			Configuration: marshal(bootstrap.M{"chain": parts})}.Filter()}
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
