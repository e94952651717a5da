// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate"
)

// migration is what the flags of migrate say.
type migration struct {
	result
	url, root       string
	module          string
	bare, extension bool
}

func migrateCommand() *cobra.Command {
	var m migration
	c := &cobra.Command{
		Use:   "migrate FILE…",
		Short: "Make jwt-scope's configuration of Istio's policies",
		Long: `Make configurations of jwt-scope from Istio's RequestAuthentications and AuthorizationPolicies and from Envoy Gateway's SecurityPolicies, in YAML or JSON; - is standard input. Give all that apply to a
workload: each selection of workloads gets one configuration, in a WasmPlugin, a TrafficExtension or, for a SecurityPolicy, an EnvoyExtensionPolicy.
What cannot be carried over is told on standard error, with file, line, path and what to do. A configuration never admits what the policies refused: what has no counterpart is left out where it would
admit, and where it would refuse, all that it could refuse is refused. Begin with mode: shadow.
Exit codes: 0, everything was carried over (warnings tell of small differences); 1, something was not, or a file could not be read; 2, the command line is none.`,
		Example: "  tollgate migrate policies.yaml >jwt-scope.yaml\n  kubectl get " +
			"requestauthentication,authorizationpolicy -A -o yaml | tollgate migrate -",
		Args: atLeastOne("file, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := m.check(); err != nil {
				return err
			}
			if !slices.Contains([]string{"jwt-scope", filters.Module}, m.module) {
				return usage{fmt.Errorf("--module %q: want jwt-scope or %s", m.module, filters.Module)}
			}
			if m.url == "" {
				m.url = "oci://ghcr.io/tollgate-wasm/" + m.module + ":0.1.0"
			}
			if m.bare && m.extension {
				return usage{fmt.Errorf("--bare and --extension: a configuration by itself is in no resource")}
			}
			return m.run(c, args)
		},
	}
	f := c.Flags()
	m.flags(c, "yaml", "json")
	f.StringVar(&m.module, "module", "jwt-scope",
		"which module runs the configurations: jwt-scope, or "+filters.Module+", whose configurations say filter: jwt-scope")
	f.StringVar(&m.url, "url", "",
		"the module's image (default: oci://ghcr.io/tollgate-wasm/<module>:0.1.0); pin it by digest, as tollgate image "+
			"push prints it")
	f.StringVar(&m.root, "root-namespace", "istio-system", "whose policies are for all namespaces")
	f.BoolVar(&m.bare, "bare", false, "the configurations alone")
	f.BoolVar(&m.extension, "extension", false, "TrafficExtensions (Istio 1.30) instead of WasmPlugins")
	return c
}

func (m *migration) run(c *cobra.Command, files []string) error {
	migrator := &migrate.Migrator{RootNamespace: m.root, Module: m.module}
	for _, name := range files {
		text, err := content(c, name)
		if err != nil {
			migrator.Missing(name, err)
			continue
		}
		migrator.Add(name, text)
	}
	result := migrator.Result()
	print := m.printJSON
	if m.format == "yaml" {
		print = m.printYAML
		for _, f := range result.Findings {
			fmt.Fprintln(c.ErrOrStderr(), f)
		}
	}
	if err := m.write(c, func(w io.Writer) error { return print(w, result) }); err != nil {
		return err
	}
	count := map[check.Severity]int{}
	for _, f := range result.Findings {
		count[f.Severity]++
	}
	if n := count[check.Error]; n > 0 {
		return fmt.Errorf("%d configurations; %d places were not carried over, %d warnings", len(result.Configurations),
			n, count[check.Warning])
	}
	if len(result.Configurations) == 0 {
		return fmt.Errorf("nothing here is to be migrated: want RequestAuthentications and AuthorizationPolicies, or " +
			"SecurityPolicies")
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d configurations; everything was carried over, %d warnings\n",
		len(result.Configurations), count[check.Warning])
	return nil
}

func (m *migration) printYAML(w io.Writer, result migrate.Result) error {
	for i, one := range result.Configurations {
		text, err := one.Resource(m.url, m.extension)
		if m.bare {
			text, err = one.Bare()
		}
		if err != nil {
			return err
		}
		if i > 0 {
			text = "---\n" + text
		}
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) printJSON(w io.Writer, result migrate.Result) error {
	type configuration struct {
		From          []string        `json:"from"`
		Resource      json.RawMessage `json:"resource,omitempty"`
		Configuration json.RawMessage `json:"configuration"`
	}
	out := struct {
		Configurations []configuration `json:"configurations"`
		Findings       []check.Finding `json:"findings"`
	}{[]configuration{}, []check.Finding{}}
	for _, one := range result.Configurations {
		c := configuration{From: one.From, Configuration: json.RawMessage(one.JSON)}
		if !m.bare {
			resource, err := one.ResourceJSON(m.url, m.extension)
			if err != nil {
				return err
			}
			c.Resource = resource
		}
		out.Configurations = append(out.Configurations, c)
	}
	out.Findings = append(out.Findings, result.Findings...)
	return printJSON(w, out)
}
