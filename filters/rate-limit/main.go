// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command rate-limit is the Proxy-Wasm module of the rate-limit filter.
package main

import (
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/filter"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick" // when to tell of the VM's memory
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() { plugin.Register(filter.Filter) }

func main() {} // never runs: the module is a library to the proxy
