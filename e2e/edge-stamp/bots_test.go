// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
	ours "github.com/tollgate-wasm/tollgate/shared/jose"
)

const directoryPath = "/.well-known/http-message-signatures-directory"

// bots are an Envoy that admits whoever has signed by Web Bot Auth, limits each signer by its key,
// and fetches the keys from a directory.
type bots struct {
	up    *harness.Upstream
	envoy *harness.Envoy
	key   *mint.Key
	keyid string
}

func startBots(t *testing.T, version string, signature M) *bots {
	t.Helper()
	w := &bots{up: harness.StartUpstream(t), key: mint.New("", jose.EdDSA)}
	jwk := jose.JSONWebKey{Key: w.key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	w.keyid = base64.RawURLEncoding.EncodeToString(sum)
	body, err := jwk.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	directory := harness.Serve(t, func(a http.ResponseWriter, r *http.Request) {
		if r.URL.Path != directoryPath || r.Host != "crawler.example" {
			a.WriteHeader(404)
			return
		}
		a.Header().Set("content-type", "application/http-message-signatures-directory+json")
		fmt.Fprintf(a, `{"keys":[%s],"purpose":"search"}`, body)
	})
	stamp := stampFilter(t, M{"role": "verify", "trust": []M{{"name": "crawler", "signature": signature,
		"jwks": M{"remote": M{"cluster": "crawler", "authority": "crawler.example", "path": directoryPath}}}},
		"rules": []M{{"name": "bots", "match": []M{{"headers": []M{{"name": "signature-input", "present": true}}}}},
			{"name": "others", "access": "public"}},
		"forward": M{"stamp": "strip", "claimHeaders": []M{{"path": []string{"keyid"}, "header": "x-bot"}}}})
	limit := harness.Filter(t, "rate-limit", text(M{"limits": []M{{"name": "bots",
		"key": []M{{"claim": []string{"keyid"}}}, "rate": M{"requests": 12, "per": "1h"}}}}))
	w.envoy = harness.Start(t, harness.Config{Version: version,
		Clusters:  []M{bootstrap.Cluster("upstream", w.up.Port(), false), bootstrap.Cluster("crawler", directory, false)},
		Listeners: []M{bootstrap.Listener("main", 0, []M{stamp, limit}, bootstrap.To("upstream"), nil)}})
	return w
}

// sign signs a request for a host and a path.
func (w *bots) sign(t *testing.T, params string, headers ...[2]string) [][2]string {
	t.Helper()
	inputs, err := httpsig.ParseInputs("sig1=" + params)
	if err != nil {
		t.Fatal(err)
	}
	base, err := inputs[0].Base(&httpsig.Message{Method: "GET", Scheme: "http", Authority: "api.example",
		Path: stampedPath, Fields: headers})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ours.ParsePrivateKey(w.key.PrivateJWK(), w.keyid, ours.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(headers, [2]string{"signature-input", "sig1=" + params},
		[2]string{"signature", "sig1=:" + base64.StdEncoding.EncodeToString(signature) + ":"})
}

func (w *bots) params(nonce string, from time.Duration) string {
	created := time.Now().Add(from).Unix()
	return fmt.Sprintf(`;created=%d;expires=%d;keyid=%q;nonce=%q;tag="web-bot-auth"`, created, created+3600, w.keyid, nonce)
}

// Who has signed by a key of the directory is admitted, once, and limited by that key; what is not
// its own goes on without a name.
func TestBots(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := startBots(t, version, M{"components": []string{"@authority", "signature-agent"}, "nonce": "once"})
		agent := [2]string{"signature-agent", `sig1="https://crawler.example"`}
		const covered = `("@authority" "signature-agent";key="sig1")`
		good := w.sign(t, covered+w.params("n-1", 0), agent)
		fresh := 0
		next := func() string { fresh++; return fmt.Sprint("fresh-", fresh) }
		for _, c := range []struct {
			name    string
			headers [][2]string
			code    string
		}{
			{"unsigned", [][2]string{{"x-bot", "forged"}}, "public"},
			{"S21 S24 an older scheme", [][2]string{{"signature-input", `keyId="a`}}, "stamp_malformed"},
			{"as it was made", append(good, [2]string{"x-bot", "forged"}), ""},
			{"S22 again", good, "stamp_replayed"},
			{"S22 too old", w.sign(t, covered+w.params(next(), -6*time.Minute), agent), "stamp_expired"},
			{"S22 made later", w.sign(t, covered+w.params(next(), time.Minute), agent), "stamp_not_yet_valid"},
			{"S23 without Signature-Agent", w.sign(t, `("@authority")`+w.params(next(), 0)), "stamp_unbound"},
			{"S23 another Signature-Agent", replace(w.sign(t, covered+w.params(next(), 0), agent), 0,
				`sig1="https://evil.example"`), "stamp_signature"},
			{"S24 the label twice", append(good, good[1]), "stamp_malformed"},
			{"S26 a key that nobody has", replace(good, 1, `sig1=("@authority");created=1;keyid="made-up";tag="web-bot-auth"`),
				"stamp_key_unknown"},
			{"over more", w.sign(t, `("@method" "@target-uri" "@authority" "signature-agent")`+w.params(next(), 0), agent), ""},
		} {
			rule, want := "bots", ""
			switch c.code {
			case "":
				want = allowed("bots")
			case "public":
				rule, want = "others", allowed("others")
			default:
				want = denied(rule, c.code)
			}
			got := w.envoy.Change(func() {
				answer := harness.NewClient1(t, w.envoy.Main()).Do(harness.Request("GET", stampedPath, c.headers...))
				reached := w.up.Take()
				switch {
				case c.code != "" && c.code != "public":
					if answer.Status() != 401 || string(answer.Body) != refusal || len(reached) != 0 {
						t.Errorf("%s: %+v", c.name, answer)
					}
				case answer.Status() != 200 || len(reached) != 1:
					t.Errorf("%s: %+v, %d reached", c.name, answer, len(reached))
				default:
					bot := ""
					if c.code == "" {
						bot = w.keyid
					}
					if reached[0].Header("x-bot") != bot {
						t.Errorf("%s: it is called %q", c.name, reached[0].Header("x-bot"))
					}
					for _, h := range c.headers { // nothing of theirs is removed
						if h[0] != "x-bot" && reached[0].Header(h[0]) != h[1] {
							t.Errorf("%s: %s is %q", c.name, h[0], reached[0].Header(h[0]))
						}
					}
				}
			})
			if got[want] != 1 {
				t.Errorf("%s: counted %v, want %s", c.name, got, want)
			}
		}
		// The limit counts by the key.
		status := func(headers ...[2]string) int {
			return harness.NewClient1(t, w.envoy.Main()).Do(harness.Request("GET", stampedPath, headers...)).Status()
		}
		for i := range 11 {
			want := 200
			if i == 10 {
				want = 429
			}
			if got := status(w.sign(t, covered+w.params(next(), 0), agent)...); got != want {
				t.Errorf("request %d: %d, want %d", i, got, want)
			}
		}
		if got := status(); got != 200 {
			t.Errorf("everybody else: %d", got)
		}
	})
}
