// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

// Algorithm is a signature algorithm of RFC 7518 §3.1. The zero value is none of them; "none" does not exist.
type Algorithm uint8

// The algorithms.
const (
	RS256 Algorithm = iota + 1
	RS384
	RS512
	ES256
	ES384
	ES512
)

type algorithm struct {
	name string
	hash string // as Envoy's verify_signature calls it
	kty  string
	crv  string // EC only
	size int    // bytes of one EC coordinate
}

var algorithms = [...]algorithm{
	RS256: {"RS256", "sha256", "RSA", "", 0},
	RS384: {"RS384", "sha384", "RSA", "", 0},
	RS512: {"RS512", "sha512", "RSA", "", 0},
	ES256: {"ES256", "sha256", "EC", "P-256", 32},
	ES384: {"ES384", "sha384", "EC", "P-384", 48},
	ES512: {"ES512", "sha512", "EC", "P-521", 66},
}

// ParseAlgorithm compares by exact bytes: "rs256" is no algorithm.
func ParseAlgorithm(name string) (Algorithm, bool) {
	for a := RS256; int(a) < len(algorithms); a++ {
		if algorithms[a].name == name {
			return a, true
		}
	}
	return 0, false
}

// AlgorithmNames lists what ParseAlgorithm knows.
func AlgorithmNames() []string {
	var names []string
	for _, a := range algorithms[1:] {
		names = append(names, a.name)
	}
	return names
}

func (a Algorithm) String() string { return algorithms[a].name }
