// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command jwt-scope is the Proxy-Wasm module of the jwt-scope filter.
package main

import (
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/filter"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick" // when to fetch keys
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() { plugin.Register(filter.Filter) }

func main() {} // never runs: the module is a library to the proxy
