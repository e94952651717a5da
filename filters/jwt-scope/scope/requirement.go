// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/condition"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// requirement is what is asked of a token; the zero value asks nothing.
type requirement struct {
	scopes scopes
	claims []condition.Claim
}

func (q *requirement) empty() bool { return q.scopes.empty() && len(q.claims) == 0 }

// meets holds the verified claims against one condition.
//
//go:noinline
func (d *Decision) meets(c *condition.Claim) bool {
	return c.Fits(&condition.Request{Headers: d.headers, Host: d.request.Host, Hit: &d.hit}, d.verified.claims)
}

// unmet is why the verified token does not meet the requirement; nil: it does.
//
//go:noinline
func (q *requirement) unmet(d *Decision) *verdict.Code {
	if !q.scopes.fit(d.verified.scopes) {
		return InsufficientScope
	}
	for i := range q.claims {
		if !d.meets(&q.claims[i]) {
			return ClaimMismatch
		}
	}
	return nil
}

// alternative is one of anyOf.
type alternative struct {
	providers []*provider // empty: all of the rule's
	requirement
}

func (a *alternative) isFor(p *provider) bool {
	return len(a.providers) == 0 || containsProvider(a.providers, p)
}

// unmetMore holds the token against what few rules ask for.
//
//go:noinline
func (r *rule) unmetMore(d *Decision) *verdict.Code {
	if refused := r.unmetAlternatives(d); refused != nil {
		return refused
	}
	if r.authentication.unmet(d) {
		return AuthenticationInsufficient
	}
	return nil
}

// unmetAlternatives is why the token meets none of anyOf. Where more scopes would do, that is the reason: a client can
// ask for them.
func (r *rule) unmetAlternatives(d *Decision) *verdict.Code {
	if len(r.anyOf) == 0 {
		return nil
	}
	refused := ClaimMismatch
	for i := range r.anyOf {
		a := &r.anyOf[i]
		if !a.isFor(d.verified.provider) {
			continue
		}
		switch a.unmet(d) {
		case nil:
			return nil
		case InsufficientScope:
			if claims := (requirement{claims: a.claims}); claims.unmet(d) == nil {
				refused = InsufficientScope
			}
		}
	}
	return refused
}

// needs are the scopes that a challenge names: those that the rule asks for of a token of the
// provider. nil: of any.
func (r *rule) needs(p *provider) string {
	if p == nil && len(r.providers) == 1 {
		p = r.providers[0]
	}
	var all []string
	add := func(s *scopes) {
		for _, list := range [...][]string{s.all, s.any} {
			for _, scope := range list {
				if !contains(all, scope) {
					all = append(all, scope)
				}
			}
		}
	}
	add(&r.scopes)
	for i := range r.anyOf {
		if a := &r.anyOf[i]; p == nil || a.isFor(p) {
			add(&a.scopes)
		}
	}
	if p != nil {
		add(&p.require.scopes)
	}
	return strings.Join(all, " ")
}

// authentication is how the user must have been authenticated (RFC 9470). The zero value asks nothing.
type authentication struct {
	acr    []string      // one of them; empty: any
	maxAge time.Duration // since auth_time; 0: any
}

func (a *authentication) empty() bool { return len(a.acr) == 0 && a.maxAge == 0 }

// unmet reports whether the verified token says less, or nothing, about how its user was authenticated.
func (a *authentication) unmet(d *Decision) bool {
	v := d.verified
	if len(a.acr) > 0 && !contains(a.acr, strictjson.Text(v.claims, "acr")) {
		return true
	}
	if a.maxAge == 0 {
		return false
	}
	claim, _ := strictjson.Member(v.claims, "auth_time")
	at, found, ok := jwt.NumericDate(claim, 0)
	age, skew := d.now.UnixMicro()-at, v.provider.skew.Microseconds()
	return !found || !ok || age < -skew || age > a.maxAge.Microseconds()+skew
}

// challenge is what a client needs to know to ask for another authentication (RFC 9470 §3).
func (a *authentication) challenge() (parameters string) {
	if len(a.acr) > 0 {
		parameters += `, acr_values="` + strings.Join(a.acr, " ") + `"`
	}
	if a.maxAge > 0 {
		parameters += `, max_age="` + strconv.Itoa(int(a.maxAge/time.Second)) + `"`
	}
	return parameters
}
