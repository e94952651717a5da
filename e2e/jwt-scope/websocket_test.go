// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package jwtscope

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// J44: a WebSocket's client and server, neither of which is ours, agree on a subprotocol through the
// filter, which takes the token away that the client has sent among those it offers.
func TestWebSocketSubprotocols(t *testing.T) {
	const prefix = "base64url.bearer.authorization.k8s.io."
	harness.Each(t, func(t *testing.T, version string) {
		var mu sync.Mutex
		var offered []string
		service := harness.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			offered = r.Header.Values("Sec-WebSocket-Protocol")
			mu.Unlock()
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"events.v1"}})
			if err != nil {
				return
			}
			defer c.CloseNow()
			kind, text, err := c.Read(r.Context())
			if err == nil {
				_ = c.Write(r.Context(), kind, append([]byte("echo "), text...))
			}
		})
		config := ruled(`"forward": {"token": "strip"},`, `"audiences": ["orders-api"], "token": [{"subprotocol": "bearer"},
			{"subprotocolPrefix": "`+prefix+`"}]`, `"require": {"scopes": {"all": ["orders:read"]}}`)
		envoy := harness.Start(t, harness.Config{Version: version, Upstream: service,
			Filters: []bootstrap.M{harness.Filter(t, "jwt-scope", config)},
			HTTP:    bootstrap.M{"upgrade_configs": []bootstrap.M{{"upgrade_type": "websocket"}}}})
		token := ecKey.Token(good())
		for _, c := range []struct {
			name   string
			offer  []string
			status int
		}{
			{"behind its name", []string{"bearer", token, "events.v1"}, 101},
			{"with its prefix", []string{prefix + base64.RawURLEncoding.EncodeToString([]byte(token)), "events.v1"}, 101},
			{"no token", []string{"events.v1"}, 401},
			{"a forged one", []string{"bearer", forger.Token(good()), "events.v1"}, 401},
			{"without the scope", []string{"bearer", ecKey.Token(good(claims{"scope": "x"})), "events.v1"}, 403},
			{"J16 two", []string{"bearer", token,
				prefix + base64.RawURLEncoding.EncodeToString([]byte(ecKey.Token(good())))}, 400},
		} {
			t.Run(c.name, func(t *testing.T) {
				mu.Lock()
				offered = nil
				mu.Unlock()
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				conn, answer, err := websocket.Dial(ctx, "ws://"+envoy.Main()+"/events",
					&websocket.DialOptions{Subprotocols: c.offer})
				if answer == nil || answer.StatusCode != c.status {
					t.Fatalf("%+v, %v", answer, err)
				}
				mu.Lock()
				reached := strings.Join(offered, ", ")
				mu.Unlock()
				if c.status != 101 {
					if reached != "" {
						t.Errorf("%q reached the service", reached)
					}
					return
				}
				defer conn.CloseNow()
				if reached != "events.v1" || conn.Subprotocol() != "events.v1" {
					t.Errorf("%q reached the service, which chose %q", reached, conn.Subprotocol())
				}
				if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				if _, text, err := conn.Read(ctx); err != nil || !slices.Equal(text, []byte("echo hello")) {
					t.Errorf("%q, %v", text, err)
				}
			})
		}
	})
}
