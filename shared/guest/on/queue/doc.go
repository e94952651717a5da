// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package queue exports proxy_on_queue_ready, so that the proxy calls OnQueueReady of the plugin
// context. Import it for its effect.
package queue
