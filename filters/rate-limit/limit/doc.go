// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package limit decides whether a request is within the limits that fit it: those of this proxy,
// counted in a table that its workers share, and those of all proxies, counted by Envoy's
// rate-limit service.
//
// Parse turns a configuration into a Policy, once. Decide takes a request's headers and the time
// and gives a Decision, which has its verdict or waits for a Step that only the proxy can do: read
// who sends the request, swap a bucket of the table, ask the service. The package knows neither
// Envoy nor the clock; filter/ is what binds it to them.
//
// select.go tells which limits are for a request, mark.go what becomes of one that goes on although it
// is over a limit.
//
// To add a key part: read it in config_key.go and append it in key.go. To add a deny reason: name
// it in errors.go and return it in decide.go.
package limit
