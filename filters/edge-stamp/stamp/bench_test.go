// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package stamp

import (
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
)

// What a request costs here, without the signature itself.
func BenchmarkSign(b *testing.B) {
	p := parse(b, edgeConfig(""))
	headers := request("GET", "/orders/7")
	signature := signText(b, edge, "any text")
	der := []byte{0x30, 0x44, 2, 32}
	der = append(append(append(der, signature[:32]...), 2, 32), signature[32:]...)
	der[4] &= 0x7f // the numbers of ASN.1 are positive
	der[38] &= 0x7f
	var d Decision
	var e forward.Effect
	b.ReportAllocs()
	for b.Loop() {
		if p.Decide(&d, toDecide(headers, true, now)); d.Step() != decide.Sign {
			b.Fatal("it does not sign")
		}
		d.signatureMade(der, nil)
		d.Effect(&e)
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, c := range map[string]struct {
		config  string
		headers [][2]string
	}{
		"jws": {meshConfig(`"require":{"replay":"off"}`), withStamp(edge.Typed(stampTyp, claims()))},
		"message": {meshConfig(`"require":{"replay":"off"},"profile":"rfc9421"`),
			signMessage(b, edge, line4+parameters(), request("GET", asked))},
		"txn": {meshConfig(`"require":{"replay":"off"},` + txnProfile),
			request("GET", asked, [2]string{"txn-token", edge.Typed(txnTyp, txnClaims())})},
		"foreign": {meshConfig(`"trust":[{"name":"partner","signature":{},"algorithms":["ES256"],"jwks":{"inline":` +
			string(mint.Set(partner)) + `}}]`),
			signedBy(b, partner, "s", `("@method" "@target-uri")`+botParams("keyid", `"partner-1"`), request("GET", asked))},
	} {
		b.Run(name, func(b *testing.B) {
			p := parse(b, c.config)
			var d Decision
			var e forward.Effect
			b.ReportAllocs()
			for b.Loop() {
				if p.Decide(&d, toDecide(c.headers, true, now)); d.Step() != decide.CheckSignature {
					b.Fatal("there is no signature to check")
				}
				d.signatureChecked(true, nil)
				d.Effect(&e)
			}
		})
	}
}
