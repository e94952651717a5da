// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/shared/httpsig"
)

// S29: a body whose digest a bot has signed cannot be exchanged by putting another digest, or that one, into
// a String that spans lines.
func TestBotsDigests(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := startBots(t, version, M{})
		digest := func(body string) [2]string {
			sum := sha256.Sum256([]byte(body))
			return [2]string{"content-digest", httpsig.ContentDigest(sum[:])}
		}
		signed := w.sign(t, `("@authority" "content-digest";key="sha-256")`+w.params("n", 0), digest("hello"))
		split := [][2]string{{"content-digest", `a="x`}, digest("evil"), {"content-digest", `", ` + digest("hello")[1]}}
		for _, c := range []struct {
			name, body string
			headers    [][2]string
			code       string
		}{
			{"as it was made", "hello", signed, ""},
			{"another body", "evil", signed, "stamp_mismatch"},
			{"another body, its digest in a String", "evil", append(split, signed[1:]...), "stamp_mismatch"},
			{"the body, another's digest in a String", "hello", append(split, signed[1:]...), ""},
		} {
			want, status := allowed("bots"), 200
			if c.code != "" {
				want, status = denied("bots", c.code), 401
			}
			got := w.envoy.Change(func() {
				length := [2]string{"content-length", fmt.Sprint(len(c.body))}
				answer := harness.HTTP1(t, w.envoy.Main(), harness.Request("GET", stampedPath, append(c.headers, length)...)+c.body)
				reached := w.up.Take()
				if answer.Status() != status || len(reached) != 1 && status == 200 || len(reached) != 0 && status != 200 {
					t.Errorf("%s: %s, %d reached", c.name, answer.Start, len(reached))
				}
			})
			if got[want] != 1 {
				t.Errorf("%s: counted %v, want %s", c.name, got, want)
			}
		}
	})
}

// S27: claims of a stamp that somebody has made up reach no service beside a bot's good signature, under no
// spelling of their header.
func TestBotsClaims(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := &bots{up: harness.StartUpstream(t), key: mint.New("bot", jose.EdDSA), keyid: "bot"}
		mesh := stampFilter(t, verify(M{"profile": "rfc9421", "trust": []M{trust(M{"inline": mint.Set(edgeEC)}),
			{"name": "crawler", "signature": M{}, "jwks": M{"inline": mint.Set(w.key)}}}}))
		w.envoy = harness.Start(t, harness.Config{Version: version,
			Clusters:  []M{bootstrap.Cluster("upstream", w.up.Port(), false)},
			Listeners: []M{bootstrap.Listener("main", 0, []M{mesh}, bootstrap.To("upstream"), nil)}})
		claims := text(M{"iss": edgeIssuer, "aud": "mesh.internal", "sub": "admin"})
		forged := base64.RawURLEncoding.EncodeToString([]byte(claims))
		for name, status := range map[string]int{"x-edge-stamp": 401, "X_Edge_Stamp": 200, "x-edge_stamp": 200,
			"x-other": 200} {
			h := append(w.sign(t, `("@authority")`+w.params("n", 0)), [2]string{name, forged})
			answer := harness.HTTP1(t, w.envoy.Main(), harness.Request("GET", stampedPath, h...))
			reached := w.up.Take()
			if answer.Status() != status || len(reached) != 1 && status == 200 || len(reached) != 0 && status != 200 {
				t.Errorf("%s: %s, %d reached", name, answer.Start, len(reached))
				continue
			}
			for _, r := range reached {
				for _, header := range r.Headers {
					if header[1] == forged && name != "x-other" {
						t.Errorf("%s: the claims go on as %s", name, header[0])
					}
				}
			}
		}
	})
}

// Envoy joins the lines of headers that it knows with a comma alone, and what was signed cannot be made of that.
func TestBotsRepeatedHeaders(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		w := startBots(t, version, M{})
		lines := func(name string, values ...string) (h [][2]string) {
			for _, v := range values {
				h = append(h, [2]string{name, v})
			}
			return h
		}
		for _, c := range []struct {
			header string
			values []string
			want   string
		}{
			{"accept", []string{"text/html", "text/plain"}, denied("bots", "stamp_signature")},
			{"accept", []string{"text/html, text/plain"}, allowed("bots")},
			{"x-forwarded-for", []string{"192.0.2.1", "192.0.2.2"}, denied("bots", "stamp_signature")},
			{"accept-language", []string{"de", "en"}, allowed("bots")},
			{"x-b", []string{"1", "2"}, allowed("bots")},
		} {
			h := w.sign(t, fmt.Sprintf(`("@authority" %q)`, c.header)+w.params("n", 0), lines(c.header, c.values...)...)
			got := w.envoy.Change(func() {
				harness.HTTP1(t, w.envoy.Main(), harness.Request("GET", stampedPath, h...))
			})
			if got[c.want] != 1 {
				t.Errorf("%s %q: counted %v, want %s", c.header, c.values, got, c.want)
			}
		}
	})
}
