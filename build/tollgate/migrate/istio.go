// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// What Istio's resources mean is held against istio/istio at commit eed52ebb66ad (August 2026);
// names of files are those of that repository.

// authentication is a RequestAuthentication.
type authentication struct {
	*source
	selections []selection
	issuers    []issuer
}

// authorization is an AuthorizationPolicy.
type authorization struct {
	*source
	selections []selection
	action     value
	dryRun     bool
	rules      []*object
}

func (m *Migrator) requestAuthentication(s *source) {
	spec := s.object(value{node: yamlnode.Member(s.root, "spec"), path: "spec"})
	a := &authentication{source: s, selections: s.selections(spec)}
	rules := spec.objects("jwtRules")
	for _, r := range rules {
		name := s.name
		if len(rules) > 1 {
			name += "-" + hostOf(r.text("issuer").text)
		}
		a.issuers = append(a.issuers, s.jwtRule(r, name))
	}
	spec.end()
	m.authentications = append(m.authentications, a)
}

// jwtRule reads what pilot/pkg/security/authn/policy_applier.go: convertToEnvoyJwtConfig does.
func (s *source) jwtRule(r *object, name string) issuer {
	p := issuer{from: s, at: r.value, name: name, issuer: r.text("issuer"), audiences: r.texts("audiences"),
		keep: r.boolean("forwardOriginalToken"), payload: r.text("outputPayloadToHeader"), skew: "60s"}
	p.keysURI, p.keys = r.text("jwksUri"), r.text("jwks")
	p.timeout = r.text("timeout")
	for _, h := range r.objects("fromHeaders") {
		p.headers = append(p.headers, tokenHeader{h.text("name"), h.text("prefix").text})
		h.end()
	}
	p.parameters, p.cookies = r.texts("fromParams"), r.texts("fromCookies")
	for _, c := range r.objects("outputClaimToHeaders") {
		p.claims = append(p.claims, claimHeader{c.text("claim"), c.text("header")})
		c.end()
	}
	p.delimited = unique(append([]string{"scope", "permission"}, words(r.texts("spaceDelimitedClaims"))...))
	r.end()
	return p.withPlaces()
}

func (m *Migrator) authorizationPolicy(s *source) {
	spec := s.object(value{node: yamlnode.Member(s.root, "spec"), path: "spec"})
	a := &authorization{source: s, selections: s.selections(spec), action: spec.text("action"),
		rules: spec.objects("rules")}
	a.dryRun = s.dryRun()
	if a.action.text == "CUSTOM" {
		spec.at("provider") // of no meaning to others
	}
	spec.end()
	switch a.action.text {
	case "", "ALLOW", "DENY", "AUDIT", "CUSTOM":
	default:
		s.fault(a.action, "want ALLOW, DENY, AUDIT or CUSTOM")
	}
	m.authorizations = append(m.authorizations, a)
}

// dryRun reads the annotation as pilot/pkg/security/authz/builder/builder.go does. A word that
// Istio does not read was meant for a dry run, and is none.
func (s *source) dryRun() bool {
	v := value{node: yamlnode.Member(s.root, "metadata", "annotations", dryRunAnnotation),
		path: "metadata.annotations[" + dryRunAnnotation + "]"}
	if v.node == nil {
		return false
	}
	is, err := strconv.ParseBool(yamlnode.Text(v.node))
	if err != nil {
		s.fault(v, "Istio does not read it, and applies the policy: want true or false")
	}
	return is
}

const dryRunAnnotation = "istio.io/dry-run"

// add adds the policies' rules to a plan in the order in which Istio asks them: CUSTOM, DENY, ALLOW
// (pilot/pkg/security/authz/builder/builder.go). What jwt-scope cannot decide is left out where it
// would let requests pass, and taken for refused where it would refuse them.
func (p *plan) add(policies []*authorization) {
	p.allowDefault = true
	p.mindAuthorizers(policies)
	for _, action := range []string{"CUSTOM", "DENY", "ALLOW"} {
		for _, a := range policies {
			own := a.action.text
			if own == "" {
				own = "ALLOW"
			}
			if own != action || a.dryRun {
				continue
			}
			p.allowDefault = p.allowDefault && action != "ALLOW"
			p.admits = p.admits || action == "ALLOW"
			for _, r := range a.rules {
				t := &translation{plan: p, source: a.source, allow: action == "ALLOW"}
				if action == "CUSTOM" {
					a.report(a.action, check.Error,
						"CUSTOM asks an authorizer that jwt-scope does not know: its requests are refused here; let "+
							"this policy stay beside jwt-scope, and migrate the others without it")
					t.custom = true
				}
				t.rule(r)
			}
		}
	}
	for _, a := range policies {
		if a.refusesTCP() {
			a.report(value{path: "spec"}, check.Warning,
				"Istio also holds connections that are not HTTP against this policy, and refuses them; a WasmPlugin "+
					"sees HTTP only: where the workload has TCP ports, let a policy for these stay")
		}
		switch {
		case a.dryRun:
			a.report(value{path: "metadata.annotations"}, check.Note,
				"decides nothing, by istio.io/dry-run, and is left out; a rule's mode: shadow is jwt-scope's")
		case a.action.text == "AUDIT":
			a.report(a.action, check.Note, "AUDIT decides nothing: let this policy stay")
		}
	}
}

// mindAuthorizers notes policies by which somebody else has a say first.
func (p *plan) mindAuthorizers(policies []*authorization) {
	p.authorizer = p.authorizer ||
		slices.ContainsFunc(policies, func(a *authorization) bool { return a.action.text == "CUSTOM" && !a.dryRun })
}

// refusesTCP reports whether Istio refuses connections of other protocols by the policy
// (istio/istio, pilot/pkg/security/authz/model/model.go: Generate): a rule that asks of HTTP admits
// none, and refuses every one that fits what is left of it.
func (a *authorization) refusesTCP() bool {
	switch a.action.text {
	case "", "ALLOW":
		return !a.dryRun && !slices.ContainsFunc(a.rules,
			func(r *object) bool { return r.node == nil || len(r.node.Content) == 0 })
	case "DENY":
		return !a.dryRun && len(a.rules) > 0
	}
	return false
}

// translation is of one rule, for one workload.
type translation struct {
	*plan
	*source
	allow   bool
	custom  bool    // it refuses by what nobody here knows
	headers []asked // of the rule's areas
}

// rule reads what pilot/pkg/security/authz/model/model.go: New and Generate do: of the entries
// under from and of those under to any may fit; what stands within one must all fit, and so must
// what stands under when.
func (t *translation) rule(r *object) {
	when := t.always()
	if t.custom {
		when = t.foreign("CUSTOM")
	}
	for _, w := range r.objects("when") {
		when = t.and(when, t.when(w))
	}
	if from := r.objects("from"); len(from) > 0 {
		any := t.never()
		for _, f := range from {
			any = t.or(any, t.from(f))
		}
		when = t.and(when, any)
	}
	to := r.objects("to")
	r.end()
	if len(to) == 0 {
		t.clauses = append(t.clauses, clause{t.source, r.value, t.allow, area{headers: t.headers}, when})
	}
	for _, o := range to {
		operation := o.object("operation")
		o.end()
		a, possible := t.area(operation)
		a.headers = t.headers
		c := when
		for _, name := range []string{"ports", "notPorts"} {
			if list := operation.texts(name); len(list) > 0 {
				c = t.and(c, t.stays(operation.at(name)))
			}
		}
		operation.end()
		if possible {
			t.clauses = append(t.clauses, clause{t.source, o.value, t.allow, a, c})
		}
	}
}

// stays is a condition that jwt-scope cannot ask.
func (t *translation) stays(v value) condition {
	t.report(v, check.Error, "jwt-scope does not look at it: "+t.consequence()+
		"; let it stay in an AuthorizationPolicy without conditions on tokens, beside jwt-scope, and migrate the rest")
	return t.foreign(v.path)
}

// consequence tells what becomes of a rule that cannot be carried over.
func (t *translation) consequence() string {
	if t.allow {
		return "what the rule admits by it is refused"
	}
	return "all that the rule could refuse is refused"
}

func (t *translation) lost(v value, advices string) {
	t.report(v, check.Error, advices+"; "+t.consequence())
}

func (t *translation) from(f *object) condition {
	s := f.object("source")
	f.end()
	c := t.always()
	for _, name := range []string{
		"principals", "notPrincipals", "namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts",
		"ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks", "trustDomains", "notTrustDomains",
	} {
		if list := s.texts(name); len(list) > 0 {
			c = t.and(c, t.stays(s.at(name)))
		}
	}
	if list := s.texts("requestPrincipals"); len(list) > 0 {
		c = t.and(c, t.principals(list))
	}
	if list := s.texts("notRequestPrincipals"); len(list) > 0 {
		c = t.and(c, t.not(t.principals(list)))
	}
	s.end()
	return c
}

func (t *translation) when(w *object) condition {
	key, values, notValues := w.text("key"), w.texts("values"), w.texts("notValues")
	w.end()
	var is func([]value) condition
	switch {
	case key.text == "request.auth.principal":
		is = t.principals
	case key.text == "request.auth.audiences":
		is = func(list []value) condition { return t.claim([]string{"aud"}, list) }
	case key.text == "request.auth.presenter":
		is = func(list []value) condition { return t.claim([]string{"azp"}, list) }
	case strings.HasPrefix(key.text, "request.auth.claims"):
		names, ok := claimNames(strings.TrimPrefix(key.text, "request.auth.claims"))
		if !ok {
			t.lost(key, "names no claim: want request.auth.claims[name], or [a][b] for one within another")
			return t.foreign(key.path)
		}
		is = func(list []value) condition { return t.claim(names, list) }
	case strings.HasPrefix(key.text, "request.headers"):
		return t.whenHeader(key, values, notValues)
	default:
		return t.stays(key)
	}
	c := t.always()
	if len(values) > 0 {
		c = t.and(c, is(values))
	}
	if len(notValues) > 0 {
		c = t.and(c, t.not(is(notValues)))
	}
	return c
}

// whenHeader is pilot/pkg/security/authz/model/generator.go: requestHeaderGenerator. What it asks of
// the header becomes a part of the rule's areas.
func (t *translation) whenHeader(key value, values, not []value) condition {
	text, begins := strings.CutPrefix(strings.TrimPrefix(key.text, "request.headers"), "[")
	text, ends := strings.CutSuffix(text, "]")
	if !begins || !ends {
		text = ""
	}
	name, ok := t.header(key, text)
	if !ok {
		return t.foreign(key.path)
	}
	if !t.asks(name, values, not, t.headerRegion) {
		return t.never()
	}
	return t.always()
}

// claimNames reads [a][b].
func claimNames(text string) (names []string, ok bool) {
	text, begins := strings.CutPrefix(text, "[")
	text, ends := strings.CutSuffix(text, "]")
	names = strings.Split(text, "][")
	for _, name := range names {
		if name == "" || name == "*" || strings.ContainsAny(name, "[]") { // * is each item of a list to jwt-scope
			return nil, false
		}
	}
	return names, begins && ends
}

// principals reads pilot/pkg/security/authz/model/generator.go: requestPrincipalGenerator: what
// stands before the last slash is the issuer, and what stands behind it the subject.
func (t *translation) principals(list []value) condition {
	c := t.never()
	sub := []string{"sub"}
	for _, v := range list {
		text := v.text
		i := strings.LastIndexByte(text, '/')
		var iss, subject condition
		switch {
		case text == "*":
			iss, subject = t.issuer("*"), t.tokenHas(claimText, sub)
		case strings.HasPrefix(text, "*") && i >= 0:
			iss, subject = t.issuer(text[:i]), t.tokenHas(claimAny, sub, text[i+1:])
		case strings.HasPrefix(text, "*"):
			iss, subject = t.issuer("*"), t.glob(v, sub, text)
		case strings.HasSuffix(text, "*") && i >= 0 && text[i+1:] == "*":
			iss, subject = t.issuerIs(text[:i]), t.tokenHas(claimText, sub)
		case strings.HasSuffix(text, "*") && i >= 0:
			iss, subject = t.issuerIs(text[:i]), t.glob(v, sub, text[i+1:])
		case strings.HasSuffix(text, "*"):
			iss, subject = t.issuer(text), t.tokenHas(claimText, sub)
		case i >= 0:
			iss, subject = t.issuerIs(text[:i]), t.tokenHas(claimAny, sub, text[i+1:])
		default:
			iss, subject = t.issuerIs(text), t.tokenHas(claimAny, sub, "")
		}
		c = t.or(c, t.and(iss, subject))
	}
	return c
}

// issuer is a condition on iss, by a pattern with one * at an end. Which issuers there are is
// known, so it is answered here.
func (t *translation) issuer(pattern string) condition {
	if !strings.HasPrefix(pattern, "*") && !strings.HasSuffix(pattern, "*") {
		return t.issuerIs(pattern)
	}
	return t.issuerWhere(func(iss string) bool { return globFits(pattern, iss) })
}

func (t *translation) issuerIs(text string) condition {
	return t.issuerWhere(func(iss string) bool { return iss == text })
}

func (p *plan) issuerWhere(fits func(string) bool) condition {
	var issuers uint64
	for i, one := range p.issuers {
		if fits(one.issuer.text) {
			issuers |= 1 << i
		}
	}
	return p.issuedBy(issuers)
}

// glob is a claim that begins or ends so.
func (t *translation) glob(v value, path []string, pattern string) condition {
	if rest := strings.TrimPrefix(strings.TrimSuffix(pattern, "*"), "*"); rest == "" || strings.Contains(rest, "*") ||
		len(rest) != len(pattern)-1 {
		t.lost(v, "a * that stands for itself has no counterpart in a glob: name the values")
		return t.foreign(v.path)
	}
	return t.tokenHas(claimGlob, path, pattern)
}

// claim is pilot/pkg/security/authz/model/generator.go: requestClaimGenerator: the claim is one of
// the values, or a list of which one is.
func (t *translation) claim(names []string, list []value) condition {
	if len(names) == 1 && names[0] == "iss" {
		c := t.never()
		for _, v := range list {
			c = t.or(c, t.issuer(v.text))
		}
		return c
	}
	var delimited uint64 // the issuers in whose tokens it is split at spaces
	for i, p := range t.issuers {
		if len(names) == 1 && slices.Contains(p.delimited, names[0]) {
			delimited |= 1 << i
		}
	}
	if delimited == 0 {
		return t.claimValues(names, list)
	}
	if t.scopeClaim == "" {
		t.scopeClaim = names[0]
	}
	c := t.and(t.issuedBy(delimited), t.words(names, list))
	if rest := t.all &^ delimited; rest != 0 {
		c = t.or(c, t.and(t.issuedBy(rest), t.claimValues(names, list)))
	}
	return c
}

func (t *translation) claimValues(names []string, list []value) condition {
	c := t.never()
	for _, v := range list {
		switch text := v.text; {
		case text == "*":
			c = t.or(c, t.tokenHas(claimText, names))
		case strings.HasPrefix(text, "*") || strings.HasSuffix(text, "*"):
			c = t.or(c, t.glob(v, names, text))
		default:
			c = t.or(c, t.tokenHas(claimAny, names, text))
		}
	}
	return c
}

// words is claimValues for a claim that is split at spaces if it is a text (jwt_authn,
// space_delimited_claims); a list of texts is none.
func (t *translation) words(names []string, list []value) condition {
	c := t.never()
	for _, v := range list {
		switch text := v.text; {
		case text == "*":
			c = t.or(c, t.tokenHas(claimText, names))
		case names[0] == t.scopeClaim && isScope(text) && !strings.HasPrefix(text, "*") && !strings.HasSuffix(text, "*"):
			c = t.or(c, t.tokenHas(scopeAny, nil, text))
		default:
			word, ends := strings.CutPrefix(text, "*")
			word, begins := strings.CutSuffix(word, "*")
			c = t.or(c, t.word(v, names, word, begins, ends))
		}
	}
	return c
}

// word is a condition on one word of a claim, or on how one begins or ends, in globs of the whole of
// it: what is asked for stands alone, or is an item of a list, or has spaces around it and is no item
// of a list.
func (t *translation) word(v value, names []string, word string, begins, ends bool) condition {
	if strings.Contains(word, "*") || begins && ends || word == "" && (begins || ends) {
		t.lost(v, "a * that stands for itself has no counterpart in a glob: name the values")
		return t.foreign(v.path)
	}
	item := t.tokenHas(claimAny, names, word)
	if begins || ends {
		item = t.tokenHas(claimGlob, names, v.text)
	}
	items := append(slices.Clone(names), "*") // none: it is no list, or an empty one
	if word == "" || strings.Contains(word, " ") {
		return t.and(item, t.tokenHas(claimThere, items))
	}
	globs := []string{word + " *", "* " + word, "* " + word + " *"}
	switch {
	case begins:
		globs = []string{"* " + word + "*"}
	case ends:
		globs = []string{"*" + word + " *"}
	}
	among := t.never()
	for _, glob := range globs {
		among = t.or(among, t.tokenHas(claimGlob, names, glob))
	}
	return t.or(item, t.and(among, t.tokenHas(claimMissing, items)))
}

func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}

// area reads an operation. possible is false where nothing fits it that jwt-scope could tell.
func (t *translation) area(o *object) (a area, possible bool) {
	possible = true
	// A list of what fits may come out too small of a rule that admits and too big of one that
	// refuses, and what does not fit the other way round.
	read := func(name string, grow bool, each func(values []value, grow bool) (empty, everything bool)) {
		list := o.texts(name)
		if len(list) == 0 {
			return
		}
		empty, everything := each(list, grow)
		if strings.HasPrefix(name, "not") {
			possible = possible && !everything
		} else {
			possible = possible && !empty
		}
	}
	hosts := func(into *[]string) func([]value, bool) (bool, bool) {
		return func(list []value, grow bool) (bool, bool) {
			*into = t.hosts(list, grow)
			return len(*into) == 0, slices.Contains(*into, "")
		}
	}
	methods := func(into *[]string) func([]value, bool) (bool, bool) {
		return func(list []value, grow bool) (bool, bool) {
			*into = t.methods(list, grow)
			return len(*into) == 0, slices.Contains(*into, "")
		}
	}
	patterns := func(into *[]paths) func([]value, bool) (bool, bool) {
		return func(list []value, grow bool) (bool, bool) {
			for _, v := range list {
				if p, ok := t.path(v, grow); ok {
					*into = append(*into, p)
				}
			}
			return len(*into) == 0, slices.ContainsFunc(*into, func(p paths) bool { return !p.is })
		}
	}
	read("hosts", !t.allow, hosts(&a.hosts))
	read("notHosts", t.allow, hosts(&a.notHosts))
	read("methods", !t.allow, methods(&a.methods))
	read("notMethods", t.allow, methods(&a.notMethods))
	read("paths", !t.allow, patterns(&a.paths))
	read("notPaths", t.allow, patterns(&a.notPaths))
	return a, possible
}

func (t *translation) hosts(list []value, grow bool) (hosts []string) {
	texts := words(list)
	for i := range texts {
		texts[i] = strings.ToLower(texts[i])
	}
	for i, v := range list {
		name, port, hasPort := cutPort(texts[i])
		wild := strings.HasPrefix(name, "*.")
		valid := isHost(strings.TrimPrefix(name, "*.")) && !strings.Contains(strings.TrimPrefix(name, "*."), "*")
		switch {
		case texts[i] == "*":
			hosts = append(hosts, "")
		case !valid || wild && hasPort:
			t.lost(v, "is no host name such as api.example.com or *.example.com: name the hosts")
			if grow {
				hosts = append(hosts, "")
			}
		case hasPort && slices.Contains(texts, name) && port == "*":
			// The port is not compared: the name says it.
		case hasPort:
			if !slices.Contains(texts, name) {
				t.lost(v, "ports are not compared, and the host without one is not named")
			}
			if grow {
				hosts = append(hosts, name)
			}
		default:
			if !grow && !slices.Contains(texts, name+":*") {
				t.report(v, check.Warning, "Istio compares the port and a dot behind the name, jwt-scope neither: "+
					name+":8080 is this host, too")
			}
			hosts = append(hosts, name)
		}
	}
	return unique(hosts)
}

func cutPort(text string) (name, port string, ok bool) {
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

func isHost(name string) bool {
	var r match.Request
	return name != "" && r.Set("GET", name, "/", false) == nil && r.Host == name
}

func (t *translation) methods(list []value, grow bool) (methods []string) {
	for _, v := range list {
		var r match.Request
		switch {
		case v.text == "*":
			methods = append(methods, "")
		case strings.Contains(v.text, "*"):
			t.lost(v, "methods are compared as a whole: name them")
			if grow {
				methods = append(methods, "")
			}
		case r.Set(v.text, "", "/", false) != nil:
			t.report(v, check.Note, "jwt-scope refuses every method that is not in upper case: left out")
		default:
			methods = append(methods, v.text)
		}
	}
	return unique(methods)
}

// path is pilot/pkg/security/authz/model/generator.go: pathGenerator.
func (t *translation) path(v value, grow bool) (p paths, ok bool) {
	text := v.text
	switch {
	case text == "*":
		return paths{}, true
	case strings.Contains(text, "{*}") || strings.Contains(text, "{**}"):
		p.pattern, ok = readPattern(text, "{*}", "{**}")
	case strings.HasPrefix(text, "*"):
	case strings.HasSuffix(text, "/*"):
		p.pattern, ok = readPattern(text, "", "*")
	default:
		p.pattern, ok = readPattern(text, "", "")
	}
	if !ok {
		t.lost(v, "has no counterpart among jwt-scope's path patterns: name the paths, or /orders/* for everything below one")
		return around(text), grow
	}
	if literal := strings.NewReplacer("{*}", "", "{**}", "").Replace(strings.TrimSuffix(text, "*")); !grow &&
		strings.ContainsFunc(literal, escapes) {
		t.report(v, check.Warning,
			"Istio compares the path as it is sent, jwt-scope with its escapes decoded, as servers do: "+
				escaped(literal)+" is this path, too")
	}
	if p.tail && len(p.segments) > 0 {
		itself := p.pattern
		itself.tail = false
		p.except = &itself
	}
	return p, true
}

// escapes reports whether a character may be sent as an escape that Envoy's normalize_path leaves:
// those that RFC 3986 does not call unreserved.
func escapes(c rune) bool {
	return c != '/' && c != '-' && c != '.' && c != '_' && c != '~' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
		(c < 'a' || c > 'z')
}

// escaped is a path with its first such character as an escape.
func escaped(path string) string {
	i := strings.IndexFunc(path, escapes)
	return fmt.Sprintf("%s%%%02X%s", path[:i], path[i], path[i+1:])
}
