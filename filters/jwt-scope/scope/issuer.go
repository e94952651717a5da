// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// template is an issuer of many tenants: one segment of its path is the tenant's, and stands in a
// claim as well.
type template struct {
	text          string
	before, after string
	claim         string
	values        []string // empty: any, by anyValue
}

// isSegment reports whether s is one segment of a URL's path that means itself.
func isSegment(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/\?#%;"`, c) >= 0 {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}

// overlaps reports whether an iss may fit both.
func (t *template) overlaps(other *template) bool {
	if len(t.before) > len(other.before) {
		t, other = other, t
	}
	if t.before == other.before {
		return t.after == other.after && (len(t.values) == 0 || len(other.values) == 0 || shares(t.values, other.values))
	}
	// The one that varies first must have the other's text there, and the other one's value further on.
	if !strings.HasPrefix(other.before, t.before) {
		return false
	}
	value, _, _ := strings.Cut(other.before[len(t.before):], "/")
	if len(t.values) > 0 && !contains(t.values, value) {
		return false
	}
	start, end := t.before+value, other.after
	rest, ok := strings.CutPrefix(other.before, start)
	if !ok || !strings.HasPrefix(t.after, rest) || !strings.HasSuffix(t.after, end) || len(t.after) < len(rest)+len(end) {
		return false
	}
	value = t.after[len(rest) : len(t.after)-len(end)]
	return isSegment(value) && (len(other.values) == 0 || contains(other.values, value))
}

func shares(a, b []string) bool {
	for _, s := range a {
		if contains(b, s) {
			return true
		}
	}
	return false
}

// fits reports whether iss is that of a tenant that may be accepted, and the claim names the same one.
func (t *template) fits(iss string, payload gjson.Result) bool {
	value, ok := strings.CutPrefix(iss, t.before)
	if !ok {
		return false
	}
	value, ok = strings.CutSuffix(value, t.after)
	return ok && isSegment(value) && strictjson.Text(payload, t.claim) == value &&
		(len(t.values) == 0 || contains(t.values, value))
}

// issuerOfTemplate is the provider whose template fits.
//
//go:noinline
func (p *Policy) issuerOfTemplate(iss string, payload gjson.Result) *provider {
	for _, provider := range p.providers {
		if provider.template != nil && provider.introspection == nil && provider.template.fits(iss, payload) {
			return provider
		}
	}
	return nil
}
