// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"slices"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
)

// readIntrospection reads a provider whose tokens an endpoint is asked for (RFC 7662).
func (c *config) readIntrospection(o *conf.Object, p *provider, n conf.Node, from Surroundings) {
	for _, name := range [...]string{"jwks", "algorithms", "types"} {
		if n, ok := o.At(name); ok {
			n.Fault("contradicts introspection, under which no token is read")
		}
	}
	i := n.Object()
	s := &introspection{provider: p}
	s.Place = jwks.ReadPlace(i, "")
	s.timeout = i.Duration("timeout", 2*time.Second, 10*time.Millisecond, 30*time.Second)
	s.all = i.Enum("for", "opaque", "all") == "all"
	id, secret := "", ""
	if n, ok := i.Need("clientId"); ok {
		id = n.Text()
	}
	if n, ok := i.Need("clientSecretEnv"); ok {
		secret, _ = n.Variable(from.Env)
	}
	s.headers = [][2]string{{":method", "POST"}, {":authority", s.Authority}, {":path", s.Path},
		{"content-type", "application/x-www-form-urlencoded"}, {"accept", "application/json"}}
	id, secret = forward.PercentEncode(id), forward.PercentEncode(secret)
	if i.Enum("clientAuth", "basic", "post") == "basic" { // RFC 6749 §2.3.1: both encoded as in a form, first
		s.headers = append(s.headers, [2]string{"authorization",
			"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))})
	} else {
		s.form = "client_id=" + id + "&client_secret=" + secret + "&"
	}
	s.entries, s.ttl, s.negativeTTL = 1024, time.Minute, 5*time.Second
	if n, ok := i.At("cache"); ok {
		cache := n.Object()
		s.entries = cache.Int("entries", s.entries, 0, 1<<16)
		s.ttl = cache.Duration("ttl", s.ttl, 0, time.Hour)
		s.negativeTTL = cache.Duration("negativeTtl", s.negativeTTL, 0, time.Hour)
		cache.End()
	}
	i.End()
	if o.Has("audiences") || o.Has("anyAudience") {
		p.audiences = jwt.ReadAudiences(o, "tokens")
	} else {
		n.Warn("without audiences beside it every active token will do, also those made for others")
	}
	s.known, s.refused, s.inflight = newCache(s.entries), map[string]negative{}, map[string]*Inquiry{}
	p.introspection = s
	c.introspects = true
}

// checkIntrospection refuses a rule under which nobody could say which of two endpoints to ask: a
// token that is opaque does not tell whose it is.
func (r *rule) checkIntrospection(o *conf.Object) {
	for i, p := range r.providers {
		for _, other := range r.providers[:i] {
			if p == nil || other == nil || p.introspection == nil || other.introspection == nil || p == other {
				continue
			}
			for _, l := range p.locations {
				if slices.Contains(other.locations, l) {
					o.FaultAt("require", "providers "+other.name+" and "+p.name+" both introspect tokens from "+l.String()+
						": name one of them, or give them places of their own")
					return
				}
			}
		}
	}
}

// warnOfKeys tells of an endpoint for all tokens that is not asked for those of an issuer with keys.
func (r *rule) warnOfKeys(o *conf.Object) {
	for _, p := range r.providers {
		for _, other := range r.providers {
			if p != nil && other != nil && p.introspection != nil && p.introspection.all && p.issuer != "" &&
				other.introspection == nil && other.issuer == p.issuer {
				o.Warn("provider " + p.name + " is not asked for the JWTs of its issuer, which provider " + other.name +
					" has keys for; to ask for all, name " + p.name + " alone in require.providers")
			}
		}
	}
}
