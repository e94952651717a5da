// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// A fault in one half of the computation gives no signature: n and one wrong one would be enough to factor n.
func TestFaultsGiveNoSignature(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for _, a := range []Algorithm{RS256, PS256} {
		k, err := ParsePrivateKey(text, "k", a)
		if err != nil {
			t.Fatal(err)
		}
		for name, exponent := range map[string][]byte{"p": k.parts().rsa.dp, "q": k.parts().rsa.dq} {
			exponent[100] ^= 1
			if signature, err := k.Sign("text", make([]byte, k.SaltSize())); err != ErrFault || signature != nil {
				t.Errorf("%v, half %s: %x, %v", a, name, signature, err)
			}
			exponent[100] ^= 1
		}
		if _, err := k.Sign("text", make([]byte, k.SaltSize())); err != nil {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// The numbers' edges, for values that no key has.
func TestRSAPower(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePrivateKey(
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), "k", RS256)
	if err != nil {
		t.Fatal(err)
	}
	for name, em := range map[string][]byte{"zero": make([]byte, 256),
		"a multiple of p": key.Primes[0].FillBytes(make([]byte, 256)),
		"a multiple of q": key.Primes[1].FillBytes(make([]byte, 256))} {
		if got := k.parts().rsa.power(em); got == nil {
			t.Errorf("%s: no result", name)
		}
	}
	if k.parts().rsa.power(key.N.Bytes()) != nil {
		t.Error("n itself is no message")
	}
}
