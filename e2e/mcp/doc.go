// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package mcp has the official MCP clients find their way through the gateway: from its 401 to a
// token of a real Keycloak, and from its 403 to one with more scopes.
//
// The tests have the build tag keycloak, because they need Java, Python and Node.js, and a minute
// more than the others: make test-keycloak.
package mcp
