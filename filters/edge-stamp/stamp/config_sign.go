// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/match"
)

// signer is the role of the edge.
type signer struct {
	ttl        time.Duration
	bind       parts
	copyClaims []string
	context    *context         // profile txn-token; takes the place of copyClaims
	key        *jose.PrivateKey // that signs
	byProxy    bool             // the proxy makes its signatures
	random     func([]byte) error
	pool       []byte // of random bytes that have not been used
	scratch    []byte // for the claims of one stamp after the other
	room       int    // bytes of a signature in base64url, as far as is known

	// What is the same in every stamp:
	header string // of the JWS, in base64url
	claims string // the payload's beginning: {"iss":…,"aud":…

	published string // a path in its canonical form; empty: nothing is published
	document  string // the JWK Set
	etag      string
}

// reserved are the claims that a stamp has of its own.
var reserved = []string{"iss", "aud", "iat", "exp", "nbf", "jti", "htm", "hth", "htp", "qsh", "bdh", "cnf"}

func (c *config) readSigner(o *conf.Object, from Surroundings) {
	s := &signer{bind: line, random: from.Random}
	c.signer = s
	issuer, audience := "", ""
	if n, ok := o.Need("issuer"); ok {
		issuer = n.Text()
	}
	if n, ok := o.Need("audience"); ok {
		audience = n.Text()
	}
	s.ttl = o.Duration("ttl", defaultTTL, time.Second, 10*time.Minute)
	if s.ttl%time.Second != 0 {
		o.FaultAt("ttl", "want whole seconds: a stamp has no smaller ones")
	}
	if n, ok := o.At("bind"); ok {
		if s.bind = readParts(n); s.bind == 0 {
			n.Fault("binds the stamp to nothing: it would do for any request")
		}
	}
	if c.txn {
		s.context = readContext(o)
	} else if n, ok := o.At("copyClaims"); ok {
		for _, item := range n.List() {
			name := item.Text()
			switch {
			case slices.Contains(reserved, name):
				item.Fault("is a claim that the stamp has of its own")
			case slices.Contains(s.copyClaims, name) && name != "":
				item.Warn(conf.Repeated)
				continue
			}
			s.copyClaims = append(s.copyClaims, name)
		}
	}
	c.readKeys(o, from)
	start := gjson.AppendJSONString([]byte(`{"iss":`), issuer)
	start = gjson.AppendJSONString(append(start, `,"aud":`...), audience)
	typ := stampType
	if c.txn {
		start = gjson.AppendJSONString(append(start, `,"req_wl":`...), issuer)
		typ = txnType
	}
	s.claims = string(start)
	if s.key != nil {
		s.byProxy = s.key.ByProxy()
		header := append([]byte(`{"typ":"`+typ+`","alg":"`+s.key.Algorithm().String()+`","kid":`),
			gjson.AppendJSONString(nil, s.key.ID())...)
		s.header = base64.RawURLEncoding.EncodeToString(append(header, '}'))
	}
}

// readKeys reads the keys, of which the first signs, and makes the set that is published of all.
func (c *config) readKeys(o *conf.Object, from Surroundings) {
	s := c.signer
	set := ""
	var ids []string
	if list, ok := o.Need("keys"); ok {
		for i, n := range list.List() {
			entry := n.Object()
			k, jwk := readKey(entry, from)
			if i == 0 {
				if s.key = k; entry.Has("publicOnly") {
					n.Fault("the first key signs: give it by env, pem or jwk")
				}
			}
			if kid, ok := entry.At("kid"); ok && kid.IsString() {
				if c.message && !printable(kid.Value().Str) {
					kid.Fault("want printable ASCII: a keyid of RFC 9421 is nothing else")
				}
				if slices.Contains(ids, kid.Value().Str) {
					kid.Fault("another key has the same")
				}
				ids = append(ids, kid.Value().Str)
			}
			if jwk != "" {
				if set != "" {
					set += ","
				}
				set += jwk
			}
		}
	}
	n, ok := o.At("publish")
	if !ok {
		return
	}
	text := n.Text()
	var r match.Request
	switch {
	case text == "":
		return
	case text[0] != '/':
		n.Fault("a path starts with a slash")
	case r.Set("GET", "", text, false) != nil || r.Query != "" || r.Path != text:
		n.Fault("want a plain path, without query, escapes and ; parameters")
	case set == "" && s.key != nil:
		n.Warn("has no effect: a secret is not published, so there is nothing to publish")
		return
	}
	s.published, s.document = text, `{"keys":[`+set+`]}`
	s.etag = `"` + jose.Hash(s.document)[:22] + `"`
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// readKey reads one key: what signs with it, where its private half is given, and its public half
// to publish, where it has one.
func readKey(o *conf.Object, from Surroundings) (key *jose.PrivateKey, jwk string) {
	kid := ""
	if n, ok := o.Need("kid"); ok {
		kid = n.Text()
	}
	var alg jose.Algorithm
	if n, ok := o.Need("alg"); ok {
		alg, _ = jose.ParseAlgorithm(n.Enum(jose.AlgorithmNames()...))
	}
	sources := 0
	for _, source := range [...]string{"env", "pem", "jwk", "publicOnly"} {
		n, ok := o.At(source)
		if !ok {
			continue
		}
		sources++
		if alg == 0 || kid == "" {
			continue
		}
		var err error
		switch source {
		case "env":
			if text, ok := n.Variable(from.Env); ok {
				key, err = jose.ParsePrivateKey(text, kid, alg)
			}
		case "pem":
			if text := n.Text(); text != "" {
				key, err = jose.ParsePrivateKey(text, kid, alg)
			}
		case "jwk":
			n.Object() // a fault where it is none
			if n.IsObject() {
				key, err = jose.ParsePrivateKey(n.Raw(), kid, alg)
			}
		default:
			n.Object()
			if n.IsObject() {
				jwk, _, err = jose.ParsePublicJWK(n.Value(), kid, alg)
			}
		}
		if err != nil {
			n.Fault(err.Error())
		}
		if source != "env" && alg.Symmetric() {
			n.Fault("a secret comes by env only: the configuration is there for all to read (config_dump)")
		}
	}
	if sources != 1 && o.IsObject() {
		o.Fault("name one of env, pem, jwk and publicOnly")
	}
	o.End()
	if key != nil {
		jwk = key.PublicJWK()
	}
	return key, jwk
}
