// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package jose reads JSON Web Signatures in the compact form (RFC 7515) and JSON Web Keys (RFC
// 7517, 7518), strictly: what a lenient reader might read in another way is refused. It signs, too,
// with a PrivateKey.
//
// A key knows which algorithms it fits before any cryptography happens (RFC 8725 §3.1), so a token
// cannot choose how it is verified. RSA PKCS#1 v1.5 and ECDSA signatures are checked by the proxy:
// Verification is the data for that call, in the encodings that BoringSSL wants (SPKI, ASN.1
// signatures), not those of JOSE; and Signing is that for the call that makes one.
package jose
