// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

// The few ASN.1 types (DER, X.690) that keys and ECDSA signatures need. encoding/asn1 would bring
// reflection into the guest, crypto/x509 an import that Envoy 1.36 does not have.

const (
	tagInteger  = 0x02
	tagBits     = 0x03
	tagOctets   = 0x04
	tagSequence = 0x30
	tagContext0 = 0xa0 // of PKCS#8: attributes; of SEC 1: the curve
	tagContext1 = 0xa1 // of SEC 1: the public point
	tagPublic   = 0x81 // of PKCS#8: the public key, a BIT STRING
)

var (
	derNull = []byte{0x05, 0x00}
	oidRSA  = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01} // rsaEncryption, RFC 3279 §2.3.1
	oidEC   = []byte{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}             // id-ecPublicKey, RFC 5480 §2.1.1
	oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}       // secp256r1
	oidP384 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}                         // secp384r1
	oidP521 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}                         // secp521r1

	oidEd25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70} // id-Ed25519, RFC 8410 §3
)

// der encodes a value of at most 65,535 bytes.
//
//go:noinline
func der(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n+4)
	switch {
	case n < 0x80:
		b = append(b, tag, byte(n))
	case n < 0x100:
		b = append(b, tag, 0x81, byte(n))
	default:
		b = append(b, tag, 0x82, byte(n>>8), byte(n))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// derInteger encodes a positive big-endian number.
//
//go:noinline
func derInteger(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	if n[0]&0x80 != 0 {
		return der(tagInteger, []byte{0}, n)
	}
	return der(tagInteger, n)
}

//go:noinline
func derBits(b []byte) []byte { return der(tagBits, []byte{0}, b) }
