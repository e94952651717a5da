// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"math"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// Subject is what has conditions on claims.
type Subject struct {
	Name  string            // "rule"; empty: a provider, whose requests have no paths
	Match []match.Condition // that its requests fit
}

// Read reads one condition on a claim: a path and one operator.
func Read(o *conf.Object, s Subject) Claim {
	var c Claim
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
		readEquals(n.Object(), &c, s)
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

func readEquals(o *conf.Object, c *Claim, s Subject) {
	sources := 0
	if s.Name == "" {
		if o.Has(string(opPathVariable)) {
			o.FaultAt(string(opPathVariable), "a provider has no paths: ask for it in rules")
			sources++
		}
	} else if n, ok := o.At(string(opPathVariable)); ok {
		sources++
		c.op, c.text = opPathVariable, n.Text()
		if !everyPathHas(s.Match, c.text) && c.text != "" {
			n.Fault("not every path of the " + s.Name + " has {" + c.text + "}: the comparison would have nothing to compare with")
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
			if !slices.Contains(t.Variables(), variable) {
				return false
			}
		}
		if len(c.Paths) == 0 {
			return false
		}
	}
	return len(conditions) > 0
}
