// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	_ "embed"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
)

var edgeStamp = Filter{
	Name:   "edge-stamp",
	Core:   "stamp",
	Rule:   "rule",
	Decide: decideStamps,
	Parse: func(config string, env Env) (Policy, error) {
		// Nothing is signed with what has been read here.
		return stamp.Parse(config, stamp.Surroundings{Env: env, Random: func([]byte) error { return nil }})
	},
	Keys: []string{"filter", "mode", "default", "ambiguousPath", "profile", "bodyBytes", "bodyTimeout", "role",
		"header", "issuer",
		"audience", "ttl", "bind", "copyClaims", "keys", "publish", "rules", "require", "trust", "replay", "forward"},
	Distinct: func(config *yaml.Node) bool {
		return yamlnode.Member(config, "role") != nil || yamlnode.Member(config, "trust") != nil
	},
	Whole: func(config *yaml.Node) bool {
		return slices.Contains([]string{"sign", "verify"}, yamlnode.Text(yamlnode.Member(config, "role")))
	},
	Smallest: `{"role": "verify", "trust": [{"name": "smallest", "issuer": "https://smallest.example", "audiences": ["smallest"], ` +
		`"algorithms": ["ES256"], "jwks": {"inline": ` + key + `}}], "rules": [{"name": "smallest"}]}`,
	Codes:   stamp.Codes,
	Samples: edgeStampSamples,
	Places:  []string{"gateway", "mesh", "namespace", "waypoint", "workload"}, // at the gateway it signs
	Code:    2_800_000,
}

//go:embed samples/edge-stamp.yaml
var edgeStampSamples string
