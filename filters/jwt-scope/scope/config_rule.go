// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// rule is what is asked of the requests that its conditions fit.
type rule struct {
	name       string
	conditions []match.Condition
	shadow     bool
	access     access
	providers  []*provider // whose claims it takes
	trusted    bool        // the providers are of the kind that is trusted
	requirement
	anyOf          []alternative
	authentication authentication
	more           bool // anyOf or authentication asks for something
	answers        answers
}

type access string

const (
	required access = "required"
	optional access = "optional"
	public   access = "public"
)

// scopes are what a rule asks of a token's scopes; an empty list asks nothing.
type scopes struct{ all, any, none []string }

func (s *scopes) empty() bool { return len(s.all)+len(s.any)+len(s.none) == 0 }

func (c *config) readRule(o *conf.Object) {
	r := rule{shadow: c.shadow, answers: c.answers}
	r.name = o.Name()
	r.conditions = match.ReadConditions(o, c.literalPaths)
	if n, ok := o.At("mode"); ok {
		r.shadow = n.Enum("enforce", "shadow") == "shadow"
	}
	r.access = access(o.Enum("access", string(required), string(optional), string(public)))
	if n, ok := o.At("require"); ok {
		if r.access == public {
			n.Fault("contradicts access: public, under which tokens are not looked at")
		}
		c.readRequire(n.Object(), &r)
	}
	if n, ok := o.At("errors"); ok {
		if r.access == public {
			n.Warn("has no effect: under access: public nothing is refused")
		}
		c.readAnswers(n, &r.answers)
	}
	c.checkKinds(o, &r)
	o.End()
	c.rules = append(c.rules, r)
}

// checkKinds gives a rule that names no providers all of them, and keeps verified and trusted
// claims apart: a rule must never take a header that nobody has verified for a token, or the other
// way round.
func (c *config) checkKinds(o *conf.Object, r *rule) {
	if r.access == public {
		return
	}
	named := len(r.providers) > 0
	if !named {
		r.providers = c.providers
	}
	if all := r.alternativeProviders(); all != nil { // a token of no alternative's is not the rule's
		r.providers, named = all, true
	}
	kinds := [2]bool{}
	for _, p := range r.providers {
		if p == nil {
			return // reported already
		}
		if p.trusted() {
			kinds[1] = true
		} else {
			kinds[0] = true
		}
	}
	r.trusted = kinds[1]
	if c.introspects {
		r.checkIntrospection(o)
		r.warnOfKeys(o)
	}
	if kinds[0] && kinds[1] {
		if named {
			o.FaultAt("require", "providers are of two kinds, some with trustedPayload and some without: a rule takes one kind")
		} else {
			o.FaultAt("require", "providers is required: the configuration has providers with trustedPayload and "+
				"without, and a rule takes one kind")
		}
	}
}
