// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/conf"
)

// forward is what the service behind gets to see.
type forward struct {
	stripToken    bool
	payloadHeader string // empty: none
	claimHeaders  []claimHeader
	// names are all headers that we write, as fold gives them: whatever a client sends under one of them is removed.
	names map[string]bool
}

type claimHeader struct {
	path   []string
	header string
}

func (c *config) readForward(o *conf.Object) {
	c.forward.names = map[string]bool{}
	n, ok := o.At("forward")
	if !ok {
		return
	}
	f := n.Object()
	c.forward.stripToken = f.Enum("token", "keep", "strip") == "strip"
	if h, ok := f.At("payloadHeader"); ok {
		c.forward.payloadHeader = c.outputHeader(h)
	}
	if list, ok := f.At("claimHeaders"); ok {
		for _, item := range list.List() {
			var h claimHeader
			entry := item.Object()
			if path, ok := entry.Need("path"); ok {
				for _, name := range path.List() {
					h.path = append(h.path, name.Text())
				}
			}
			if name, ok := entry.Need("header"); ok {
				h.header = c.outputHeader(name)
			}
			entry.End()
			c.forward.claimHeaders = append(c.forward.claimHeaders, h)
		}
	}
	f.End()
}

func (c *config) outputHeader(n conf.Node) string {
	name := readHeaderName(n)
	switch {
	case name == "":
	case name == "authorization" || name == "cookie":
		n.Fault("credentials stand in this header: choose another")
	case c.forward.names[fold(name)]:
		n.Fault("is written by this filter already (- and _ count as the same)")
	}
	c.forward.names[fold(name)] = true
	return name
}

// fold gives a header's name the form in which servers that turn names into variables confuse it with others: CGI, WSGI and their like make - and _ the same.
func fold(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return strings.ReplaceAll(name, "_", "-")
}

// checkTrustedHeaders refuses to write what another filter's claims are read from.
func (c *config) checkTrustedHeaders(o *conf.Object) {
	for _, p := range c.providers {
		if p.trusted() && c.forward.names[fold(p.trustedHeader)] {
			o.FaultAt("forward", "writes "+p.trustedHeader+", which provider "+p.name+" trusts: whoever reads it next could not tell our claims from those that were verified before")
		}
	}
}
