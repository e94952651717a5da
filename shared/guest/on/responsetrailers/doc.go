// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package responsetrailers exports proxy_on_response_trailers, so that the proxy calls
// OnHttpResponseTrailers. Import it for its effect.
package responsetrailers
