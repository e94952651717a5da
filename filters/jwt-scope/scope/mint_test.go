// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The instant of all tests, and keys of two issuers.
var (
	now      = time.Unix(1_700_000_000, 0)
	rsaKey   = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey    = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	otherKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type claims map[string]any

// good are the claims that the test policy accepts.
func good(changes ...claims) claims {
	c := claims{"iss": "https://idp.example", "aud": "orders", "sub": "ann", "exp": now.Unix() + 60,
		"scope": "orders:read"}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// raw is JSON that is put into claims as it is.
type raw = json.RawMessage

// sign mints a token with a library that is not ours. kid is left out where it is empty; typ is JWT
// unless another is given.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, c any, typ ...jose.ContentType) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if len(typ) > 0 {
		if options = (&jose.SignerOptions{}); typ[0] != "" {
			options = options.WithType(typ[0])
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return must(must(signer.Sign(payload)).CompactSerialize())
}

func es256(t testing.TB, c any) string { return sign(t, jose.ES256, ecKey, "ec", c) }

func keySet(keys ...jose.JSONWebKey) string {
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

var testKeys = keySet(jose.JSONWebKey{Key: &ecKey.PublicKey, KeyID: "ec"},
	jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "rsa"})

// testConfig has a rule of every kind.
var testConfig = `{
 "providers": [
  {"name": "corp", "issuer": "https://idp.example", "audiences": ["orders", "billing"], "jwks": {"inline": ` + testKeys + `}},
  {"name": "partner", "issuer": "https://partner.example", "anyAudience": true, "algorithms": ["ES256"],
   "jwks": {"inline": ` + keySet(jose.JSONWebKey{Key: &otherKey.PublicKey, KeyID: "ec"}) + `}, "clockSkew": "0s", "requireExpiry": false, "scopeClaims": ["roles"]},
  {"name": "short", "issuer": "https://short.example", "anyAudience": true, "jwks": {"inline": ` + testKeys + `}, "maxLifetime": "5m"}
 ],
 "rules": [
  {"name": "health", "match": [{"paths": ["/healthz"]}], "access": "public"},
  {"name": "read", "match": [{"paths": ["/orders/{**}"], "methods": ["GET"]}], "require": {"scopes": {"any": ["orders:read", "orders:admin"]}}},
  {"name": "write", "match": [{"paths": ["/orders/{**}"], "methods": ["POST"]}], "require": {"scopes": {"all": ["orders:read", "orders:write"]}}},
  {"name": "no-guests", "match": [{"paths": ["/staff"]}], "require": {"scopes": {"none": ["guest"]}}},
  {"name": "maybe", "match": [{"paths": ["/maybe"]}], "access": "optional"},
  {"name": "any-token", "match": [{"paths": ["/any"]}]},
  {"name": "corp-only", "match": [{"paths": ["/corp"]}], "require": {"providers": ["corp"]}},
  {"name": "trial", "match": [{"paths": ["/trial"]}], "mode": "shadow", "require": {"scopes": {"all": ["x"]}}}
 ],
 "errors": {"realm": "orders", "resourceMetadata": "https://api.example/.well-known/oauth-protected-resource"}
}`
