// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package stamp signs requests at the edge and decides in the mesh whether a request carries such a
// stamp: short-lived, bound to the very request, and not seen before.
//
// Parse turns a configuration into a Policy of one of the two roles, once. Decide takes a request's
// headers and the time and gives a Decision, which has its verdict or waits for a Step that only
// the proxy can do: a signature, the body, the table of what has been seen. The package knows
// neither Envoy nor the clock; filter/ is what binds it to them.
//
// To add a deny reason: name it in errors.go, return it in verify.go, jws.go or message.go, and add
// its row to the tables in verify_test.go.
package stamp
