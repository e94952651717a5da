// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package check looks at configurations before they are applied: the filters' own readers on
// WasmPlugins, TrafficExtensions, EnvoyExtensionPolicies, EnvoyFilters, Envoy's bootstraps and bare
// configurations, and what Istio accepts and then ignores.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Severity of a finding. An Error is what the filter or Istio would refuse, or what opens a door; a
// Warning, what is probably not meant; a Note, what there is to know.
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

// Checker looks at files, and then at what they say of each other.
type Checker struct {
	// Filter is what a bare configuration is for; empty: its members tell.
	Filter string

	// RootNamespace is Istio's, whose plugins are for all namespaces; empty: istio-system.
	RootNamespace string

	// Assume are kinds of resources that others bring: what is missing of them in the files is no
	// fault. There is "requestauthentication".
	Assume []string

	findings []Finding
	configs  []configured
	rewrites []authentication
	policies []extensionPolicy
	asking   []asking
	found    []Found
	looked   int
	passed   int
	chain    int          // the last number of a list of filters
	faulty   map[int]bool // by that number: a filter of the list could not be read
	copies   []copies
}

// configured is a filter's configuration that has been found.
type configured struct {
	place
	filter string
	node   *yaml.Node
}

// Found is a filter's configuration in a file.
type Found struct {
	Filter   string
	Resource string // that it stands in, or the filter
	JSON     string
}

// Configurations are those that have been found, with whatever faults they have.
func (c *Checker) Configurations() []Found { return c.found }

// place is where something stands.
type place struct {
	file, resource, namespace string
	name                      string
	root                      *yaml.Node // of the configuration or resource that paths begin at
	prefix                    string     // of paths
	plugin                    *yaml.Node // the spec of a WasmPlugin or TrafficExtension
	chain, order              int        // of a list of filters, and the place in it
	outer                     []string   // what Envoy's filter is called
	step                      string     // of a plugin's chain; empty: it is the whole plugin
	at                        int        // the place of that step
	merges                    bool       // it is a patch that does
	static                    *yaml.Node // the clusters of a bootstrap that discovers none; nil: others may come
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

// File looks at one file. Documents that are none of those that this package knows are passed over,
// unless the whole file has none that is.
func (c *Checker) File(name string, content []byte) {
	if list, err := Documents(content); !c.file(name, list, err) {
		c.report(place{file: name}, nil, Error, "",
			"nothing here is known: want a WasmPlugin, a TrafficExtension, an EnvoyExtensionPolicy, an EnvoyFilter, "+
				"a bootstrap of Envoy with a wasm filter, or a filter's configuration")
	}
}

// FileOfFolder looks at a file that nobody has named: it may be anything, and a template.
func (c *Checker) FileOfFolder(name string, content []byte) {
	list, err := Documents(content)
	if err != nil && bytes.Contains(content, []byte("{{")) {
		c.report(place{file: name}, nil, Warning, "", "is a template: have it rendered, and check what comes of it")
		err = nil
	}
	if !c.file(name, list, err) {
		c.passed++
	}
}

func (c *Checker) file(name string, list []*yaml.Node, err error) (known bool) {
	for _, u := range Faults(err) {
		c.findings = append(c.findings,
			Finding{File: name, Line: u.Line, Column: min(u.Line, 1), Severity: Error, Problem: u.Problem})
	}
	known = err != nil
	for _, n := range list {
		known = c.document(name, n) || known
	}
	return known
}

// Missing notes a file that cannot be read.
func (c *Checker) Missing(name string, err error) {
	c.report(place{file: name}, nil, Error, "", err.Error())
}

// Counts are how many configurations have been looked at, and how many resources are nobody's here
// and have been passed over.
func (c *Checker) Counts() (looked, passed int) { return c.looked, c.passed }

func (c *Checker) document(file string, n *yaml.Node) (known bool) {
	kind, name, namespace := yamlnode.Text(yamlnode.Member(n, "kind")),
		yamlnode.Text(yamlnode.Member(n, "metadata", "name")), yamlnode.Text(yamlnode.Member(n, "metadata", "namespace"))
	p := place{file: file, namespace: namespace, name: name, root: n}
	if kind != "" && name != "" {
		p.resource = kind + " " + strings.TrimPrefix(namespace+"/"+name, "/")
	}
	// as kubectl get -o yaml writes several
	if items := yamlnode.Member(n, "items"); strings.HasSuffix(kind, "List") && items != nil {
		for _, item := range yamlnode.Items(items) {
			c.document(file, item)
		}
		return true
	}
	switch kind {
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
		c.looked++
		return true
	case "AuthorizationPolicy":
		c.authorizationPolicy(p, n)
		c.passed++
		return true
	case "":
		passed := c.passed
		p.static = staticClusters(n)
		if c.envoy(p, n) {
			return true
		}
		filter := c.Filter
		if filter == "" {
			filter = FilterOf(n)
		}
		if filter == "" {
			if c.passed > passed && (field(n, "static_resources") != nil || field(n, "dynamic_resources") != nil) {
				return true // a bootstrap with filters of others
			}
			return false
		}
		c.looked++
		c.configuration(p, filter, n)
		return true
	}
	passed := c.passed
	if !c.envoy(p, n) {
		c.passed = passed + 1 // as a whole: nothing is said of other resources
	}
	return true
}

// envoy looks for wasm filters in Envoy's own configuration, however deep; the configuration stands in a string.
func (c *Checker) envoy(p place, n *yaml.Node) (found bool) {
	if n == nil {
		return false
	}
	for _, name := range []string{"@type", "type_url"} {
		if strings.HasSuffix(yamlnode.Text(field(n, name)), "/envoy.extensions.filters.http.wasm.v3.Wasm") {
			config := field(n, "config")
			if config == nil { // in a TypedStruct
				config = field(n, "value", "config")
			}
			if c.envoyFilter(p, config) {
				return true
			}
			c.passed++
			return false
		}
	}
	p.around(n)
	c.chain++
	chain := c.chain
	if yamlnode.Member(n, "http_filters") != nil {
		c.manager(p, n)
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			// of http_filters: they stand one behind the other
			if n.Kind == yaml.SequenceNode && !strings.HasPrefix(p.resource, "EnvoyFilter") {
				p.chain = chain
				p.order = i
			}
			found = c.envoy(p, child) || found
		}
	}
	return found
}

// around notes what stands around a filter: its name, and the patch of an EnvoyFilter. Istio calls
// the filter of a WasmPlugin by namespace and name.
func (p *place) around(n *yaml.Node) {
	named := func(name string) {
		p.outer = append(slices.Clip(p.outer), name, name[strings.LastIndexByte(name, '.')+1:])
	}
	if field(n, "typed_config") != nil {
		named(yamlnode.Text(field(n, "name")))
	}
	if patch := field(n, "patch"); patch != nil {
		p.merges = yamlnode.Text(field(patch, "operation")) == "MERGE"
		named(yamlnode.Text(field(n, "match", "listener", "filter_chain", "filter", "sub_filter", "name")))
	}
}

func (c *Checker) envoyFilter(p place, config *yaml.Node) bool {
	value := field(config, "configuration", "value")
	p.prefix = "configuration.value"
	var n *yaml.Node
	var err error
	switch {
	case value == nil:
	case value.Kind == yaml.MappingNode: // of a Struct, which Envoy hands over as JSON
		n = value
	case value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str":
		err = errors.New("want a string with JSON, or a Struct")
	default:
		n, err = inner(value)
	}
	file, uri := yamlnode.Text(field(config, "vm_config", "code", "local", "filename")),
		yamlnode.Text(field(config, "vm_config", "code", "remote", "http_uri", "uri"))
	filter := ours(n, []string{file, uri}, yamlnode.Text(field(config, "name")), yamlnode.Text(field(config, "root_id")))
	if filter == "" && file == "" && uri == "" { // a patch that merges into a filter may name it only
		filter = ours(n, nil, p.outer...)
	}
	if filter == "" && value == nil {
		return false // another's
	}
	open := ""
	for _, v := range fields(config, "fail_open") {
		if isTrue(v) {
			open = "fail_open"
		}
	}
	policies := fields(config, "failure_policy")
	for _, v := range policies {
		if isFailOpen(v) {
			open = "failure_policy"
		}
	}
	if filter == "" && err != nil {
		c.report(p, value, Error, p.prefix, err.Error())
		return true
	}
	if filter == "" {
		return false
	}
	steps := stepsOf(filter, n)
	if open != "" {
		c.failOpen(p, config, filter, steps, "failure_policy")
	} else if len(policies) == 0 && !p.merges {
		c.report(p, config, Warning, "failure_policy",
			"is not set: after a trap every request of that worker is answered 503 until Envoy is restarted; set FAIL_RELOAD")
	}
	c.looked++
	if value == nil && p.merges {
		return true // what it merges into has one
	}
	if err != nil || value == nil {
		if err == nil {
			err = errors.New("is not there: without a configuration the filter does not start")
		}
		c.report(p, orElse(value, config), Error, p.prefix, err.Error())
		return true
	}
	c.carried(p, n, p.prefix, file, uri)
	if body := boundBody(steps); body != nil && !isTrue(field(config, "allow_on_headers_stop_iteration")) {
		c.report(p, config, Error, "allow_on_headers_stop_iteration",
			"want true: the configuration binds the body, of which Envoy otherwise shows the filter nothing, and "+
				"every request would run into bodyTimeout")
	}
	c.digest(p, field(config, "vm_config", "code", "remote", "sha256"), "vm_config.code.remote.sha256")
	p.root = n
	c.configuration(p, filter, n)
	return true
}

// isFailOpen reports whether a failure_policy is FAIL_OPEN, by its name or its number, which JSON
// of protobuf takes, too.
func isFailOpen(n *yaml.Node) bool {
	var number float64
	if n.Decode(&number) == nil && number == 3 {
		return true
	}
	quoted, err := strconv.ParseFloat(yamlnode.Text(n), 64)
	return err == nil && quoted == 3 || strings.EqualFold(yamlnode.Text(n), "FAIL_OPEN")
}

func (c *Checker) failOpen(p place, n *yaml.Node, module string, steps []step, path string) {
	severity, names := openly(module, steps)
	if severity == Warning {
		c.report(p, n, severity, path, "is FAIL_OPEN: while the filter cannot run, nothing is limited")
		return
	}
	c.report(p, n, severity, path, "is FAIL_OPEN: while "+names+
		" cannot run, for want of its image or after a trap, every request goes on unchecked")
}

// configuration has a module read what is for it: one filter, or each step of a chain what is its own.
func (c *Checker) configuration(p place, module string, n *yaml.Node) {
	json, err := ToJSON(n)
	if err != nil {
		c.report(p, n, Error, p.prefix, err.Error())
		return
	}
	c.found = append(c.found, Found{Filter: module, Resource: p.called(module), JSON: string(json)})
	if module == filters.Module {
		c.module(p, string(json), n)
	}
	if p.chain == 0 { // of its own: steps stand one behind the other wherever the plugin is
		c.chain++
		p.chain = c.chain
	}
	for i, s := range stepsOf(module, n) {
		c.step(p.within(i, s), s.filter, s.node)
	}
}

// step has a filter read what is for it.
func (c *Checker) step(p place, filter string, n *yaml.Node) {
	json, err := ToJSON(n)
	if err != nil {
		c.report(p, n, Error, p.prefix, err.Error())
		return
	}
	f, err := filters.Named(filter)
	if err != nil {
		c.report(p, n, Error, p.prefix, "there is no filter "+filter)
		return
	}
	// Keys are in an environment that is not here: any one does that the configuration could mean.
	policy, err := f.Parse(string(json), standIns(filter, n))
	if err != nil {
		if c.faulty == nil {
			c.faulty = map[int]bool{}
		}
		c.faulty[p.chain] = true
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
	c.clusters(p, n)
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
