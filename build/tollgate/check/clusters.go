// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
)

// staticClusters is the list of clusters of a bootstrap that has all of its clusters in it; nil for anything else.
func staticClusters(n *yaml.Node) *yaml.Node {
	resources := field(n, "static_resources")
	if resources == nil || field(n, "dynamic_resources", "cds_config") != nil {
		return nil
	}
	if clusters := field(resources, "clusters"); clusters != nil {
		return clusters
	}
	return &yaml.Node{Kind: yaml.SequenceNode}
}

// clusters looks for clusters that a configuration calls and its bootstrap does not have: Envoy
// does not miss them before the first call, and then every call fails.
func (c *Checker) clusters(p place, config *yaml.Node) {
	if p.static == nil {
		return
	}
	var have []string
	for _, cluster := range yamlnode.Items(p.static) {
		have = append(have, yamlnode.Text(field(cluster, "name")))
	}
	lookAt := func(path string, n *yaml.Node) {
		if name := yamlnode.Text(n); name != "" && !slices.Contains(have, name) {
			c.report(p, n, Error, strings.TrimPrefix(p.prefix+"."+path, "."),
				fmt.Sprintf("there is no cluster %q in this bootstrap, which has %s: every call to it fails", name, orNone(have)))
		}
	}
	look := func(path string, n *yaml.Node) { lookAt(path+".cluster", orElse(yamlnode.Member(n, "cluster"), n)) }
	for _, list := range [...]string{"providers", "trust"} {
		for i, issuer := range yamlnode.Items(yamlnode.Member(config, list)) {
			path := fmt.Sprintf("%s[%d]", list, i)
			look(path+".jwks.remote", yamlnode.Member(issuer, "jwks", "remote"))
			look(path+".introspection", yamlnode.Member(issuer, "introspection"))
			others := yamlnode.Member(issuer, "jwks", "remote", "discoverAuthorities")
			for j := 1; others != nil && j < len(others.Content); j += 2 {
				lookAt(fmt.Sprintf("%s.jwks.remote.discoverAuthorities[%q]", path, others.Content[j-1].Value), others.Content[j])
			}
		}
	}
	look("global", yamlnode.Member(config, "global"))
	look("replay.global", yamlnode.Member(config, "replay", "global"))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
