// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package tokens

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/tokens/service"
)

// Without a filter, answers come through Envoy as the service sends them: else the tests of this package show
// nothing.
func TestWithoutFilter(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		name := "HTTP/1.1 to the service"
		if http2 {
			name = "HTTP/2 to the service"
		}
		t.Run(name, func(t *testing.T) {
			s := service.Start(t)
			unchanged(t, gateway(t, envoybin.Default, s, http2), s)
		})
	}
}
