// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"

	"filippo.io/edwards25519"

	"github.com/tollgate-wasm/tollgate/shared/sha2"
)

// verifyEd25519 is RFC 8032 §5.1.7 as crypto/ed25519 has it, without the cofactor: R = S·B − k·A. It stands on the module that the standard library's own arithmetic is
// taken from, because crypto/ed25519 also brings key generation, and with that AES, SHA-3 and a random generator, into the module.
func verifyEd25519(public []byte, text string, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	a, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return false
	}
	h := sha2.New512()
	h.Write(signature[:32])
	h.Write(public)
	h.Write([]byte(text))
	k, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(nil))
	if err != nil {
		return false
	}
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(signature[32:])
	if err != nil {
		return false // S is not below the group's order: a second spelling of the signature
	}
	minusA := new(edwards25519.Point).Negate(a)
	r := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(k, minusA, s)
	return bytes.Equal(signature[:32], r.Bytes())
}
