// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"slices"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// part is one of those that a key is made of.
type part struct {
	kind     partKind
	path     []string // claim
	text     string   // header, query, cookie, pathVariable: its name; constant: itself
	prefixes prefixes // sourceAddress, forwardedAddress
	hops     int      // forwardedAddress
}

type partKind uint8

const (
	claim partKind = iota + 1
	header
	sourceAddress
	forwardedAddress
	host
	method
	pathTemplate
	pathVariable
	peer
	constant
	query
	cookie
)

var partNames = [...]string{claim: "claim", header: "header", sourceAddress: "sourceAddress",
	forwardedAddress: "forwardedAddress", host: "host", method: "method",
	pathTemplate: "pathTemplate", pathVariable: "pathVariable", peer: "peer", constant: "constant",
	query: "query", cookie: "cookie"}

// maxParts is more than anybody counts by.
const maxParts = 16

func (l *limit) readKey(o *conf.Object) {
	n, ok := o.At("key")
	if !ok {
		return
	}
	items := n.List()
	if len(items) > maxParts {
		n.Fault("has more than 16 parts")
		return
	}
	for _, item := range items {
		l.key = append(l.key, l.readPart(item))
	}
}

func (l *limit) readPart(item conf.Node) (p part) {
	o := item.Object()
	for kind := claim; int(kind) < len(partNames); kind++ {
		n, ok := o.At(partNames[kind])
		if !ok {
			continue
		}
		if p.kind != 0 {
			n.Fault("stands beside " + partNames[p.kind] + ": each part of a key is an item of its own")
			continue
		}
		p = l.readPartOf(kind, n)
	}
	o.End()
	if p.kind == 0 && item.IsObject() {
		item.Fault("names no part of a key")
	}
	return p
}

func (l *limit) readPartOf(kind partKind, n conf.Node) part {
	p := part{kind: kind, prefixes: hostPrefixes}
	switch kind {
	case claim:
		p.path = readPath(n)
	case header:
		p.text = forward.ReadHeaderName(n)
	case constant, query:
		p.text = n.Text()
	case cookie:
		p.text = n.Text()
		for i := range len(p.text) {
			if !forward.IsTokenChar(p.text[i]) {
				n.Fault("want a cookie's name: the characters of an HTTP token (RFC 6265 §4.1.1)")
				break
			}
		}
	case sourceAddress:
		if n.IsObject() {
			o := n.Object()
			p.prefixes = readPrefixes(o)
			o.End()
		} else {
			wantTrue(n)
		}
	case forwardedAddress:
		o := n.Object()
		if hops, ok := o.Need("trustedHops"); ok {
			p.hops = hops.Int(1, 32)
		}
		p.prefixes = readPrefixes(o)
		o.End()
	case pathVariable:
		p.text = n.Text()
		l.needPaths(n, p.text)
	case pathTemplate:
		wantTrue(n)
		l.needPaths(n, "")
	default: // host, method, peer
		wantTrue(n)
	}
	return p
}

func readPrefixes(o *conf.Object) prefixes {
	return prefixes{o.Int("v4Prefix", hostPrefixes.v4, 1, 32), o.Int("v6Prefix", hostPrefixes.v6, 1, 128)}
}

func wantTrue(n conf.Node) {
	if !n.Bool() && n.Value().IsBool() {
		n.Fault("want true, or leave this part out")
	}
}

// needPaths holds a part that comes from the path against the limit's match: whatever entry fits a
// request, it must have the part.
func (l *limit) needPaths(n conf.Node, variable string) {
	has := len(l.conditions) > 0
	for i := range l.conditions {
		c := &l.conditions[i]
		has = has && len(c.Paths) > 0
		for _, t := range c.Paths {
			if variable != "" && !slices.Contains(t.Variables(), variable) {
				n.Fault("the path " + t.String() + " of match has no {" + variable + "}")
				return
			}
		}
	}
	if !has {
		n.Fault("needs paths in every entry of match")
	}
}

// canMiss reports whether a request that the limit fits can lack a part of the key.
func (l *limit) canMiss() bool {
	for i := range l.key {
		switch l.key[i].kind {
		case method, pathTemplate, pathVariable, constant:
		default:
			return true
		}
	}
	return false
}
