// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"math"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// validity is when a token may be used, in microseconds since the epoch; a date is 0 where the token has none.
type validity struct {
	exp, nbf, iat          int64
	hasExp, hasNbf, hasIat bool
}

// readValidity reads the dates of a token (RFC 7519 §4.1). ok is false where one of them is no date, or where exp is missing and required.
func (p *provider) readValidity(claims gjson.Result) (v validity, ok bool) {
	ok = true
	for _, date := range [...]struct {
		name  string
		least float64
		value *int64
		found *bool
	}{{"exp", 1, &v.exp, &v.hasExp}, {"nbf", 0, &v.nbf, &v.hasNbf}, {"iat", 0, &v.iat, &v.hasIat}} {
		var isDate bool
		*date.value, *date.found, isDate = numericDate(claims, date.name, date.least)
		ok = ok && isDate
	}
	return v, ok && (v.hasExp || !p.requireExpiry)
}

// check reports why the token may not be used now; nil where it may. It runs for every request, also for a token that is known.
func (p *provider) check(v *validity, now time.Time) *verdict.Code {
	t, skew := now.UnixMicro(), p.skew.Microseconds()
	switch {
	case v.hasExp && t >= v.exp+skew:
		return TokenExpired
	case v.hasNbf && t < v.nbf-skew, v.hasIat && v.iat > t+skew:
		return TokenNotYetValid
	case p.maxLifetime > 0 && (!v.hasIat || !v.hasExp || v.exp-v.iat > p.maxLifetime.Microseconds()):
		return TokenLifetime
	}
	return nil
}

// audienceFits reports whether aud is, or has, one of the provider's audiences. A list with anything but strings in it is no aud (RFC 7519 §4.1.3), whatever else it has.
func (p *provider) audienceFits(claims gjson.Result) bool {
	if len(p.audiences) == 0 {
		return true
	}
	aud, ok := strictjson.Member(claims, "aud")
	return ok && !hasItem(aud, isNoText) && hasItem(aud, func(a gjson.Result) bool { return contains(p.audiences, a.Str) })
}

func isNoText(v gjson.Result) bool { return v.Type != gjson.String }

// The last second of the year 9999: later dates are mistakes, and microseconds up to it fit an int64.
const maxDate = 253402300799

// numericDate reads a NumericDate (RFC 7519 §2) of at least least seconds, in microseconds since the epoch. ok is false where the claim is there but is no date.
func numericDate(claims gjson.Result, name string, least float64) (date int64, found, ok bool) {
	v, found := strictjson.Member(claims, name)
	if !found {
		return 0, false, true
	}
	if v.Type != gjson.Number || !(v.Num >= least && v.Num <= maxDate) {
		return 0, true, false
	}
	return int64(math.Floor(v.Num * 1e6)), true, true
}
