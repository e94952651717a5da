// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"sync"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

// ChecksChains reports whether tollgate check knows chains. Where it does not, it passes over such
// plugins, and finds no placeholder in them.
var ChecksChains = sync.OnceValue(func() bool {
	var c check.Checker
	c.File("chain", []byte(`{"kind": "WasmPlugin", "metadata": {"name": "a", "namespace": "b"}, "spec": {`+
		`"url": "oci://registry.example.com/tollgate:1", "pluginConfig": {"chain": [`+
		`{"name": "a", "filter": "rate-limit", "config": `+filters.All[len(filters.All)-1].Smallest+`}]}}}`))
	looked, _ := c.Counts()
	return looked > 0
})
