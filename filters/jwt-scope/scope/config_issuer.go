// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

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
		case strings.ContainsAny(t.text, "?#"):
			n.Fault("want a URL without ? and #: {" + name + "} is one segment of the path")
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
