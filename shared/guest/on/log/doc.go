// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package log exports proxy_on_log, so that the proxy calls OnHttpStreamDone. Import it for its effect.
package log
