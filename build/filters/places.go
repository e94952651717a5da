// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

// ModulePlaces are the folders that the module of all filters has under WasmPlugin/, sorted: where the
// single plugins may stand in one place.
var ModulePlaces = []string{"gateway", "mesh"}
