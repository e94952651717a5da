// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// The alg of a key may have the names of RFC 9421 and RFC 9864; each algorithm of RFC 9421 has one.
func TestAlgorithmsOfKeys(t *testing.T) {
	for name, want := range map[string]Algorithm{"ed25519": EdDSA, "Ed25519": EdDSA, "EdDSA": EdDSA,
		"ecdsa-p256-sha256": ES256, "ecdsa-p384-sha384": ES384, "rsa-pss-sha512": PS512, "rsa-v1_5-sha256": RS256,
		"hmac-sha256": HS256, "ES512": ES512, "": 0, "ED25519": 0, "none": 0, "ed448": 0} {
		if a, ok := parseKeyAlgorithm(name); a != want || ok != (want != 0) {
			t.Errorf("%q is %d", name, a)
		}
	}
	const ed = `{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs","alg":"ed25519"}`
	k, err := ParsePublished(gjson.Parse(ed))
	if err != nil || !k.Fits(EdDSA) || k.Thumbprint() != "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U" {
		t.Errorf("%v, %v", k, err) // the thumbprint is that of RFC 8037 §A.3 for this kind of key
	}
	if _, err := ParsePublished(gjson.Parse(strings.Replace(ed, "ed25519", "ecdsa-p256-sha256", 1))); err != ErrKeyAlg {
		t.Errorf("a name of another type's: %v", err)
	}
	if _, ok := ParseAlgorithm("ed25519"); ok {
		t.Error("a token may not have that name")
	}
}
