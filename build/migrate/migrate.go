// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package migrate makes configurations of jwt-scope from Istio's RequestAuthentication and AuthorizationPolicy and from Envoy Gateway's SecurityPolicy.
//
// What a configuration admits, the originals admitted: what jwt-scope has no words for is left out of a rule that admits, and is taken for true in one that refuses; each such place is a finding.
// Where a resource has something in it that is unknown here, its workloads get no configuration at all.
package migrate

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tollgate-wasm/tollgate/build/advice"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// Migrator reads files, and then makes of all of them what belongs together.
type Migrator struct {
	// RootNamespace is Istio's, whose resources are for all namespaces; empty: istio-system.
	RootNamespace string

	findings        []advice.Finding
	failed          bool // a file could not be read: nobody knows what it would have refused
	authentications []*authentication
	authorizations  []*authorization
	securities      []*security
}

// Result is what came of the files.
type Result struct {
	Configurations []Configuration
	Findings       []advice.Finding // by file and line; an Error is something that was not carried over
}

// Configuration is that of one selection of workloads.
type Configuration struct {
	From []string // the resources that it was made of: "AuthorizationPolicy shop/orders"
	JSON string   // the configuration of jwt-scope

	selection selection
	name      string
	node      *yaml.Node
}

// selection is which workloads a resource is for.
type selection struct {
	namespace string
	labels    map[string]string
	parts     []part // selector or targetRefs, as they were written
	gateway   bool   // of Envoy Gateway: nothing is merged
	name      string
}

type part struct {
	name string
	node *yaml.Node
}

func (s *source) selection(spec *object) selection {
	sel := selection{namespace: s.namespace, labels: map[string]string{}}
	if v := spec.at("selector"); v.node != nil {
		o := s.object(v)
		labels := o.object("matchLabels")
		if labels.node != nil && labels.node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(labels.node.Content); i += 2 {
				name := labels.node.Content[i].Value
				sel.labels[name] = labels.text(name).text
			}
		}
		o.end()
		if len(sel.labels) > 0 {
			sel.parts = append(sel.parts, part{"selector", v.node})
		}
	}
	if v := spec.at("targetRef"); v.node != nil {
		sel.parts = append(sel.parts, part{"targetRefs", sequence(v.node)})
	}
	if v := spec.at("targetRefs"); v.node != nil && len(v.node.Content) > 0 {
		sel.parts = append(sel.parts, part{"targetRefs", v.node})
	}
	if len(sel.parts) > 1 {
		s.fault(spec.value, "has more than one of selector, targetRef and targetRefs")
	}
	s.m.failed = s.m.failed || s.broken // it could be for any workload
	return sel
}

func (s selection) targets() bool { return len(s.parts) > 0 && len(s.labels) == 0 }

// key is the same for the same workloads.
func (s selection) key() string {
	key := s.namespace
	for _, name := range slices.Sorted(maps.Keys(s.labels)) {
		key += "\x00" + name + "\x01" + s.labels[name]
	}
	if s.targets() || s.gateway {
		for _, p := range s.parts {
			text, err := advice.ToJSON(p.node)
			if err != nil {
				text = []byte(err.Error())
			}
			key += "\x02" + p.name + string(text)
		}
	}
	if s.gateway {
		key += "\x03" + s.name
	}
	return key
}

// covers reports whether all workloads of o are among those of s.
func (m *Migrator) covers(s, o selection) bool {
	if s.key() == o.key() {
		return true
	}
	if s.namespace != o.namespace && s.namespace != m.root() || s.targets() || o.targets() {
		return false
	}
	for name, value := range s.labels {
		if other, ok := o.labels[name]; !ok || other != value {
			return false
		}
	}
	return true
}

func (m *Migrator) root() string {
	if m.RootNamespace != "" {
		return m.RootNamespace
	}
	return "istio-system"
}

// String is how findings speak of a selection.
func (s selection) String() string {
	switch {
	case len(s.labels) > 0:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(s.labels)) {
			list = append(list, name+"="+s.labels[name])
		}
		return strings.Join(list, ",") + " in " + s.namespace
	case s.targets():
		return "the targetRefs in " + s.namespace
	}
	return s.namespace
}

// Add reads a file of YAML or JSON documents.
func (m *Migrator) Add(file string, content []byte) {
	documents, err := advice.Documents(content)
	if err != nil {
		m.failed = true
		m.findings = append(m.findings, advice.Finding{File: file, Severity: advice.Error, Problem: err.Error() + ": no configuration is written, for nobody knows what this file would refuse"})
		return
	}
	for _, n := range documents {
		if n.Tag != "!!null" { // nothing between two lines of ---
			m.document(file, n)
		}
	}
}

func (m *Migrator) document(file string, n *yaml.Node) {
	kind, version := advice.Text(advice.Member(n, "kind")), advice.Text(advice.Member(n, "apiVersion"))
	s := &source{m: m, file: file, kind: kind, name: advice.Text(advice.Member(n, "metadata", "name")), namespace: advice.Text(advice.Member(n, "metadata", "namespace")), root: n}
	known := func(versions ...string) {
		if !slices.Contains(versions, version) {
			s.fault(value{node: n, path: "apiVersion"}, "want "+strings.Join(versions, " or ")+", got "+version)
		}
	}
	if strings.HasSuffix(kind, "List") && advice.Member(n, "items") != nil { // as kubectl get -o yaml writes several
		for _, item := range advice.Items(advice.Member(n, "items")) {
			m.document(file, item)
		}
		return
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
	default:
		s.report(value{node: n}, advice.Note, "is none of RequestAuthentication, AuthorizationPolicy and SecurityPolicy, and was not looked at")
	}
}

// Result makes the configurations.
func (m *Migrator) Result() Result {
	var result Result
	names := map[string]map[string]bool{}
	emit := func(c *Configuration) {
		if c == nil || m.failed {
			return
		}
		if names[c.selection.namespace] == nil {
			names[c.selection.namespace] = map[string]bool{}
		}
		c.name = uniqueName(names[c.selection.namespace], c.name, "jwt-scope")
		result.Configurations = append(result.Configurations, *c)
	}
	for _, s := range m.selections() {
		emit(m.istio(s))
	}
	for _, s := range m.securities {
		emit(m.gateway(s))
	}
	slices.SortStableFunc(m.findings, func(a, b advice.Finding) int { return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line) })
	result.Findings = m.findings
	return result
}

// selections are those of Istio's resources, each once.
func (m *Migrator) selections() (list []selection) {
	seen := map[string]bool{}
	add := func(s selection) {
		if !seen[s.key()] {
			seen[s.key()] = true
			list = append(list, s)
		}
	}
	for _, a := range m.authentications {
		add(a.selection)
	}
	for _, a := range m.authorizations {
		add(a.selection)
	}
	return list
}

// istio makes the configuration of a selection of workloads out of all that applies to them.
func (m *Migrator) istio(s selection) *Configuration {
	p := &plan{}
	var sources []*source
	var policies []*authorization
	var own *source // the first that is for these workloads, and not for more
	use := func(src *source, sel selection) {
		sources = append(sources, src)
		if own == nil && sel.key() == s.key() {
			own = src
		}
	}
	var issuers []issuer
	for _, a := range m.authentications {
		if m.covers(a.selection, s) {
			use(a.source, a.selection)
			issuers = append(issuers, a.issuers...)
		}
	}
	for _, a := range m.authorizations {
		if m.covers(a.selection, s) {
			use(a.source, a.selection)
			policies = append(policies, a)
		}
	}
	p.take(issuers)
	if len(p.issuers) == 0 {
		own.report(value{path: "spec"}, advice.Error, "no RequestAuthentication with jwtRules is for "+s.String()+": there are no tokens to decide by, and no configuration is written; let the policies stay")
		return nil
	}
	p.add(policies)
	if s.targets() {
		m.wider(p, s, own)
	}
	m.overlaps(s, own)
	return m.finish(p, s, sources, name(s))
}

// wider minds what Istio may or may not apply to the target of a targetRef: a gateway takes what has no selector, a waypoint does not. What refuses is taken, what admits is not.
func (m *Migrator) wider(p *plan, s selection, own *source) {
	var list []*authorization
	admits := false
	for _, a := range m.authorizations {
		if len(a.selection.parts) == 0 && (a.selection.namespace == s.namespace || a.selection.namespace == m.root()) && !a.dryRun && a.action.text != "AUDIT" {
			if a.action.text == "" || a.action.text == "ALLOW" {
				admits = true
			} else {
				list = append(list, a)
			}
		}
	}
	if len(list) == 0 && !admits {
		return
	}
	own.report(value{path: "spec.targetRefs"}, advice.Error, "policies of the namespace or the root namespace apply to a gateway and not to a waypoint, and which this is cannot be seen here: what they refuse is refused, and what they admit is not admitted")
	allow := p.allowDefault && !admits
	clauses := p.clauses
	p.clauses = nil
	p.add(list)
	p.clauses = append(p.clauses, clauses...)
	p.allowDefault = allow
}

// overlaps tells of workloads that get two plugins. Both must then admit a request, so nothing passes that should not.
func (m *Migrator) overlaps(s selection, own *source) {
	for _, o := range m.selections() {
		switch {
		case o.key() == s.key() || o.targets() != s.targets() && len(s.parts) > 0:
		case m.covers(s, o) || o.targets() && len(s.parts) == 0 && (s.namespace == o.namespace || s.namespace == m.root()):
			own.report(value{path: "spec"}, advice.Error, "the workloads of "+o.String()+" get a plugin of their own with all that is for them, and this one besides: both would have to admit a request, and the first takes the token away. "+
				"Give this plugin a selector that those workloads do not fit, or leave it out where there are no others")
		case !s.targets() && !o.targets() && !m.covers(o, s) && s.namespace == o.namespace && s.key() < o.key() && compatible(s.labels, o.labels):
			own.report(value{path: "spec.selector"}, advice.Warning, "a workload that "+o.String()+" fits, too, gets two plugins, which must both admit a request; Istio would have put their policies together")
		}
	}
}

func compatible(a, b map[string]string) bool {
	for name, value := range a {
		if other, ok := b[name]; ok && other != value {
			return false
		}
	}
	return true
}

func name(s selection) string {
	parts := []string{"jwt-scope"}
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		parts = append(parts, s.labels[label])
	}
	if s.targets() {
		for _, p := range s.parts {
			for _, ref := range advice.Items(p.node) {
				parts = append(parts, advice.Text(advice.Member(ref, "name")))
			}
		}
	}
	return strings.Join(parts, "-")
}

// gateway makes the configuration of a SecurityPolicy.
func (m *Migrator) gateway(s *security) *Configuration {
	p := &plan{}
	p.take(s.issuers)
	if len(p.issuers) == 0 {
		s.report(value{path: "spec.jwt"}, advice.Error, "names no provider that jwt-scope could take: there are no tokens to decide by, and no configuration is written; let the policy stay")
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
		sources[0].report(value{path: "spec"}, advice.Error, why+noConfiguration)
		return nil
	}
	if node == nil {
		return tooMuch("the rules that are for " + s.String() + " come to more cases than can be told apart")
	}
	if !ok {
		return nil
	}
	json, err := advice.ToJSON(node)
	if err == nil {
		c.JSON = string(json)
		_, err = scope.Parse(c.JSON)
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

func (c *Configuration) comment() string {
	from := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return '?'
		}
		return r
	}, strings.Join(c.From, ", "))
	return "# Made by tollgate migrate of " + from + ".\n"
}

// Bare is the configuration in YAML.
func (c *Configuration) Bare() (string, error) { return write(c.comment(), c.node) }

// Resource is what has a proxy run jwt-scope with the configuration: a WasmPlugin, with extension the TrafficExtension that Istio 1.30 makes of it, and for what was a SecurityPolicy Envoy Gateway's
// EnvoyExtensionPolicy. url is that of the image.
func (c *Configuration) Resource(url string, extension bool) (string, error) {
	comment := c.comment()
	if !c.selection.gateway && !slices.ContainsFunc(c.selection.parts, func(p part) bool { return p.name == "targetRefs" || p.name == "targetRef" }) {
		// Which of the two it selects cannot be told from labels, and with the wrong mode it would not be there at all.
		comment += "# Where it selects sidecars, add match: [{mode: SERVER}]: without that it also decides what they themselves ask of others.\n"
	}
	return write(comment, c.resource(url, extension))
}

// ResourceJSON is Resource in JSON.
func (c *Configuration) ResourceJSON(url string, extension bool) ([]byte, error) {
	return advice.ToJSON(c.resource(url, extension))
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
	switch {
	case c.selection.gateway:
		kind, version = "EnvoyExtensionPolicy", "gateway.envoyproxy.io/v1alpha1"
		image := mapping(entryOf("type", "Image"), entryOf("image", mapping(entryOf("url", strings.TrimPrefix(url, "oci://")))))
		wasm := mapping(entryOf("name", "jwt-scope"), entryOf("code", image), entryOf("failOpen", false), entryOf("config", c.node))
		spec = with(spec, entryOf("wasm", sequence(wasm)))
	case extension:
		kind = "TrafficExtension"
		spec = with(spec, entryOf("phase", "AUTHN"), entryOf("wasm", mapping(entryOf("url", url), entryOf("failStrategy", "FAIL_RELOAD"), entryOf("pluginConfig", c.node))))
	default:
		spec = with(spec, entryOf("phase", "AUTHN"), entryOf("url", url), entryOf("failStrategy", "FAIL_RELOAD"), entryOf("pluginConfig", c.node))
	}
	return mapping(entryOf("apiVersion", version), entryOf("kind", kind), entryOf("metadata", metadata), entryOf("spec", spec))
}
