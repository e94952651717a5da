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
	look := func(path string, n *yaml.Node) {
		if name := yamlnode.Text(yamlnode.Member(n, "cluster")); name != "" && !slices.Contains(have, name) {
			c.report(p, orElse(yamlnode.Member(n, "cluster"), n), Error, strings.TrimPrefix(p.prefix+"."+path+".cluster", "."),
				fmt.Sprintf("there is no cluster %q in this bootstrap, which has %s: every call to it fails", name, orNone(have)))
		}
	}
	for _, list := range [...]string{"providers", "trust"} {
		for i, issuer := range yamlnode.Items(yamlnode.Member(config, list)) {
			look(fmt.Sprintf("%s[%d].jwks.remote", list, i), yamlnode.Member(issuer, "jwks", "remote"))
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
