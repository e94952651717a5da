// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package backends finds what global rate limits need behind the proxy, a Redis and Envoy's
// rate-limit service (envoyproxy/ratelimit), or installs them, and runs them for tests and the
// demo: the real programs, without a container engine.
//
// Each is looked for in a variable ($REDIS_SERVER, $RATELIMIT), on PATH, and in the project's
// cache, where it is put if need be. Nothing is installed in the system and no service of it is
// touched: a Redis from Debian's package would start by itself, on the port of the user's own. They
// listen on the loopback interface, on free ports that they keep when they are stopped and started
// again, and they end with the program that runs them.
package backends
