// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"syscall"
)

// ErrRandom means that the proxy gave no random bytes.
var ErrRandom = errors.New("the proxy gave no random bytes")

// Random fills b, of at most 64 KiB, with bytes that nobody can guess. crypto/rand would do the
// same through a generator of its own, which takes 100 KB of the module.
func Random(b []byte) error {
	if random(b) != 0 {
		return ErrRandom
	}
	return nil
}

// Env is a variable of the VM's environment (vm_config.environment_variables).
func Env(name string) (value string, ok bool) { return syscall.Getenv(name) }
