// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"bytes"

	"filippo.io/edwards25519"

	"github.com/tollgate-wasm/tollgate/shared/sha2"
)

// verifyEd25519 is RFC 8032 §5.1.7 as crypto/ed25519 has it, without the cofactor: R = S·B − k·A.
// It stands on the module that the standard library's own arithmetic is taken from, because
// crypto/ed25519 also brings key generation, and with that AES, SHA-3 and a random generator, into
// the module.
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

// ed25519Private is a private key of RFC 8032 §5.1.5, taken apart.
type ed25519Private struct {
	s      *edwards25519.Scalar
	prefix []byte // 32 bytes, secret as well
	public []byte
}

// newEd25519Private takes the seed, 32 bytes.
func newEd25519Private(seed []byte) (*ed25519Private, error) {
	h := sha2.New512()
	h.Write(seed)
	sum := h.Sum(nil)
	s, err := new(edwards25519.Scalar).SetBytesWithClamping(sum[:32])
	if err != nil {
		return nil, err
	}
	return &ed25519Private{s, sum[32:], new(edwards25519.Point).ScalarBaseMult(s).Bytes()}, nil
}

// sign is RFC 8032 §5.1.6: deterministic, so no bad random number can give the key away.
func (k *ed25519Private) sign(text string) ([]byte, error) {
	message := []byte(text)
	h := sha2.New512()
	h.Write(k.prefix)
	h.Write(message)
	r, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(nil))
	if err != nil {
		return nil, err
	}
	signature := append(make([]byte, 0, 64), new(edwards25519.Point).ScalarBaseMult(r).Bytes()...)
	h.Reset()
	h.Write(signature)
	h.Write(k.public)
	h.Write(message)
	c, err := new(edwards25519.Scalar).SetUniformBytes(h.Sum(nil))
	if err != nil {
		return nil, err
	}
	return append(signature, new(edwards25519.Scalar).MultiplyAdd(c, k.s, r).Bytes()...), nil
}
