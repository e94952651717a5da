// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package mint makes keys and tokens for tests, benchmarks, the demo and the command with go-jose:
// what the filters verify was signed by an implementation that is not ours.
package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms are those that New makes keys for.
var Algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256, jose.HS384,
	jose.HS512, jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512}

// Key signs tokens.
type Key struct {
	ID        string // kid; empty: tokens and JWK have none
	Algorithm jose.SignatureAlgorithm
	private   any // what signs
	public    any // what verifies: the same for HS*
}

// New makes a fresh key for any algorithm of RFC 7518 §3.1 and for EdDSA.
func New(id string, algorithm jose.SignatureAlgorithm) *Key {
	k := &Key{ID: id, Algorithm: algorithm}
	switch algorithm {
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
		k.keep(rsa.GenerateKey(rand.Reader, 2048))
	case jose.ES256:
		k.keep(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case jose.ES384:
		k.keep(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case jose.ES512:
		k.keep(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		k.keep(private, err)
	case jose.HS256, jose.HS384, jose.HS512:
		secret := make([]byte, 64)
		_, _ = rand.Read(secret) // never fails
		k.private, k.public = secret, secret
	default:
		panic("mint makes no keys for " + algorithm) // a mistake in a test
	}
	return k
}

// Read is the key of a private JWK, with its kid and alg, as PrivateJWK writes it.
func Read(text []byte) (*Key, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(text, &jwk); err != nil {
		return nil, err
	}
	k := &Key{ID: jwk.KeyID, Algorithm: jose.SignatureAlgorithm(jwk.Algorithm), private: jwk.Key, public: jwk.Key}
	if _, ok := jwk.Key.([]byte); ok {
		return k, nil // a secret
	}
	signer, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, errors.New("this JWK is not a private key")
	}
	k.public = signer.Public()
	return k, nil
}

func (k *Key) keep(private crypto.Signer, err error) {
	if err != nil {
		panic(err) // a machine without randomness
	}
	k.private, k.public = private, private.Public()
}

// Private is what signs, for tests whose tokens no library would make: an *rsa.PrivateKey,
// *ecdsa.PrivateKey, ed25519.PrivateKey or a secret.
func (k *Key) Private() any { return k.private }

// Public is what verifies: the public half, or the same secret.
func (k *Key) Public() any { return k.public }

// PrivateJWK is the private half as a JWK, with kid and alg.
func (k *Key) PrivateJWK() string {
	return asJWK(jose.JSONWebKey{Key: k.private, KeyID: k.ID, Algorithm: string(k.Algorithm)})
}

// PrivatePEM is the private half in PKCS#8; not for secrets.
func (k *Key) PrivatePEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic(err) // asked of a secret: a mistake in the program
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// PublicJWK is the public half as a JWK that says no more than what it is.
func (k *Key) PublicJWK() string { return asJWK(jose.JSONWebKey{Key: k.public}) }

func asJWK(jwk jose.JSONWebKey) string {
	b, err := json.Marshal(jwk)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Token is a compact JWS over claims, with typ JWT.
func (k *Key) Token(claims any) string { return k.Typed("JWT", claims) }

// Typed is Token with another typ; empty: none.
func (k *Key) Typed(typ string, claims any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithHeader(jose.HeaderType, typ)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Algorithm,
		Key: jose.JSONWebKey{Key: k.private, KeyID: k.ID}}, options)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// Set is the JWK Set that verifies what the keys sign.
func Set(keys ...*Key) json.RawMessage {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return b
}

// WithID is the same key under another kid; empty: none.
func WithID(k *Key, id string) *Key {
	renamed := *k
	renamed.ID = id
	return &renamed
}
