// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

func (c *config) readForward(o *conf.Object) {
	if n, ok := o.At("forward"); ok {
		f := n.Object()
		c.stripToken = f.Enum("token", "keep", "strip") == "strip"
		c.claims = forward.ReadClaims(f)
		f.End()
	}
}

// checkTrustedHeaders refuses to write what another filter's claims are read from.
func (c *config) checkTrustedHeaders(o *conf.Object) {
	for _, p := range c.providers {
		if p.trusted() && c.claims.Writes(p.trustedHeader) {
			o.FaultAt("forward", "writes "+p.trustedHeader+", which provider "+p.name+
				" trusts: whoever reads it next could not tell our claims from those that were verified before")
		}
	}
}
