// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import "errors"

// Errors of shared data. ErrChanged is the only one after which it makes sense to try again.
var (
	ErrSharedData = errors.New("the proxy refused shared data, or has none of that name")
	ErrChanged    = errors.New("somebody else has changed the shared data")
)

const casMismatch = 8 // a status of the ABI

// SharedData returns what all VMs of the same vm_id have under a key, and the number by which
// SetSharedData knows whether it has changed since. The SDK's functions of the same names allocate;
// these are for what is done for every request.
func SharedData(key []byte) (value []byte, cas uint32, err error) {
	value, cas, status := sharedData(key)
	if status != 0 {
		return nil, 0, ErrSharedData
	}
	return value, cas, nil
}

// SetSharedData sets what SharedData has returned with cas, unless it has changed: then it returns ErrChanged.
func SetSharedData(key, value []byte, cas uint32) error {
	switch setSharedData(key, value, cas) {
	case 0:
		return nil
	case casMismatch:
		return ErrChanged
	}
	return ErrSharedData
}
