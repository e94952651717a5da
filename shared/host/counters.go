// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Counters count the outcomes of one filter. A counter is defined when it is first needed, so that a configuration of ten thousand rules does not make a quarter of a
// million of them; how many there can be is bounded by the configuration all the same, for traffic only chooses among its rules and the filter's codes.
type Counters struct {
	filter string
	ids    map[counter]guest.Counter
}

type counter struct {
	rule    string
	outcome verdict.Outcome
	code    *verdict.Code
}

// NewCounters makes the counters of a filter ("jwt_scope").
func NewCounters(filter string) *Counters {
	return &Counters{filter, map[counter]guest.Counter{}}
}

// Count adds one to the counter of a verdict of rule.
func (c *Counters) Count(rule string, v verdict.Verdict) error {
	k := counter{rule, v.Outcome(), v.Reason()}
	id, ok := c.ids[k]
	if !ok {
		var err error
		if id, err = guest.DefineCounter(verdict.Metric(c.filter, rule, k.outcome, k.code)); err != nil {
			return err
		}
		c.ids[k] = id
	}
	return id.Increment()
}
