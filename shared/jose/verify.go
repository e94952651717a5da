// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"errors"
	"hash"

	"github.com/tollgate-wasm/tollgate/shared/sha2"
)

// ErrSignatureForm means that a signature cannot be one of its algorithm whatever the key.
var ErrSignatureForm = errors.New("the signature has not the form that its algorithm has")

// Verification is one signature check for the proxy to do: the arguments of Envoy's foreign function verify_signature.
type Verification struct {
	Hash      string // "sha256", "sha384" or "sha512"
	Key       []byte // SubjectPublicKeyInfo, DER
	Signature []byte // RSA: PKCS#1 v1.5; EC: ASN.1 DER
	Text      string // what was signed
}

// Verification returns the check that decides whether k, with algorithm a, signed t, for an
// algorithm that the proxy checks (ByProxy). The caller has made sure that a is t's algorithm,
// allowed, and fits k.
func (t *JWS) Verification(a Algorithm, k *Key) (Verification, error) {
	v := Verification{Hash: algorithms[a].hashName(), Key: k.spki, Signature: t.signature, Text: t.signed}
	if algorithms[a].scheme == schemeECDSA {
		der, err := rawToDER(t.signature, algorithms[a].size)
		if err != nil {
			return Verification{}, err
		}
		v.Signature = der
	} else if len(t.signature) == 0 {
		return Verification{}, ErrSignatureForm
	}
	return v, nil
}

// Verify reports whether k, with algorithm a, signed t, for an algorithm that the proxy does not
// check. The caller has made sure of the same as for Verification.
func (t *JWS) Verify(a Algorithm, k *Key) bool {
	switch algorithms[a].scheme {
	case schemeHMAC:
		return verifyHMAC(newHash(algorithms[a].hash), k.raw, t.signed, t.signature)
	case schemeEd25519:
		return verifyEd25519(k.raw, t.signed, t.signature)
	case schemePSS:
		return k.rsa.verifyPSS(algorithms[a].hash, t.signed, t.signature)
	}
	return false
}

// hashName is the hash as BoringSSL is asked for it.
//
//go:noinline
func (a *algorithm) hashName() string {
	switch a.hash {
	case 384:
		return "sha384"
	case 512:
		return "sha512"
	}
	return "sha256"
}

func newHash(bits int) func() hash.Hash {
	switch bits {
	case 384:
		return sha2.New384
	case 512:
		return sha2.New512
	}
	return sha2.New256
}

// rawToDER turns R || S of exactly twice the coordinate's length (RFC 7518 §3.4) into ASN.1. Zero
// is refused here (CVE-2022-21449); values from the group's order up are refused by the verifier.
func rawToDER(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size || isZero(raw[:size]) || isZero(raw[size:]) {
		return nil, ErrSignatureForm
	}
	return der(tagSequence, derInteger(raw[:size]), derInteger(raw[size:])), nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
