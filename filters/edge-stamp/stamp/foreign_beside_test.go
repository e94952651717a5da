// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

const edgeTrust = `{"name":"edge","issuer":"https://edge","audiences":["mesh"],"jwks":{"inline":%s}}`

// besideStamps is a mesh that takes signatures of bots and stamps of the edge.
func besideStamps(more string) string {
	return meshConfig(`"trust":[` + botTrust("") + `,` + fmt.Sprintf(edgeTrust, mint.Set(edge)) + `]` + more)
}

// S27: what stands where a stamp or its claims do is never passed on beside a signature that says nothing of it.
func TestForeignBesideClaims(t *testing.T) {
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://edge","aud":"mesh","sub":"admin"}`))
	for _, c := range []struct {
		profile, header, value, covers string
		want                           *verdict.Code
	}{
		{"rfc9421", "x-edge-stamp", forged, host, StampUnbound},
		{"rfc9421", "x-edge-stamp", forged, `("@authority" "x-edge-stamp")`, StampUnbound}, // a bot is no edge
		{"rfc9421", "x-edge-stamp", "x", host, StampUnbound},
		{"rfc9421", "x-edge-stamp", "", host, verdict.OK},
		{"rfc9421", "x-other", forged, host, verdict.OK},
		// In the other profiles it is a stamp, and decides alone.
		{"jws", "x-edge-stamp", forged, host, StampMalformed},
		{"jws", "x-other", forged, host, verdict.OK},
		{"txn-token", "txn-token", forged, host, StampMalformed},
		{"txn-token", "x-other", forged, host, verdict.OK},
	} {
		p := parse(t, besideStamps(`,"profile":"`+c.profile+`"`))
		h := request("GET", asked, [2]string{c.header, c.value})
		d := (&proxy{}).decide(p, signedBy(t, bot, "sig1", c.covers+botParams(), h))
		if d.Verdict().Code != c.want || (d.identity != "") != (c.want == verdict.OK) {
			t.Errorf("%s, %s: %q over %s: %s, %s", c.profile, c.header, c.value, c.covers, d.Verdict().Code.Name, d.identity)
		}
		told := slices.Contains(d.Differences(), Difference{"x-edge-stamp", "nothing, as no stamp covers it", c.value})
		if told != (c.want == StampUnbound) {
			t.Errorf("%s, %s: %+v", c.profile, c.header, d.Differences())
		}
	}
}
