// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

// name does nothing: that it is exported says which filter the module is, so that nobody packs it
// as another (tollgate image).
//
//go:wasmexport tollgate_filter_edge_stamp
func name() {}
