// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

const (
	issuer   = "https://idp.example/realms/shop"
	audience = "orders-api"

	// The dates are fixed and far from any clock, so that no verdict depends on when the test runs:
	// the year 2100, and 2023.
	future, past = 4102444800, 1700000000
)

// identity is a key of the issuer, with a forger's key of the same algorithm and the same kid.
type identity struct {
	*mint.Key
	forger *mint.Key
}

func newIdentity(alg jose.SignatureAlgorithm) *identity {
	kid := "key-" + string(alg)
	return &identity{mint.New(kid, alg), mint.New(kid, alg)}
}

func (id *identity) alg() string { return string(id.Algorithm) }

// sign signs a text as it stands: go-jose would make a header of its own.
func sign(k *mint.Key, alg, text string) []byte {
	signature, err := jwt.GetSigningMethod(alg).Sign(text, k.Private())
	if err != nil {
		panic(err) // a mistake in a mutation
	}
	return signature
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signed is a compact JWS of two parts that are encoded already.
func (id *identity) signed(header, payload string) string {
	text := header + "." + payload
	return text + "." + encode(sign(id.Key, id.alg(), text))
}

// token is a compact JWS of two JSON texts, whatever they are.
func (id *identity) token(header, payload string) string {
	return id.signed(encode([]byte(header)), encode([]byte(payload)))
}

// members are the members of a JSON object in their order; the values, and the names between their
// quotes, stand as they will be written.
type members [][2]string

func (m members) String() string {
	var b strings.Builder
	for i, member := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s":%s`, member[0], member[1])
	}
	return "{" + b.String() + "}"
}

// with replaces the member called name, or adds it at the end.
func (m members) with(name, value string) members {
	out := append(members{}, m...)
	for i := range out {
		if out[i][0] == name {
			out[i][1] = value
			return out
		}
	}
	return append(out, [2]string{name, value})
}

func (m members) without(name string) members {
	var out members
	for _, member := range m {
		if member[0] != name {
			out = append(out, member)
		}
	}
	return out
}

// before and behind add a member, also one that is there already.
func (m members) before(name, value string) members {
	return append(members{{name, value}}, m...)
}

func (m members) behind(name, value string) members {
	return append(m[:len(m):len(m)], [2]string{name, value})
}

func (m members) renamed(from, to string) members {
	out := append(members{}, m...)
	for i := range out {
		if out[i][0] == from {
			out[i][0] = to
		}
	}
	return out
}

func quote(s string) string { return `"` + s + `"` }

func (id *identity) header() members {
	return members{{"alg", quote(id.alg())}, {"kid", quote(id.ID)}, {"typ", `"JWT"`}}
}

// claims are good ones; the number makes every token another.
func claims(number int) members {
	return members{{"iss", quote(issuer)}, {"aud", quote(audience)}, {"sub", `"ann"`}, {"exp", fmt.Sprint(future)},
		{"iat", fmt.Sprint(past)}, {"scope", `"orders:read"`}, {"jti", quote(fmt.Sprintf("jti-%05d", number))}}
}
