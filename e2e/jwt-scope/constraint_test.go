// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// boundTo are good claims of a token for one sender.
func boundTo(name, value string) map[string]any {
	c := map[string]any{}
	maps.Copy(c, good())
	c["cnf"] = map[string]string{name: value}
	return c
}

// dpopProof is made as a client would, with a library that is not ours.
func dpopProof(t *testing.T, key *ecdsa.PrivateKey, method, uri, token string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	claims, err := json.Marshal(map[string]any{"jti": base64.RawURLEncoding.EncodeToString(id[:]), "htm": method,
		"htu": uri, "iat": time.Now().Unix(), "ath": sha([]byte(token))})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func get(t *testing.T, client *http.Client, url string, headers map[string]string) (status int, body,
	challenge string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b), resp.Header.Get("www-authenticate")
}

func constraintConfig(mode string) string {
	return fmt.Sprintf(`{"providers":[{"name":"corp","issuer":%q,"audiences":["orders-api"],"senderConstraint":%q,"jwks":{"inline":%s}}],"rules":[{"name":"all"}]}`, issuer, mode, mint.Set(ecKey, rsaKey))
}

// W20 (the properties plugin_name and connection.sha256_peer_certificate_digest): RFC 8705 and RFC
// 9449 over TLS, with four workers.
func TestSenderConstraint(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: &key.PublicKey}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	jkt := base64.RawURLEncoding.EncodeToString(thumbprint)
	harness.Each(t, func(t *testing.T, version string) {
		ca := harness.NewAuthority(t)
		server, mine, other := ca.Issue(""), ca.Issue("spiffe://example.org/mine"), ca.Issue("spiffe://example.org/other")
		var listeners []bootstrap.M
		for _, mode := range []string{"mtls", "dpop", "whenPresent"} {
			filter := bootstrap.Wasm{Name: "jwt-scope-" + mode, Module: harness.Module(t, "jwt-scope"),
				Configuration: constraintConfig(mode)}.Filter()
			listeners = append(listeners,
				server.Listen(bootstrap.Listener(mode, 0, []bootstrap.M{filter}, bootstrap.Answer(200, "admitted"), nil)))
		}
		plain := bootstrap.Wasm{Name: "jwt-scope-plain", Module: harness.Module(t, "jwt-scope"),
			Configuration: constraintConfig("mtls")}.Filter()
		listeners = append(listeners,
			bootstrap.Listener("plain", 0, []bootstrap.M{plain}, bootstrap.Answer(200, "admitted"), nil))
		envoy := harness.Start(t, harness.Config{Version: version, Concurrency: 4, Listeners: listeners})
		url := func(mode string) string { return "https://" + envoy.Address(mode) + "/orders" }
		byCert, byKey, free := ecKey.Token(boundTo("x5t#S256", sha(mine.DER))), ecKey.Token(boundTo("jkt", jkt)),
			ecKey.Token(good())
		bearer := func(token string) map[string]string { return map[string]string{"authorization": "Bearer " + token} }
		proven := func(mode, token string) map[string]string {
			return map[string]string{"authorization": "DPoP " + token, "dpop": dpopProof(t, key, "GET", url(mode), token)}
		}
		for _, c := range []struct {
			name, mode string
			client     *http.Client
			headers    map[string]string
			status     int
			challenge  string
		}{
			{"with its certificate", "mtls", ca.Client(mine), bearer(byCert), 200, ""},
			{"with its certificate, remembered", "mtls", ca.Client(mine), bearer(byCert), 200, ""},
			{"with another certificate", "mtls", ca.Client(other), bearer(byCert), 401,
				`Bearer realm="tollgate", error="invalid_token"`},
			{"without a certificate", "mtls", ca.Client(nil), bearer(byCert), 401,
				`Bearer realm="tollgate", error="invalid_token"`},
			{"a token that is not bound", "mtls", ca.Client(mine), bearer(free), 401,
				`Bearer realm="tollgate", error="invalid_token"`},
			{"with its certificate, when present", "whenPresent", ca.Client(mine), bearer(byCert), 200, ""},
			{"with another certificate, when present", "whenPresent", ca.Client(other), bearer(byCert), 401,
				`Bearer realm="tollgate", error="invalid_token"`},
			{"a token that is not bound, when present", "whenPresent", ca.Client(nil), bearer(free), 200, ""},
			{"with a proof", "dpop", ca.Client(nil), proven("dpop", byKey), 200, ""},
			{"with another proof", "dpop", ca.Client(nil), proven("dpop", byKey), 200, ""},
			{"with a proof, when present", "whenPresent", ca.Client(nil), proven("whenPresent", byKey), 200, ""},
			{"with a proof for another listener", "dpop", ca.Client(nil), proven("whenPresent", byKey), 401,
				"invalid_dpop_proof"},
			{"with a proof for another token", "dpop", ca.Client(nil),
				map[string]string{"authorization": "DPoP " + byKey,
					"dpop": dpopProof(t, key, "GET", url("dpop"), free)}, 401, "invalid_dpop_proof"},
			{"without a proof", "dpop", ca.Client(nil), map[string]string{"authorization": "DPoP " + byKey}, 401,
				"invalid_dpop_proof"},
			{"as Bearer", "dpop", ca.Client(nil), bearer(byKey), 401, "invalid_token"},
			{"no token", "dpop", ca.Client(nil), nil, 401, `DPoP realm="tollgate", algs="ES256 `},
		} {
			status, body, challenge := get(t, c.client, url(c.mode), c.headers)
			if status != c.status || status == 401 && !strings.Contains(body, "token_") ||
				!strings.Contains(challenge, c.challenge) {
				t.Errorf("%s: %d %s %s", c.name, status, body, challenge)
			}
		}
		if status, body, _ := get(t, http.DefaultClient, "http://"+envoy.Address("plain")+"/",
			bearer(byCert)); status != 401 || !strings.Contains(body, "token_unbound") {
			t.Errorf("without TLS: %d %s", status, body)
		}
		// One proof, many connections at once: one of them is admitted, whichever worker it meets.
		for round := range 5 {
			once := proven("dpop", byKey)
			var admitted, refused atomic.Int64
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					switch status, body, _ := get(t, ca.Client(nil), url("dpop"), once); {
					case status == 200:
						admitted.Add(1)
					case status == 401 && strings.Contains(body, "token_unbound"):
						refused.Add(1)
					default:
						t.Errorf("%d %s", status, body)
					}
				})
			}
			if wg.Wait(); admitted.Load() != 1 || refused.Load() != 15 {
				t.Errorf("round %d: a proof was admitted %d times and refused %d times", round, admitted.Load(), refused.Load())
			}
		}
	})
}
