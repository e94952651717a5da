// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command tollgate is the Proxy-Wasm module that carries all filters, alone or in chains.
package main

import (
	"github.com/tollgate-wasm/tollgate/filters/tollgate/module"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
)

func init() { module.Register() }

func main() {} // never runs: the module is a library to the proxy
