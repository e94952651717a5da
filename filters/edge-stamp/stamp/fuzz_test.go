// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"slices"
	"strings"
	"testing"

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
				_, n := httpsig.Member(values(out, name), "edge")
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
