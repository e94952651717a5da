// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/condition"
	"github.com/tollgate-wasm/tollgate/shared/conf"
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
	var subject condition.Subject
	if r != nil {
		subject = condition.Subject{Name: "rule", Match: r.conditions}
	}
	if n, ok := o.At("claims"); ok {
		for _, item := range n.List() {
			q.claims = append(q.claims, condition.Read(item.Object(), subject))
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
