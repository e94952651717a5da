// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// J43: RFC 9449 §9: proofs need a nonce of this proxy's, or of one that shares its key.
func TestNonce(t *testing.T) {
	policy := func(more string) *Policy {
		config := strings.Replace(testConfig, `"name": "corp",`, `"name": "corp", "senderConstraint": "dpop",`, 1)
		return parse(t, with(config, `"dpop":{"nonce":"required"`+more+`}`))
	}
	p := policy("")
	token := es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, &otherKey.PublicKey)}}))
	ask := func(p *Policy, at time.Time, changes claims) (code *verdict.Code, challenge, nonce string) {
		proof := proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token, claims{"iat": at.Unix()}, changes))
		var d Decision
		p.Decide(&d, asked(dpopRequest("GET", "/any", "DPoP", token, proof), at))
		d.Run((&sender{}).world())
		if d.Verdict().Code != verdict.Internal {
			explained(&d)
		}
		for _, h := range d.Headers(nil) {
			if h[0] == "dpop-nonce" {
				nonce = h[1]
			}
		}
		return d.Verdict().Code, d.Verdict().Challenge, nonce
	}
	if !p.WantsNonceKey() {
		t.Error("no key is wanted")
	}
	if code, _, _ := ask(p, now, nil); code != verdict.Internal {
		t.Errorf("without a key: %s", code.Name)
	}
	p.SetNonceKey([32]byte{1})
	code, challenge, nonce := ask(p, now, nil)
	if code != ProofNonce || nonce == "" || !strings.Contains(challenge, `, error="use_dpop_nonce"`) {
		t.Fatalf("without a nonce: %s, %s, nonce %q", code.Name, challenge, nonce)
	}
	other := policy("")
	other.SetNonceKey([32]byte{2})
	_, _, foreign := ask(other, now, nil)
	for _, c := range []struct {
		name  string
		after time.Duration
		nonce any
		want  *verdict.Code
	}{
		{"at once", 0, nonce, verdict.OK},
		{"again, in another proof", time.Second, nonce, verdict.OK},
		{"in its last second", 299 * time.Second, nonce, verdict.OK},
		{"a second later", 300 * time.Second, nonce, ProofNonce},
		{"before it was made", -time.Second, nonce, ProofNonce},
		{"of another proxy", 0, foreign, ProofNonce},
		{"tampered with", 0, "B" + nonce[1:], ProofNonce},
		{"cut", 0, nonce[:len(nonce)-2], ProofNonce},
		{"a number", 0, 7, ProofNonce},
		{"empty", 0, "", ProofNonce},
	} {
		at := now.Add(c.after)
		if at.Unix() > now.Unix()+60 {
			token = es256(t, good(claims{"cnf": claims{"jkt": thumbprint(t, &otherKey.PublicKey)}, "exp": at.Unix() + 60}))
		}
		code, _, fresh := ask(p, at, claims{"nonce": c.nonce})
		if code != c.want || (fresh != "") != (c.want == ProofNonce) {
			t.Errorf("%s: %s, want %s; nonce %q", c.name, code.Name, c.want.Name, fresh)
		}
	}
	if code, _, _ := ask(p, now, claims{"nonce": nonce, "htm": "POST"}); code != TokenUnbound {
		t.Errorf("a proof that is bad otherwise: %s", code.Name)
	}
	// In shadow mode the request goes on, and as nobody's.
	shadow := parse(t, strings.Replace(with(strings.Replace(testConfig, `"name": "corp",`,
		`"name": "corp", "senderConstraint": "dpop",`, 1), `"dpop":{"nonce":"required"}`), `{`, `{"mode":"shadow",`, 1))
	shadow.SetNonceKey([32]byte{1})
	var d Decision
	shadow.Decide(&d, asked(dpopRequest("GET", "/any", "DPoP", token,
		proof(t, jose.ES256, otherKey, "dpop+jwt", nil, proofClaims(token))), now))
	d.Run((&sender{}).world())
	var e forward.Effect
	if d.Effect(&e); !d.Verdict().Admits() || d.Verdict().Code != ProofNonce || e.Identity != "" {
		t.Errorf("in shadow mode: %s, identity %q", d.Verdict().Code.Name, e.Identity)
	}
	// Proxies with the key of one environment take each other's.
	a, b := policy(`,"nonceKeyEnv":"NONCES"`), policy(`,"nonceKeyEnv":"NONCES"`)
	if a.WantsNonceKey() {
		t.Error("a key is wanted beside that of the environment")
	}
	_, _, nonce = ask(a, now, nil)
	if code, _, _ := ask(b, now, claims{"nonce": nonce}); code != verdict.OK {
		t.Errorf("a nonce of another proxy with the same key: %s", code.Name)
	}
}
