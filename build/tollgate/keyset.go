// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/shared/jwks"
)

// keySetFlag has a command take the keys that a proxy would fetch.
func keySetFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "jwks", "", "a file with the JWK Set that the configuration would fetch")
}

// readKeySet reads a set that would be fetched as the filters read it. passed tells of each key that is passed over;
// without a file there is no set.
func readKeySet(file string) (set *jwks.Set, passed []string, err error) {
	if file == "" {
		return nil, nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	set, faults, err := jwks.ReadDocument(string(text))
	for _, f := range faults {
		if f.Index >= 0 {
			passed = append(passed, fmt.Sprintf("key %d, kid %q, is passed over: %v", f.Index, f.KID, f.Err))
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: the filter refuses this key set: %w%s", file, err,
			strings.Join(append([]string{""}, passed...), "\n"))
	}
	return set, passed, nil
}
