// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

const (
	edgeIssuer = "https://edge.example"
	idpIssuer  = "https://idp.example/realms/shop"
	keysPath   = "/.well-known/edge-stamp/jwks.json"
	// S18: for every reason
	refusal = `{"type":"about:blank","title":"Unauthorized","status":401,"code":"stamp_rejected"}`
)

var (
	edgeEC  = mint.New("edge-ec", jose.ES256)
	edgeRSA = mint.New("edge-rsa", jose.RS256)
	edgeEd  = mint.New("edge-ed", jose.EdDSA)
	idp     = mint.New("idp", jose.ES256)

	// environment is that of every VM here: filters of the same environment share one.
	environment = map[string]string{"EDGE_EC": edgeEC.PrivateJWK(), "EDGE_RSA": edgeRSA.PrivateJWK(),
		"EDGE_ED": edgeEd.PrivateJWK()}

	profiles = []string{"jws", "rfc9421"}
)

type M = bootstrap.M

// signers are the keys that an edge of that version can sign with: before 1.37 Envoy has no sign for EC keys (S17).
func signers(version string) []*mint.Key {
	if version < "1.37" {
		return []*mint.Key{edgeRSA, edgeEd}
	}
	return []*mint.Key{edgeEC, edgeRSA, edgeEd}
}

func key(k *mint.Key) M { return M{"kid": k.ID, "alg": k.Algorithm, "env": variable(k)} }

func variable(k *mint.Key) string { return strings.ToUpper(strings.ReplaceAll(k.ID, "-", "_")) }

// secret is a part of the private half, as a JWK has it.
func secret(k *mint.Key) string {
	var members map[string]string
	if err := json.Unmarshal([]byte(k.PrivateJWK()), &members); err != nil {
		panic(err)
	}
	return members["d"]
}

// with is a configuration with other members.
func with(config M, more ...M) M {
	config = maps.Clone(config)
	for _, m := range more {
		maps.Copy(config, m)
	}
	return config
}

// sign is the edge's configuration, verify the mesh's with the keys in it.
func sign(k *mint.Key, more ...M) M {
	return with(M{"role": "sign", "issuer": edgeIssuer, "audience": "mesh.internal", "ttl": "1m", "keys": []M{key(k)},
		"rules": []M{{"name": "all", "sign": true}}}, more...)
}

func verify(more ...M) M {
	return with(M{"role": "verify", "trust": []M{trust(M{"inline": mint.Set(edgeEC, edgeRSA, edgeEd)})},
		"rules": []M{{"name": "all"}}}, more...)
}

func trust(keys M) M {
	return M{"name": "edge", "issuer": edgeIssuer, "audiences": []string{"mesh.internal"},
		"algorithms": []string{"ES256", "RS256", "EdDSA"}, "jwks": keys, "maxTtl": "10m"}
}

func text(config M) string {
	b, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func stamper(t testing.TB, config M) bootstrap.Wasm {
	t.Helper()
	return bootstrap.Wasm{Name: "edge-stamp", Module: harness.Module(t, "edge-stamp"), Configuration: text(config),
		Env: environment, StopIteration: true}
}

func stampFilter(t testing.TB, config M) M {
	t.Helper()
	return stamper(t, config).Filter()
}

func tokenFilter(t testing.TB, provider M, rules ...M) M {
	t.Helper()
	provider["name"], provider["audiences"] = "one", []string{provider["aud"].(string)}
	delete(provider, "aud")
	return harness.Filter(t, "jwt-scope", text(M{"providers": []M{provider}, "rules": rules}))
}

// token is a client's.
func token(more ...M) string {
	return idp.Token(with(M{"iss": idpIssuer, "aud": "shop", "sub": "ann", "scope": "orders:read",
		"exp": time.Now().Unix() + 300, "email": "ann@example.com"}, more...))
}

func bearer(token string) [2]string { return [2]string{"authorization", "Bearer " + token} }

// sha is a SHA-256 in base64url.
func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// decoded is a part of a compact token.
func decoded(t testing.TB, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pick are the headers that a stamp stands in.
func pick(m *harness.Message) (stamp [][2]string) {
	for _, h := range m.Headers {
		switch h[0] {
		case "x-edge-stamp", "signature", "signature-input", "content-digest":
			stamp = append(stamp, h)
		}
	}
	return stamp
}

// wantChange holds what was added to the counters against pairs of a name and a number.
func wantChange(t testing.TB, what string, got map[string]uint64, want map[string]uint64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: counted %v, want %v", what, got, want)
	}
}

func allowed(rule string) string    { return "edge_stamp.rule." + rule + ".outcome.allowed.code.ok" }
func denied(rule, c string) string  { return "edge_stamp.rule." + rule + ".outcome.denied.code." + c }
func scopeOK(rule string) string    { return "jwt_scope.rule." + rule + ".outcome.allowed.code.ok" }
func scopeNo(rule, c string) string { return "jwt_scope.rule." + rule + ".outcome.denied.code." + c }
