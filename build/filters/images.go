// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package filters

// Lean are the modules that are also compiled without the callback for the bodies of answers, as NAME-lean.
var Lean = []string{"rate-limit", Module}

// Images are all modules that are compiled and packed: Modules, and the lean ones.
func Images() []string {
	all := Modules()
	for _, module := range Lean {
		all = append(all, module+"-lean")
	}
	return all
}
