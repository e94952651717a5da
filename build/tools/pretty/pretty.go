// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package pretty stands in for github.com/tidwall/pretty in the compiled filters (a replace in go.mod).
//
// gjson registers its @pretty and @ugly path modifiers in an init function, so the linker keeps the
// whole of pretty, and with it encoding/json and reflect: a megabyte of module, which is a second
// of Envoy's start-up. Tollgate never evaluates a gjson path, let alone a modifier, so these
// functions are never called. If they ever are, they return the JSON as it came: still the same
// value, only not laid out anew.
package pretty

// Options mirrors the fields that gjson sets.
type Options struct {
	Width    int
	Prefix   string
	Indent   string
	SortKeys bool
}

// DefaultOptions is what gjson copies before it applies a modifier's arguments.
var DefaultOptions = &Options{Width: 80, Indent: "  "}

// Pretty returns json unchanged.
func Pretty(json []byte) []byte { return json }

// PrettyOptions returns json unchanged.
func PrettyOptions(json []byte, _ *Options) []byte { return json }

// Ugly returns json unchanged.
func Ugly(json []byte) []byte { return json }
