// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command edge-stamp is the Proxy-Wasm module of the edge-stamp filter.
package main

import (
	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/filter"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick" // when to fetch keys, and when a body has taken too long
	"github.com/tollgate-wasm/tollgate/shared/host/plugin"
)

func init() { plugin.Register(filter.Filter) }

func main() {} // never runs: the module is a library to the proxy
