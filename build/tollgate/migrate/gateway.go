// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// What Envoy Gateway's SecurityPolicy means is held against envoyproxy/gateway at commit
// d32f28294245 (August 2026): internal/xds/translator/jwt.go and authorization.go.

// security is a SecurityPolicy.
type security struct {
	*source
	selection selection
	issuers   []issuer
	optional  bool
	others    []value // fields that refuse requests by what jwt-scope does not look at
	rules     []*object
	hasRules  bool // there is an authorization
	allow     bool // its defaultAction

	attached []check.Attachment
}

// extension is an EnvoyExtensionPolicy that is there already.
type extension struct {
	*source
	attached []check.Attachment
}

func (m *Migrator) extensionPolicy(s *source) {
	m.extensions = append(m.extensions, &extension{s, check.Attachments(s.root)})
}

// alone reports whether the EnvoyExtensionPolicy that would be made of a SecurityPolicy applies
// where that did, and is told apart from other policies.
func (m *Migrator) alone(s *security) bool {
	alone := true
	for _, o := range m.securities {
		if o != s && check.Attached(s.attached, o.attached, check.Attachment.Same) {
			s.fault(value{path: "spec.targetRefs"}, "has a target that "+o.id()+
				" has as well, and Envoy Gateway applies the older of the two, which cannot be seen here: leave one out")
			alone = false
		}
	}
	for _, e := range m.extensions {
		switch {
		case e.namespace == s.namespace && e.name == "jwt-scope-"+s.name: // made before, and replaced
		case check.Attached(s.attached, e.attached, check.Attachment.Same):
			s.fault(value{path: "spec.targetRefs"}, "has a target that "+e.id()+
				" has as well, and Envoy Gateway applies one EnvoyExtensionPolicy to a target: what would be made of "+
				"this one could be the one that is left out. Migrate this policy by itself, and put the entry of wasm into "+e.id())
			alone = false
		case e.displaces(s):
			alone = false
		case check.Attached(s.attached, e.attached, check.Attachment.Displaces):
			s.report(value{path: "spec.targetRefs"}, check.Error, "what is made of it takes the place of "+e.id()+
				", which is attached to the Gateway: put what that has into it, too")
		}
	}
	return alone
}

// displaces tells of an EnvoyExtensionPolicy that would keep one made of a SecurityPolicy from being applied.
func (e *extension) displaces(s *security) bool {
	merges, could := check.Merges(e.root)
	if merges || !check.Attached(e.attached, s.attached, check.Attachment.Displaces) {
		return false
	}
	why := ", and what is attached to other than routes is not merged"
	switch {
	case could:
		why = ", and has no mergeType: want " + strings.Join(check.MergeTypes, " or ") + " (Envoy Gateway 1.9)"
	case yamlnode.Member(e.root, "spec", "wasm") != nil:
		why = ", and its own wasm replaces the Gateway's, whatever its mergeType"
	}
	s.fault(value{path: "spec.targetRefs"}, "has its tokens verified on what "+e.id()+
		" is attached to, too, but an EnvoyExtensionPolicy made of it would not be applied there: the narrower "+e.id()+
		" takes its place"+why+
		". Migrate this policy by itself, and put the entry of wasm into both")
	return true
}

func (m *Migrator) securityPolicy(s *source) {
	spec := s.object(value{node: yamlnode.Member(s.root, "spec"), path: "spec"})
	p := &security{source: s, selection: selection{namespace: s.namespace, gateway: true, name: s.name}}
	p.attached = check.Attachments(s.root)
	for _, name := range []string{"targetRef", "targetRefs", "targetSelectors"} {
		if v := spec.at(name); v.node != nil {
			p.selection.parts = append(p.selection.parts, part{name, v.node})
		}
	}
	for _, name := range []string{"apiKeyAuth", "basicAuth", "oidc", "extAuth", "csrf", "mergeType"} {
		if v := spec.at(name); v.node != nil {
			p.others = append(p.others, v)
		}
	}
	if v := spec.at("cors"); v.node != nil {
		s.report(v, check.Warning,
			"stays in the SecurityPolicy, which must then be there without jwt and authorization; Envoy Gateway "+
				"answers preflights before any other filter")
	}
	jwt := spec.object("jwt")
	p.optional = jwt.boolean("optional")
	if v := jwt.at("failOpen"); jwt.boolean("failOpen") {
		s.report(v, check.Error,
			"lets requests with a bad token pass; jwt-scope refuses them, and lets pass those without one")
		p.optional = true
	}
	for _, r := range jwt.objects("providers") {
		p.issuers = append(p.issuers, s.jwtProvider(r))
	}
	jwt.end()
	p.hasRules = spec.has("authorization")
	authorization := spec.object("authorization")
	p.rules = authorization.objects("rules")
	action := authorization.text("defaultAction")
	p.allow = action.text == "Allow"
	if action.text != "" && action.text != "Allow" && action.text != "Deny" {
		s.fault(action, "want Allow or Deny")
	}
	authorization.end()
	spec.end()
	m.securities = append(m.securities, p)
}

func (s *source) jwtProvider(r *object) issuer {
	p := issuer{from: s, at: r.value, name: r.text("name").text, issuer: r.text("issuer"),
		audiences: r.texts("audiences"), keep: true, skew: "60s", gateway: true, delimited: []string{"scope", "scp"}}
	p.provider = p.name
	if r.has("remoteJWKS") {
		remote := r.object("remoteJWKS")
		p.keysURI = remote.text("uri")
		for _, name := range []string{"backendRef", "backendRefs", "backendSettings"} {
			if v := remote.at(name); v.node != nil {
				s.report(v, check.Warning, "says how the keys are reached: see to it that the cluster of jwks.remote does the same")
			}
		}
		for _, name := range []string{"cacheDuration", "failedRefetchDuration"} {
			if v := remote.at(name); v.node != nil {
				s.report(v, check.Note, "is left out: jwks.remote.refresh is 5m, and a kid that is not known has the "+
					"keys fetched at once")
			}
		}
		remote.end()
	}
	if r.has("localJWKS") {
		local := r.object("localJWKS")
		local.text("type")
		p.keys = local.text("inline")
		if v := local.at("valueRef"); v.node != nil {
			s.report(v, check.Error,
				"names a ConfigMap, which is not read here: put the key set into jwks.inline; until then every token "+
					"of the issuer is refused")
		}
		local.end()
	}
	for _, c := range r.objects("claimToHeaders") {
		p.claims = append(p.claims, claimHeader{c.text("claim"), c.text("header")})
		c.end()
	}
	if v := r.at("recomputeRoute"); r.boolean("recomputeRoute") {
		s.report(v, check.Error,
			"jwt-scope does not have the route chosen anew: routes must not depend on the headers that it writes")
	}
	extract := r.object("extractFrom")
	for _, h := range extract.objects("headers") {
		p.headers = append(p.headers, tokenHeader{h.text("name"), h.text("valuePrefix").text})
		h.end()
	}
	p.cookies, p.parameters = extract.texts("cookies"), extract.texts("params")
	extract.end()
	r.end()
	return p.withPlaces()
}

// addSecurity adds the rules of an authorization, of which the first that fits decides.
func (p *plan) addSecurity(s *security) {
	p.allowDefault = true
	for _, v := range s.others {
		s.report(v, check.Error,
			"jwt-scope does not do this: every request is refused here; let it stay in a SecurityPolicy without jwt "+
				"and authorization, and migrate one without it")
		p.clauses = append(p.clauses, clause{s.source, v, false, area{}, p.foreign(v.path)})
	}
	if !s.optional {
		every := uint64(p.all)
		p.clauses = append(p.clauses, clause{s.source, value{path: "spec.jwt"}, false, area{}, p.not(p.issuedBy(every))})
	}
	if !s.hasRules {
		return
	}
	p.allowDefault = s.allow
	for _, r := range s.rules {
		action := r.text("action")
		t := &translation{plan: p, source: s.source, allow: action.text == "Allow"}
		if action.text != "Allow" && action.text != "Deny" {
			s.fault(action, "want Allow or Deny")
		}
		r.text("name")
		c := t.always()
		if v := r.at("cel"); v.node != nil {
			c = t.and(c, t.unknown(v))
		}
		c = t.and(c, t.principal(r.object("principal")))
		a, possible := t.operation(r.object("operation"))
		a.headers = t.headers
		r.end()
		if possible {
			p.clauses = append(p.clauses, clause{s.source, r.value, t.allow, a, c})
		}
	}
}

func (t *translation) unknown(v value) condition {
	t.lost(v, "jwt-scope does not look at it")
	return t.foreign(v.path)
}

func (t *translation) principal(o *object) condition {
	c := t.always()
	for _, name := range []string{"clientCIDRs", "clientIPGeoLocations"} {
		if v := o.at(name); v.node != nil {
			c = t.and(c, t.unknown(v))
		}
	}
	for _, h := range o.objects("headers") { // buildHeadersPredicate: values are compared as a whole, * is a letter
		name, values := h.text("name"), h.texts("values")
		h.end()
		if text, ok := t.header(name, name.text); !ok {
			c = t.and(c, t.foreign(h.path))
		} else if !t.asks(text, values, nil, t.exactly) {
			c = t.never()
		}
	}
	if o.has("jwt") {
		c = t.and(c, t.jwt(o.object("jwt")))
	}
	o.end()
	return c
}

func (t *translation) jwt(o *object) condition {
	name := o.text("provider")
	var issuers uint64
	for i, p := range t.issuers {
		if p.provider == name.text {
			issuers |= 1 << i
		}
	}
	c := t.issuedBy(issuers)
	for _, v := range o.texts("scopes") {
		if isScope(v.text) {
			c = t.and(c, t.tokenHas(scopeAny, nil, v.text))
		} else {
			t.lost(v, "is no scope (RFC 6749, 3.3)")
			c = t.and(c, t.foreign(v.path))
		}
	}
	for _, claim := range o.objects("claims") {
		name, valueType, values := claim.text("name"), claim.text("valueType"), claim.texts("values")
		claim.end()
		path := strings.Split(name.text, ".")
		if slices.Contains(path, "") || slices.Contains(path, "*") { // * is each item of a list to jwt-scope
			t.lost(name, "names no claim")
			c = t.and(c, t.foreign(claim.path))
			continue
		}
		c = t.and(c, t.claimOf(path, name, valueType, values))
	}
	o.end()
	return c
}

// claimOf is buildJWTPredicate: a claim of the type String is a text, and one of the type StringArray
// a list. scope and scp are lists, for they are split at spaces.
func (t *translation) claimOf(path []string, name, valueType value, values []value) condition {
	is, items := t.tokenHas(claimAny, path, words(values)...), append(slices.Clone(path), "*")
	list := valueType.text == "StringArray"
	switch {
	case valueType.text != "" && valueType.text != "String" && !list:
		t.fault(valueType, "want String or StringArray")
		return t.foreign(valueType.path)
	case len(path) == 1 && (path[0] == "scope" || path[0] == "scp") && !list:
		t.report(name, check.Warning, "never fits: Envoy Gateway splits this claim at spaces, and then it is a list; "+
			"did you mean scopes, or valueType: StringArray?")
		return t.never()
	case len(path) == 1 && (path[0] == "scope" || path[0] == "scp"):
		is = t.never()
		for _, v := range values {
			is = t.or(is, t.word(v, path, v.text, false, false))
		}
		return is
	case list:
		return t.and(is, t.tokenHas(claimThere, items))
	}
	return t.and(is, t.tokenHas(claimMissing, items))
}

// operation reads an operation. possible is false where nothing fits it that jwt-scope could tell.
func (t *translation) operation(o *object) (a area, possible bool) {
	possible = true
	if list := o.texts("methods"); len(list) > 0 {
		a.methods = t.methods(list, !t.allow)
		possible = len(a.methods) > 0
	}
	if o.has("path") {
		path := o.object("path")
		kind, text, invert := path.text("type"), path.text("value"), path.boolean("invert")
		path.end()
		p, ok := readPattern(text.text, "", "")
		switch kind.text {
		case "", "PathPrefix":
			if trimmed := strings.TrimSuffix(text.text, "/"); trimmed == "" {
				p, ok = pattern{is: true, tail: true}, true
			} else {
				p, ok = readPattern(trimmed, "", "")
				p.tail = true
			}
		case "Exact":
		default:
			ok = false
		}
		fits := []paths{{pattern: p}}
		if !ok {
			t.lost(text, "has no counterpart among jwt-scope's path patterns")
			if t.allow == invert { // it has to grow
				fits = []paths{{}}
			} else {
				fits = nil
			}
		}
		if invert {
			a.notPaths = fits
			possible = possible && (ok || len(fits) == 0)
		} else {
			a.paths = fits
			possible = possible && len(fits) > 0
		}
	}
	o.end()
	return a, possible
}
