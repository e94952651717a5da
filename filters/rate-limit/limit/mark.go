// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"

	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// Marks reports whether limits mark requests: then every request has an Effect.
func (p *Policy) Marks() bool { return len(p.marks) > 0 }

// markHeaders are the headers of marks, each once.
func (c *config) markHeaders() (names []string) {
	for i := range c.limits {
		if name := c.limits[i].mark.header; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// marked reports whether a limit marks the request.
func (a *applied) marked() bool {
	return a.code == RateLimited && a.limit.mark.header != "" && !a.limit.shadow
}

// Effect adds what is to be done to a request that goes on: what a client has sent in the headers of
// marks is removed, in every spelling that folds to one, and the limits that it is over are named there.
func (d *Decision) Effect(e *forward.Effect) {
	for _, name := range d.policy.marks {
		for i := range d.headers {
			if sent := d.headers[i][0]; forward.SameFold(sent, name) {
				e.RemoveHeader(sent)
			}
		}
		value := ""
		for i := range d.list {
			if a := &d.list[i]; a.marked() && a.limit.mark.header == name {
				if value != "" {
					value += ", "
				}
				value += a.limit.name
			}
		}
		if value != "" {
			e.Set = append(e.Set, [2]string{name, value})
		}
	}
}
