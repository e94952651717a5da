// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"
	"testing"
)

func TestServiceRates(t *testing.T) {
	p := parse(t, with(limitsConfig(
		`{"name":"local","rate":{"requests":5,"per":"7s"}}`,
		`{"name":"user","scope":"global","key":[{"claim":["sub"]}],"rate":{"requests":600,"per":"60s"},"tiers":{"claim":["plan"],"values":{"tin":{"requests":1,"per":"1s","burst":3},"gold":{"requests":1000000000,"per":"24h"}}}}`,
		`{"name":"all","scope":"global","mode":"shadow","rate":{"requests":7,"per":"60m"}}`), service))
	got, err := p.ServiceRates()
	want := []ServiceRate{
		{"user", "", 600, false, "minute", false, 600}, {"user", "tin", 1, false, "second", false, 3},
		{"user", "gold", 1_000_000_000, false, "day", false, 1_000_000_000}, {"all", "", 7, false, "hour", true, 7},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What the service cannot be told is a fault each, with what to say instead.
func TestServiceRatesFaults(t *testing.T) {
	p := parse(t, with(limitsConfig(
		`{"name":"local","rate":{"requests":5,"per":"7s"}}`,
		`{"name":"user","scope":"global","rate":{"requests":100,"per":"5m"},"tiers":{"claim":["plan"],"values":{"gold":{"requests":1,"per":"2s"},"tin":{"requests":2,"per":"1m"}}}}`,
		`{"name":"all","scope":"global","rate":{"requests":1000000000,"per":"12h"}}`), service))
	const but = ", but envoyproxy/ratelimit counts in windows of 1s, 1m, 1h, 1d, 7d, 30d and 365d only: "
	const want = "limits[1].rate.per: is 5m" + but + "1200 per 1h, or 20 per 1m, or scope: local\n" +
		"limits[1].tiers.values.gold.per: is 2s" + but + "30 per 1m, or scope: local\n" +
		"limits[2].rate.per: is 12h" + but + "83333333 per 1h, or scope: local"
	if list, err := p.ServiceRates(); list != nil || err == nil || err.Error() != want {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := parse(t, limitsConfig(limitConfig(""))).ServiceRates(); err == nil ||
		err.Error() != "limits: none has scope: global, so there is nothing for the service to know" {
		t.Error(err)
	}
}

// What the service is not configured with: rates that requests bring, and what is unlimited.
func TestServiceRatesBrought(t *testing.T) {
	const number = `{"requests":{"claim":["q"],"default":5,"max":9},"per":"30d"}`
	p := parse(t, with(limitsConfig(
		`{"name":"free","scope":"global","rate":"unlimited","tiers":{"claim":["plan"],"values":{"a":"unlimited"}}}`,
		`{"name":"staff","scope":"global","rate":"unlimited","tiers":{"claim":["plan"],"values":{"tin":{"requests":1,"per":"7d"}}}}`,
		`{"name":"own","scope":"global","rate":`+number+`,"tiers":{"claim":["plan"],"values":{"gold":"unlimited"}}}`,
		`{"name":"long","scope":"global","rate":{"requests":3,"per":"365d"},"tiers":{"claim":["plan"],"values":{"own":`+
			number+`,"tin":{"requests":1,"per":"30d"}}}}`), service))
	got, err := p.ServiceRates()
	want := []ServiceRate{
		{Limit: "staff"}, {"staff", "tin", 1, false, "week", false, 1},
		{Limit: "own", Brought: true}, {Limit: "own", Tier: "gold"},
		{"long", "", 3, false, "year", false, 3}, {Limit: "long", Tier: "own", Brought: true},
		{"long", "tin", 1, false, "month", false, 1},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parse(t, with(limitsConfig(`{"name":"free","scope":"global","rate":"unlimited"}`), service)).ServiceRates(); err == nil ||
		err.Error() != "limits: those of scope: global are unlimited, so there is nothing for the service to know" {
		t.Error(err)
	}
	p = parse(t, with(limitsConfig(`{"name":"a","scope":"global","rate":{"requests":90,"per":"10d"}}`), service))
	if _, err := p.ServiceRates(); err == nil || err.Error() != "limits[0].rate.per: is 10d, but envoyproxy/ratelimit counts in "+
		"windows of 1s, 1m, 1h, 1d, 7d, 30d and 365d only: 270 per 30d, or 63 per 7d, or scope: local" {
		t.Error(err)
	}
}
