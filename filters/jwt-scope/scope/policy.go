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
}

// Parse reads a configuration, or returns conf.Faults: everything that is wrong with it, each with its path.
func Parse(text string) (*Policy, error) {
	c, err := readConfig(text)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: *c, cache: newCache(c.cacheEntries)}
	var conditions [][]match.Condition
	for i := range c.rules {
		conditions = append(conditions, c.rules[i].conditions)
	}
	p.index = match.NewIndex(conditions)
	// Readings of a header by its scheme come first: "Bearer x" is the token x, also where the whole value may be one.
	seen := map[*location]bool{}
	for _, byScheme := range [...]bool{true, false} {
		for _, provider := range c.providers {
			for _, l := range provider.locations {
				if (l.scheme != "") == byScheme && !seen[l] {
					seen[l] = true
					p.locations = append(p.locations, l)
				}
			}
		}
	}
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

// challenge is the value of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1) for a refusal; empty
// where a token would not help.
func (p *Policy) challenge(d *Decision, rule int) string {
	c := d.verdict.Code
	if c == verdict.OK || c == verdict.NoRule || c == verdict.PathAmbiguous || c.Status >= 500 {
		return ""
	}
	s := `Bearer realm="` + p.realm + `"`
	byProof := p.wantsProof(d, rule)
	if byProof {
		s = `DPoP realm="` + p.realm + `", algs="` + proofAlgorithms + `"`
	}
	if byProof && c == TokenUnbound && d.verified.confirmation.thumbprint != "" && d.credential.at.scheme != "bearer" {
		s += `, error="invalid_dpop_proof"`
	} else if e := bearerError(c); e != "" {
		s += `, error="` + e + `"`
	}
	if c == InsufficientScope && p.rules[rule].needs != "" {
		s += `, scope="` + p.rules[rule].needs + `"`
	}
	if p.metadata != "" {
		s += `, resource_metadata="` + p.metadata + `"`
	}
	return s
}

// wantsProof reports whether the challenge is DPoP's: the token came with that scheme, or is bound
// to a key, or the rule accepts no others.
func (p *Policy) wantsProof(d *Decision, rule int) bool {
	if d.credential.at != nil {
		return d.credential.at.scheme == dpopScheme || d.verdict.Code == TokenUnbound &&
			d.verified.confirmation.thumbprint != ""
	}
	for _, provider := range p.rules[rule].providers {
		if provider.constraint != dpop {
			return false
		}
	}
	return true
}
