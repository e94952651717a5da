// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"
	"time"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// config is what the user wrote, read and checked.
type config struct {
	shadow       bool
	allowDefault bool
	literalPaths bool
	message      bool   // profile rfc9421
	txn          bool   // profile txn-token; neither: jws
	header       string // of the stamp, in lower case; in profile rfc9421, of the claims that it covers
	bodyBytes    int
	bodyTimeout  time.Duration
	rules        []rule
	signer       *signer   // of role sign
	verifier     *verifier // of role verify
	warnings     []conf.Fault
}

// rule is what is done to the requests that its conditions fit.
type rule struct {
	name       string
	conditions []match.Condition
	shadow     bool

	sign bool  // role sign
	bind parts // role sign

	public bool     // role verify: no stamp is asked for
	peers  []string // role verify: the SPIFFE IDs that the connection's client may have; empty: any client
	demand demand   // role verify
}

// Limits of what is configured.
const (
	maxBody    = 16 << 20
	defaultTTL = 30 * time.Second
)

// Surroundings are what a configuration refers to and a stamp is made of, beside the request.
type Surroundings struct {
	Env func(name string) (value string, ok bool) // the VM's environment
	// fills its argument, of a few KiB at most, with what nobody can guess
	Random func([]byte) error
}

// readConfig returns what text says, or conf.Faults.
func readConfig(text string, s Surroundings) (*config, error) {
	r, o := conf.Read(text)
	o.Enum("filter", "edge-stamp") // whose configuration it is
	c := &config{
		shadow:       o.Enum("mode", "enforce", "shadow") == "shadow",
		allowDefault: o.Enum("default", "deny", "allow") == "allow",
		literalPaths: o.Enum("ambiguousPath", "reject", "literal") == "literal",
		header:       "x-edge-stamp",
		bodyBytes:    o.Int("bodyBytes", 1<<20, 1, maxBody),
		bodyTimeout:  o.Duration("bodyTimeout", 30*time.Second, time.Second, 10*time.Minute),
	}
	switch o.Enum("profile", "jws", "rfc9421", "txn-token") {
	case "rfc9421":
		c.message = true
	case "txn-token":
		c.txn, c.header = true, "txn-token"
	}
	role := ""
	if n, ok := o.Need("role"); ok {
		role = n.Enum("sign", "verify")
	}
	if n, ok := o.At("header"); ok {
		if c.header = forward.ReadHeaderName(n); c.header == "signature" || c.header == "signature-input" ||
			c.header == "content-digest" || c.header == "cookie" {
			n.Fault("has another meaning: choose a header of its own")
		}
	}
	switch role {
	case "sign":
		c.readSigner(o, s)
	case "verify":
		c.readVerifier(o, s)
	}
	if c.header == "authorization" &&
		(c.message || c.verifier == nil || !slices.ContainsFunc(c.verifier.trust, func(t *trust) bool { return t.idp })) {
		o.FaultAt("header", "clients have their credentials there: only an identity provider's token (forwardIdp) is "+
			"a stamp in this header")
	}
	if n, ok := o.Need("rules"); ok {
		for _, item := range n.List() {
			c.readRule(item.Object(), role)
		}
	}
	if role != "" {
		c.checkGlobal(o)
		o.End()
	}
	c.warnings = r.Warnings()
	return c, r.Err()
}

func (c *config) readRule(o *conf.Object, role string) {
	r := rule{shadow: c.shadow}
	r.name = o.Name()
	r.conditions = match.ReadConditions(o, c.literalPaths)
	if n, ok := o.At("mode"); ok {
		r.shadow = n.Enum("enforce", "shadow") == "shadow"
	}
	switch role {
	case "sign":
		if n, ok := o.Need("sign"); ok {
			r.sign = n.Bool()
		}
		r.bind = c.signer.bind
		if n, ok := o.At("bind"); ok {
			r.bind = readParts(n)
			if !r.sign {
				n.Warn("has no effect beside sign: false, under which nothing is bound")
			}
		}
	case "verify":
		r.public = o.Enum("access", "stamped", "public") == "public"
		r.demand = c.verifier.demand
		if n, ok := o.At("require"); ok {
			r.demand = readDemand(n.Object(), r.demand)
			if r.public {
				n.Fault("contradicts access: public, under which no stamp is looked at")
			}
		}
		for _, id := range o.Texts("peers") {
			r.peers = append(r.peers, id)
			if !strings.HasPrefix(id, "spiffe://") || strings.ContainsAny(id, " *?#") {
				o.FaultAt("peers", "want SPIFFE IDs such as spiffe://edge.example/ns/gateway/sa/edge")
			}
		}
	default:
		return // what belongs to a rule is known with the role only
	}
	o.End()
	c.rules = append(c.rules, r)
}

// parts are the parts of a request that a stamp binds.
type parts uint8

const (
	method parts = 1 << iota
	authority
	path
	query
	body

	line = method | authority | path | query // what is bound where nothing else is said
)

// readParts reads a list of parts; it may be empty.
func readParts(n conf.Node) (all parts) {
	for _, item := range n.ListOrEmpty() {
		var p parts
		switch item.Enum("method", "authority", "path", "query", "body") {
		case "authority":
			p = authority
		case "path":
			p = path
		case "query":
			p = query
		case "body":
			p = body
		default:
			p = method
		}
		if all&p != 0 && item.IsString() {
			item.Warn(conf.Repeated)
		}
		all |= p
	}
	return all
}
