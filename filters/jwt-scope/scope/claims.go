// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// fit reports whether a token's scopes are what the rule asks for.
func (s *scopes) fit(has []string) bool {
	for _, want := range s.all {
		if !contains(has, want) {
			return false
		}
	}
	for _, bad := range s.none {
		if contains(has, bad) {
			return false
		}
	}
	for _, want := range s.any {
		if contains(has, want) {
			return true
		}
	}
	return len(s.any) == 0
}

// readScopes gathers the scopes in the provider's claims: each a string of scopes with single
// spaces between them (RFC 6749 §3.3), or what the provider writes instead, or a list of strings.
// It is done once for a token, not for each request with it.
func (p *provider) readScopes(claims gjson.Result) []string {
	var all []string
	values := make([]gjson.Result, len(p.scopeClaims))
	strictjson.Pick(claims, p.scopeClaims, values)
	for _, v := range values {
		switch {
		case v.Type == gjson.String && p.separator == bySpace:
			all = append(all, strings.Split(v.Str, " ")...)
		case v.Type == gjson.String:
			all = append(all, p.splitScopes(v.Str)...)
		case v.IsArray():
			v.ForEach(func(_, s gjson.Result) bool {
				if s.Type == gjson.String {
					all = append(all, s.Str)
				}
				return true
			})
		}
	}
	return all
}

// The values of scopeSeparator.
const (
	bySpace = "space"
	byComma = "comma"
	byAny   = "any" // of the two
)

// splitScopes splits a string of scopes that not only spaces separate. A space beside a comma belongs to no scope.
func (p *provider) splitScopes(text string) []string {
	if p.separator == byAny {
		return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' })
	}
	all := strings.Split(text, ",")
	for i := range all {
		all[i] = strings.Trim(all[i], " ")
	}
	return all
}
