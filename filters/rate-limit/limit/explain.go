// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Explain tells of a decision that is done: of every limit whether it fits, and of those that do
// what they count by.
func (d *Decision) Explain() (e decide.Explanation) {
	p := d.policy
	if d.verdict.Reason() == verdict.PathAmbiguous {
		return e
	}
	for i := range p.limits {
		e.Rules = append(e.Rules, match.Fit{Name: p.limits[i].name, Why: match.Why(p.limits[i].conditions, &d.request)})
	}
	for i := range d.hits {
		e.Checks = append(e.Checks, d.explain(&d.hits[i]))
	}
	return e
}

// explain tells of a limit that fits.
func (d *Decision) explain(hit *match.Hit) decide.Check {
	l := &d.policy.limits[hit.Rule]
	r := l.tierOf(d.claims)
	c := decide.Check{What: "limit " + l.name, Outcome: "not counted"}
	for i := range d.list {
		if code := d.list[i].code; d.list[i].index == hit.Rule && code != nil {
			if c.Outcome = code.Name; code != verdict.OK {
				c.Code = code
			}
		}
	}
	c.Said = strconv.FormatInt(r.requests, 10) + " requests per " + r.per.String() +
		", burst " + strconv.FormatInt(r.gcra.Burst(), 10) + ", cost " + strconv.FormatInt(l.cost.of(d.headers), 10)
	if r.tier != "" {
		c.Said += ", tier " + r.tier
	}
	switch key, how := d.appendKey(nil, l, hit); {
	case how == absent:
		c.Said += ", a part of its key is missing"
	case how == unreadable:
		c.Said += ", a part of its key cannot be read: one bucket for all such requests"
	case readable(key) != "":
		c.Said += ", key " + readable(key)
	default:
		c.Said += ", one bucket for all"
	}
	if l.global {
		c.Said += ", global: without the service, onError decides"
	}
	if l.shadow {
		c.Said += ", in shadow mode"
	}
	return c
}
