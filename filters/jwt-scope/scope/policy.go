// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Policy is a configuration made ready for requests. It does not change; a Decision holds what belongs to one request.
type Policy struct {
	config
	index *match.Index
	// needs[i] is what the challenges of rule i add to say which scopes it asks for.
	needs []string
}

// Parse reads a configuration, or returns conf.Faults: everything that is wrong with it, each with its path.
func Parse(text string) (*Policy, error) {
	c, err := readConfig(text)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: *c}
	var conditions [][]match.Condition
	for i := range c.rules {
		r := &c.rules[i]
		conditions = append(conditions, r.conditions)
		p.needs = append(p.needs, strings.Join(append(append([]string{}, r.scopes.all...), r.scopes.any...), " "))
	}
	p.index = match.NewIndex(conditions)
	return p, nil
}

// RuleName is the name of the rule with that index, as in a Verdict.
func (p *Policy) RuleName(rule int) string {
	if rule < 0 {
		return verdict.NoRuleName
	}
	return p.rules[rule].name
}

// challenge is the value of WWW-Authenticate (RFC 6750 §3) for a refusal by rule; empty where a token would not help.
func (p *Policy) challenge(c *verdict.Code, rule int) string {
	if c == verdict.OK || c == verdict.NoRule || c == verdict.PathAmbiguous || c.Status >= 500 {
		return ""
	}
	s := `Bearer realm="` + p.realm + `"`
	if e := bearerError(c); e != "" {
		s += `, error="` + e + `"`
	}
	if c == InsufficientScope && p.needs[rule] != "" {
		s += `, scope="` + p.needs[rule] + `"`
	}
	if p.metadata != "" {
		s += `, resource_metadata="` + p.metadata + `"`
	}
	return s
}
