// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
)

// FilterOf tells whose configuration it is: its filter says so, or else its keys do, those of one
// kind more than those of another; empty: nobody's. A chain is the module's that carries all filters.
func FilterOf(n *yaml.Node) string {
	if isChain(n) || onlyChain(n) {
		return filters.Module
	}
	if named := yamlnode.Text(yamlnode.Member(n, "filter")); slices.Contains(filters.Names(), named) {
		return named
	}
	best, most := "", 0
	for _, filter := range filters.All {
		score := known(filter, n)
		if score > 0 && filter.Distinct(n) {
			score += 100
		}
		if score > most {
			best, most = filter.Name, score
		}
	}
	return best
}

// known counts the keys of a filter.
func known(filter filters.Filter, n *yaml.Node) (count int) {
	if n == nil || n.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if slices.Contains(filter.Keys, n.Content[i].Value) {
			count++
		}
	}
	return count
}

// ours finds whose module a plugin has, by its image or file, its other names (of the plugin, of the
// resource) and its configuration; empty: another vendor's.
func ours(config *yaml.Node, images []string, names ...string) string {
	names = slices.Concat(images, names)
	if isChain(config) || yamlnode.Member(config, "chain") != nil && slices.ContainsFunc(names, ofProject) {
		return filters.Module
	}
	if named := yamlnode.Text(yamlnode.Member(config, "filter")); slices.Contains(filters.Names(), named) {
		return named
	}
	if slices.ContainsFunc(images, func(image string) bool { return last(image) == filters.Module }) ||
		config == nil && slices.ContainsFunc(names, func(name string) bool { return last(name) == filters.Module }) {
		return filters.Module // which requires filter or chain
	}
	byKeys := FilterOf(config)
	// A name says it, unless the configuration has nothing of that filter.
	for _, name := range names {
		filter, err := filters.Named(last(name))
		if err == nil && (config == nil || len(config.Content) == 0 || config.Kind != yaml.MappingNode ||
			known(filter, config) > 0) {
			return filter.Name
		}
	}
	// A part of a name, such as another's key-rate-limit, says it where the configuration does as well.
	for _, name := range names {
		for _, filter := range filters.Names() {
			if strings.Contains(name, filter) && (byKeys == filter || config == nil && strings.HasPrefix(last(name), filter)) {
				return filter
			}
		}
	}
	if filter, err := filters.Named(byKeys); err == nil && filter.Whole(config) {
		return byKeys
	}
	return ""
}

// ofProject reports whether a name is that of one of our modules, or has it in it.
func ofProject(name string) bool {
	return slices.ContainsFunc(filters.Modules(), func(module string) bool { return strings.Contains(name, module) })
}

// last is the name in an image's URL or a file's path: without registry, folder, tag, digest and .wasm.
func last(name string) string {
	name, _, _ = strings.Cut(name, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimSuffix(name, ".wasm")
}

// field is a member of one of Envoy's messages, whose names have two spellings in JSON and YAML:
// failure_policy and failurePolicy. Names are written in the first.
func field(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		if found := fields(n, name); len(found) > 0 {
			n = found[len(found)-1]
		} else {
			return nil
		}
	}
	return n
}

// fields are all members of a name, in both spellings: Envoy takes the one that is there, and what
// is dangerous must not hide behind the other.
func fields(n *yaml.Node, name string) (list []*yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if is := n.Content[i].Value; is == name || is == camel(name) {
			list = append(list, n.Content[i+1])
		}
	}
	return list
}

func camel(name string) string {
	if strings.HasPrefix(name, "@") {
		return name
	}
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

// isTrue reports whether a boolean is true, in the words that Kubernetes and Envoy take for it.
func isTrue(n *yaml.Node) bool {
	return slices.Contains([]string{"true", "yes", "on", "y"}, strings.ToLower(yamlnode.Text(n)))
}
