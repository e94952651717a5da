// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/guest"
)

// noCas is a comparison value that shared data gives to a record only after four thousand million others.
const noCas = 1<<32 - 1

// CreateShared makes a record of shared data where there is none. To be called at start: shared
// data cannot be deleted, and a comparison with a key that does not exist always succeeds
// (proxy-wasm-cpp-host, src/shared_data.cc), so of two VMs that swap a record which is not there,
// both would be the first. A comparison that fails for every record there is, and succeeds where
// there is none, lets whoever is first create it, and undoes nothing that another has begun.
func CreateShared(key string, value []byte) error {
	err := proxywasm.SetSharedData(key, value, noCas)
	if err == types.ErrorStatusCasMismatch {
		return nil
	}
	return err
}

// maxSwaps bounds how often one VM tries to change a record that others change, too.
const maxSwaps = 16

// SwapShared changes a record that all VMs share: change is given its content, and returns what is
// to be there; nil: it stays as it is. Where another VM has been faster, change is asked again,
// with what that one has left there: the last call counts.
func SwapShared(key []byte, change func(content []byte) (next []byte)) error {
	for range maxSwaps {
		content, cas, err := guest.SharedData(key)
		if err != nil {
			return err
		}
		next := change(content)
		if next == nil {
			return nil
		}
		if err = guest.SetSharedData(key, next, cas); err != guest.ErrChanged {
			return err
		}
	}
	return decide.ErrBusy
}

// ShareRandom fills b with bytes that nobody can guess, the same in every VM of the proxy that asks for the key.
func ShareRandom(key string, b []byte) error {
	if err := guest.Random(b); err != nil {
		return err
	}
	if err := CreateShared(key, b); err != nil {
		return err
	}
	value, _, err := guest.SharedData([]byte(key))
	if err != nil || copy(b, value) != len(b) {
		return guest.ErrSharedData
	}
	return nil
}
