// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	_ "embed"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

var jwtScope = Filter{
	Name:  "jwt-scope",
	Core:  "scope",
	Parse: func(config string, _ Env) (Policy, error) { return scope.Parse(config) },
	Keys: []string{"filter", "mode", "default", "ambiguousPath", "limits", "errors", "cache", "dpop", "forward",
		"providers",
		"rules"},
	Distinct: func(config *yaml.Node) bool { return yamlnode.Member(config, "providers") != nil },
	Whole: func(config *yaml.Node) bool {
		has := func(list string) bool { return len(yamlnode.Items(yamlnode.Member(config, list))) > 0 }
		return has("providers") && has("rules")
	},
	Smallest: `{"providers": [{"name": "smallest", "issuer": "https://smallest.example", "audiences": ["smallest"], ` +
		`"jwks": {"inline": ` + key + `}}], "rules": [{"name": "smallest"}]}`,
	Samples: jwtScopeSamples,
	Places:  []string{"gateway", "mesh", "namespace", "waypoint", "workload"},
	Code:    2_400_000,
}

//go:embed samples/jwt-scope.yaml
var jwtScopeSamples string
