// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package probetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"testing"
)

// message writes a protobuf message whose fields are all bytes, numbered from 1.
func message(fields ...[]byte) []byte {
	var b []byte
	for i, f := range fields {
		b = append(binary.AppendUvarint(append(b, byte(i+1)<<3|2), uint64(len(f))), f...)
	}
	return b
}

// argument is the header that carries a foreign function's argument.
func argument(b []byte) [2]string {
	return [2]string{"x-argument", base64.StdEncoding.EncodeToString(b)}
}

// ForeignCase is a call of a foreign function.
type ForeignCase struct {
	Name     string
	Argument [2]string // a header for the probe
	Want     string    // the body of its answer
}

var signed = []byte("text \x00 of the signature")

// Verifications are calls of verify_signature (order "verify") with signatures by Go's crypto. Good
// is exactly the answer 08 01.
func Verifications(t testing.TB) []ForeignCase {
	t.Helper()
	sum := sha256.Sum256(signed)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	rsaSignature, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum[:])
	check(t, err)
	ecSignature, err := ecdsa.SignASN1(rand.Reader, ecKey, sum[:])
	check(t, err)
	rsaPublic, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	check(t, err)
	ecPublic, err := x509.MarshalPKIXPublicKey(&ecKey.PublicKey)
	check(t, err)
	hash := []byte("sha256")
	const good, bad = `"\b\x01"`, "not verified, with a reason"
	return []ForeignCase{
		{"RSA", argument(message(hash, rsaPublic, rsaSignature, signed)), good},
		{"EC", argument(message(hash, ecPublic, ecSignature, signed)), good},
		{"RSA, another text", argument(message(hash, rsaPublic, rsaSignature, []byte("other"))), bad},
		{"EC, another text", argument(message(hash, ecPublic, ecSignature, []byte("other"))), bad},
		{"a key of another type", argument(message(hash, rsaPublic, ecSignature, signed)), bad},
		{"another hash", argument(message([]byte("sha512"), rsaPublic, rsaSignature, signed)), bad},
		{"a hash that does not exist", argument(message([]byte("md4"), rsaPublic, rsaSignature, signed)), bad},
		{"a key that is none", argument(message(hash, []byte("key"), rsaSignature, signed)), bad},
	}
}

// Signing is a call of sign (order "sign") with an EC key, and what holds its answer against the public half.
func Signing(t testing.TB) (call [2]string, verify func(answer string) bool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return argument(message([]byte("sha256"), private, signed)), func(answer string) bool {
		b, err := base64.StdEncoding.DecodeString(answer)
		if err != nil || len(b) < 4 || b[0] != 1<<3 || b[1] != 1 || b[2] != 2<<3|2 || int(b[3]) != len(b)-4 {
			return false
		}
		sum := sha256.Sum256(signed)
		return ecdsa.VerifyASN1(&key.PublicKey, sum[:], b[4:])
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
