// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package guest

import "github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"

func defineCounter(name string) (id, status uint32) { return abi.DefineCounter(name) }
func incrementCounter(id uint32) uint32             { return abi.IncrementCounter(id) }
func addToCounter(id uint32, n int64) uint32        { return abi.AddToCounter(id, n) }
func responseHeaders() ([][2]string, uint32)        { return abi.ResponseHeaders() }
func responseBody(start, size int) ([]byte, uint32) { return abi.ResponseBody(start, size) }
func used() uint32                                  { return abi.Used() }
func rewind(used uint32)                            { abi.Rewind(used) }
func requestHeaders() ([][2]string, uint32)         { return abi.RequestHeaders() }
func setProperty(name, value string) uint32         { return abi.SetProperty(name, value) }
func defineGauge(name string) (id, status uint32)   { return abi.DefineGauge(name) }
func recordMetric(id uint32, value uint64) uint32   { return abi.RecordMetric(id, value) }
func random(b []byte) uint32                        { return abi.Random(b) }
func property(path string) ([]byte, uint32)         { return abi.Property(path) }
func sharedData(key []byte) (value []byte, cas, status uint32) {
	return abi.SharedData(key)
}
func setSharedData(key, value []byte, cas uint32) uint32 { return abi.SetSharedData(key, value, cas) }
