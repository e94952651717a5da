// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// provider is an issuer of tokens.
type provider struct {
	name          string
	issuer        string
	audiences     []string // empty: any, by anyAudience
	algorithms    []jose.Algorithm
	keys          *jwks.Set   // inline
	remote        *RemoteKeys // nil where the keys are inline
	locations     []*location
	trustedHeader string // of a provider whose tokens somebody else has verified; empty for all others
	skew          time.Duration
	requireExpiry bool
	maxLifetime   time.Duration // 0: none
	types         []string      // allowed typ, in lower case and without application/; empty: any
	scopeClaims   []string
	constraint    constraint
}

// trusted reports whether the provider's claims come in a header instead of a token.
func (p *provider) trusted() bool { return p.trustedHeader != "" }

func (c *config) readProvider(o *conf.Object) {
	p := &provider{constraint: unconstrained}
	p.name = readName(o, func(name string) bool { return c.provider(name) != nil })
	if n, ok := o.Need("issuer"); ok {
		p.issuer = n.Text()
		for _, other := range c.providers {
			if other.issuer == p.issuer && p.issuer != "" {
				n.Fault("provider " + other.name + " has this issuer already: a token's iss must select one provider")
			}
		}
	}
	p.readAudiences(o)
	if n, ok := o.At("trustedPayload"); ok {
		p.readTrustedPayload(o, n)
	} else {
		p.readAlgorithms(o)
		p.readKeys(o)
		c.readLocations(o, p)
		c.readConstraint(o, p)
		p.readTypes(o)
	}
	p.skew = o.Duration("clockSkew", 30*time.Second, 0, 300*time.Second)
	p.requireExpiry = o.Bool("requireExpiry", true)
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
	o.End()
	c.providers = append(c.providers, p)
}

func (p *provider) readAudiences(o *conf.Object) {
	anyAudience := o.Bool("anyAudience", false)
	n, ok := o.At("audiences")
	switch {
	case ok && anyAudience:
		n.Fault("contradicts anyAudience: name audiences, or accept any")
	case ok:
		p.audiences = n.Texts()
	case !anyAudience:
		o.FaultAt("audiences", "is required, or anyAudience: true to accept tokens made for anybody")
	}
}

// readTrustedPayload reads a provider whose tokens RequestAuthentication has verified: what is about tokens has no place beside it.
func (p *provider) readTrustedPayload(o *conf.Object, n conf.Node) {
	t := n.Object()
	if h, ok := t.Need("header"); ok {
		p.trustedHeader = readHeaderName(h)
	}
	t.End()
	if p.trustedHeader == "" {
		p.trustedHeader = "x" // refused anyway; it keeps the kind for the checks that follow
	}
	for _, name := range [...]string{"jwks", "algorithms", "token", "types", "senderConstraint"} {
		if n, ok := o.At(name); ok {
			n.Fault("contradicts trustedPayload, under which no token is looked at")
		}
	}
}

func (p *provider) readAlgorithms(o *conf.Object) {
	p.algorithms = []jose.Algorithm{jose.RS256, jose.ES256}
	n, ok := o.At("algorithms")
	if !ok {
		return
	}
	p.algorithms = nil
	for _, item := range n.List() {
		a, known := jose.ParseAlgorithm(item.Enum(jose.AlgorithmNames()...))
		for _, b := range p.algorithms {
			if a == b && known && a.String() == item.Value().Str {
				item.Fault("is in the list already")
			}
		}
		p.algorithms = append(p.algorithms, a)
	}
}

func (p *provider) readKeys(o *conf.Object) {
	n, ok := o.Need("jwks")
	if !ok {
		return
	}
	source := n.Object()
	inline, hasInline := source.At("inline")
	remote, hasRemote := source.At("remote")
	switch {
	case hasInline == hasRemote:
		if n.IsObject() {
			n.Fault("want one of inline and remote")
		}
	case hasRemote:
		p.remote = readRemote(remote, p.algorithms)
	default:
		p.keys = readInline(inline, p.algorithms)
		if p.keys != nil && !p.keys.HasKeyFor(p.algorithms) {
			inline.Fault("has no key for any of the algorithms: no token could be verified")
		}
	}
	source.End()
}

// readInline takes a JWK Set that the user wrote or pasted: what a remote set may leave unusable is a fault here.
func readInline(n conf.Node, algorithms []jose.Algorithm) *jwks.Set {
	// The reader of the configuration has left repeated names to whoever looks at an object; a key is looked at by name only.
	if err := strictjson.Scan(n.Raw(), strictjson.Limits{Depth: 8, Members: 4096, Number: 32}); err != nil {
		n.Fault(err.Err.Error())
		return nil
	}
	symmetric := false
	for _, a := range algorithms {
		symmetric = symmetric || a.Symmetric()
	}
	set, faults := jwks.Parse(n.Value(), symmetric)
	for _, f := range faults {
		if f.Index < 0 {
			n.Fault(f.Err.Error())
			continue
		}
		list := n.Object()
		if keys, ok := list.At("keys"); ok {
			keys.ListOrEmpty()[f.Index].Fault(f.Err.Error())
		}
	}
	if len(faults) > 0 {
		return nil
	}
	return set
}

// readTypes reads the allowed values of typ (RFC 7515 §4.1.9: a media type, of which application/ may be left out).
func (p *provider) readTypes(o *conf.Object) {
	for _, t := range o.Texts("types") {
		p.types = append(p.types, mediaType(t))
	}
}

func mediaType(typ string) string { return strings.TrimPrefix(strings.ToLower(typ), "application/") }
