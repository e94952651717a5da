// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package filters has the filters' references, for programs that show them.
package filters

import "embed"

// READMEs are the filters' pages: jwt-scope/README.md and so on.
//
//go:embed */README.md
var READMEs embed.FS
