// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

import (
	_ "embed"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
)

var rateLimit = Filter{
	Name:   "rate-limit",
	Core:   "limit",
	Rule:   "limit",
	Decide: decideLimits,
	Parse:  func(config string, _ Env) (Policy, error) { return limit.Parse(config) },
	Keys:   []string{"filter", "mode", "ambiguousPath", "headers", "table", "global", "limits", "sourcesFrom"},
	Distinct: func(config *yaml.Node) bool { // those of jwt-scope are no list, but bounds of tokens
		limits := yamlnode.Member(config, "limits")
		return limits != nil && limits.Kind == yaml.SequenceNode
	},
	Whole: func(config *yaml.Node) bool {
		return slices.ContainsFunc(yamlnode.Items(yamlnode.Member(config, "limits")), func(limit *yaml.Node) bool {
			return yamlnode.Member(limit, "name") != nil && yamlnode.Member(limit, "rate") != nil
		})
	},
	Smallest:    `{"limits": [{"name": "smallest", "rate": {"requests": 1, "per": "1h"}}]}`,
	Codes:       limit.Codes,
	Samples:     rateLimitSamples,
	Places:      []string{"gateway", "namespace", "waypoint", "workload"}, // no one key fits a whole mesh
	Code:        2_500_000,
	OfResponses: true,
}

//go:embed samples/rate-limit.yaml
var rateLimitSamples string
