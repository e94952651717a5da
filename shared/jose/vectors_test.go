// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
	"github.com/tollgate-wasm/tollgate/shared/jose"
	"github.com/tollgate-wasm/tollgate/shared/jose/josetest"
	"github.com/tollgate-wasm/tollgate/shared/strictjson"
)

// RFC 7515 appendix A and RFC 7519 §3.1, §6.1. What a JWT verifier makes of them: RS256 and ES256 verify; A.4 signs a payload that is no JSON object; HS256 and none are no
// algorithms that a public key may be used with.
func TestRFCVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name, Alg, JWS string
			JWK            json.RawMessage
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "rfc-jose/rfc7515_appendix_a.json"), &file); err != nil {
		t.Fatal(err)
	}
	limits := jose.Limits{TokenBytes: 8192, JSON: strictjson.Limits{Depth: 16, Members: 256, Number: 32}}
	verified := 0
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			token, err := jose.Parse(c.JWS, limits)
			if c.Alg == "ES512" {
				if err != jose.ErrPayload {
					t.Fatalf("the payload is not JSON: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			alg, ok := jose.ParseAlgorithm(token.Alg)
			if c.Alg == "none" || c.Alg == "HS256" {
				if ok {
					t.Fatalf("J1 J2 %s is an algorithm", token.Alg)
				}
				return
			}
			key, err := jose.ParseKey(gjson.ParseBytes(c.JWK))
			if err != nil || !key.Fits(alg) {
				t.Fatal(err)
			}
			check := func(token *jose.JWS) bool {
				v, err := token.Verification(alg, key)
				if err != nil {
					t.Fatal(err)
				}
				good, err := josetest.Verify(v)
				if err != nil {
					t.Fatal(err)
				}
				return good
			}
			if !check(token) {
				t.Fatal("a good signature is refused")
			}
			// The same token with another character of its payload.
			at := strings.IndexByte(c.JWS, '.') + 1
			other, err := jose.Parse(c.JWS[:at]+"eyJpc3MiOiJqb2Yi"+c.JWS[at+16:], limits)
			if err != nil || check(other) {
				t.Fatalf("the signature of another payload is accepted (%v)", err)
			}
			verified++
		})
	}
	if verified != 2 || len(file.Cases) != 5 {
		t.Fatalf("%d of %d vectors were verified, want 2 of 5", verified, len(file.Cases))
	}
}
