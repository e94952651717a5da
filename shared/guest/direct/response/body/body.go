// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package body has the followers of package response told of the bodies of responses. Import it for
// its effect: the module exports proxy_on_response_body and proxy_on_response_trailers, and the
// proxy calls it for each part of every response (RATIONALE.md tells what that costs).
package body
