// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// member is a name and a value of a mapping in the making.
type member [2]*yaml.Node

func entryOf(name string, v any) member {
	if n, ok := v.(*yaml.Node); ok {
		return member{scalar(name), n}
	}
	return member{scalar(name), scalar(v)}
}

// scalar is a text, a number or a boolean, quoted where somebody could read something else: Node
// has no notion of the booleans of YAML 1.1, which Kubernetes reads.
func scalar(v any) *yaml.Node {
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		panic(err) // texts, numbers and booleans encode
	}
	return n
}

func mapping(members ...member) *yaml.Node {
	return with(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, members...)
}

func with(n *yaml.Node, members ...member) *yaml.Node {
	for _, m := range members {
		n.Content = append(n.Content, m[0], m[1])
	}
	return n
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

func texts(list ...string) *yaml.Node {
	n := sequence()
	for _, s := range list {
		n.Content = append(n.Content, scalar(s))
	}
	return flow(n)
}

// flow has a node written in one line, without the comments that it had where it comes from.
func flow(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	n.HeadComment, n.LineComment, n.FootComment, n.Anchor = "", "", "", ""
	for _, c := range n.Content {
		flow(c)
	}
	return n
}

// write is a document, below a comment.
func write(comment string, n *yaml.Node) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return "", err
	}
	if err := e.Close(); err != nil {
		return "", err
	}
	return comment + b.String(), nil
}

// configuration is what jwt-scope is told. ok is false where nothing can be told that is safe.
func (p *plan) configuration() (_ *yaml.Node, ok bool) {
	// First, for where a token may stand has a say in who may pass without one.
	providers := sequence()
	for _, one := range p.issuers {
		providers.Content = append(providers.Content, p.provider(one))
	}
	if p.blocked != nil {
		providers.Content = append(providers.Content, p.elsewhere())
	}
	rulings, ok := p.rulings()
	if !ok {
		return nil, false
	}
	rules, names := sequence(), map[string]bool{}
	if len(rulings) == 0 { // jwt-scope wants one rule
		rulings = []ruling{{cells: []cell{{}}}}
	}
	for _, r := range rulings {
		rules.Content = append(rules.Content, p.rule(r, names))
	}
	forward, ok := p.forward()
	return mapping(entryOf("providers", providers), entryOf("rules", rules), entryOf("forward", forward)), ok
}

func (p *plan) rule(r ruling, names map[string]bool) *yaml.Node {
	name := "everything-else"
	if r.by != nil {
		name = r.by.from.name
	}
	if r.refuses() {
		name = strings.TrimPrefix(name+"-refused", "everything-else-")
	}
	m := mapping(entryOf("name", uniqueName(names, name, "rule")))
	match := sequence()
	for _, e := range entries(r.cells) {
		one := mapping()
		for _, list := range []struct {
			name   string
			values []string
		}{{"hosts", e.hosts}, {"methods", e.methods}, {"paths", e.paths}} {
			if list.values != nil {
				one = with(one, entryOf(list.name, texts(list.values...)))
			}
		}
		match.Content = append(match.Content, flow(one))
	}
	if !slices.ContainsFunc(match.Content, func(n *yaml.Node) bool { return len(n.Content) == 0 }) {
		m = with(m, entryOf("match", match))
	}
	if r.optional {
		m = with(m, entryOf("access", "optional"))
	}
	if require := p.require(r.outcome); len(require.Content) > 0 {
		if r.token == nil {
			require.HeadComment = "# No token passes: each has an issuer."
		}
		m = with(m, entryOf("require", require))
	}
	return m
}

func (p *plan) require(o outcome) *yaml.Node {
	m := mapping()
	if o.token == nil {
		return with(m, entryOf("claims", sequence(flow(mapping(entryOf("path", texts("iss")), entryOf("exists", false))))))
	}
	if o.token.issuers != p.all {
		var list []string
		for i, one := range p.issuers {
			if o.token.issuers&(1<<i) != 0 {
				list = append(list, one.name)
			}
		}
		m = with(m, entryOf("providers", texts(list...)))
	}
	var all, some, none []string
	claims := sequence()
	claim := func(l literal, operator string, v any) {
		claims.Content = append(claims.Content, flow(mapping(entryOf("path", texts(l.path...)), entryOf(operator, v))))
	}
	for _, l := range o.token.literals {
		switch l.kind {
		case scopeAny:
			if len(l.values) == 1 {
				all = append(all, l.values...)
			} else {
				some = l.values
			}
		case scopeNone:
			none = append(none, l.values...)
		case claimAny:
			claim(l, "any", texts(l.values...))
		case claimNone:
			claim(l, "none", texts(l.values...))
		case claimGlob:
			claim(l, "glob", l.values[0])
		case claimText: // a text, and one with a letter in it
			claim(l, "glob", "*")
			claim(l, "none", texts(""))
		case claimNoText:
			claim(l, "exists", false)
		}
	}
	scopes := mapping()
	for _, list := range []struct {
		name   string
		values []string
	}{{"all", all}, {"any", some}, {"none", none}} {
		if list.values != nil {
			scopes = with(scopes, entryOf(list.name, texts(list.values...)))
		}
	}
	if len(scopes.Content) > 0 {
		m = with(m, entryOf("scopes", flow(scopes)))
	}
	if len(claims.Content) > 0 {
		m = with(m, entryOf("claims", claims))
	}
	return m
}
