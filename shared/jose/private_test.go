// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

const kid = `edge "2026"`

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	// for PSS, a multiple of 8 and no more
	oddRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2049)) })
	bigRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 4096)) })
	edKey  = sync.OnceValue(func() ed25519.PrivateKey {
		_, k,
			err := ed25519.GenerateKey(rand.Reader)
		return must(k, err)
	})
	p256Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
)

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func pkcs8(key any) string { return block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }

// privateJWK is go-jose's.
func privateJWK(key any) string {
	return string(must(json.Marshal(gojose.JSONWebKey{Key: key})))
}

// edit changes members of a JWK; nil removes one.
func edit(jwk string, changes map[string]any) string {
	m := map[string]any{}
	if err := json.Unmarshal([]byte(jwk), &m); err != nil {
		panic(err)
	}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(m)))
}

func algorithm(name string) jose.Algorithm {
	a, ok := jose.ParseAlgorithm(name)
	if !ok {
		panic(name)
	}
	return a
}

// forms are keys of each algorithm in each form that is accepted.
func forms(alg string) map[string]string {
	switch alg[:2] {
	case "RS", "PS":
		f := map[string]string{"PKCS#8": pkcs8(rsaKey()),
			"PKCS#1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "a JWK": privateJWK(rsaKey()),
			"2049 bits": pkcs8(oddRSA())}
		if alg[2:] == "512" {
			f["4096 bits"] = pkcs8(bigRSA())
		}
		return f
	case "ES":
		key := map[string]func() *ecdsa.PrivateKey{"ES256": p256Key, "ES384": p384Key, "ES512": p521Key}[alg]()
		sec1 := block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
		return map[string]string{"PKCS#8": pkcs8(key), "SEC 1": sec1,
			"SEC 1 behind parameters": block("EC PARAMETERS", []byte{6, 1, 0}) + sec1, "a JWK": privateJWK(key),
			"CRLF, and text around": "Bag Attributes\r\n  friendlyName: edge\r\n" +
				strings.ReplaceAll(pkcs8(key), "\n", "\r\n") +
				"\r\nthe end\r\n", "no line break at the end": strings.TrimSpace(pkcs8(key))}
	case "Ed":
		return map[string]string{"PKCS#8": pkcs8(edKey()), "a JWK": privateJWK(edKey()),
			"a JWK with all": edit(privateJWK(edKey()),
				map[string]any{"kid": kid, "alg": "EdDSA", "use": "sig", "key_ops": []string{"sign", "verify"}})}
	}
	secret := strings.Repeat("0123456789abcdef", 4)
	long := strings.Repeat(secret, 4) // longer than the hash's block
	return map[string]string{"bytes": secret, "bytes and a line break": secret + "\n", "bytes and another one": secret +
		"\r\n", "a JWK": `{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(secret)) + `"}`, "long": long,
		"braces": "{" + secret}
}

// signed makes a signature by every way that k has.
func signed(t testing.TB, k *jose.PrivateKey, text string) [][]byte {
	t.Helper()
	var signatures [][]byte
	if s := k.Signing(text); s.Key != nil {
		made, err := proxycrypto.Sign(s)
		if err != nil {
			t.Fatalf("the proxy cannot sign: %v", err)
		}
		signature, err := k.Finish(made)
		if err != nil {
			t.Fatal(err)
		}
		signatures = append(signatures, signature)
	} else if k.ByProxy() {
		t.Fatal("no key for the proxy")
	}
	if k.ByProxy() {
		return signatures
	}
	salt := make([]byte, k.SaltSize())
	_, _ = rand.Read(salt)
	signature, err := k.Sign(text, salt)
	if err != nil {
		t.Fatal(err)
	}
	return append(signatures, signature)
}

func verifiedBy(t testing.TB, key *jose.Key, a jose.Algorithm, text string, signature []byte) bool {
	t.Helper()
	jws := jose.Signed(text, signature)
	if !key.Fits(a) {
		t.Fatal("the public half does not fit the algorithm")
	}
	if !a.ByProxy() {
		return jws.Verify(a, key)
	}
	v, err := jws.Verification(a, key)
	if err != nil {
		return false
	}
	good, err := proxycrypto.Verify(v)
	if err != nil {
		t.Fatal(err)
	}
	return good
}

// What is signed here, Go's own crypto, go-jose and our own verifier take, from every form of key.
func TestSign(t *testing.T) {
	for _, alg := range jose.AlgorithmNames() {
		a := algorithm(alg)
		for form, text := range forms(alg) {
			t.Run(alg+" "+form, func(t *testing.T) {
				k, err := jose.ParsePrivateKey(text, kid, a)
				if err != nil {
					t.Fatal(err)
				}
				if k.ID() != kid || k.Algorithm() != a || k.ByProxy() != (alg[:2] == "ES") || k.Public().ID != kid ||
					(k.PublicJWK() == "") != a.Symmetric() {
					t.Fatalf("%v %v %v %v %v", k.ID(), k.Algorithm(), k.ByProxy(), k.Public().ID, k.PublicJWK())
				}
				for _, payload := range []string{"", "{}", strings.Repeat("x", 1000)} {
					input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." +
						base64.RawURLEncoding.EncodeToString([]byte(payload))
					for _, signature := range signed(t, k, input) {
						if !verifiedBy(t, k.Public(), a, input, signature) {
							t.Error("our own verifier refuses it")
						}
						if verifiedBy(t, k.Public(), a, input+"A", signature) {
							t.Error("it stands for another text, too")
						}
						token, err := gojose.ParseSignedCompact(input+"."+
							base64.RawURLEncoding.EncodeToString(signature), []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
						if err != nil {
							t.Fatal(err)
						}
						got, err := token.Verify(publicKey(t, k, text))
						if err != nil || string(got) != payload {
							t.Errorf("go-jose: %v", err)
						}
						if !goVerifies(publicKey(t, k, text), alg, input, signature) {
							t.Error("Go's crypto refuses it")
						}
					}
				}
			})
		}
	}
}

// publicKey is what others have: the published JWK as go-jose reads it, or the secret as the test's form spells it.
func publicKey(t testing.TB, k *jose.PrivateKey, text string) any {
	t.Helper()
	if !k.Algorithm().Symmetric() {
		var jwk gojose.JSONWebKey
		if err := json.Unmarshal([]byte(k.PublicJWK()), &jwk); err != nil || !jwk.IsPublic() || jwk.KeyID != kid ||
			jwk.Algorithm != k.Algorithm().String() || jwk.Use != "sig" {
			t.Fatalf("%s: %v", k.PublicJWK(), err)
		}
		return jwk.Key
	}
	if secret := gjson.Get(text, "k").Str; secret != "" {
		return must(base64.RawURLEncoding.DecodeString(secret))
	}
	return []byte(strings.TrimRight(text, "\r\n"))
}

func goVerifies(key any, alg, text string, signature []byte) bool {
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512,
		"DSA": crypto.SHA512}[alg[2:]]
	sum := h.New()
	sum.Write([]byte(text))
	switch key := key.(type) {
	case *rsa.PublicKey:
		if alg[:2] == "PS" {
			return rsa.VerifyPSS(key, h, sum.Sum(nil), signature,
				&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, h, sum.Sum(nil), signature) == nil
	case *ecdsa.PublicKey:
		n := len(signature) / 2
		return n == (key.Params().BitSize+7)/8 &&
			ecdsa.Verify(key, sum.Sum(nil), new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, []byte(text), signature)
	case []byte:
		mac := hmac.New(map[string]func() hash.Hash{"256": sha256.New, "384": sha512.New384, "512": sha512.New}[alg[2:]], key)
		mac.Write([]byte(text))
		return hmac.Equal(mac.Sum(nil), signature)
	}
	return false
}

// What is published has these members, whatever form the key came in, and nothing private.
func TestPublicJWK(t *testing.T) {
	want := map[string]string{"RS": "alg e kid kty n use", "PS": "alg e kid kty n use", "ES": "alg crv kid kty use x y",
		"Ed": "alg crv kid kty use x"}
	for _, alg := range jose.AlgorithmNames() {
		if algorithm(alg).Symmetric() {
			continue
		}
		for form, text := range forms(alg) {
			k := must(jose.ParsePrivateKey(text, kid, algorithm(alg)))
			var members map[string]string
			if err := json.Unmarshal([]byte(k.PublicJWK()), &members); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(members)), " "); got != want[alg[:2]] {
				t.Errorf("%s %s publishes %s", alg, form, got)
			}
			again, key, err := jose.ParsePublicJWK(
				gjson.Parse(edit(k.PublicJWK(), map[string]any{"kid": nil, "alg": nil, "use": nil, "x5t": "AA"})), kid,
				algorithm(alg))
			if err != nil || again != k.PublicJWK() || key.ID != kid {
				t.Errorf("%s %s: configured as a public key: %s, %v; want %s", alg, form, again, err, k.PublicJWK())
			}
			if signature := signed(t, k, "text")[0]; !verifiedBy(t, key, algorithm(alg), "text", signature) {
				t.Errorf("%s %s: the configured public key does not verify", alg, form)
			}
		}
	}
}

func TestParsePublicJWKRefuses(t *testing.T) {
	public := string(must(json.Marshal(gojose.JSONWebKey{Key: p256Key().Public(), KeyID: "k", Algorithm: "ES256"})))
	for _, c := range []struct {
		name, jwk, kid, alg string
		want                error
	}{
		{"a good one", public, "k", "ES256", nil},
		{"private", privateJWK(p256Key()), "k", "ES256", jose.ErrKeyPrivate},
		{"a secret", `{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}`, "k", "HS256", jose.ErrKeyPrivate},
		{"another kid", public, "other", "ES256", jose.ErrPrivateKeyID},
		{"no kid", public, "", "ES256", jose.ErrKeyID},
		{"a kid that is not UTF-8", edit(public, map[string]any{"kid": nil}), "\xff", "ES256", jose.ErrKeyID},
		{"a kid with a line break", edit(public, map[string]any{"kid": nil}), "a\nb", "ES256", jose.ErrKeyID},
		{"a kid of 257 bytes", edit(public, map[string]any{"kid": nil}), strings.Repeat("k", 257), "ES256", jose.ErrKeyID},
		{"another algorithm", edit(public, map[string]any{"alg": nil}), "k", "ES384", jose.ErrKeyAlg},
		{"another alg", edit(public, map[string]any{"alg": "ES384"}), "k", "ES256", jose.ErrKeyAlg},
		{"for encryption", edit(public, map[string]any{"use": "enc"}), "k", "ES256", jose.ErrKeyUse},
		{"no object", `"x"`, "k", "ES256", jose.ErrKeyType},
		{"no point of the curve", edit(public, map[string]any{"x": strings.Repeat("A", 43)}), "k", "ES256", jose.ErrKeyPoint},
	} {
		t.Run(c.name, func(t *testing.T) {
			if text, key, err := jose.ParsePublicJWK(gjson.Parse(c.jwk), c.kid, algorithm(c.alg)); !errors.Is(err,
				c.want) || (err == nil) != (c.want == nil) || (text == "") != (err != nil) || (key == nil) != (err != nil) {
				t.Fatalf("%q, %v; want %v", text, err, c.want)
			}
		})
	}
	for _, a := range []jose.Algorithm{0, jose.HS512 + 1, 255} {
		if _, _, err := jose.ParsePublicJWK(gjson.Parse(public), "k", a); !errors.Is(err, jose.ErrKeyAlg) {
			t.Errorf("algorithm %d: %v", uint8(a), err)
		}
	}
}

// seq, octets and so on are DER by Go's own encoder.
func seq(parts ...[]byte) []byte { return tlv(asn1.ClassUniversal, asn1.TagSequence, true, parts...) }
func octets(b []byte) []byte     { return tlv(asn1.ClassUniversal, asn1.TagOctetString, false, b) }
func context(n int, compound bool, parts ...[]byte) []byte {
	return tlv(asn1.ClassContextSpecific, n, compound, parts...)
}
func tlv(class, tag int, compound bool, parts ...[]byte) []byte {
	return must(asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: compound, Bytes: slices.Concat(parts...)}))
}
func integer(n *big.Int) []byte { return must(asn1.Marshal(n)) }
func small(n int64) []byte      { return integer(big.NewInt(n)) }
func bitString(b []byte) []byte {
	return must(asn1.Marshal(asn1.BitString{Bytes: b, BitLength: 8 * len(b)}))
}
func oid(n ...int) []byte { return must(asn1.Marshal(asn1.ObjectIdentifier(n))) }

var (
	idRSA, idPSS   = oid(1, 2, 840, 113549, 1, 1, 1), oid(1, 2, 840, 113549, 1, 1, 10)
	idEC           = oid(1, 2, 840, 10045, 2, 1)
	idP256, idP384 = oid(1, 2, 840, 10045, 3, 1, 7), oid(1, 3, 132, 0, 34)
	idEd25519      = oid(1, 3, 101, 112)
	idX25519       = oid(1, 3, 101, 110)
	null           = []byte{5, 0}
)

func pkcs1(k *rsa.PrivateKey, version int64, change func(n []*big.Int)) []byte {
	n := []*big.Int{k.N, big.NewInt(int64(k.E)), k.D, k.Primes[0], k.Primes[1], k.Precomputed.Dp, k.Precomputed.Dq,
		k.Precomputed.Qinv}
	for i := range n {
		n[i] = new(big.Int).Set(n[i])
	}
	if change != nil {
		change(n)
	}
	parts := [][]byte{small(version)}
	for _, v := range n {
		parts = append(parts, integer(v))
	}
	return seq(parts...)
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	key := p256Key()
	d := key.D.FillBytes(make([]byte, 32))
	point := must(key.PublicKey.ECDH()).Bytes()
	other := must(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).PublicKey.ECDH()).Bytes()
	order := elliptic.P256().Params().N
	ec8 := func(sec1 []byte, rest ...[]byte) []byte {
		return seq(append([][]byte{small(int64(min(len(rest), 1))), seq(idEC, idP256), octets(sec1)}, rest...)...)
	}
	sec1 := func(d, point []byte) []byte {
		return seq(small(1), octets(d), context(0, true, idP256), context(1, true, bitString(point)))
	}
	bare := seq(small(1), octets(d))
	publicBits := func(point []byte) []byte { return context(1, false, append([]byte{0}, point...)) }
	good := must(x509.MarshalPKCS8PrivateKey(key))
	seed := edKey().Seed()
	edPublic := []byte(edKey().Public().(ed25519.PublicKey))
	ed8 := func(version int64, rest ...[]byte) []byte {
		return seq(append([][]byte{small(version), seq(idEd25519), octets(octets(seed))}, rest...)...)
	}
	rsa1 := func(change func(n []*big.Int)) string { return block("RSA PRIVATE KEY", pkcs1(rsaKey(), 0, change)) }
	plus := func(i int, v int64) func(n []*big.Int) { return func(n []*big.Int) { n[i].Add(n[i], big.NewInt(v)) } }
	half := func(i, prime int) func(n []*big.Int) { // by another multiple of p-1: the same result, out of its range
		return func(n []*big.Int) { n[i].Add(n[i], n[prime]).Sub(n[i], big.NewInt(1)) }
	}
	ecJWK, rsaJWK, edJWK := privateJWK(key), privateJWK(rsaKey()), privateJWK(edKey())
	b64 := base64.RawURLEncoding.EncodeToString
	oct := func(n int) string { return `{"kty":"oct","k":"` + b64(make([]byte, n)) + `"}` }
	lines := strings.SplitAfter(pkcs8(key), "\n")
	for _, c := range []struct {
		name, text, alg string
		want            error
	}{
		// PEM
		{"nothing", "", "ES256", jose.ErrPEM},
		{"text only", "hello\n", "ES256", jose.ErrPEM},
		{"the line breaks are gone", strings.ReplaceAll(pkcs8(key), "\n", " "), "ES256", jose.ErrPEM},
		{"no end", strings.Join(lines[:len(lines)-2], ""), "ES256", jose.ErrPEM},
		{"the end of another block", strings.Replace(pkcs8(key), "END PRIVATE", "END EC PRIVATE", 1), "ES256", jose.ErrPEM},
		{"no beginning", strings.Join(lines[1:], ""), "ES256", jose.ErrPEM},
		{"text before the beginning on its line", "x" + pkcs8(key), "ES256", jose.ErrPEM},
		{"an end without its beginning", pkcs8(key) + "-----END PRIVATE KEY-----\n", "ES256", jose.ErrPEM},
		{"a second block without an end", pkcs8(key) + lines[0], "ES256", jose.ErrPEM},
		{"a block within", lines[0] + pkcs8(key), "ES256", jose.ErrPEM},
		{"no base64", strings.Replace(pkcs8(key), "M", "*", 1), "ES256", jose.ErrPEM},
		{"base64 of another alphabet", "-----BEGIN PRIVATE KEY-----\n__--\n-----END PRIVATE KEY-----\n", "ES256",
			jose.ErrPEM},
		{"bits behind the end of the base64", "-----BEGIN PRIVATE KEY-----\nMAB=\n-----END PRIVATE KEY-----\n", "ES256",
			jose.ErrPEM},
		{"a header of RFC 1421", strings.Replace(pkcs8(key), "-----\n", "-----\nComment: x\n\n", 1), "ES256", jose.ErrPEM},
		{"two keys", pkcs8(key) + pkcs8(key), "ES256", jose.ErrPEMBlocks},
		{"two keys of two kinds", pkcs8(key) + block("EC PRIVATE KEY", sec1(d, point)), "ES256", jose.ErrPEMBlocks},
		{"parameters only", block("EC PARAMETERS", idP256), "ES256", jose.ErrPEM},
		{"encrypted PKCS#8", block("ENCRYPTED PRIVATE KEY", good), "ES256", jose.ErrEncrypted},
		{"encrypted as openssl did it before",
			"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC " +
				"PRIVATE KEY-----\n", "ES256", jose.ErrEncrypted},
		{"a public key", block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))), "ES256", jose.ErrNotSecret},
		{"a public RSA key", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), "RS256",
			jose.ErrNotSecret},
		{"a certificate", block("CERTIFICATE", good), "ES256", jose.ErrNotSecret},
		{"a key and its certificate", pkcs8(key) + block("CERTIFICATE", good), "ES256", jose.ErrNotSecret},
		{"a key of OpenSSH", block("OPENSSH PRIVATE KEY", good), "ES256", jose.ErrPEM},
		{"an unknown block beside the key", pkcs8(key) + block("X509 CRL", good), "ES256", jose.ErrPEM},
		{"an empty block", block("PRIVATE KEY", nil), "ES256", jose.ErrPrivateForm},
		// PKCS#8
		{"a good PKCS#8 by hand", block("PRIVATE KEY", ec8(sec1(d, point))), "ES256", nil},
		{"the public key beside the private one", block("PRIVATE KEY", ec8(bare, publicBits(point))), "ES256", nil},
		{"the public key twice", block("PRIVATE KEY", ec8(sec1(d, point), publicBits(point))), "ES256", nil},
		{"unknown attributes", block("PRIVATE KEY",
			seq(small(0), seq(idEC, idP256), octets(sec1(d, point)), context(0, true, seq(idX25519)))), "ES256", nil},
		{"two public keys", block("PRIVATE KEY", ec8(sec1(d, point), publicBits(other))), "ES256", jose.ErrPrivatePublic},
		{"attributes behind the public key", block("PRIVATE KEY", ec8(bare, publicBits(point), context(0, true))),
			"ES256", jose.ErrPrivateForm},
		{"something else behind", block("PRIVATE KEY", ec8(sec1(d, point), context(2, true))), "ES256", jose.ErrPrivateForm},
		{"a byte behind", block("PRIVATE KEY", append(slices.Clone(good), 0)), "ES256", jose.ErrPrivateForm},
		{"a byte behind the key inside", block("PRIVATE KEY", ec8(append(sec1(d, point), 0))), "ES256", jose.ErrPrivateForm},
		{"a public key in version 1",
			block("PRIVATE KEY", seq(small(0), seq(idEC, idP256), octets(bare), publicBits(point))), "ES256",
			jose.ErrPrivateForm},
		{"version 2 without a public key",
			block("PRIVATE KEY", seq(small(1), seq(idEC, idP256), octets(sec1(d, point)))), "ES256", jose.ErrPrivateForm},
		{"version 3", block("PRIVATE KEY", seq(small(2), seq(idEC, idP256), octets(sec1(d, point)))), "ES256",
			jose.ErrPrivateForm},
		{"version 257 with a public key",
			block("PRIVATE KEY", seq(small(256), seq(idEC, idP256), octets(bare), publicBits(point))), "ES256",
			jose.ErrPrivateForm},
		{"version 257", block("PRIVATE KEY", seq(small(256), seq(idEC, idP256), octets(sec1(d, point)))), "ES256",
			jose.ErrPrivateForm},
		{"cut off", block("PRIVATE KEY", good[:len(good)-1]), "ES256", jose.ErrPrivateForm},
		{"a length in two bytes that one could hold",
			block("PRIVATE KEY", append([]byte{0x30, 0x82, 0, good[2]}, good[3:]...)), "ES256", jose.ErrPrivateForm},
		{"a length in one byte more than needed",
			block("PRIVATE KEY", seq([]byte{2, 0x81, 1, 0}, seq(idEC, idP256), octets(sec1(d, point)))), "ES256",
			jose.ErrPrivateForm},
		{"an indefinite length", block("PRIVATE KEY", append(append([]byte{0x30, 0x80}, good[3:]...), 0, 0)), "ES256",
			jose.ErrPrivateForm},
		{"a length of four bytes", block("PRIVATE KEY", append([]byte{0x30, 0x84, 0, 0, 0, good[2]}, good[3:]...)),
			"ES256", jose.ErrPrivateForm},
		{"a version with a zero in front",
			block("PRIVATE KEY", seq([]byte{2, 2, 0, 0}, seq(idEC, idP256), octets(sec1(d, point)))), "ES256",
			jose.ErrPrivateForm},
		{"an empty version", block("PRIVATE KEY", seq([]byte{2, 0}, seq(idEC, idP256), octets(sec1(d, point)))),
			"ES256", jose.ErrPrivateForm},
		{"not whole bytes of public key",
			block("PRIVATE KEY", ec8(bare, context(1, false, append([]byte{1}, point...)))), "ES256", jose.ErrPrivateForm},
		// kinds
		{"another curve", pkcs8(p384Key()), "ES256", jose.ErrPrivateKind},
		{"another curve in SEC 1", forms("ES384")["SEC 1"], "ES256", jose.ErrPrivateKind},
		{"a JWK of another curve", privateJWK(p384Key()), "ES256", jose.ErrPrivateKind},
		{"an RSA key for ECDSA", pkcs8(rsaKey()), "ES256", jose.ErrPrivateKind},
		{"an RSA key of PKCS#1 for ECDSA", rsa1(nil), "ES256", jose.ErrPrivateKind},
		{"an EC key for RSA", pkcs8(key), "PS256", jose.ErrPrivateKind},
		{"an EC key of SEC 1 for RSA", block("EC PRIVATE KEY", sec1(d, point)), "RS256", jose.ErrPrivateKind},
		{"SEC 1 without a curve for EdDSA", block("EC PRIVATE KEY", seq(small(1), octets(seed), context(0, true))),
			"EdDSA", jose.ErrPrivateKind},
		{"an EC key for EdDSA", pkcs8(key), "EdDSA", jose.ErrPrivateKind},
		{"an RSA JWK for ECDSA", rsaJWK, "ES256", jose.ErrPrivateKind},
		{"a secret for ECDSA", oct(64), "ES256", jose.ErrPrivateKind},
		{"an RSA JWK as a secret", rsaJWK, "HS256", jose.ErrPrivateKind},
		{"a key for agreement", block("PRIVATE KEY", seq(small(0), seq(idX25519), octets(octets(seed)))), "EdDSA",
			jose.ErrPrivateKind},
		{"a key for PSS only", block("PRIVATE KEY", seq(small(0), seq(idPSS), octets(pkcs1(rsaKey(), 0, nil)))),
			"PS256", jose.ErrPrivateKind},
		{"RSA without the NULL", block("PRIVATE KEY", seq(small(0), seq(idRSA), octets(pkcs1(rsaKey(), 0, nil)))),
			"RS256", jose.ErrPrivateKind},
		{"Ed25519 with a NULL", block("PRIVATE KEY", seq(small(0), seq(idEd25519, null), octets(octets(seed)))),
			"EdDSA", jose.ErrPrivateKind},
		// SEC 1
		{"a good SEC 1 by hand", block("EC PRIVATE KEY", sec1(d, point)), "ES256", nil},
		{"no public point", block("EC PRIVATE KEY", seq(small(1), octets(d), context(0, true, idP256))), "ES256",
			jose.ErrPrivateLacks},
		{"no public point in PKCS#8", block("PRIVATE KEY", ec8(bare)), "ES256", jose.ErrPrivateLacks},
		{"no curve", block("EC PRIVATE KEY", seq(small(1), octets(d), context(1, true, bitString(point)))), "ES256",
			jose.ErrPrivateKind},
		{"the curve within is another",
			block("PRIVATE KEY", ec8(seq(small(1), octets(d), context(0, true, idP384),
				context(1, true, bitString(point))))), "ES256", jose.ErrPrivateKind},
		{"SEC 1 in version 0", block("EC PRIVATE KEY",
			seq(small(0), octets(d), context(0, true, idP256), context(1, true, bitString(point)))), "ES256",
			jose.ErrPrivateForm},
		{"something behind the point",
			block("EC PRIVATE KEY", seq(small(1), octets(d), context(0, true, idP256),
				context(1, true, bitString(point)), null)), "ES256", jose.ErrPrivateForm},
		{"something behind the point's bits",
			block("EC PRIVATE KEY", seq(small(1), octets(d), context(0, true, idP256),
				context(1, true, bitString(point), null))), "ES256", jose.ErrPrivateForm},
		{"a compressed point", block("EC PRIVATE KEY",
			sec1(d, elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y))), "ES256", jose.ErrKeyPoint},
		{"another form of point in the full length", block("EC PRIVATE KEY", sec1(d, append([]byte{6}, point[1:]...))),
			"ES256", jose.ErrKeyPoint},
		{"a point off the curve", block("EC PRIVATE KEY", sec1(d, append(slices.Clone(point[:64]), point[64]^1))),
			"ES256", jose.ErrKeyPoint},
		{"a private number without its zeros", block("EC PRIVATE KEY", sec1(d[1:], point)), "ES256", jose.ErrPrivateScalar},
		{"a private number with another zero", block("EC PRIVATE KEY", sec1(append([]byte{0}, d...), point)), "ES256",
			jose.ErrPrivateScalar},
		{"a private number that is zero", block("EC PRIVATE KEY", sec1(make([]byte, 32), point)), "ES256",
			jose.ErrPrivateScalar},
		{"a private number that is the order", block("EC PRIVATE KEY", sec1(order.Bytes(), point)), "ES256",
			jose.ErrPrivateScalar},
		// whose point it is, the proxy tells
		{"a private number one below the order",
			block("EC PRIVATE KEY", sec1(new(big.Int).Sub(order, big.NewInt(1)).Bytes(), point)), "ES256", nil},
		{"a private number that is one", block("EC PRIVATE KEY", sec1(append(make([]byte, 31), 1), point)), "ES256", nil},
		// Ed25519
		{"Ed25519 with its public key", block("PRIVATE KEY", ed8(1, publicBits(edPublic))), "EdDSA", nil},
		{"Ed25519 with another public key", block("PRIVATE KEY", ed8(1, publicBits(seed))), "EdDSA", jose.ErrPrivatePublic},
		{"Ed25519 with an empty public key", block("PRIVATE KEY", ed8(1, publicBits(nil))), "EdDSA", jose.ErrPrivatePublic},
		{"Ed25519 with a short seed", block("PRIVATE KEY", seq(small(0), seq(idEd25519), octets(octets(seed[1:])))),
			"EdDSA", jose.ErrPrivateScalar},
		{"Ed25519 without the inner string", block("PRIVATE KEY", seq(small(0), seq(idEd25519), octets(seed))), "EdDSA",
			jose.ErrPrivateForm},
		// RSA
		{"a good RSA key by hand", rsa1(nil), "RS256", nil},
		{"three primes", block("RSA PRIVATE KEY", pkcs1(rsaKey(), 1, nil)), "RS256", jose.ErrPrivatePrimes},
		{"RSA in version 2", block("RSA PRIVATE KEY", pkcs1(rsaKey(), 2, nil)), "RS256", jose.ErrPrivateForm},
		{"a third prime without the version", block("RSA PRIVATE KEY", seq(pkcs1(rsaKey(), 0, nil)[4:], null)), "RS256",
			jose.ErrPrivateForm},
		{"a number below zero", rsa1(func(n []*big.Int) { n[2].Neg(n[2]) }), "RS256", jose.ErrPrivateForm},
		{"1024 bits", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weakRSA())), "RS256", jose.ErrPrivateModulus},
		{"4104 bits", rsa1(func(n []*big.Int) { n[0].SetBit(n[0], 4103, 1) }), "RS256", jose.ErrPrivateModulus},
		{"n of zero", rsa1(func(n []*big.Int) { n[0].SetInt64(0) }), "RS256", jose.ErrPrivateModulus},
		{"an even n", rsa1(plus(0, 1)), "RS256", jose.ErrKeyModulus},
		{"another n", rsa1(plus(0, 2)), "RS256", jose.ErrPrivateParts},
		{"e = 1", rsa1(func(n []*big.Int) { n[1].SetInt64(1) }), "RS256", jose.ErrKeyPublic},
		{"another e", rsa1(plus(1, 2)), "RS256", jose.ErrPrivateParts},
		{"another d", rsa1(plus(2, 2)), "RS256", jose.ErrPrivateParts},
		{"exponents that are right for a quarter of all messages, among them the one signed as a trial",
			block("RSA PRIVATE KEY", pkcs1(quarterRSA(), 0, nil)), "RS256", jose.ErrPrivateParts},
		{"d not below n", rsa1(func(n []*big.Int) {
			lambda := new(big.Int).Mul(new(big.Int).Sub(n[3], big.NewInt(1)), new(big.Int).Sub(n[4], big.NewInt(1)))
			for n[2].Cmp(n[0]) < 0 {
				n[2].Add(n[2], lambda)
			}
		}), "RS256", jose.ErrPrivateParts},
		{"another p", rsa1(plus(3, 2)), "RS256", jose.ErrPrivateParts},
		{"an even p whose other parts are right",
			rsa1(func(n []*big.Int) { n[3].Sub(n[3], big.NewInt(1)); n[7].ModInverse(n[4], n[3]) }), "RS256",
			jose.ErrPrivateParts},
		{"p of zero", rsa1(func(n []*big.Int) { n[3].SetInt64(0) }), "RS256", jose.ErrPrivateParts},
		{"p = n, q = 1", rsa1(func(n []*big.Int) { n[3].Set(n[0]); n[4].SetInt64(1) }), "RS256", jose.ErrPrivateParts},
		{"p and q of nothing but length", rsa1(func(n []*big.Int) { n[3].Lsh(n[3], 4096); n[4].Lsh(n[4], 4096) }),
			"RS256", jose.ErrPrivateParts},
		{"p and q exchanged", rsa1(func(n []*big.Int) { n[3], n[4] = n[4], n[3] }), "RS256", jose.ErrPrivateParts},
		{"another dp", rsa1(plus(5, 2)), "RS256", jose.ErrPrivateParts},
		{"dp not below p-1", rsa1(half(5, 3)), "RS256", jose.ErrPrivateParts},
		{"another dq", rsa1(plus(6, 2)), "RS256", jose.ErrPrivateParts},
		{"dq not below q-1", rsa1(half(6, 4)), "RS256", jose.ErrPrivateParts},
		{"another qi", rsa1(plus(7, 2)), "RS256", jose.ErrPrivateParts},
		{"qi not below p", rsa1(func(n []*big.Int) { n[7].Add(n[7], n[3]) }), "RS256", jose.ErrPrivateParts},
		{"primes of different lengths", block("RSA PRIVATE KEY", pkcs1(lopsidedRSA(), 0, nil)), "RS256",
			jose.ErrPrivateParts},
		{"a factor that is no prime", block("RSA PRIVATE KEY", pkcs1(compositeRSA(), 0, nil)), "RS256", jose.ErrPrivateParts},
		// JWK
		{"a JWK with all", edit(ecJWK,
			map[string]any{"kid": kid, "alg": "ES256", "use": "sig", "key_ops": []string{"sign"}, "x5t": "AA"}), "ES256", nil},
		{"a JWK between blanks", "\n " + ecJWK + "\r\n", "ES256", nil},
		{"no JSON", ecJWK[:len(ecJWK)-2] + "}", "ES256", jose.ErrPrivateForm},
		{"a member twice", `{"kty":"EC",` + ecJWK[1:], "ES256", jose.ErrPrivateForm},
		{"another kid", edit(ecJWK, map[string]any{"kid": "other"}), "ES256", jose.ErrPrivateKeyID},
		{"a kid that is a number", edit(ecJWK, map[string]any{"kid": 1}), "ES256", jose.ErrPrivateKeyID},
		{"another alg", edit(rsaJWK, map[string]any{"alg": "PS256"}), "RS256", jose.ErrKeyAlg},
		{"an alg that is a list", edit(ecJWK, map[string]any{"alg": []string{"ES256"}}), "ES256", jose.ErrKeyAlg},
		{"for encryption", edit(ecJWK, map[string]any{"use": "enc"}), "ES256", jose.ErrKeyUse},
		{"for verifying only", edit(ecJWK, map[string]any{"key_ops": []string{"verify"}}), "ES256", jose.ErrKeyUse},
		{"key_ops is no list", edit(ecJWK, map[string]any{"key_ops": "sign"}), "ES256", jose.ErrKeyUse},
		{"a public JWK", edit(ecJWK, map[string]any{"d": nil}), "ES256", jose.ErrNotSecret},
		{"a public RSA JWK", edit(rsaJWK,
			map[string]any{"d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}), "RS256", jose.ErrNotSecret},
		{"a JWK without its point", edit(ecJWK, map[string]any{"x": nil, "y": nil}), "ES256", jose.ErrPrivateLacks},
		{"a JWK without y", edit(ecJWK, map[string]any{"y": nil}), "ES256", jose.ErrKeyMember},
		{"d is no base64url", edit(ecJWK, map[string]any{"d": "a+b="}), "ES256", jose.ErrKeyMember},
		{"d is a number", edit(ecJWK, map[string]any{"d": 1}), "ES256", jose.ErrKeyMember},
		{"a short d", edit(ecJWK, map[string]any{"d": "AQ"}), "ES256", jose.ErrPrivateScalar},
		{"a JWK without its primes", edit(rsaJWK, map[string]any{"p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}),
			"RS256", jose.ErrPrivatePrimes},
		{"a JWK without qi", edit(rsaJWK, map[string]any{"qi": nil}), "RS256", jose.ErrPrivatePrimes},
		{"a JWK with other primes", edit(rsaJWK, map[string]any{"oth": []any{}}), "RS256", jose.ErrPrivatePrimes},
		{"p with a zero in front",
			edit(rsaJWK, map[string]any{"p": b64(append([]byte{0}, rsaKey().Primes[0].Bytes()...))}), "RS256",
			jose.ErrKeyMember},
		{"n with a zero in front", edit(rsaJWK, map[string]any{"n": b64(append([]byte{0}, rsaKey().N.Bytes()...))}),
			"RS256", jose.ErrKeyModulus},
		{"Ed25519 without x", edit(edJWK, map[string]any{"x": nil}), "EdDSA", jose.ErrKeyMember},
		{"Ed25519 with another x", edit(edJWK, map[string]any{"x": b64(seed)}), "EdDSA", jose.ErrPrivatePublic},
		{"Ed25519 with a long seed", edit(edJWK, map[string]any{"d": b64(append(seed[:32:32], 0))}), "EdDSA",
			jose.ErrPrivateScalar},
		// secrets
		{"a secret of 31 bytes", strings.Repeat("s", 31), "HS256", jose.ErrPrivateSecret},
		{"a secret of 32 bytes", strings.Repeat("s", 32), "HS256", nil},
		{"a secret of 31 bytes and a line break", strings.Repeat("s", 31) + "\n", "HS256", jose.ErrPrivateSecret},
		// one of them is the secret's
		{"a secret of 31 bytes and two line breaks", strings.Repeat("s", 31) + "\n\n", "HS256", nil},
		{"a secret of 47 bytes", strings.Repeat("s", 47), "HS384", jose.ErrPrivateSecret},
		{"a secret of 63 bytes", strings.Repeat("s", 63), "HS512", jose.ErrPrivateSecret},
		{"a JWK of 31 bytes", oct(31), "HS256", jose.ErrPrivateSecret},
		{"a JWK of 63 bytes", oct(63), "HS512", jose.ErrPrivateSecret},
		{"a JWK without k", `{"kty":"oct"}`, "HS256", jose.ErrKeyMember},
		{"a public key as a secret", block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key.Public()))), "HS256",
			jose.ErrPrivateSecret},
		{"braces that are no JSON", "{" + strings.Repeat("s", 64) + "}", "HS256", jose.ErrPrivateForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := jose.ParsePrivateKey(c.text, kid, algorithm(c.alg))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (k == nil) != (err != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
	for _, id := range []string{"", strings.Repeat("k", 257), "\xff", "a\x00b", "a\x7f"} {
		if _, err := jose.ParsePrivateKey(pkcs8(key), id, jose.ES256); !errors.Is(err, jose.ErrKeyID) {
			t.Errorf("kid %q: %v", id, err)
		}
	}
	for _, a := range []jose.Algorithm{0, jose.HS512 + 1, 255} {
		if _, err := jose.ParsePrivateKey(pkcs8(key), kid, a); !errors.Is(err, jose.ErrKeyAlg) {
			t.Errorf("algorithm %d: %v", uint8(a), err)
		}
	}
}

var weakRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })

// fromFactors makes what would be an RSA key if p and q were what they should be.
func fromFactors(p, q *big.Int) *rsa.PrivateKey {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	d := new(big.Int).ModInverse(big.NewInt(65537), new(big.Int).Mul(p1, q1))
	if d == nil {
		return nil
	}
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q},
		Precomputed: rsa.PrecomputedValues{Dp: new(big.Int).Mod(d, p1), Dq: new(big.Int).Mod(d, q1),
			Qinv: new(big.Int).ModInverse(q, p)}}
}

func lopsidedRSA() *rsa.PrivateKey {
	for {
		if k := fromFactors(must(rand.Prime(rand.Reader, 1048)), must(rand.Prime(rand.Reader, 1000))); k != nil &&
			k.N.BitLen() == 2048 {
			return k
		}
	}
}

func compositeRSA() *rsa.PrivateKey {
	for {
		p := new(big.Int).Mul(must(rand.Prime(rand.Reader, 512)), must(rand.Prime(rand.Reader, 512)))
		if k := fromFactors(p, must(rand.Prime(rand.Reader, 1024))); k != nil && k.N.BitLen() == 2048 &&
			k.Precomputed.Qinv != nil {
			return k
		}
	}
}

// quarterRSA is a key whose exponents are off by half the order of the group, which squares do not notice.
func quarterRSA() *rsa.PrivateKey {
	sum := sha256.Sum256(nil)
	info, _ := hex.DecodeString("003031300d060960864801650304020105000420" + hex.EncodeToString(sum[:])) // RFC 8017 §9.2
	trial := new(big.Int).SetBytes(append(append([]byte{1}, slices.Repeat([]byte{0xff}, 254-len(info))...), info...))
	prime := func() *big.Int {
		for {
			if p := must(rand.Prime(rand.Reader, 1024)); p.Bit(1) == 1 && big.Jacobi(trial, p) == 1 {
				return p
			}
		}
	}
	for {
		k := fromFactors(prime(), prime())
		if k == nil {
			continue
		}
		one := big.NewInt(1)
		p1, q1 := new(big.Int).Sub(k.Primes[0], one), new(big.Int).Sub(k.Primes[1], one)
		lambda := new(big.Int).Mul(p1, q1)
		lambda.Div(lambda, new(big.Int).GCD(nil, nil, p1, q1))
		k.D.Add(k.D.Mod(k.D, lambda), lambda.Rsh(lambda, 1))
		k.Precomputed.Dp.Mod(k.D, p1)
		k.Precomputed.Dq.Mod(k.D, q1)
		if c := new(big.Int).Exp(trial, k.D, k.N); c.Exp(c, big.NewInt(65537), k.N).Cmp(trial) == 0 {
			return k
		}
		panic("the trial does not pass")
	}
}

// A key with one bit turned over is refused, or is another key whose halves belong together: for EC
// as far as can be told without a signature.
func TestTurnedBits(t *testing.T) {
	for alg, der := range map[string][]byte{
		"ES256": must(x509.MarshalPKCS8PrivateKey(p256Key())), "EdDSA": must(x509.MarshalPKCS8PrivateKey(edKey())),
		"RS256": must(x509.MarshalPKCS8PrivateKey(rsaKey())),
	} {
		accepted := 0
		for i := range 8 * len(der) {
			if alg == "RS256" && i > 400 && i%29 != 0 { // the numbers are long, and all the same to the parser
				continue
			}
			turned := slices.Clone(der)
			turned[i/8] ^= 1 << (i % 8)
			k, err := jose.ParsePrivateKey(block("PRIVATE KEY", turned), kid, algorithm(alg))
			if err != nil {
				continue
			}
			accepted++
			if alg == "ES256" {
				// Only the private number can differ; then what the proxy makes does not verify, as the check at start finds.
				if whole := must(jose.ParsePrivateKey(pkcs8(p256Key()), kid, jose.ES256)); k.PublicJWK() != whole.PublicJWK() {
					t.Errorf("bit %d: another point is accepted", i)
				}
				if verifiedBy(t, k.Public(), jose.ES256, "text", signed(t, k, "text")[0]) {
					t.Errorf("bit %d does not count", i)
				}
				continue
			}
			if !verifiedBy(t, k.Public(), algorithm(alg), "text", signed(t, k, "text")[0]) {
				t.Errorf("%s, bit %d: the public half does not verify", alg, i)
			}
		}
		// An EC key's number, and the seed of Ed25519, may have any bits.
		if want := map[string]int{"ES256": 256, "EdDSA": 256, "RS256": 0}[alg]; accepted != want {
			t.Errorf("%s: %d of the keys with a bit turned over are accepted, want %d", alg, accepted, want)
		}
	}
}

// Nothing that prints a key shows what is secret about it.
func TestPrivateKeyDoesNotPrint(t *testing.T) {
	secrets := map[string][][]byte{
		"ES256": {p256Key().D.Bytes()}, "EdDSA": {edKey().Seed()}, "HS256": {[]byte(strings.Repeat("0123456789abcdef", 2))},
		"RS256": {rsaKey().D.Bytes(), rsaKey().Primes[0].Bytes(), rsaKey().Primes[1].Bytes()},
	}
	for alg, list := range secrets {
		text := forms(alg)["PKCS#8"]
		if text == "" {
			text = string(list[0])
		}
		k := must(jose.ParsePrivateKey(text, kid, algorithm(alg)))
		s := k.Signing("text")
		for _, v := range []any{k, *k, s, &s, struct{ K *jose.PrivateKey }{k}, struct{ k jose.PrivateKey }{*k}, []any{k, s}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				printed := fmt.Sprintf(verb, v)
				for _, secret := range list {
					part := secret[4:12] // printing may wrap, and some forms begin elsewhere
					for _, form := range []string{string(part), hex.EncodeToString(part),
						base64.StdEncoding.EncodeToString(part)[:8], base64.StdEncoding.EncodeToString(secret[5:13])[:8],
						base64.StdEncoding.EncodeToString(secret[6:14])[:8], strings.Trim(fmt.Sprint(part), "[]"),
						strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}")} {
						if strings.Contains(strings.ToLower(printed), strings.ToLower(form)) {
							t.Errorf("%s: %s of %T shows the key", alg, verb, v)
						}
					}
				}
			}
		}
		if fmt.Sprint(k) != alg+" "+kid || fmt.Sprintf("%#v", k) != alg+" "+kid {
			t.Errorf("it prints as %v, %#v", k, k)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	es := must(jose.ParsePrivateKey(pkcs8(p256Key()), kid, jose.ES256))
	if _, err := es.Sign("text", nil); err != jose.ErrProxySigns {
		t.Errorf("ECDSA here: %v", err)
	}
	ps := must(jose.ParsePrivateKey(pkcs8(rsaKey()), kid, jose.PS256))
	for _, n := range []int{0, 20, 31, 33} {
		if _, err := ps.Sign("text", make([]byte, n)); err != jose.ErrSalt {
			t.Errorf("a salt of %d bytes: %v", n, err)
		}
	}
	if ps.Signing("text").Key != nil {
		t.Error("the proxy is given a PSS key, and would sign something else with it")
	}
	rs := must(jose.ParsePrivateKey(pkcs8(rsaKey()), kid, jose.RS256))
	if _, err := rs.Sign("text", make([]byte, 32)); err != jose.ErrSalt {
		t.Errorf("a salt for RS256: %v", err)
	}
	for _, n := range []int{0, 255, 257} {
		if _, err := rs.Finish(make([]byte, n)); err != jose.ErrSignatureForm {
			t.Errorf("an RSA signature of %d bytes: %v", n, err)
		}
	}
	if _, err := ps.Finish(make([]byte, 256)); err != jose.ErrSignatureForm {
		t.Errorf("PSS by the proxy: %v", err)
	}
}

// ASN.1 signatures become raw ones of the curve's size, and nothing but DER does.
func TestFinish(t *testing.T) {
	k := must(jose.ParsePrivateKey(pkcs8(p256Key()), kid, jose.ES256))
	top := new(big.Int).Lsh(big.NewInt(0x80), 248)
	raw, err := k.Finish(seq(small(1), integer(top)))
	if want := strings.Repeat("00", 31) + "0180" + strings.Repeat("00", 31); err != nil ||
		hex.EncodeToString(raw) != want {
		t.Fatalf("%x, %v; want %s", raw, err, want)
	}
	good := seq(small(1), small(2))
	for name, signature := range map[string][]byte{
		"nothing": nil, "a byte behind": append(slices.Clone(good), 0), "a third number": seq(small(1), small(2),
			small(3)), "one number": seq(small(1)), "cut off": good[:len(good)-1],
		"r is zero": seq(small(0), small(1)), "s is zero": seq(small(1), small(0)), "s below zero": seq(small(1),
			small(-1)), "r too long": seq(integer(new(big.Int).Lsh(top, 1)), small(1)),
		"s too long": seq(small(1), integer(new(big.Int).Lsh(top, 1))), "a zero in front": seq([]byte{2, 2, 0, 1},
			small(1)), "a long length": append([]byte{0x30, 0x81}, good[1:]...), "raw": make([]byte, 64),
		"a set": append([]byte{0x31}, good[1:]...), "strings": seq(octets([]byte{1}), octets([]byte{1})),
	} {
		if raw, err := k.Finish(signature); err != jose.ErrSignatureForm || raw != nil {
			t.Errorf("%s: %x, %v", name, raw, err)
		}
	}
}

// Keys as openssl writes them, which this machine's may or may not do as this test expects: without
// one there is nothing to compare, and the stdlib's keys above have run.
func TestOpenSSLKeys(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("NOT RUN: there is no openssl here to write keys")
		return
	}
	openssl := func(stdin string, args ...string) string {
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("openssl %v: %v", args, err)
		}
		return string(out)
	}
	for _, c := range []struct{ alg, kind, option string }{
		{"ES256", "EC", "ec_paramgen_curve:P-256"}, {"ES384", "EC", "ec_paramgen_curve:P-384"}, {"ES512", "EC",
			"ec_paramgen_curve:P-521"}, {"RS256", "RSA", "rsa_keygen_bits:2048"}, {"EdDSA", "ED25519", ""},
	} {
		args := []string{"genpkey", "-algorithm", c.kind}
		if c.option != "" {
			args = append(args, "-pkeyopt", c.option)
		}
		key := openssl("", args...)
		texts := map[string]string{"genpkey": key, "pkey -text": openssl(key, "pkey", "-text")}
		if c.kind != "ED25519" {
			texts["traditional"] = openssl(key, "pkey", "-traditional")
		}
		if c.kind == "EC" {
			texts["ecparam -genkey"] = openssl("", "ecparam", "-genkey", "-name",
				map[string]string{"ES256": "prime256v1", "ES384": "secp384r1", "ES512": "secp521r1"}[c.alg])
		}
		for form, text := range texts {
			k, err := jose.ParsePrivateKey(text, kid, algorithm(c.alg))
			if err != nil {
				t.Errorf("%s %s: %v", c.alg, form, err)
				continue
			}
			for _, signature := range signed(t, k, "text") {
				if !verifiedBy(t, k.Public(), algorithm(c.alg), "text", signature) {
					t.Errorf("%s %s: the public half does not verify", c.alg, form)
				}
			}
		}
		refused := map[string]string{"encrypted": openssl(key, "pkey", "-aes128", "-passout", "pass:1234"),
			"public": openssl(key, "pkey", "-pubout")}
		for form, want := range map[string]error{"encrypted": jose.ErrEncrypted, "public": jose.ErrNotSecret} {
			if _, err := jose.ParsePrivateKey(refused[form], kid, algorithm(c.alg)); err != want {
				t.Errorf("%s %s: %v", c.alg, form, err)
			}
		}
	}
}

// RFC 8037 A.4, RFC 7520 §4.1 and §4.4, RFC 8410 §10.3: signatures and keys to the byte.
func TestSignRFCs(t *testing.T) {
	const frodo = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
	number := func(s string) *big.Int { return new(big.Int).SetBytes(must(base64.RawURLEncoding.DecodeString(s))) }
	bilbo := fromFactors(
		number("3Slxg_DwTXJcb6095RoXygQCAZ5RnAvZlno1yhHtnUex_fp7AZ_9nRaO7HX_-SFfGQeutao2TDjDAWU4Vupk8rw9JR0AzZ0N2fvuIAmr_WCsmGpeNqQnev1T7IyEsnh8UMt-n5CafhkikzhEsrmndH6LxOrvRJlsPp6Zv8bUq0k"),
		number("uKE2dh-cTf6ERF4k4e_jy78GfPYUIaUyoSSJuBzp3Cubk3OCqs6grT8bR_cu0Dm1MZwWmtdqDyI95HrUeq3MP15vMMON8lHTeZu2lmKvwqW7anV5UzhM1iZ7z4yMkuUwFWoBvyY898EXvRD-hdqRxHlSqAZ192zB3pVFJ0s7pFc"))
	for _, c := range []struct{ name, alg, key, jws string }{
		{"RFC 8037 A.4", "EdDSA",
			`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
		{"RFC 7520 §4.1", "RS256", block("RSA PRIVATE KEY", pkcs1(bilbo, 0, nil)),
			"eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + frodo +
				".MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"},
		{"RFC 7520 §4.4", "HS256",
			`{"kty":"oct","kid":"edge \"2026\"","use":"sig","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}`,
			"eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9." + frodo +
				".s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"},
	} {
		k, err := jose.ParsePrivateKey(c.key, kid, algorithm(c.alg))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		dot := strings.LastIndexByte(c.jws, '.')
		for _, signature := range signed(t, k, c.jws[:dot]) {
			if got := base64.RawURLEncoding.EncodeToString(signature); got != c.jws[dot+1:] {
				t.Errorf("%s: %s", c.name, got)
			}
		}
	}
	// RFC 8410 §10.3: version 1, and version 2 with an attribute and the public key.
	for _, body := range []string{"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
		"MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\noB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\nZ9w7lshQhqowtrbLDFw4rXAxZuE="} {
		k, err := jose.ParsePrivateKey("-----BEGIN PRIVATE KEY-----\n"+body+"\n-----END PRIVATE KEY-----\n", kid, jose.EdDSA)
		if err != nil {
			t.Errorf("RFC 8410 §10.3: %v", err)
			continue
		}
		if want := base64.RawURLEncoding.EncodeToString(
			must(base64.StdEncoding.DecodeString("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="))); gjson.Get(
			k.PublicJWK(), "x").Str != want {
			t.Errorf("RFC 8410 §10.3: %s, want x %s", k.PublicJWK(), want)
		}
	}
}

// Wycheproof's RSA signatures to be made, from PEM, PKCS#8 and JWK alike, and RFC 7515 A.1, to the byte.
func TestSignVectors(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PrivateKeyPem, PrivateKeyPkcs8, SHA string
			Tests                               []struct {
				TcID             int
				Msg, Sig, Result string
			}
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "wycheproof/testvectors_v1/rsa_pkcs1_2048_sig_gen_test.json"),
		&file); err != nil {
		t.Fatal(err)
	}
	made, uneven := 0, 0
	for _, g := range file.TestGroups {
		a, ok := map[string]jose.Algorithm{"SHA-256": jose.RS256, "SHA-384": jose.RS384, "SHA-512": jose.RS512}[g.SHA]
		if !ok {
			continue
		}
		for _, text := range []string{g.PrivateKeyPem, block("PRIVATE KEY", must(hex.DecodeString(g.PrivateKeyPkcs8)))} {
			k, err := jose.ParsePrivateKey(text, kid, a)
			if der, _ := hex.DecodeString(g.PrivateKeyPkcs8); err == jose.ErrPrivateParts &&
				must(x509.ParsePKCS8PrivateKey(der)).(*rsa.PrivateKey).Primes[1].BitLen() == 684 {
				uneven++ // primes of 1364 and 684 bits: refused here
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				if v.Result != "valid" {
					continue
				}
				for _, signature := range signed(t, k, string(must(hex.DecodeString(v.Msg)))) {
					if made++; hex.EncodeToString(signature) != v.Sig {
						t.Errorf("WP %d: %x", v.TcID, signature)
					}
				}
			}
		}
	}
	var rfc struct {
		Cases []struct {
			Alg, JWS string
			JWK      json.RawMessage
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "rfc-jose/rfc7515_appendix_a.json"), &rfc); err != nil {
		t.Fatal(err)
	}
	for _, c := range rfc.Cases {
		if c.Alg != "HS256" {
			continue
		}
		k, err := jose.ParsePrivateKey(string(c.JWK), kid, jose.HS256)
		if err != nil {
			t.Fatal(err)
		}
		dot := strings.LastIndexByte(c.JWS, '.')
		if made++; base64.RawURLEncoding.EncodeToString(signed(t, k, c.JWS[:dot])[0]) != c.JWS[dot+1:] {
			t.Error("RFC 7515 A.1: another signature")
		}
	}
	if made != 97 || uneven != 6 {
		t.Errorf("%d signatures were made and %d keys refused", made, uneven)
	}
}

// A key that is accepted signs, and its public half verifies that.
func FuzzParsePrivateKey(f *testing.F) {
	labels := []string{"", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "EC PARAMETERS"}
	for i, alg := range jose.AlgorithmNames() {
		if alg[2:] != "384" && alg != "PS512" && alg != "RS512" {
			for _, text := range forms(alg) {
				f.Add(text, uint8(i+1), uint8(0))
				if b, _ := pem.Decode([]byte(text)); b != nil {
					f.Add(string(b.Bytes), uint8(i+1), uint8(slices.Index(labels, b.Type)))
				}
			}
		}
	}
	f.Add(`{"kty":"EC"}`, uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, text string, a, label uint8) {
		if label > 0 && int(label) < len(labels) { // the DER itself: few changes of a PEM's letters get past base64
			text = block(labels[label], []byte(text))
		}
		k, err := jose.ParsePrivateKey(text, kid, jose.Algorithm(a))
		if err != nil {
			return
		}
		if k.ByProxy() { // a signature tells whether the halves belong together, as Go does, which derives the public one
			private, err := x509.ParsePKCS8PrivateKey(k.Signing("").Key)
			if err != nil {
				t.Fatalf("Go cannot read the key for the proxy: %v", err)
			}
			belong := private.(*ecdsa.PrivateKey).PublicKey.Equal(publicKey(t, k, text))
			if verifiedBy(t, k.Public(), k.Algorithm(), "text", signed(t, k, "text")[0]) != belong {
				t.Fatalf("the halves belong together: %v; the signature says otherwise", belong)
			}
			return
		}
		for _, signature := range signed(t, k, "text") {
			if !verifiedBy(t, k.Public(), k.Algorithm(), "text", signature) {
				t.Fatal("the public half does not verify")
			}
		}
	})
}

// What a request pays here; of ES*, all but the proxy's part.
func BenchmarkSign(b *testing.B) {
	text := strings.Repeat("x", 600)
	for _, alg := range []string{"RS256", "PS256", "EdDSA", "HS256", "ES256"} {
		form := "PKCS#8"
		if alg == "HS256" {
			form = "bytes"
		}
		k := must(jose.ParsePrivateKey(forms(alg)[form], kid, algorithm(alg)))
		salt := make([]byte, k.SaltSize())
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			if k.ByProxy() {
				made := must(proxycrypto.Sign(k.Signing(text)))
				for b.Loop() {
					_ = k.Signing(text)
					_ = must(k.Finish(made))
				}
				return
			}
			for b.Loop() {
				_ = must(k.Sign(text, salt))
			}
		})
	}
}
