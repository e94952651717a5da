// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package edgestamp

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// stampFor GET /orders/7 on any host, by go-jose, with other claims; nil takes one away.
func stampFor(k *mint.Key, typ string, more ...M) string {
	now := time.Now().Unix()
	c := with(M{"iss": edgeIssuer, "aud": "mesh.internal", "iat": now, "exp": now + 30, "jti": time.Now().String(),
		"htm": "GET", "htp": "/orders/7"}, more...)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	return k.Typed(typ, c)
}

// What the keys of the mesh's configuration and the table of reasons promise, one by one: the
// status that the client sees, and the reason that only the counters have.
func TestEveryReason(t *testing.T) {
	const typ = "edge-stamp+jwt"
	parts := M{"require": M{"bind": []string{"method", "path"}}}
	forger := mint.New(edgeEC.ID, jose.ES256)
	tokens := M{"name": "idp", "issuer": idpIssuer, "audiences": []string{"shop"}, "forwardIdp": true,
		"require": M{"bind": []string{}, "replay": "off"}, "jwks": M{"inline": mint.Set(idp)}}
	configs := map[string]M{
		"plain":  verify(parts),
		"shadow": verify(parts, M{"mode": "shadow"}),
		"idp":    verify(parts, M{"trust": []M{trust(M{"inline": mint.Set(edgeEC)}), tokens}}),
		"short": verify(parts, M{
			"trust": []M{with(trust(M{"inline": mint.Set(edgeEC)}), M{"maxTtl": "30s", "clockSkew": "0s"})}}),
		"ES256": verify(parts, M{
			"trust": []M{with(trust(M{"inline": mint.Set(edgeEC, edgeRSA)}), M{"algorithms": []string{"ES256"}})}}),
		"routes": verify(parts, M{
			"rules": []M{{"name": "open", "match": []M{{"paths": []string{"/healthz"}}}, "access": "public"},
				{"name": "all", "match": []M{{"paths": []string{"/orders/{**}"}}}}}}),
	}
	s := func(stamp string) [][2]string { return [][2]string{{"x-edge-stamp", stamp}} }
	now := func(seconds int64) int64 { return time.Now().Unix() + seconds }
	rows := func() []struct {
		listener, path string
		headers        [][2]string
		status         int
		rule, code     string
	} {
		return []struct {
			listener, path string
			headers        [][2]string
			status         int
			rule, code     string
		}{
			{"plain", "/orders/7", s(stampFor(edgeEC, typ)), 200, "all", "ok"},
			{"plain", "/orders/7", s(stampFor(edgeRSA, typ)), 200, "all", "ok"},
			{"plain", "/orders/7", s(stampFor(edgeEd, typ)), 200, "all", "ok"},
			{"plain", "/orders/7", nil, 401, "all", "stamp_missing"},
			{"plain", "/orders/7", append(s("x"), s("y")...), 401, "all", "stamp_ambiguous"},
			{"plain", "/orders/7", s("x"), 401, "all", "stamp_malformed"},
			{"plain", "/orders/7", s(stampFor(edgeEC, "JWT")), 401, "all", "stamp_malformed"},
			{"plain", "/orders/7", s(stampFor(mint.New("x", jose.ES384), typ)), 401, "all", "stamp_algorithm"},
			{"ES256", "/orders/7", s(stampFor(edgeRSA, typ)), 401, "all", "stamp_algorithm"},
			{"plain", "/orders/7", s(stampFor(mint.New("x", jose.ES256), typ)), 401, "all", "stamp_key_unknown"},
			{"plain", "/orders/7", s(stampFor(forger, typ)), 401, "all", "stamp_signature"},
			{"plain", "/orders/7", s(stampFor(edgeEC, typ, M{"iss": "x"})), 401, "all", "stamp_issuer"},
			{"plain", "/orders/7", s(stampFor(edgeEC, typ, M{"aud": "x"})), 401, "all", "stamp_audience"},
			{"plain", "/orders/7", s(stampFor(edgeEC, typ, M{"exp": now(-10), "iat": now(-20)})), 401, "all", "stamp_expired"},
			{"plain", "/orders/7", s(stampFor(edgeEC, typ, M{"iat": now(60), "exp": now(90)})), 401, "all",
				"stamp_not_yet_valid"},
			{"short", "/orders/7", s(stampFor(edgeEC, typ, M{"iat": now(-10), "exp": now(30)})), 401, "all", "stamp_lifetime"},
			{"plain", "/orders/7", s(stampFor(edgeEC, typ, M{"htp": nil})), 401, "all", "stamp_unbound"},
			{"plain", "/orders/8", s(stampFor(edgeEC, typ)), 401, "all", "stamp_mismatch"},
			{"shadow", "/orders/8", s(stampFor(edgeEC, typ)), 200, "all", "stamp_mismatch"},
			{"shadow", "/orders/7", nil, 200, "all", "stamp_missing"},
			{"shadow", "//", nil, 200, "-", "path_ambiguous"},
			{"idp", "/orders/7", s(token()), 200, "all", "ok"},
			{"idp", "/orders/9", s(token()), 200, "all", "ok"},
			{"idp", "/orders/7", s(token(M{"aud": "x"})), 401, "all", "stamp_audience"},
			{"idp", "/orders/8", s(stampFor(edgeEC, typ)), 401, "all", "stamp_mismatch"},
			{"routes", "/healthz", s("x"), 200, "open", "ok"},
			{"routes", "/x", s("x"), 403, "-", "no_rule"},
			{"routes", "/orders/..%2f", s("x"), 400, "-", "path_ambiguous"},
		}
	}
	harness.Each(t, func(t *testing.T, version string) {
		var listeners []M
		for name, config := range configs {
			listeners = append(listeners,
				bootstrap.Listener(name, 0, []M{stampFilter(t, config)}, bootstrap.Answer(200, "upstream"), nil))
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners})
		for i, r := range rows() {
			outcome := "denied"
			switch {
			case r.code == "ok":
				outcome = "allowed"
			case r.listener == "shadow":
				outcome = "would_deny"
			}
			wantChange(t, r.code, envoy.Change(func() {
				answer := harness.NewClient1(t, envoy.Address(r.listener)).Do(harness.Request("GET", r.path, r.headers...))
				if answer.Status() != r.status || r.status == 401 && answer.Body != refusal {
					t.Errorf("row %d, %s: %s %s", i, r.code, answer.Start, answer.Body)
				}
			}), map[string]uint64{"edge_stamp.rule." + r.rule + ".outcome." + outcome + ".code." + r.code: 1})
		}
	})
}
