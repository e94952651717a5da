// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema MODULE",
		Short: "Print the JSON Schema of a module's configuration, for editors",
		Long: `Print the JSON Schema (draft 7) of the configuration of ` + strings.Join(filters.Names(), ", ") + `, or of ` + filters.Module + `, which takes any of them and chains. Editors complete keys and mark mistakes by it; what belongs together and what contradicts, tollgate check knows besides.

A file with a bare configuration names its schema in its first line: # yaml-language-server: $schema=jwt-scope.schema.json`,
		Example: "  tollgate schema jwt-scope > jwt-scope.schema.json\n" +
			"  tollgate schema tollgate > tollgate.schema.json",
		Args:      cobra.MatchAll(exactly(1), areModules),
		ValidArgs: filters.Modules(),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := schema.Of(args[0])
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}
