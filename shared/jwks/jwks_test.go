// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

func ec(c elliptic.Curve, extra ...string) string {
	size := (c.Params().BitSize + 7) / 8
	x := base64.RawURLEncoding.EncodeToString(c.Params().Gx.FillBytes(make([]byte, size)))
	y := base64.RawURLEncoding.EncodeToString(c.Params().Gy.FillBytes(make([]byte, size)))
	return `{` + strings.Join(append(extra, `"kty":"EC"`, `"crv":"`+c.Params().Name+`"`, `"x":"`+x+`"`, `"y":"`+y+`"`),
		",") + `}`
}

var (
	p256  = func(extra ...string) string { return ec(elliptic.P256(), extra...) }
	p384  = func(extra ...string) string { return ec(elliptic.P384(), extra...) }
	keyed = func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
)

// otherP256 is another key than p256's: its negative, which is a point as well.
func otherP256(extra ...string) string {
	p := elliptic.P256().Params()
	y := new(big.Int).Sub(p.P, p.Gy)
	return strings.Replace(p256(extra...), base64.RawURLEncoding.EncodeToString(p.Gy.FillBytes(make([]byte, 32))),
		base64.RawURLEncoding.EncodeToString(y.FillBytes(make([]byte, 32))), 1)
}

// rsa is a key whose modulus nobody has factored, or made.
func rsa(extra ...string) string {
	n := make([]byte, 256)
	n[0], n[255] = 0xc0, 1
	return `{` + strings.Join(append(extra, `"kty":"RSA"`, `"e":"AQAB"`,
		`"n":"`+base64.RawURLEncoding.EncodeToString(n)+`"`), ",") + `}`
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		usable     int
		faults     []Fault
	}{
		{"two keys", keyed(p256(`"kid":"a"`), p384(`"kid":"b"`)), 2, nil},
		{"keys without kid", keyed(p256(), otherP256()), 2, nil},
		{"members that we do not know", `{"keys":[` + p256(`"x5t":"AA"`) + `],"more":1}`, 1, nil},
		{"J24 an encryption key is named, too", keyed(p256(`"use":"enc"`), p256(`"kid":"a"`)), 1,
			[]Fault{{0, "", jose.ErrKeyUse}}},
		{"J24 nothing but an encryption key", keyed(p256(`"use":"enc"`)), 0,
			[]Fault{{0, "", jose.ErrKeyUse}, {-1, "", ErrNoKey}}},
		{"J24 no keys", keyed(), 0, []Fault{{-1, "", ErrNoKey}}},
		{"J24 a duplicate kid", keyed(p256(`"kid":"a"`), otherP256(`"kid":"a"`)), 1, []Fault{{1, "a", ErrRepeatedKID}}},
		{"J24 a symmetric key among public keys", keyed(p256(), `{"kty":"oct","k":"`+strings.Repeat("A", 43)+`"}`), 1,
			[]Fault{{1, "", ErrSymmetric}}},
		{"J24 a key of a type that we do not know", keyed(p256(), `{"kty":"AKP","alg":"ML-DSA-44"}`), 1,
			[]Fault{{1, "", jose.ErrKeyType}}},
		{"J22 a key off its curve", keyed(strings.Replace(p256(), `"P-256"`, `"P-384"`, 1), p256()), 1,
			[]Fault{{0, "", jose.ErrKeyPoint}}},
		{"a bare key", p256(), 0, []Fault{{-1, "", ErrNoSet}}},
		{"a list", `[` + p256() + `]`, 0, []Fault{{-1, "", ErrNoSet}}},
		{"keys is an object", `{"keys":{}}`, 0, []Fault{{-1, "", ErrNoSet}}},
		{"a key that is a string", keyed(`"x"`), 0, []Fault{{0, "", jose.ErrKeyType}, {-1, "", ErrNoKey}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, faults := Parse(gjson.Parse(c.text), false)
			usable := 0
			if set != nil {
				usable = set.Len()
			}
			if usable != c.usable || !slices.Equal(faults, c.faults) {
				t.Fatalf("%d usable keys, %v; want %d, %v", usable, faults, c.usable, c.faults)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	var nine []string
	for i := range 9 {
		nine = append(nine, p256(`"kid":"`+string(rune('a'+i))+`"`))
	}
	set := func(keys ...string) *Set {
		s, faults := Parse(gjson.Parse(keyed(keys...)), false)
		if faults != nil {
			t.Fatal(faults)
		}
		return s
	}
	for _, c := range []struct {
		name  string
		set   *Set
		token jose.JWS
		alg   jose.Algorithm
		want  int
		err   error
	}{
		{"the key of the kid", set(p256(`"kid":"a"`), p256(`"kid":"b"`)), jose.JWS{HasKID: true, KeyID: "b"},
			jose.ES256, 1, nil},
		{"J4 a kid that no key has", set(p256(`"kid":"a"`)), jose.JWS{HasKID: true, KeyID: "../../dev/null"},
			jose.ES256, 0, ErrUnknown},
		{"J4 a kid is matched whole", set(p256(`"kid":"ab"`)), jose.JWS{HasKID: true, KeyID: "a"}, jose.ES256, 0, ErrUnknown},
		{"an empty kid finds keys without", set(p256(), p384(`"kid":"a"`)), jose.JWS{HasKID: true}, jose.ES256, 1, nil},
		{"J4 an empty kid finds no key with one", set(p256(`"kid":"a"`)), jose.JWS{HasKID: true}, jose.ES256, 0, ErrUnknown},
		{"a kid that no key has finds keys without", set(p256(), p384(), p256(`"kid":"b"`)),
			jose.JWS{HasKID: true, KeyID: "a"}, jose.ES256, 1, nil},
		{"J2 and those are for the algorithm", set(p384(), p256(`"kid":"b"`)), jose.JWS{HasKID: true, KeyID: "a"},
			jose.ES256, 0, ErrUnknown},
		{"a kid that a key has finds no other", set(p256(`"kid":"a"`), otherP256()), jose.JWS{HasKID: true, KeyID: "a"},
			jose.ES256, 1, nil},
		{"one kid for two kinds of keys", set(rsa(`"kid":"a"`), p256(`"kid":"a"`), p384(`"kid":"a"`)),
			jose.JWS{HasKID: true, KeyID: "a"}, jose.ES256, 1, nil},
		{"J3 one kid for two algorithms", set(rsa(`"kid":"a"`, `"alg":"RS256"`), rsa(`"kid":"a"`, `"alg":"RS512"`)),
			jose.JWS{HasKID: true, KeyID: "a"}, jose.RS384, 0, ErrAlgorithm},
		{"J2 the key of the kid is for another algorithm", set(p256(`"kid":"a"`)), jose.JWS{HasKID: true, KeyID: "a"},
			jose.RS256, 0, ErrAlgorithm},
		{"J3 the key's alg is another", set(p384(`"kid":"a"`, `"alg":"ES384"`)), jose.JWS{HasKID: true, KeyID: "a"},
			jose.ES256, 0, ErrAlgorithm},
		{"without kid every key that fits", set(p256(`"kid":"a"`), p384(), otherP256()), jose.JWS{}, jose.ES256, 2, nil},
		{"without kid at most eight", set(nine...), jose.JWS{}, jose.ES256, 8, nil},
		{"without kid none fits", set(p256()), jose.JWS{}, jose.ES384, 0, ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, guessed, err := c.set.Candidates(&c.token, c.alg, nil)
			if len(keys) != c.want || err != c.err {
				t.Fatalf("%d keys, %v; want %d, %v", len(keys), err, c.want, c.err)
			}
			for _, k := range keys {
				if !k.Fits(c.alg) || c.token.HasKID && k.ID != c.token.KeyID && (k.ID != "" || !guessed) {
					t.Fatalf("the key %q for the kid %q", k.ID, c.token.KeyID)
				}
			}
		})
	}
}

func TestHasKeyFor(t *testing.T) {
	s, _ := Parse(gjson.Parse(keyed(p256())), false)
	if !s.HasKeyFor([]jose.Algorithm{jose.RS256, jose.ES256}) || s.HasKeyFor([]jose.Algorithm{jose.RS256, jose.ES384}) {
		t.Error("wrong")
	}
}
