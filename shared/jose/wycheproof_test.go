// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/e2e/vectors/wycheproof"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// verifies brings a token and a key to a verdict as a filter does.
func verifies(t *testing.T, token string, jwk gjson.Result, anyPayload bool) bool {
	t.Helper()
	limits := jose.Limits{TokenBytes: 1 << 16, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}
	parse := jose.Parse
	if anyPayload {
		parse = jose.ParseOpaque
	}
	jws, err := parse(token, limits)
	if err != nil {
		return false
	}
	return verifiesBy(t, jws, jws.Alg, jwk)
}

func verifiesBy(t *testing.T, jws *jose.JWS, alg string, jwk gjson.Result) bool {
	t.Helper()
	key, err := jose.ParseKey(jwk)
	if err != nil {
		return false
	}
	a, ok := jose.ParseAlgorithm(alg)
	if !ok || !key.Fits(a) {
		return false
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
		t.Errorf("a key that was read cannot be used: %v", err)
	}
	return good
}

// Wycheproof's JSON Web Signatures, with the labels that a strict verifier overrides.
func TestWycheproofJWS(t *testing.T) {
	accepted := 0
	for _, c := range wycheproof.Tokens(t) {
		got := verifies(t, c.JWS, gjson.ParseBytes(c.Key), true)
		if got != c.Valid {
			t.Errorf("WP %d %s: accepted %v, want %v", c.ID, c.Comment, got, c.Valid)
		}
		if got {
			accepted++
		}
	}
	if accepted == 0 {
		t.Error("no vector was accepted")
	}
}

// J14: Wycheproof's encrypted tokens and keys of other kinds are never accepted.
func TestWycheproofJWE(t *testing.T) {
	for _, c := range wycheproof.EncryptedTokens(t) {
		for _, key := range c.Keys {
			if verifies(t, c.JWE, gjson.ParseBytes(key), true) {
				t.Errorf("WP %d: an encrypted token is accepted", c.ID)
			}
		}
	}
}

// Wycheproof's raw signatures, over whatever message, through the same keys and the same checks.
func TestWycheproofSignatures(t *testing.T) {
	for _, f := range wycheproof.Files {
		t.Run(f.Name, func(t *testing.T) {
			accepted := 0
			for _, v := range f.Signatures(t) {
				got := verifiesBy(t, jose.Signed(string(v.Message), v.Signature), v.Algorithm, gjson.Parse(v.Key))
				if got != v.Valid && !v.Acceptable {
					t.Errorf("WP %d %v: accepted %v, want %v", v.ID, v.Flags, got, v.Valid)
				}
				if got {
					accepted++
				}
			}
			if (accepted > 0) != f.SomeValid() {
				t.Errorf("%d vectors were accepted", accepted)
			}
		})
	}
}
