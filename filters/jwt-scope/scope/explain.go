// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Explain tells of a decision that is done, by the same functions that made it.
func (d *Decision) Explain() decide.Explanation {
	e := &explainer{d: d}
	e.run()
	if code := d.verdict.Reason(); code != verdict.OK && !e.failed {
		e.fail("decision", code, "")
	}
	return e.Explanation
}

type explainer struct {
	decide.Explanation
	d      *Decision
	failed bool
}

func (e *explainer) pass(what, said string) {
	e.Checks = append(e.Checks, decide.Passes(what, said))
}

func (e *explainer) fail(what string, code *verdict.Code, said string) {
	e.Checks = append(e.Checks, decide.Fails(what, code, said))
	e.failed = true
}

// check passes, or fails for the reason that is given.
func (e *explainer) check(what string, code *verdict.Code, said string) (passes bool) {
	if code == nil {
		e.pass(what, said)
	} else {
		e.fail(what, code, said)
	}
	return code == nil
}

func (e *explainer) run() {
	d := e.d
	p, v := d.policy, d.verdict.Reason()
	if v == verdict.PathAmbiguous {
		e.fail("path", v, "the upstream could read it in another way")
		return
	}
	e.pass("path", d.request.Path)
	if d.document != nil {
		e.pass("resource", "the filter answers with its metadata, before any rule")
		return
	}
	if v == verdict.HeaderAmbiguous {
		hit, _, _ := p.index.First(&d.request)
		for i := range p.rules[:hit.Rule+1] {
			e.Rules = append(e.Rules, match.Fit{Name: p.rules[i].name, Why: match.Why(p.rules[i].conditions, &d.request)})
		}
		e.fail("rule", v, p.rules[hit.Rule].name+" asks for a header that could be read in two ways")
		return
	}
	for i := range p.rules {
		r := &p.rules[i]
		if e.Rules = append(e.Rules,
			match.Fit{Name: r.name, Why: match.Why(r.conditions, &d.request)}); e.Rules[i].Why == "" {
			break
		}
	}
	if d.verdict.Rule < 0 {
		if v == verdict.NoRule {
			e.fail("rule", v, "none fits, and default is deny")
		} else {
			e.pass("rule", "none fits, and default is allow")
		}
		return
	}
	r := &p.rules[d.verdict.Rule]
	e.pass("rule", r.name+", access "+string(r.access))
	switch {
	case r.access == public:
	case r.trusted:
		e.trusted(r)
	default:
		e.token(r)
	}
}

// token tells of a credential.
func (e *explainer) token(r *rule) {
	d := e.d
	p, v := d.policy, d.verdict.Reason()
	found, refused := p.searchCredential(d.headers, d.request.Query)
	switch {
	case refused == TokenMissing && r.access == optional:
		e.pass("credential", "none, and access is optional")
		return
	case refused != nil:
		e.fail("credential", refused, e.credentialFault(refused))
		return
	}
	e.pass("credential", "in "+strings.Join(p.places(d.headers, d.request.Query), " and in "))
	if p.introspects {
		if provider := p.introspector(&found, r); provider != nil {
			e.introspected(provider, r)
			return
		}
	}
	t, err := jose.Parse(found.token, p.limits)
	if err != nil {
		e.fail("form", TokenMalformed, err.Error())
		return
	}
	kid := "no kid"
	if t.HasKID {
		kid = "kid " + strconv.Quote(t.KeyID)
	}
	e.pass("form", "alg "+t.Alg+", "+kid+", typ "+strconv.Quote(t.Type))
	claims := jwt.ReadRegistered(t.Payload)
	provider := p.issuer(&claims, t.Payload)
	switch {
	case provider == nil:
		e.fail("issuer", TokenIssuer, p.issuerFault(claims.Issuer, t.Payload))
		return
	case provider.trusted() || !provider.takes(r, &found):
		e.fail("issuer", TokenIssuer, "provider "+provider.name+" is not accepted by the rule, or not from "+
			found.at.String())
		return
	}
	e.pass("issuer", "provider "+provider.name)
	alg, ok := jose.ParseAlgorithm(t.Alg)
	if !ok || !provider.allows(alg) {
		e.fail("algorithm", TokenAlgorithm, t.Alg+" is none of "+names(provider.algorithms))
		return
	}
	e.pass("algorithm", t.Alg)
	if len(provider.types) > 0 {
		if !contains(provider.types, jwt.MediaType(t.Type)) {
			e.fail("type", TokenType, strconv.Quote(t.Type)+" is none of "+strings.Join(provider.types, ", "))
			return
		}
		e.pass("type", t.Type)
	}
	if !e.claims(provider, t, TokenMalformed) {
		return
	}
	switch v {
	case TokenKeyUnknown, TokenAlgorithm, verdict.KeysUnavailable:
		e.fail("key", v, kid+", alg "+t.Alg+"; "+e.keys(provider))
		return
	case TokenSignature:
		e.fail("signature", v, "no key of the provider has made it")
		return
	case verdict.Internal:
		return
	}
	e.pass("signature", "good")
	if v == TokenUnbound {
		e.fail("sender", v, "it does not prove to be the one that the token's cnf names")
		return
	}
	if v == ProofNonce {
		e.fail("sender", v, "its proof has no nonce that is good now")
		return
	}
	e.authorized(r)
}

// introspected tells of a token that an endpoint was asked for.
func (e *explainer) introspected(p *provider, r *rule) {
	d := e.d
	code := d.verdict.Reason()
	if d.verified == nil && code != TokenUnbound && code != ProofNonce {
		said := "provider " + p.name + " introspects it at " + p.introspection.Authority
		switch {
		case code == TokenMalformed:
			said = "the token, or the answer that has no exp, is none"
		case code == TokenIssuer:
			said += ", and the answer's iss is not " + p.wants()
		case code == TokenAudience:
			said += ", and the answer's aud is none of " + strings.Join(p.audiences, ", ")
		}
		e.fail("introspection", code, said)
		return
	}
	e.pass("introspection", "provider "+p.name+": active")
	if code == TokenUnbound || code == ProofNonce {
		e.fail("sender", code, "it does not prove to be the one that the token's cnf names")
		return
	}
	e.authorized(r)
}

// trusted tells of claims that another filter has verified.
func (e *explainer) trusted(r *rule) {
	d := e.d
	value, found := "", 0
	for i := range d.headers {
		if r.trusts(d.headers[i][0]) {
			value = d.headers[i][1]
			found++
		}
	}
	payload, err := jose.DecodePayload(value, d.policy.limits)
	switch {
	case found == 0 && r.access == optional:
		e.pass("payload", "none, and access is optional")
		return
	case found == 0:
		e.fail("payload", PayloadMissing, "the header is not there")
		return
	case found > 1:
		e.fail("payload", PayloadMalformed, "the header stands there more than once")
		return
	case err != nil:
		e.fail("payload", PayloadMalformed, err.Error())
		return
	}
	e.pass("payload", "there")
	registered := jwt.ReadRegistered(payload)
	provider := d.policy.issuer(&registered, payload)
	if provider == nil || !provider.trusted() || !r.accepts(provider) {
		e.fail("issuer", TokenIssuer, "iss "+orMissing(registered.Issuer)+
			"; the rule accepts those of the providers with a trustedPayload among "+d.policy.issuers())
		return
	}
	e.pass("issuer", "provider "+provider.name)
	if e.claims(provider, &jose.JWS{Payload: payload}, PayloadMalformed) {
		e.authorized(r)
	}
}

// claims tells of those that the provider looks at.
func (e *explainer) claims(p *provider, t *jose.JWS, malformed *verdict.Code) (passes bool) {
	claims := jwt.ReadRegistered(t.Payload)
	aud := claims.Audience
	switch {
	case len(p.audiences) == 0:
		e.pass("audience", "any")
	case !claims.ForAudience(p.audiences):
		e.fail("audience", TokenAudience, "aud "+orMissing(aud)+"; wanted is one of "+strings.Join(p.audiences, ", "))
		return false
	default:
		e.pass("audience", aud.Raw)
	}
	dates, ok := p.readValidity(&claims)
	if !ok {
		e.fail("times", malformed, p.datesFault(t.Payload))
		return false
	}
	said := "clock skew " + p.skew.String()
	for _, name := range []string{"iat", "nbf", "exp"} {
		if v, ok := strictjson.Member(t.Payload, name); ok {
			said = name + " " + time.Unix(v.Int(), 0).UTC().Format(time.RFC3339) + ", " + said
		}
	}
	return e.check("times", p.check(&dates, e.d.now), said)
}

// datesFault tells which date is missing, or is none.
func (p *provider) datesFault(claims gjson.Result) string {
	for _, date := range []struct {
		name  string
		least float64
	}{{"exp", 1}, {"nbf", 0}, {"iat", 0}} {
		v, _ := strictjson.Member(claims, date.name)
		if _, found, ok := jwt.NumericDate(v, date.least); found && !ok {
			return date.name + " is " + v.Raw + "; wanted are seconds since 1970, as a number"
		}
	}
	return "exp is missing; wanted is one (requireExpiry)"
}

// issuerFault tells why no provider has a token's issuer.
func (p *Policy) issuerFault(iss, payload gjson.Result) string {
	said := "iss " + orMissing(iss)
	for _, provider := range p.providers {
		if t := provider.template; t != nil && strings.HasPrefix(iss.Str, t.before) && strings.HasSuffix(iss.Str, t.after) {
			claim, _ := strictjson.Member(payload, t.claim)
			said += ", the claim " + t.claim + " " + orMissing(claim)
		}
	}
	return said + "; the providers are " + p.issuers()
}

// issuers lists the providers with what they want of iss.
func (p *Policy) issuers() string {
	var all []string
	for _, provider := range p.providers {
		if provider.introspection == nil {
			all = append(all, provider.name+" ("+provider.wants()+")")
		}
	}
	return strings.Join(all, ", ")
}

// wants is what a provider wants of iss.
func (p *provider) wants() string {
	said := strconv.Quote(p.issuer)
	if t := p.template; t != nil {
		said += " with the claim " + t.claim + " in the braces"
		if len(t.values) > 0 {
			said += ", one of " + strings.Join(t.values, ", ")
		}
	}
	return said
}

// keys lists those of a provider.
func (e *explainer) keys(p *provider) string {
	set := p.keys.Set(e.d.now)
	if set == nil {
		return "no key set is there"
	}
	return "the provider's keys are " + strings.Join(set.Describe(), ", ")
}

// credentialFault tells where the credentials stand that are none, or too many.
func (e *explainer) credentialFault(refused *verdict.Code) string {
	p, d := e.d.policy, e.d
	var all []string
	for _, l := range p.locations {
		all = append(all, l.String())
	}
	switch places := p.places(d.headers, d.request.Query); {
	case refused == TokenMissing:
		return "none in " + strings.Join(all, ", or ")
	case refused == TokenAmbiguous:
		if len(places) == 1 {
			return "in " + places[0]
		}
		return "in " + strings.Join(places, " and in ") + ", which are not the same"
	default:
		return "in " + strings.Join(places, " and in ") + ", where no token stands"
	}
}

// orMissing is a claim as it stands in the token.
func orMissing(v gjson.Result) string {
	if v.Raw == "" {
		return "is missing"
	}
	return "is " + v.Raw
}

// authorized tells of what the provider and the rule ask for.
func (e *explainer) authorized(r *rule) {
	v := e.d.verified
	if v == nil {
		return
	}
	if v.provider.asks && !e.requirement("provider "+v.provider.name+", ", &v.provider.require) ||
		!e.requirement("", &r.requirement) || !e.alternatives(r) || r.authentication.empty() {
		return
	}
	var code *verdict.Code
	if r.authentication.unmet(e.d) {
		code = AuthenticationInsufficient
	}
	acr, _ := strictjson.Member(v.claims, "acr")
	at, _ := strictjson.Member(v.claims, "auth_time")
	said := "acr " + orMissing(acr)
	if want := r.authentication.acr; len(want) > 0 {
		said += ", one of " + list(want) + " wanted"
	}
	if said += "; auth_time " + orMissing(at); at.Type == gjson.Number {
		said += ", " + e.d.now.Sub(time.Unix(at.Int(), 0)).Round(time.Second).String() + " ago"
	}
	if most := r.authentication.maxAge; most > 0 {
		said += ", at most " + conf.Spell(most) + " wanted"
	}
	e.check("authentication", code, said)
}

// requirement tells of scopes and claims, as far as the first that is missing.
func (e *explainer) requirement(whose string, q *requirement) (met bool) {
	if !q.scopes.empty() {
		var code *verdict.Code
		if !q.scopes.fit(e.d.verified.scopes) {
			code = InsufficientScope
		}
		if !e.check(whose+"scopes", code, e.scopes(&q.scopes)) {
			return false
		}
	}
	for i := range q.claims {
		var code *verdict.Code
		if !e.d.meets(&q.claims[i]) {
			code = ClaimMismatch
		}
		if !e.check(whose+"claim", code, q.claims[i].Explain(e.d.verified.claims)) {
			return false
		}
	}
	return true
}

func (e *explainer) scopes(s *scopes) string {
	said := "it has " + list(e.d.verified.scopes)
	for _, want := range []struct {
		name   string
		scopes []string
	}{{"all", s.all}, {"any", s.any}, {"none", s.none}} {
		if len(want.scopes) > 0 {
			said += "; " + want.name + " of " + list(want.scopes) + " wanted"
		}
	}
	return said
}

// alternatives tell of anyOf: the one that is met, or why none is.
func (e *explainer) alternatives(r *rule) (met bool) {
	if len(r.anyOf) == 0 {
		return true
	}
	code := r.unmetAlternatives(e.d)
	var all []string
	for i := range r.anyOf {
		a, said := &r.anyOf[i], "["+strconv.Itoa(i)+"] "
		switch {
		case !a.isFor(e.d.verified.provider):
			said += "is for other providers"
		case a.unmet(e.d) == nil:
			return e.check("anyOf", code, said+"is met")
		case !a.scopes.fit(e.d.verified.scopes):
			said += e.scopes(&a.scopes)
		default:
			for j := range a.claims {
				if !e.d.meets(&a.claims[j]) {
					said += a.claims[j].Explain(e.d.verified.claims)
					break
				}
			}
		}
		all = append(all, said)
	}
	return e.check("anyOf", code, strings.Join(all, "; "))
}

// String tells the place in words.
func (l *location) String() string {
	switch {
	case l.cookie != "":
		return "cookie " + l.cookie
	case l.query != "":
		return "query parameter " + l.query
	case l.after != "":
		return "the subprotocol behind " + l.after
	case l.start != "":
		return "the subprotocol that starts with " + l.start
	case l.scheme != "":
		return "header " + l.header + ", scheme " + l.scheme
	}
	return "header " + l.header
}

func names(algorithms []jose.Algorithm) string {
	var all []string
	for _, a := range algorithms {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

func list(words []string) string { return "[" + strings.Join(words, " ") + "]" }
