// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

// Algorithm is a signature algorithm of RFC 7518 §3.1 or RFC 8037 §3.1. The zero value is none of
// them; "none" does not exist.
type Algorithm uint8

// The algorithms.
const (
	RS256 Algorithm = iota + 1
	RS384
	RS512
	PS256
	PS384
	PS512
	ES256
	ES384
	ES512
	EdDSA // with Ed25519
	HS256
	HS384
	HS512
)

// scheme is how a signature is made; it says who can check it.
type scheme uint8

const (
	schemePKCS1   scheme = iota // by the proxy
	schemeECDSA                 // by the proxy
	schemePSS                   // here
	schemeEd25519               // here
	schemeHMAC                  // here
)

type algorithm struct {
	name   string
	scheme scheme
	hash   int // bits of SHA-2; 0 for EdDSA, which has its own
	kty    string
	crv    string
	size   int // bytes of one EC coordinate; of the shortest key for HMAC (RFC 7518 §3.2)
}

var algorithms = [...]algorithm{
	RS256: {"RS256", schemePKCS1, 256, "RSA", "", 0},
	RS384: {"RS384", schemePKCS1, 384, "RSA", "", 0},
	RS512: {"RS512", schemePKCS1, 512, "RSA", "", 0},
	PS256: {"PS256", schemePSS, 256, "RSA", "", 0},
	PS384: {"PS384", schemePSS, 384, "RSA", "", 0},
	PS512: {"PS512", schemePSS, 512, "RSA", "", 0},
	ES256: {"ES256", schemeECDSA, 256, "EC", "P-256", 32},
	ES384: {"ES384", schemeECDSA, 384, "EC", "P-384", 48},
	ES512: {"ES512", schemeECDSA, 512, "EC", "P-521", 66},
	EdDSA: {"EdDSA", schemeEd25519, 0, "OKP", "Ed25519", 0},
	HS256: {"HS256", schemeHMAC, 256, "oct", "", 32},
	HS384: {"HS384", schemeHMAC, 384, "oct", "", 48},
	HS512: {"HS512", schemeHMAC, 512, "oct", "", 64},
}

// ParseAlgorithm compares by exact bytes: "rs256" is no algorithm.
//
//go:noinline
func ParseAlgorithm(name string) (Algorithm, bool) {
	for a := RS256; int(a) < len(algorithms); a++ {
		if algorithms[a].name == name {
			return a, true
		}
	}
	return 0, false
}

// AlgorithmNames lists what ParseAlgorithm knows.
//
//go:noinline
func AlgorithmNames() []string {
	var names []string
	for _, a := range algorithms[1:] {
		names = append(names, a.name)
	}
	return names
}

func (a Algorithm) String() string { return algorithms[a].name }

// MessageName is what RFC 9421 §6.2.2 calls the algorithm; empty where it has no name for it.
//
//go:noinline
func (a Algorithm) MessageName() string {
	switch a {
	case RS256:
		return "rsa-v1_5-sha256"
	case PS512:
		return "rsa-pss-sha512"
	case HS256:
		return "hmac-sha256"
	case ES256:
		return "ecdsa-p256-sha256"
	case ES384:
		return "ecdsa-p384-sha384"
	case EdDSA:
		return "ed25519"
	}
	return ""
}

// parseKeyAlgorithm is ParseAlgorithm for the alg of a JWK: those in directories of signers of HTTP
// messages have the names of RFC 9421, and RFC 9864 calls EdDSA by its curve.
//
//go:noinline
func parseKeyAlgorithm(name string) (Algorithm, bool) {
	for a := RS256; int(a) < len(algorithms) && name != ""; a++ {
		if name == algorithms[a].name || name == a.MessageName() || a == EdDSA && name == "Ed25519" {
			return a, true
		}
	}
	return 0, false
}

// Symmetric reports whether the verifier's key is a secret that could also sign.
func (a Algorithm) Symmetric() bool { return algorithms[a].scheme == schemeHMAC }

// ByProxy reports whether the proxy checks signatures of the algorithm; the others are checked here, by JWS.Verify.
func (a Algorithm) ByProxy() bool {
	s := algorithms[a].scheme
	return s == schemePKCS1 || s == schemeECDSA
}
