// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
