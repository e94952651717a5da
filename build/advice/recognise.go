// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/yamlnode"
)

// keys are those at the top of each filter's configuration, as its reader knows them.
var keys = map[string][]string{
	"jwt-scope": {"filter", "mode", "default", "ambiguousPath", "limits", "errors", "cache", "dpop", "forward", "providers", "rules"},
	"edge-stamp": {"filter", "mode", "default", "ambiguousPath", "profile", "bodyBytes", "bodyTimeout", "role", "header", "issuer", "audience", "ttl", "bind", "copyClaims", "keys", "publish", "rules", "require", "trust", "replay",
		"forward"},
	"rate-limit": {"filter", "mode", "ambiguousPath", "headers", "table", "global", "limits"},
}

// FilterOf tells whose configuration it is: its filter says so, or else its keys do, those of one kind more than those of another; empty: nobody's.
func FilterOf(n *yaml.Node) string {
	if named := yamlnode.Text(yamlnode.Member(n, "filter")); slices.Contains(Filters, named) {
		return named
	}
	best, most := "", 0
	for _, filter := range Filters {
		score := known(filter, n)
		if score > 0 && distinct(filter, n) {
			score += 100
		}
		if score > most {
			best, most = filter, score
		}
	}
	return best
}

// known counts the keys of a filter.
func known(filter string, n *yaml.Node) (count int) {
	if n == nil || n.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if slices.Contains(keys[filter], n.Content[i].Value) {
			count++
		}
	}
	return count
}

// distinct reports whether a configuration has what only this filter's has. limits are a list to rate-limit, and bounds of tokens to jwt-scope.
func distinct(filter string, n *yaml.Node) bool {
	switch filter {
	case "jwt-scope":
		return yamlnode.Member(n, "providers") != nil
	case "edge-stamp":
		return yamlnode.Member(n, "role") != nil || yamlnode.Member(n, "trust") != nil
	}
	limits := yamlnode.Member(n, "limits")
	return limits != nil && limits.Kind == yaml.SequenceNode
}

// whole reports whether a configuration is one of a filter's without doubt, where nothing else says so: other plugins have rules and limits, too.
func whole(filter string, n *yaml.Node) bool {
	switch filter {
	case "jwt-scope":
		return len(yamlnode.Items(yamlnode.Member(n, "providers"))) > 0 && len(yamlnode.Items(yamlnode.Member(n, "rules"))) > 0
	case "edge-stamp":
		return slices.Contains([]string{"sign", "verify"}, yamlnode.Text(yamlnode.Member(n, "role")))
	case "rate-limit":
		for _, item := range yamlnode.Items(yamlnode.Member(n, "limits")) {
			if yamlnode.Member(item, "name") != nil && yamlnode.Member(item, "rate") != nil {
				return true
			}
		}
	}
	return false
}

// ours finds which filter a plugin is, by its names (of image or file, of the plugin, of the resource) and its configuration; empty: another vendor's.
func ours(config *yaml.Node, names ...string) string {
	if named := yamlnode.Text(yamlnode.Member(config, "filter")); slices.Contains(Filters, named) {
		return named
	}
	byKeys := FilterOf(config)
	// A name says it, unless the configuration has nothing of that filter.
	for _, name := range names {
		if filter := last(name); slices.Contains(Filters, filter) && (config == nil || len(config.Content) == 0 || config.Kind != yaml.MappingNode || known(filter, config) > 0) {
			return filter
		}
	}
	// A part of a name, such as another's key-rate-limit, says it where the configuration does as well.
	for _, name := range names {
		for _, filter := range Filters {
			if strings.Contains(name, filter) && (byKeys == filter || config == nil && strings.HasPrefix(last(name), filter)) {
				return filter
			}
		}
	}
	if byKeys != "" && whole(byKeys, config) {
		return byKeys
	}
	return ""
}

// last is the name in an image's URL or a file's path: without registry, folder, tag, digest and .wasm.
func last(name string) string {
	name, _, _ = strings.Cut(name, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimSuffix(name, ".wasm")
}

// field is a member of one of Envoy's messages, whose names have two spellings in JSON and YAML: failure_policy and failurePolicy. Names are written in the first.
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

// fields are all members of a name, in both spellings: Envoy takes the one that is there, and what is dangerous must not hide behind the other.
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
