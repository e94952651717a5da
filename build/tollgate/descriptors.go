// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/descriptors"
)

func descriptorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "descriptors FILE",
		Short: "Write the rate-limit service's configuration for a rate-limit filter's, or a chain's",
		Long: `Write what envoyproxy/ratelimit has to be configured with for the limits of scope: global of a rate-limit configuration, or of all such steps of a chain, in JSON or YAML, by itself or in a WasmPlugin or TrafficExtension; - is standard input.

The service counts in windows of a second, a minute, an hour or a day: what is configured otherwise is listed with its path, and with what to say instead.`,
		Example: "  tollgate descriptors limits.json > ratelimit/config/tollgate.yaml",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := content(c, args[0])
			if err != nil {
				return err
			}
			if text, err = pluginConfig(text); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			written, err := descriptors.Write(text)
			if err != nil {
				return fmt.Errorf("%s:\n%w", args[0], err)
			}
			_, err = c.OutOrStdout().Write(written)
			return err
		},
	}
}

// pluginConfig is the configuration in a WasmPlugin or a TrafficExtension, and what was given where that is neither.
func pluginConfig(text []byte) ([]byte, error) {
	documents, err := check.Documents(text)
	if err != nil || len(documents) == 0 {
		return text, err
	}
	kind := yamlnode.Text(yamlnode.Member(documents[0], "kind"))
	path := map[string][]string{"WasmPlugin": {"spec", "pluginConfig"},
		"TrafficExtension": {"spec", "wasm", "pluginConfig"}}[kind]
	if path == nil {
		return text, nil
	}
	if len(documents) > 1 {
		return nil, fmt.Errorf("there are %d resources in it: the service wants a file for each", len(documents))
	}
	config := yamlnode.Member(documents[0], path...)
	if config == nil {
		return nil, fmt.Errorf("the %s has no %s", kind, strings.Join(path, "."))
	}
	return check.ToJSON(config)
}
