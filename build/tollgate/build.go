// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [FILTER…]",
		Short: "Compile filters, and print their sizes and digests",
		Long: `Compile the filters, all of them or those that are named, in a checkout of Tollgate. The same sources and the same Go give the same bytes, wherever that is.

Each line of the result is the path of a module, its bytes, and its SHA-256.`,
		Example:   "  tollgate build\n  tollgate build jwt-scope",
		ValidArgs: filters.Names(),
		Args:      areFilters,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = filters.Names()
			}
			for _, filter := range args {
				path, err := compile(c.Context(), filter, c.ErrOrStderr())
				if err != nil {
					return err
				}
				module, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s\t%d bytes\tsha256:%x\n", path, len(module), sha256.Sum256(module))
			}
			return nil
		},
	}
}

func areFilters(_ *cobra.Command, args []string) error {
	for _, filter := range args {
		if !slices.Contains(filters.Names(), filter) {
			return usage{fmt.Errorf("there is no filter %q: there are %s", filter, strings.Join(filters.Names(), ", "))}
		}
	}
	return nil
}

// compile compiles a filter, where that is not done yet, by the Makefile's recipe: there is one for
// all ways to a module.
func compile(ctx context.Context, filter string, progress io.Writer) (path string, err error) {
	root, err := envoybin.Root()
	if err != nil {
		return "", fmt.Errorf("filters are compiled in a checkout of Tollgate: %w", err)
	}
	path = filepath.Join("build", "out", filter+".wasm")
	command := exec.CommandContext(ctx, "make", "--no-print-directory", path)
	command.Dir, command.Stdout, command.Stderr = root, progress, progress
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("make %s: %w", path, err)
	}
	return filepath.Join(root, path), nil
}
