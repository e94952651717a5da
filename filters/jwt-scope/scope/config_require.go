// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"math"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// readRequire reads what a rule asks of tokens.
func (c *config) readRequire(o *conf.Object, r *rule) {
	r.providers = c.readProviderNames(o)
	readRequirement(o, &r.requirement, r)
	if n, ok := o.At("anyOf"); ok {
		for _, item := range n.List() {
			a, alternatives := alternative{}, item.Object()
			a.providers = c.readProviderNames(alternatives)
			readRequirement(alternatives, &a.requirement, r)
			alternatives.End()
			if item.IsObject() && a.empty() && len(a.providers) == 0 {
				item.Fault("asks for nothing: every token would do")
			}
			for _, want := range append(append([]string{}, a.scopes.all...), a.scopes.any...) {
				if contains(r.scopes.none, want) {
					alternatives.FaultAt("scopes", "asks for "+want+", which the rule's scopes.none refuses")
				}
			}
			for _, p := range a.providers {
				if p != nil && len(r.providers) > 0 && !containsProvider(r.providers, p) {
					alternatives.FaultAt("providers", "provider "+p.name+" is none of the rule's")
				}
			}
			r.anyOf = append(r.anyOf, a)
		}
	}
	if n, ok := o.At("authentication"); ok {
		readAuthentication(n, &r.authentication)
	}
	r.more = len(r.anyOf) > 0 || !r.authentication.empty()
	o.End()
}

// alternativeProviders are those that anyOf names; nil where an alternative takes any.
func (r *rule) alternativeProviders() (all []*provider) {
	for _, a := range r.anyOf {
		if len(a.providers) == 0 {
			return nil
		}
		for _, p := range a.providers {
			if !containsProvider(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

func (c *config) readProviderNames(o *conf.Object) (providers []*provider) {
	n, ok := o.At("providers")
	if !ok {
		return nil
	}
	for _, item := range n.List() {
		name := item.Text()
		p := c.provider(name)
		if p == nil && name != "" {
			item.Fault("no provider has this name")
		}
		providers = append(providers, p)
	}
	return providers
}

// readRequirement reads scopes and claims that a rule asks for, or a provider (nil).
func readRequirement(o *conf.Object, q *requirement, r *rule) {
	if n, ok := o.At("scopes"); ok {
		s := n.Object()
		q.scopes = scopes{all: readScopes(s, "all"), any: readScopes(s, "any"), none: readScopes(s, "none")}
		s.End()
		if q.scopes.empty() && n.IsObject() {
			n.Fault("asks for nothing: name scopes under all, any or none")
		}
		for _, want := range append(append([]string{}, q.scopes.all...), q.scopes.any...) {
			if contains(q.scopes.none, want) {
				s.FaultAt("none", "a scope that is also asked for can never be absent and present")
			}
		}
	}
	if n, ok := o.At("claims"); ok {
		for _, item := range n.List() {
			q.claims = append(q.claims, readClaim(item.Object(), r))
		}
	}
}

// readAuthentication reads how users must have been authenticated (RFC 9470).
func readAuthentication(n conf.Node, a *authentication) {
	o := n.Object()
	a.acr = readWords(o, "acr", "cannot stand in acr_values (RFC 9470 §3)")
	if n, ok := o.At("maxAge"); ok {
		a.maxAge = n.Duration(time.Second, 365*24*time.Hour)
		if a.maxAge%time.Second != 0 {
			n.Fault("want whole seconds: max_age of the challenge has no others")
		}
	}
	o.End()
	if a.empty() && n.IsObject() {
		n.Fault("asks for nothing: name acr, maxAge or both")
	}
}

func readScopes(o *conf.Object, name string) []string {
	return readWords(o, name, "is not a scope (RFC 6749 §3.3)")
}

// readWords reads texts that stand in a challenge with spaces between them.
func readWords(o *conf.Object, name, problem string) []string {
	n, ok := o.At(name)
	if !ok {
		return nil
	}
	for _, item := range n.ListOrEmpty() {
		if item.IsString() && !isScope(item.Value().Str) {
			item.Fault(problem + ": printable ASCII without space, quotation mark and backslash")
		}
	}
	return n.Texts()
}

func isScope(s string) bool { return quotable(s) && !strings.Contains(s, " ") }

// readClaim reads one condition on a claim: a path and one operator.
func readClaim(o *conf.Object, r *rule) claimCondition {
	var c claimCondition
	if n, ok := o.Need("path"); ok {
		for _, item := range n.List() {
			name := item.Text() // not Texts: a name may stand at two depths
			c.path = append(c.path, name)
			c.each = c.each || name == "*"
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
	c.least, c.most = math.Inf(-1), math.Inf(1)
	if n, ok := o.At("atLeast"); ok {
		c.op, c.least = opBetween, readNumber(n)
	}
	if n, ok := o.At("atMost"); ok {
		c.op, c.most = opBetween, readNumber(n)
		if c.most < c.least {
			n.Fault("is below atLeast: no number fits")
		}
	}
	if c.op == opBetween {
		operators++
	}
	if n, ok := o.At("equals"); ok {
		operators++
		readEquals(n.Object(), &c, r)
	}
	if n := len(c.path); n > 0 {
		switch {
		case c.path[0] == "*":
			o.FaultAt("path", "begins with a *: the claims are no list")
		case c.path[n-1] == "*" && c.op == opAll && len(c.values) > 1:
			o.FaultAt("path", "ends in a *: no single item is all of the values; leave the * out")
		}
	}
	if operators != 1 && o.IsObject() {
		o.Fault("want one of any, all, none, exists, glob, equals and atLeast or atMost")
	}
	o.End()
	return c
}

func readNumber(n conf.Node) float64 {
	if n.Value().Type != gjson.Number {
		n.Fault("want a number")
	} else if v := n.Value().Num; v >= maxExact || v <= -maxExact {
		n.Fault("is beyond 2^53, where numbers are not told apart")
	}
	return n.Value().Num
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

func readEquals(o *conf.Object, c *claimCondition, r *rule) {
	sources := 0
	if r == nil {
		if o.Has(string(opPathVariable)) {
			o.FaultAt(string(opPathVariable), "a provider has no paths: ask for it in rules")
			sources++
		}
	} else if n, ok := o.At(string(opPathVariable)); ok {
		sources++
		c.op, c.text = opPathVariable, n.Text()
		if !everyPathHas(r.conditions, c.text) && c.text != "" {
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
