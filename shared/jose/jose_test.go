// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

var limits = Limits{TokenBytes: 8192, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestParse(t *testing.T) {
	const header, payload, signature = `{"alg":"ES256","kid":"k","typ":"at+jwt"}`, `{"iss":"i"}`, "sig"
	good := b64(header) + "." + b64(payload) + "." + b64(signature)
	token, err := Parse(good, limits)
	if err != nil {
		t.Fatal(err)
	}
	if token.Alg != "ES256" || token.KeyID != "k" || !token.HasKID || token.Type != "at+jwt" ||
		string(token.signature) != signature ||
		token.Payload.Raw != payload || token.signed != b64(header)+"."+b64(payload) {
		t.Fatalf("%+v", token)
	}
	with := func(header string) string { return b64(header) + "." + b64(payload) + "." + b64(signature) }
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"J14 two parts", b64(header) + "." + b64(payload), ErrParts},
		{"J14 four parts", good + ".x", ErrParts},
		{"J14 a JWE's five parts", "a.b.c.d.e", ErrParts},
		{"J14 the JSON serialisation", `{"payload":"` + b64(payload) + `"}`, ErrParts},
		{"J14 a nested token", b64(`{"alg":"ES256","cty":"JWT"}`) + "." + b64(good) + "." + b64(signature), ErrPayload},
		{"J12 many dots", strings.Repeat(".", 8000), ErrParts},
		{"J12 longer than allowed", good + strings.Repeat("A", 8192), nil},
		{"J12 nothing", "", ErrParts},
		{"J13 padding", b64(header) + "=." + b64(payload) + "." + b64(signature), ErrBase64},
		{"J13 a line break", b64(header) + "\n." + b64(payload) + "." + b64(signature), ErrBase64},
		{"J13 a carriage return in the signature", good + "\r", ErrBase64},
		{"J13 a space behind", good + " ", ErrBase64},
		{"J13 a question mark", good + "?", ErrBase64},
		{"J13 the alphabet of plain base64", good[:len(good)-1] + "+", ErrBase64},
		{"J13 unused bits that are not zero", b64(header) + "." + b64(payload) + ".AB", ErrBase64},
		{"J13 a length no encoding has", b64(header) + "." + b64(payload) + ".A", ErrBase64},
		{"J9 no alg", with(`{"typ":"JWT"}`), ErrParameter},
		{"J9 alg in another case", with(`{"Alg":"ES256"}`), ErrParameter},
		{"an empty alg", with(`{"alg":""}`), ErrParameter},
		{"alg is a number", with(`{"alg":256}`), ErrParameter},
		{"alg is null", with(`{"alg":null}`), ErrParameter},
		{"alg is a list", with(`{"alg":["ES256"]}`), ErrParameter},
		{"J4 kid is a number", with(`{"alg":"ES256","kid":1}`), ErrParameter},
		{"J4 kid is null", with(`{"alg":"ES256","kid":null}`), ErrParameter},
		{"J4 kid is an object", with(`{"alg":"ES256","kid":{"$ne":""}}`), ErrParameter},
		{"J4 a huge kid", with(`{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`), ErrParameter},
		{"J29 typ is a number", with(`{"alg":"ES256","typ":1}`), ErrParameter},
		{"J6 an unknown critical extension", with(`{"alg":"ES256","crit":["x"],"x":1}`), ErrCritical},
		{"J6 an empty crit", with(`{"alg":"ES256","crit":[]}`), ErrCritical},
		{"J6 crit names a registered parameter", with(`{"alg":"ES256","crit":["alg"]}`), ErrCritical},
		{"J7 b64 false", with(`{"alg":"ES256","b64":false,"crit":["b64"]}`), ErrCritical},
		{"J7 b64 without crit", with(`{"alg":"ES256","b64":true}`), ErrCritical},
		{"J8 alg twice", with(`{"alg":"none","alg":"ES256"}`), ErrHeader},
		{"J8 iss twice", b64(header) + "." + b64(`{"iss":"a","iss":"b"}`) + ".AA", ErrPayload},
		{"J10 not UTF-8", b64(header) + "." + b64("{\"iss\":\"\xff\"}") + ".AA", ErrPayload},
		{"J10 NUL in a claim", b64(header) + "." + b64(`{"iss":"a\u0000"}`) + ".AA", ErrPayload},
		{"J10 a byte order mark", b64(header) + "." + b64("\ufeff{}") + ".AA", ErrPayload},
		{"J11 deep nesting", b64(header) + "." + b64(`{"a":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`}`) +
			".AA", ErrPayload},
		{"J11 many members", b64(header) + "." + b64(members(257)) + ".AA", ErrPayload},
		{"J11 a long number", b64(header) + "." + b64(`{"exp":`+strings.Repeat("1", 33)+`}`) + ".AA", ErrPayload},
		{"the header is a string", with(`"ES256"`), ErrHeader},
		{"the header is a list", with(`[{"alg":"ES256"}]`), ErrHeader},
		{"the header is empty", "." + b64(payload) + ".AA", ErrHeader},
		{"the payload is a list", b64(header) + "." + b64(`[]`) + ".AA", ErrPayload},
		{"the payload is text", b64(header) + "." + b64(`hello`) + ".AA", ErrPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.token, limits)
			if limit := new(LimitError); c.want == nil &&
				(!errors.As(err, &limit) || limit.Name != "tokenBytes" || limit.Got <= limit.Limit) || c.want != nil &&
				!errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

func members(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"m%d":1`, i))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// A limit that is hit is named with both numbers.
func TestLimitsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		members(257): "over limits.jsonMembers: 257, of 256 allowed",
		`{"a":` + strings.Repeat("[", 19) + strings.Repeat("]", 19) + `}`: "over limits.jsonDepth: 20, of 16 allowed",
		`{"a":{"b":1,"b":2}}`: "a member name is repeated",
	} {
		if _, err := Parse(b64(`{"alg":"ES256"}`)+"."+b64(text)+".AA", limits); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// J5: the header cannot bring a key along, and naming one does not make it malformed either: RFC
// 7515 §4.1 has these as hints.
func TestParseIgnoresKeysInTheHeader(t *testing.T) {
	for _, extra := range []string{`"jku":"https://evil"`, `"jwk":{"kty":"oct","k":"AA"}`, `"x5u":"https://evil"`,
		`"x5c":["AA"]`} {
		token, err := Parse(b64(`{"alg":"ES256",`+extra+`}`)+"."+b64(`{}`)+".AA", limits)
		if err != nil || token.HasKID {
			t.Errorf("J5 %s: %+v, %v", extra, token, err)
		}
	}
}

func TestParseAlgorithm(t *testing.T) {
	for _, name := range AlgorithmNames() {
		if a, ok := ParseAlgorithm(name); !ok || a.String() != name {
			t.Errorf("%s: %v, %v", name, a, ok)
		}
	}
	for _, name := range []string{"none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS1", "ES521", "RS1", "\x00"} {
		if a, ok := ParseAlgorithm(name); ok {
			t.Errorf("J1 %q is %v", name, a)
		}
	}
}

func jwk(members ...string) gjson.Result { return gjson.Parse("{" + strings.Join(members, ",") + "}") }

func ecMembers(crv string, x, y []byte) []string {
	return []string{`"kty":"EC"`, `"crv":"` + crv + `"`, `"x":"` + base64.RawURLEncoding.EncodeToString(x) + `"`,
		`"y":"` + base64.RawURLEncoding.EncodeToString(y) + `"`}
}

func rsaMembers(n, e []byte) []string {
	return []string{`"kty":"RSA"`, `"n":"` + base64.RawURLEncoding.EncodeToString(n) + `"`,
		`"e":"` + base64.RawURLEncoding.EncodeToString(e) + `"`}
}

var sevens = func() []byte { // an odd modulus of 2048 bits; nothing here needs its factors
	n := make([]byte, 256)
	for i := range n {
		n[i] = 0xf7
	}
	return n
}()

// The SPKI that a key gets is the one that crypto/x509 writes.
func TestKeyEncoding(t *testing.T) {
	for crv, c := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(),
		"P-521": elliptic.P521()} {
		for range 20 {
			private, err := ecdsa.GenerateKey(c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			size := (c.Params().BitSize + 7) / 8
			x, y := private.X.FillBytes(make([]byte, size)), private.Y.FillBytes(make([]byte, size))
			want, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(jwk(ecMembers(crv, x, y)...))
			if err != nil || hex.EncodeToString(k.spki) != hex.EncodeToString(want) {
				t.Fatalf("%s: %x, %v; want %x", crv, k.spki, err, want)
			}
		}
	}
	for bits := 2048; bits <= 2056; bits++ {
		n := new(big.Int).SetBit(new(big.Int).SetBytes(sevens), 0, 1)
		n.Lsh(n, uint(bits-2048)).SetBit(n, 0, 1)
		for _, e := range []int64{3, 65537, 0xffffffff} {
			want, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: int(e)})
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(jwk(rsaMembers(n.Bytes(), big.NewInt(e).Bytes())...))
			if err != nil || hex.EncodeToString(k.spki) != hex.EncodeToString(want) {
				t.Fatalf("RSA %d: %x, %v; want %x", bits, k.spki, err, want)
			}
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	g := elliptic.P256().Params()
	x, y := g.Gx.FillBytes(make([]byte, 32)), g.Gy.FillBytes(make([]byte, 32))
	off := append([]byte{}, y...)
	off[31] ^= 1
	ec := func(extra ...string) gjson.Result { return jwk(append(ecMembers("P-256", x, y), extra...)...) }
	rsaKey := func(n, e []byte, extra ...string) gjson.Result { return jwk(append(rsaMembers(n, e), extra...)...) }
	f4 := []byte{1, 0, 1}
	even := append([]byte{}, sevens...)
	even[255] = 0xf6
	for _, c := range []struct {
		name string
		jwk  gjson.Result
		want error
	}{
		{"a good EC key", ec(), nil},
		{"a good EC key with everything", ec(`"kid":"a"`, `"alg":"ES256"`, `"use":"sig"`, `"key_ops":["verify"]`), nil},
		{"a good RSA key", rsaKey(sevens, f4, `"alg":"RS512"`), nil},
		{"a secret", jwk(`"kty":"oct"`, `"k":"`+strings.Repeat("A", 43)+`"`), nil},
		{"J24 a short secret", jwk(`"kty":"oct"`, `"k":"AAAA"`), ErrKeyLength},
		{"J24 a secret without k", jwk(`"kty":"oct"`), ErrKeyMember},
		{"a good Ed25519 key", jwk(`"kty":"OKP"`, `"crv":"Ed25519"`, `"x":"`+strings.Repeat("A", 43)+`"`,
			`"alg":"EdDSA"`), nil},
		{"J22 a key for key agreement", jwk(`"kty":"OKP"`, `"crv":"X25519"`, `"x":"`+strings.Repeat("A", 43)+`"`),
			ErrKeyCurve},
		{"J22 a short Ed25519 key", jwk(`"kty":"OKP"`, `"crv":"Ed25519"`, `"x":"AAAA"`), ErrKeyLength},
		{"J2 a secret with alg of another type",
			jwk(`"kty":"oct"`, `"k":"`+strings.Repeat("A", 43)+`"`, `"alg":"RS256"`), ErrKeyAlg},
		{"J2 a secret too short for its alg", jwk(`"kty":"oct"`, `"k":"`+strings.Repeat("A", 43)+`"`, `"alg":"HS512"`),
			ErrKeyAlg},
		{"a type that we do not know", jwk(`"kty":"AKP"`), ErrKeyType},
		{"no kty", jwk(`"crv":"P-256"`), ErrKeyType},
		{"not an object", gjson.Parse(`"x"`), ErrKeyType},
		{"J24 a key for encryption", ec(`"use":"enc"`), ErrKeyUse},
		{"J24 use is no string", ec(`"use":["sig"]`), ErrKeyUse},
		{"J24 key_ops without verify", ec(`"key_ops":["sign","encrypt"]`), ErrKeyUse},
		{"J24 key_ops is no list", ec(`"key_ops":"verify"`), ErrKeyUse},
		{"a private key", ec(`"d":"AAAA"`), ErrKeyPrivate},
		{"a private RSA key", rsaKey(sevens, f4, `"p":"AAAA"`), ErrKeyPrivate},
		{"J24 an EC key with the secret of an oct key", ec(`"k":"AAAA"`), ErrKeyPrivate},
		{"J4 an empty kid", ec(`"kid":""`), ErrKeyID},
		{"J4 a kid that is a number", ec(`"kid":1`), ErrKeyID},
		{"J22 another curve", jwk(ecMembers("secp256k1", x, y)...), ErrKeyCurve},
		{"J22 no curve", jwk(ecMembers("", x, y)...), ErrKeyCurve},
		{"J22 the coordinates of another curve", jwk(ecMembers("P-384", x, y)...), ErrKeyPoint},
		{"J22 a point off the curve", jwk(ecMembers("P-256", x, off)...), ErrKeyPoint},
		{"J22 the origin", jwk(ecMembers("P-256", make([]byte, 32), make([]byte, 32))...), ErrKeyPoint},
		{"J22 coordinates beyond the field", jwk(ecMembers("P-256", g.P.Bytes(), y)...), ErrKeyPoint},
		{"J22 a short coordinate", jwk(ecMembers("P-256", x[1:], y)...), ErrKeyPoint},
		{"J22 a coordinate with zeros in front", jwk(ecMembers("P-256", append([]byte{0}, x...), y)...), ErrKeyPoint},
		{"no y", jwk(ecMembers("P-256", x, nil)...), ErrKeyMember},
		{"x is not base64url", jwk(`"kty":"EC"`, `"crv":"P-256"`, `"x":"a+b="`, `"y":"AAAA"`), ErrKeyMember},
		{"J3 alg of another curve", ec(`"alg":"ES384"`), ErrKeyAlg},
		{"J22 an alg that does not exist", ec(`"alg":"ES521"`), ErrKeyAlg},
		{"J2 alg of another type", ec(`"alg":"RS256"`), ErrKeyAlg},
		{"J24 alg of an encryption key", rsaKey(sevens, f4, `"alg":"RSA-OAEP"`), ErrKeyAlg},
		{"J23 1024 bits", rsaKey(sevens[:128], f4), ErrKeyModulus},
		{"J23 2047 bits", rsaKey(append([]byte{0x7f}, sevens[1:]...), f4), ErrKeyModulus},
		{"J23 8200 bits", rsaKey(append(make([]byte, 0), strings.Repeat("\xf7", 1025)...), f4), ErrKeyModulus},
		{"J23 an even modulus", rsaKey(even, f4), ErrKeyModulus},
		{"J23 zeros in front of the modulus", rsaKey(append([]byte{0}, sevens...), f4), ErrKeyModulus},
		{"J23 e = 1", rsaKey(sevens, []byte{1}), ErrKeyPublic},
		{"J23 an even e", rsaKey(sevens, []byte{1, 0, 0}), ErrKeyPublic},
		{"J23 a huge e", rsaKey(sevens, []byte{1, 0, 0, 0, 1}), ErrKeyPublic},
		{"J23 zeros in front of e", rsaKey(sevens, []byte{0, 3}), ErrKeyPublic},
		{"no e", rsaKey(sevens, nil), ErrKeyMember},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseKey(c.jwk); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

// J2, J3: which key may be used with which algorithm is a matter of the key alone.
func TestKeyFits(t *testing.T) {
	g := elliptic.P384().Params()
	x, y := g.Gx.FillBytes(make([]byte, 48)), g.Gy.FillBytes(make([]byte, 48))
	for _, c := range []struct {
		name string
		jwk  gjson.Result
		want string
	}{
		{"RSA", jwk(rsaMembers(sevens, []byte{3})...), "RS256 RS384 RS512 PS256 PS384 PS512"},
		{"RSA with alg", jwk(append(rsaMembers(sevens, []byte{3}), `"alg":"RS384"`)...), "RS384"},
		{"P-384", jwk(ecMembers("P-384", x, y)...), "ES384"},
		{"Ed25519", jwk(`"kty":"OKP"`, `"crv":"Ed25519"`, `"x":"`+strings.Repeat("A", 43)+`"`), "EdDSA"},
		{"a secret of 32 bytes", jwk(`"kty":"oct"`, `"k":"`+strings.Repeat("A", 43)+`"`), "HS256"},
		{"a secret of 48 bytes", jwk(`"kty":"oct"`, `"k":"`+strings.Repeat("A", 64)+`"`), "HS256 HS384"},
	} {
		k, err := ParseKey(c.jwk)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range AlgorithmNames() {
			if a, _ := ParseAlgorithm(name); k.Fits(a) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s fits %v, want %s", c.name, got, c.want)
		}
	}
}

func TestVerificationForm(t *testing.T) {
	key := &Key{spki: []byte{1}}
	raw := make([]byte, 64)
	raw[31], raw[32] = 1, 0x80
	token := &JWS{signed: "a.b", signature: raw}
	v, err := token.Verification(ES256, key)
	if want := "302602010102210080" + strings.Repeat("00", 31); err != nil || hex.EncodeToString(v.Signature) != want ||
		v.Hash != "sha256" || v.Text != "a.b" || v.Key[0] != 1 {
		t.Fatalf("%+v, %v; want %s", v, err, want)
	}
	for name, signature := range map[string][]byte{
		"J21 one byte short": raw[:63], "J21 one byte long": append(raw[:64:64], 0), "J21 nothing": nil,
		"J21 DER instead of raw": v.Signature, "J21 a P-384 signature": make([]byte, 96),
		"J21 r is zero": append(make([]byte, 32), raw[32:]...), "J21 s is zero": append(raw[:32:32],
			make([]byte, 32)...), "J21 both are zero": make([]byte, 64),
	} {
		if _, err := (&JWS{signature: signature}).Verification(ES256, key); err != ErrSignatureForm {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&JWS{}).Verification(RS256, key); err != ErrSignatureForm {
		t.Errorf("J1 an empty RSA signature: %v", err)
	}
}

// What Parse accepts reads the same to encoding/json, and no accepted token has a second spelling.
func FuzzParse(f *testing.F) {
	f.Add(b64(`{"alg":"ES256","kid":"k"}`) + "." + b64(`{"iss":"i","exp":1e9}`) + ".AA")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".")
	f.Add(b64(`{"alg":"ES256","alg":"none"}`) + "." + b64(`{"\u0069ss":1,"iss":2}`) + ".AB")
	f.Add("....")
	f.Fuzz(func(t *testing.T, token string) {
		jws, err := Parse(token, limits)
		if err != nil {
			return
		}
		var header map[string]any
		first, _, _ := strings.Cut(token, ".")
		b, err := base64.RawURLEncoding.DecodeString(first)
		if err != nil || json.Unmarshal(b, &header) != nil || header["alg"] != jws.Alg {
			t.Fatalf("the header reads as alg %q here and as %v elsewhere", jws.Alg, header["alg"])
		}
		again := base64.RawURLEncoding.EncodeToString(b) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(jws.Payload.Raw)) + "." +
			base64.RawURLEncoding.EncodeToString(jws.signature)
		if !strings.HasPrefix(token, base64.RawURLEncoding.EncodeToString(b)+".") ||
			!strings.HasSuffix(token, again[strings.LastIndexByte(again, '.'):]) {
			t.Fatalf("%q is not canonical", token)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	g := elliptic.P256().Params()
	f.Add("{" + strings.Join(ecMembers("P-256", g.Gx.Bytes(), g.Gy.Bytes()), ",") + "}")
	f.Add("{" + strings.Join(rsaMembers(sevens, []byte{1, 0, 1}), ",") + "}")
	f.Add(`{"kty":"oct","k":""}`)
	f.Fuzz(func(t *testing.T, text string) {
		if strictjson.Scan(text, limits.JSON) != nil {
			return
		}
		k, err := ParseKey(gjson.Parse(text))
		if err != nil {
			return
		}
		if k.spki == nil {
			return
		}
		if _, err := x509.ParsePKIXPublicKey(k.spki); err != nil {
			t.Fatalf("accepted a key that crypto/x509 refuses: %v", err)
		}
	})
}

// The public operation and PSS against crypto/rsa, over sizes that are and are not whole bytes and limbs.
func TestRSAAgainstGo(t *testing.T) {
	for _, bits := range []int{1024, 1025, 1031, 1087, 2048} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		k := newRSAKey(private.N.Bytes(), uint32(private.E))
		size := (bits + 7) / 8
		for range 20 {
			x, err := rand.Int(rand.Reader, private.N)
			if err != nil {
				t.Fatal(err)
			}
			want := new(big.Int).Exp(x, big.NewInt(int64(private.E)), private.N)
			if got := k.power(x.FillBytes(make([]byte, size))); new(big.Int).SetBytes(got).Cmp(want) != 0 {
				t.Fatalf("%d bits: %x^e is %x, want %x", bits, x, got, want)
			}
			sum := sha256.Sum256([]byte("text"))
			signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
			if err != nil {
				t.Fatal(err)
			}
			if !k.verifyPSS(256, "text", signature) || k.verifyPSS(256, "Text", signature) ||
				k.verifyPSS(384, "text", signature) {
				t.Fatalf("%d bits: PSS", bits)
			}
		}
		short, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, make([]byte, 32), &rsa.PSSOptions{SaltLength: 20})
		if err != nil || k.verifyPSS(256, "text", short) {
			t.Errorf("%d bits: a salt of another length is accepted (%v)", bits, err)
		}
		for name, x := range map[string][]byte{"n": private.N.Bytes(), "too long": make([]byte, size+1),
			"too short": make([]byte, size-1)} {
			if k.power(x) != nil {
				t.Errorf("%d bits: %s is taken for a signature", bits, name)
			}
		}
	}
}

// J30: every bit of a MAC counts. That the comparison takes the same time wherever they differ is
// crypto/subtle's promise, which package guard holds this one to.
func TestMACBits(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("text"))
	tag := mac.Sum(nil)
	if !verifyHMAC(newHash(256), key, "text", tag) {
		t.Fatal("the right tag is refused")
	}
	for i := range 8 * len(tag) {
		wrong := slices.Clone(tag)
		wrong[i/8] ^= 1 << (i % 8)
		if verifyHMAC(newHash(256), key, "text", wrong) {
			t.Errorf("bit %d does not count", i)
		}
	}
	for n := range tag {
		if verifyHMAC(newHash(256), key, "text", tag[:n]) {
			t.Errorf("the first %d bytes will do", n)
		}
	}
	if verifyHMAC(newHash(256), key, "text", append(tag, 0)) {
		t.Error("a longer tag will do")
	}
}
