// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package guest

const notInGuest = 12 // Unimplemented: outside the guest there is no proxy

func defineCounter(string) (id, status uint32)      { return 0, notInGuest }
func incrementCounter(uint32) uint32                { return notInGuest }
func addToCounter(uint32, int64) uint32             { return notInGuest }
func responseHeaders() ([][2]string, uint32)        { return nil, notInGuest }
func responseBody(start, size int) ([]byte, uint32) { return nil, notInGuest }
func used() uint32                                  { return 0 }
func rewind(uint32)                                 {}
func requestHeaders() ([][2]string, uint32)         { return nil, notInGuest }
func setProperty(string, string) uint32             { return notInGuest }
func defineGauge(string) (id, status uint32)        { return 0, notInGuest }
func recordMetric(uint32, uint64) uint32            { return notInGuest }
func random([]byte) uint32                          { return notInGuest }
func property(string) ([]byte, uint32)              { return nil, notInGuest }
func sharedData([]byte) (value []byte, cas, status uint32) {
	return nil, 0, notInGuest
}
func setSharedData(key, value []byte, cas uint32) uint32 { return notInGuest }
