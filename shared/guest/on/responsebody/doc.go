// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package responsebody exports proxy_on_response_body, so that the proxy calls OnHttpResponseBody.
// Import it for its effect.
package responsebody
