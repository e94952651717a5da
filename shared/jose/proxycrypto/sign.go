// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package proxycrypto

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// Sign makes the signature that s asks for, as Envoy's sign does: PKCS#1 v1.5 with RSA, ASN.1 with ECDSA.
func Sign(s jose.Signing) ([]byte, error) {
	h, ok := hashes[s.Hash]
	if !ok {
		return nil, ErrHash
	}
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return nil, ErrKey
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrKey
	}
	sum := h.New()
	sum.Write([]byte(s.Text))
	return signer.Sign(rand.Reader, sum.Sum(nil), h)
}
