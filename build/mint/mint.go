// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package mint makes keys and tokens for tests, benchmarks and the demo with go-jose: what the filters verify was signed by an implementation that is not ours.
package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Key signs tokens.
type Key struct {
	ID        string // kid; empty: tokens and JWK have none
	Algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

// New makes a fresh key for RS256 or ES256.
func New(id string, algorithm jose.SignatureAlgorithm) *Key {
	k := &Key{ID: id, Algorithm: algorithm}
	var err error
	switch algorithm {
	case jose.RS256:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("mint makes no keys for %s", algorithm)
	}
	if err != nil {
		panic(err) // a mistake in a test, or a machine without randomness
	}
	return k
}

// Token is a compact JWS over claims, with typ JWT.
func (k *Key) Token(claims any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Algorithm, Key: jose.JSONWebKey{Key: k.private, KeyID: k.ID}}, (&jose.SignerOptions{}).WithType("JWT"))
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

// Set is the JWK Set of the keys' public halves.
func Set(keys ...*Key) json.RawMessage {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: string(k.Algorithm), Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return b
}
