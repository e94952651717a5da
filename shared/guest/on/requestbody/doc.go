// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package requestbody exports proxy_on_request_body, so that the proxy calls OnHttpRequestBody.
// Import it for its effect.
package requestbody
