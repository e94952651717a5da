// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Decision is one request on its way to a verdict. The zero value is ready for Policy.Decide;
// reusing one saves allocations.
type Decision struct {
	policy     *Policy
	headers    [][2]string
	authority  string // of the request line
	scheme     string
	request    match.Request
	document   *resource // that is asked for; nil: none
	hit        match.Hit
	verdict    verdict.Verdict
	credential credential
	looked     bool      // for credentials: the rule asks for them
	verified   *verified // nil until the claims may be believed

	remote *jwks.Remote // that the decision waits for; nil: none
	waited bool         // it has waited already

	inquiry *Inquiry // that the decision waits for, or has waited for; nil: none

	step    decide.Step
	now     time.Time
	proving bool // the signature to be checked is a proof's

	// While a signature is to be checked:
	trial     jwks.Trial
	why       string   // of the refusal, for the log
	candidate verified // what the token will be once it is verified

	// Of a proof whose signature is good, or being checked:
	proofID   string
	proofEnds time.Time
}

// Step is what the decision waits for now.
func (d *Decision) Step() decide.Step { return d.step }

// Decide looks at a request. After it the decision has its verdict, or Run goes on with it.
func (p *Policy) Decide(d *Decision, r *decide.Request) {
	d.waited = false
	p.decide(d, r, nil)
}

// DecideAfterWait is Decide for a request that has waited for keys: it will not wait for keys again.
func (p *Policy) DecideAfterWait(d *Decision, r *decide.Request) {
	d.waited = true
	p.decide(d, r, nil)
}

// Run does what the decision waits for, as far as the world does it at once. It returns
// decide.Done, or decide.FetchKeys: then the KeysWanted are to be fetched, and the request decided
// anew, by DecideAfterWait once it has waited long enough; or decide.Introspect: then its Inquiry is
// to be answered.
func (d *Decision) Run(w *decide.World) decide.Step {
	for d.step.AtOnce() {
		d.do(w)
	}
	return d.step
}

//go:noinline
func (d *Decision) do(w *decide.World) {
	switch {
	case d.step == decide.CheckSignature && w.Verify != nil:
		d.signatureChecked(w.Verify(d.trial.Verification()))
	case d.step == decide.ReadPeer && w.PeerDigest != nil:
		d.peerRead(w.PeerDigest())
	case d.step == decide.CheckReplay && w.Admit != nil:
		id, expires := d.proof()
		d.replayChecked(w.Admit(id, expires, d.now))
	default:
		d.taken(d.step, decide.ErrUndone)
	}
}

func (p *Policy) decide(d *Decision, r *decide.Request, q *Inquiry) {
	d.policy, d.headers, d.hit, d.credential, d.looked, d.verified = p, r.Headers, match.Hit{}, credential{}, false, nil
	d.step, d.proving, d.now, d.remote, d.inquiry = decide.Done, false, r.Now, nil, q
	d.verdict, d.why, d.document = verdict.Verdict{Rule: -1}, "", nil
	rule, refused := p.match(d, r.Line())
	if refused == nil && rule >= 0 {
		d.verdict.Rule = rule
		refused = p.authenticate(d, &p.rules[rule], r.Now)
	}
	d.end(refused)
}

// match finds the rule; -1 where none fits and the default lets the request through.
func (p *Policy) match(d *Decision, line *match.Line) (rule int, refused *verdict.Code) {
	if err := d.request.Set(line.Method, line.Authority, line.Path, p.literalPaths); err != nil {
		return -1, decide.Ambiguous(err)
	}
	d.request.Headers = d.headers
	d.authority, d.scheme = line.Authority, line.Scheme
	if p.resources != nil {
		if d.document = p.resources.document(d); d.document != nil {
			return -1, nil
		}
	}
	hit, ok, err := p.index.First(&d.request)
	switch {
	case err != nil:
		return -1, decide.Ambiguous(err)
	case ok:
		d.hit = hit
		return hit.Rule, nil
	case p.allowDefault:
		return -1, nil
	}
	return -1, verdict.NoRule
}

// authenticate finds claims that may be believed, or leaves the decision waiting for a signature,
// and then asks the rule.
func (p *Policy) authenticate(d *Decision, r *rule, now time.Time) *verdict.Code {
	if r.access == public {
		return nil
	}
	if r.trusted {
		return p.readTrusted(d, r, now)
	}
	d.looked = true
	found, refused := p.findCredential(d.headers, d.request.Query)
	d.credential = found
	if refused == TokenMissing && r.access == optional {
		return nil
	}
	if refused == TokenAmbiguous {
		d.why = "in " + strings.Join(p.places(d.headers, d.request.Query), " and ")
	}
	if refused != nil {
		return refused
	}
	if v := found.known; v != nil && p.cache.use(v, now) && (!p.introspects || v.provider.takes(r, &found)) {
		if !v.provider.takes(r, &found) {
			return TokenIssuer
		}
		if refused := v.provider.check(&v.validity, now); refused != nil {
			return refused
		}
		d.verified = v
		return d.admit()
	}
	if p.introspects {
		if provider := p.introspector(&d.credential, r); provider != nil {
			return d.introspect(provider)
		}
	}
	return p.readToken(d, r, now)
}

// readToken checks everything about a token but its signature, cheapest first, and then begins with that.
func (p *Policy) readToken(d *Decision, r *rule, now time.Time) *verdict.Code {
	t, err := jose.Parse(d.credential.token, p.limits)
	if err != nil {
		d.why = err.Error()
		return TokenMalformed
	}
	claims := jwt.ReadRegistered(t.Payload)
	provider := p.issuer(&claims, t.Payload)
	if provider == nil || provider.trusted() || !provider.takes(r, &d.credential) {
		return TokenIssuer
	}
	alg, ok := jose.ParseAlgorithm(t.Alg)
	if !ok || !provider.allows(alg) {
		return TokenAlgorithm
	}
	if len(provider.types) > 0 && !contains(provider.types, jwt.MediaType(t.Type)) {
		return TokenType
	}
	validity, refused := provider.checkClaims(&claims, now)
	if refused != nil {
		return refused
	}
	set, remote := provider.keys.Set(now), provider.keys.Remote
	if set == nil {
		return d.waitForKeys(remote, verdict.KeysUnavailable)
	}
	switch err = d.trial.Begin(set, t, alg); {
	case err == jwks.ErrAlgorithm:
		return TokenAlgorithm
	case err != nil && t.HasKID:
		return d.askAgain(remote, t.KeyID, TokenKeyUnknown)
	case err != nil:
		return TokenKeyUnknown
	}
	d.candidate = verified{provider: provider, keys: set, claims: t.Payload, validity: validity,
		token: d.credential.token, encoded: t.EncodedPayload()}
	return d.tryNextKey()
}

// askAgain has the keys fetched once more, for a kid that they lack, where that may be; else the token is refused.
func (d *Decision) askAgain(remote *jwks.Remote, kid string, refused *verdict.Code) *verdict.Code {
	if remote == nil {
		return refused
	}
	if remote.Source.MayForce(kid, d.now) && !d.waited {
		return d.waitForKeys(remote, refused)
	}
	remote.Source.Unknown(strings.Clone(kid), d.now)
	return refused
}

// readTrusted takes the claims that another filter has verified and written into a header.
func (p *Policy) readTrusted(d *Decision, r *rule, now time.Time) *verdict.Code {
	value, found := "", 0
	for i := range d.headers {
		if r.trusts(d.headers[i][0]) {
			value = d.headers[i][1]
			found++
		}
	}
	switch {
	case found == 0 && r.access == optional:
		return nil
	case found == 0:
		return PayloadMissing
	case found > 1:
		return PayloadMalformed
	}
	payload, err := jose.DecodePayload(value, p.limits)
	if err != nil {
		return PayloadMalformed
	}
	claims := jwt.ReadRegistered(payload)
	provider := p.issuer(&claims, payload)
	if provider == nil || !provider.trusted() || !r.accepts(provider) {
		return TokenIssuer
	}
	validity, refused := provider.checkClaims(&claims, now)
	if refused != nil {
		return refused
	}
	d.candidate = verified{provider: provider, claims: payload, validity: validity, encoded: value}
	d.candidate.scopes = provider.readScopes(payload)
	d.verified = &d.candidate
	return d.authorize()
}

// trusts reports whether the rule's claims stand in the header of that name.
func (r *rule) trusts(name string) bool {
	for _, p := range r.providers {
		if p.trustedHeader == name {
			return true
		}
	}
	return false
}

// checkClaims holds the registered claims (RFC 7519 §4.1) against the provider.
func (p *provider) checkClaims(claims *jwt.Registered, now time.Time) (jwt.Dates, *verdict.Code) {
	if len(p.audiences) > 0 && !claims.ForAudience(p.audiences) {
		return jwt.Dates{}, TokenAudience
	}
	v, ok := p.readValidity(claims)
	if !ok {
		if p.trusted() {
			return v, PayloadMalformed
		}
		return v, TokenMalformed
	}
	return v, p.check(&v, now)
}

// tryNextKey has the next key tried, and decides when one has made the signature or when none has.
func (d *Decision) tryNextKey() *verdict.Code {
	switch d.trial.Next() {
	case jwks.Ask:
		d.step = decide.CheckSignature
		return nil
	case jwks.Good:
		return d.signed()
	}
	if !d.proving && d.trial.Guessed() {
		return d.askAgain(d.candidate.provider.keys.Remote, d.trial.KeyID(), TokenSignature)
	}
	return d.forged()
}

// signed goes on from a good signature of the token or of its proof.
func (d *Decision) signed() *verdict.Code {
	if !d.proving {
		return d.accept()
	}
	d.step = decide.CheckReplay
	return nil
}

func (d *Decision) forged() *verdict.Code {
	if d.proving {
		return TokenUnbound
	}
	return TokenSignature
}

// accept takes the token's claims for true.
func (d *Decision) accept() *verdict.Code {
	v := d.candidate
	v.scopes = v.provider.readScopes(v.claims)
	if v.provider.constraint != unconstrained {
		v.confirmation = readConfirmation(v.claims)
	}
	d.policy.cache.put(&v)
	d.verified = &v
	return d.admit()
}

// signatureChecked tells the outcome of the check of the trial's signature. An error means that the
// proxy could not check: the request is refused with code internal, for it is not known whether the
// signature is good.
func (d *Decision) signatureChecked(good bool, err error) {
	switch {
	case !d.taken(decide.CheckSignature, err):
	case good:
		d.end(d.signed())
	default:
		d.end(d.tryNextKey())
	}
}

// taken takes the answer to the step that the decision waits for. It reports false where the
// decision waits for something else, or the answer is an error: then it is over, and the request
// refused with code internal.
func (d *Decision) taken(step decide.Step, err error) bool {
	if d.step != step || err != nil {
		d.step, d.verified = decide.Done, nil
		d.end(verdict.Internal)
		return false
	}
	d.step = decide.Done
	return true
}

// admit goes on from a token that is verified.
func (d *Decision) admit() *verdict.Code {
	if d.verified.provider.constraint != unconstrained {
		return d.confirm()
	}
	return d.authorize()
}

// authorize holds verified claims against what the provider and the rule ask for.
func (d *Decision) authorize() *verdict.Code {
	v, r := d.verified, &d.policy.rules[d.verdict.Rule]
	if v.provider.asks {
		if refused := v.provider.require.unmet(d); refused != nil {
			return refused
		}
	}
	if !r.scopes.fit(v.scopes) {
		return InsufficientScope
	}
	for i := range r.claims {
		if !d.meets(&r.claims[i]) {
			return ClaimMismatch
		}
	}
	if r.more {
		return r.unmetMore(d)
	}
	return nil
}

// end sets the verdict of the rule that was found, unless the decision waits.
//
//go:noinline
func (d *Decision) end(refused *verdict.Code) {
	p, rule := d.policy, d.verdict.Rule
	shadow := p.shadow
	if rule >= 0 {
		shadow = p.rules[rule].shadow
	}
	d.verdict = verdict.Verdict{Code: refused, Rule: rule, Shadow: shadow, Why: d.why}
	if refused == nil {
		d.verdict.Code = verdict.OK
	}
	if d.step != decide.Done {
		d.verdict.Code = verdict.Internal // until that is done, or the keys are there
		return
	}
	if refused != nil {
		d.verdict.Challenge = p.challenge(d, rule)
	}
	if refused == TokenUnbound || refused == ProofNonce {
		d.verified = nil // the claims are true, but not of whoever sent them: shadow mode must not publish them
	}
}

// Verdict is what was decided. While the decision waits it is a refusal.
func (d *Decision) Verdict() *verdict.Verdict { return &d.verdict }

// issuer is the provider that the claims' iss selects.
func (p *Policy) issuer(claims *jwt.Registered, payload gjson.Result) *provider {
	if claims.Issuer.Type != gjson.String {
		return nil
	}
	for _, provider := range p.providers {
		if provider.issuer == claims.Issuer.Str && provider.template == nil && provider.introspection == nil {
			return provider
		}
	}
	if p.templates {
		return p.issuerOfTemplate(claims.Issuer.Str, payload)
	}
	return nil
}

func (p *provider) allows(a jose.Algorithm) bool {
	for _, allowed := range p.algorithms {
		if allowed == a {
			return true
		}
	}
	return false
}

// takes reports whether a token of the provider may decide under the rule, from a place where it stood.
func (p *provider) takes(r *rule, c *credential) bool {
	for _, l := range p.locations {
		if l == c.at || slices.Contains(c.also, l) {
			return r.accepts(p)
		}
	}
	return false
}

func (r *rule) accepts(p *provider) bool { return containsProvider(r.providers, p) }
