// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/jose"
)

// A keyid is a kid first, then a thumbprint, and a key has one name.
func TestByKeyID(t *testing.T) {
	name := jose.Thumbprint(gjson.Parse(p256()))
	other := jose.Thumbprint(gjson.Parse(otherP256()))
	set := func(keys ...string) *Set {
		t.Helper()
		s, faults := Parse(gjson.Parse(keyed(keys...)), true)
		if len(faults) > 0 {
			t.Fatalf("%v", faults)
		}
		return s
	}
	both := []jose.Algorithm{jose.EdDSA, jose.ES256}
	const secret = `{"kty":"oct","k":"YSBzZWNyZXQgb2YgMzIgYnl0ZXMgb3IgbW9yZSwgYXM"}`
	for _, c := range []struct {
		name, keyid string
		by          KeyName
		set         *Set
		algorithms  []jose.Algorithm
		called      string
		err         error
	}{
		{"by its kid", "a", ByKID, set(p256(`"kid":"a"`)), both, "a", nil},
		{"by its kid, where a thumbprint is asked for", "a", ByThumbprint, set(p256(`"kid":"a"`)), both, "", ErrUnknown},
		{"by its thumbprint, where a kid is asked for", name, ByKID, set(p256(`"kid":"a"`)), both, "", ErrUnknown},
		{"by its thumbprint", name, ByThumbprint, set(p256(`"kid":"a"`)), both, "a", nil},
		{"by its thumbprint, without kid", name, ByThumbprint, set(otherP256(), p256()), both, name, nil},
		{"by the kid that is another's thumbprint", name, ByKID, set(p256(), otherP256(`"kid":"`+name+`"`)), both, name, nil},
		{"by nothing", "", ByKID, set(p256(), secret), both, "", ErrUnknown},
		{"by a thumbprint that is nothing", "", ByThumbprint, set(p256(), secret), both, "", ErrUnknown},
		{"by nothing that is there", other, ByThumbprint, set(p256(`"kid":"a"`)), both, "", ErrUnknown},
		{"for another algorithm", "a", ByKID, set(p256(`"kid":"a"`)), both[:1], "", ErrAlgorithm},
		{"by a thumbprint for another algorithm", name, ByThumbprint, set(p256()), both[:1], "", ErrAlgorithm},
		{"by a thumbprint that a key of another algorithm has as its kid", name, ByThumbprint,
			set(p384(`"kid":"`+name+`"`), p256()), both, name, nil},
		{"of two with a kid, the one that fits", "a", ByKID, set(p384(`"kid":"a"`), p256(`"kid":"a"`)), both, "a", nil},
	} {
		key, a, called, err := c.set.ByKeyID(c.keyid, c.by, c.algorithms)
		if err != c.err || called != c.called || (key == nil) != (err != nil) || err == nil && a != jose.ES256 {
			t.Errorf("%s: %v, %v, %q, %v", c.name, key, a, called, err)
		}
	}
	s := set(p256(), otherP256(`"kid":"`+name+`"`))
	for by, kid := range []string{ByThumbprint: "", ByKID: name} {
		if key, _, _, _ := s.ByKeyID(name, KeyName(by), both); key == nil || key.ID != kid {
			t.Errorf("by %d: %v", by, key)
		}
	}
}
