// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// Whatever stands in the stamp's headers: nobody gets in with another stamp than the one that was
// signed for the request, and what is said of the client is what was signed.
func FuzzStamp(f *testing.F) {
	jws, message := parse(f, meshConfig("")), parse(f, meshConfig(`"profile":"rfc9421"`))
	good := edge.Typed(stampTyp, claims())
	signed := signMessage(f, edge, line4+parameters(), request("GET", asked))
	input, signature := header(signed, "signature-input"), header(signed, "signature")
	f.Add(good, input, signature, "")
	f.Add(good+",", input+", "+input, signature, "e30")
	f.Add(strings.Replace(good, ".", "..", 1), strings.Replace(input, "edge", "EDGE", 1), "edge=::", "x")
	f.Add("e30.e30.", `edge=();tag="edge-stamp"`, "edge=:AAAA:", "eyJpc3MiOiJodHRwczovL2VkZ2UifQ")
	f.Fuzz(func(t *testing.T, stamp, in, sig, claims string) {
		if d := (&proxy{}).decide(jws, withStamp(stamp)); d.Verdict().Admits() && stamp != good {
			t.Fatalf("%q is admitted", stamp)
		}
		headers := request("GET", asked, [2]string{"signature-input", in}, [2]string{"signature", sig})
		if claims != "" {
			headers = append(headers, [2]string{"x-edge-stamp", claims})
		}
		d := (&proxy{}).decide(message, headers)
		if d.Verdict().Admits() &&
			(d.identity != "" || !strings.Contains(in,
				`edge=("@method" "@authority" "@path" "@query");created=1800000000`)) && !sameInput(in, input) {
			t.Fatalf("%q %q %q is admitted", in, sig, claims)
		}
		if d.Verdict().Code == verdict.Internal {
			t.Fatalf("%q %q: internal", in, sig)
		}
	})
}

// sameInput reports whether two values of Signature-Input differ in white space and other labels
// only: the signature does not cover those.
func sameInput(a, b string) bool {
	return strings.Contains(strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", ""))
}

// Whatever a client sends: what goes on has no stamp but the edge's own, in no spelling.
func FuzzSign(f *testing.F) {
	type profile struct{ edge, mesh *Policy }
	var profiles []profile
	for _, name := range []string{"jws", "rfc9421"} {
		profiles = append(profiles,
			profile{parse(f, edgeConfig(`"copyClaims":["sub"],"profile":"`+name+`"`)),
				parse(f, meshConfig(`"profile":"`+name+`"`))})
	}
	f.Add("x-edge-stamp", "x", "signature", `edge=:YQ==:, a=:YQ==:`, `{"sub":"ann"}`)
	f.Add("x_edge_stamp", "x", "signature-input", `a=("@path"), edge=()`, `{"sub":["\"}"]}`)
	f.Add("signature_input", "edge=()", "signature", "edge=:YQ==:, edge=:YQ==:", "")
	f.Fuzz(func(t *testing.T, a, av, b, bv, identity string) {
		headers := request("GET", asked, [2]string{strings.ToLower(a), av}, [2]string{strings.ToLower(b), bv})
		if strings.HasPrefix(a, ":") || strings.HasPrefix(b, ":") {
			return // the proxy has these from the request line
		}
		for _, p := range profiles {
			d := (&proxy{identity: identity}).decide(p.edge, headers)
			if !d.Verdict().Admits() {
				return
			}
			out := effect(d, headers)
			stamps := 0
			for _, h := range out {
				if strings.ReplaceAll(h[0], "_", "-") == "x-edge-stamp" {
					stamps++
				}
			}
			for _, name := range []string{"signature", "signature-input", "signature_input"} {
				_, n := httpsig.Member(strings.Join(values(out, name), ", "), "edge")
				switch {
				case !p.edge.message && !slices.Equal(values(out, name), values(headers, name)):
					t.Fatalf("%s is touched: %q", name, out)
				case p.edge.message && name == "signature_input" && n != 0, p.edge.message && name != "signature_input" && n != 1:
					t.Fatalf("%d stamps in %s: %q", n, name, out)
				}
			}
			if v := (&proxy{}).decide(p.mesh, out); !p.edge.message && stamps != 1 || stamps > 1 ||
				v.Verdict().Code != verdict.OK {
				t.Fatalf("%d stamps go on, the mesh says %s: %v", stamps, v.Verdict().Code.Name, out)
			}
		}
	})
}

// Whatever stands in the fields of signatures: nobody is taken for a bot but who has signed for the
// host by its key, and a named label and any label differ in what they read only.
func FuzzForeign(f *testing.F) {
	any, named := parse(f, botConfig(`"nonce":"once"`, "")), parse(f, botConfig(`"label":"sig1","nonce":"once"`, ""))
	good := signedBy(f, bot, "sig1", host+botParams(), request("GET", asked))
	input, signature := header(good, "signature-input"), header(good, "signature")
	_, params, _ := strings.Cut(input, "=")
	f.Add(input, signature, "")
	f.Add(input+`, sig2=("@path");keyid="x";tag="web-bot-auth"`, signature+", sig2=:YQ==:", `sig1="https://bot.example"`)
	f.Add(strings.Replace(input, `("@authority")`, `("@authority" "signature-agent";key="sig1")`, 1), signature, `sig1="x"`)
	f.Add(input, "sig1=:AAAA:, "+signature, `"x"`)
	f.Add(`sig1=();tag="web-bot-auth"`, "sig1=::", "")
	f.Fuzz(func(t *testing.T, in, sig, agent string) {
		h := request("GET", asked, [2]string{"signature-input", in}, [2]string{"signature", sig})
		if agent != "" {
			h = append(h, [2]string{"signature-agent", agent})
		}
		for _, p := range []*Policy{any, named} {
			d := (&proxy{}).decide(p, h)
			if d.Verdict().Code == verdict.Internal {
				t.Fatalf("%q %q: internal", in, sig)
			}
			if d.Verdict().Admits() && !sameInput(in, params) {
				t.Fatalf("%q %q %q is admitted", in, sig, agent)
			}
			if d.Verdict().Admits() != (d.identity == `{"iss":"bots","keyid":"`+botName+`"}`) {
				t.Fatalf("%q %q: the identity is %s", in, sig, d.identity)
			}
		}
	})
}

// Whatever an identity has in it: what the edge makes of it is a Txn-Token that the mesh takes, or
// there is none, and it says what the identity says.
func FuzzTxn(f *testing.F) {
	edge := parse(f, edgeConfig(txnProfile+`,"copyClaims":{"tctx":{"a":["a"]},"rctx":{"b":["b","c"]}}`))
	mesh := parse(f, meshConfig(txnProfile))
	f.Add(known)
	f.Add(`{"sub":"ann","scope":["a","b"],"txn":"t","a":{"b":[1]},"b":{"c":null}}`)
	f.Add(`{"sub":"\u0000\"}","scope":"\\","txn":1}`)
	f.Fuzz(func(t *testing.T, identity string) {
		d := (&proxy{identity: identity}).decide(edge, request("GET", asked))
		if !d.Verdict().Admits() {
			return
		}
		v := (&proxy{}).decide(mesh, effect(d, request("GET", asked)))
		claims := gjson.Parse(identity)
		if v.Verdict().Code != verdict.OK || v.stamped.claims.Get("sub").Str != claims.Get("sub").Str {
			t.Fatalf("%q becomes %s: %s", identity, v.Verdict().Code.Name, v.identity)
		}
	})
}
