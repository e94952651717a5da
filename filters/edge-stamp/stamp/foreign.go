// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Signatures that others make of their requests (RFC 9421): automated clients by Web Bot Auth
// (draft-ietf-webbotauth-httpsig-protocol-01), partners, webhooks.

// foreign says which of the signatures of a request are somebody's, and what they must cover.
type foreign struct {
	label      string // empty: any
	tag        string // empty: it has none
	components []string
	maxAge     time.Duration
	once       bool // nonce: once

	// How long nonces are remembered: as long as the signature is good for any trust with this tag.
	remembered, skew time.Duration
}

// maxSigned is how many signatures with the right label and tag a request may have.
const maxSigned = 8

// readForeign reads a trust whose signatures are not stamps; o is the trust, s its member signature.
func (c *config) readForeign(o, s *conf.Object, t *trust, from Surroundings) {
	f := &foreign{tag: "web-bot-auth", components: []string{"@authority"}}
	t.signature = f
	if n, ok := s.At("label"); ok {
		if f.label = n.Text(); f.label == "any" {
			f.label = ""
		}
		switch {
		case f.label != "" && !isLabel(f.label):
			n.Fault("is no label: want lower-case letters, digits and any of _ - . *, the first a letter or *; or any")
		case f.label == label && c.message:
			n.Fault("is the label of stamps: no other signature has it")
		}
	}
	if n, ok := s.At("tag"); ok {
		if f.tag = ""; n.Value().Type != gjson.False || n.Bool() {
			f.tag = n.Text()
		}
		if f.tag == tag {
			n.Fault("is the tag of stamps: trust the issuer of a stamp without signature")
		}
	}
	if n, ok := s.At("components"); ok {
		f.components = nil
		for _, item := range n.List() {
			name := item.Text()
			switch {
			case name == "host":
				item.Fault(`is never there, as Envoy has the host in :authority: want "@authority"`)
			case name != "" && !isCovered(name):
				item.Fault("want the name of a header in lower case, or one of " + strings.Join(derived[:], ", "))
			}
			f.components = append(f.components, name)
		}
	}
	f.maxAge = s.Duration("maxAge", 5*time.Minute, time.Second, 24*time.Hour)
	f.once = s.Enum("nonce", "optional", "once") == "once"
	s.End()
	for _, name := range [...]string{"issuer", "audiences", "anyAudience", "maxTtl", "require", "forwardIdp"} {
		if n, ok := o.At(name); ok {
			n.Fault("has no meaning beside signature: it is about stamps")
		}
	}
	t.readTrustedKeys(o, from, jose.EdDSA)
	for _, a := range t.algorithms {
		if a.MessageName() == "" {
			o.FaultAt("algorithms", a.String()+" is no algorithm of RFC 9421: want EdDSA, ES256, ES384, PS512, RS256 or HS256")
		}
	}
	t.skew = o.Duration("clockSkew", 5*time.Second, 0, 300*time.Second)
	o.End()
	c.verifier.others = append(c.verifier.others, t)
}

// checkForeign holds the trusts with signatures against each other and against those of stamps.
func (c *config) checkForeign(trusts []*conf.Object) {
	for _, t := range c.verifier.others {
		if slices.ContainsFunc(c.verifier.trust, func(edge *trust) bool { return edge.issuer == t.name }) {
			for _, o := range trusts {
				if o.Path() == t.path {
					o.FaultAt("name", "is the issuer of stamps, too: both are published as iss, and nobody could tell them apart")
				}
			}
		}
		f := t.signature
		for _, other := range c.verifier.others {
			if o := other.signature; o.once && o.tag == f.tag {
				f.remembered, f.skew = max(f.remembered, o.maxAge), max(f.skew, other.skew)
			}
		}
	}
}

// isLabel reports whether s is a key of a dictionary (RFC 9651 §3.1.2).
func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		first := c >= 'a' && c <= 'z' || c == '*'
		if !first && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// derived are the components of a request that are no headers and can be demanded (RFC 9421 §2.2).
var derived = [...]string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"}

func isCovered(name string) bool {
	if name[0] == '@' {
		return slices.Contains(derived[:], name)
	}
	for i := range len(name) {
		if name[i] >= 'A' && name[i] <= 'Z' || !forward.IsTokenChar(name[i]) {
			return false
		}
	}
	return true
}

// warnings are what somebody should know who takes these signatures.
func (t *trust) warnings() (list []conf.Fault) {
	f := t.signature
	missing := ""
	for _, part := range components[:4] {
		if !f.demands(part) {
			missing += ", " + part
		}
	}
	if missing != "" {
		list = append(list, conf.Fault{Path: t.path + ".signature.components", Problem: "lacks " + missing[2:] +
			": a signature made for another request may do"})
	}
	if !f.once {
		list = append(list, conf.Fault{Path: t.path + ".signature.nonce",
			Problem: "is optional: a signature can be used again until it expires"})
	}
	return list
}

// takesAnyBody reports whether a signature may leave the body out.
func (t *trust) takesAnyBody() bool {
	return !slices.Contains(t.signature.components, "content-digest")
}

// demands reports whether what must be covered has a part of the request in it.
func (f *foreign) demands(part string) bool {
	return slices.ContainsFunc(f.components, func(name string) bool { return name == part || within(name, part) })
}

// within reports whether one derived component has another in it: agents cover @target-uri instead of @authority.
func within(whole, part string) bool {
	switch whole {
	case "@target-uri":
		return part == "@scheme" || part == "@authority" || part == "@path" || part == "@query"
	case "@request-target":
		return part == "@path" || part == "@query"
	}
	return false
}

// lacks is what a signature does not cover and must; empty: nothing. Of Signature-Agent a member is
// enough: each signer covers its own.
func (f *foreign) lacks(in *httpsig.Input) string {
	for _, name := range f.components {
		if !slices.ContainsFunc(in.Components, func(c sfv.Item) bool {
			got := c.Value.Text
			if len(c.Parameters) > 0 {
				_, member := c.Parameter("key")
				return got == name && got == "signature-agent" && member
			}
			return got == name || within(got, name)
		}) {
			return name
		}
	}
	return ""
}

// signed is a signature of a request that may be somebody's.
type signed struct {
	trust *trust
	input *httpsig.Input
	keyid string
}

// readForeign checks another's signature up to the signature itself. One decides: the first, by the
// order of the trusts and then of the request, whose keyid names a key of its trust. Where that one
// does not do, the request is refused, whatever else it has.
func (d *Decision) readForeign() *verdict.Code {
	list, refused := d.findSigned()
	if refused != nil {
		return refused
	}
	refused = StampKeyUnknown
	var without *trust // whose keys are not there
	for _, s := range list {
		if s.trust.keys.Set(d.now) == nil {
			if without == nil {
				without = s.trust
			}
			continue
		}
		s, key, a, name, err := d.keyOf(list, s)
		switch err {
		case nil:
			return d.checkSigned(s, key, a, name)
		case jwks.ErrAlgorithm:
			refused = StampAlgorithm
		}
	}
	switch {
	case refused == StampAlgorithm:
		return refused
	case without != nil:
		_, refused = d.keysOf(without) // it may be one of those
		return refused
	}
	for i, s := range list {
		if slices.ContainsFunc(list[:i], func(before signed) bool { return before.keyid == s.keyid }) {
			continue
		}
		var trusts []*trust
		for _, other := range list {
			if other.keyid == s.keyid {
				trusts = append(trusts, other.trust)
			}
		}
		if refused = d.askAgain(s.keyid, trusts); d.remote != nil {
			break
		}
	}
	return refused
}

// keyOf is the key that a signature of list names, of its own trust: by a thumbprint, or else by a kid.
// A kid may be any text, and what one party calls its key must not take another's from that one: where
// the keyid is the thumbprint of a key of another trust of list, the same signature is taken as of that.
func (d *Decision) keyOf(list []signed, s signed) (_ signed, key *jose.Key, a jose.Algorithm, name string, err error) {
	set := s.trust.keys.Set(d.now)
	if key, a, name, err = set.ByKeyID(s.keyid, jwks.ByThumbprint, s.trust.algorithms); err != jwks.ErrUnknown {
		return s, key, a, name, err
	}
	if key, a, name, err = set.ByKeyID(s.keyid, jwks.ByKID, s.trust.algorithms); err != nil {
		return s, nil, 0, "", err
	}
	for _, o := range list {
		set := o.trust.keys.Set(d.now)
		if o.input.Label != s.input.Label || set == nil {
			continue
		}
		if key, a, name, err := set.ByKeyID(s.keyid, jwks.ByThumbprint, o.trust.algorithms); err == nil {
			return o, key, a, name, nil
		}
	}
	return s, key, a, name, nil
}

// findSigned finds the signatures with the label and the tag of any trust. A field that cannot be
// read in one way only is refused: as a whole where any label will do, else the member of that label.
// What can be read and is no signature that somebody could be found by is passed over, so that nobody's
// spoils another's; where nothing else is there, it is refused.
func (d *Decision) findSigned() (list []signed, refused *verdict.Code) {
	field := d.joined("signature-input")
	var all []httpsig.Input
	var err, other error
	read, refused := false, StampMissing
	for _, t := range d.policy.verifier.others {
		f := t.signature
		inputs := all
		if f.label == "" && !read {
			if all, other, err = httpsig.FindInputs(field); err != nil {
				return nil, StampMalformed
			}
			inputs, read = all, true
		}
		if f.label != "" {
			text, n := httpsig.Member(field, f.label)
			if n == 0 {
				continue
			}
			if inputs, other, err = httpsig.FindInputs(text); err != nil || n != 1 {
				return nil, StampMalformed
			}
		}
		if other != nil {
			refused = StampMalformed
		}
		n := 0
		for i := range inputs {
			in := &inputs[i]
			if name, tagged := in.Tag(); name != f.tag || tagged != (f.tag != "") {
				continue
			}
			keyid, _ := in.KeyID()
			if keyid == "" {
				refused = StampMalformed
				continue
			}
			if n++; n > maxSigned {
				return nil, StampAmbiguous
			}
			list = append(list, signed{t, in, keyid})
		}
	}
	if len(list) == 0 {
		return nil, refused
	}
	return list, nil
}

// checkSigned holds a signature against its trust and against the request. name is what its key is called.
func (d *Decision) checkSigned(s signed, key *jose.Key, a jose.Algorithm, name string) *verdict.Code {
	t, in, f := s.trust, s.input, s.trust.signature
	d.stamped.trust, d.stamped.input, d.stamped.foreign = t, in, true
	d.stamped.demand = f.demand(d.stamped.demand)
	if d.policy.message && d.joined(d.policy.header) != "" {
		return StampUnbound // claims of a stamp that is not there: somebody else has put them there
	}
	signature, refused := d.signatureOf(in.Label)
	if refused != nil {
		return refused
	}
	created, ok := in.Created()
	expires, hasExpires := in.Expires()
	nonce, _ := in.Nonce()
	if !ok || created > maxDate || hasExpires && expires > maxDate ||
		f.once && (nonce == "" || len(nonce) > maxID) {
		return StampMalformed
	}
	if said, ok := in.Alg(); ok && said != a.MessageName() {
		return StampAlgorithm
	}
	last := created + int64(f.maxAge/time.Second)
	if hasExpires {
		last = min(last, expires)
	}
	dates := jwt.Dates{Exp: last * 1e6, Iat: created * 1e6, HasExp: true, HasIat: true}
	if refused := t.check(&dates, d); refused != nil {
		return refused
	}
	if f.lacks(in) != "" || in.Costly() {
		return StampUnbound
	}
	if refused := d.digested(in); refused != nil {
		return refused
	}
	base, refused := d.baseOf(in)
	if refused != nil {
		return refused
	}
	d.stamped.identify(t.name, name, d.policy.verifier.claims.Any())
	if f.once {
		last = created + int64(f.remembered/time.Second)
		if hasExpires {
			last = min(last, expires)
		}
		// By the key, not by who is said to have it: the label is not signed, and with another one the
		// signature may be another trust's. No issuer of stamps begins so.
		d.stamped.remember("\x00"+key.Fingerprint()+"\x00"+f.tag, nonce, dates.Iat, last*1e6, f.skew.Microseconds())
	}
	d.trial.BeginWith(key, jose.Signed(base, signature), a)
	return d.tryNextKey()
}

// demand is what is asked of a signature: what it binds stands in components, not in the rule.
func (f *foreign) demand(rule demand) demand {
	switch {
	case !f.once:
		return demand{0, off}
	case rule.replay == onceGlobal:
		return demand{0, onceGlobal}
	}
	return demand{0, once}
}

// signatureOf is the signature with that label.
func (d *Decision) signatureOf(label string) (signature []byte, refused *verdict.Code) {
	text, n := httpsig.Member(d.joined("signature"), label)
	all, err := httpsig.Signatures(text)
	signature, found := all[label]
	if n != 1 || err != nil || !found {
		return nil, StampMalformed
	}
	return signature, nil
}

// identify writes what is published of whoever has signed: one name for one key, however a keyid may call it.
func (s *stamped) identify(name, keyid string, encoded bool) {
	b := gjson.AppendJSONString([]byte(`{"iss":`), name)
	text := string(append(gjson.AppendJSONString(append(b, `,"keyid":`...), keyid), '}'))
	s.claims = gjson.Parse(text)
	if encoded {
		s.encoded = base64.RawURLEncoding.EncodeToString([]byte(text))
	}
}
