// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// answers are what challenges say beside the reason.
type answers struct {
	realm    string
	metadata string // URL of the protected resource's metadata (RFC 9728); empty for none
	auto     bool   // it is that of the document of resources that covers the request
	scopes   bool   // 401 names the scopes that the rule asks for, too
}

// readAnswers reads errors, at the top or of a rule: there, what it does not say stays.
func (c *config) readAnswers(n conf.Node, a *answers) {
	e := n.Object()
	if n, ok := e.At("realm"); ok {
		if a.realm = n.Text(); !quotable(a.realm) {
			n.Fault(`want printable ASCII without " and \: it stands in a quoted string of WWW-Authenticate`)
		}
	}
	if n, ok := e.At("resourceMetadata"); ok {
		a.metadata, a.auto = "", n.IsString() && n.Value().Str == "auto"
		switch {
		case !a.auto:
			a.metadata = readURL(n)
		case !c.serves:
			n.Fault("auto names a document of resources, and there are none")
		}
	}
	if n, ok := e.At("scopes"); ok {
		a.scopes = n.Enum("denied", "always") == "always"
	}
	e.End()
}

// challenge is the value of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1) for a refusal; empty
// where a token would not help.
func (p *Policy) challenge(d *Decision, rule int) string {
	c := d.verdict.Code
	if c == verdict.OK || rule < 0 || c.Status >= 500 {
		return ""
	}
	r := &p.rules[rule]
	s := `Bearer realm="` + r.answers.realm + `"`
	byProof := p.wantsProof(d, rule)
	if byProof {
		s = `DPoP realm="` + r.answers.realm + `", algs="` + proofAlgorithms + `"`
	}
	if byProof && c == TokenUnbound && d.verified.confirmation.thumbprint != "" && d.credential.at.scheme != "bearer" {
		s += `, error="invalid_dpop_proof"`
	} else if e := bearerError(c); e != "" {
		s += `, error="` + e + `"`
	}
	if c == AuthenticationInsufficient {
		s += r.authentication.challenge()
	}
	if c == InsufficientScope || r.answers.scopes && c.Status == 401 {
		if needs := r.needs(d.providerOf()); needs != "" {
			s += `, scope="` + needs + `"`
		}
	}
	metadata := r.answers.metadata
	if r.answers.auto {
		metadata = p.resources.metadata(d)
	}
	if metadata != "" {
		s += `, resource_metadata="` + metadata + `"`
	}
	return s
}

// providerOf is the provider of the token that is verified; nil: there is none.
func (d *Decision) providerOf() *provider {
	if d.verified == nil {
		return nil
	}
	return d.verified.provider
}

// wantsProof reports whether the challenge is DPoP's: the token came with that scheme, or is bound
// to a key, or the rule accepts no others.
func (p *Policy) wantsProof(d *Decision, rule int) bool {
	if d.credential.at != nil {
		return d.credential.at.scheme == dpopScheme || d.verdict.Code == TokenUnbound &&
			d.verified.confirmation.thumbprint != ""
	}
	for _, provider := range p.rules[rule].providers {
		if provider.constraint != dpop {
			return false
		}
	}
	return true
}
