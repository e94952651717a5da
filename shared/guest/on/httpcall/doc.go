// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package httpcall exports proxy_on_http_call_response, so that the proxy calls the callbacks given to DispatchHttpCall. Import it for its effect.
package httpcall
