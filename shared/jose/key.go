// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"errors"
	"math/bits"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// Why a JWK cannot be used.
var (
	ErrKeyType    = errors.New("kty is not RSA, EC, OKP or oct")
	ErrKeyCurve   = errors.New("crv is not P-256, P-384, P-521 or, for OKP, Ed25519")
	ErrKeyMember  = errors.New("a member of the key is missing, or not a string of canonical base64url")
	ErrKeyPrivate = errors.New("the key has private members: a verifier is given public keys only")
	ErrKeyUse     = errors.New("the key is not for signatures (use, key_ops)")
	ErrKeyAlg     = errors.New("alg does not fit the key, or is not supported")
	ErrKeyModulus = errors.New("the RSA modulus must be odd, of 2048 to 8192 bits, without leading zeros")
	ErrKeyPublic  = errors.New("the RSA exponent must be odd and from 3 to 2^32-1")
	ErrKeyPoint   = errors.New("x and y are not a point on the curve, in the curve's full length")
	ErrKeyLength  = errors.New("the key is too short or too long for its type: Ed25519 has 32 bytes, oct at least 32")
	ErrKeyID      = errors.New("kid is not a string of 1 to 256 bytes")
)

// Key is a key of a JWK Set that can verify signatures: a public key, or a secret shared with the issuer.
type Key struct {
	ID  string // kid; empty when there is none
	kty string
	crv string
	alg Algorithm // 0 when the JWK names none

	spki []byte  // SubjectPublicKeyInfo, DER: RSA and EC, for the proxy
	rsa  *rsaKey // for PS*, which the proxy does not verify
	raw  []byte  // the point of Ed25519, or the secret of oct
}

// Symmetric reports whether the key is a secret (kty oct).
func (k *Key) Symmetric() bool { return k.kty == "oct" }

// ParseKey reads a JWK and checks all that can be checked without a signature. Which members count is RFC 7517 §4 and RFC 7518 §6; others are ignored.
func ParseKey(jwk gjson.Result) (*Key, error) {
	k := &Key{}
	var err error
	if kid, ok := strictjson.Member(jwk, "kid"); ok {
		if kid.Type != gjson.String || kid.Str == "" || len(kid.Str) > maxKeyID {
			return nil, ErrKeyID
		}
		k.ID = kid.Str
	}
	// The type and the use first: a set may hold keys that are for something else, and those are no fault of the set.
	switch k.kty = strictjson.Text(jwk, "kty"); k.kty {
	case "RSA", "EC", "OKP", "oct":
	default:
		return nil, ErrKeyType
	}
	if !allows(jwk, "verify") {
		return nil, ErrKeyUse
	}
	for _, private := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := strictjson.Member(jwk, private); ok && !(k.kty == "oct" && private == "k") {
			return nil, ErrKeyPrivate
		}
	}
	switch k.kty {
	case "RSA":
		err = k.readRSA(jwk)
	case "EC":
		k.crv = strictjson.Text(jwk, "crv")
		k.spki, err = ecSPKI(jwk, k.crv)
	case "OKP":
		if k.crv = strictjson.Text(jwk, "crv"); k.crv != "Ed25519" {
			return nil, ErrKeyCurve
		}
		if k.raw, err = member(jwk, "x"); err == nil && len(k.raw) != 32 {
			err = ErrKeyLength
		}
	case "oct":
		if k.raw, err = member(jwk, "k"); err == nil && len(k.raw) < 32 {
			err = ErrKeyLength
		}
	}
	if err != nil {
		return nil, err
	}
	if alg, ok := strictjson.Member(jwk, "alg"); ok {
		if k.alg, ok = ParseAlgorithm(alg.Str); !ok || alg.Type != gjson.String || !k.Fits(k.alg) {
			return nil, ErrKeyAlg
		}
	}
	return k, nil
}

// Fits reports whether the key may verify signatures of algorithm a: by its kty, its crv, its length and, if it has one, its alg (RFC 8725
// §3.1).
func (k *Key) Fits(a Algorithm) bool {
	want := &algorithms[a]
	return k.kty == want.kty && k.crv == want.crv && (k.alg == 0 || k.alg == a) && (want.scheme != schemeHMAC || len(k.raw) >= want.size)
}

// Thumbprint is the JWK's SHA-256 thumbprint in base64url (RFC 7638), for a public key that ParseKey has taken: none of its members needs escaping.
func Thumbprint(jwk gjson.Result) string {
	var names []string // in the order of their code points
	switch strictjson.Text(jwk, "kty") {
	case "RSA":
		names = []string{"e", "kty", "n"}
	case "EC":
		names = []string{"crv", "kty", "x", "y"}
	case "OKP":
		names = []string{"crv", "kty", "x"}
	}
	s := ""
	for _, name := range names {
		s += `,"` + name + `":"` + strictjson.Text(jwk, name) + `"`
	}
	if s == "" {
		return ""
	}
	return Hash("{" + s[1:] + "}")
}

// allows looks at use and key_ops (RFC 7517 §4.2, §4.3). What is present must allow the operation, "verify" or "sign".
func allows(jwk gjson.Result, operation string) bool {
	if use, ok := strictjson.Member(jwk, "use"); ok && (use.Type != gjson.String || use.Str != "sig") {
		return false
	}
	ops, ok := strictjson.Member(jwk, "key_ops")
	if !ok {
		return true
	}
	found := false
	if ops.IsArray() {
		ops.ForEach(func(_, op gjson.Result) bool {
			found = found || op.Type == gjson.String && op.Str == operation
			return true
		})
	}
	return found
}

//go:noinline
func member(jwk gjson.Result, name string) ([]byte, error) {
	b, err := DecodeBase64(strictjson.Text(jwk, name))
	if err != nil || len(b) == 0 {
		return nil, ErrKeyMember
	}
	return b, nil
}

func (k *Key) readRSA(jwk gjson.Result) error {
	n, err := member(jwk, "n")
	if err != nil {
		return err
	}
	e, err := member(jwk, "e")
	if err != nil {
		return err
	}
	// The upper bound keeps one verification from costing milliseconds.
	if size := len(n)*8 - bits.LeadingZeros8(n[0]); n[0] == 0 || size < 2048 || size > 8192 || n[len(n)-1]&1 == 0 {
		return ErrKeyModulus
	}
	if e[0] == 0 || len(e) > 4 || e[len(e)-1]&1 == 0 || len(e) == 1 && e[0] < 3 {
		return ErrKeyPublic
	}
	key := der(tagSequence, derInteger(n), derInteger(e))
	k.spki = der(tagSequence, der(tagSequence, oidRSA, derNull), derBits(key))
	k.rsa = newRSAKey(n, uint32(limbs(e, 1)[0]))
	return nil
}

func ecSPKI(jwk gjson.Result, crv string) ([]byte, error) {
	for i := range curves {
		c := &curves[i]
		if c.name != crv {
			continue
		}
		x, err := member(jwk, "x")
		if err != nil {
			return nil, err
		}
		y, err := member(jwk, "y")
		if err != nil {
			return nil, err
		}
		if !c.contains(x, y) {
			return nil, ErrKeyPoint
		}
		point := append(append([]byte{4}, x...), y...) // uncompressed, SEC 1 §2.3.3
		return der(tagSequence, der(tagSequence, oidEC, c.oid), derBits(point)), nil
	}
	return nil, ErrKeyCurve
}
