// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
)

func checkCommand() *cobra.Command {
	var to result
	checker := &check.Checker{}
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find what is wrong with configurations before they are applied",
		Long: `Look at WasmPlugins, TrafficExtensions, EnvoyExtensionPolicies, EnvoyFilters, Envoy's bootstraps and bare filter configurations, in YAML or JSON; - is standard input, and of a folder all .yaml, .yml and .json below it
are looked at. The filters' own readers look at what is theirs, in a chain at each step, and every fault is reported at once, with file, line and path. So is what Istio accepts and then ignores, and what does not fit together between the files: give all
that belong together. Plugins of others, and other resources, are passed over and counted.

Exit codes: 0, no errors (there may be warnings); 1, errors; 2, the command line is none.`,
		Example: "  kubectl kustomize WasmPlugin/overlays/production | tollgate check -\n  kubectl get " +
			"wasmplugin,requestauthentication -A -o yaml | tollgate check -\n  tollgate check --format sarif -o " +
			"tollgate.sarif deploy/",
		Args: atLeastOne("file or folder, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := to.check(); err != nil {
				return err
			}
			if checker.Filter != "" && !slices.Contains(filters.Modules(), checker.Filter) {
				return usage{fmt.Errorf("--filter %q: want one of %s", checker.Filter, strings.Join(filters.Modules(), ", "))}
			}
			for i, kind := range checker.Assume {
				if checker.Assume[i] = strings.ToLower(kind); checker.Assume[i] != "requestauthentication" {
					return usage{fmt.Errorf("--assume %q: want requestauthentication", kind)}
				}
			}
			for _, name := range args {
				look(c, checker, name)
			}
			list := checker.Findings()
			if err := to.write(c, func(w io.Writer) error { return printFindings(w, list, to.format) }); err != nil {
				return err
			}
			return judge(c, checker, list)
		},
	}
	to.flags(c, "text", "json", "sarif")
	f := c.Flags()
	f.StringVar(&checker.Filter, "filter", "", "whose bare configurations are: "+strings.Join(filters.Modules(), ", ")+
		" (default: their filter says so, or their keys)")
	f.StringSliceVar(&checker.Assume, "assume", nil,
		"what other files bring: requestauthentication, whose payload trustedPayload believes")
	f.StringVar(&checker.RootNamespace, "root-namespace", "istio-system", "whose plugins are for all namespaces")
	return c
}

// look has a file, or all of a folder, looked at. What cannot be read keeps nothing else from it.
func look(c *cobra.Command, checker *check.Checker, name string) {
	if info, err := os.Stat(name); err != nil || !info.IsDir() || name == "-" {
		text, err := content(c, name)
		if err != nil {
			checker.Missing(name, err)
			return
		}
		checker.File(name, text)
		return
	}
	found := false
	err := filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			checker.Missing(path, err)
			if entry != nil && entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() && path != name && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			return nil
		}
		found = true
		text, err := os.ReadFile(path)
		if err != nil {
			checker.Missing(path, err)
			return nil
		}
		checker.FileOfFolder(path, text)
		return nil
	})
	if err == nil && !found {
		err = errors.New("has no .yaml, .yml or .json")
	}
	if err != nil {
		checker.Missing(name, err)
	}
}

// content reads a file, or standard input for -.
func content(c *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.InOrStdin())
	}
	return os.ReadFile(name)
}

func printFindings(w io.Writer, list []check.Finding, format string) error {
	switch format {
	case "json":
		return printJSON(w, append([]check.Finding{}, list...))
	case "sarif":
		return printJSON(w, sarif(list))
	}
	for _, f := range list {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

// judge counts what was found, and of how much.
func judge(c *cobra.Command, checker *check.Checker, list []check.Finding) error {
	count := map[check.Severity]int{}
	for _, f := range list {
		count[f.Severity]++
	}
	looked, passed := checker.Counts()
	of := fmt.Sprintf("%d looked at, %d passed over", looked, passed)
	if n := count[check.Error]; n > 0 {
		return fmt.Errorf("%d errors, %d warnings; %s", n, count[check.Warning], of)
	}
	fmt.Fprintf(c.ErrOrStderr(), "no errors, %d warnings; %s\n", count[check.Warning], of)
	return nil
}
