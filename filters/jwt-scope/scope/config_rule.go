// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
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
	scopes     scopes
	claims     []claimCondition
	needs      string // the scopes that the rule asks for, for challenges
}

type access string

const (
	required access = "required"
	optional access = "optional"
	public   access = "public"
)

// scopes are what a rule asks of a token's scopes; an empty list asks nothing.
type scopes struct{ all, any, none []string }

func (c *config) readRule(o *conf.Object) {
	r := rule{shadow: c.shadow}
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
	c.checkKinds(o, &r)
	r.needs = strings.Join(append(append([]string{}, r.scopes.all...), r.scopes.any...), " ")
	o.End()
	c.rules = append(c.rules, r)
}

func (c *config) readRequire(o *conf.Object, r *rule) {
	if n, ok := o.At("providers"); ok {
		for _, item := range n.List() {
			name := item.Text()
			p := c.provider(name)
			if p == nil && name != "" {
				item.Fault("no provider has this name")
			}
			r.providers = append(r.providers, p)
		}
	}
	if n, ok := o.At("scopes"); ok {
		s := n.Object()
		r.scopes = scopes{all: readScopes(s, "all"), any: readScopes(s, "any"), none: readScopes(s, "none")}
		s.End()
		if len(r.scopes.all)+len(r.scopes.any)+len(r.scopes.none) == 0 && n.IsObject() {
			n.Fault("asks for nothing: name scopes under all, any or none")
		}
		for _, want := range append(append([]string{}, r.scopes.all...), r.scopes.any...) {
			if contains(r.scopes.none, want) {
				s.FaultAt("none", "a scope that is also asked for can never be absent and present")
			}
		}
	}
	if n, ok := o.At("claims"); ok {
		for _, item := range n.List() {
			r.claims = append(r.claims, readClaim(item.Object(), r.conditions))
		}
	}
	o.End()
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
	if kinds[0] && kinds[1] {
		if named {
			o.FaultAt("require", "providers are of two kinds, some with trustedPayload and some without: a rule takes one kind")
		} else {
			o.FaultAt("require", "providers is required: the configuration has providers with trustedPayload and "+
				"without, and a rule takes one kind")
		}
	}
}

func readScopes(o *conf.Object, name string) []string {
	n, ok := o.At(name)
	if !ok {
		return nil
	}
	for _, item := range n.ListOrEmpty() {
		if item.IsString() && !isScope(item.Value().Str) {
			item.Fault("is not a scope (RFC 6749 §3.3): printable ASCII without space, quotation mark and backslash")
		}
	}
	return n.Texts()
}

func isScope(s string) bool { return quotable(s) && !strings.Contains(s, " ") }

// readClaim reads one condition on a claim: a path and one operator.
func readClaim(o *conf.Object, conditions []match.Condition) claimCondition {
	var c claimCondition
	if n, ok := o.Need("path"); ok {
		for _, item := range n.List() {
			c.path = append(c.path, item.Text()) // not Texts: a name may stand at two depths
		}
	}
	operators := 0
	for _, op := range [...]operator{opAny, opAll, opNone} {
		if n, ok := o.At(string(op)); ok {
			operators++
			c.op, c.values = op, readScalars(n)
		}
	}
	if n, ok := o.At(string(opExists)); ok {
		operators++
		c.op, c.wanted = opExists, n.Bool()
	}
	if n, ok := o.At(string(opGlob)); ok {
		operators++
		c.op, c.text = opGlob, n.Text()
	}
	if n, ok := o.At("equals"); ok {
		operators++
		readEquals(n.Object(), &c, conditions)
	}
	if operators != 1 && o.IsObject() {
		o.Fault("want one of any, all, none, exists, glob and equals")
	}
	o.End()
	return c
}

func readScalars(n conf.Node) []gjson.Result {
	var values []gjson.Result
	for _, item := range n.List() {
		v := item.Value()
		if v.Type != gjson.String && v.Type != gjson.Number && !v.IsBool() {
			item.Fault("want a string, a number, true or false")
		}
		values = append(values, v)
	}
	return values
}

func readEquals(o *conf.Object, c *claimCondition, conditions []match.Condition) {
	sources := 0
	if n, ok := o.At(string(opPathVariable)); ok {
		sources++
		c.op, c.text = opPathVariable, n.Text()
		if !everyPathHas(conditions, c.text) && c.text != "" {
			n.Fault("not every path of the rule has {" + c.text + "}: the comparison would have nothing to compare with")
		}
	}
	if n, ok := o.At(string(opHeader)); ok {
		sources++
		c.op, c.text = opHeader, forward.ReadHeaderName(n)
	}
	if n, ok := o.At(string(opHost)); ok {
		sources++
		c.op = opHost
		if !n.Bool() {
			n.Fault("want true: leave it out for no comparison")
		}
	}
	if sources != 1 && o.IsObject() {
		o.Fault("want one of pathVariable, header and host")
	}
	o.End()
}

// everyPathHas reports whether the variable has a value whichever of the conditions fits.
func everyPathHas(conditions []match.Condition, variable string) bool {
	for _, c := range conditions {
		for _, t := range c.Paths {
			if !contains(t.Variables(), variable) {
				return false
			}
		}
		if len(c.Paths) == 0 {
			return false
		}
	}
	return len(conditions) > 0
}
