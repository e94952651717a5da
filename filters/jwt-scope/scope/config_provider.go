// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// provider is an issuer of tokens.
type provider struct {
	name          string
	issuer        string    // of a template: as it is written
	template      *template // nil: there is one issuer
	audiences     []string  // empty: any, by anyAudience
	algorithms    []jose.Algorithm
	keys          jwks.Keys
	locations     []*location
	introspection *introspection // nil: its tokens are verified
	trustedHeader string         // of a provider whose tokens somebody else has verified; empty for all others
	skew          time.Duration
	requireExpiry bool
	maxLifetime   time.Duration // 0: none
	types         []string      // allowed typ, in lower case and without application/; empty: any
	scopeClaims   []string
	separator     string      // of scopes in a string
	require       requirement // of every token, on every rule that is not public
	asks          bool        // it asks for something
	constraint    constraint
}

// plainIssuer is the issuer, where it is no template.
func (p *provider) plainIssuer() string {
	if p.template != nil {
		return ""
	}
	return p.issuer
}

// trusted reports whether the provider's claims come in a header instead of a token.
func (p *provider) trusted() bool { return p.trustedHeader != "" }

func (c *config) readProvider(o *conf.Object, from Surroundings) {
	p := &provider{constraint: unconstrained}
	p.name = o.Name()
	introspection, introspects := o.At("introspection")
	issuer := o.Need
	if introspects {
		issuer = o.At
	}
	if n, ok := issuer("issuer"); ok {
		c.readIssuer(p, n, introspects)
	}
	if !introspects {
		p.audiences = jwt.ReadAudiences(o, "tokens")
	}
	if n, ok := o.At("trustedPayload"); ok {
		p.readTrustedPayload(o, n)
	} else if introspects {
		c.readIntrospection(o, p, introspection, from)
		c.readLocations(o, p)
		c.readConstraint(o, p)
	} else {
		p.algorithms = jwks.ReadAlgorithms(o, jose.RS256, jose.ES256)
		p.keys = jwks.ReadKeys(o, p.name, p.plainIssuer(), p.algorithms)
		c.readLocations(o, p)
		c.readConstraint(o, p)
		p.readTypes(o)
	}
	p.skew = o.Duration("clockSkew", 30*time.Second, 0, 300*time.Second)
	p.requireExpiry = o.Bool("requireExpiry", !introspects) // RFC 7662 §2.2: the endpoint need not tell
	if n, ok := o.At("maxLifetime"); ok {
		p.maxLifetime = n.Duration(time.Second, 10*365*24*time.Hour)
		if !p.requireExpiry {
			n.Fault("needs requireExpiry: a token without exp has no lifetime to compare")
		}
	}
	p.scopeClaims = []string{"scope", "scp"}
	if claims := o.Texts("scopeClaims"); claims != nil {
		p.scopeClaims = claims
	}
	p.separator = o.Enum("scopeSeparator", bySpace, byComma, byAny)
	if n, ok := o.At("require"); ok {
		require := n.Object()
		readRequirement(require, &p.require, nil)
		require.End()
		if p.asks = !p.require.empty(); !p.asks && n.IsObject() {
			n.Fault("asks for nothing: name scopes, claims or both")
		}
	}
	o.End()
	c.providers = append(c.providers, p)
}

// readTrustedPayload reads a provider whose tokens RequestAuthentication has verified: what is
// about tokens has no place beside it.
func (p *provider) readTrustedPayload(o *conf.Object, n conf.Node) {
	t := n.Object()
	if h, ok := t.Need("header"); ok {
		p.trustedHeader = forward.ReadHeaderName(h)
	}
	t.End()
	if p.trustedHeader == "" {
		p.trustedHeader = "x" // refused anyway; it keeps the kind for the checks that follow
	}
	for _, name := range [...]string{"jwks", "introspection", "algorithms", "token", "types", "senderConstraint"} {
		if n, ok := o.At(name); ok {
			n.Fault("contradicts trustedPayload, under which no token is looked at")
		}
	}
}

// readTypes reads the allowed values of typ (RFC 7515 §4.1.9: a media type, of which application/ may be left out).
func (p *provider) readTypes(o *conf.Object) {
	for _, t := range o.Texts("types") {
		p.types = append(p.types, jwt.MediaType(t))
	}
}
