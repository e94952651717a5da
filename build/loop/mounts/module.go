// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mounts

import "os"

// Module is a module under the name of its content, as a proxy's configuration has it.
func (f *Folder) Module(file string) ([]byte, error) { return os.ReadFile(f.path("modules/" + file)) }
