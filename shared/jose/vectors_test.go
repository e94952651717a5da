// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/e2e/vectors"
)

// RFC 7515 appendix A and RFC 7519 §3.1, §6.1: each as it is, and with another character in its payload.
func TestRFCVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name, Alg, JWS, Result string
			JWK                    json.RawMessage
		}
	}
	if err := json.Unmarshal(vectors.Read(t, "rfc-jose/rfc7515_appendix_a.json"), &file); err != nil {
		t.Fatal(err)
	}
	verified := 0
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			key := gjson.ParseBytes(c.JWK)
			if got := verifies(t, c.JWS, key, true); got != (c.Result == "valid") {
				t.Fatalf("accepted %v, want %s", got, c.Result)
			}
			// A.4 signs a text that is no JSON object, so it is a JWS but no JWT.
			if got := verifies(t, c.JWS, key, false); got != (c.Result == "valid" && c.Alg != "ES512") {
				t.Fatalf("as a JWT: accepted %v", got)
			}
			at := strings.IndexByte(c.JWS, '.') + 3
			other := c.JWS[:at] + string(c.JWS[at]^1) + c.JWS[at+1:]
			if verifies(t, other, key, true) {
				t.Fatal("the signature of another payload is accepted")
			}
			verified++
		})
	}
	if verified != 5 {
		t.Fatalf("%d vectors were run, want 5", verified)
	}
}
