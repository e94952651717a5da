// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// noCas is a comparison value that shared data gives to a record only after four thousand million others.
const noCas = 1<<32 - 1

// CreateShared makes a record of shared data where there is none. To be called at start: shared data cannot be deleted, and a comparison with a key that does not exist always succeeds
// (proxy-wasm-cpp-host, src/shared_data.cc), so of two VMs that swap a record which is not there, both would be the first. A comparison that fails for every record there is, and
// succeeds where there is none, lets whoever is first create it, and undoes nothing that another has begun.
func CreateShared(key string, value []byte) error {
	err := proxywasm.SetSharedData(key, value, noCas)
	if err == types.ErrorStatusCasMismatch {
		return nil
	}
	return err
}
