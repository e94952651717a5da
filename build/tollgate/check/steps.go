// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// step is a filter with what it decides by: a plugin as a whole, or one step of a chain.
type step struct {
	filter string
	name   string // in the chain; empty: it is the whole plugin
	path   string // of the configuration within the plugin's, with a dot before it; empty: it is the whole
	node   *yaml.Node
}

// stepsOf are the filters that a module runs for a configuration, in their order. Steps of a chain that have no filter
// or no configuration are left out: the reader of chains tells of them.
func stepsOf(module string, config *yaml.Node) (steps []step) {
	if module != filters.Module {
		return []step{{filter: module, node: config}}
	}
	list := yamlnode.Member(config, "chain")
	if list == nil {
		// Where it does not say whose it is, its keys may: all faults are told at once.
		if f, err := filters.Named(FilterOf(config)); err == nil &&
			(f.Distinct(config) || f.Name == yamlnode.Text(yamlnode.Member(config, "filter"))) {
			steps = append(steps, step{filter: f.Name, node: config})
		}
		return steps
	}
	for i, item := range yamlnode.Items(list) {
		filter, node := yamlnode.Text(yamlnode.Member(item, "filter")), yamlnode.Member(item, "config")
		if node == nil || node.Kind != yaml.MappingNode || !slices.Contains(filters.Names(), filter) {
			continue
		}
		s := step{filter: filter, path: fmt.Sprintf(".chain[%d].config", i), node: node}
		if s.name = yamlnode.Text(yamlnode.Member(item, "name")); s.name == "" {
			s.name = fmt.Sprint(i) // a fault by itself
		}
		steps = append(steps, s)
	}
	return steps
}

// within is the place of a step in the plugin of a place.
func (p place) within(i int, s step) place {
	p.step, p.at = s.name, i
	p.prefix += s.path
	p.prefix = strings.TrimPrefix(p.prefix, ".")
	return p
}

// module reads a configuration of the module with all filters, as far as it is no filter's.
func (c *Checker) module(p place, json string, n *yaml.Node) {
	_, err := chain.Parse(json, filters.Names()...)
	var faults conf.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			alone := yamlnode.Member(n, "chain") == nil
			if f.Path == "filter" && alone && yamlnode.Member(n, "filter") != nil && len(stepsOf(filters.Module, n)) > 0 {
				continue // the filter whose keys these are says so as well
			}
			c.report(p, at(n, f.Path), Error, strings.TrimPrefix(p.prefix+"."+f.Path, "."), f.Problem)
		}
	} else if err != nil {
		c.report(p, n, Error, p.prefix, err.Error())
	}
}

// imageOf is whose module an image or a file is by its name; empty: the name does not say it.
func imageOf(image string) string {
	name := last(image)
	for _, module := range filters.Modules() {
		if name == module {
			return module
		}
	}
	// A filter's with more of a name, such as a version. What begins with the project's name may be anything.
	for _, filter := range filters.Names() {
		if strings.HasPrefix(name, filter+"-") {
			return filter
		}
	}
	return ""
}

// carried holds an image against the configuration that it is to read: a filter's alone reads no chain, and no other
// filter's configuration.
func (c *Checker) carried(p place, config *yaml.Node, path string, images ...string) {
	for _, image := range images {
		of := imageOf(image)
		if of == "" || of == filters.Module {
			continue
		}
		if list := yamlnode.Member(config, "chain"); list != nil {
			c.report(p, list, Error, path+".chain", "is for "+filters.Module+
				", which carries all filters, and the image is that of "+of+" alone, which refuses it: use the image "+
				filters.Module)
		} else if named := yamlnode.Member(config, "filter"); slices.Contains(filters.Names(), yamlnode.Text(named)) &&
			yamlnode.Text(named) != of {
			c.report(p, named, Error, path+".filter", "is "+yamlnode.Text(named)+", and the image is that of "+of+
				", which refuses it: use the image "+yamlnode.Text(named)+" or "+filters.Module)
		}
		return
	}
}

// isChain reports whether a configuration has a chain with a filter of ours in it, or with what looks like our steps.
func isChain(config *yaml.Node) bool {
	return slices.ContainsFunc(yamlnode.Items(yamlnode.Member(config, "chain")), func(item *yaml.Node) bool {
		filter := yamlnode.Member(item, "filter")
		return slices.Contains(filters.Names(), yamlnode.Text(filter)) || filter != nil &&
			yamlnode.Member(item, "name") != nil && yamlnode.Member(item, "config") != nil
	})
}

// onlyChain reports whether a configuration has a chain and nothing that the module does not know: whatever is wrong
// in it, it is meant for the module.
func onlyChain(config *yaml.Node) bool {
	if yamlnode.Member(config, "chain") == nil {
		return false
	}
	for i := 0; i+1 < len(config.Content); i += 2 {
		if !slices.Contains([]string{"chain", "publishIdentity", "filter"}, config.Content[i].Value) {
			return false
		}
	}
	return true
}

// unchecked are the filters among steps without which a request goes on that should not; what only counts is none.
func unchecked(steps []step) (names []string) {
	for _, s := range steps {
		if s.filter != "rate-limit" && !slices.Contains(names, s.filter) {
			names = append(names, s.filter)
		}
	}
	return names
}

// openly is how bad it is that a plugin lets requests go on while it cannot run, and of which filters that matters.
func openly(module string, steps []step) (Severity, string) {
	switch names := unchecked(steps); {
	case len(names) > 0:
		return Error, strings.Join(names, " and ")
	case len(steps) == 0:
		return Error, module
	}
	return Warning, ""
}
