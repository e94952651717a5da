// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
)

// chainRate is the default of -rate with -chain: what is asked is how long a request takes that
// finds nobody in its way.
const chainRate = 200

// The rows of -chain.
const (
	disjoint     = "jwt_authn+rbac at both"
	introspected = "jwt_authn+rbac at both, ext_authz at the second"
	slowly       = "jwt_authn+rbac at both, ext_authz that takes %s"
	integrated   = "verified once, stamped, trusted: %s"
)

// chainRows measure a gateway and a proxy of the mesh behind it. Disjoint, each verifies the
// client's token by itself, the second also by asking a service that knows which tokens are good;
// that service only looks the token up and answers at once, or after the time that is given for it,
// and its CPU time is not counted. Integrated, jwt-scope at the first verifies, edge-stamp stamps,
// and the second believes the stamp, once.
func chainRows(out string, answers time.Duration) []row {
	token := mint.New("k", jose.RS256)
	good, bad := request(token, "profile orders:read"), request(token, "profile")
	plugin := func(filter, name, config string, env map[string]string) bootstrap.M {
		return bootstrap.Wasm{Name: name, Module: filepath.Join(out, filter+".wasm"), Configuration: config,
			Env: env}.Filter()
	}
	// stamped is the integrated row with stamps of an algorithm.
	stamped := func(alg jose.SignatureAlgorithm) row {
		key := mint.New("s", alg)
		secret, believe := key.PrivateJWK(), fmt.Sprintf(`"jwks":{"inline":%s}`, mint.Set(key))
		if alg == jose.HS256 {
			believe = `"keys":[{"kid":"s","alg":"HS256","env":"KEY"}]`
		}
		env := map[string]string{"KEY": secret}
		sign := plugin("edge-stamp", "sign-"+string(alg),
			fmt.Sprintf(`{"role":"sign","issuer":"https://edge","audience":"mesh","keys":[{"kid":"s","alg":%q,"env":"KEY"}],"copyClaims":["sub","scope"],"rules":[{"name":"all","sign":true}]}`, alg), env)
		verify := plugin("edge-stamp", "verify-"+string(alg), fmt.Sprintf(`{"role":"verify","trust":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"algorithms":[%q],%s}],
			"replay":{"entries":1048576},"rules":[{"name":"all"}],"forward":{"stamp":"strip","payloadHeader":"x-jwt-payload"}}`, alg, believe), env)
		trust := plugin("jwt-scope", "trust-"+string(alg), `{"providers":[{"name":"edge","issuer":"https://edge","audiences":["mesh"],"trustedPayload":{"header":"x-jwt-payload"}}],
			"rules":[{"name":"read-orders","match":[{"paths":["/orders/{**}"],"methods":["GET"]}],"require":{"scopes":{"all":["orders:read"]}}}]}`, nil)
		return row{name: fmt.Sprintf(integrated, alg),
			filters: []bootstrap.M{jwtScope(filepath.Join(out, "jwt-scope.wasm"), token, cacheEntries), sign},
			behind:  []bootstrap.M{verify, trust},
			request: good, refused: bad, versus: introspected}
	}
	native := jwtAuthn(token, false)
	ask := func(prefix string) []bootstrap.M {
		return append([]bootstrap.M{extAuthz(prefix)}, native...)
	}
	return []row{
		{name: nothing, request: get("")},
		{name: disjoint, filters: native, behind: native, request: good, refused: bad},
		{name: introspected, filters: native, behind: ask(""), request: good, refused: bad},
		{name: fmt.Sprintf(slowly, answers), filters: native, behind: ask(slowPrefix), request: good, refused: bad},
		stamped(jose.ES256),
		stamped(jose.HS256),
	}
}

// extAuthz is Envoy's own way to ask a service about each request.
func extAuthz(prefix string) bootstrap.M {
	return bootstrap.Filter("envoy.filters.http.ext_authz", "extensions.filters.http.ext_authz.v3.ExtAuthz", bootstrap.M{
		"http_service": bootstrap.M{"server_uri": bootstrap.M{"uri": "http://introspection",
			"cluster": "introspection", "timeout": "5s"}, "path_prefix": prefix,
			"authorization_request": bootstrap.M{
				"allowed_headers": bootstrap.M{"patterns": []bootstrap.M{{"exact": "authorization"}}}}}})
}

// introspection is a service that knows the good tokens.
type introspection struct {
	cluster bootstrap.M
	stop    func()
}

// slowPrefix begins the paths for which the introspection takes its time.
const slowPrefix = "/slow"

// startIntrospection serves one that knows the tokens of the rows' requests, and that answers after
// a while where it is asked for that.
func startIntrospection(rows []row, answers time.Duration) (*introspection, error) {
	known := map[string]bool{}
	for _, r := range rows {
		if _, value, ok := strings.Cut(r.request, "Authorization: "); ok {
			value, _, _ = strings.Cut(value, "\r\n")
			known[value] = true
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { // until the listener is closed
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, slowPrefix) {
				time.Sleep(answers) // stands for the way to an identity provider and its work
			}
			good := known[r.Header.Get("Authorization")]
			if r.Method == http.MethodPost { // RFC 7662
				good = known["Bearer "+r.PostFormValue("token")]
			} else if !good {
				w.WriteHeader(http.StatusForbidden)
			}
			fmt.Fprintf(w, `{"active":%v,"scope":"orders:read"}`, good)
		}))
	}()
	return &introspection{bootstrap.Cluster("introspection", l.Addr().(*net.TCPAddr).Port, false),
		func() { l.Close() }}, nil
}

// startBehind runs the second Envoy, with a listener for each row.
func startBehind(rows []row, introspection bootstrap.M, version, dir string) (*envoybin.Envoy, error) {
	var listeners []bootstrap.M
	for _, r := range rows {
		listeners = append(listeners, bootstrap.Listener(r.name, 0, r.behind, bootstrap.Answer(200, "ok"), nil))
	}
	e, err := envoybin.Run(bootstrap.Bootstrap(listeners, []bootstrap.M{introspection}),
		envoybin.Options{Version: version, Dir: dir, LogLevel: "warning"})
	if err != nil && e != nil {
		return nil, fmt.Errorf("running the second Envoy: %w\n%s", err, e.Log())
	}
	return e, err
}

// clusterOf is a row's listener in the second Envoy.
func clusterOf(behind *envoybin.Envoy, r row) (bootstrap.M, error) {
	_, port, err := net.SplitHostPort(behind.Address(r.name))
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	return bootstrap.Cluster(r.name, n, false), err
}
