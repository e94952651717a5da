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

// extensionPolicy looks at Envoy Gateway's resource (gateway.envoyproxy.io/v1alpha1): a list of
// wasm filters, in the order in which requests meet them.
func (c *Checker) extensionPolicy(p place, n *yaml.Node) {
	list := yamlnode.Member(n, "spec", "wasm")
	if list != nil && list.Kind != yaml.SequenceNode {
		c.report(p, list, Error, "spec.wasm", "want a list")
		return
	}
	c.chain++
	p.chain = c.chain
	var filters []string
	for i, wasm := range yamlnode.Items(list) {
		p.order = i
		for _, filter := range c.extension(p, wasm, fmt.Sprintf("spec.wasm[%d]", i)) {
			if !slices.Contains(filters, filter) {
				filters = append(filters, filter)
			}
		}
	}
	if len(yamlnode.Items(list)) == 0 {
		c.passed++
	}
	attached := Attachments(n)
	if slices.ContainsFunc(attached, Attachment.isRoute) && slices.ContainsFunc(filters, opens) {
		c.report(p, n, Note, "spec.targetRefs", "is a route: when a proxy that runs gets its filter (applied, pulled at "+
			"last), requests there go on unchecked until the module is compiled, for seconds (Envoy Gateway 1.9); put the "+
			"rules into the Gateway's policy, or keep a SecurityPolicy with jwt on the route")
	}
	c.policies = append(c.policies, extensionPolicy{place: p, node: n, filters: filters, attached: attached})
}

// extension returns the filters that it runs; none: it is another vendor's.
func (c *Checker) extension(p place, wasm *yaml.Node, path string) (names []string) {
	code, config := yamlnode.Member(wasm, "code"), yamlnode.Member(wasm, "config")
	kind, source := "image", yamlnode.Member(code, "image")
	if source == nil && yamlnode.Member(code, "http") != nil {
		kind, source = "http", yamlnode.Member(code, "http")
	}
	images := []string{yamlnode.Text(yamlnode.Member(source, "url"))}
	module := ours(config, images, yamlnode.Text(yamlnode.Member(wasm, "name")))
	if module == "" {
		c.passed++ // another's
		return nil
	}
	steps := stepsOf(module, config)
	for _, s := range steps {
		names = append(names, s.filter)
	}
	c.looked++
	at := path + ".code." + kind
	url, sum := yamlnode.Member(source, "url"), yamlnode.Member(source, "sha256")
	switch {
	case yamlnode.Text(url) == "":
		c.report(p, orElse(source, wasm), Error, at+".url", "is required")
	case sum == nil && !strings.Contains(yamlnode.Text(url), "@sha256:"):
		c.report(p, source, Warning, at+".sha256",
			"is not set: what is behind the URL can be exchanged; put the digest that tollgate image push prints")
	}
	c.digests(p, url, sum, at+".url", kind == "http")
	if open := yamlnode.Member(wasm, "failOpen"); isTrue(open) {
		if severity, of := openly(module, steps); severity == Warning {
			c.report(p, open, severity, path+".failOpen", "is true: while the filter cannot run, nothing is limited")
		} else {
			c.report(p, open, severity, path+".failOpen", "is true: while "+of+
				" cannot run, for want of its image, with a mistake in its configuration or after a trap, every "+
				"request goes on unchecked")
		}
	}
	if config == nil {
		c.report(p, wasm, Error, path+".config", "is required: without a configuration the filter does not start")
		return names
	}
	c.carried(p, config, path+".config", images...)
	given := yamlnode.Texts(yamlnode.Member(wasm, "env", "hostKeys"))
	for _, s := range steps {
		for _, name := range s.variables() {
			if !slices.Contains(given, yamlnode.Text(name)) {
				c.report(p, name, Error, path+".env.hostKeys", "has no "+yamlnode.Text(name)+
					", which a secret is read from: add it, and set it in the proxy's pod")
			}
		}
	}
	for _, s := range steps {
		for _, provider := range yamlnode.Items(yamlnode.Member(s.node, "providers")) {
			if payload := yamlnode.Member(provider, "trustedPayload"); payload != nil {
				c.report(p, payload, Warning, path+".config"+s.path, "trustedPayload believes the header "+
					yamlnode.Text(yamlnode.Member(payload, "header"))+
					", which clients can send: nothing of Envoy Gateway's overwrites it")
			}
		}
	}
	p.prefix, p.root = path+".config", config
	c.configuration(p, module, config)
	return names
}

// opens reports whether a filter that is not there yet leaves a door open; without rate-limit, nothing is limited.
func opens(filter string) bool { return filter != "rate-limit" }
