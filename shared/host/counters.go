// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Counters are the outcomes of one plugin's rules, as counters of the proxy. They are defined when
// first counted; how many there can be is bounded by the configuration.
type Counters struct {
	filter  string
	rules   [][]counter     // by the rule's index + 1
	allowed []guest.Counter // of code ok, by the rule's index + 1; unknown where there is none yet
}

// unknown is no counter: an id of the proxy is never 0 (Envoy begins with 4).
const unknown = guest.Counter(0)

type counter struct {
	code    *verdict.Code
	outcome verdict.Outcome
	id      guest.Counter
}

// NewCounters of a filter: "jwt_scope", for one.
func NewCounters(filter string) *Counters { return &Counters{filter: filter} }

// Allowed adds a request that a rule has simply allowed, as nearly all are. It reports false where
// Count is to do it: the counter is not defined yet, or could not be changed.
func (c *Counters) Allowed(rule int) bool {
	index := rule + 1
	return index < len(c.allowed) && c.allowed[index] != unknown && c.allowed[index].Increment() == nil
}

// Count adds a verdict of the rule with that name.
func (c *Counters) Count(rule string, v *verdict.Verdict) error {
	code, outcome := v.Reason(), v.Outcome()
	if index := v.Rule + 1; index < len(c.rules) {
		known := c.rules[index]
		for i := range known {
			if k := &known[i]; k.code == code && k.outcome == outcome {
				return k.id.Increment()
			}
		}
	}
	return c.define(rule, v)
}

// define makes the counter that was not there, and counts.
//
//go:noinline
func (c *Counters) define(rule string, v *verdict.Verdict) error {
	index := v.Rule + 1
	for index >= len(c.rules) {
		c.rules = append(c.rules, nil)
	}
	code, outcome := v.Reason(), v.Outcome()
	id, err := guest.DefineCounter(verdict.Metric(c.filter, rule, outcome, code))
	if err != nil {
		return err
	}
	c.rules[index] = append(c.rules[index], counter{code, outcome, id})
	if code == verdict.OK {
		for index >= len(c.allowed) {
			c.allowed = append(c.allowed, unknown)
		}
		c.allowed[index] = id
	}
	return id.Increment()
}
