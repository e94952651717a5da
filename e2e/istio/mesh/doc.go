// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package mesh runs Istio for a test: istiod with a CA of its own, and proxies, each a pilot-agent
// with the Envoy that the filters are tested in. All of it is Istio's code, and all of it listens
// on the loopback interface: a proxy has an address of its own in 127.0.0.0/8, as a pod has one in
// a cluster.
//
// What is not there, and what that means for the tests: no Kubernetes, so resources are files and
// no admission webhook sees them (the tests of resources do that), and no interception of
// connections, so that a sidecar's ports are named in a Sidecar resource. What Istio's own build of
// Envoy adds is turned off, since this Envoy does not know it: telemetry, peer metadata and ALPN
// filters.
package mesh
