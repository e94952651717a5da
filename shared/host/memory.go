// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"runtime"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/guest"
)

// memoryPeriod is how often a VM tells what memory it has.
const memoryPeriod = 10 * time.Second

// Memory is the gauge tollgate.<filter>.vm.memory_bytes: what one VM has taken from the proxy,
// which never gets any of it back; the proxy itself tells only how many VMs there are. All VMs
// write the same gauge, each in its turn.
type Memory struct {
	gauge guest.Gauge
	next  int64 // microseconds since the epoch
}

// NewMemory defines the gauge of a filter: "jwt_scope", for one.
func NewMemory(filter string) (m Memory, err error) {
	m.gauge, err = guest.DefineGauge("tollgate." + filter + ".vm.memory_bytes")
	return m, err
}

// Tick writes the gauge where that is due.
func (m *Memory) Tick(now time.Time) error {
	if now.UnixMicro() < m.next {
		return nil
	}
	m.next = now.Add(memoryPeriod).UnixMicro()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return m.gauge.Set(stats.Sys)
}
