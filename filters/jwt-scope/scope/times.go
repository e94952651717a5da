// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// readValidity reads the dates of a token. ok is false where one of them is no date, or where exp
// is missing and required.
func (p *provider) readValidity(r *jwt.Registered) (d jwt.Dates, ok bool) {
	d, ok = r.Dates()
	return d, ok && (d.HasExp || !p.requireExpiry)
}

// check reports why the token may not be used now; nil where it may. It runs for every request,
// also for a token that is known.
func (p *provider) check(v *jwt.Dates, now time.Time) *verdict.Code {
	t, skew := now.UnixMicro(), p.skew.Microseconds()
	switch {
	case v.Expired(t, skew):
		return TokenExpired
	case v.Early(t, skew):
		return TokenNotYetValid
	case p.maxLifetime > 0 && v.LongerThan(p.maxLifetime.Microseconds()):
		return TokenLifetime
	}
	return nil
}
