// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/advice"
)

func checkCommand() *cobra.Command {
	var output, filter string
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find what is wrong with configurations before they are applied",
		Long: `Look at WasmPlugins, TrafficExtensions, EnvoyExtensionPolicies, EnvoyFilters, Envoy's bootstraps and bare filter configurations, in YAML or JSON; - is standard input. The filters' own readers look at what is theirs, and
every fault is reported at once, with file, line and path. So is what Istio accepts and then ignores, and what does not fit together between the files: give all that belong together.

Exit codes: 0, no errors (there may be warnings); 1, errors; 2, the command line is none.`,
		Example: "  kubectl kustomize WasmPlugin/overlays/production | tollgate check -\n  kubectl get wasmplugin,requestauthentication -A -o yaml | tollgate check -",
		Args:    atLeastOne("file, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage{fmt.Errorf("--output %q: want text or json", output)}
			}
			if filter != "" && !slices.Contains(filters, filter) {
				return usage{fmt.Errorf("--filter %q: want one of %s", filter, strings.Join(filters, ", "))}
			}
			checker := &advice.Checker{Filter: filter}
			for _, name := range args {
				text, err := content(c, name)
				if err != nil {
					return err
				}
				checker.File(name, text)
			}
			return printFindings(c, checker.Findings(), output)
		},
	}
	c.Flags().StringVar(&output, "output", "text", "text, a line for each finding, or json")
	c.Flags().StringVar(&filter, "filter", "", "whose bare configurations are: "+strings.Join(filters, ", ")+" (default: their members tell)")
	return c
}

// content reads a file, or standard input for -.
func content(c *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.InOrStdin())
	}
	return os.ReadFile(name)
}

func printFindings(c *cobra.Command, list []advice.Finding, output string) error {
	count := map[advice.Severity]int{}
	for _, f := range list {
		count[f.Severity]++
		if output == "text" {
			fmt.Fprintln(c.OutOrStdout(), f)
		}
	}
	if output == "json" {
		if list == nil {
			list = []advice.Finding{}
		}
		text, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s\n", text)
	}
	if n := count[advice.Error]; n > 0 {
		return fmt.Errorf("%d errors, %d warnings", n, count[advice.Warning])
	}
	fmt.Fprintf(c.ErrOrStderr(), "no errors, %d warnings\n", count[advice.Warning])
	return nil
}
