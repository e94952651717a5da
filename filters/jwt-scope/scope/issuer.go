// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
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

// readIssuer reads issuer: a string, or a template. A provider that introspects may have another's: its
// tokens are not those that are verified.
func (c *config) readIssuer(p *provider, n conf.Node, introspects bool) {
	if !n.IsObject() {
		p.issuer = n.Text()
		if strings.ContainsAny(p.issuer, "{}") {
			n.Warn("has a brace, and is compared byte for byte; for the issuers of several tenants use {template: …}")
		}
	} else {
		p.template = readTemplate(n.Object())
		p.issuer = p.template.text
		c.templates = true
	}
	for _, other := range c.providers {
		switch {
		case p.issuer == "" || other.issuer == "" || introspects || other.introspection != nil:
		case p.template == nil && other.template == nil && p.issuer == other.issuer:
			n.Fault("provider " + other.name + " has this issuer already: a token's iss must select one provider")
		case p.template != nil && other.template != nil && p.template.overlaps(other.template):
			n.Fault("an iss may fit provider " + other.name + ", too: a token's iss must select one provider")
		}
	}
}

func readTemplate(o *conf.Object) *template {
	t := &template{}
	if n, ok := o.Need("template"); ok {
		t.text = n.Text()
		before, rest, open := strings.Cut(t.text, "{")
		name, after, closed := strings.Cut(rest, "}")
		t.before, t.claim, t.after = before, name, after
		_, path, hasScheme := strings.Cut(before, "://")
		switch {
		case t.text == "":
		case !open || !closed || name == "" || strings.ContainsAny(name+after, "{}"):
			n.Fault("want one {claim}, as in https://login.example.com/{tid}/v2.0")
		case !hasScheme || !strings.Contains(path, "/") || !strings.HasSuffix(path, "/") ||
			after != "" && after[0] != '/':
			n.Fault("{" + name + "} must be one segment of the path: whoever may choose a part of a host is another issuer")
		}
	}
	anyValue := o.Bool("anyValue", false)
	n, ok := o.At("values")
	switch {
	case ok && anyValue:
		n.Fault("contradicts anyValue: name values, or accept any")
	case ok:
		t.values = n.Texts()
		for _, item := range n.ListOrEmpty() {
			if v := item.Value(); v.Type == gjson.String && !isSegment(v.Str) {
				item.Fault("want one segment of a path")
			}
		}
	case !anyValue:
		o.FaultAt("values", "is required, or anyValue: true to accept the tokens of every tenant")
	}
	o.End()
	return t
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
