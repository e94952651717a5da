// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package httpcall

import "time"

// Send is described in the file for the guest. Outside of it there is no proxy.
func Send(plugin, stream uint32, cluster string, headers [][2]string, body []byte, timeout time.Duration,
	done func(Answer)) error {
	return ErrCall
}
