// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Command faulty is a test build of tollgate.wasm whose VM traps when a request's header x-trap asks
// for it: the fault handler panics, too, so that nothing is left to answer with.
package main

import (
	"github.com/tollgate-wasm/tollgate/e2e/faulty"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/module"
	"github.com/tollgate-wasm/tollgate/shared/guest"
	_ "github.com/tollgate-wasm/tollgate/shared/guest/on/tick"
)

func init() {
	faulty.Register(module.Register(), "x-trap", func(string) { panic("as asked for") })
	guest.OnFault(func(f guest.Fault) { panic(f.Value) })
}

func main() {}
