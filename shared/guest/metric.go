// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "errors"

// ErrMetric means that the proxy refused to define or to change a metric.
var ErrMetric = errors.New("the proxy refused a metric")

// Counter is a counter of the proxy. The SDK's own type does the same; but its error paths format
// with package fmt, and leaving the only uses of fmt out of the module saves a tenth of its size.
type Counter uint32

// DefineCounter returns the counter called name, which is made where it does not exist.
func DefineCounter(name string) (Counter, error) {
	id, status := defineCounter(name)
	if status != 0 {
		return 0, ErrMetric
	}
	return Counter(id), nil
}

// Increment adds one.
func (c Counter) Increment() error {
	if incrementCounter(uint32(c)) != 0 {
		return ErrMetric
	}
	return nil
}

// Add adds n, which is not negative.
func (c Counter) Add(n int64) error {
	if addToCounter(uint32(c), n) != 0 {
		return ErrMetric
	}
	return nil
}

// Gauge is a gauge of the proxy, shared by all VMs.
type Gauge uint32

// DefineGauge returns the gauge called name, which is made where it does not exist.
func DefineGauge(name string) (Gauge, error) {
	id, status := defineGauge(name)
	if status != 0 {
		return 0, ErrMetric
	}
	return Gauge(id), nil
}

// Set gives the gauge a value.
func (g Gauge) Set(value uint64) error {
	if recordMetric(uint32(g), value) != 0 {
		return ErrMetric
	}
	return nil
}
