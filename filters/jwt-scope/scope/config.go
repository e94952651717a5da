// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// config is what the user wrote, read and checked.
type config struct {
	shadow       bool
	allowDefault bool
	literalPaths bool
	providers    []*provider
	rules        []ruleConfig
	realm        string
	metadata     string // URL of the protected resource's metadata (RFC 9728); empty for none
	limits       jose.Limits
}

// provider is an issuer of tokens.
type provider struct {
	name          string
	issuer        string
	audiences     []string // empty: any, by anyAudience
	algorithms    []jose.Algorithm
	keys          *jwks.Set
	skew          time.Duration
	requireExpiry bool
	maxLifetime   time.Duration // 0: none
	scopeClaims   []string
}

type ruleConfig struct {
	name       string
	conditions []match.Condition
	shadow     bool
	access     access
	providers  []*provider // empty: all
	scopes     scopes
}

type access string

const (
	required access = "required"
	optional access = "optional"
	public   access = "public"
)

// scopes are what a rule asks of a token's scopes; an empty list asks nothing.
type scopes struct{ all, any, none []string }

// readConfig returns what text says, or conf.Faults.
func readConfig(text string) (*config, error) {
	r, o := conf.Read(text)
	c := &config{
		shadow:       o.Enum("mode", "enforce", "shadow") == "shadow",
		allowDefault: o.Enum("default", "deny", "allow") == "allow",
		literalPaths: o.Enum("ambiguousPath", "reject", "literal") == "literal",
		realm:        "tollgate",
	}
	c.readLimits(o)
	c.readErrors(o)
	if n, ok := o.Need("providers"); ok {
		for _, item := range n.List() {
			c.readProvider(item.Object())
		}
	}
	if n, ok := o.Need("rules"); ok {
		for _, item := range n.List() {
			c.readRule(item.Object())
		}
	}
	o.End()
	return c, r.Err()
}

func (c *config) readLimits(o *conf.Object) {
	c.limits = jose.Limits{TokenBytes: 8192, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}
	if n, ok := o.At("limits"); ok {
		l := n.Object()
		c.limits.TokenBytes = l.Int("tokenBytes", c.limits.TokenBytes, 1, 1<<16)
		c.limits.JSON.Depth = l.Int("jsonDepth", c.limits.JSON.Depth, 1, 64)
		c.limits.JSON.Members = l.Int("jsonMembers", c.limits.JSON.Members, 1, 1<<12)
		l.End()
	}
}

func (c *config) readErrors(o *conf.Object) {
	n, ok := o.At("errors")
	if !ok {
		return
	}
	e := n.Object()
	if n, ok := e.At("realm"); ok {
		if c.realm = n.Text(); !quotable(c.realm) {
			n.Fault(`want printable ASCII without " and \: it stands in a quoted string of WWW-Authenticate`)
		}
	}
	if n, ok := e.At("resourceMetadata"); ok {
		c.metadata = n.Text()
		if c.metadata != "" && (!strings.HasPrefix(c.metadata, "https://") && !strings.HasPrefix(c.metadata, "http://") || !quotable(c.metadata) || strings.Contains(c.metadata, " ")) {
			n.Fault("want the URL of the protected resource's metadata (RFC 9728)")
		}
	}
	e.End()
}

func quotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (c *config) readProvider(o *conf.Object) {
	p := &provider{}
	taken := func(name string) bool { return c.provider(name) != nil }
	p.name = readName(o, taken)
	if n, ok := o.Need("issuer"); ok {
		p.issuer = n.Text()
		for _, other := range c.providers {
			if other.issuer == p.issuer && p.issuer != "" {
				n.Fault("provider " + other.name + " has this issuer already: a token's iss must select one provider")
			}
		}
	}
	p.readAudiences(o)
	p.readAlgorithms(o)
	p.readKeys(o)
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
	if inline, ok := source.Need("inline"); ok {
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

func (c *config) readRule(o *conf.Object) {
	r := ruleConfig{shadow: c.shadow}
	r.name = readName(o, func(name string) bool {
		for i := range c.rules {
			if c.rules[i].name == name {
				return true
			}
		}
		return false
	})
	r.conditions = match.ReadConditions(o, c.literalPaths)
	if n, ok := o.At("mode"); ok {
		r.shadow = n.Enum("enforce", "shadow") == "shadow"
	}
	r.access = access(o.Enum("access", string(required), string(optional), string(public)))
	if n, ok := o.At("require"); ok {
		if r.access == public {
			n.Fault("contradicts access: public, under which tokens are not looked at")
		}
		c.readRequire(n.Object(), &r)
	}
	o.End()
	c.rules = append(c.rules, r)
}

func (c *config) readRequire(o *conf.Object, r *ruleConfig) {
	if n, ok := o.At("providers"); ok {
		for _, item := range n.List() {
			name := item.Text()
			p := c.provider(name)
			if p == nil && name != "" {
				item.Fault("no provider has this name")
			}
			r.providers = append(r.providers, p)
		}
	}
	if n, ok := o.At("scopes"); ok {
		s := n.Object()
		r.scopes = scopes{all: readScopes(s, "all"), any: readScopes(s, "any"), none: readScopes(s, "none")}
		if len(s.Names()) == 0 && n.Value().IsObject() {
			n.Fault("asks for nothing: name scopes under all, any or none")
		}
		for _, want := range append(append([]string{}, r.scopes.all...), r.scopes.any...) {
			if contains(r.scopes.none, want) {
				s.FaultAt("none", "a scope that is also asked for can never be absent and present")
			}
		}
	}
	o.End()
}

func readScopes(o *conf.Object, name string) []string {
	n, ok := o.At(name)
	if !ok {
		return nil
	}
	list := n.Texts()
	for i, item := range n.ListOrEmpty() {
		if item.Value().Type == gjson.String && !isScope(list[i]) {
			item.Fault("is not a scope (RFC 6749 §3.3): printable ASCII without space, quotation mark and backslash")
		}
	}
	return list
}

func isScope(s string) bool { return quotable(s) && !strings.Contains(s, " ") }

// readName reads a name that is safe in metric names and unlike any other.
func readName(o *conf.Object, taken func(string) bool) string {
	n, ok := o.Need("name")
	if !ok {
		return ""
	}
	name := n.Text()
	switch {
	case name == "":
	case !isName(name):
		n.Fault("want 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit")
	case taken(name):
		n.Fault("is in use already")
	}
	return name
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return len(s) <= 63
}

func (c *config) provider(name string) *provider {
	for _, p := range c.providers {
		if p.name == name && name != "" {
			return p
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
