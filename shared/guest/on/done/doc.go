// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package done exports proxy_on_done, so that the proxy calls OnPluginDone. Import it for its effect.
package done
