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
	"github.com/tollgate-wasm/tollgate/build/tools/checkout"
)

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [MODULE…]",
		Short: "Compile modules, and print their sizes and digests",
		Long: `Compile the modules, all of them or those that are named, in a checkout of Tollgate: one for each filter, and ` + filters.Module + ` with all filters. The same sources and the same Go give the same bytes, wherever that is.

Each line of the result is the path of a module, its bytes, and its SHA-256.`,
		Example:   "  tollgate build\n  tollgate build tollgate\n  tollgate build jwt-scope",
		ValidArgs: filters.Images(),
		Args:      areImages,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = filters.Modules()
			}
			for _, name := range args {
				path, err := compile(c.Context(), name, c.ErrOrStderr())
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

// areImages wants names of modules that are compiled and packed: those, and the lean ones.
func areImages(c *cobra.Command, args []string) error {
	for _, module := range args {
		if !slices.Contains(filters.Images(), module) {
			return areModules(c, []string{module})
		}
	}
	return nil
}

// areModules wants names of filters, or of the module with all of them.
func areModules(_ *cobra.Command, args []string) error {
	for _, module := range args {
		if !slices.Contains(filters.Modules(), module) {
			return usage{fmt.Errorf("there is no filter %q: there are %s, and %s with all of them", module,
				strings.Join(filters.Names(), ", "), filters.Module)}
		}
	}
	return nil
}

// compile compiles a module, where that is not done yet, by the Makefile's recipe: there is one for
// all ways to a module.
func compile(ctx context.Context, module string, progress io.Writer) (path string, err error) {
	root, err := checkout.Root()
	if err != nil {
		return "", fmt.Errorf("modules are compiled in a checkout of Tollgate: %w", err)
	}
	path = filepath.Join("build", "out", module+".wasm")
	command := exec.CommandContext(ctx, "make", "--no-print-directory", path)
	command.Dir, command.Stdout, command.Stderr = root, progress, progress
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("make %s: %w", path, err)
	}
	return filepath.Join(root, path), nil
}
