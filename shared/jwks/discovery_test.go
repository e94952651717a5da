// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"errors"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/conf"
	"github.com/tollgate-wasm/tollgate/shared/jose"
)

func remote(t *testing.T, more string) *Remote {
	t.Helper()
	r, o := conf.Read(`{"jwks":{"remote":{"cluster":"idp","authority":"idp.example"` + more + `}}}`)
	keys := ReadKeys(o, "corp", "https://idp.example", []jose.Algorithm{jose.RS256})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return keys.Remote
}

// J39: where keys are fetched from, by the issuer's metadata.
func TestKeysAt(t *testing.T) {
	d := remote(t, `,"discover":true,"discoverAuthorities":{"keys.example:8443":"keys"}`).Discovery
	metadata := func(url string) string { return `{"issuer":"https://idp.example","jwks_uri":"` + url + `"}` }
	own := func(path string) Place { return Place{"idp", "idp.example", path} }
	for _, c := range []struct {
		name, body string
		at         Place
		err        error
	}{
		{"at the issuer", metadata("https://idp.example/keys"), own("/keys"), nil},
		{"with a query", metadata("https://idp.example/keys?p=a"), own("/keys?p=a"), nil},
		{"with the scheme's port, in capitals", metadata("https://IDP.example:443/keys"), own("/keys"), nil},
		{"over HTTP", metadata("http://idp.example/keys"), own("/keys"), nil},
		{"at an authority that is named", metadata("https://keys.example:8443/a/b"),
			Place{"keys", "keys.example:8443", "/a/b"}, nil},
		{"among much else", `{"x":{"issuer":"y"},"issuer":"https://idp.example","a":[1],"jwks_uri":"https://idp.example/k"}`,
			own("/k"), nil},
		{"behind a byte order mark", "\ufeff" + metadata("https://idp.example/keys"), own("/keys"), nil},
		{"elsewhere", metadata("https://evil.example/keys"), Place{}, ErrElsewhere{"evil.example"}},
		{"at another port", metadata("https://idp.example:8443/keys"), Place{}, ErrElsewhere{"idp.example:8443"}},
		{"at a name that ends alike", metadata("https://xidp.example/keys"), Place{}, ErrElsewhere{"xidp.example"}},
		{"as a user of another host", metadata("https://idp.example@evil.example/keys"), Place{}, ErrKeysURL},
		{"with a backslash", metadata(`https://evil.example\\\\@idp.example/keys`), Place{}, ErrKeysURL},
		{"with a line break", metadata(`https://idp.example/keys\r\nx: y`), Place{}, ErrKeysURL},
		{"with a fragment", metadata("https://idp.example/keys#x"), Place{}, ErrKeysURL},
		{"in a file", metadata("file:///etc/passwd"), Place{}, ErrKeysURL},
		{"without a path", metadata("https://idp.example"), Place{}, ErrKeysURL},
		{"a path", metadata("/keys"), Place{}, ErrKeysURL},
		{"of another issuer", `{"issuer":"https://idp.example/","jwks_uri":"https://idp.example/keys"}`, Place{},
			ErrIssuer{"https://idp.example/", "https://idp.example"}},
		{"of two issuers", `{"issuer":"https://idp.example","issuer":"https://x","jwks_uri":"https://idp.example/keys"}`, Place{},
			ErrMetadata},
		{"with two places", `{"issuer":"https://idp.example","jwks_uri":"https://idp.example/a","jwks_uri":"https://idp.example/b"}`,
			Place{}, ErrMetadata},
		{"without keys", `{"issuer":"https://idp.example"}`, Place{}, ErrMetadata},
		{"without an issuer", `{"jwks_uri":"https://idp.example/keys"}`, Place{}, ErrMetadata},
		{"with a list", `{"issuer":"https://idp.example","jwks_uri":["https://idp.example/keys"]}`, Place{}, ErrMetadata},
		{"a list", `[]`, Place{}, ErrMetadata},
		{"not JSON", `<html>`, Place{}, ErrMetadata},
		{"nothing", ``, Place{}, ErrBody},
		{"very long", strings.Repeat(" ", MaxBody) + metadata("https://idp.example/keys"), Place{}, ErrBody},
	} {
		if at, err := d.KeysAt(c.body); at != c.at || !errors.Is(err, c.err) && err != c.err {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, at, err, c.at, c.err)
		}
	}
}

func TestDiscoveryConfig(t *testing.T) {
	if r := remote(t, `,"discover":true`); r.Path != "/.well-known/openid-configuration" {
		t.Errorf("the path is %s", r.Path)
	}
	if r := remote(t, `,"discover":true,"path":"/realms/shop/.well-known/openid-configuration"`); r.Path !=
		"/realms/shop/.well-known/openid-configuration" {
		t.Errorf("the path is %s", r.Path)
	}
	if r := remote(t, `,"discover":false,"path":"/keys","discoverAuthorities":{"a":"b"}`); r.Discovery != nil {
		t.Error("it discovers")
	}
	for _, c := range []struct{ issuer, more, want string }{
		{"i", ``, "jwks.remote.path: is required"},
		{"", `,"discover":true`, "jwks.remote.discover: needs an issuer that is a plain text: the metadata must name the same one"},
		{"i", `,"discover":true,"discoverAuthorities":{"a":7}`, `jwks.remote.discoverAuthorities.a: want a string, got a number`},
	} {
		r, o := conf.Read(`{"jwks":{"remote":{"cluster":"idp","authority":"idp.example"` + c.more + `}}}`)
		ReadKeys(o, "corp", c.issuer, []jose.Algorithm{jose.RS256})
		if err := r.Err(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.more, err, c.want)
		}
	}
}
