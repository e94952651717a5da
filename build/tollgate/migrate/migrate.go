// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package migrate makes configurations of jwt-scope from Istio's RequestAuthentication and
// AuthorizationPolicy and from Envoy Gateway's SecurityPolicy.
//
// What a configuration admits, the originals admitted: what jwt-scope has no words for is left out
// of a rule that admits, and is taken for true in one that refuses; each such place is a finding.
// Where a resource has something in it that is unknown here, its workloads get no configuration at
// all.
package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Migrator reads files, and then makes of all of them what belongs together.
type Migrator struct {
	// RootNamespace is Istio's, whose resources are for all namespaces; empty: istio-system.
	RootNamespace string

	// Module is whose image runs the configurations: jwt-scope's, or that of the module with all
	// filters, whose configurations say that they are jwt-scope's; empty: jwt-scope.
	Module string

	findings        []check.Finding
	found           map[check.Finding]bool
	read            map[string]*source // by kind, namespace and name
	failed          bool               // a file could not be read: nobody knows what it would have refused
	authentications []*authentication
	authorizations  []*authorization
	securities      []*security
	extensions      []*extension
	unplaced        []selection // of resources that could be in any namespace
}

// Result is what came of the files.
type Result struct {
	Configurations []Configuration
	Findings       []check.Finding // by file and line; an Error is something that was not carried over
}

// Configuration is that of one selection of workloads.
type Configuration struct {
	From []string // the resources that it was made of: "AuthorizationPolicy shop/orders"
	JSON string   // the configuration of jwt-scope, as the module reads it

	selection selection
	targets   []*target // of several that have the same
	name      string
	node      *yaml.Node
	priority  int
	keeps     *Configuration // that of the plugin behind this one that takes the token away
}

func (m *Migrator) root() string {
	if m.RootNamespace != "" {
		return m.RootNamespace
	}
	return "istio-system"
}

// twice tells of a resource that has been read before. A cluster has one of a name; which of two it
// has cannot be seen here.
func (m *Migrator) twice(s *source) (same bool) {
	id := s.kind + "\x00" + s.namespace + "\x00" + s.name
	first := m.read[id]
	if first == nil {
		if m.read == nil {
			m.read = map[string]*source{}
		}
		m.read[id] = s
		return false
	}
	said := func(s *source) string {
		spec, err := check.ToJSON(yamlnode.Member(s.root, "spec"))
		return fmt.Sprint(string(spec), err,
			yamlnode.Text(yamlnode.Member(s.root, "metadata", "annotations", dryRunAnnotation)))
	}
	if said(first) == said(s) {
		s.report(value{path: "metadata.name"}, check.Warning, "stands in "+first.file+
			" already, with the same spec: it is counted once")
		return true
	}
	for _, one := range [2][2]*source{{first, s}, {s, first}} {
		one[0].fault(value{path: "metadata.name"}, "stands in "+one[1].file+
			" as well, with another spec, and a cluster has one of a name: leave one out")
	}
	return false
}

// Missing notes a file that could not be read: what it has could refuse anything.
func (m *Migrator) Missing(file string, err error) {
	m.failed = true
	m.find(check.Finding{File: file, Severity: check.Error, Problem: err.Error() +
		": no configuration is written, for nobody knows what this file would refuse"})
}

// find notes a finding once: a resource of several workloads is translated for each.
func (m *Migrator) find(f check.Finding) {
	if m.found[f] {
		return
	}
	if m.found == nil {
		m.found = map[check.Finding]bool{}
	}
	m.found[f] = true
	m.findings = append(m.findings, f)
}

// Add reads a file of YAML or JSON documents.
func (m *Migrator) Add(file string, content []byte) {
	documents, err := check.Documents(content)
	for _, u := range check.Faults(err) {
		m.failed = true
		m.find(check.Finding{File: file, Line: u.Line, Column: min(u.Line, 1), Severity: check.Error,
			Problem: u.Problem + ": no configuration is written, for nobody knows what this file would refuse"})
	}
	for _, n := range documents {
		if n.Tag != "!!null" { // nothing between two lines of ---
			m.document(file, n)
		}
	}
}

func (m *Migrator) document(file string, n *yaml.Node) {
	kind, version := yamlnode.Text(yamlnode.Member(n, "kind")), yamlnode.Text(yamlnode.Member(n, "apiVersion"))
	s := &source{m: m, file: file, kind: kind, name: yamlnode.Text(yamlnode.Member(n, "metadata", "name")), root: n}
	if v := yamlnode.Member(n, "metadata", "namespace"); v != nil && v.Tag != "!!null" {
		s.namespace = yamlnode.Text(v)
	}
	known := func(versions ...string) {
		if !slices.Contains(versions, version) {
			s.fault(value{node: n, path: "apiVersion"}, "want "+strings.Join(versions, " or ")+", got "+version)
		}
	}
	if strings.HasSuffix(kind, "List") && yamlnode.Member(n, "items") != nil { // as kubectl get -o yaml writes several
		for _, item := range yamlnode.Items(yamlnode.Member(n, "items")) {
			m.document(file, item)
		}
		return
	}
	switch kind {
	case "RequestAuthentication", "AuthorizationPolicy", "SecurityPolicy", "EnvoyExtensionPolicy":
		if m.twice(s) {
			return
		}
	}
	switch kind {
	case "RequestAuthentication":
		known("security.istio.io/v1", "security.istio.io/v1beta1")
		m.requestAuthentication(s)
	case "AuthorizationPolicy":
		known("security.istio.io/v1", "security.istio.io/v1beta1")
		m.authorizationPolicy(s)
	case "SecurityPolicy":
		known("gateway.envoyproxy.io/v1alpha1")
		m.securityPolicy(s)
	case "EnvoyExtensionPolicy": // is not migrated, and may take the place of what is made
		m.extensionPolicy(s)
	default:
		for _, one := range []string{"RequestAuthentication", "AuthorizationPolicy", "SecurityPolicy",
			"EnvoyExtensionPolicy"} {
			if kind == "" || strings.EqualFold(kind, one) {
				m.failed = true
				s.report(value{node: n, path: "kind"}, check.Error,
					"want RequestAuthentication, AuthorizationPolicy or SecurityPolicy, as they are spelled: no "+
						"configuration is written, for nobody knows what this would refuse")
				return
			}
		}
		s.report(value{node: n}, check.Note,
			"is none of RequestAuthentication, AuthorizationPolicy and SecurityPolicy, and was not looked at")
	}
}

// Result makes the configurations.
func (m *Migrator) Result() Result {
	var result Result
	names := map[string]map[string]bool{}
	var list []*Configuration
	for _, d := range m.workloads() {
		list = append(list, d.configuration)
	}
	for _, s := range m.securities {
		if c := m.gateway(s); c != nil {
			list = append(list, c)
		}
	}
	for _, c := range list {
		if m.failed {
			break
		}
		if names[c.selection.namespace] == nil {
			names[c.selection.namespace] = map[string]bool{}
		}
		c.name = uniqueName(names[c.selection.namespace], c.name, "jwt-scope")
	}
	for _, c := range list {
		if m.failed {
			break
		}
		if m.Module == filters.Module {
			m.carried(c)
		}
		result.Configurations = append(result.Configurations, *c)
	}
	slices.SortStableFunc(m.findings,
		func(a, b check.Finding) int { return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line) })
	result.Findings = m.findings
	return result
}

// carried has a configuration say whose it is, for the module that carries all filters.
//
// It is never a chain: what is for one selection of workloads is one configuration of jwt-scope, and
// of the several that a workload may have, each is for other workloads as well, which a chain for
// these would not take from it.
func (m *Migrator) carried(c *Configuration) {
	whose := mapping(entryOf("filter", "jwt-scope"))
	whose.Content = append(whose.Content, c.node.Content...)
	c.node = whose
	json, err := check.ToJSON(c.node)
	if err == nil {
		c.JSON = string(json)
		err = filters.Read(filters.Module, c.JSON, func(string) (string, bool) { return "", false })
	}
	if err != nil { // jwt-scope has taken the same without that line
		panic(err)
	}
}

// gateway makes the configuration of a SecurityPolicy.
func (m *Migrator) gateway(s *security) *Configuration {
	if !m.alone(s) {
		return nil
	}
	p := &plan{}
	p.take(s.issuers)
	if len(p.issuers) == 0 {
		s.report(value{path: "spec.jwt"}, check.Error,
			"names no provider that jwt-scope could take: there are no tokens to decide by, and no configuration is "+
				"written; let the policy stay")
		return nil
	}
	p.addSecurity(s)
	return m.finish(p, s.selection, []*source{s.source}, "jwt-scope-"+s.name)
}

// finish has the filter's own reader look at what has been made.
func (m *Migrator) finish(p *plan, s selection, sources []*source, name string) *Configuration {
	node, ok := p.configuration()
	c := &Configuration{selection: s, name: name, node: node}
	for _, src := range sources {
		if src.broken {
			return nil
		}
		c.From = append(c.From, src.id())
	}
	tooMuch := func(why string) *Configuration {
		sources[0].report(value{path: "spec"}, check.Error, why+noConfiguration)
		return nil
	}
	if node == nil {
		return tooMuch("the rules that are for " + s.String() + " come to more cases than can be told apart")
	}
	if !ok {
		return nil
	}
	json, err := check.ToJSON(node)
	if err == nil {
		c.JSON = string(json)
		_, err = scope.Parse(c.JSON, scope.Surroundings{})
	}
	var faults conf.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			tooMuch("jwt-scope refuses what would be its " + f.Path + ": " + f.Problem)
		}
		return nil
	}
	if err != nil {
		return tooMuch(err.Error())
	}
	return c
}

// Priority is that of the plugin: of several that a workload has, the highest comes first.
func (c *Configuration) Priority() int { return c.priority }

func (c *Configuration) comment() string {
	return "# Made by tollgate migrate of " + printable(strings.Join(c.From, ", ")) + ".\n"
}

// printable is a text that ends no comment.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return '?'
		}
		return r
	}, text)
}

// Bare is the configuration in YAML.
func (c *Configuration) Bare() (string, error) { return write(c.comment(), c.node) }

// Resource is what has a proxy run jwt-scope with the configuration: a WasmPlugin, with extension
// the TrafficExtension that Istio 1.30 makes of it, and for what was a SecurityPolicy Envoy
// Gateway's EnvoyExtensionPolicy. url is that of the image.
func (c *Configuration) Resource(url string, extension bool) (string, error) {
	comment := c.comment()
	if c.keeps != nil {
		comment += "# The token stays for " +
			printable(strings.TrimPrefix(c.keeps.selection.namespace+"/"+c.keeps.name, "/")) +
			", which the same workloads have behind this, and which takes it away: apply both.\n"
	}
	if !c.selection.gateway && c.targets == nil {
		// Which of the two it selects cannot be told from labels, and with the wrong mode it would not be there at all.
		comment += "# Where it selects sidecars, add match: [{mode: SERVER}]: without that it also decides what they " +
			"themselves ask of others.\n"
	}
	return write(comment, c.resource(url, extension))
}

// ResourceJSON is Resource in JSON.
func (c *Configuration) ResourceJSON(url string, extension bool) ([]byte, error) {
	return check.ToJSON(c.resource(url, extension))
}

func (c *Configuration) resource(url string, extension bool) *yaml.Node {
	metadata := mapping(entryOf("name", c.name))
	if c.selection.namespace != "" {
		metadata = with(metadata, entryOf("namespace", c.selection.namespace))
	}
	kind, version := "WasmPlugin", "extensions.istio.io/v1alpha1"
	spec := mapping()
	for _, p := range c.selection.parts {
		spec = with(spec, entryOf(p.name, flow(p.node)))
	}
	if len(c.selection.labels) > 0 {
		labels := mapping()
		for _, name := range slices.Sorted(maps.Keys(c.selection.labels)) {
			labels = with(labels, entryOf(name, c.selection.labels[name]))
		}
		spec = with(spec, entryOf("selector", flow(mapping(entryOf("matchLabels", labels)))))
	}
	if c.targets != nil {
		refs := sequence()
		for _, t := range c.targets {
			refs.Content = append(refs.Content, t.node())
		}
		spec = with(spec, entryOf("targetRefs", flow(refs)))
	}
	switch {
	case c.selection.gateway:
		kind, version = "EnvoyExtensionPolicy", "gateway.envoyproxy.io/v1alpha1"
		image := mapping(entryOf("type", "Image"),
			entryOf("image", mapping(entryOf("url", strings.TrimPrefix(url, "oci://")))))
		wasm := mapping(entryOf("name", "jwt-scope"), entryOf("code", image), entryOf("failOpen", false),
			entryOf("config", c.node))
		spec = with(spec, entryOf("wasm", sequence(wasm)))
	case extension:
		kind = "TrafficExtension"
		spec = with(spec, entryOf("phase", "AUTHN"), entryOf("priority", c.priority),
			entryOf("wasm", mapping(entryOf("url", url), entryOf("failStrategy", "FAIL_RELOAD"),
				entryOf("pluginConfig", c.node))))
	default:
		spec = with(spec, entryOf("phase", "AUTHN"), entryOf("priority", c.priority), entryOf("url", url),
			entryOf("failStrategy", "FAIL_RELOAD"), entryOf("pluginConfig", c.node))
	}
	return mapping(entryOf("apiVersion", version), entryOf("kind", kind), entryOf("metadata", metadata),
		entryOf("spec", spec))
}
