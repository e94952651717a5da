// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package httpcall has the proxy's answers to HTTP calls go to the callbacks given to the SDK's
// DispatchHttpCall. Import it for its effect.
package httpcall
