// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Rules tells of a decision that is done which rules were looked at, in order, up to the one that fits.
func (d *Decision) Rules() (list []match.Fit) {
	if d.verdict.Reason() == verdict.PathAmbiguous {
		return nil
	}
	for i := range d.policy.rules {
		r := &d.policy.rules[i]
		f := match.Fit{Name: r.name, Why: match.Why(r.conditions, &d.request)}
		if list = append(list, f); f.Why == "" {
			break
		}
	}
	return list
}
