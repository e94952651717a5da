// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/guest"
	"github.com/tollgate-wasm/tollgate/shared/host"
	"github.com/tollgate-wasm/tollgate/shared/host/wait"
	"github.com/tollgate-wasm/tollgate/shared/inflight"
)

// flights are what limits that count requests on their way have in common with those of other VMs: a table, and a
// record for each limit, of how many are on their way in all.
type flights struct {
	*table
	records map[string][]byte // their keys, by the limit's name
	gauges  []guest.Gauge     // by limit; 0: it has none
	pace    uint32            // of ticks, in milliseconds
}

// openFlights makes ready what limits of requests at once need; nil: there are none.
func (s *state) openFlights(filter string) error {
	buckets := s.policy.Flights()
	if buckets == 0 {
		return nil
	}
	name := "tollgate.flight.1\x00" + filter + "\x00"
	t, err := openBuckets(name, buckets, inflight.Empty())
	if err != nil {
		return err
	}
	var id [4]byte
	if err = guest.Random(id[:]); err != nil {
		return err
	}
	s.policy.SetVM(binary.LittleEndian.Uint32(id[:]))
	f := &flights{table: t, records: map[string][]byte{}, gauges: make([]guest.Gauge, s.policy.Limits())}
	for i := range f.gauges {
		if !s.policy.IsConcurrency(i) {
			continue
		}
		limit := s.policy.RuleName(i)
		key := name + "total\x00" + limit
		if err = host.CreateShared(key, inflight.Empty()); err != nil {
			return err
		}
		f.records[limit] = []byte(key)
		if f.gauges[i], err = guest.DefineGauge("tollgate." + Name + ".rule." + limit + ".in_flight"); err != nil {
			return err
		}
	}
	s.flights, s.world.Flight = f, t.swap
	// Often enough that what lasts is renewed in time.
	f.pace = uint32(min(wait.Calm, max(s.policy.Renewal().Milliseconds()/2, wait.Busy)))
	s.host.Pace().AtLeast(f.pace)
	return nil
}

// tick renews what this VM has on its way, and tells how much that is.
func (s *state) tick(now time.Time, turn *wait.Turn) (next uint32) {
	if s.flights == nil {
		return wait.Idle
	}
	if s.policy.Renew(now, s.world.Flight, turn.Next) {
		return wait.AtOnce
	}
	s.policy.InFlight(now, func(limit string, change func([]byte) []byte) error {
		return host.SwapShared(s.flights.records[limit], change)
	}, func(limit int, total int64) {
		if err := s.flights.gauges[limit].Set(uint64(total)); err != nil {
			panic(err)
		}
	})
	return s.flights.pace
}
