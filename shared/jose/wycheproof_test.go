// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/josetest"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// verifies brings a token and a key to a verdict as a filter does.
func verifies(t *testing.T, token string, jwk gjson.Result, anyPayload bool) bool {
	t.Helper()
	limits := jose.Limits{TokenBytes: 1 << 16, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}
	parse := jose.Parse
	if anyPayload {
		parse = jose.ParseAnyPayload
	}
	jws, err := parse(token, limits)
	if err != nil {
		return false
	}
	key, err := jose.ParseKey(jwk)
	if err != nil {
		return false
	}
	alg, ok := jose.ParseAlgorithm(jws.Alg)
	if !ok || !key.Fits(alg) {
		return false
	}
	if !alg.ByProxy() {
		return jws.Verify(alg, key)
	}
	v, err := jws.Verification(alg, key)
	if err != nil {
		return false
	}
	good, err := josetest.Verify(v)
	if err != nil {
		t.Errorf("a key that was read cannot be used: %v", err)
	}
	return good
}

// Wycheproof's JSON Web Signatures, with the labels that a strict verifier overrides.
func TestWycheproofJWS(t *testing.T) {
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			Comment         string
			Public, Private json.RawMessage
			Tests           []struct {
				TcID         int
				Comment, JWS string
				Result       string
			}
		}
	}
	var overrides struct {
		Overrides []struct {
			TcID        int
			Strict, Why string
		}
	}
	for name, into := range map[string]any{"wycheproof/testvectors_v1/json_web_signature_test.json": &file, "wycheproof/OVERRIDES.json": &overrides} {
		if err := json.Unmarshal(vectors.Read(t, name), into); err != nil {
			t.Fatal(err)
		}
	}
	strict := map[int]string{}
	for _, o := range overrides.Overrides {
		strict[o.TcID] = o.Strict
	}
	run, accepted, overridden := 0, 0, 0
	for _, g := range file.TestGroups {
		key := g.Public
		if key == nil {
			key = g.Private
		}
		for _, c := range g.Tests {
			want := c.Result
			if o, ok := strict[c.TcID]; ok {
				want = o
				overridden++
			}
			got := verifies(t, c.JWS, gjson.ParseBytes(key), true)
			if got != (want == "valid") {
				t.Errorf("WP %d %s %s: accepted %v, want %s", c.TcID, g.Comment, c.Comment, got, want)
			}
			run++
			if got {
				accepted++
			}
		}
	}
	if run != 401 || overridden != 8 || accepted == 0 {
		t.Errorf("%d vectors were run, %d of them overridden, %d accepted; want 401 and 8", run, overridden, accepted)
	}
}

// J14: Wycheproof's encrypted tokens and keys of other kinds are never accepted.
func TestWycheproofJWE(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Public, Private json.RawMessage
			Tests           []struct {
				TcID int
				JWE  string
			}
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "wycheproof/testvectors_v1/json_web_encryption_test.json"), &file); err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			for _, key := range []json.RawMessage{g.Public, g.Private} {
				if verifies(t, c.JWE, gjson.ParseBytes(key), true) {
					t.Errorf("WP %d: an encrypted token is accepted", c.TcID)
				}
			}
			run++
		}
	}
	if run != 139 {
		t.Errorf("%d vectors were run, want 139", run)
	}
}

type group struct {
	PublicKey               json.RawMessage
	PublicKeyJWK            json.RawMessage `json:"publicKeyJwk"`
	KeyJWK                  json.RawMessage `json:"keyJwk"`
	SHA                     string
	KeySize, TagSize, SLen  int
	Modulus, PublicExponent string
	PrivateKey              struct{ Modulus, PublicExponent string }
	MGFSHA                  string `json:"mgfSha"`
	Tests                   []struct {
		TcID                       int
		Key, Msg, Sig, Tag, Result string
		Flags                      []string
	}
}

func un(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// trim takes the sign byte of an ASN.1 integer away.
func trim(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// key makes a JWK of a group's key.
func (g *group) key(t *testing.T, kty string) string {
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
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":"%s"}`, b64url(un(t, public.Pk)))
	case "EC":
		size := map[string]int{"secp256r1": 32, "secp384r1": 48, "secp521r1": 66}[public.Curve]
		pad := func(s string) string {
			b := trim(un(t, s))
			return b64url(append(make([]byte, size-len(b)), b...))
		}
		crv := map[string]string{"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[public.Curve]
		return fmt.Sprintf(`{"kty":"EC","crv":"%s","x":"%s","y":"%s"}`, crv, pad(public.Wx), pad(public.Wy))
	}
	n, e := public.Modulus, public.PublicExponent
	if n == "" {
		n, e = g.PrivateKey.Modulus, g.PrivateKey.PublicExponent
	}
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, b64url(trim(un(t, n))), b64url(trim(un(t, e))))
}

// Wycheproof's raw signatures, over whatever message, through the same keys and the same checks. What is "acceptable" there a strict verifier may take or leave.
func TestWycheproofSignatures(t *testing.T) {
	for _, c := range []struct {
		file, kty, alg string
		count          int
	}{
		{"ecdsa_secp256r1_sha256_p1363_test.json", "EC", "ES256", 262},
		{"ecdsa_secp384r1_sha384_p1363_test.json", "EC", "ES384", 280},
		{"ecdsa_secp521r1_sha512_p1363_test.json", "EC", "ES512", 318},
		{"ed25519_test.json", "OKP", "EdDSA", 151},
		{"rsa_signature_2048_sha256_test.json", "RSA", "RS256", 259},
		{"rsa_signature_2048_sha384_test.json", "RSA", "RS384", 258},
		{"rsa_signature_2048_sha512_test.json", "RSA", "RS512", 259},
		{"rsa_signature_3072_sha256_test.json", "RSA", "RS256", 259},
		{"rsa_signature_4096_sha256_test.json", "RSA", "RS256", 258},
		{"rsa_pkcs1_2048_sig_gen_test.json", "RSA", "", 43},
		{"rsa_pss_2048_sha256_mgf1_32_test.json", "RSA", "PS256", 108},
		{"rsa_pss_2048_sha384_mgf1_48_test.json", "RSA", "PS384", 141},
		{"rsa_pss_3072_sha256_mgf1_32_test.json", "RSA", "PS256", 108},
		{"rsa_pss_4096_sha512_mgf1_64_test.json", "RSA", "PS512", 179},
		{"hmac_sha256_test.json", "oct", "HS256", 174},
		{"hmac_sha384_test.json", "oct", "HS384", 174},
		{"hmac_sha512_test.json", "oct", "HS512", 174},
		{"ecdsa_secp256r1_sha256_test.json", "EC", "ES256", 484}, // ASN.1 signatures: a JWS has none
		{"ecdsa_secp384r1_sha384_test.json", "EC", "ES384", 504},
	} {
		t.Run(c.file, func(t *testing.T) {
			var file struct{ TestGroups []group }
			if err := json.Unmarshal(vectors.Read(t, "wycheproof/testvectors_v1/"+c.file), &file); err != nil {
				t.Fatal(err)
			}
			run, accepted := 0, 0
			for _, g := range file.TestGroups {
				alg := c.alg
				if alg == "" {
					alg = map[string]string{"SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512"}[g.SHA]
				}
				for _, v := range g.Tests {
					run++
					a, ok := jose.ParseAlgorithm(alg)
					if !ok {
						continue // SHA-224 and SHA-1 are in the file and in no algorithm of ours
					}
					var jwk string
					want := v.Result == "valid"
					signature := un(t, v.Sig+v.Tag)
					if c.kty == "oct" {
						jwk = fmt.Sprintf(`{"kty":"oct","k":"%s"}`, b64url(un(t, v.Key)))
						// JWS uses whole tags, and RFC 7518 §3.2 keys as long as them at least.
						want = want && g.TagSize == jose.HashBits(a) && len(un(t, v.Key))*8 >= jose.HashBits(a)
					} else {
						jwk = g.key(t, c.kty)
					}
					key, err := jose.ParseKey(gjson.Parse(jwk))
					got := err == nil && key.Fits(a) && check(t, jose.Signed(string(un(t, v.Msg)), signature), a, key)
					if c.file[:5] == "ecdsa" && len(c.file) < 40 && c.file[len(c.file)-15:] != "p1363_test.json" {
						want = false // J21: DER instead of raw
					}
					if got != want && v.Result != "acceptable" {
						t.Errorf("WP %d %v: accepted %v, want %v (%v)", v.TcID, v.Flags, got, want, err)
					}
					if got {
						accepted++
					}
				}
			}
			if run != c.count || accepted == 0 && c.count < 484 {
				t.Errorf("%d vectors were run, %d accepted; want %d", run, accepted, c.count)
			}
		})
	}
}

func check(t *testing.T, jws *jose.JWS, a jose.Algorithm, key *jose.Key) bool {
	t.Helper()
	if !a.ByProxy() {
		return jws.Verify(a, key)
	}
	v, err := jws.Verification(a, key)
	if err != nil {
		return false
	}
	good, err := josetest.Verify(v)
	if err != nil {
		t.Error(err)
	}
	return good
}
