// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package wycheproof reads the vectors of Project Wycheproof (testvectors_v1) that are about
// signatures, for the tests that run them: natively, compiled, and in real Envoy.
package wycheproof

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
)

const folder = "wycheproof/testvectors_v1/"

func read(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(vectors.Read(t, name), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Token is a vector of JSON Web Signatures.
type Token struct {
	ID      int
	Group   int // vectors of one group have the same key
	Comment string
	JWS     string
	Key     json.RawMessage // what verifies: a public JWK, or a secret one
	Private json.RawMessage // what signed; the same JWK for a secret
	Valid   bool            // to a strict verifier
}

// Tokens are all JSON Web Signatures, with the labels that a strict verifier overrides (OVERRIDES.json).
func Tokens(t testing.TB) []Token {
	t.Helper()
	var file struct {
		TestGroups []struct {
			Comment         string
			Public, Private json.RawMessage
			Tests           []struct {
				TcID                 int
				Comment, JWS, Result string
			}
		}
	}
	read(t, folder+"json_web_signature_test.json", &file)
	var overrides struct {
		Overrides []struct {
			TcID   int
			Strict string
		}
	}
	read(t, "wycheproof/OVERRIDES.json", &overrides)
	strict := map[int]string{}
	for _, o := range overrides.Overrides {
		strict[o.TcID] = o.Strict
	}
	var tokens []Token
	overridden := 0
	for i, g := range file.TestGroups {
		key := g.Public
		if key == nil {
			key = g.Private
		}
		for _, c := range g.Tests {
			result := c.Result
			if o, ok := strict[c.TcID]; ok {
				result = o
				overridden++
			}
			tokens = append(tokens, Token{c.TcID, i, g.Comment + " " + c.Comment, c.JWS, key, g.Private, result == "valid"})
		}
	}
	if len(tokens) != 401 || overridden != 8 {
		t.Fatalf("%d vectors, %d of them overridden; want 401 and 8", len(tokens), overridden)
	}
	return tokens
}

// EncryptedToken is a vector of JSON Web Encryption, for verifiers to refuse.
type EncryptedToken struct {
	ID   int
	JWE  string
	Keys []json.RawMessage // the public and the private half, or the secret
}

// EncryptedTokens are all JSON Web Encryptions.
func EncryptedTokens(t testing.TB) []EncryptedToken {
	t.Helper()
	var file struct {
		TestGroups []struct {
			Public, Private json.RawMessage
			Tests           []struct {
				TcID int
				JWE  string
			}
		}
	}
	read(t, folder+"json_web_encryption_test.json", &file)
	var tokens []EncryptedToken
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			tokens = append(tokens, EncryptedToken{c.TcID, c.JWE, []json.RawMessage{g.Public, g.Private}})
		}
	}
	if len(tokens) != 139 {
		t.Fatalf("%d vectors, want 139", len(tokens))
	}
	return tokens
}

// File is a file of signatures over whatever message.
type File struct {
	Name  string
	kty   string
	alg   string // empty: by each group's hash
	count int
	der   bool // ASN.1 signatures: a JWS has none (J21)
}

// Files are those whose signatures some JWS algorithm has.
var Files = []File{
	{"ecdsa_secp256r1_sha256_p1363_test.json", "EC", "ES256", 262, false},
	{"ecdsa_secp384r1_sha384_p1363_test.json", "EC", "ES384", 280, false},
	{"ecdsa_secp521r1_sha512_p1363_test.json", "EC", "ES512", 318, false},
	{"ed25519_test.json", "OKP", "EdDSA", 151, false},
	{"rsa_signature_2048_sha256_test.json", "RSA", "RS256", 259, false},
	{"rsa_signature_2048_sha384_test.json", "RSA", "RS384", 258, false},
	{"rsa_signature_2048_sha512_test.json", "RSA", "RS512", 259, false},
	{"rsa_signature_3072_sha256_test.json", "RSA", "RS256", 259, false},
	{"rsa_signature_4096_sha256_test.json", "RSA", "RS256", 258, false},
	{"rsa_pkcs1_2048_sig_gen_test.json", "RSA", "", 43, false},
	{"rsa_pss_2048_sha256_mgf1_32_test.json", "RSA", "PS256", 108, false},
	{"rsa_pss_2048_sha384_mgf1_48_test.json", "RSA", "PS384", 141, false},
	{"rsa_pss_3072_sha256_mgf1_32_test.json", "RSA", "PS256", 108, false},
	{"rsa_pss_4096_sha512_mgf1_64_test.json", "RSA", "PS512", 179, false},
	{"hmac_sha256_test.json", "oct", "HS256", 174, false},
	{"hmac_sha384_test.json", "oct", "HS384", 174, false},
	{"hmac_sha512_test.json", "oct", "HS512", 174, false},
	{"ecdsa_secp256r1_sha256_test.json", "EC", "ES256", 484, true},
	{"ecdsa_secp384r1_sha384_test.json", "EC", "ES384", 504, true},
}

// SomeValid reports whether a file has signatures for a JWS to accept.
func (f *File) SomeValid() bool { return !f.der }

// Signature is one of a file.
type Signature struct {
	ID         int
	Flags      []string
	Algorithm  string // of JWS; empty where none has the hash
	Key        string // a JWK
	Message    []byte
	Signature  []byte
	Valid      bool // as a JWS signature
	Acceptable bool // or not: a strict verifier may take or leave it
}

type group struct {
	PublicKey               json.RawMessage
	SHA                     string
	TagSize                 int
	Modulus, PublicExponent string
	PrivateKey              struct{ Modulus, PublicExponent string }
	Tests                   []struct {
		TcID                       int
		Key, Msg, Sig, Tag, Result string
		Flags                      []string
	}
}

// Signatures reads the file.
func (f *File) Signatures(t testing.TB) []Signature {
	t.Helper()
	var file struct{ TestGroups []group }
	read(t, folder+f.Name, &file)
	var signatures []Signature
	for _, g := range file.TestGroups {
		alg := f.alg
		if alg == "" {
			// SHA-224 and SHA-1 are in the file and in no algorithm of JWS
			alg = map[string]string{"SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512"}[g.SHA]
		}
		var key string
		if f.kty != "oct" {
			key = g.key(t, f.kty)
		}
		for _, v := range g.Tests {
			s := Signature{ID: v.TcID, Flags: v.Flags, Algorithm: alg, Key: key, Message: bytes(t, v.Msg),
				Signature: bytes(t, v.Sig+v.Tag), Valid: v.Result == "valid" && !f.der &&
					alg != "", Acceptable: v.Result == "acceptable"}
			if f.kty == "oct" {
				secret := bytes(t, v.Key)
				s.Key = fmt.Sprintf(`{"kty":"oct","k":"%s"}`, encode(secret))
				// JWS uses whole tags, and RFC 7518 §3.2 keys as long as them at least.
				whole := map[string]int{"HS256": 256, "HS384": 384, "HS512": 512}[alg]
				s.Valid = s.Valid && g.TagSize == whole && len(secret)*8 >= whole
			}
			signatures = append(signatures, s)
		}
	}
	if len(signatures) != f.count {
		t.Fatalf("%s: %d vectors, want %d", f.Name, len(signatures), f.count)
	}
	return signatures
}

func bytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// trim takes the sign byte of an ASN.1 integer away.
func trim(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// key makes a JWK of a group's key.
func (g *group) key(t testing.TB, kty string) string {
	t.Helper()
	var public struct {
		Curve, Wx, Wy, Modulus, PublicExponent, Pk string
	}
	if g.PublicKey != nil {
		if err := json.Unmarshal(g.PublicKey, &public); err != nil {
			t.Fatal(err)
		}
	}
	switch kty {
	case "OKP":
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s"}`, encode(bytes(t, public.Pk)))
	case "EC":
		size := map[string]int{"secp256r1": 32, "secp384r1": 48, "secp521r1": 66}[public.Curve]
		crv := strings.NewReplacer("secp", "P-", "r1", "").Replace(public.Curve)
		pad := func(s string) string {
			b := trim(bytes(t, s))
			return encode(append(make([]byte, size-len(b)), b...))
		}
		return fmt.Sprintf(`{"kty":"EC","crv":"%s","x":"%s","y":"%s"}`, crv, pad(public.Wx), pad(public.Wy))
	}
	n, e := public.Modulus, public.PublicExponent
	if n == "" {
		n, e = g.PrivateKey.Modulus, g.PrivateKey.PublicExponent
	}
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, encode(trim(bytes(t, n))), encode(trim(bytes(t, e))))
}
