// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"
	"errors"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Why a private key cannot be used; beside these, those of ParseKey and of the PEM. None carries any of the key.
var (
	ErrPrivateForm    = errors.New("not a private key in PKCS#8, PKCS#1, SEC 1 or as a JWK that reads in one way only")
	ErrPrivateKind    = errors.New("the private key is of another type, or on another curve, than its alg needs")
	ErrPrivateModulus = errors.New("the RSA modulus must have 2048 to 4096 bits")
	ErrPrivatePrimes  = errors.New("the RSA key must have its two primes, their exponents and their coefficient, and " +
		"no third prime")
	ErrPrivateParts  = errors.New("the parts of the RSA key do not belong together, or its primes differ in length")
	ErrPrivateScalar = errors.New("the private part has not the length, or not the range, that its curve has")
	ErrPrivateLacks  = errors.New("the EC key lacks its public point, and the proxy cannot compute it: openssl " +
		"genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one that has it")
	ErrPrivatePublic = errors.New("the public part does not belong to the private one")
	ErrPrivateKeyID  = errors.New("the JWK's kid is not the one that the key is configured with")
	ErrPrivateSecret = errors.New("the secret must be at least as long as the hash: 32, 48 or 64 bytes for HS256, " +
		"HS384, HS512, and no key for something else")
)

// Why there is no signature.
var (
	ErrProxySigns = errors.New("ECDSA signatures are made by the proxy")
	ErrSalt       = errors.New("the salt is not as long as the hash")
	ErrFault      = errors.New("the signature just made is wrong, and is kept back")
)

// PrivateKey signs, with one algorithm and under one kid. It prints as those two. The rest stands
// in a function's closure, where fmt does not look: it follows pointers out of copies, and out of
// structs that hold one, and then asks no String.
type PrivateKey struct {
	alg   Algorithm
	kid   string
	jwk   string // what to publish; empty for a secret
	parts func() *parts
}

// parts are a key's two halves; which field is set goes by the algorithm.
type parts struct {
	public  *Key   // of HS*, the secret
	pkcs8   []byte // ES*, RS*: ready for the proxy
	rsa     *rsaPrivate
	ed25519 *ed25519Private
	hmac    []byte
}

// material is what a private key is made of, in whatever form it came: numbers big-endian, nil
// where the form lacks them.
type material struct {
	n, e, p, q, dp, dq, qi []byte // RSA, without zeros in front
	x, y                   []byte // EC; Ed25519 has x only
	d                      []byte // all of these
	k                      []byte // HMAC
}

// orders are those of the groups of curves, in that order (FIPS 186-4 D.1.2).
var orders = [len(curves)]string{
	"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
	"01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
}

// ParsePrivateKey reads the key that signs as kid with a. text is a PEM with one private key that
// is not encrypted (PKCS#8, RFC 5958; PKCS#1, RFC 8017 §A.1.2; SEC 1, RFC 5915), or a private JWK;
// for HS* an oct JWK, or else the secret itself, of which one line break at the end is no part.
//
// All that can be proven here about the key is: that its numbers belong together, for RSA and
// Ed25519. Whether an EC key's private number belongs to its public point only a signature by the
// proxy tells: make one at start and verify it with Public.
//
// It runs at start: of the secret bytes it looks at those that a form's rules are about. What runs
// for a request (Sign) takes the same time whatever they are.
func ParsePrivateKey(text, kid string, a Algorithm) (*PrivateKey, error) {
	if a == 0 || int(a) >= len(algorithms) {
		return nil, ErrKeyAlg
	}
	if !isKeyID(kid) {
		return nil, ErrKeyID
	}
	m := &material{}
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}"):
		err = m.readJWK(trimmed, kid, a)
	case a.Symmetric():
		// RFC 8725 §2.1: a public key is no secret, and a private one is not meant to be shared
		if strings.Contains(text, begin) {
			return nil, ErrPrivateSecret
		}
		m.k = []byte(strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"))
	default:
		err = m.readPEM(text, a)
	}
	if err != nil {
		return nil, err
	}
	return m.privateKey(kid, a)
}

// isKeyID keeps a kid to what JSON and logs carry unchanged.
func isKeyID(kid string) bool {
	if kid == "" || len(kid) > maxKeyID || !utf8.ValidString(kid) {
		return false
	}
	for _, c := range []byte(kid) {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// privateKey checks the numbers and makes them ready.
func (m *material) privateKey(kid string, a Algorithm) (*PrivateKey, error) {
	made := &parts{}
	k := &PrivateKey{alg: a, kid: kid, parts: func() *parts { return made }}
	alg := &algorithms[a]
	if alg.scheme == schemeHMAC {
		if len(m.k) < alg.size {
			return nil, ErrPrivateSecret
		}
		made.hmac = m.k
		made.public = &Key{ID: kid, kty: "oct", alg: a, raw: m.k}
		return k, nil
	}
	var err error
	if alg.scheme == schemeEd25519 {
		if len(m.d) != 32 {
			return nil, ErrPrivateScalar
		}
		if made.ed25519, err = newEd25519Private(m.d); err != nil {
			return nil, ErrPrivateScalar
		}
		if m.x != nil && !bytes.Equal(m.x, made.ed25519.public) {
			return nil, ErrPrivatePublic
		}
		m.x = made.ed25519.public
	}
	if alg.kty == "RSA" && (bitLength(m.n) < 2048 || bitLength(m.n) > 4096) {
		return nil, ErrPrivateModulus
	}
	// The public half goes the way of all public keys: through its JWK, which is made of these values alone.
	k.jwk = publicJWK(kid, a, base64url.EncodeToString(m.n), base64url.EncodeToString(m.e),
		base64url.EncodeToString(m.x), base64url.EncodeToString(m.y))
	if made.public, err = ParseKey(gjson.Parse(k.jwk)); err != nil {
		return nil, err
	}
	switch alg.kty {
	case "EC":
		if !m.scalarFits(alg.crv) {
			return nil, ErrPrivateScalar
		}
		made.pkcs8 = m.ecPKCS8(alg.crv)
	case "RSA":
		if made.rsa, err = newRSAPrivate(m); err != nil {
			return nil, err
		}
		if alg.scheme == schemePKCS1 {
			made.pkcs8 = m.rsaPKCS8()
		}
	}
	return k, nil
}

// publicJWK writes what a verifier is given (RFC 7517 §4): it takes public values in base64url, and
// no others. Those that a's type of key does not have are not looked at.
func publicJWK(kid string, a Algorithm, n, e, x, y string) string {
	alg := &algorithms[a]
	b := append([]byte(`{"kty":"`+alg.kty+`","kid":`), gjson.AppendJSONString(nil, kid)...)
	s := string(b) + `,"alg":"` + alg.name + `","use":"sig"`
	switch alg.kty {
	case "RSA":
		s += `,"n":"` + n + `","e":"` + e
	case "EC":
		s += `,"crv":"` + alg.crv + `","x":"` + x + `","y":"` + y
	case "OKP":
		s += `,"crv":"` + alg.crv + `","x":"` + x
	}
	return s + `"}`
}

// ParsePublicJWK reads the public half of a key whose private half is elsewhere, and returns with
// it the JWK to publish: the same one with kid, alg and use, and nothing else. A secret has no
// public half, and private members are refused (ErrKeyPrivate).
func ParsePublicJWK(jwk gjson.Result, kid string, a Algorithm) (text string, key *Key, err error) {
	if a == 0 || int(a) >= len(algorithms) {
		return "", nil, ErrKeyAlg
	}
	if !isKeyID(kid) {
		return "", nil, ErrKeyID
	}
	if key, err = ParseKey(jwk); err != nil {
		return "", nil, err
	}
	if key.Symmetric() {
		return "", nil, ErrKeyPrivate
	}
	if key.ID != "" && key.ID != kid {
		return "", nil, ErrPrivateKeyID
	}
	if !key.Fits(a) {
		return "", nil, ErrKeyAlg
	}
	// canonical base64url, ParseKey has seen to it
	member := func(name string) string { return strictjson.Text(jwk, name) }
	text = publicJWK(kid, a, member("n"), member("e"), member("x"), member("y"))
	key, err = ParseKey(gjson.Parse(text))
	return text, key, err
}

// readJWK reads a private JWK (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2).
func (m *material) readJWK(text, kid string, a Algorithm) error {
	jwk, err := strictjson.Parse(text, strictjson.Limits{Depth: 4, Members: 64, Number: 32})
	if err != nil {
		return ErrPrivateForm
	}
	alg := &algorithms[a]
	if v, ok := strictjson.Member(jwk, "kid"); ok && v.Str != kid { // Str is empty for what is no string
		return ErrPrivateKeyID
	}
	if v, ok := strictjson.Member(jwk, "alg"); ok && v.Str != alg.name {
		return ErrKeyAlg
	}
	if !(reader{jwk: jwk}).allows("sign") {
		return ErrKeyUse
	}
	if strictjson.Text(jwk, "kty") != alg.kty || strictjson.Text(jwk, "crv") != alg.crv {
		return ErrPrivateKind
	}
	if alg.kty == "oct" {
		m.k, err = reader{jwk: jwk}.bytes("k")
		return err
	}
	if _, ok := strictjson.Member(jwk, "d"); !ok {
		return ErrNotSecret
	}
	read := func(to *[]byte, name string) {
		if err == nil {
			*to, err = reader{jwk: jwk}.bytes(name)
		}
	}
	read(&m.d, "d")
	switch alg.kty {
	case "OKP":
		read(&m.x, "x")
	case "EC":
		_, x := strictjson.Member(jwk, "x")
		_, y := strictjson.Member(jwk, "y")
		if !x && !y {
			return ErrPrivateLacks
		}
		read(&m.x, "x")
		read(&m.y, "y")
	case "RSA":
		if _, ok := strictjson.Member(jwk, "oth"); ok {
			return ErrPrivatePrimes
		}
		for _, name := range [...]string{"p", "q", "dp", "dq", "qi"} {
			if _, ok := strictjson.Member(jwk, name); !ok {
				return ErrPrivatePrimes
			}
		}
		read(&m.n, "n")
		read(&m.e, "e")
		for _, number := range [...]struct {
			to   *[]byte
			name string
		}{{&m.d, "d"}, {&m.p, "p"}, {&m.q, "q"}, {&m.dp, "dp"}, {&m.dq, "dq"}, {&m.qi, "qi"}} {
			if read(number.to, number.name); err == nil && (*number.to)[0] == 0 { // RFC 7518 §2, Base64urlUInt: the fewest bytes
				err = ErrKeyMember
			}
		}
	}
	return err
}

func (m *material) readPEM(text string, a Algorithm) error {
	label, b, err := privateBlock(text)
	if err != nil {
		return err
	}
	r := newDERReader(b)
	alg := &algorithms[a]
	switch {
	case label == "PRIVATE KEY":
		err = m.readPKCS8(r, alg)
	case label == "RSA PRIVATE KEY" && alg.kty == "RSA":
		err = m.readPKCS1(r)
	case label == "EC PRIVATE KEY" && alg.kty == "EC":
		err = m.readSEC1(r, alg, true)
	default:
		return ErrPrivateKind
	}
	r.end()
	if *r.bad { // first: what was read after a fault says nothing
		return ErrPrivateForm
	}
	if err == nil && alg.kty == "EC" && m.x == nil {
		err = ErrPrivateLacks
	}
	return err
}

// identifier is the content of a's AlgorithmIdentifier (RFC 8017 §A.1, RFC 5480 §2.1.1, RFC 8410 §3).
func (a *algorithm) identifier() []byte {
	switch a.kty {
	case "RSA":
		return append(append([]byte(nil), oidRSA...), derNull...)
	case "EC":
		return append(append([]byte(nil), oidEC...), curveOID(a.crv)...)
	}
	return oidEd25519
}

func curveOID(crv string) []byte {
	for i := range curves {
		if curves[i].name == crv {
			return curves[i].oid
		}
	}
	return nil
}

// readPKCS8 reads a OneAsymmetricKey (RFC 5958 §2). Its attributes mean nothing here.
func (m *material) readPKCS8(r *derReader, alg *algorithm) error {
	r = r.into(tagSequence)
	version := r.natural()
	identifier := r.read(tagSequence)
	private := r.into(tagOctets)
	if r.next(tagContext0) {
		r.read(tagContext0)
	}
	var public []byte
	if r.next(tagPublic) {
		public = r.bits(tagPublic)
	}
	r.end()
	// Version 2 is the one with a public key; versions count from 0.
	if *r.bad || len(version) != 1 || version[0] > 1 || (public != nil) != (version[0] == 1) {
		return ErrPrivateForm
	}
	if !bytes.Equal(identifier, alg.identifier()) {
		return ErrPrivateKind
	}
	var err error
	switch alg.kty {
	case "RSA":
		err = m.readPKCS1(private)
	case "EC":
		err = m.readSEC1(private, alg, false)
		if err == nil && public != nil {
			err = m.readPoint(public, alg)
		}
	case "OKP":
		m.d, m.x = private.read(tagOctets), public // CurvePrivateKey, RFC 8410 §7
	}
	private.end()
	return err
}

// readPKCS1 reads an RSAPrivateKey (RFC 8017 §A.1.2).
func (m *material) readPKCS1(r *derReader) error {
	r = r.into(tagSequence)
	if version := r.natural(); len(version) == 1 && version[0] == 1 {
		return ErrPrivatePrimes
	} else if len(version) != 1 || version[0] != 0 {
		return ErrPrivateForm
	}
	for _, number := range [...]*[]byte{&m.n, &m.e, &m.d, &m.p, &m.q, &m.dp, &m.dq, &m.qi} {
		*number = r.natural()
	}
	r.end()
	return nil
}

// readSEC1 reads an ECPrivateKey (RFC 5915 §3). Outside of PKCS#8 it must name its curve.
func (m *material) readSEC1(r *derReader, alg *algorithm, alone bool) error {
	r = r.into(tagSequence)
	version := r.natural()
	m.d = r.read(tagOctets)
	var err error
	if r.next(tagContext0) {
		if parameters := r.read(tagContext0); !bytes.Equal(parameters, curveOID(alg.crv)) {
			err = ErrPrivateKind
		}
	} else if alone {
		err = ErrPrivateKind
	}
	if r.next(tagContext1) {
		point := r.into(tagContext1)
		public := point.bits(tagBits)
		point.end()
		if err == nil {
			err = m.readPoint(public, alg)
		}
	}
	r.end()
	if len(version) != 1 || version[0] != 1 {
		return ErrPrivateForm
	}
	return err
}

// readPoint reads an uncompressed point (SEC 1 §2.3.3). Where one has been read already, it must be the same.
func (m *material) readPoint(point []byte, alg *algorithm) error {
	if len(point) != 1+2*alg.size || point[0] != 4 {
		return ErrKeyPoint
	}
	x, y := point[1:1+alg.size], point[1+alg.size:]
	if m.x != nil && !(bytes.Equal(m.x, x) && bytes.Equal(m.y, y)) {
		return ErrPrivatePublic
	}
	m.x, m.y = x, y
	return nil
}

// scalarFits reports whether d has the curve's length and is neither zero nor beyond the group's
// order. It adds and subtracts whole numbers, whatever they are.
func (m *material) scalarFits(crv string) bool {
	for i := range curves {
		if curves[i].name == crv && len(m.d) == curves[i].size {
			var one number
			one[0] = 1
			d := fromBytes(m.d)
			_, isZero := minus(d, one)
			_, isBelow := minus(d, fromHex(orders[i]))
			return isZero^1&isBelow == 1
		}
	}
	return false
}

// ecPKCS8 and rsaPKCS8 write the key as the proxy reads it, without attributes and in one form, whatever it came in.
func (m *material) ecPKCS8(crv string) []byte {
	point := append(append([]byte{4}, m.x...), m.y...)
	key := der(tagSequence, derInteger([]byte{1}), der(tagOctets, m.d), der(tagContext1, derBits(point)))
	return der(tagSequence, derInteger([]byte{0}), der(tagSequence, oidEC, curveOID(crv)), der(tagOctets, key))
}

func (m *material) rsaPKCS8() []byte {
	key := der(tagSequence, derInteger([]byte{0}), derInteger(m.n), derInteger(m.e), derInteger(m.d), derInteger(m.p),
		derInteger(m.q), derInteger(m.dp), derInteger(m.dq), derInteger(m.qi))
	return der(tagSequence, derInteger([]byte{0}), der(tagSequence, oidRSA, derNull), der(tagOctets, key))
}

func bitLength(n []byte) int { return len(n)*8 - bits.LeadingZeros8(n[0]) }

// ID is the kid that signatures name.
func (k *PrivateKey) ID() string { return k.kid }

// Algorithm is the one that the key signs with.
func (k *PrivateKey) Algorithm() Algorithm { return k.alg }

// Public is the half that verifies, as ParseKey gives it; for HS* that is the secret itself.
func (k *PrivateKey) Public() *Key { return k.parts().public }

// PublicJWK is the JWK to publish, or nothing for HS*.
func (k *PrivateKey) PublicJWK() string { return k.jwk }

// String names the key, and shows nothing of it.
func (k *PrivateKey) String() string { return k.alg.String() + " " + k.kid }

// GoString is String.
func (k *PrivateKey) GoString() string { return k.String() }

// Signing is one signature for the proxy to make: the arguments of Envoy's foreign function sign.
type Signing struct {
	Hash string // "sha256", "sha384" or "sha512"
	Key  []byte // PKCS#8, DER. It belongs to the PrivateKey: not to be changed, and secret
	Text string // what to sign
}

// String keeps the key out of logs.
func (s Signing) String() string { return "signing with " + s.Hash }

// GoString is String.
func (s Signing) GoString() string { return s.String() }

// ByProxy reports whether only the proxy can make k's signatures (ES*): Signing, the call, Finish.
// The others are made here, by Sign; those of RS* in either way.
func (k *PrivateKey) ByProxy() bool { return algorithms[k.alg].scheme == schemeECDSA }

// Signing returns the proxy's part of signing text, for ES* and RS*; for other algorithms it has no key.
func (k *PrivateKey) Signing(text string) Signing {
	return Signing{Hash: algorithms[k.alg].hashName(), Key: k.parts().pkcs8, Text: text}
}

// Finish turns what the proxy made of a Signing into JOSE's form: for ES* from ASN.1 into R || S
// (RFC 7518 §3.4), while that of RS* has it already. ErrSignatureForm where it is none.
func (k *PrivateKey) Finish(signature []byte) ([]byte, error) {
	alg := &algorithms[k.alg]
	switch alg.scheme {
	case schemeECDSA:
		return derToRaw(signature, alg.size)
	case schemePKCS1:
		if len(signature) == k.parts().rsa.n.Size() {
			return signature, nil
		}
	}
	return nil, ErrSignatureForm
}

// derToRaw is rawToDER's inverse, and as strict.
func derToRaw(signature []byte, size int) ([]byte, error) {
	outer := newDERReader(signature)
	r := outer.into(tagSequence)
	outer.end()
	a, b := r.natural(), r.natural()
	r.end()
	if *r.bad || len(a) > size || len(b) > size || isZero(a) || isZero(b) {
		return nil, ErrSignatureForm
	}
	raw := make([]byte, 2*size)
	copy(raw[size-len(a):], a)
	copy(raw[2*size-len(b):], b)
	return raw, nil
}

// SaltSize is how many random bytes Sign wants: as many as the hash has for PS* (RFC 7518 §3.5), none for the others.
func (k *PrivateKey) SaltSize() int {
	if alg := &algorithms[k.alg]; alg.scheme == schemePSS {
		return alg.hash / 8
	}
	return 0
}

// Sign signs text, in JOSE's form, for all but ES* (ErrProxySigns). salt is SaltSize random bytes
// that are used once: the package has no randomness of its own.
func (k *PrivateKey) Sign(text string, salt []byte) (signature []byte, err error) {
	alg := &algorithms[k.alg]
	if len(salt) != k.SaltSize() {
		return nil, ErrSalt
	}
	switch alg.scheme {
	case schemeECDSA:
		return nil, ErrProxySigns
	case schemeHMAC:
		return signHMAC(newHash(alg.hash), k.parts().hmac, text), nil
	case schemeEd25519:
		return k.parts().ed25519.sign(text)
	case schemePSS:
		signature = k.parts().rsa.signPSS(alg.hash, text, salt)
	case schemePKCS1:
		signature = k.parts().rsa.signPKCS1(alg.hash, text)
	}
	if signature == nil {
		return nil, ErrFault
	}
	return signature, nil
}
