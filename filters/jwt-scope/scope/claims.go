// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"math"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// checkClaims holds a token's registered claims (RFC 7519 §4.1) against its provider.
func (p *provider) checkClaims(claims gjson.Result, now time.Time) *verdict.Code {
	if len(p.audiences) > 0 && !p.audienceFits(claims) {
		return TokenAudience
	}
	exp, hasExp, ok := numericDate(claims, "exp", 1)
	if !ok || !hasExp && p.requireExpiry {
		return TokenMalformed
	}
	nbf, hasNbf, ok := numericDate(claims, "nbf", 0)
	if !ok {
		return TokenMalformed
	}
	iat, hasIat, ok := numericDate(claims, "iat", 0)
	if !ok {
		return TokenMalformed
	}
	t, skew := micros(now), p.skew.Microseconds()
	switch {
	case hasExp && t >= exp+skew:
		return TokenExpired
	case hasNbf && t < nbf-skew, hasIat && iat > t+skew:
		return TokenNotYetValid
	case p.maxLifetime > 0 && (!hasIat || !hasExp || exp-iat > p.maxLifetime.Microseconds()):
		return TokenLifetime
	}
	return nil
}

func (p *provider) audienceFits(claims gjson.Result) bool {
	aud, ok := strictjson.Member(claims, "aud")
	if !ok {
		return false
	}
	if aud.Type == gjson.String {
		return contains(p.audiences, aud.Str)
	}
	fits := false
	if aud.IsArray() {
		aud.ForEach(func(_, a gjson.Result) bool {
			fits = a.Type == gjson.String && contains(p.audiences, a.Str)
			return !fits
		})
	}
	return fits
}

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

func micros(t time.Time) int64 { return t.UnixMicro() }

// fit reports whether a token's scopes are what the rule asks for.
func (s *scopes) fit(claims gjson.Result, names []string) bool {
	if len(s.all)+len(s.any)+len(s.none) == 0 {
		return true
	}
	for _, want := range s.all {
		if !hasScope(claims, names, want) {
			return false
		}
	}
	for _, bad := range s.none {
		if hasScope(claims, names, bad) {
			return false
		}
	}
	for _, want := range s.any {
		if hasScope(claims, names, want) {
			return true
		}
	}
	return len(s.any) == 0
}

// hasScope looks for one scope in the claims called names: a string of scopes with single spaces between them (RFC 6749 §3.3), or a list of strings.
func hasScope(claims gjson.Result, names []string, want string) bool {
	found := false
	for _, name := range names {
		v, ok := strictjson.Member(claims, name)
		switch {
		case !ok:
		case v.Type == gjson.String:
			for rest, more := v.Str, true; more && !found; {
				var s string
				s, rest, more = strings.Cut(rest, " ")
				found = s == want
			}
		case v.IsArray():
			v.ForEach(func(_, s gjson.Result) bool {
				found = found || s.Type == gjson.String && s.Str == want
				return !found
			})
		}
		if found {
			return true
		}
	}
	return false
}
