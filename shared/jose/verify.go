// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import "errors"

// ErrSignatureForm means that a signature cannot be one of its algorithm whatever the key.
var ErrSignatureForm = errors.New("the signature has not the form that its algorithm has")

// Verification is one signature check for the proxy to do: the arguments of Envoy's foreign function verify_signature.
type Verification struct {
	Hash      string // "sha256", "sha384" or "sha512"
	Key       []byte // SubjectPublicKeyInfo, DER
	Signature []byte // RSA: PKCS#1 v1.5; EC: ASN.1 DER
	Text      string // what was signed
}

// Verification returns the check that decides whether k, with algorithm a, signed t. The caller has made sure that a is t's algorithm, allowed, and fits k.
func (t *JWS) Verification(a Algorithm, k *Key) (Verification, error) {
	v := Verification{Hash: algorithms[a].hash, Key: k.spki, Signature: t.signature, Text: t.signed}
	if size := algorithms[a].size; size > 0 {
		der, err := rawToDER(t.signature, size)
		if err != nil {
			return Verification{}, err
		}
		v.Signature = der
	} else if len(t.signature) == 0 {
		return Verification{}, ErrSignatureForm
	}
	return v, nil
}

// rawToDER turns R || S of exactly twice the coordinate's length (RFC 7518 §3.4) into ASN.1. Zero is refused here (CVE-2022-21449); values from the group's order
// up are refused by the verifier.
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
