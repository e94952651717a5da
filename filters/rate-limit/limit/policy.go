// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"

	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Policy is a configuration made ready for requests, and what a VM remembers of the rate-limit
// service. It belongs to one goroutine, as everything in a VM does; what belongs to one request is
// in a Decision.
type Policy struct {
	config
	index  *match.Index
	rules  []rule   // of the index; nil: they are the limits
	marks  []string // headers that limits mark requests by
	needs  []needs  // by limit
	plain  bool     // all limits are local, and none is in shadow mode
	seed   gcra.Seed
	seeded bool
	text   []byte // of a tag

	settles     bool // there are limits that are settled when requests were answered
	accounts    []*Account
	flights     *inflight.VM // nil: no limit counts what is on its way
	flightTable inflight.Table
	renewed     []byte

	overs   overs
	leases  leases
	breaker Breaker
}

// Parse reads a configuration, or returns conf.Faults: everything that is wrong with it, each with
// its path. The policy refuses everything until it has its seed.
func Parse(text string) (*Policy, error) {
	c, err := readConfig(text)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: *c, plain: true, marks: c.markHeaders()}
	rules, conditions := c.rules()
	p.rules = rules
	for i := range c.limits {
		p.plain = p.plain && !c.limits[i].global && !c.limits[i].shadow
		p.settles = p.settles || c.limits[i].settles()
		if c.limits[i].places() != nil {
			p.flightTable.Entries = c.table.Entries
			p.flights = inflight.NewVM(p.flightTable, 0)
		}
		p.needs = append(p.needs, c.limits[i].needs())
	}
	p.index = match.NewIndex(conditions)
	return p, nil
}

// SetSeed gives the policy the seed of the hash by which keys find their places in the table: 16
// random bytes, the same in all VMs that share the table, and for as long as it is there.
func (p *Policy) SetSeed(seed gcra.Seed) {
	p.seed, p.seeded = seed, true
	for i := range p.limits {
		l := &p.limits[i]
		for _, r := range l.rates() {
			r.shared, r.fallbackShared = p.tag(l, r, sharedTag, []byte{localTag}), p.tag(l, r, sharedTag, []byte{fallbackTag})
		}
	}
}

// RuleName is the name of the limit with that index, as in a Verdict.
func (p *Policy) RuleName(limit int) string {
	if limit < 0 {
		return verdict.NoRuleName
	}
	return p.limits[limit].name
}

// Buckets is how many buckets the table has that all VMs share. Each begins as gcra.Empty.
func (p *Policy) Buckets() int { return p.table.Buckets() }

// Global says how the rate-limit service is asked; nil where no limit is global.
func (p *Policy) Global() *Global { return p.global }

// path is where the limit stands in the configuration, path of a rate where it stands in a limit.
func (l *limit) path(i int) string { return "limits[" + strconv.Itoa(i) + "]." }

func (r *rate) path() string {
	if r.tier != "" {
		return "tiers.values." + r.tier + "."
	}
	return "rate."
}
