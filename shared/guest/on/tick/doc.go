// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package tick exports proxy_on_tick, so that the proxy calls OnTick of the plugin context. Import it for its effect.
package tick
