// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package requesttrailers exports proxy_on_request_trailers, so that the proxy calls
// OnHttpRequestTrailers. Import it for its effect.
package requesttrailers
