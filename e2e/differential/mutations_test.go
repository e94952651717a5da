// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// seed of everything that is chosen by chance: the same places on every run, for each kind by
// itself. Keys are fresh ones.
const seed = 20261121

// request is one token on its way, as a client sends it.
type request struct {
	kind    string // of mutation
	alg     string // of the key
	headers [][2]string
	library bool // golang-jwt's verdict
}

func (r *request) key() string { return fmt.Sprint(r.headers) }

// generator makes the requests for one key.
type generator struct {
	*identity
	others []*identity
	number int
	out    []request
}

func newGenerator(id *identity, all []*identity) *generator {
	g := &generator{identity: id}
	for _, other := range all {
		if other != id {
			g.others = append(g.others, other)
		}
	}
	return g
}

// chance is the source of what is chosen by chance for one kind.
func (g *generator) chance(kind string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, g.alg(), kind)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// claims of a token that has not been made before.
func (g *generator) claims() members {
	g.number++
	return claims(g.number)
}

func (g *generator) good() string { return g.token(g.header().String(), g.claims().String()) }

func (g *generator) send(kind string, headers ...[2]string) {
	g.out = append(g.out, request{kind: kind, alg: g.alg(), headers: headers})
}

func (g *generator) sendToken(kind, token string) {
	// What HTTP/1.1 does not carry inside a header is no token that could arrive (RFC 9110 §5.5).
	for i := range len(token) {
		if c := token[i]; c < ' ' && c != '\t' || c == 0x7f {
			return
		}
	}
	g.send(kind, [2]string{"Authorization", "Bearer " + token})
}

// operation changes one place of a text.
type operation struct {
	name string
	do   func(r *rand.Rand, s string) string
}

var operations = []operation{
	{"bit flipped", func(r *rand.Rand, s string) string {
		i := r.IntN(len(s))
		return s[:i] + string([]byte{s[i] ^ 1<<r.IntN(8)}) + s[i+1:]
	}},
	{"byte inserted", func(r *rand.Rand, s string) string {
		i := r.IntN(len(s) + 1)
		return s[:i] + string([]byte{byte(r.IntN(256))}) + s[i:]
	}},
	{"character inserted", func(r *rand.Rand, s string) string {
		i := r.IntN(len(s) + 1)
		return s[:i] + string(" =.-_+/,~A0"[r.IntN(11)]) + s[i:]
	}},
	{"byte deleted", func(r *rand.Rand, s string) string {
		i := r.IntN(len(s))
		return s[:i] + s[i+1:]
	}},
	{"neighbours swapped", func(r *rand.Rand, s string) string {
		i := r.IntN(len(s) - 1)
		return s[:i] + s[i+1:i+2] + s[i:i+1] + s[i+2:]
	}},
}

var partNames = [3]string{"header", "payload", "signature"}

// damage changes tokens as they travel: nothing is signed again.
func (g *generator) damage(times int) {
	base := []string{g.good(), g.good(), g.good(), g.good()}
	for i, part := range partNames {
		for _, op := range operations {
			kind := "in transit, " + part + ": " + op.name
			r := g.chance(kind)
			for n := range times {
				token := base[n%len(base)]
				parts := strings.Split(token, ".")
				// What chance makes of a signature's last characters depends on the key; base64 and
				// signatures have kinds for what can be made of them.
				body, end := parts[i], ""
				if i == 2 {
					body, end = body[:len(body)-4], body[len(body)-4:]
				}
				if parts[i] = op.do(r, body) + end; strings.Join(parts, ".") != token {
					g.sendToken(kind, strings.Join(parts, "."))
				}
			}
		}
	}
	r := g.chance("in transit: cut")
	for n := range 2 * times {
		token := base[n%len(base)]
		g.sendToken("in transit: cut short", token[:r.IntN(len(token))])
		g.sendToken("in transit: its start missing", token[1+r.IntN(len(token)-1):])
	}
	for range times / 2 {
		a, b := strings.Split(g.good(), "."), strings.Split(g.good(), ".")
		g.sendToken("in transit: another token's payload", a[0]+"."+b[1]+"."+a[2])
		g.sendToken("in transit: another token's signature", a[0]+"."+a[1]+"."+b[2])
	}
}

// rewrite changes the JSON texts and signs them: what a careless or a curious issuer might sign.
func (g *generator) rewrite(times int) {
	for _, op := range operations {
		kind := "signed, header: " + op.name
		r := g.chance(kind)
		for range times {
			header := g.header().String()
			if changed := op.do(r, header); changed != header {
				g.sendToken(kind, g.token(changed, g.claims().String()))
			}
		}
		kind = "signed, claims: " + op.name
		r = g.chance(kind)
		for range times {
			payload := g.claims().String()
			if changed := op.do(r, payload); changed != payload {
				g.sendToken(kind, g.token(g.header().String(), changed))
			}
		}
	}
}

// generate makes all requests for a key.
func (g *generator) generate() []request {
	for range 20 {
		g.sendToken("as minted", g.good())
		// With a header and an order of members of go-jose's own.
		g.number++
		g.sendToken("as minted",
			g.Token(map[string]any{"iss": issuer, "aud": []string{"x", audience}, "exp": future, "jti": fmt.Sprint(g.number)}))
	}
	g.damage(60)
	g.rewrite(80)
	for round := range 2 {
		g.base64(round)
		g.parts()
		g.transport()
		g.headers()
		g.payloads()
		g.signatures()
	}
	return g.out
}
