// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/descriptors"
)

func descriptorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "descriptors FILE",
		Short: "Write the rate-limit service's configuration for a rate-limit filter's",
		Long: `Write what envoyproxy/ratelimit has to be configured with for the limits of scope: global of a rate-limit configuration, in JSON or YAML; - is standard input.

The service counts in windows of a second, a minute, an hour or a day: what is configured otherwise is listed with its path, and with what to say instead.`,
		Example: "  tollgate descriptors limits.json > ratelimit/config/tollgate.yaml",
		Args:    exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := content(c, args[0])
			if err != nil {
				return err
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
