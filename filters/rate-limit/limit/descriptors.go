// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// ServiceRate is one rate that the rate-limit service has to know: under the entries that Asks
// sends, limit=<Limit> and a key of any value, and tier=<Tier> behind them where it is that of a
// tier.
type ServiceRate struct {
	Limit    string
	Tier     string // empty: of who is in no tier
	Requests int64  // 0: the service is not configured with it, as Brought says
	Brought  bool   // each request brings its own, from a claim; else it is unlimited, and the service is not asked
	Unit     string // "minute": as envoyproxy/ratelimit names its windows

	Shadow bool  // the filter lets go what is over; the service is not to know, or the filter would not hear of it
	Burst  int64 // other than Requests where the configuration says so, which the service cannot
}

// units are the windows of envoyproxy/ratelimit, a month as 30 days and a year as 365. It has no multiples of them.
var units = [...]struct {
	name string
	unit ratelimit.Unit
	per  time.Duration
}{{"second", ratelimit.Second, time.Second}, {"minute", ratelimit.Minute, time.Minute},
	{"hour", ratelimit.Hour, time.Hour}, {"day", ratelimit.Day, 24 * time.Hour},
	{"week", ratelimit.Week, 7 * 24 * time.Hour}, {"month", ratelimit.Month, 30 * 24 * time.Hour},
	{"year", ratelimit.Year, year}}

// windows names them as rate.per does, and overrides those of which a request can bring a limit.
const (
	windows   = "1s, 1m, 1h, 1d, 7d, 30d and 365d"
	overrides = "1s, 1m, 1h, 1d, 30d or 365d"
)

// overrideOf is the unit of a limit that a request brings; 0: there is none.
func overrideOf(per time.Duration) ratelimit.Unit {
	for _, u := range units {
		if u.per == per && u.unit <= ratelimit.Year {
			return u.unit
		}
	}
	return 0
}

// override is what the service is told of a rate that it cannot have in its configuration.
func (r *rate) override() (o ratelimit.Override) {
	if r.claim.path != nil {
		o = ratelimit.Override{Requests: uint32(r.requests), Unit: overrideOf(r.per)}
	}
	return o
}

func unitOf(per time.Duration) string {
	for _, u := range units {
		if u.per == per {
			return u.name
		}
	}
	return ""
}

// ServiceRates are those of the limits of scope: global, in the configuration's order, each limit's
// own before its tiers'. The error is conf.Faults: what cannot be said to the service, and what to
// say instead.
func (p *Policy) ServiceRates() (list []ServiceRate, err error) {
	var faults conf.Faults
	unlimited := false
	for i := range p.limits {
		l := &p.limits[i]
		if !l.global {
			continue
		}
		if unlimited = l.isUnlimited(); unlimited {
			continue
		}
		for _, r := range l.rates() {
			if r.unlimited || r.claim.path != nil {
				list = append(list, ServiceRate{Limit: l.name, Tier: r.tier, Brought: !r.unlimited, Shadow: l.shadow})
				continue
			}
			unit := unitOf(r.per)
			if unit == "" {
				faults = append(faults, conf.Fault{Path: l.path(i) + r.path() + "per",
					Problem: "is " + conf.SpellPeriod(r.per) + ", but envoyproxy/ratelimit counts in windows of " + windows +
						" only: " + instead(r)})
				continue
			}
			list = append(list, ServiceRate{l.name, r.tier, r.requests, false, unit, l.shadow, r.gcra.Burst()})
		}
	}
	if len(list)+len(faults) == 0 {
		problem := "none has scope: global, so there is nothing for the service to know"
		if unlimited {
			problem = "those of scope: global are unlimited, so there is nothing for the service to know"
		}
		faults = conf.Faults{{Path: "limits", Problem: problem}}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return list, nil
}

// isUnlimited reports whether no rate of the limit is one.
func (l *limit) isUnlimited() bool {
	for _, r := range l.rates() {
		if !r.unlimited {
			return false
		}
	}
	return true
}

// instead says which rates in the next windows come to the same over time.
func instead(r *rate) string {
	var choices []string
	for i := len(units) - 1; i >= 0; i-- {
		u := &units[i]
		// The next shorter window and the next longer one.
		if u.per < r.per && (i+1 == len(units) || units[i+1].per > r.per) || u.per > r.per && units[i-1].per < r.per {
			if n := r.requests * int64(u.per/time.Second) / int64(r.per/time.Second); n >= 1 && n <= maxRequests {
				choices = append(choices, strconv.FormatInt(n, 10)+" per "+conf.SpellPeriod(u.per))
			}
		}
	}
	return strings.Join(append(choices, "scope: local"), ", or ")
}
