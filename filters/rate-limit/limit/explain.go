// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Applied is a limit that fits a request, for people.
type Applied struct {
	Name, Key string // the key's parts, readable: for whoever sends the request, never for a log
	Missing   bool   // a part of the key is not there
	Bad       bool   // a part of it is there and cannot be read
	Tier      string
	Requests  int64
	Per       time.Duration
	Burst     int64
	Cost      int64
	Global    bool
	Shadow    bool
	Code      *verdict.Code // what it says; nil: it was not asked, since another has refused, or it does not apply
}

// Explain tells of a decision that is done: of every limit whether it fits, and of those that do what they count by.
func (d *Decision) Explain() (limits []match.Fit, applied []Applied) {
	p := d.policy
	if d.verdict.Reason() == verdict.PathAmbiguous {
		return nil, nil
	}
	for i := range p.limits {
		limits = append(limits, match.Fit{Name: p.limits[i].name, Why: match.Why(p.limits[i].conditions, &d.request)})
	}
	for i := range d.hits {
		hit := &d.hits[i]
		l := &p.limits[hit.Rule]
		r := l.tierOf(d.claims)
		key, how := d.appendKey(nil, l, hit)
		a := Applied{Name: l.name, Missing: how == absent, Bad: how == unreadable, Tier: r.tier, Requests: r.requests,
			Per: r.per, Burst: r.gcra.Burst(), Cost: l.cost.of(d.headers), Global: l.global, Shadow: l.shadow}
		if how == found {
			a.Key = readable(key)
		}
		for j := range d.list {
			if d.list[j].index == hit.Rule {
				a.Code = d.list[j].code
			}
		}
		applied = append(applied, a)
	}
	return limits, applied
}
