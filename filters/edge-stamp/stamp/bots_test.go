// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// botKey is the key of RFC 9421 §B.1.4, called as in a directory of Web Bot Auth: by its thumbprint only.
const botKey = `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}`

// Three implementations that are not ours have signed these, with e2e/edge-stamp/testdata: web-bot-auth
// and http-message-signatures of npm, and http-message-signatures of PyPI. Nothing that they cover
// can change.
func TestWhatBotsHaveSigned(t *testing.T) {
	b, err := os.ReadFile("testdata/bots.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name, Method, URL string
		Headers           map[string]string
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	p := parse(t, meshConfig(`"trust":[{"name":"bots","signature":{},"jwks":{"inline":`+botKey+`}}]`))
	makers := map[string]int{}
	for _, one := range list {
		u, err := url.Parse(one.URL)
		if err != nil {
			t.Fatal(err)
		}
		maker, _, _ := strings.Cut(one.Name, ":")
		makers[maker]++
		h := [][2]string{{":method", one.Method}, {":scheme", u.Scheme}, {":authority", u.Host}, {":path", u.RequestURI()}}
		covers := one.Headers["Signature-Input"]
		for name, value := range one.Headers {
			h = append(h, [2]string{strings.ToLower(name), value})
		}
		d := (&proxy{}).decide(p, h)
		if d.Verdict().Code != verdict.OK ||
			d.identity != `{"iss":"bots","keyid":"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"}` {
			t.Errorf("%s: %s, %s", one.Name, d.Verdict().Code.Name, d.identity)
		}
		has := func(names ...string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(covers, `"`+n+`"`) })
		}
		for _, c := range []struct {
			name, value string
			covered     bool
		}{
			{":authority", "other.example.com", true},
			{":method", "POST", has("@method")},
			{":path", "/orders/8?a=1", has("@path", "@target-uri", "@request-target")},
			{":path", "/orders/7?a=2", has("@query", "@target-uri", "@request-target")},
			{"signature-agent", `a="https://evil.example", b="https://evil.example"`, has("signature-agent")},
			{"x-b", "two", has("x-b")},
			{"signature-input", strings.Replace(covers, "created=18", "created=17", 1), true},
			{"signature-input", strings.Replace(covers, "expires=18", "expires=19", 1), true},
		} {
			code := (&proxy{}).decide(p, replaceHeader(h, c.name, c.value)).Verdict().Code
			if (code == verdict.OK) == c.covered {
				t.Errorf("%s: with another %s, %s", one.Name, c.name, code.Name)
			}
		}
	}
	if len(list) != 9 || makers["web-bot-auth"] != 3 || makers["http-message-signatures of npm"] != 3 ||
		makers["http-message-signatures of PyPI"] != 3 {
		t.Errorf("%d of %v", len(list), makers)
	}
}
