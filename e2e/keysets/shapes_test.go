// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package keysets

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
)

type M = map[string]any

// The keys of all issuers: the last of a set signs the tokens.
var (
	rsaA, rsaB = mint.New("", jose.RS256), mint.New("", jose.RS256)
	ecA, ecB   = mint.New("", jose.ES256), mint.New("", jose.ES256)
)

// key is one of a set, and who has the private half.
type key struct {
	jwk    M
	signer *mint.Key
}

// shape is what an issuer publishes, the last key being the one that signs.
type shape struct {
	name string
	top  M // members beside keys
	keys []key
}

// of is a public key with more members.
func of(signer *mint.Key, more M) key {
	jwk := M{}
	if err := json.Unmarshal([]byte(signer.PublicJWK()), &jwk); err != nil {
		panic(err)
	}
	maps.Copy(jwk, more)
	return key{jwk, signer}
}

// certified adds what issuers say about a certificate of the key (RFC 7517 §4.7 to §4.9), without the members named.
func certified(signer *mint.Key, more M, without ...string) key {
	private, ok := signer.Private().(crypto.Signer)
	if !ok {
		panic("a secret has no certificate")
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	sum, sum256 := sha1.Sum(der), sha256.Sum256(der)
	k := of(signer, M{"x5c": []string{base64.StdEncoding.EncodeToString(der)}, "x5t": encode(sum[:]),
		"x5t#S256": encode(sum256[:])})
	maps.Copy(k.jwk, more)
	for _, name := range without {
		delete(k.jwk, name)
	}
	return k
}

var shapes = []shape{
	{"Keycloak", nil, []key{
		certified(rsaA, M{"kid": "oaep-1", "alg": "RSA-OAEP", "use": "enc"}),
		certified(rsaB, M{"kid": "rs-1", "alg": "RS256", "use": "sig"}),
	}},
	{"Entra", nil, []key{
		certified(rsaA, M{"kid": "T1St-dLTvyWRgxB_676u8krXS-I", "use": "sig", "cloud_instance_name": "login.example",
			"issuer": "https://login.example/{tenantid}/v2.0"}, "x5t#S256"),
		certified(rsaB, M{"kid": "X5eXk4xyojNFum1kl2Ytv8dlNP4", "use": "sig", "cloud_instance_name": "login.example",
			"issuer": "https://login.example/{tenantid}/v2.0"}, "x5t#S256"),
	}},
	{"Okta", nil, []key{of(rsaA, M{"kid": "RGy2uFqGzLqv3gY1eJlS1PAVMGQtpnqRMLQYBRGjJdE", "alg": "RS256", "use": "sig"})}},
	{"Auth0", nil, []key{
		certified(rsaA, M{"kid": "NjVBRjY5", "alg": "RS256", "use": "sig"}, "x5t#S256"),
		certified(rsaB, M{"kid": "OTU3MEU4", "alg": "RS256", "use": "sig"}, "x5t#S256"),
	}},
	{"Cognito", nil, []key{
		of(rsaA, M{"kid": "1234example=", "alg": "RS256", "use": "sig"}), of(rsaB,
			M{"kid": "5678example=", "alg": "RS256", "use": "sig"}),
	}},
	{"Google", nil, []key{
		of(rsaA, M{"kid": "85b6bd7d1a94ac9b8c3a7f7fbb3b2f62d0d9f0b1", "alg": "RS256", "use": "sig"}), of(rsaB,
			M{"kid": "e863fe292fa2a2967cd7551c42a1211bcac55071", "alg": "RS256", "use": "sig"}),
	}},
	{"Firebase", nil, []key{
		of(rsaA, M{"kid": "a1", "alg": "RS256", "use": "sig"}), of(rsaA, M{"kid": "a2", "alg": "RS256", "use": "sig"}),
		of(rsaB, M{"kid": "a3", "alg": "RS256", "use": "sig"}),
	}},
	{"GitHub Actions", nil, []key{
		certified(rsaA, M{"kid": "38826b17-6a30-5f9b-b169-8beb8202f723", "alg": "RS256", "use": "sig"}, "x5t#S256"),
		certified(rsaB, M{"kid": "1F2AB83404C08EC9EA0BB99DAED02186B091DBF4", "alg": "RS256", "use": "sig"}, "x5t#S256"),
	}},
	{"GitLab CI", nil, []key{
		of(rsaA, M{"kid": "kewiQq9jiC84CvSsJYOB-N6A8WFLSV20Mb-y7IlWDSQ", "alg": "RS256", "use": "sig"}), of(rsaB,
			M{"kid": "4i3sFE7sxqNPOT7FdvcGA1ZVGGI_r-tsDXnEuYT4ZqE", "alg": "RS256", "use": "sig"})}},
	{"Kubernetes", nil, []key{
		of(rsaA, M{"kid": "ptRDqXhJdgvXjOVd3Yhy0LZ5_oIO2Sl1GhxoDvVgQ28", "alg": "RS256", "use": "sig"})}},
	{"SPIFFE", M{"spiffe_sequence": 12, "spiffe_refresh_hint": 300}, []key{
		certified(ecA, M{"use": "x509-svid"}, "x5t", "x5t#S256"), of(ecB,
			M{"kid": "C6vs25welZOx6WksNYfbMfiw9l96pMnD", "use": "jwt-svid"}),
	}},
	{"Apple", nil, []key{
		of(rsaA, M{"kid": "Sf2lFqwkpX", "alg": "RS256", "use": "sig"}), of(rsaA,
			M{"kid": "T8tIJ1zSrO", "alg": "RS256", "use": "sig"}),
		of(rsaB, M{"kid": "FftONTxoEg", "alg": "RS256", "use": "sig"}),
	}},
	{"Ping", nil, []key{
		certified(rsaA, M{"kid": "k1", "use": "sig"}, "x5t#S256"), certified(ecA,
			M{"kid": "k2", "use": "sig", "alg": "ES256"}, "x5c", "x5t#S256"),
	}},
	{"Zitadel", nil, []key{of(rsaA, M{"kid": "251786742382067713", "alg": "RS256", "use": "sig"}),
		of(rsaB, M{"kid": "251823187641155585", "alg": "RS256", "use": "sig"})}},
	{"Hydra", nil, []key{
		of(rsaA, M{"kid": "public:hydra.openid.id-token", "alg": "RS256", "use": "sig"}), of(ecA,
			M{"kid": "public:hydra.jwt.access-token", "alg": "ES256", "use": "sig"}),
	}},
}

// document is what is served, with the header parameters of a token of its last key.
type document struct {
	name, body string
	signer     *mint.Key
	kid        string
}

// variations are what one issuer or another does to a set. They change copies: the members of the
// document, its keys, the last of which signs, and the kid of the token.
var variations = []struct {
	name   string
	change func(top M, keys []M, kid *string) (more []M)
	text   func(body string) string
}{
	{name: "as it is"},
	{name: "numbers with a leading zero octet", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			for _, member := range numbers(k) {
				k[member] = encode(append([]byte{0}, decode(k[member])...))
			}
		}
		return nil
	}},
	{name: "numbers with padding", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			for _, member := range numbers(k) {
				k[member] = base64.URLEncoding.EncodeToString(decode(k[member]))
			}
		}
		return nil
	}},
	{name: "null members", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			k["d"], k["key_ops"] = nil, nil
			if k["use"] != "enc" {
				k["alg"] = nil
			}
		}
		return nil
	}},
	{name: "keys without kid", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			delete(k, "kid")
		}
		return nil
	}},
	{name: "a token without kid", change: func(_ M, _ []M, kid *string) []M {
		*kid = ""
		return nil
	}},
	{name: "another key of the same kid", change: func(_ M, keys []M, _ *string) []M {
		last := keys[len(keys)-1]
		other := of(ecB, M{"kid": last["kid"]}).jwk
		if last["kty"] == "EC" {
			other = of(rsaB, M{"kid": last["kid"]}).jwk
		}
		return []M{other}
	}},
	{name: "one kid for three algorithms", change: func(_ M, keys []M, _ *string) []M {
		last := keys[len(keys)-1]
		if last["kty"] == "EC" {
			last["alg"] = "ES256"
			return nil
		}
		last["alg"] = "RS256"
		more := []M{maps.Clone(last), maps.Clone(last)}
		more[0]["alg"], more[1]["alg"] = "RS384", "RS512"
		return more
	}},
	{name: "a key of a kind that is new", change: func(M, []M, *string) []M {
		return []M{{"kty": "AKP", "kid": "pq", "alg": "ML-DSA-65", "use": "sig", "pub": "AAAA"}}
	}},
	{name: "operations", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			if k["use"] != "enc" {
				delete(k, "use")
				k["key_ops"] = []string{"verify"}
			}
		}
		return nil
	}},
	{name: "neither use nor alg", change: func(_ M, keys []M, _ *string) []M {
		for _, k := range keys {
			if k["use"] != "enc" {
				delete(k, "use")
				delete(k, "alg")
			}
		}
		return nil
	}},
	{name: "the same key twice", change: func(_ M, keys []M, _ *string) []M { return []M{maps.Clone(keys[len(keys)-1])} }},
	{name: "the same key with its algorithm and without", change: func(_ M, keys []M, _ *string) []M {
		more := maps.Clone(keys[len(keys)-1])
		delete(more, "alg")
		return []M{more}
	}},
	{name: "another key of the same kid without algorithm", change: func(_ M, keys []M, _ *string) []M {
		last := keys[len(keys)-1]
		if last["kty"] == "EC" {
			last["alg"] = "ES256"
			return []M{of(ecB, M{"kid": last["kid"]}).jwk}
		}
		last["alg"] = "RS256"
		return []M{of(rsaA, M{"kid": last["kid"]}).jwk}
	}},
	{name: "members that nobody could read", change: func(top M, keys []M, _ *string) []M {
		deep := any("x")
		for range 30 {
			deep = []any{deep}
		}
		top["deep"], top["nul"] = deep, "a\x00b"
		for _, k := range keys {
			k["long"] = json.Number("1" + strings.Repeat("0", 90))
		}
		return nil
	}},
	{name: "members that nobody knows", change: func(top M, keys []M, _ *string) []M {
		top["issuer"], top["expires"], top["extensions"] = "https://idp.example", 1.5e9, M{"a": []any{nil, true, M{}}}
		for _, k := range keys {
			k["exp"], k["iat"], k["x5u"], k["oth2"] = 1999999999, 1.7e9, "https://idp.example/x", []any{M{"d": "x"}}
		}
		return nil
	}},
	{name: "a byte order mark", text: func(body string) string { return "\ufeff" + body }},
	{name: "white space", text: func(body string) string { return "\r\n\t " + body + "\n\n" }},
}

// numbers are the members of a JWK that are numbers.
func numbers(k M) []string {
	if k["kty"] == "EC" {
		return []string{"x", "y"}
	}
	return []string{"n", "e"}
}

func decode(text any) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text.(string))
	if err != nil {
		panic(err)
	}
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// documents are all shapes in all variations.
func documents() (all []document) {
	for _, s := range shapes {
		for _, v := range variations {
			top, keys := maps.Clone(s.top), make([]M, len(s.keys))
			if top == nil {
				top = M{}
			}
			for i, k := range s.keys {
				keys[i] = maps.Clone(k.jwk)
			}
			last := s.keys[len(s.keys)-1]
			d := document{name: s.name + ": " + v.name, signer: last.signer}
			d.kid, _ = last.jwk["kid"].(string)
			if v.change != nil {
				more := v.change(top, keys, &d.kid)
				keys = append(more, keys...)
			}
			top["keys"] = keys
			b, err := json.Marshal(top)
			if err != nil {
				panic(err)
			}
			d.body = string(b)
			if v.text != nil {
				d.body = v.text(d.body)
			}
			all = append(all, d)
		}
	}
	return all
}
