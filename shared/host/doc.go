// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package host is what the filters share of the proxy: answering, counting, logging, checking
// signatures, and what happens after a panic. With the filters' own glue it is all that imports the
// SDK.
//
// Every error of a host call reaches the caller, and the caller refuses the request.
package host
