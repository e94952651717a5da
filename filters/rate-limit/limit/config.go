// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
)

// config is what the user wrote, read and checked.
type config struct {
	shadow       bool
	literalPaths bool
	standard     bool // RateLimit and RateLimit-Policy
	legacy       bool // x-ratelimit-limit, -remaining and -reset
	limits       []limit
	sourcesFrom  int     // hops of forwardedFor; 0: sources are compared with source.address
	global       *Global // nil: no limit is global
	table        gcra.Table
	warnings     []conf.Fault
}

// limit is one of the configuration's.
type limit struct {
	name       string
	conditions []match.Condition
	selection
	key        []part // empty: one bucket for all
	rate       rate   // of who is in no tier
	tierClaim  []string
	tierHeader string // in place of tierClaim
	tiers      []*rate
	shadow     bool
	global     bool // scope
	missing    missing
	cost       cost
	mark       mark

	counts      *statuses       // of answers; nil: requests are counted
	response    *responseCost   // nil: the request tells what it costs
	concurrency *inflight.Limit // in place of rate; nil: of a rate
	reserves    *inflight.Limit // what requests that are not answered yet reserve; nil: nothing
}

// rate is how much a limit lets through for one key.
type rate struct {
	tier      string // the claim's value, or the header's; empty: for who is in no tier
	unlimited bool   // nothing is counted, and nothing else is set
	requests  int64
	claim     ofClaim
	per       time.Duration
	burst     int64 // as configured; 0: as many as requests
	gcra      gcra.Limit
	fallback  gcra.Limit // of a global limit under onError: local: this proxy's share of it
	item      string     // "per-user", as the headers name the limit
	policy    string     // "per-user";q=600;w=60

	shared, fallbackShared uint64 // tags of what keys without a place in the table share
}

// missing is what becomes of a request that lacks a part of the key.
type missing string

const (
	skip   missing = "skip"   // the limit does not apply
	deny   missing = "deny"   // 403 key_missing
	shared missing = "shared" // all such requests have one bucket
)

// cost is how many requests one counts as.
type cost struct {
	header    string // empty: all cost the default
	ownCost   int64  // default
	mostAsked int64  // max
}

// Global says how limits of all proxies are asked for, by Envoy's rate-limit service.
type Global struct {
	ratelimit.Service

	onError   onError
	replicas  int64 // proxies that share the limits
	lease     int64 // hits that are taken ahead in one call, at most; 0: none
	leasePer  time.Duration
	plainKeys bool
	recheck   time.Duration // how long a key is remembered as over its limit before the service is asked again
}

// onError is what becomes of a request when the service does not tell.
type onError string

const (
	onErrorLocal onError = "local" // this proxy's share of the limit, in the local table
	onErrorAllow onError = "allow"
	onErrorDeny  onError = "deny" // 503 limiter_unavailable
)

// Limits of what is configured.
const (
	maxRequests = 1_000_000_000
	maxPer      = 31 * 24 * time.Hour
	year        = 365 * 24 * time.Hour // the longest window of the rate-limit service
)

// readConfig returns what text says, or conf.Faults.
func readConfig(text string) (*config, error) {
	r, o := conf.Read(text)
	o.Enum("filter", "rate-limit") // whose configuration it is
	c := &config{
		shadow:       o.Enum("mode", "enforce", "shadow") == "shadow",
		literalPaths: o.Enum("ambiguousPath", "reject", "literal") == "literal",
		table:        gcra.Table{Entries: 1 << 16},
	}
	switch o.Enum("headers", "standard", "legacy", "both", "none") {
	case "standard":
		c.standard = true
	case "legacy":
		c.legacy = true
	case "both":
		c.standard, c.legacy = true, true
	}
	if n, ok := o.At("table"); ok {
		t := n.Object()
		c.table.Entries = t.Int("entries", c.table.Entries, 1, 1<<20)
		t.End()
	}
	if n, ok := o.At("global"); ok {
		c.global = readGlobal(n.Object())
	}
	c.sourcesFrom = readSourcesFrom(o)
	if n, ok := o.Need("limits"); ok {
		for _, item := range n.List() {
			c.readLimit(item.Object())
		}
	}
	c.checkGlobal(o)
	c.checkSelection(o)
	c.checkMarks()
	o.End()
	c.warnings = r.Warnings()
	if err := r.Err(); err != nil {
		return nil, err
	}
	for i := range c.limits {
		for _, r := range c.limits[i].rates() {
			c.table.Horizon = max(c.table.Horizon, c.limits[i].horizon(r, c.global))
		}
	}
	return c, nil
}

// rates are all of a limit's.
func (l *limit) rates() []*rate { return append([]*rate{&l.rate}, l.tiers...) }

func (c *config) readLimit(o *conf.Object) {
	l := limit{shadow: c.shadow, cost: cost{ownCost: 1, mostAsked: 1}}
	l.name = o.Name()
	l.readSelection(o, c.literalPaths)
	if n, ok := o.At("mode"); ok {
		l.shadow = n.Enum("enforce", "shadow") == "shadow"
	}
	l.readOnExceeded(o)
	l.global = o.Enum("scope", "local", "global") == "global"
	l.readKey(o)
	l.missing = missing(o.Enum("onMissingKey", string(skip), string(deny), string(shared)))
	if o.Has("onMissingKey") && !l.canMiss() {
		o.WarnAt("onMissingKey", "has no effect: no part of the key can be missing")
	}
	l.readCounts(o)
	l.readCost(o)
	if n, ok := o.At("concurrency"); ok {
		l.readConcurrency(o, n)
	} else if n, ok := o.Need("rate"); ok {
		l.rate = l.readRate(n, "")
	}
	if n, ok := o.At("tiers"); ok && l.concurrency == nil {
		l.readTiers(n.Object())
	}
	if l.global && c.global != nil && c.global.onError == onErrorLocal {
		l.share(c.global.replicas)
	}
	o.End()
	c.limits = append(c.limits, l)
}

func (l *limit) readCost(o *conf.Object) {
	n, ok := o.At("cost")
	if !ok {
		return
	}
	c := n.Object()
	if n, ok := c.At("response"); ok {
		l.readResponseCost(c, n)
		c.End()
		return
	}
	l.cost.ownCost = int64(c.Int("default", 1, 0, maxRequests))
	l.cost.mostAsked = l.cost.ownCost
	if n, ok := c.At("header"); ok {
		l.cost.header = forward.ReadHeaderName(n)
		if n, ok := c.Need("max"); ok {
			if l.cost.mostAsked = int64(n.Int(1, maxRequests)); l.cost.mostAsked < l.cost.ownCost {
				n.Fault("is less than default")
			}
		}
	} else if n, ok := c.At("max"); ok {
		n.Int(1, maxRequests)
		n.Warn("has no effect without header: every request costs the default")
	}
	c.End()
}

func (l *limit) readRate(n conf.Node, tier string) rate {
	r := rate{tier: tier}
	if n.IsString() {
		n.Enum("unlimited")
		r.unlimited = true
		return r
	}
	o := n.Object()
	n, hasRequests := o.Need("requests")
	most := int64(0)
	if hasRequests {
		most = r.readRequests(n)
	}
	per, hasPer := o.Need("per")
	if hasPer {
		r.per = per.Period(l.isPeriod)
		if l.global && r.claim.path != nil && overrideOf(r.per) == 0 && r.per > 0 {
			per.Fault("is " + conf.SpellPeriod(r.per) + ", but what a claim says goes to the rate-limit service with each " +
				"request, for a window of " + overrides + " only")
		}
	}
	if n, ok := o.At("burst"); ok {
		r.burst = int64(n.Int(1, maxRequests))
	}
	o.End()
	if r.requests == 0 || r.per == 0 {
		return r
	}
	if most > gcra.MaxPerSecond*int64(r.per/time.Second) {
		n.Fault("is over 1000000 a second")
		return r
	}
	if r.gcra, hasRequests = l.gcraOf(r.requests, r.per, r.burstOf(r.requests)); !hasRequests {
		o.FaultAt("burst", "takes over 20 years to come back at this rate")
	}
	if _, ok := l.gcraOf(1, r.per, r.burstOf(1)); hasRequests && r.claim.path != nil && !ok {
		o.FaultAt("burst", "takes over 20 years to come back where a claim says 1: lower it, or leave it out")
	}
	least := r.burstOf(r.requests)
	if l.global {
		least = r.requests // the service knows no burst
	}
	if l.cost.mostAsked > least {
		o.Fault("lets no request of the highest cost through, which is " + strconv.FormatInt(l.cost.mostAsked, 10) +
			": raise " + map[bool]string{false: "burst", true: "requests"}[l.global])
	}
	r.item, r.policy = policyItem(l.name, r.requests, "", int64(r.per/time.Second))
	return r
}

// isPeriod says what is wrong with a period.
func (l *limit) isPeriod(per time.Duration) (problem string) {
	switch {
	case l.global && per == year:
	case per < time.Second || per > maxPer:
		problem = "must be from 1s to 31d"
		if l.global {
			problem += ", or 365d"
		}
	case per%time.Second != 0:
		problem = "want whole seconds: RateLimit-Policy has no smaller ones"
	}
	return problem
}

// policyItem serialises what RateLimit-Policy says of a limit
// (draft-ietf-httpapi-ratelimit-headers). unit: of the quota; empty: requests. window: in seconds;
// 0: none. A name that is none has a fault already.
func policyItem(name string, quota int64, unit string, window int64) (item, policy string) {
	i := sfv.Item{Value: sfv.Value{Kind: sfv.String, Text: name}}
	b, err := sfv.AppendItem(nil, &i)
	if err != nil {
		return "", ""
	}
	i.Parameters = []sfv.Parameter{{Name: "q", Value: sfv.Value{Kind: sfv.Integer, Int: quota}}}
	if unit != "" {
		i.Parameters = append(i.Parameters, sfv.Parameter{Name: "qu", Value: sfv.Value{Kind: sfv.String, Text: unit}})
	}
	if window > 0 {
		i.Parameters = append(i.Parameters, sfv.Parameter{Name: "w", Value: sfv.Value{Kind: sfv.Integer, Int: window}})
	}
	p, err := sfv.AppendItem(nil, &i)
	if err != nil {
		return "", ""
	}
	return string(b), string(p)
}

func (l *limit) readTiers(o *conf.Object) {
	if n, ok := o.At("header"); ok {
		l.tierHeader = forward.ReadHeaderName(n)
		if n, ok := o.At("claim"); ok {
			n.Fault("stands beside header: tiers go by one of them")
		}
	} else if n, ok := o.At("claim"); ok {
		l.tierClaim = readPath(n)
	} else if o.IsObject() {
		o.FaultAt("claim", "is required, or header")
	}
	if n, ok := o.Need("values"); ok {
		values := n.Object()
		names := values.Names()
		if n.IsObject() && len(names) == 0 {
			n.Fault("is empty: name at least one tier, or leave tiers out")
		}
		for _, name := range names {
			if v, ok := values.At(name); ok {
				if name == "" {
					v.Fault("no tier is called by nothing")
				}
				r := l.readRate(v, name)
				l.tiers = append(l.tiers, &r)
			}
		}
	}
	o.End()
}

// readPath reads the path of a claim.
func readPath(n conf.Node) (path []string) {
	for _, name := range n.List() {
		path = append(path, name.Text())
	}
	return path
}

func readGlobal(o *conf.Object) *Global {
	g := &Global{Service: ratelimit.ReadService(o, 20*time.Millisecond)}
	g.onError = onError(o.Enum("onError", string(onErrorLocal), string(onErrorAllow), string(onErrorDeny)))
	g.replicas = int64(o.Int("replicas", 1, 1, 1000))
	if o.Has("replicas") && g.onError != onErrorLocal && !o.Has("lease") {
		o.WarnAt("replicas", "has no effect: it is used by onError: local and by lease only")
	}
	if n, ok := o.At("lease"); ok {
		lease := n.Object()
		if n, ok := lease.Need("requests"); ok {
			g.lease = int64(n.Int(2, 1_000_000))
		}
		if n, ok := lease.Need("per"); ok {
			g.leasePer = n.Duration(100*time.Millisecond, time.Hour)
		}
		lease.End()
	}
	g.plainKeys = o.Bool("plainKeys", false)
	g.recheck = o.Duration("recheck", 5*time.Second, 100*time.Millisecond, 24*time.Hour)
	o.End()
	return g
}

// checkGlobal holds what limits ask for against what there is to ask.
func (c *config) checkGlobal(o *conf.Object) {
	wanted := false
	for i := range c.limits {
		wanted = wanted || c.limits[i].global
	}
	switch {
	case wanted && c.global == nil:
		o.FaultAt("global", "is required: a limit of scope: global has to ask the rate-limit service")
	case !wanted && c.global != nil:
		o.WarnAt("global", "has no effect: no limit has scope: global")
		c.global = nil
	}
}
