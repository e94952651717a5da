// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/ratelimit"
)

// verifier is the role of the mesh.
type verifier struct {
	trust  []*trust // whose stamps are believed
	others []*trust // whose signatures are (trust[].signature)
	demand demand
	strip  bool // the stamp goes no further
	claims forward.Claims

	entries int     // of the table of what has been seen
	global  *Global // nil: no rule asks for it
}

// trust is somebody whose stamps, or whose signatures of their own, are believed.
type trust struct {
	path       string // in the configuration
	name       string
	issuer     string
	audiences  []string // empty: any, by anyAudience
	algorithms []jose.Algorithm
	keys       jwks.Keys
	maxTTL     time.Duration // 0: none
	skew       time.Duration
	idp        bool     // forwardIdp: its stamps are JWTs of an identity provider, bound to nothing
	signature  *foreign // nil: it makes stamps
}

// demand is what a rule asks of a stamp beside being genuine and current.
type demand struct {
	bind   parts
	replay replayMode
}

type replayMode string

const (
	once       replayMode = "once"
	onceGlobal replayMode = "onceGlobal"
	off        replayMode = "off"
)

// Global says how the stamps that all proxies have seen are asked for, by Envoy's rate-limit service.
type Global struct {
	ratelimit.Service
	local bool // onError: what this proxy has seen decides alone
}

func (c *config) readVerifier(o *conf.Object, from Surroundings) {
	v := &verifier{entries: 1 << 16}
	c.verifier = v
	v.demand = demand{line, once}
	if n, ok := o.At("require"); ok {
		v.demand = readDemand(n.Object(), v.demand)
	}
	if n, ok := o.Need("trust"); ok {
		var trusts []*conf.Object
		for _, item := range n.List() {
			t := item.Object()
			c.readTrust(t, from)
			trusts = append(trusts, t)
		}
		c.checkForeign(trusts)
	}
	if n, ok := o.At("replay"); ok {
		r := n.Object()
		v.entries = r.Int("entries", v.entries, 1, 1<<20)
		if g, ok := r.At("global"); ok {
			v.global = readGlobal(g.Object())
		}
		r.End()
	}
	if n, ok := o.At("forward"); ok {
		f := n.Object()
		v.strip = f.Enum("stamp", "keep", "strip") == "strip"
		v.claims = forward.ReadClaims(f)
		if v.claims.Writes(c.header) {
			n.Fault("writes " + c.header + ", where the stamp stands")
		}
		f.End()
	}
}

func readDemand(o *conf.Object, d demand) demand {
	if n, ok := o.At("bind"); ok {
		d.bind = readParts(n)
	}
	if n, ok := o.At("replay"); ok {
		if n.Value().Type == gjson.False && !n.Bool() { // YAML 1.1 reads a bare off as false
			d.replay = off
		} else {
			d.replay = replayMode(n.Enum(string(once), string(onceGlobal), string(off)))
		}
	}
	o.End()
	return d
}

func readGlobal(o *conf.Object) *Global {
	g := &Global{Service: ratelimit.ReadService(o, 100*time.Millisecond)}
	g.local = o.Enum("onError", "deny", "local") == "local"
	o.End()
	return g
}

// checkGlobal holds what rules ask for against what there is to ask.
func (c *config) checkGlobal(o *conf.Object) {
	if c.verifier == nil {
		return
	}
	wanted := false
	for i := range c.rules {
		wanted = wanted || !c.rules[i].public && c.rules[i].demand.replay == onceGlobal
	}
	switch {
	case wanted && c.verifier.global == nil:
		o.FaultAt("replay", "global is required: replay: onceGlobal has to ask the rate-limit service")
	case !wanted && c.verifier.global != nil:
		o.WarnAt("replay", "global has no effect: no rule requires replay: onceGlobal")
		c.verifier.global = nil
	}
}

func (c *config) readTrust(o *conf.Object, from Surroundings) {
	v := c.verifier
	t := &trust{path: o.Path()}
	t.name = o.Name()
	if n, ok := o.At("signature"); ok {
		c.readForeign(o, n.Object(), t, from)
		return
	}
	if n, ok := o.Need("issuer"); ok {
		t.issuer = n.Text()
		if slices.ContainsFunc(v.trust, func(other *trust) bool { return other.issuer == t.issuer }) && t.issuer != "" {
			n.Fault("is trusted under another name already: a stamp's iss must select one")
		}
	}
	t.audiences = jwt.ReadAudiences(o, "stamps")
	t.readTrustedKeys(o, from, jose.RS256, jose.ES256)
	t.idp = o.Bool("forwardIdp", false)
	t.skew = o.Duration("clockSkew", 5*time.Second, 0, 300*time.Second)
	most, def := 10*time.Minute, time.Minute
	if t.idp {
		most, def = 10*365*24*time.Hour, 0
	}
	t.maxTTL = o.Duration("maxTtl", def, time.Second, most)
	own := v.demand
	if n, ok := o.At("require"); ok {
		own = readDemand(n.Object(), own)
		if !t.idp {
			n.Fault("belongs to a trust with forwardIdp; elsewhere it stands at the top or at a rule")
		}
	}
	if t.idp && own != (demand{0, off}) {
		o.FaultAt("forwardIdp", "needs require: {bind: [], replay: off}, here or at the top: an identity provider's "+
			"token is bound to no request and may be used again and again; say that you know")
	}
	if t.idp && c.message {
		o.FaultAt("forwardIdp", "needs profile: jws: an identity provider's token is one")
	}
	o.End()
	v.trust = append(v.trust, t)
}

// readTrustedKeys reads what the stamps of somebody are verified with: a key set, or secrets that
// both sides have in their environment.
func (t *trust) readTrustedKeys(o *conf.Object, from Surroundings, def ...jose.Algorithm) {
	list, shared := o.At("keys")
	if !shared {
		t.algorithms = jwks.ReadAlgorithms(o, def...)
		for _, a := range t.algorithms {
			if a.Symmetric() {
				o.FaultAt("algorithms", a.String()+" needs keys: [{kid, alg, env}]: a secret stands in no key set")
			}
		}
		t.keys = jwks.ReadKeys(o, t.name, t.issuer, t.algorithms)
		return
	}
	if n, ok := o.At("jwks"); ok {
		n.Fault("contradicts keys: give one of them")
	}
	var keys []*jose.Key
	for _, item := range list.List() {
		k := item.Object()
		if n, ok := k.At("alg"); ok && n.IsString() && !strings.HasPrefix(n.Value().Str, "HS") {
			n.Fault("want HS256, HS384 or HS512: public keys stand in jwks")
		}
		key, _ := readKey(k, from)
		if key == nil {
			continue
		}
		if slices.ContainsFunc(keys, func(other *jose.Key) bool { return other.ID == key.ID() }) {
			item.Fault("another key has the same kid")
		}
		keys = append(keys, key.Public())
		if !slices.Contains(t.algorithms, key.Algorithm()) {
			t.algorithms = append(t.algorithms, key.Algorithm())
		}
	}
	for _, a := range jwks.ReadAlgorithms(o, t.algorithms...) {
		if !slices.Contains(t.algorithms, a) && len(t.algorithms) > 0 {
			o.WarnAt("algorithms", a.String()+" has no effect: keys has no key for it")
		}
	}
	t.keys = jwks.Inline(jwks.NewSet(keys))
}
