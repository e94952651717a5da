// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// LogRefused logs why a configuration is not taken, a line for each fault.
func LogRefused(filter string, err error) {
	proxywasm.LogCritical(filter + ": the configuration is refused:")
	for _, line := range strings.Split(err.Error(), "\n") {
		proxywasm.LogCritical(filter + ":   " + line)
	}
}
