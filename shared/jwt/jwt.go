// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package jwt reads the registered claims of JSON Web Tokens (RFC 7519 §4.1), and claims by their
// path, out of a payload that package jose has parsed.
package jwt

import (
	"math"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Dates are when a token may be used, in microseconds since the epoch; a date is 0 where the token has none.
type Dates struct {
	Exp, Nbf, Iat          int64
	HasExp, HasNbf, HasIat bool
}

// Registered are the registered claims (RFC 7519 §4.1) that are looked at of every token. What a
// token does not have has no Raw.
type Registered struct{ Issuer, Audience, Expires, NotBefore, IssuedAt gjson.Result }

var registered = []string{"iss", "aud", "exp", "nbf", "iat"}

// ReadRegistered finds them.
func ReadRegistered(claims gjson.Result) Registered {
	var v [5]gjson.Result
	strictjson.Pick(claims, registered, v[:])
	return Registered{v[0], v[1], v[2], v[3], v[4]}
}

// Dates reads the dates. ok is false where one of them is no date.
//
//go:noinline
func (r *Registered) Dates() (d Dates, ok bool) {
	ok = true
	for _, date := range [...]struct {
		claim *gjson.Result
		least float64
		value *int64
		found *bool
	}{{&r.Expires, 1, &d.Exp, &d.HasExp}, {&r.NotBefore, 0, &d.Nbf, &d.HasNbf}, {&r.IssuedAt, 0, &d.Iat, &d.HasIat}} {
		var isDate bool
		*date.value, *date.found, isDate = NumericDate(*date.claim, date.least)
		ok = ok && isDate
	}
	return d, ok
}

// Expired reports whether now is not before exp + skew; both in microseconds.
func (d *Dates) Expired(now, skew int64) bool { return d.HasExp && now >= d.Exp+skew }

// Early reports whether now is before nbf − skew, or iat is after now + skew.
func (d *Dates) Early(now, skew int64) bool {
	return d.HasNbf && now < d.Nbf-skew || d.HasIat && d.Iat > now+skew
}

// LongerThan reports whether the token is good for more than limit microseconds from iat to exp, or does not tell.
func (d *Dates) LongerThan(limit int64) bool { return !d.HasIat || !d.HasExp || d.Exp-d.Iat > limit }

// The last second of the year 9999: later dates are mistakes, and microseconds up to it fit an int64.
const maxDate = 253402300799

// NumericDate reads a claim that is a NumericDate (RFC 7519 §2) of at least least seconds, in
// microseconds since the epoch. found is false where the token does not have it, ok where it has
// and it is no date.
//
//go:noinline
func NumericDate(claim gjson.Result, least float64) (date int64, found, ok bool) {
	if claim.Raw == "" {
		return 0, false, true
	}
	if claim.Type != gjson.Number || !(claim.Num >= least && claim.Num <= maxDate) {
		return 0, true, false
	}
	return int64(math.Floor(claim.Num * 1e6)), true, true
}

// ReadAudiences reads for whom things ("tokens") may be made: the members audiences or anyAudience,
// one of which must be there. nil: for anybody.
//
//go:noinline
func ReadAudiences(o *conf.Object, things string) []string {
	anyAudience := o.Bool("anyAudience", false)
	n, ok := o.At("audiences")
	switch {
	case ok && anyAudience:
		n.Fault("contradicts anyAudience: name audiences, or accept any")
	case ok:
		return n.Texts()
	case !anyAudience:
		o.FaultAt("audiences", "is required, or anyAudience: true to accept "+things+" made for anybody")
	}
	return nil
}

// ForAudience reports whether aud is, or has, one of the audiences, by exact bytes. A list with
// anything but strings in it is no aud (RFC 7519 §4.1.3), whatever else it has.
//
//go:noinline
func (r *Registered) ForAudience(audiences []string) bool {
	aud := r.Audience
	return aud.Raw != "" && !HasItem(aud, isNoText) && HasItem(aud, func(a gjson.Result) bool {
		for _, own := range audiences {
			if own == a.Str {
				return true
			}
		}
		return false
	})
}

func isNoText(v gjson.Result) bool { return v.Type != gjson.String }

// HasItem reports whether the value, or one of its items where it is a list, has a property.
//
//go:noinline
func HasItem(v gjson.Result, property func(gjson.Result) bool) bool {
	if !v.IsArray() {
		return property(v)
	}
	found := false
	v.ForEach(func(_, item gjson.Result) bool {
		found = property(item)
		return !found
	})
	return found
}

// Claim follows a path of names through objects; null is absent.
//
//go:noinline
func Claim(claims gjson.Result, path []string) (v gjson.Result, ok bool) {
	v = claims
	for _, name := range path {
		if v, ok = strictjson.Member(v, name); !ok {
			return gjson.Result{}, false
		}
	}
	return v, v.Type != gjson.Null
}

// Some reports whether a value that a path comes to has a property; a name of * is each item of a
// list, and of what is no list itself where loose is set. null is absent.
func Some(claims gjson.Result, path []string, loose bool, property func(gjson.Result) bool) bool {
	switch {
	case len(path) == 0:
		return claims.Type != gjson.Null && property(claims)
	case path[0] == "*" && !claims.IsArray() && !loose:
		return false
	case path[0] == "*":
		return HasItem(claims, func(item gjson.Result) bool { return Some(item, path[1:], loose, property) })
	}
	v, ok := strictjson.Member(claims, path[0])
	return ok && Some(v, path[1:], loose, property)
}

// MediaType gives a typ (RFC 7515 §4.1.9: a media type, of which application/ may be left out) the
// form in which it is compared.
//
//go:noinline
func MediaType(typ string) string { return strings.TrimPrefix(strings.ToLower(typ), "application/") }
