// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package wasmhost runs compiled filters, byte for byte what ships, under go test: a Proxy-Wasm
// host on wazero that answers as Envoy does.
//
// It exists because the SDK's own emulator neither starts a Go module nor is as unkind as Envoy.
// Where Envoy's behaviour matters it is modelled on the sources named beside the code (Envoy 1.40:
// source/extensions/common/wasm; proxy-wasm-cpp-host: src), and the table of shared/guest/probe
// holds the two against each other: the same module makes the same host calls here and in real
// Envoy.
//
//	module, err := wasmhost.Load(bytes)
//	proxy := wasmhost.NewProxy(module, wasmhost.Options{})
//	worker, err := proxy.Worker(configuration)
//	stream := worker.Request([][2]string{{":method", "GET"}, …}, true)
//	// stream.Action, stream.Reply, stream.RequestHeaders; proxy.Counters(); worker.Crossings()
//
// A Proxy and its workers belong to one goroutine.
package wasmhost
