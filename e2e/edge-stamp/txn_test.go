// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// A Transaction Token is made of what the edge has verified, binds the request at the gateway, and
// says the same to whoever gets it further down the chain. A second edge keeps the transaction.
func TestTransactionTokens(t *testing.T) {
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		k := signers(version)[0]
		profile := M{"profile": "txn-token"}
		signing := sign(k, profile,
			M{"copyClaims": M{"tctx": M{"mail": []string{"email"}}, "rctx": M{"by": []string{"iss"}}}})
		verifying := verify(profile, M{"forward": M{"claimHeaders": []M{{"path": []string{"txn"}, "header": "x-txn"}}}})
		further := verify(profile, M{"require": M{"bind": []string{}, "replay": "off"}})
		client := tokenFilter(t, M{"issuer": idpIssuer, "aud": "shop", "jwks": M{"inline": mint.Set(idp)}},
			M{"name": "open", "match": []M{{"paths": []string{"/open"}}}, "access": "public"}, M{"name": "anyone"})
		to := bootstrap.To("upstream")
		again := sign(k, profile, M{"audience": "other.internal"})
		envoy := harness.Start(t, harness.Config{Version: version,
			Clusters: []M{bootstrap.Cluster("upstream", up.Port(), false)},
			Listeners: []M{
				bootstrap.Listener("edge", 0, []M{client, stampFilter(t, signing)}, to, nil),
				bootstrap.Listener("gateway", 0, []M{stampFilter(t, verifying)}, to, nil),
				bootstrap.Listener("further", 0, []M{stampFilter(t, further)}, to, nil),
				bootstrap.Listener("second", 0, []M{stampFilter(t, verifying), stampFilter(t, again)}, to, nil),
			}})
		send := func(listener, path string, headers ...[2]string) (status int, reached *harness.Message) {
			t.Helper()
			answer := harness.NewClient1(t, envoy.Address(listener)).Do(harness.Request("GET", path, headers...))
			if all := up.Take(); len(all) == 1 {
				reached = all[0]
			}
			return answer.Status(), reached
		}
		read := func(m *harness.Message) (token string, claims map[string]any) {
			t.Helper()
			if m == nil || len(m.Values("txn-token")) != 1 {
				t.Fatalf("no single token in %+v", m)
			}
			token = m.Header("txn-token")
			parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{k.Algorithm})
			if err == nil {
				err = parsed.Claims(k.Public(), &claims)
			}
			if err != nil || parsed.Headers[0].ExtraHeaders["typ"] != "txntoken+jwt" {
				t.Fatalf("go-jose: %v, %+v", err, parsed)
			}
			return token, claims
		}

		// S20: what a client calls its transaction is not it.
		status, reached := send("edge", stampedPath, bearer(token()), [2]string{"txn-token", "e30.eyJ0eG4iOiJ4In0.e30"},
			[2]string{"txn_token", "x"}, [2]string{"txn", "x"})
		if status != 200 {
			t.Fatalf("the edge: %d", status)
		}
		txn, claims := read(reached)
		tctx, _ := claims["tctx"].(map[string]any)
		rctx, _ := claims["rctx"].(map[string]any)
		name, _ := claims["txn"].(string)
		if claims["sub"] != "ann" || claims["scope"] != "orders:read" || claims["req_wl"] != edgeIssuer ||
			claims["iss"] != edgeIssuer || claims["aud"] != "mesh.internal" || len(name) != 22 || name == claims["jti"] ||
			tctx["mail"] != "ann@example.com" || rctx["by"] != idpIssuer || claims["htp"] != "/orders/7" ||
			reached.Header("txn_token") != "" {
			t.Errorf("the claims are %v in %+v", claims, reached)
		}
		// Nobody is known: there is no token, and the client is told.
		got := envoy.Change(func() {
			if status, reached := send("edge", "/open"); status != 403 || reached != nil {
				t.Errorf("without a subject: %d, %+v", status, reached)
			}
		})
		wantChange(t, "without a subject", got,
			map[string]uint64{denied("all", "claims_missing"): 1, scopeOK("open"): 1})
		envoy.WaitLog("claims_missing: no earlier filter has verified a sub that a Txn-Token can have")

		stamp := [2]string{"txn-token", txn}
		for _, c := range []struct {
			name, listener, path string
			headers              [][2]string
			code                 string
		}{
			{"another path", "gateway", "/orders/8", [][2]string{stamp}, "stamp_mismatch"},
			{"none", "gateway", stampedPath, nil, "stamp_missing"},
			{"altered", "gateway", stampedPath, [][2]string{{"txn-token", txn[:len(txn)-8] + "AAAAAAAA"}}, "stamp_signature"},
			{"as it was made", "gateway", stampedPath, [][2]string{stamp, {"x-txn", "forged"}}, ""},
			{"again", "gateway", stampedPath, [][2]string{stamp}, "stamp_replayed"},
			{"further on, another path", "further", "/stock?item=1", [][2]string{stamp}, ""},
			{"further on, again", "further", "/prices", [][2]string{stamp}, ""},
			{"further on, altered", "further", "/prices", [][2]string{{"txn-token", strings.Replace(txn, ".", ".e30", 1)}},
				"stamp_malformed"},
		} {
			got := envoy.Change(func() {
				status, reached := send(c.listener, c.path, c.headers...)
				if (c.code == "") != (status == 200) || (c.code == "") != (reached != nil) {
					t.Fatalf("%s: %d, %+v", c.name, status, reached)
				}
				if c.code == "" && reached.Header("txn-token") != txn { // the draft: as it was received
					t.Errorf("%s: %+v", c.name, reached)
				}
				if c.listener == "gateway" && c.code == "" && reached.Header("x-txn") != name {
					t.Errorf("%s: the transaction is %q", c.name, reached.Header("x-txn"))
				}
			})
			want := allowed("all")
			if c.code != "" {
				want = denied("all", c.code)
			}
			wantChange(t, c.name, got, map[string]uint64{want: 1})
		}

		_, reached = send("edge", stampedPath, bearer(token()))
		first, claims := read(reached)
		status, reached = send("second", stampedPath, [2]string{"txn-token", first})
		if status != 200 {
			t.Fatalf("the second edge: %d", status)
		}
		if second, kept := read(reached); second == first || kept["txn"] != claims["txn"] || kept["sub"] != "ann" ||
			kept["aud"] != "other.internal" || kept["jti"] == claims["jti"] {
			t.Errorf("a second edge makes %v of %v", kept, claims)
		}
	})
}
