// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwks"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/sfv"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// label and tag of a stamp in profile rfc9421. The tag is signed, the label is not.
const (
	label = "edge"
	tag   = "edge-stamp"
)

// lines are the values of the headers of that name.
func (d *Decision) lines(name string) (values []string) {
	for i := range d.headers {
		if d.headers[i][0] == name {
			values = append(values, d.headers[i][1])
		}
	}
	return values
}

// joined is a header's value as one text (RFC 9110 §5.2), which is what a signature covers: only so are
// fields of signatures and digests read.
func (d *Decision) joined(name string) string {
	lines := 0
	value := ""
	for i := range d.headers {
		if d.headers[i][0] == name {
			value = d.headers[i][1]
			lines++
		}
	}
	if lines > 1 {
		return strings.Join(d.lines(name), ", ")
	}
	return value
}

// readMessage checks a stamp of profile rfc9421 up to its signature.
func (d *Decision) readMessage() *verdict.Code {
	in, signature, refused := d.findMessage()
	if refused != nil {
		return refused
	}
	d.stamped.input = in
	created, ok := in.Created()
	expires, hasExpires := in.Expires()
	nonce, hasNonce := in.Nonce()
	kid, hasKID := in.KeyID()
	if !ok || !hasExpires || !hasNonce || !hasKID || nonce == "" || created > maxDate || expires > maxDate {
		return StampMalformed
	}
	if refused := d.covers(in); refused != nil {
		return refused
	}
	signed := jose.Signed("", signature)
	signed.KeyID, signed.HasKID = kid, true
	t, set, alg, refused := d.trustOf(signed)
	if refused != nil {
		return refused
	}
	if name, ok := in.Alg(); ok && name != alg.MessageName() {
		return StampAlgorithm
	}
	d.stamped.trust = t
	dates := jwt.Dates{Exp: expires * 1e6, Iat: created * 1e6, HasExp: true, HasIat: true}
	if refused := t.check(&dates, d); refused != nil {
		return refused
	}
	if refused := d.readClaims(in); refused != nil {
		return refused
	}
	d.stamped.remember(t.issuer, nonce, dates.Iat, dates.Exp, t.skew.Microseconds())
	base, refused := d.baseOf(in)
	if refused != nil {
		return refused
	}
	whole := jose.Signed(base, signature)
	whole.KeyID, whole.HasKID = kid, true
	return d.begin(t, set, whole, alg)
}

// baseOf is what a signature should have been made of.
func (d *Decision) baseOf(in *httpsig.Input) (base string, refused *verdict.Code) {
	base, err := in.Base(d.message(d.headers))
	switch err {
	case nil:
		return base, nil
	case httpsig.ErrAbsent, httpsig.ErrAmbiguous, httpsig.ErrValue:
		return "", StampMismatch
	case httpsig.ErrUnsupported:
		return "", StampUnbound // what nobody computes nobody has compared
	}
	return "", StampMalformed
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// findMessage finds the one signature that is a stamp: that with our label. What others have beside
// it, in whatever form, is theirs.
func (d *Decision) findMessage() (in *httpsig.Input, signature []byte, refused *verdict.Code) {
	field, inputs := httpsig.Member(d.joined("signature-input"), label)
	value, values := httpsig.Member(d.joined("signature"), label)
	switch {
	case inputs == 0 && values == 0:
		return nil, nil, StampMissing
	case inputs != 1 || values != 1:
		return nil, nil, StampMalformed
	}
	list, err := httpsig.ParseInputs(field)
	if err != nil || len(list) != 1 || list[0].Label != label {
		return nil, nil, StampMalformed
	}
	if text, _ := list[0].Tag(); text != tag {
		return nil, nil, StampMalformed
	}
	all, err := httpsig.Signatures(value)
	signature, found := all[label]
	if err != nil || !found {
		return nil, nil, StampMalformed
	}
	return &list[0], signature, nil
}

// components are the names under which the parts of a request are covered, in the order of the parts.
var components = [...]string{"@method", "@authority", "@path", "@query", "content-digest"}

// covers holds the covered components against the demand, and finds the body's digest where it is covered.
func (d *Decision) covers(in *httpsig.Input) *verdict.Code {
	for i, name := range components {
		if d.stamped.demand.bind&(1<<i) != 0 && !in.Covers(name) {
			return StampUnbound
		}
	}
	if in.Costly() {
		return StampUnbound
	}
	return d.digested(in)
}

// digested finds the body's digest where it is covered.
func (d *Decision) digested(in *httpsig.Input) *verdict.Code {
	covered, ours := false, false
	for i := range in.Components {
		if c := &in.Components[i]; c.Value.Text == "content-digest" {
			key, member := c.Parameter("key")
			covered, ours = true, ours || !member || key.Text == digestAlgorithm
		}
	}
	switch {
	case !covered:
		return nil
	case !ours:
		return StampUnbound // of another algorithm only: whoever changes the body can add what we compare
	}
	// A digest that nobody compares with the body binds nothing (RFC 9530 §2). Those of other algorithms are others'.
	text, n := httpsig.Member(d.joined("content-digest"), digestAlgorithm)
	sum, _, err := httpsig.ParseContentDigest(text)
	if n != 1 || err != nil || d.streaming() {
		return StampUnbound
	}
	d.bodyHash = base64.RawURLEncoding.EncodeToString(sum)
	return nil
}

// trustOf finds whose key the signature names, with the set that it is in, and the algorithm that
// the key is used with: the message may repeat that, but does not choose it.
func (d *Decision) trustOf(signed *jose.JWS) (t *trust, set *jwks.Set, a jose.Algorithm, refused *verdict.Code) {
	refused = StampKeyUnknown
	var unknown *trust // whose keys are not there
	for _, t := range d.policy.verifier.trust {
		set := t.keys.Set(d.now)
		if set == nil {
			unknown = t
			continue
		}
		for _, a := range t.algorithms {
			switch set.Named(signed.KeyID, a) {
			case nil:
				return t, set, a, nil
			case jwks.ErrAlgorithm:
				refused = StampAlgorithm
			}
		}
	}
	switch {
	case refused == StampAlgorithm:
	case unknown != nil:
		_, refused = d.keysOf(unknown) // it may be one of those
	default:
		refused = d.askAgain(signed.KeyID, d.policy.verifier.trust)
	}
	return nil, nil, 0, refused
}

// askAgain does for a kid that none of trusts has what begin does for one that its issuer has not:
// of the published sets that may be asked again, the one that was longest ago is.
func (d *Decision) askAgain(kid string, trusts []*trust) *verdict.Code {
	var next *jwks.Remote
	for _, t := range trusts {
		if r := t.keys.Remote; r != nil && r.Source.MayForce(kid, d.now) && !d.waited &&
			(next == nil || r.Source.LastForced() < next.Source.LastForced()) {
			next = r
		}
	}
	if next != nil {
		return d.waitForKeys(next)
	}
	for _, t := range trusts {
		if r := t.keys.Remote; r != nil {
			r.Source.Unknown(strings.Clone(kid), d.now)
		}
	}
	return StampKeyUnknown
}

// readClaims reads the claims that stand in a header of their own. They are believed where the
// signature covers them; where it does not, somebody else has put them there.
func (d *Decision) readClaims(in *httpsig.Input) *verdict.Code {
	text := d.joined(d.policy.header)
	switch {
	case text == "":
		return nil
	case !in.Covers(d.policy.header):
		return StampUnbound
	}
	text = strings.Clone(text)
	claims, err := jose.DecodePayload(text, limits)
	if err != nil {
		return StampMalformed
	}
	t, registered := d.stamped.trust, jwt.ReadRegistered(claims)
	switch {
	case registered.Issuer.Str != t.issuer:
		return StampIssuer
	case len(t.audiences) > 0 && !registered.ForAudience(t.audiences):
		return StampAudience
	}
	d.stamped.claims, d.stamped.encoded = claims, text
	return nil
}

func (d *Decision) message(fields [][2]string) *httpsig.Message {
	// A stamp has the authority in one form wherever TLS ends; others have what RFC 9421 says.
	host := d.target.authority
	if !d.stamped.foreign {
		host = match.Authority(host)
	}
	return &httpsig.Message{Method: d.target.method, Scheme: d.target.scheme, Authority: host, Path: d.target.raw,
		Fields: fields}
}

// composeMessage writes the signature base of a stamp.
func (d *Decision) composeMessage(nonce, bodyHash string) *verdict.Code {
	p, s := d.policy, &d.signing
	bind := p.rules[d.rule].bind
	created := d.now.Unix()
	expires := created + int64(p.signer.ttl.Seconds())
	var names []string
	var fields [][2]string
	for i, name := range components[:4] {
		if bind&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if bodyHash != "" {
		sum, _ := jose.DecodeBase64(bodyHash) // of our own making
		d.addDigest(httpsig.ContentDigest(sum))
		names = append(names, "content-digest")
		for _, line := range s.digests.lines() {
			fields = append(fields, [2]string{"content-digest", line})
		}
	}
	if s.copied != "" {
		claims := appendNumber(appendNumber([]byte(p.signer.claims), "iat", created), "exp", expires)
		claims = append(append(claims, s.copied...), '}')
		s.claims = base64.RawURLEncoding.EncodeToString(claims)
		if refused := d.fits(claims, len(s.claims)); refused != nil {
			return refused
		}
		names, fields = append(names, p.header), append(fields, [2]string{p.header, s.claims})
	}
	s.input = &httpsig.Input{Label: label, Components: httpsig.Components(names...), Parameters: []sfv.Parameter{
		httpsig.Integer("created", created), httpsig.Integer("expires", expires), httpsig.String("nonce", nonce),
		httpsig.String("keyid", p.signer.key.ID()), httpsig.String("tag", tag),
	}}
	base, err := s.input.Base(d.message(fields))
	if err != nil {
		return verdict.PathAmbiguous // a part that a signature base cannot hold
	}
	s.text = base
	return nil
}

// digestAlgorithm is the member of Content-Digest that a stamp has.
const digestAlgorithm = "sha-256"

// addDigest puts ours beside the digests that the request has. One of our algorithm that says the
// same is ours, too; one that says something else is not of this body.
func (d *Decision) addDigest(ours string) {
	f := &d.signing.digests
	f.name = "content-digest"
	lines := d.lines(f.name)
	if text, n := httpsig.Member(d.joined(f.name), digestAlgorithm); n == 1 && text == ours {
		f.theirs = lines
	} else {
		f.take(lines, digestAlgorithm)
		f.ours = ours
	}
	// What a signature base cannot hold cannot be covered (RFC 9421 §2.1).
	readable := slices.DeleteFunc(slices.Clone(f.theirs),
		func(line string) bool { return !printable(strings.ReplaceAll(line, "\t", " ")) })
	if len(readable) < len(f.theirs) {
		f.theirs, f.changed, f.unreadable = readable, true, true
	}
}

// field is a header of several parties, as it goes on.
type field struct {
	name       string
	theirs     []string // lines
	ours       string   // a line of its own; empty: none
	changed    bool     // something has been taken away from theirs
	unreadable bool     // nobody can tell for sure what stands in theirs
}

// take takes over the lines of others, without a member of ours.
func (f *field) take(lines []string, label string) {
	readable := true
	f.theirs, f.changed, readable = httpsig.Without(lines, label)
	f.unreadable = !readable
}

// lines are all of them. Where theirs cannot be read, ours come first: whoever joins the lines
// finds them before what he may misread.
func (f *field) lines() []string {
	switch {
	case f.ours == "":
		return f.theirs
	case f.unreadable:
		return append([]string{f.ours}, f.theirs...)
	}
	return append(f.theirs[:len(f.theirs):len(f.theirs)], f.ours)
}

// effect has the field written, and theirs not touched where nothing has to be.
func (f *field) effect(e *forward.Effect) {
	lines := f.lines()
	if f.changed || f.unreadable && f.ours != "" && len(f.theirs) > 0 {
		e.RemoveHeader(f.name)
	} else {
		lines = lines[len(f.theirs):]
	}
	for _, line := range lines {
		e.Add = append(e.Add, [2]string{f.name, line})
	}
}

// stampMessage writes the headers of a stamp. The signature stands in lines of its own, beside those of others.
func (d *Decision) stampMessage(signature []byte) *verdict.Code {
	s := &d.signing
	input, err := s.input.AppendInput(nil)
	if err != nil {
		return verdict.Internal
	}
	value, err := httpsig.AppendSignature(nil, label, signature)
	if err != nil {
		return verdict.Internal
	}
	if s.claims != "" {
		d.set = append(d.set, [2]string{d.policy.header, s.claims})
	}
	s.fields = [2]string{string(input), string(value)}
	return nil
}
