// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package keysets holds what jwt-scope makes of published key sets against what others make of them.
package keysets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// refusals are what jwt_authn and go-jose both take and jwt-scope refuses, by the name of the variation, and why.
var refusals = map[string]string{}

// alone are what jwt-scope takes and neither of the others does.
var alone = map[string]string{
	"a byte order mark": "readers may pass over it (RFC 8259 §8.1), and browsers' do",
}

func TestKeySets(t *testing.T) {
	all := documents()
	port := serve(t, all)
	tokens := make([]string, len(all))
	library := make([]bool, len(all))
	for i, d := range all {
		tokens[i] = mint.WithID(d.signer, d.kid).Token(M{"iss": issuer(i), "aud": "api", "exp": time.Now().Unix() + 300})
		library[i] = libraryAccepts(d.body, tokens[i])
	}
	harness.Each(t, func(t *testing.T, version string) {
		envoy := start(t, version, port, len(all))
		ours, native := harness.NewClient1(t, envoy.Address("ours")), harness.NewClient1(t, envoy.Address("native"))
		counts := map[string]int{}
		left := map[string]bool{}
		for name := range refusals {
			left[name] = true
		}
		for i, d := range all {
			request := harness.Request("GET", "/d/"+strconv.Itoa(i)+"/x", [2]string{"authorization", "Bearer " + tokens[i]})
			us, them := ours.Do(request), native.Do(request)
			_, variation, _ := strings.Cut(d.name, ": ")
			verdict := fmt.Sprintf("ours %v, jwt_authn %v, go-jose %v", us.Status() == 200, them.Status() == 200, library[i])
			counts[verdict]++
			switch {
			case us.Status() == 200 && them.Status() != 200 && !library[i] && alone[variation] == "":
				t.Errorf("%s is taken by jwt-scope alone:\n%s", d.name, d.body)
			case us.Status() != 200 && them.Status() == 200 && library[i]:
				if delete(left, variation); refusals[variation] == "" {
					t.Errorf("%s is refused by jwt-scope alone (%s):\n%s", d.name, us.Body, d.body)
				}
			}
			if us.Status() != 200 && us.Status() != 401 && us.Status() != 503 {
				t.Errorf("%s: %s", d.name, us.Start)
			}
		}
		for name := range left {
			t.Errorf("refusals has %q, which is refused nowhere", name)
		}
		t.Logf("measured: of %d documents in Envoy %s: %v", len(all), version, counts)
		if len(all) < 150 || counts["ours true, jwt_authn true, go-jose true"] < len(all)*2/3 {
			t.Errorf("of %d documents too few are taken by all: one of the three does not do its work", len(all))
		}
	})
}

func issuer(i int) string { return fmt.Sprintf("https://idp-%d.example", i) }

// serve publishes the documents, each under its number.
func serve(t *testing.T, all []document) (port int) {
	t.Helper()
	return handle(t, nil, func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil || i < 0 || i >= len(all) {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, all[i].body)
	})
}

// start runs an Envoy that has each document as an issuer of its own, for jwt-scope and for jwt_authn.
func start(t *testing.T, version string, port, n int) *harness.Envoy {
	t.Helper()
	var providers, rules, nativeRules []M
	nativeProviders := M{}
	for i := range n {
		name, path := fmt.Sprint("p", i), fmt.Sprintf("/d/%d/", i)
		providers = append(providers, M{"name": name, "issuer": issuer(i), "audiences": []string{"api"},
			"jwks": M{"remote": M{"cluster": "idp", "authority": "idp.example", "path": fmt.Sprint("/", i)}}})
		rules = append(rules, M{"name": name, "match": []M{{"paths": []string{path + "{**}"}}},
			"require": M{"providers": []string{name}}})
		nativeProviders[name] = M{"issuer": issuer(i), "audiences": []string{"api"},
			"remote_jwks": M{"http_uri": M{"uri": fmt.Sprint("http://idp.example/", i), "cluster": "idp", "timeout": "5s"}}}
		nativeRules = append(nativeRules, M{"match": M{"prefix": path}, "requires": M{"provider_name": name}})
	}
	config, err := json.Marshal(M{"providers": providers, "rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	native := bootstrap.Filter("envoy.filters.http.jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
		M{"providers": nativeProviders, "rules": nativeRules})
	return harness.Start(t, harness.Config{Version: version,
		Clusters: []bootstrap.M{bootstrap.Cluster("idp", port, false)}, Listeners: []bootstrap.M{
			bootstrap.Listener("ours", 0, []bootstrap.M{harness.Filter(t, "jwt-scope", string(config))},
				bootstrap.Answer(200, ""), nil),
			bootstrap.Listener("native", 0, []bootstrap.M{native}, bootstrap.Answer(200, ""), nil),
		}})
}

// libraryAccepts asks go-jose.
func libraryAccepts(body, token string) bool {
	var set jose.JSONWebKeySet
	if json.Unmarshal([]byte(body), &set) != nil {
		return false
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return false
	}
	var claims jwt.Claims
	for _, k := range set.Keys { // a client that goes by the kid, and without one tries all
		if kid := parsed.Headers[0].KeyID; (kid == "" || k.KeyID == kid) && parsed.Claims(k, &claims) == nil {
			return true
		}
	}
	return false
}
