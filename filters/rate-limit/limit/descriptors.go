// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// ServiceRate is one rate that the rate-limit service has to know: under the entries that Asks
// sends, limit=<Limit> and a key of any value, and tier=<Tier> behind them where it is that of a
// tier.
type ServiceRate struct {
	Limit    string
	Tier     string // empty: of who is in no tier
	Requests int64
	Unit     string // "minute": as envoyproxy/ratelimit names its windows

	Shadow bool  // the filter lets go what is over; the service is not to know, or the filter would not hear of it
	Burst  int64 // other than Requests where the configuration says so, which the service cannot
}

// units are the windows of envoyproxy/ratelimit that are not longer than maxPer. It has no multiples of them.
var units = [...]struct {
	name string
	per  time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}, {"day", 24 * time.Hour}}

// windows names them as rate.per does.
const windows = "1s, 1m, 1h and 24h"

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
	for i := range p.limits {
		l := &p.limits[i]
		if !l.global {
			continue
		}
		for _, r := range l.rates() {
			unit := unitOf(r.per)
			if unit == "" {
				faults = append(faults, conf.Fault{Path: l.path(i) + r.path() + "per",
					Problem: "is " + conf.Spell(r.per) + ", but envoyproxy/ratelimit counts in windows of " + windows +
						" only: " + instead(r)})
				continue
			}
			list = append(list, ServiceRate{l.name, r.tier, r.requests, unit, l.shadow, r.gcra.Burst()})
		}
	}
	if len(list)+len(faults) == 0 {
		faults = conf.Faults{{Path: "limits", Problem: "none has scope: global, so there is nothing for the service to know"}}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return list, nil
}

// instead says which rates in the next windows come to the same over time.
func instead(r *rate) string {
	var choices []string
	for i := len(units) - 1; i >= 0; i-- {
		u := &units[i]
		// The next shorter window and the next longer one.
		if u.per < r.per && (i+1 == len(units) || units[i+1].per > r.per) || u.per > r.per && units[i-1].per < r.per {
			if n := r.requests * int64(u.per/time.Second) / int64(r.per/time.Second); n >= 1 && n <= maxRequests {
				choices = append(choices, strconv.FormatInt(n, 10)+" per "+conf.Spell(u.per))
			}
		}
	}
	return strings.Join(append(choices, "scope: local"), ", or ")
}
