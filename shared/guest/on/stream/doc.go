// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package stream exports proxy_on_context_create, proxy_on_request_headers and proxy_on_delete, so
// that the proxy's streams become the SDK's HTTP contexts. Import it for its effect. A filter that
// keeps nothing of most requests takes package direct instead, never both.
package stream
