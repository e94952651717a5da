// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package proxycrypto checks and makes signatures with Go's crypto where there is no proxy to do it. It
// takes what Envoy's verify_signature and sign take and answers as they do
// (source/extensions/common/wasm/foreign.cc, source/common/crypto/utility_impl.cc); the tests in
// real Envoy prove that the two agree.
package proxycrypto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384, SHA512
	"crypto/x509"
	"errors"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// ErrHash means that the hash is none that BoringSSL is asked for; ErrKey, that the public key cannot be read.
var (
	ErrHash = errors.New("unknown hash function")
	ErrKey  = errors.New("invalid public key")
)

var hashes = map[string]crypto.Hash{"sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384,
	"sha512": crypto.SHA512}

// Verify reports whether the signature of v is good. An error means that it could not be checked.
func Verify(v jose.Verification) (bool, error) {
	h, ok := hashes[v.Hash]
	if !ok {
		return false, ErrHash
	}
	key, err := x509.ParsePKIXPublicKey(v.Key)
	if err != nil {
		return false, ErrKey
	}
	sum := h.New()
	sum.Write([]byte(v.Text))
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, h, sum.Sum(nil), v.Signature) == nil, nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum.Sum(nil), v.Signature), nil
	}
	return false, ErrKey
}
