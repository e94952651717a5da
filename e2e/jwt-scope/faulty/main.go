// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of jwt-scope that panics when a request's header x-fault asks for
// it, before the filter has looked at anything.
package main

import (
	"github.com/tollgate-wasm/tollgate/e2e/faulty"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() {
	faulty.Register(plugin.Register(filter.Filter), "x-fault", func(value string) {
		var list []int
		_ = list[len(value)]
	})
}

func main() {}
