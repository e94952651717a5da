// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package mounts makes what the compose file of envoy/ mounts and git must not have: keys,
// certificates, the filters' configurations as Envoy discovers them, and the modules.
//
// All of it lies in one folder that only its owner may enter; within, what a container has to read
// is readable by everybody, since the proxies run there as a user of their own. What exists is
// kept, so that running proxies and new tokens go together; deleting the folder starts anew.
package mounts
