// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package guest

import "time"

// Now is the wall clock.
func Now() time.Time { return time.Now() }
