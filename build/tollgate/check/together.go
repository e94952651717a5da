// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
)

// together holds what has been found against each other: each is right by itself, and no request
// could pass, or one that should not.
func (c *Checker) together() {
	var edges, meshes []configured
	for _, f := range c.configs {
		switch {
		case f.filter == "jwt-scope":
			c.trustedPayloads(f)
		case yamlnode.Text(yamlnode.Member(f.node, "role")) == "sign":
			edges = append(edges, f)
		case f.filter == "edge-stamp":
			meshes = append(meshes, f)
		}
	}
	c.signedOnce(edges)
	for _, mesh := range meshes {
		if len(edges) > 0 {
			c.stamped(edges, mesh)
		}
	}
	c.chains()
	c.displaced()
}

// trustedPayloads looks for what must overwrite the header that a client could send, and for
// issuers and audiences that differ from the filter's.
func (c *Checker) trustedPayloads(f configured) {
	for _, provider := range yamlnode.Items(yamlnode.Member(f.node, "providers")) {
		issuer := yamlnode.Text(yamlnode.Member(provider, "issuer"))
		payload := yamlnode.Member(provider, "trustedPayload")
		if payload != nil && strings.HasPrefix(f.resource, "WasmPlugin") || payload != nil &&
			strings.HasPrefix(f.resource, "TrafficExtension") {
			header := strings.ToLower(yamlnode.Text(yamlnode.Member(payload, "header")))
			if !slices.Contains(c.Assume, "requestauthentication") &&
				!slices.ContainsFunc(c.rewrites, func(a authentication) bool { return a.header == header && a.issuer == issuer }) {
				c.report(f.place, payload, Error, f.prefix, "trustedPayload believes the header "+header+
					", which clients can send, and no RequestAuthentication in these files has issuer "+issuer+
					" and outputPayloadToHeader: "+header+
					", which overwrites it; where another file brings it, give that as well, or say --assume requestauthentication")
			}
		}
		audiences := yamlnode.Texts(yamlnode.Member(provider, "audiences"))
		for _, a := range c.rewrites {
			if a.issuer != issuer || len(a.audiences) == 0 || len(audiences) == 0 {
				continue
			}
			if !slices.ContainsFunc(a.audiences, func(s string) bool { return slices.Contains(audiences, s) }) {
				c.report(f.place, orElse(yamlnode.Member(provider, "audiences"), provider), Error, f.prefix,
					"audiences: none is among those of "+a.resource+" for the same issuer: no token passes both")
			}
		}
	}
}

// stamped looks for an edge whose stamps the mesh can take.
func (c *Checker) stamped(edges []configured, mesh configured) {
	for _, trust := range yamlnode.Items(yamlnode.Member(mesh.node, "trust")) {
		if forward := yamlnode.Text(yamlnode.Member(trust, "forwardIdp")); forward == "true" ||
			yamlnode.Member(trust, "signature") != nil { // no edge makes those
			continue
		}
		issuer, audiences := yamlnode.Text(yamlnode.Member(trust, "issuer")),
			yamlnode.Texts(yamlnode.Member(trust, "audiences"))
		any := yamlnode.Text(yamlnode.Member(trust, "anyAudience")) == "true"
		for _, edge := range edges {
			if yamlnode.Text(yamlnode.Member(edge.node, "issuer")) != issuer {
				continue
			}
			if audience := yamlnode.Text(yamlnode.Member(edge.node, "audience")); !any && !slices.Contains(audiences, audience) {
				c.report(mesh.place, orElse(yamlnode.Member(trust, "audiences"), trust), Error, mesh.prefix,
					"trust: audiences has not "+audience+", for which "+edge.name()+" signs: every stamp is refused")
			}
			if a, b := profile(edge), profile(mesh); a != b {
				c.report(mesh.place, orElse(yamlnode.Member(mesh.node, "profile"), mesh.node), Error, mesh.prefix,
					"profile is "+b+", and "+edge.name()+" signs in "+a)
			}
			if a, b := header(edge), header(mesh); a != b {
				c.report(mesh.place, orElse(yamlnode.Member(mesh.node, "header"), mesh.node), Error, mesh.prefix,
					"header is "+b+", and "+edge.name()+" signs in "+a)
			}
			if lacks := without(demanded(mesh.node), binds(edge)); len(lacks) > 0 {
				c.report(mesh.place, orElse(yamlnode.Member(mesh.node, "require"), mesh.node), Error, mesh.prefix,
					"require.bind demands "+strings.Join(lacks, ", ")+", which no rule of "+edge.name()+
						" binds: every stamp is stamp_unbound")
			}
		}
		if !slices.ContainsFunc(edges,
			func(e configured) bool { return yamlnode.Text(yamlnode.Member(e.node, "issuer")) == issuer }) {
			c.report(mesh.place, orElse(yamlnode.Member(trust, "issuer"), trust), Warning, mesh.prefix,
				"trust: none of these files signs as "+issuer)
		}
	}
}

// name is how a finding speaks of a configuration.
func (f configured) name() string {
	if f.resource != "" {
		return f.resource
	}
	return f.file
}

func profile(f configured) string {
	if p := yamlnode.Text(yamlnode.Member(f.node, "profile")); p != "" {
		return p
	}
	return "jws"
}

func header(f configured) string {
	if h := yamlnode.Text(yamlnode.Member(f.node, "header")); h != "" {
		return strings.ToLower(h)
	}
	if profile(f) == "txn-token" {
		return "txn-token"
	}
	return "x-edge-stamp"
}

var line = []string{"method", "authority", "path", "query"}

// demanded is what every stamp must bind, by the top of a mesh's configuration.
func demanded(n *yaml.Node) []string {
	if b := yamlnode.Member(n, "require", "bind"); b != nil {
		return yamlnode.Texts(b)
	}
	return line
}

// binds is all that any rule of an edge binds.
func binds(f configured) (list []string) {
	if b := yamlnode.Member(f.node, "bind"); b != nil {
		list = yamlnode.Texts(b)
	} else {
		list = line
	}
	for _, r := range yamlnode.Items(yamlnode.Member(f.node, "rules")) {
		list = append(slices.Clone(list), yamlnode.Texts(yamlnode.Member(r, "bind"))...)
	}
	return list
}

func without(list, others []string) (rest []string) {
	for _, s := range list {
		if !slices.Contains(others, s) {
			rest = append(rest, s)
		}
	}
	return rest
}
