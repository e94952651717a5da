// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package harness runs tests in a real Envoy.
//
//	harness.Each(t, func(t *testing.T, version string) {
//		up := harness.StartUpstream(t)
//		envoy := harness.Start(t, harness.Config{Version: version, Upstream: up.Port(),
//			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)}})
//		answer := harness.HTTP1(t, envoy.Address("main"), "GET /orders HTTP/1.1\r\nHost: api.example\r\n\r\n")
//		…
//	})
//
// What is sent is exactly what the test wrote, down to the bytes of the path and the order of the
// headers, and what reached the upstream is kept the same way: a client library would mend the
// requests that matter here. Envoy's ports are free ones, its log is printed when a test fails, and
// it ends with the test.
package harness
