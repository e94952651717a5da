// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Policy is a configuration made ready for requests, with the tokens it has verified. It belongs to
// one goroutine, as everything in a VM does; what belongs to one request is in a Decision.
type Policy struct {
	config
	index     *match.Index
	locations []*location // of all providers
	cache     *cache
	resources *resources // nil: there are none
}

// Parse reads a configuration, or returns conf.Faults: everything that is wrong with it, each with its path.
func Parse(text string, from Surroundings) (*Policy, error) {
	c, err := readConfig(text, from)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: *c, cache: newCache(c.cacheEntries), resources: newResources(c.documents, c.literalPaths)}
	var conditions [][]match.Condition
	for i := range c.rules {
		conditions = append(conditions, c.rules[i].conditions)
	}
	p.index = match.NewIndex(conditions)
	p.locations = c.allLocations()
	return p, nil
}

// Warnings are what is harmless in the configuration and probably not meant, each with its path.
func (p *Policy) Warnings() []conf.Fault { return p.warnings }

// RuleName is the name of the rule with that index, as in a Verdict.
func (p *Policy) RuleName(rule int) string {
	if rule < 0 {
		return verdict.NoRuleName
	}
	return p.rules[rule].name
}
