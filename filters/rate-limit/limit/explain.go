// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/condition"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Explain tells of a decision that is done: of every limit whether it fits, and of those that do
// what they count by.
func (d *Decision) Explain() (e decide.Explanation) {
	p := d.policy
	if d.verdict.Reason() == verdict.PathAmbiguous {
		return e
	}
	hits := d.hits
	if p.rules != nil {
		hits = d.hits[:d.kept]
	}
	for i := range p.limits {
		why := match.Why(p.limits[i].conditions, &d.request)
		if why == "" && p.rules != nil {
			why = d.leftOut(i)
		}
		e.Rules = append(e.Rules, match.Fit{Name: p.limits[i].name, Why: why})
	}
	for i := range hits {
		e.Checks = append(e.Checks, d.explain(&hits[i]))
	}
	return e
}

// explain tells of a limit that fits.
func (d *Decision) explain(hit *match.Hit) decide.Check {
	l := &d.policy.limits[hit.Rule]
	r := d.rateOf(l)
	c := decide.Check{What: "limit " + l.name, Outcome: "not counted"}
	for i := range d.list {
		if code := d.list[i].code; d.list[i].index == hit.Rule && code != nil {
			if c.Outcome = code.Name; code != verdict.OK {
				c.Code = code
			}
		}
	}
	switch c.Said = "unlimited"; {
	case l.concurrency != nil:
		c.Said = strconv.FormatInt(l.concurrency.Most, 10) + " requests at once, over all workers of the proxy"
	case !r.unlimited:
		per := r.per.String()
		if r.per >= 24*time.Hour {
			per = conf.SpellPeriod(r.per)
		}
		c.Said = strconv.FormatInt(r.requests, 10) + " requests per " + per
		if r.claim.path != nil {
			c.Said += " by the claim " + strings.Join(r.claim.path, ".") + d.saidOf(r)
		}
		c.Said += ", burst " + strconv.FormatInt(r.gcra.Burst(), 10) +
			", " + l.costs(d.headers)
	}
	if r.tier != "" {
		c.Said += ", tier " + r.tier
		if l.tierHeader != "" {
			c.Said += " by the header " + l.tierHeader
		}
	}
	switch key, how := d.appendKey(nil, l, hit); {
	case how == absent:
		c.Said += ", a part of its key is missing"
	case how == unreadable:
		c.Said += ", a part of its key cannot be read: one bucket for all such requests"
	case readable(key) != "":
		c.Said += ", key " + readable(key)
	default:
		c.Said += ", one bucket for all"
	}
	if l.group != "" {
		c.Said += ", first of the group " + l.group
	}
	if l.global && !r.unlimited {
		c.Said += ", global: without the service, onError decides"
	}
	if c.Code == RateLimited && l.mark.header != "" && !l.shadow {
		c.Outcome, c.Code = "marked", nil
		c.Said += ", the request goes on with this limit's name in " + l.mark.header
	}
	if l.shadow {
		c.Said += ", in shadow mode"
	}
	return c
}

// costs tells what a request costs, and when.
func (l *limit) costs(headers [][2]string) (said string) {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch r := l.response; {
	case r == nil && l.counts == nil:
		return "cost " + number(l.cost.of(headers))
	case r == nil:
		said = "cost " + number(l.cost.of(headers))
	default:
		said = "a reserve of " + number(r.reserve) + ", settled by what the answer says, at most " + number(r.mostTold)
	}
	if l.counts != nil {
		said += ", only where the answer has one of the statuses of counts"
	}
	return said
}

// saidOf tells what a claim has in place of a number of requests.
func (d *Decision) saidOf(r *rate) string {
	v, ok := jwt.Claim(d.claims, r.claim.path)
	switch {
	case !ok:
		return ", which is not there: default"
	case v.Type != gjson.Number || float64(r.requests) != v.Num:
		return ", which is " + v.Raw
	}
	return ""
}

// leftOut tells why a limit is not for a request that fits one of its entries; empty: it is, or that is
// not known.
func (d *Decision) leftOut(index int) string {
	p, l := d.policy, &d.policy.limits[index]
	for i := range d.kept {
		if d.hits[i].Rule == index {
			return ""
		}
	}
	if !d.chosen && d.refused >= 0 {
		if last := d.list[d.refused].index; index == last {
			return "nobody knows whether it applies: the proxy does not say who sends the request"
		} else if index > last {
			return "it is not looked at any more"
		}
	}
	all, _ := p.index.All(&d.request, nil)
	var hits, except []match.Hit
	for _, h := range all {
		if r := &p.rules[h.Rule]; r.limit == index && r.except {
			except = append(except, h)
		} else if r.limit == index {
			hits = append(hits, h)
		}
	}
	fitting := -1
	for i, h := range hits {
		if s := p.rules[h.Rule].sources; fitting < 0 && (s == nil || d.how != found || hasAddress(s, d.client)) {
			fitting = i
		}
	}
	if fitting < 0 {
		return "the address " + d.client.text() + " is in none of the sources"
	}
	for _, h := range except {
		if s := p.rules[h.Rule].sources; s == nil || d.how == found && hasAddress(s, d.client) {
			return "it is excepted by " + p.exception(h.Rule)
		}
	}
	r := condition.Request{Headers: d.headers, Host: d.request.Host, Hit: &hits[fitting]}
	for i := range l.claims {
		if c := &l.claims[i]; d.have&needIdentity != 0 && !c.Fits(&r, d.claims) && !c.Unreadable(&r, d.claims) {
			return "a claim does not hold: " + c.Explain(d.claims)
		}
	}
	for i := range d.kept {
		other := &p.limits[d.hits[i].Rule]
		if l.group != "" && d.hits[i].Rule < index && other.group == l.group && other.shadow == l.shadow {
			return "of the group " + l.group + " the limit " + other.name + " applies"
		}
	}
	if l.group == "" {
		return ""
	}
	return "a part of its key is missing"
}

// exception names an entry of except by its rule in the index.
func (p *Policy) exception(rule int) string {
	entry := 0
	for i := rule - 1; i >= 0 && p.rules[i].limit == p.rules[rule].limit && p.rules[i].except; i-- {
		entry++
	}
	return "except[" + strconv.Itoa(entry) + "]"
}

// text is how an address is written.
func (a address) text() string {
	if a.size == 16 {
		return shortened(a)
	}
	return string(appendAddressText(nil, a.bytes[:a.size]))
}
