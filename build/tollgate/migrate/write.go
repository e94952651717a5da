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
		headers := sequence()
		for i, region := range e.headers {
			if n := region.node(p.headerNames[i]); n != nil {
				headers.Content = append(headers.Content, n)
			}
		}
		for _, list := range []struct {
			name   string
			values []string
		}{{"hosts", e.hosts}, {"methods", e.methods}, {"paths", e.paths}} {
			if list.values != nil {
				one = with(one, entryOf(list.name, texts(list.values...)))
			}
		}
		if len(headers.Content) > 0 {
			one = with(one, entryOf("headers", headers))
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
		if len(r.tokens) == 0 {
			require.HeadComment = "# No token passes: each has an issuer."
		}
		m = with(m, entryOf("require", require))
	}
	return m
}

// require is what a rule asks of tokens. What all alternatives ask stands outside of anyOf.
func (p *plan) require(o outcome) *yaml.Node {
	if len(o.tokens) == 0 {
		return mapping(entryOf("claims", sequence(flow(mapping(entryOf("path", texts("iss")), entryOf("exists", false))))))
	}
	all := conj{}
	for _, l := range o.tokens[0].literals {
		has := func(c conj) bool {
			return slices.ContainsFunc(c.literals, func(o literal) bool { return l.compare(o) == 0 })
		}
		if !slices.ContainsFunc(o.tokens, func(c conj) bool { return !has(c) }) {
			all.literals = append(all.literals, l)
		}
	}
	for _, c := range o.tokens {
		all.issuers |= c.issuers
	}
	var alternatives []conj
	written := all.written()
	for _, c := range o.tokens {
		rest := conj{c.issuers, slices.DeleteFunc(slices.Clone(c.literals), func(l literal) bool {
			return slices.ContainsFunc(written.literals, func(o literal) bool { return l.compare(o) == 0 })
		})}
		if rest.issuers != all.issuers || len(rest.literals) > 0 {
			alternatives = append(alternatives, rest.apart()...)
		}
	}
	m := p.requirement(written, p.all)
	if alternatives == nil {
		return m
	}
	anyOf := sequence()
	for _, c := range alternatives {
		anyOf.Content = append(anyOf.Content, p.requirement(c, all.issuers))
	}
	return with(m, entryOf("anyOf", anyOf))
}

// choice reports whether a token needs one of several scopes, which one place can ask for once.
func (l literal) choice() bool { return l.kind == scopeAny && len(l.values) > 1 }

// written is what of a conjunction one place can ask for: one choice of scopes.
func (c conj) written() conj {
	chosen := false
	c.literals = slices.DeleteFunc(slices.Clone(c.literals), func(l literal) bool {
		again := l.choice() && chosen
		chosen = chosen || l.choice()
		return again
	})
	return c
}

// apart are conjunctions for one, each of which one place can ask for.
func (c conj) apart() (list []conj) {
	written := c.written()
	i := slices.IndexFunc(c.literals, func(l literal) bool {
		return l.choice() && !slices.ContainsFunc(written.literals, func(o literal) bool { return l.compare(o) == 0 })
	})
	if i < 0 {
		return []conj{c}
	}
	for _, scope := range c.literals[i].values {
		one := conj{c.issuers, slices.Clone(c.literals)}
		one.literals[i] = literal{scopeAny, nil, []string{scope}}
		list = append(list, one.apart()...)
	}
	return list
}

// requirement is what is asked of tokens of those issuers, among others.
func (p *plan) requirement(c conj, others uint64) *yaml.Node {
	m := mapping()
	if c.issuers != others {
		var list []string
		for i, one := range p.issuers {
			if c.issuers&(1<<i) != 0 {
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
	for _, l := range c.literals {
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
		case claimThere:
			claim(l, "exists", true)
		case claimNoText, claimMissing:
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
