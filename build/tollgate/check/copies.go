// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
)

// A stamp does once. Where the edge signs what arrives, all that is sent of one request carries the
// same: its copy for a mirror, and each attempt after the first. Whichever comes first uses the
// stamp up, and that may be the copy.
const copied = ": the stamp of a request that is signed as it arrives is sent with each of them and does once, so " +
	"that the mesh refuses the others (stamp_replayed), be they copies or not; " +
	"sign on leaving: edge-stamp as an upstream filter of the cluster"

// copiers are the members of a route by which a proxy sends a request more than once, in Envoy's
// configuration, in Istio's VirtualService, and in the Gateway API's HTTPRoute.
var copiers = map[string]string{
	"request_mirror_policies": "mirrors requests", "retry_policy": "retries requests", "hedge_policy": "hedges requests",
	"mirror": "mirrors requests", "mirrors": "mirrors requests", "retries": "retries requests",
	"requestMirror": "mirrors requests", "retry": "retries requests",
}

// copying finds such members, however deep, with what they do.
func copying(n *yaml.Node, found func(n *yaml.Node, name, does string)) {
	if n == nil {
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			name := n.Content[i-1].Value
			if does := copiers[name]; does != "" && !harmless(child) {
				found(n.Content[i-1], name, does)
				continue
			}
		}
		copying(child, found)
	}
}

// harmless reports whether retries are of requests only that nobody has seen:
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-retry-on
func harmless(retries *yaml.Node) bool {
	if yamlnode.Text(yamlnode.Member(retries, "attempts")) == "0" {
		return true
	}
	on := yamlnode.Text(yamlnode.Member(retries, "retryOn")) + yamlnode.Text(yamlnode.Member(retries, "retry_on"))
	for _, condition := range strings.Split(on, ",") {
		switch strings.TrimSpace(condition) {
		case "connect-failure", "refused-stream", "reset-before-request":
		default:
			return false
		}
	}
	return true
}

// manager looks at an HTTP connection manager of Envoy: at an edge that signs what arrives, and at its routes.
func (c *Checker) manager(p place, n *yaml.Node) {
	signs := false
	for _, f := range yamlnode.Items(yamlnode.Member(n, "http_filters")) {
		for _, config := range []*yaml.Node{yamlnode.Member(f, "typed_config", "config"),
			yamlnode.Member(f, "typed_config", "value", "config")} {
			if value := yamlnode.Member(config, "configuration", "value"); value != nil {
				if text, err := inner(value); err == nil {
					for _, s := range stepsOf(FilterOf(text), text) {
						signs = signs || yamlnode.Text(yamlnode.Member(s.node, "role")) == "sign"
					}
				}
			}
		}
	}
	if signs {
		copying(yamlnode.Member(n, "route_config"),
			func(n *yaml.Node, name, does string) { c.report(p, n, Warning, name, does+copied) })
	}
}

// route remembers what a resource with routes does to requests, for together.
func (c *Checker) route(p place, n *yaml.Node) {
	copying(yamlnode.Member(n, "spec"),
		func(n *yaml.Node, name, does string) { c.copies = append(c.copies, copies{p, n, name, does}) })
}

// copies is where a resource has requests sent more than once.
type copies struct {
	place
	node       *yaml.Node
	name, does string
}

// signedOnce holds routes against plugins that sign: those sit in listeners, where Istio and Envoy Gateway put them.
func (c *Checker) signedOnce(edges []configured) {
	signs := false
	for _, e := range edges {
		signs = signs || strings.HasPrefix(e.resource, "WasmPlugin") ||
			strings.HasPrefix(e.resource, "TrafficExtension") || strings.HasPrefix(e.resource, "EnvoyExtensionPolicy")
	}
	for _, x := range c.copies {
		if signs {
			c.report(x.place, x.node, Warning, x.name, x.does+copied)
		}
	}
}
