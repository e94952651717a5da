// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Decision is one request on its way to a verdict. The zero value is ready for Policy.Decide; reusing one saves allocations.
type Decision struct {
	policy  *Policy
	request match.Request
	verdict verdict.Verdict

	// While a signature is to be checked:
	waiting  bool
	token    *jose.JWS
	alg      jose.Algorithm
	provider *provider
	keys     []*jose.Key // that the token is to be tried with
	tried    int         // how many of them have been
	pending  jose.Verification
}

// Decide looks at a request: its headers as the proxy has them, pseudo-headers among them, names in lower case. After it the decision is either Done or waits for
// the proxy to check a Signature.
func (p *Policy) Decide(d *Decision, headers [][2]string, now time.Time) {
	d.policy, d.waiting, d.keys, d.tried = p, false, d.keys[:0], 0
	rule, refused := p.match(d, headers)
	if refused != nil || rule < 0 {
		d.end(refused, rule)
		return
	}
	d.verdict.Rule = rule
	d.end(p.authenticate(d, rule, headers, now), rule)
}

// match finds the rule; -1 where none fits and the default lets the request through.
func (p *Policy) match(d *Decision, headers [][2]string) (rule int, refused *verdict.Code) {
	var method, authority, path string
	for i := range headers {
		switch headers[i][0] {
		case ":method":
			method = headers[i][1]
		case ":authority":
			authority = headers[i][1]
		case ":path":
			path = headers[i][1]
		}
	}
	if err := d.request.Set(method, authority, path, p.literalPaths); err != nil {
		return -1, verdict.PathAmbiguous
	}
	hit, ok, err := p.index.First(&d.request)
	switch {
	case err != nil:
		return -1, verdict.PathAmbiguous
	case ok:
		return hit.Rule, nil
	case p.allowDefault:
		return -1, nil
	}
	return -1, verdict.NoRule
}

// authenticate checks everything about the request's token but its signature, cheapest first, and leaves the decision waiting for that.
func (p *Policy) authenticate(d *Decision, rule int, headers [][2]string, now time.Time) *verdict.Code {
	r := &p.rules[rule]
	if r.access == public {
		return nil
	}
	token, refused := credential(headers)
	if refused == TokenMissing && r.access == optional {
		return nil
	}
	if refused != nil {
		return refused
	}
	t, err := jose.Parse(token, p.limits)
	if err != nil {
		return TokenMalformed
	}
	iss, _ := strictjson.Member(t.Payload, "iss")
	provider := p.issuer(iss)
	if provider == nil || !r.accepts(provider) {
		return TokenIssuer
	}
	alg, ok := jose.ParseAlgorithm(t.Alg)
	if !ok || !provider.allows(alg) {
		return TokenAlgorithm
	}
	if refused := provider.checkClaims(t.Payload, now); refused != nil {
		return refused
	}
	d.keys, err = provider.keys.Candidates(t, alg, d.keys)
	switch {
	case err == jwks.ErrAlgorithm:
		return TokenAlgorithm
	case err != nil:
		return TokenKeyUnknown
	}
	d.token, d.alg, d.provider = t, alg, provider
	return d.tryNextKey()
}

// tryNextKey makes the next key's verification pending, or decides: when a key of an algorithm that is checked here verifies, or when all have been tried.
func (d *Decision) tryNextKey() *verdict.Code {
	d.waiting = false
	for d.tried < len(d.keys) {
		key := d.keys[d.tried]
		d.tried++
		if !d.alg.ByProxy() {
			if d.token.Verify(d.alg, key) {
				return d.authorize(d.verdict.Rule)
			}
			continue
		}
		v, err := d.token.Verification(d.alg, key)
		if err == nil {
			d.pending, d.waiting = v, true
			return nil
		}
	}
	return TokenSignature
}

// Signature is the check that the decision waits for; ok is false where it waits for none.
func (d *Decision) Signature() (v jose.Verification, ok bool) {
	return d.pending, d.waiting
}

// SignatureChecked tells the outcome of the check that Signature named. An error means that the proxy could not check: the request is refused with code internal,
// for it is not known whether the signature is good.
func (d *Decision) SignatureChecked(good bool, err error) {
	rule := d.verdict.Rule
	switch {
	case !d.waiting || err != nil:
		d.waiting = false
		d.end(verdict.Internal, rule)
	case good:
		d.waiting = false
		d.end(d.authorize(rule), rule)
	default:
		d.end(d.tryNextKey(), rule)
	}
}

// authorize holds the verified token against what the rule asks for.
func (d *Decision) authorize(rule int) *verdict.Code {
	if !d.policy.rules[rule].scopes.fit(d.token.Payload, d.provider.scopeClaims) {
		return InsufficientScope
	}
	return nil
}

// end sets the verdict, unless the decision waits.
func (d *Decision) end(refused *verdict.Code, rule int) {
	p := d.policy
	shadow := p.shadow
	if rule >= 0 {
		shadow = p.rules[rule].shadow
	}
	d.verdict = verdict.Verdict{Code: refused, Rule: rule, Shadow: shadow}
	if refused == nil {
		d.verdict.Code = verdict.OK
	}
	if d.waiting {
		d.verdict.Code = verdict.Internal // until the signature has been checked
		return
	}
	d.verdict.Challenge = p.challenge(d.verdict.Code, rule)
}

// Verdict is what was decided. While the decision waits it is a refusal.
func (d *Decision) Verdict() verdict.Verdict { return d.verdict }

func (p *Policy) issuer(iss gjson.Result) *provider {
	if iss.Type != gjson.String {
		return nil
	}
	for _, provider := range p.providers {
		if provider.issuer == iss.Str {
			return provider
		}
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

func (r *ruleConfig) accepts(p *provider) bool {
	for _, accepted := range r.providers {
		if accepted == p {
			return true
		}
	}
	return len(r.providers) == 0
}
