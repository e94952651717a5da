// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !lean

package filter

import _ "github.com/tollgate-wasm/tollgate/shared/guest/direct/response/body" // for what is told in bodies

// toldOfBodies reports whether the proxy tells the module of the bodies of answers.
const toldOfBodies = true
