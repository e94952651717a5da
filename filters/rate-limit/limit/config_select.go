// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"github.com/tollgate-wasm/tollgate/shared/condition"
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// selection says which of the requests that fit a limit's hosts, paths, methods and headers it is for.
type selection struct {
	sources       [][]network // of each entry of match; nil: no entry has any
	except        []match.Condition
	exceptSources [][]network // of each entry of except
	claims        []condition.Claim
	group         string
}

// selects reports whether there is anything to look at beside match.
func (s *selection) selects() bool {
	return s.sources != nil || len(s.except) > 0 || len(s.claims) > 0 || s.group != ""
}

// readSelection reads match and what restricts it.
func (l *limit) readSelection(o *conf.Object, literal bool) {
	var sources [][]network
	l.conditions = match.ReadEntries(o, "match", literal, func(entry *conf.Object) {
		list := readNetworks(entry)
		if sources = append(sources, list); list != nil {
			l.sources = sources
		}
	})
	if l.sources != nil {
		l.sources = sources
	}
	l.except = match.ReadEntries(o, "except", literal, func(entry *conf.Object) {
		l.exceptSources = append(l.exceptSources, readNetworks(entry))
	})
	if n, ok := o.At("claims"); ok {
		for _, item := range n.List() {
			l.claims = append(l.claims, condition.Read(item.Object(), condition.Subject{Name: "limit", Match: l.conditions}))
		}
	}
	if n, ok := o.At("group"); ok {
		l.group = n.Text()
	}
}

// readSourcesFrom reads from where the addresses are that sources are compared with, and returns the
// hops of forwardedFor; 0: source.address.
func readSourcesFrom(o *conf.Object) (hops int) {
	n, ok := o.At("sourcesFrom")
	if !ok {
		return 0
	}
	from := n.Object()
	if n, ok := from.Need("forwardedAddress"); ok {
		f := n.Object()
		if n, ok := f.Need("trustedHops"); ok {
			hops = n.Int(1, 32)
		}
		f.End()
	}
	from.End()
	return hops
}

// checkSelection tells of what is without effect.
func (c *config) checkSelection(o *conf.Object) {
	used := false
	for i := range c.limits {
		used = used || c.limits[i].hasSources()
	}
	if c.sourcesFrom > 0 && !used {
		o.WarnAt("sourcesFrom", "has no effect: no limit has sources")
	}
}

func (s *selection) hasSources() bool {
	for _, list := range s.exceptSources {
		if list != nil {
			return true
		}
	}
	return s.sources != nil
}

// readHeaders are the request's headers that a limit goes by.
func (l *limit) readHeaders() (names []string) {
	for i := range l.key {
		if p := &l.key[i]; p.kind == header {
			names = append(names, p.text)
		}
	}
	for _, list := range [...][]match.Condition{l.conditions, l.except} {
		for i := range list {
			for j := range list[i].Headers {
				names = append(names, list[i].Headers[j].Name)
			}
		}
	}
	for i := range l.claims {
		names = append(names, l.claims[i].Header())
	}
	return append(names, l.cost.header, l.tierHeader)
}

// mark is where a limit names itself on requests that are over it.
type mark struct {
	header string // empty: they are refused
	node   conf.Node
}

// readOnExceeded reads what becomes of a request that is over the limit.
func (l *limit) readOnExceeded(o *conf.Object) {
	n, ok := o.At("onExceeded")
	switch {
	case !ok:
		return
	case n.IsString():
		n.Enum("refuse")
		return
	}
	exceeded := n.Object()
	if n, ok := exceeded.Need("mark"); ok {
		m := n.Object()
		if n, ok := m.Need("header"); ok {
			l.mark = mark{forward.ReadOwnHeaderName(n), n}
		}
		m.End()
	}
	exceeded.End()
	if l.shadow {
		n.Warn("has no effect: in shadow mode no request is marked")
	}
}

// checkMarks holds the headers of marks against those by which limits count: marks are removed from
// requests, and a later request of the same client must not count by what was removed.
func (c *config) checkMarks() {
	for i := range c.limits {
		m := &c.limits[i].mark
		if m.header == "" {
			continue
		}
		for j := range c.limits {
			for _, name := range c.limits[j].readHeaders() {
				if forward.SameFold(name, m.header) {
					m.node.Fault("is a header that the limit " + c.limits[j].name + " goes by (- and _ count as the same): choose another")
				}
			}
		}
	}
}
