// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/shared/verdict"
)

// J44: in shadow mode, too, nothing is left that may be a token; and the narrower of two readings is the one
// that counts.
func TestSubprotocolsOverlap(t *testing.T) {
	offer := func(value string) [][2]string {
		return request("GET", "/any", [2]string{"sec-websocket-protocol", value})
	}
	token := es256(t, good())
	encoded := base64.RawURLEncoding.EncodeToString([]byte(token))
	with2 := func(places, more string) *Policy {
		config := strings.Replace(with(testConfig, `"forward":{"token":"strip"}`), `"issuer"`, `"token":[`+places+`],"issuer"`, 1)
		return parse(t, strings.Replace(config, `{`, `{`+more, 1))
	}
	p := with2(`{"subprotocol":"bearer"},{"subprotocol":"token"}`, `"mode":"shadow",`)
	for _, value := range []string{"bearer, bearer, " + token, "token, bearer, " + token,
		"bearer, token, bearer, " + token} {
		_, e := effect(t, p, offer(value+", chat")...)
		if len(e.Set) != 1 || e.Set[0][1] != "chat" {
			t.Errorf("%s: %q is left", value[:30], e.Set)
		}
	}
	for _, c := range []struct{ places, value string }{
		{`{"header":"sec-websocket-protocol"},{"subprotocol":"bearer"}`, "bearer, " + token},
		{`{"subprotocol":"bearer"},{"header":"sec-websocket-protocol"}`, "bearer, " + token},
		{`{"subprotocolPrefix":"bearer."},{"subprotocolPrefix":"bearer.x."}`, "bearer.x." + encoded},
		{`{"subprotocolPrefix":"bearer.x."},{"subprotocolPrefix":"bearer."}`, "bearer." + encoded},
	} {
		if v := judge(with2(c.places, ""), now, offer(c.value)...); v.Code != verdict.OK {
			t.Errorf("%s: %s (%s)", c.places, v.Code.Name, v.Why)
		}
	}
}

// J44: tokens among the subprotocols that a WebSocket's client offers, and what of them is left for the service.
func TestSubprotocols(t *testing.T) {
	const start = "base64url.bearer.authorization.k8s.io."
	places := `"token":[{"header":"authorization","scheme":"Bearer"},{"subprotocol":"bearer"},{"subprotocolPrefix":"` + start +
		`"}],"issuer"`
	p := parse(t, strings.Replace(with(testConfig, `"forward":{"token":"strip"}`), `"issuer"`, places, 1))
	token, other := es256(t, good()), es256(t, good())
	encoded := start + base64.RawURLEncoding.EncodeToString([]byte(token))
	offer := func(values ...string) [][2]string {
		headers := request("GET", "/any", [2]string{"upgrade", "websocket"})
		for _, v := range values {
			headers = append(headers, [2]string{"sec-websocket-protocol", v})
		}
		return headers
	}
	for _, c := range []struct {
		name    string
		headers [][2]string
		want    *verdict.Code
		rest    string // of the offer
	}{
		{"behind its name", offer("bearer, " + token), verdict.OK, ""},
		{"behind its name, before others", offer("bearer," + token + ", chat.v1 , chat.v2"), verdict.OK, "chat.v1, chat.v2"},
		{"behind its name, in headers of its own", offer("chat.v1", "bearer", token), verdict.OK, "chat.v1"},
		{"with its prefix", offer(encoded + ", binary.k8s.io"), verdict.OK, "binary.k8s.io"},
		{"with empty items", offer(", bearer,, " + token + ","), verdict.OK, ""},
		{"the same token in both", offer("bearer, "+token, encoded), verdict.OK, ""},
		{"the same token in a header", append(offer("bearer, "+token), bearerHeader(token)), verdict.OK, ""},
		{"J16 another token in a header", append(offer("bearer, "+token), bearerHeader(other)), TokenAmbiguous, ""},
		{"J16 another token with its prefix", offer("bearer, "+other, encoded), TokenAmbiguous, ""},
		{"J16 two behind the name", offer("bearer, " + token + ", bearer, " + token), TokenAmbiguous, ""},
		{"J16 two with the prefix", offer(encoded, encoded), TokenAmbiguous, ""},
		{"none behind the name", offer("chat, bearer"), TokenMalformed, ""},
		{"another case", offer("Bearer, " + token), TokenMissing, ""},
		{"no token", offer("chat.v1"), TokenMissing, ""},
		{"J13 with its prefix, in standard base64", offer(start + base64.StdEncoding.EncodeToString([]byte(token+"?"))),
			TokenMalformed, ""},
		{"J20 a bad one beside a header", append(offer(start+"###"), bearerHeader(token)), TokenAmbiguous, ""},
		{"the name alone beside a header", append(offer("bearer"), bearerHeader(token)), verdict.OK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				v, e := effect(t, p, c.headers...)
				if v.Code != c.want {
					t.Fatalf("%s (%s), want %s", v.Code.Name, v.Why, c.want.Name)
				}
				if c.want != verdict.OK {
					return
				}
				rest := ""
				for _, h := range e.Apply(c.headers) {
					if h[0] == "sec-websocket-protocol" {
						rest += h[1]
					}
					if h[0] == "authorization" {
						t.Errorf("%v is left", h)
					}
				}
				if rest != c.rest {
					t.Errorf("%q is left, want %q", rest, c.rest)
				}
			}
		})
	}
}
