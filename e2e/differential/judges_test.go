// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	httprequest "github.com/golang-jwt/jwt/v5/request"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// All three are given the same keys, issuer, audience, algorithms and clock skew, and all three must have an exp.
const skew = 30 * time.Second

func keys(ids []*identity) (keys []*mint.Key, algorithms []string) {
	for _, id := range ids {
		keys, algorithms = append(keys, id.Key), append(algorithms, id.alg())
	}
	return keys, algorithms
}

// start runs one Envoy with two listeners: "ours" with jwt-scope, "native" with Envoy's own
// jwt_authn. What neither refuses is answered 200.
func start(t *testing.T, version string, ids []*identity) *harness.Envoy {
	t.Helper()
	keys, algorithms := keys(ids)
	config, err := json.Marshal(bootstrap.M{
		"providers": []bootstrap.M{{"name": "idp", "issuer": issuer, "audiences": []string{audience},
			"algorithms": algorithms, "clockSkew": skew.String(), "jwks": bootstrap.M{"inline": mint.Set(keys...)}}},
		"rules": []bootstrap.M{{"name": "all"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	jwtAuthn := bootstrap.Filter("envoy.filters.http.jwt_authn",
		"extensions.filters.http.jwt_authn.v3.JwtAuthentication", bootstrap.M{
			"providers": bootstrap.M{"idp": bootstrap.M{
				"issuer": issuer, "audiences": []string{audience}, "forward": true,
				"clock_skew_seconds": int(skew.Seconds()), "require_expiration": true,
				// Its default looks at the query as well.
				"from_headers": []bootstrap.M{{"name": "Authorization", "value_prefix": "Bearer "}},
				"local_jwks":   bootstrap.M{"inline_string": string(mint.Set(keys...))},
			}},
			"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"}, "requires": bootstrap.M{"provider_name": "idp"}}},
		})
	routes := bootstrap.Answer(200, "let through\n")
	return harness.Start(t, harness.Config{Version: version, Concurrency: 2, Listeners: []bootstrap.M{
		bootstrap.Listener("ours", 0, []bootstrap.M{harness.Filter(t, "jwt-scope", string(config))}, routes, nil),
		bootstrap.Listener("native", 0, []bootstrap.M{jwtAuthn}, routes, nil),
	}})
}

var codePattern = regexp.MustCompile(`"code":"([a-z_]+)"}$`)

// ourVerdict is the code that our filter gave, "ok" where it let the request through.
func ourVerdict(m *harness.Message) string {
	if m.Status() == 200 {
		return "ok"
	}
	code := codePattern.FindStringSubmatch(m.Body)
	if code == nil || m.Status() >= 500 {
		return fmt.Sprintf("%s %q", m.Start, m.Body) // no verdict at all: no row of the table says so
	}
	return code[1]
}

// nativeVerdict reports whether jwt_authn let the request through; ok is false where it said neither yes nor no.
func nativeVerdict(m *harness.Message) (accepts, ok bool) {
	status := m.Status()
	return status == 200, status == 200 || status == 401 || status == 403
}

// library asks golang-jwt, with the key chosen as a JWK Set has it: by kid, and without one by the algorithm.
type library struct {
	parser *jwt.Parser
	byKID  map[string]*identity
	ids    []*identity
}

func newLibrary(ids []*identity) *library {
	_, algorithms := keys(ids)
	l := &library{
		parser: jwt.NewParser(jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithLeeway(skew), jwt.WithValidMethods(algorithms)),
		byKID: map[string]*identity{}, ids: ids,
	}
	for _, id := range ids {
		l.byKID[id.ID] = id
	}
	return l
}

var errNoKey = errors.New("no key fits the token")

func (l *library) key(token *jwt.Token) (any, error) {
	if kid, ok := token.Header["kid"]; ok {
		kid, ok := kid.(string)
		id := l.byKID[kid]
		if !ok || id == nil || id.alg() != token.Method.Alg() {
			return nil, errNoKey
		}
		return id.Public(), nil
	}
	var set jwt.VerificationKeySet
	for _, id := range l.ids {
		if id.alg() == token.Method.Alg() {
			set.Keys = append(set.Keys, id.Public())
		}
	}
	return set, nil
}

func (l *library) accepts(r *request) bool {
	h := http.Header{}
	for _, pair := range r.headers {
		h.Add(pair[0], trim(pair[1]))
	}
	token, err := httprequest.ParseFromRequest(&http.Request{Header: h}, httprequest.BearerExtractor{}, l.key,
		httprequest.WithParser(l.parser))
	return err == nil && token.Valid
}
