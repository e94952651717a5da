// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
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

// Whatever an issuer's metadata says: keys are fetched from a place that the configuration names.
func FuzzKeysAt(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"issuer":"https://idp.example","jwks_uri":"https://idp.example/k"}`,
		`{"issuer":"https://idp.example","jwks_uri":"https://keys.example:8443/k?x"}`,
		`{"issuer":"https://idp.example","jwks_uri":"https://evil.example/k"}`,
		`{"issuer":"https://idp.example","jwks_uri":"https://idp.example@evil.example/k"}`,
		`{"issuer":"https://idp.example","jwks_uri":"https://idp.example\\.evil.example/k"}`,
		`{"issuer":"https://evil.example","jwks_uri":"https://idp.example/k"}`,
	} {
		f.Add(seed)
	}
	r, o := conf.Read(`{"jwks":{"remote":{"cluster":"idp","authority":"idp.example","discover":true,` +
		`"discoverAuthorities":{"keys.example:8443":"keys"}}}}`)
	d := ReadKeys(o, "corp", "https://idp.example", []jose.Algorithm{jose.RS256}).Remote.Discovery
	if err := r.Err(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		at, err := d.KeysAt(body)
		if err != nil {
			return
		}
		if at.Authority != "idp.example" && at.Authority != "keys.example:8443" ||
			(at.Cluster == "keys") != (at.Authority == "keys.example:8443") || !strings.HasPrefix(at.Path, "/") ||
			strings.ContainsAny(at.Path, " \r\n#\x00") || !strings.Contains(body, "https://idp.example") {
			t.Fatalf("%q is at %+v", body, at)
		}
	})
}
