// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package guest

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/guest/internal/abi"
)

// Now is the proxy's wall clock. time.Now asks it twice, once for the monotonic time that nobody
// here uses, and a call out of the VM costs as much as the rest of a decision. Where the proxy does
// not tell the time it panics: without a clock nothing expires.
func Now() time.Time {
	ns, status := abi.Nanoseconds()
	if status != 0 {
		panic("the proxy does not tell the time")
	}
	return time.Unix(0, ns)
}
