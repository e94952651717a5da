// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package responseheaders exports proxy_on_response_headers, so that the proxy calls
// OnHttpResponseHeaders. Import it for its effect.
package responseheaders
