// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jwt"
	"github.com/tollgate-wasm/tollgate/shared/match"
	"github.com/tollgate-wasm/tollgate/shared/replay"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// constraint is what a provider asks of the sender of a token, beside having it. Whatever cnf (RFC
// 7800) of a token binds it to is enforced under all but none.
type constraint string

const (
	unconstrained constraint = "none"
	mtls          constraint = "mtls"        // RFC 8705 §3: the certificate of the connection's client
	dpop          constraint = "dpop"        // RFC 9449: a proof in the header DPoP
	whenPresent   constraint = "whenPresent" // tokens without cnf need nothing
)

// The scheme of DPoP-bound tokens (RFC 9449 §7.1), in lower case, and the header of their proofs.
const (
	dpopScheme = "dpop"
	dpopHeader = "dpop"
)

// proofAlgorithms are those that a proof may be signed with: all that have public keys.
const proofAlgorithms = "ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA"

// readConstraint reads senderConstraint. A token bound to a key comes with the scheme DPoP instead
// of Bearer, so that is looked for where Bearer is.
func (c *config) readConstraint(o *conf.Object, p *provider) {
	p.constraint = constraint(o.Enum("senderConstraint", string(unconstrained), string(mtls), string(dpop),
		string(whenPresent)))
	if p.constraint != dpop && p.constraint != whenPresent {
		return
	}
	for _, l := range p.locations {
		if l.scheme == "bearer" {
			p.locations = append(p.locations, c.location(location{header: l.header, scheme: dpopScheme, prefix: "DPoP "}))
		}
	}
}

// readProofs, which has to know the providers, reads how long proofs are good, how many are remembered, and
// whether they need a nonce.
func (c *config) readProofs(o *conf.Object, from Surroundings) {
	c.proofAge, c.proofEntries = time.Minute, 1<<16
	if n, ok := o.At("dpop"); ok {
		d := n.Object()
		c.proofAge = d.Duration("maxAge", c.proofAge, time.Second, 10*time.Minute)
		c.proofEntries = d.Int("entries", c.proofEntries, 1, 1<<20)
		c.nonces = d.Enum("nonce", "none", "required") == "required"
		c.readNonceKey(d, from)
		if c.nonces && !c.proves() {
			d.WarnAt("nonce", "has no effect: no provider has senderConstraint: dpop or whenPresent")
		}
		d.End()
	}
}

// ProofEntries is how many proofs the proxy must be able to remember at once; 0: none, since no provider asks for any.
func (p *Policy) ProofEntries() int {
	if p.proves() {
		return p.proofEntries
	}
	return 0
}

// proves reports whether a provider may ask for proofs.
func (c *config) proves() bool {
	for _, provider := range c.providers {
		if provider.constraint == dpop || provider.constraint == whenPresent {
			return true
		}
	}
	return false
}

// confirmation is what a token's cnf claim binds it to.
type confirmation struct {
	present     bool
	thumbprint  string // jkt: of the key that signs proofs
	certificate string // x5t#S256: SHA-256 of the client's certificate, DER, in base64url
}

func readConfirmation(claims gjson.Result) (c confirmation) {
	cnf, ok := strictjson.Member(claims, "cnf")
	if !ok || cnf.Type == gjson.Null {
		return c
	}
	c.present = true
	c.thumbprint, c.certificate = strictjson.Text(cnf, "jkt"), strictjson.Text(cnf, "x5t#S256")
	return c
}

// confirm has the verified token's binding checked, which takes steps: the certificate, the proof,
// its signature, its id. Then the rule is asked.
//
//go:noinline
func (d *Decision) confirm() *verdict.Code {
	v := d.verified
	cnf, mode := &v.confirmation, v.provider.constraint
	byProof := d.credential.at.scheme == dpopScheme
	switch {
	case !cnf.present && mode == whenPresent && !byProof:
		return d.authorize()
	case mode == mtls && cnf.certificate == "",
		mode == dpop && cnf.thumbprint == "",
		cnf.thumbprint == "" && byProof,
		cnf.thumbprint != "" && d.credential.at.scheme == "bearer": // RFC 9449 §7.2
		return TokenUnbound
	case cnf.certificate != "":
		d.step = decide.ReadPeer
		return nil
	case cnf.thumbprint != "":
		return d.checkProof()
	}
	return TokenUnbound // bound to what we do not know
}

// peerRead tells the SHA-256 of the client's certificate. An error means that nobody knows it.
func (d *Decision) peerRead(digest string, err error) {
	if d.taken(decide.ReadPeer, err) {
		d.end(d.comparePeer(digest))
	}
}

func (d *Decision) comparePeer(digest string) *verdict.Code {
	want, err := jose.DecodeBase64(d.verified.confirmation.certificate)
	if err != nil || len(want) != 32 || !strings.EqualFold(digest, hexText(want)) {
		return TokenUnbound
	}
	if d.verified.confirmation.thumbprint == "" {
		return d.authorize()
	}
	return d.checkProof()
}

func hexText(b []byte) string {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 2*len(b))
	for _, c := range b {
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}

// checkProof checks the request's DPoP proof as RFC 9449 §4.3 has it, up to its signature.
func (d *Decision) checkProof() *verdict.Code {
	text, found := "", 0
	for i := range d.headers {
		if d.headers[i][0] == dpopHeader {
			text = d.headers[i][1]
			found++
		}
	}
	if found != 1 {
		return TokenUnbound
	}
	t, err := jose.Parse(text, d.policy.limits)
	if err != nil || jwt.MediaType(t.Type) != "dpop+jwt" {
		return TokenUnbound
	}
	jwk, ok := strictjson.Member(t.Header, "jwk")
	if !ok {
		return TokenUnbound
	}
	alg, known := jose.ParseAlgorithm(t.Alg)
	if !known {
		return TokenUnbound
	}
	key, err := jose.ParseKey(jwk) // a secret has no thumbprint, so no token is bound to one
	if err != nil || !key.Fits(alg) || jose.Thumbprint(jwk) != d.verified.confirmation.thumbprint {
		return TokenUnbound
	}
	issued, _ := strictjson.Member(t.Payload, "iat")
	iat, _, ok := jwt.NumericDate(issued, 0) // none is one of 1970
	skew, now := d.verified.provider.skew.Microseconds(), d.now.UnixMicro()
	last := iat + d.policy.proofAge.Microseconds() + skew // the proof is good before this
	d.proofID = strictjson.Text(t.Payload, "jti")
	if !ok || iat > now+skew || now >= last || d.proofID == "" || len(d.proofID) > 256 {
		return TokenUnbound
	}
	if strictjson.Text(t.Payload, "htm") != d.request.Method || !d.targets(strictjson.Text(t.Payload, "htu")) ||
		strictjson.Text(t.Payload, "ath") != jose.Hash(d.credential.token) {
		return TokenUnbound
	}
	if d.policy.nonces {
		if refused := d.policy.checkNonce(strictjson.Text(t.Payload, "nonce"), d.now); refused != nil {
			return refused
		}
	}
	d.proofEnds = time.UnixMicro(last)
	d.proving = true
	d.trial.BeginWith(key, t, alg)
	return d.tryNextKey()
}

// targets reports whether a proof's htu is the URI of this request: the same scheme, host and port
// and, decoded once, the same path; query and fragment do not count (§4.3, 9).
func (d *Decision) targets(htu string) bool {
	scheme, rest, ok := strings.Cut(htu, "://")
	if !ok {
		return false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := strings.ToLower(rest[:end]), rest[end:]
	if end = strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	if path == "" {
		path = "/"
	}
	own, ownScheme := strings.ToLower(forward.Header(d.headers, ":authority")), forward.Header(d.headers, ":scheme")
	var target match.Request
	if target.Set("GET", authority, path, d.policy.literalPaths) != nil {
		return false
	}
	scheme = strings.ToLower(scheme)
	return ownScheme != "" && strings.EqualFold(scheme, ownScheme) && authority != "" &&
		target.Host == d.request.Host && port(authority, scheme) == port(own, scheme) && target.Path == d.request.Path
}

// port of an authority that match has taken, or the scheme's own.
func port(authority, scheme string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && strings.IndexByte(authority[i:], ']') < 0 {
		return authority[i+1:]
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// proof names the proof that must not have come before, and until when that is to be remembered.
func (d *Decision) proof() (id replay.ID, expires time.Time) {
	hash := jose.Hash(d.verified.confirmation.thumbprint + "\x00" + d.proofID)
	b, _ := jose.DecodeBase64(hash) // of our own making
	copy(id[:], b)
	return id, d.proofEnds.Add(time.Second) // the table counts whole seconds
}

// replayChecked tells whether the proof is the first of its kind. An error means that nobody knows.
func (d *Decision) replayChecked(result replay.Result, err error) {
	switch {
	case !d.taken(decide.CheckReplay, err):
	case result == replay.Fresh:
		d.end(d.authorize())
	default:
		d.end(TokenUnbound)
	}
}
