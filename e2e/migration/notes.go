// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package migration reads the notes for those who come from Istio's RequestAuthentication and
// AuthorizationPolicy. Its tests run the samples of the notes both ways in a real Envoy and hold
// every difference against the notes' tables.
package migration

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// File has the notes; its path is relative to the root of the repository.
const File = "filters/jwt-scope/MIGRATION.md"

// Notes are what File says, as far as a machine can hold it against an Envoy.
type Notes struct {
	Cases       []Case
	Differences []Difference // of the sections without samples: they hold in every case
}

// Case is a section with samples. What its samples leave out is what those of the first section have.
type Case struct {
	Name        string
	Istio       []Resource
	Config      string // of jwt-scope, in JSON
	Differences []Difference
}

// Resource is one of Istio's, as it was written.
type Resource struct {
	Kind string
	JSON []byte
}

// Difference is a row of a table "request | Istio | jwt-scope | why".
type Difference struct {
	Requests     []string
	Versions     []string // of Envoy, where only some of them differ; nil: all
	Istio, Scope []string // outcomes; several where they depend on the case
	Why          string
}

var (
	section = regexp.MustCompile(`(?m)^## (?:\d+\. )?(.*)$`)
	sample  = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	table   = regexp.MustCompile(`(?m)^\| request \| Istio \| jwt-scope \| why \|\n\|[-|]*\|\n((?:\|.*\n)*)`)
)

// Read reads the notes. An error names the section.
func Read(text string) (*Notes, error) {
	n := &Notes{}
	var first map[string]json.RawMessage
	heads := section.FindAllStringSubmatchIndex(text, -1)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		c := Case{Name: text[head[2]:head[3]]}
		body := text[head[1]:end]
		config, err := c.readSamples(body)
		if err == nil {
			err = c.readTable(body)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		case c.Istio == nil && config == nil:
			n.Differences = append(n.Differences, c.Differences...)
			continue
		case first == nil:
			first = config
		default:
			c.completeFrom(&n.Cases[0])
			for key, value := range first {
				if _, ok := config[key]; !ok {
					config[key] = value
				}
			}
		}
		whole, err := json.Marshal(config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		c.Config = string(whole)
		n.Cases = append(n.Cases, c)
	}
	return n, nil
}

// readSamples reads the resources, and the top-level keys of the pluginConfig.
func (c *Case) readSamples(body string) (config map[string]json.RawMessage, err error) {
	for _, m := range sample.FindAllStringSubmatch(body, -1) {
		for _, document := range strings.Split(m[1], "---\n") {
			b, err := yaml.YAMLToJSONStrict([]byte(document))
			if err != nil {
				return nil, err
			}
			var head struct {
				Kind         string
				PluginConfig map[string]json.RawMessage
			}
			if err := json.Unmarshal(b, &head); err != nil {
				return nil, err
			}
			switch {
			case head.Kind != "":
				c.Istio = append(c.Istio, Resource{head.Kind, b})
			case head.PluginConfig != nil && config == nil:
				config = head.PluginConfig
			default:
				return nil, fmt.Errorf("a sample is neither a resource of Istio's nor the section's one "+
					"pluginConfig:\n%s", document)
			}
		}
	}
	if (c.Istio == nil) != (config == nil) {
		return nil, fmt.Errorf("samples of one side only")
	}
	return config, nil
}

// completeFrom takes the kinds of resources that the case does not have.
func (c *Case) completeFrom(first *Case) {
	own := slices.Clone(c.Istio)
	for _, r := range first.Istio {
		if !slices.ContainsFunc(own, func(o Resource) bool { return o.Kind == r.Kind }) {
			c.Istio = append(c.Istio, r)
		}
	}
}

func (c *Case) readTable(body string) error {
	seen := map[string]bool{}
	for _, m := range table.FindAllStringSubmatch(body, -1) {
		for _, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if len(cells) != 4 {
				return fmt.Errorf("a row has %d cells: %s", len(cells), line)
			}
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
				if cells[i] == "" {
					return fmt.Errorf("an empty cell: %s", line)
				}
			}
			d := Difference{Istio: outcomes(cells[1]), Scope: outcomes(cells[2]), Why: cells[3]}
			names, versions, _ := strings.Cut(cells[0], " (Envoy ")
			if versions != "" {
				d.Versions = strings.Split(strings.TrimSuffix(versions, ")"), ", ")
			}
			d.Requests = strings.Split(names, "; ")
			for _, name := range d.Requests {
				if seen[name+versions] {
					return fmt.Errorf("%q is explained twice", name)
				}
				seen[name+versions] = true
			}
			c.Differences = append(c.Differences, d)
		}
	}
	return nil
}

func outcomes(cell string) []string {
	set := map[string]bool{}
	for _, o := range strings.Split(strings.ReplaceAll(cell, "`", ""), " or ") {
		set[o] = true
	}
	return slices.Sorted(maps.Keys(set))
}
