// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// config is what the user wrote, read and checked.
type config struct {
	shadow       bool
	allowDefault bool
	literalPaths bool
	providers    []*provider
	rules        []rule
	claims       forward.Claims // what the service behind is told
	stripToken   bool
	answers      answers // of rules that say nothing else
	serves       bool    // there are resources
	documents    []resource
	templates    bool // a provider's issuer is one
	introspects  bool // a provider does
	cacheEntries int
	limits       jose.Limits
	proofAge     time.Duration // how long a DPoP proof is good
	proofEntries int           // how many proofs are remembered at once
	nonces       bool          // proofs need one of ours
	nonceKey     []byte        // of the configuration; nil: none
	warnings     []conf.Fault
}

// Surroundings are what a configuration refers to.
type Surroundings struct {
	Env func(name string) (value string, ok bool) // the VM's environment
}

// readConfig returns what text says, or conf.Faults.
func readConfig(text string, from Surroundings) (*config, error) {
	r, o := conf.Read(text)
	o.Enum("filter", "jwt-scope") // whose configuration it is
	c := &config{
		shadow:       o.Enum("mode", "enforce", "shadow") == "shadow",
		allowDefault: o.Enum("default", "deny", "allow") == "allow",
		literalPaths: o.Enum("ambiguousPath", "reject", "literal") == "literal",
		answers:      answers{realm: "tollgate"},
		serves:       o.Has("resources"),
		cacheEntries: 1024,
	}
	c.readLimits(o)
	if n, ok := o.At("errors"); ok {
		c.readAnswers(n, &c.answers)
	}
	if n, ok := o.At("cache"); ok {
		cache := n.Object()
		c.cacheEntries = cache.Int("entries", c.cacheEntries, 0, 1<<16)
		cache.End()
	}
	c.readForward(o)
	if n, ok := o.Need("providers"); ok {
		for _, item := range n.List() {
			c.readProvider(item.Object(), from)
		}
	}
	c.readProofs(o, from)
	if n, ok := o.Need("rules"); ok {
		for _, item := range n.List() {
			c.readRule(item.Object())
		}
	}
	c.readResources(o)
	c.checkTrustedHeaders(o)
	o.End()
	c.warnings = r.Warnings()
	return c, r.Err()
}

func (c *config) readLimits(o *conf.Object) {
	c.limits = jose.Limits{TokenBytes: 16384, JSON: strictjson.Limits{Depth: 16, Members: 1024, Number: 32}}
	if n, ok := o.At("limits"); ok {
		l := n.Object()
		c.limits.TokenBytes = l.Int("tokenBytes", c.limits.TokenBytes, 1, 1<<16)
		c.limits.JSON.Depth = l.Int("jsonDepth", c.limits.JSON.Depth, 1, 64)
		c.limits.JSON.Members = l.Int("jsonMembers", c.limits.JSON.Members, 1, 1<<12)
		l.End()
	}
}

func quotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (c *config) provider(name string) *provider {
	for _, p := range c.providers {
		if p.name == name && name != "" {
			return p
		}
	}
	return nil
}

//go:noinline
func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

//go:noinline
func containsProvider(list []*provider, p *provider) bool {
	for _, item := range list {
		if item == p {
			return true
		}
	}
	return false
}
