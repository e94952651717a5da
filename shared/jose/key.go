// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"

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

// ParseKey reads a JWK and checks all that can be checked without a signature. Which members count is RFC 7517 §4 and
// RFC 7518 §6; others are ignored.
func ParseKey(jwk gjson.Result) (*Key, error) { return parseKey(jwk, false) }

// ParsePublished reads a JWK as issuers write them: members that are null, or an empty text or
// list, say nothing, numbers may have leading zeros and padding, coordinates any length, and
// whatever use is not known is as good as sig. What makes a key unfit, or a secret, is refused as
// by ParseKey.
func ParsePublished(jwk gjson.Result) (*Key, error) { return parseKey(jwk, true) }

// privateMembers are those of RFC 7518 §6.2.2, §6.3.2 and §6.4.1, and of keys of type AKP.
var privateMembers = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// IsPrivate reports whether a member of that name makes a JWK a private or a secret key.
func IsPrivate(name string) bool { return slices.Contains(privateMembers[:], name) }

func parseKey(jwk gjson.Result, published bool) (*Key, error) {
	k := &Key{}
	r := reader{jwk, published}
	var err error
	if kid, ok := r.value("kid"); ok {
		if kid.Type != gjson.String || kid.Str == "" || len(kid.Str) > maxKeyID {
			return nil, ErrKeyID
		}
		k.ID = kid.Str
	}
	// A secret where it does not belong first: it is a fault of whoever publishes the set, whatever the key is for.
	k.kty = strictjson.Text(jwk, "kty")
	for _, private := range privateMembers {
		if _, ok := r.value(private); ok && !(k.kty == "oct" && private == "k") {
			return nil, ErrKeyPrivate
		}
	}
	// Then type and use: a set may hold keys that are for something else, and those are no fault of the set.
	switch k.kty {
	case "RSA", "EC", "OKP", "oct":
	default:
		return nil, ErrKeyType
	}
	if !r.allows("verify") {
		return nil, ErrKeyUse
	}
	switch k.kty {
	case "RSA":
		err = k.readRSA(r)
	case "EC":
		k.crv = strictjson.Text(jwk, "crv")
		k.spki, err = r.ecSPKI(k.crv)
	case "OKP":
		if k.crv = strictjson.Text(jwk, "crv"); k.crv != "Ed25519" {
			return nil, ErrKeyCurve
		}
		if k.raw, err = r.bytes("x"); err == nil && len(k.raw) != 32 {
			err = ErrKeyLength
		}
	case "oct":
		if k.raw, err = r.bytes("k"); err == nil && len(k.raw) < 32 {
			err = ErrKeyLength
		}
	}
	if err != nil {
		return nil, err
	}
	if alg, ok := r.value("alg"); ok {
		if k.alg, ok = parseKeyAlgorithm(alg.Str); !ok || alg.Type != gjson.String || !k.Fits(k.alg) {
			return nil, ErrKeyAlg
		}
	}
	return k, nil
}

// String tells what a key is called and for: kid "a" (EC P-256, ES256).
func (k *Key) String() string {
	s := "one without kid ("
	if k.ID != "" {
		s = "kid " + strconv.Quote(k.ID) + " ("
	}
	s += k.kty
	if k.crv != "" {
		s += " " + k.crv
	}
	if k.alg != 0 {
		s += ", " + k.alg.String()
	}
	return s + ")"
}

// Equal reports whether two keys say the same of themselves, and are the same.
func (k *Key) Equal(other *Key) bool {
	return k.Like(other) && bytes.Equal(k.spki, other.spki) && bytes.Equal(k.raw, other.raw)
}

// Like reports whether two keys have the same kid, type, curve and alg, so that nothing in a
// token's header tells them apart.
func (k *Key) Like(other *Key) bool {
	return k.ID == other.ID && k.kty == other.kty && k.crv == other.crv && k.alg == other.alg
}

// Fits reports whether the key may verify signatures of algorithm a: by its kty, its crv, its
// length and, if it has one, its alg (RFC 8725 §3.1).
func (k *Key) Fits(a Algorithm) bool {
	want := &algorithms[a]
	return k.kty == want.kty && k.crv == want.crv && (k.alg == 0 || k.alg == a) &&
		(want.scheme != schemeHMAC || len(k.raw) >= want.size)
}

// Thumbprint is the JWK's SHA-256 thumbprint in base64url (RFC 7638), for a public key that
// ParseKey has taken: none of its members needs escaping.
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

// Thumbprint is the key's SHA-256 thumbprint in base64url (RFC 7638); empty for a secret.
//
//go:noinline
func (k *Key) Thumbprint() string {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k.kty {
	case "OKP":
		return Hash(`{"crv":"` + k.crv + `","kty":"OKP","x":"` + b64(k.raw) + `"}`)
	case "EC":
		for i := range curves {
			if c := &curves[i]; c.name == k.crv { // the point is what an SPKI ends with
				point := k.spki[len(k.spki)-2*c.size:]
				return Hash(`{"crv":"` + k.crv + `","kty":"EC","x":"` + b64(point[:c.size]) + `","y":"` + b64(point[c.size:]) + `"}`)
			}
		}
	case "RSA":
		r := newDERReader(k.spki).into(tagSequence)
		r.into(tagSequence)
		r = (&derReader{r.bits(tagBits), r.bad}).into(tagSequence)
		n, e := r.natural(), r.natural()
		return Hash(`{"e":"` + b64(e) + `","kty":"RSA","n":"` + b64(n) + `"}`)
	}
	return ""
}

// Fingerprint tells a key from every other one, whatever it is called: its thumbprint, or a hash of
// a secret, which nobody should be shown.
func (k *Key) Fingerprint() string {
	if k.Symmetric() {
		return Hash("oct\x00" + string(k.raw))
	}
	return k.Thumbprint()
}

// reader reads the members of a JWK, strictly or as they are published.
type reader struct {
	jwk       gjson.Result
	published bool
}

// value is a member that says something.
func (r reader) value(name string) (gjson.Result, bool) {
	v, ok := strictjson.Member(r.jwk, name)
	if r.published && (v.Type == gjson.Null || v.Type == gjson.String && v.Str == "" || v.Raw == "[]") {
		return gjson.Result{}, false
	}
	return v, ok
}

// Uses that published keys have for something else than tokens: encryption, and the authorities of
// X.509-SVIDs (SPIFFE Trust Domain and Bundle §4.2.2).
const (
	useEncryption = "enc"
	useX509       = "x509-svid"
)

// allows looks at use and key_ops (RFC 7517 §4.2, §4.3). What is present must allow the operation,
// "verify" or "sign". In published sets either means signatures, and an unknown use means nothing:
// "jwt-svid" is one.
func (r reader) allows(operation string) bool {
	if use, ok := r.value("use"); ok {
		switch {
		case !r.published && (use.Type != gjson.String || use.Str != "sig"):
			return false
		case use.Str == useEncryption, use.Str == useX509:
			return false
		}
	}
	ops, ok := r.value("key_ops")
	if !ok {
		return true
	}
	means := func(op gjson.Result) bool {
		return op.Type == gjson.String && (op.Str == operation || r.published && (op.Str == "verify" || op.Str == "sign"))
	}
	found := false
	if ops.IsArray() {
		ops.ForEach(func(_, op gjson.Result) bool {
			found = found || means(op)
			return true
		})
	}
	return found || r.published && means(ops)
}

// bytes reads a member in base64url.
//
//go:noinline
func (r reader) bytes(name string) ([]byte, error) {
	text := strictjson.Text(r.jwk, name)
	var b []byte
	var err error
	if r.published {
		b, err = decodeLoosely(text)
	} else {
		b, err = DecodeBase64(text)
	}
	if err != nil || len(b) == 0 {
		return nil, ErrKeyMember
	}
	return b, nil
}

// number reads a member that is a natural number, without leading zeros where those may be there
// (RFC 7518 §2 forbids them, and libraries that write signed numbers have one in front of every
// second modulus).
func (r reader) number(name string) ([]byte, error) {
	b, err := r.bytes(name)
	if err != nil || !r.published {
		return b, err
	}
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b, nil
}

// coordinate reads a member that is a field element of that many bytes.
func (r reader) coordinate(name string, size int) ([]byte, error) {
	b, err := r.number(name)
	if err == nil && r.published && len(b) < size {
		b = append(make([]byte, size-len(b), size), b...)
	}
	return b, err
}

// decodeLoosely reads base64url with or without padding, line breaks and white space, whatever its
// last bits are: a number that is published has one meaning in any of these.
func decodeLoosely(s string) ([]byte, error) {
	s = strings.TrimRight(strings.Map(func(c rune) rune {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return -1
		}
		return c
	}, s), "=")
	return base64.RawURLEncoding.DecodeString(s)
}

func (k *Key) readRSA(r reader) error {
	n, err := r.number("n")
	if err != nil {
		return err
	}
	e, err := r.number("e")
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

func (r reader) ecSPKI(crv string) ([]byte, error) {
	for i := range curves {
		c := &curves[i]
		if c.name != crv {
			continue
		}
		x, err := r.coordinate("x", c.size)
		if err != nil {
			return nil, err
		}
		y, err := r.coordinate("y", c.size)
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
