// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// maxID is the most bytes that the id of a stamp or of a transaction may have.
const maxID = 256

// stampType is the typ of a stamp (RFC 8725 §3.11): no other token is one.
const stampType = "edge-stamp+jwt"

// readJWS checks a stamp of profile jws up to its signature.
func (d *Decision) readJWS() *verdict.Code {
	text, refused := d.findJWS()
	if refused != nil {
		return refused
	}
	token, err := jose.Parse(text, limits)
	if err != nil {
		return StampMalformed
	}
	claims := jwt.ReadRegistered(token.Payload)
	iss := claims.Issuer.Str // empty for what is no string
	var t *trust
	for _, candidate := range d.policy.verifier.trust {
		if candidate.issuer == iss {
			t = candidate
		}
	}
	if t == nil {
		return StampIssuer
	}
	if !d.policy.isStamp(jwt.MediaType(token.Type), t.idp) {
		return StampMalformed
	}
	alg, ok := jose.ParseAlgorithm(token.Alg)
	if !ok || !slices.Contains(t.algorithms, alg) {
		return StampAlgorithm
	}
	d.stamped.trust, d.stamped.claims, d.stamped.encoded = t, token.Payload, token.EncodedPayload()
	if refused := d.checkClaims(&claims); refused != nil {
		return refused
	}
	set, refused := d.keysOf(t)
	if refused != nil {
		return refused
	}
	return d.begin(t, set, token, alg)
}

// isStamp reports whether a token of that type may be a stamp of this profile or, idp, an identity
// provider's own token: no type of a stamp is one of those.
func (c *config) isStamp(typ string, idp bool) bool {
	switch {
	case idp:
		return typ != stampType && typ != txnType
	case c.txn:
		return typ == txnType
	}
	return typ == stampType
}

// findJWS takes the stamp out of its header.
func (d *Decision) findJWS() (text string, refused *verdict.Code) {
	name := d.policy.header
	refused = StampMissing
	for i := range d.headers {
		if d.headers[i][0] != name {
			continue
		}
		if refused == nil || strings.IndexByte(d.headers[i][1], ',') >= 0 {
			return "", StampAmbiguous
		}
		text, refused = strings.Clone(d.headers[i][1]), nil // a decision may outlive the headers
	}
	if name == "authorization" && refused == nil {
		const scheme = "Bearer "
		if len(text) <= len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
			return "", StampMissing
		}
		text = text[len(scheme):]
	}
	return text, refused
}

// checkClaims holds the claims of a stamp against its trust and against the request.
func (d *Decision) checkClaims(claims *jwt.Registered) *verdict.Code {
	s := &d.stamped
	t := s.trust
	if len(t.audiences) > 0 && !claims.ForAudience(t.audiences) {
		return StampAudience
	}
	dates, ok := claims.Dates()
	if !ok || !dates.HasExp || !dates.HasIat && !t.idp {
		return StampMalformed
	}
	if refused := t.check(&dates, d); refused != nil {
		return refused
	}
	if t.idp {
		s.demand = demand{0, off}
		return nil
	}
	var said [len(claimNames) + 1]gjson.Result
	strictjson.Pick(s.claims, boundNames, said[:])
	id := said[len(claimNames)].Str
	if d.policy.txn {
		var refused *verdict.Code
		if id, refused = checkTxn(s.claims, &said[len(claimNames)]); refused != nil {
			return refused
		}
	}
	if id == "" || len(id) > maxID {
		return StampMalformed
	}
	s.remember(t.issuer, id, dates.Iat, dates.Exp, t.skew.Microseconds())
	if d.policy.txn && s.demand.bind == 0 {
		return nil // a call further down the chain, whose request is another than that of the edge
	}
	return d.compare(said[:])
}

// check reports why a stamp with these dates may not be used now; nil where it may.
func (t *trust) check(dates *jwt.Dates, d *Decision) *verdict.Code {
	now, skew := d.now.UnixMicro(), t.skew.Microseconds()
	switch {
	case dates.Exp < dates.Iat: // all have an exp; an iat that is not there is 0
		return StampMalformed // over before it began: the skew would make it good for a while
	case dates.Expired(now, skew):
		return StampExpired
	case dates.Early(now, skew):
		return StampNotYetValid
	case t.maxTTL > 0 && dates.LongerThan(t.maxTTL.Microseconds()):
		return StampLifetime
	}
	return nil
}

// boundNames are the claims that say what a stamp is for, and its id.
var boundNames = append(claimNames[:], "jti")

// compare holds what a stamp binds, the values of claimNames, against the request. What it binds
// beyond the demand counts, too: it was made for this very request or it was not.
func (d *Decision) compare(values []gjson.Result) *verdict.Code {
	for i, part := 0, method; part <= query; i, part = i+1, part<<1 {
		want := ""
		switch part {
		case method:
			want = d.target.method
		case authority:
			want = match.Authority(d.target.authority)
		case path:
			want = d.target.path
		case query:
			want = hashOf(d.target.query)
		}
		v := &values[i]
		said := v.Str
		if part == authority {
			said = match.Authority(said) // another signer may have bound it as it was sent
		}
		switch found := v.Raw != ""; {
		case !found && d.stamped.demand.bind&part != 0:
			return StampUnbound
		case found && (v.Type != gjson.String || said != want):
			d.differs |= part
		}
	}
	hash := &values[len(claimNames)-1]
	switch found := hash.Raw != ""; {
	case !found && d.stamped.demand.bind&body != 0, found && d.streaming():
		return StampUnbound
	case found && (hash.Type != gjson.String || len(hash.Str) != len(emptyHash)):
		return StampMalformed
	case d.differs != 0:
		return StampMismatch
	case found:
		d.bodyHash = hash.Str
	}
	return nil
}

// appendClaims writes the payload of a stamp for the request.
func (d *Decision) appendClaims(b []byte, nonce, bodyHash string) []byte {
	s := d.policy.signer
	iat := d.now.Unix()
	b = append(b, s.claims...)
	b = appendNumber(b, "iat", iat)
	b = appendNumber(b, "exp", iat+int64(s.ttl.Seconds()))
	b = appendText(b, "jti", nonce)
	bind := d.policy.rules[d.rule].bind
	if bind&method != 0 {
		b = appendText(b, "htm", d.target.method)
	}
	if bind&authority != 0 {
		b = appendText(b, "hth", match.Authority(d.target.authority))
	}
	if bind&path != 0 {
		b = appendText(b, "htp", d.target.path)
	}
	if bind&query != 0 {
		b = appendText(b, "qsh", hashOf(d.target.query))
	}
	if bodyHash != "" {
		b = appendText(b, "bdh", bodyHash)
	}
	return append(append(b, d.signing.copied...), '}')
}
