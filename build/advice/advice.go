// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package advice looks at configurations before they are applied: the filters' own readers on WasmPlugins, TrafficExtensions, EnvoyExtensionPolicies, EnvoyFilters, Envoy's bootstraps and bare
// configurations, and what Istio accepts and then ignores.
package advice

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/filters/edge-stamp/stamp"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/filters/rate-limit/limit"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Severity of a finding. An Error is what the filter or Istio would refuse, or what opens a door; a Warning, what is probably not meant; a Note, what there is to know.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing to mend.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // from 1; 0: the file as a whole
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Resource string   `json:"resource,omitempty"` // "WasmPlugin istio-system/jwt-scope"
	Path     string   `json:"path,omitempty"`     // in the filter's configuration, or the resource
	Problem  string   `json:"problem"`
}

// String is one line: file:line:column: severity: resource: path: problem.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	fmt.Fprintf(&b, ": %s: ", f.Severity)
	for _, part := range []string{f.Resource, f.Path} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Filters are the names of the filters that there are.
var Filters = []string{"jwt-scope", "edge-stamp", "rate-limit"}

// Checker looks at files, and then at what they say of each other.
type Checker struct {
	// Filter is what a bare configuration is for; empty: its members tell.
	Filter string

	findings []Finding
	configs  []configured
	rewrites []authentication
	copies   []copies
}

// configured is a filter's configuration that has been found.
type configured struct {
	place
	filter string
	node   *yaml.Node
}

// place is where something stands.
type place struct {
	file, resource, namespace string
	root                      *yaml.Node // of the configuration or resource that paths begin at
	prefix                    string     // of paths
}

// authentication is what an Istio RequestAuthentication does about one issuer.
type authentication struct {
	place
	node      *yaml.Node
	issuer    string
	audiences []string
	header    string // outputPayloadToHeader
}

// report notes a finding at a node.
func (c *Checker) report(p place, n *yaml.Node, severity Severity, path, problem string) {
	f := Finding{File: p.file, Severity: severity, Resource: p.resource, Path: path, Problem: problem}
	if n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	c.findings = append(c.findings, f)
}

// File looks at one file. Documents that are none of those that this package knows are passed over, unless the whole file has none that is.
func (c *Checker) File(name string, content []byte) {
	list, err := Documents(content)
	if err != nil {
		c.report(place{file: name}, nil, Error, "", err.Error())
		return
	}
	known := false
	for _, n := range list {
		known = c.document(name, n) || known
	}
	if !known {
		c.report(place{file: name}, nil, Error, "", "nothing here is known: want a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, an EnvoyFilter, a bootstrap of Envoy with a wasm filter, or a filter's configuration")
	}
}

func (c *Checker) document(file string, n *yaml.Node) (known bool) {
	kind, name, namespace := Text(Member(n, "kind")), Text(Member(n, "metadata", "name")), Text(Member(n, "metadata", "namespace"))
	p := place{file: file, namespace: namespace, root: n}
	if kind != "" && name != "" {
		p.resource = kind + " " + strings.TrimPrefix(namespace+"/"+name, "/")
	}
	switch kind {
	case "List": // as kubectl get -o yaml writes several
		for _, item := range Items(Member(n, "items")) {
			known = c.document(file, item) || known
		}
		return known
	case "WasmPlugin", "TrafficExtension":
		c.plugin(p, kind, n)
		return true
	case "EnvoyExtensionPolicy":
		c.extensionPolicy(p, n)
		return true
	case "VirtualService", "HTTPRoute", "GRPCRoute":
		c.route(p, n)
		return true
	case "RequestAuthentication":
		c.requestAuthentication(p, n)
		return true
	case "":
		if c.envoy(p, n) {
			return true
		}
		filter := c.Filter
		if filter == "" {
			filter = filterOf(n)
		}
		if filter == "" {
			return false
		}
		c.configuration(p, filter, n)
		return true
	}
	return c.envoy(p, n) || kind != "EnvoyFilter" // of which other resources there are nothing is said
}

// filterOf tells by its members whose configuration it is; empty: nobody's.
func filterOf(n *yaml.Node) string {
	for _, f := range [...][2]string{{"limits", "rate-limit"}, {"role", "edge-stamp"}, {"providers", "jwt-scope"}, {"rules", "jwt-scope"}} {
		if Member(n, f[0]) != nil {
			return f[1]
		}
	}
	return ""
}

// envoy looks for wasm filters in Envoy's own configuration, however deep; the configuration stands in a string.
func (c *Checker) envoy(p place, n *yaml.Node) (found bool) {
	if n == nil {
		return false
	}
	if strings.HasSuffix(Text(Member(n, "@type")), "/envoy.extensions.filters.http.wasm.v3.Wasm") || strings.HasSuffix(Text(Member(n, "type_url")), "/envoy.extensions.filters.http.wasm.v3.Wasm") {
		config := Member(n, "config")
		if config == nil {
			config = Member(n, "value", "config")
		}
		return c.envoyFilter(p, config)
	}
	if Member(n, "http_filters") != nil {
		c.manager(p, n)
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			found = c.envoy(p, child) || found
		}
	}
	return found
}

func (c *Checker) envoyFilter(p place, config *yaml.Node) bool {
	value := Member(config, "configuration", "value")
	if value == nil {
		return false
	}
	p.prefix = "configuration.value"
	n, err := inner(value)
	if err != nil {
		c.report(p, value, Error, p.prefix, err.Error())
		return true
	}
	filter := filterNamed(Text(Member(config, "vm_config", "code", "local", "filename")) + " " + Text(Member(config, "name")))
	if filter == "" {
		filter = filterOf(n)
	}
	if filter == "" {
		return false // another's
	}
	if Member(config, "fail_open") != nil && Text(Member(config, "fail_open")) == "true" || Text(Member(config, "failure_policy")) == "FAIL_OPEN" {
		c.failOpen(p, config, filter, "failure_policy")
	} else if Member(config, "failure_policy") == nil {
		c.report(p, config, Warning, "failure_policy", "is not set: after a trap every request of that worker is answered 503 until Envoy is restarted; set FAIL_RELOAD")
	}
	if body := boundBody(filter, n); body != nil && Text(Member(config, "allow_on_headers_stop_iteration")) != "true" {
		c.report(p, config, Error, "allow_on_headers_stop_iteration", "want true: the configuration binds the body, of which Envoy otherwise shows the filter nothing, and every request would run into bodyTimeout")
	}
	c.placeholder(p, Member(config, "vm_config", "code", "remote", "sha256"), "vm_config.code.remote.sha256")
	p.root = n
	c.configuration(p, filter, n)
	return true
}

func (c *Checker) failOpen(p place, n *yaml.Node, filter, path string) {
	if filter == "rate-limit" {
		c.report(p, n, Warning, path, "is FAIL_OPEN: while the filter cannot run, nothing is limited")
		return
	}
	c.report(p, n, Error, path, "is FAIL_OPEN: while "+filter+" cannot run, for want of its image or after a trap, every request goes on unchecked")
}

// filterNamed finds a filter's name in a path or URL.
func filterNamed(text string) string {
	for _, f := range Filters {
		if strings.Contains(text, f) {
			return f
		}
	}
	return ""
}

// configuration has the filter read what is for it.
func (c *Checker) configuration(p place, filter string, n *yaml.Node) {
	json, err := ToJSON(n)
	if err != nil {
		c.report(p, n, Error, p.prefix, err.Error())
		return
	}
	var policy interface{ Warnings() []conf.Fault }
	switch filter {
	case "jwt-scope":
		policy, err = scope.Parse(string(json))
	case "edge-stamp":
		// Keys are in an environment that is not here: any one does that the configuration could mean.
		policy, err = stamp.Parse(string(json), stamp.Surroundings{Env: standIns(n), Random: func([]byte) error { return nil }})
	case "rate-limit":
		policy, err = limit.Parse(string(json))
	default:
		c.report(p, n, Error, p.prefix, "there is no filter "+filter)
		return
	}
	var faults conf.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			c.report(p, at(n, f.Path), Error, strings.TrimPrefix(p.prefix+"."+f.Path, "."), f.Problem)
		}
		return
	}
	if err != nil {
		c.report(p, n, Error, p.prefix, err.Error())
		return
	}
	for _, w := range policy.Warnings() {
		c.report(p, at(n, w.Path), Warning, strings.TrimPrefix(p.prefix+"."+w.Path, "."), w.Problem)
	}
	c.configs = append(c.configs, configured{place: p, filter: filter, node: n})
}

// Findings are those of all files, and of what they say of each other, by file and line.
func (c *Checker) Findings() []Finding {
	c.together()
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return c.findings
}
