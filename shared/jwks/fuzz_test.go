// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// Whatever an issuer publishes: a document that is taken has keys, no secret among them and no kid
// twice, and a changed byte in a repeated member name is no other document.
func FuzzReadDocument(f *testing.F) {
	const ec = `{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	for _, seed := range []string{
		"", "<html>", "null", `{}`, `{"keys":null}`, `{"keys":[]}`, `{"keys":[` + ec + `]}`, `{"keys":[` + ec + `,` +
			ec + `]}`, `{"keys":[` + ec + `],"keys":[]}`, `{"keys":[[` + ec + `]]}`,
		`{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 43) +
			`"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` +
			strings.Repeat("A", 43) + `"}]}`,
		`{"keys":[` + strings.Replace(ec, `"kid":"a"`, `"kid":7`, 1) + `]}`, `{"keys":[` +
			strings.Replace(ec, `"P-256"`, `"P-521"`, 1) + `]}`, `{"keys":[` + strings.Repeat(ec+",", 70) + ec + `]}`,
		`{"keys":[` + strings.Replace(ec, `{`, `{"use":"enc",`, 1) + `]}`, `{"keys":[` +
			strings.Replace(ec, `{`, `{"d":"AAAA",`, 1) + `]}`, "\ufeff" + `{"keys":[` + ec + `]}`, `{"keys":[` + ec + `]} x`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		set, _, err := ReadDocument(body)
		if err != nil {
			if set != nil {
				t.Fatal("a refused document gives keys")
			}
			return
		}
		if set.Len() == 0 || set.Len() > MaxKeys || len(body) > MaxBody || !gjson.Valid(strings.TrimPrefix(body, "\ufeff")) {
			t.Fatalf("%d keys of %q", set.Len(), body)
		}
		for i, k := range set.keys {
			if k.Symmetric() {
				t.Fatalf("a secret in %q", body)
			}
			for _, other := range set.keys[:i] {
				if k.ID != "" && k.Like(other) {
					t.Fatalf("two keys that %q could mean in %q", k.ID, body)
				}
			}
		}
	})
}
