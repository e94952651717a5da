// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"math"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/gcra"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// ofClaim says that a rate's requests stand in a verified claim. The rate's own number is for who has
// no such claim.
type ofClaim struct {
	path []string // empty: they do not
	most int64    // what a claim that says more counts as
}

// readRequests reads how many requests a rate lets through, and returns the most that it may be.
func (r *rate) readRequests(n conf.Node) (most int64) {
	if !n.IsObject() {
		r.requests = int64(n.Int(1, maxRequests))
		return r.requests
	}
	o := n.Object()
	if n, ok := o.Need("claim"); ok {
		r.claim.path = readPath(n)
	}
	if n, ok := o.Need("default"); ok {
		r.requests = int64(n.Int(1, maxRequests))
	}
	if n, ok := o.Need("max"); ok {
		if r.claim.most = int64(n.Int(1, maxRequests)); r.claim.most < r.requests {
			n.Fault("is less than default")
		}
	}
	o.End()
	return r.claim.most
}

// number is what a claim says: a whole number of at least one, however it is spelled. Anything else is
// what the configuration has for who has no such claim.
func (r *rate) number(claims gjson.Result) int64 {
	v, ok := jwt.Claim(claims, r.claim.path)
	switch {
	case !ok || v.Type != gjson.Number || v.Num < 1 || v.Num != math.Trunc(v.Num):
		return r.requests
	case v.Num > float64(r.claim.most):
		return r.claim.most
	}
	return int64(v.Num)
}

// gcraOf is a rate as it is counted, with room for what answers cost more than was reserved.
func (l *limit) gcraOf(requests int64, per time.Duration, burst int64) (g gcra.Limit, ok bool) {
	if g, ok = gcra.New(requests, per, burst); ok {
		g = g.Indebted(l.debt(burst))
	}
	return g, ok
}

// burstOf is how many may come at once of so many requests.
func (r *rate) burstOf(requests int64) int64 {
	if r.burst > 0 {
		return r.burst
	}
	return requests
}

// own is the rate of a request whose claim says how many there may be. It is the decision's, until the next request.
func (d *Decision) own(l *limit, r *rate) *rate {
	if d.spent == len(d.rates) {
		d.rates = append(d.rates, &rate{})
	}
	own := d.rates[d.spent]
	d.spent++
	*own = *r
	own.requests = r.number(d.claims)
	own.gcra, _ = l.gcraOf(own.requests, r.per, r.burstOf(own.requests)) // it is one: readRate has tried
	if l.global && d.policy.global.onError == onErrorLocal {
		own.fallback = l.shareOf(own, d.policy.global.replicas)
	}
	return own
}

// horizon is how far ahead a state of the rate can be in the table, whatever a claim says.
func (l *limit) horizon(r *rate, g *Global) int64 {
	if r.claim.path == nil {
		return max(r.gcra.Horizon(), r.fallback.Horizon())
	}
	least := *r
	least.requests = 1
	least.gcra, _ = l.gcraOf(1, r.per, r.burstOf(1))
	most := least.gcra.Horizon()
	if l.global && g.onError == onErrorLocal {
		share := l.shareOf(&least, g.replicas)
		most = max(most, share.Horizon())
	}
	// Where the burst goes with the number, it takes as long to come back as all of per does, and an
	// interval is rounded up to a nanosecond.
	return most + int64(r.per) + r.claim.most
}

// appendPolicy appends what RateLimit-Policy says of the rate.
func (r *rate) appendPolicy(dst []byte) []byte {
	if r.claim.path == nil {
		return append(dst, r.policy...)
	}
	dst = strconv.AppendInt(append(append(dst, r.item...), ";q="...), r.requests, 10)
	return strconv.AppendInt(append(dst, ";w="...), int64(r.per/time.Second), 10)
}

// share gives each of a global limit's rates what this proxy may let through alone.
func (l *limit) share(replicas int64) {
	for _, r := range l.rates() {
		if !r.unlimited {
			r.fallback = l.shareOf(r, replicas)
		}
	}
}

// shareOf is a rate's part of one of so many proxies, in bursts in which a request of the highest cost
// still fits. It is always a limit. A burst that would take longer to come back than a Limit can say
// comes back within that.
func (l *limit) shareOf(r *rate, replicas int64) gcra.Limit {
	burst := max(r.gcra.Burst()/replicas, l.cost.mostAsked, 1)
	if r.per <= gcra.MaxSpan/time.Duration(replicas) {
		if share, ok := l.gcraOf(r.requests, r.per*time.Duration(replicas), burst); ok {
			return share
		}
	}
	share, _ := l.gcraOf(burst, gcra.MaxSpan-time.Duration(burst), burst)
	return share
}
