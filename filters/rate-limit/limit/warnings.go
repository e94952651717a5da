// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"
	"strconv"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// Warnings are what the log should say once about a configuration that limits less than it seems
// to, or has what is without effect.
func (p *Policy) Warnings() []conf.Fault {
	list := slices.Clone(p.warnings)
	warn := func(path, problem string) { list = append(list, conf.Fault{Path: path, Problem: problem}) }
	for i := range p.limits {
		if what := p.limits[i].chosen(); what != "" {
			warn(p.limits[i].path(i)+"key", "is chosen by clients: each new value of the "+what+" has a burst of its own")
		}
		if l := &p.limits[i]; l.tierHeader != "" {
			warn(l.path(i)+"tiers.header", "is chosen by clients: whoever sends a tier's value has its rate")
		}
	}
	for i := range p.limits {
		l := &p.limits[i]
		for _, r := range l.rates() {
			if l.global && !r.unlimited && unitOf(r.per) == "" {
				warn(l.path(i)+r.path()+"per", "is "+conf.SpellPeriod(r.per)+
					", but Envoy's rate-limit service counts in windows of "+windows+
					" only: what it enforces is not what the headers say")
			}
		}
	}
	p.warnOfSelection(warn)
	if p.global != nil && p.global.onError == onErrorAllow {
		warn("global.onError", "is allow: while the rate-limit service does not answer, its limits are open")
	}
	return list
}

// chosen is by what clients choose their keys; empty: they do not.
func (l *limit) chosen() (what string) {
	for i := range l.key {
		switch l.key[i].kind {
		case header:
			what = "header"
		case query:
			what = "parameter"
		case cookie:
			what = "cookie"
		case pathVariable, host, method, pathTemplate, constant:
		default:
			return ""
		}
	}
	return what
}

// warnOfSelection tells of limits that never apply, and of what never has an effect.
func (p *Policy) warnOfSelection(warn func(path, problem string)) {
	for i := range p.limits {
		l := &p.limits[i]
		for j := range l.except {
			if l.exceptSources[j] == nil && fitsEverything(&l.except[j]) {
				warn(l.path(i)+"except["+strconv.Itoa(j)+"]", "fits every request: this limit never applies")
			}
		}
		for j := range i {
			if first := &p.limits[j]; l.group != "" && first.group == l.group && first.shadow == l.shadow && first.always() {
				warn(l.path(i)+"group", "never comes to this limit: "+first.name+", before it, applies to every request")
				break
			}
		}
		l.warnOfUnlimited(l.path(i), warn)
		l.warnOfReserve(l.path(i)+"cost.response.reserve", warn)
	}
}

// warnOfUnlimited tells of what only a limit that counts has a use for.
func (l *limit) warnOfUnlimited(path string, warn func(path, problem string)) {
	if !l.isUnlimited() {
		return
	}
	const problem = "has no effect: nothing is counted of what is unlimited"
	for _, option := range [...]struct {
		name string
		set  bool
	}{{"cost", l.cost != cost{ownCost: 1, mostAsked: 1} || l.response != nil}, {"scope", l.global},
		{"onExceeded", l.mark.header != ""}, {"counts", l.counts != nil},
		{"onMissingKey", l.missing == shared}, {"key", len(l.key) > 0 && l.missing == shared}} {
		if option.set {
			warn(path+option.name, problem)
		}
	}
}

// warnOfReserve tells of reserves that let requests on their way go far over the limit.
func (l *limit) warnOfReserve(path string, warn func(path, problem string)) {
	switch r := l.response; {
	case r == nil:
	case r.reserve == 0:
		warn(path, "is 0: all requests that come before one is answered go on, and one that breaks off costs nothing")
	case r.reserve < r.ownCost:
		warn(path, "is less than default, which an answer without a number costs: each request that is on its way when the "+
			"limit is reached goes over it by the difference")
	case r.reserve < r.mostTold/100:
		warn(path, "is less than a hundredth of max: requests that are on their way when the limit is reached may go far over "+
			"it, and one that breaks off costs no more: raise it to what answers cost")
	}
}

// fitsEverything reports whether a condition asks for nothing.
func fitsEverything(c *match.Condition) bool {
	if c.Hosts != nil || c.Methods != nil || c.Headers != nil {
		return false
	}
	if c.Paths == nil {
		return true
	}
	for i := range c.Paths {
		if c.Paths[i].String() == "/{**}" {
			return true
		}
	}
	return false
}

// always reports whether the limit applies to every request.
func (l *limit) always() bool {
	if l.sources != nil || len(l.except) > 0 || len(l.claims) > 0 || l.missing == skip && l.canMiss() {
		return false
	}
	for i := range l.conditions {
		if fitsEverything(&l.conditions[i]) {
			return true
		}
	}
	return len(l.conditions) == 0
}
