// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// shopTokens are the issuer's, by its key set.
const shopTokens = `  jwt:
    providers:
    - name: shop
      issuer: https://idp.example.com/realms/shop
      audiences: [shop]
      remoteJWKS: {uri: "https://idp.example.com/realms/shop/protocol/openid-connect/certs"}
`

// securityPolicy is one for a target; spec is the rest of its spec, in YAML.
func securityPolicy(name, kind, target, spec string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: %s, namespace: edge}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: %s, name: %s}]
%s`, name, kind, target, spec)
}

var partner, forger = mint.New("partner-1", jose.ES256), mint.WithID(mint.New("forged", jose.ES256), "2026-11")

// securities are the policies that are migrated: the first is the Gateway's, the others are those of routes.
func securities() []string {
	inline := func(keys ...*mint.Key) string { return "{type: Inline, inline: '" + string(mint.Set(keys...)) + "'}" }
	return []string{shopTokens + `  authorization:
    defaultAction: Deny
    rules:
    - name: read
      action: Allow
      operation: {methods: [GET, HEAD]}
      principal: {jwt: {provider: shop, scopes: ["orders:read"]}}
    - name: write
      action: Allow
      operation: {methods: [POST, PUT]}
      principal: {jwt: {provider: shop, scopes: ["orders:read", "orders:write"]}}
`, `  jwt:
    optional: true
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", audiences: [shop, mobile], localJWKS: ` + inline(idp) + `}
  authorization:
    defaultAction: Allow
    rules:
    - name: robots
      action: Deny
      principal: {jwt: {provider: shop, claims: [{name: role, values: [robot]}]}}
    - name: administrators
      action: Allow
      operation: {path: {type: PathPrefix, value: /orders/admin}}
      principal: {jwt: {provider: shop, claims: [{name: groups, valueType: StringArray, values: [admins, owners]}]}}
    - name: staff
      action: Deny
      operation: {path: {type: PathPrefix, value: /orders/admin}}
      principal: {jwt: {provider: shop, claims: [{name: groups, valueType: StringArray, values: [staff]}]}}
`, `  jwt:
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", localJWKS: ` + inline(idp) + `}
    - {name: partner, issuer: "https://partner.example.net", audiences: [shop], localJWKS: ` + inline(partner) + `}
  authorization:
    defaultAction: Deny
    rules:
    - name: kept
      action: Deny
      operation: {methods: [DELETE]}
      principal: {jwt: {provider: shop, claims: [{name: role, values: [clerk]}]}}
    - name: partners
      action: Allow
      operation: {path: {type: Exact, value: /orders/7}}
      principal: {jwt: {provider: partner, scopes: ["orders:read"]}}
    - name: ours
      action: Allow
      principal: {jwt: {provider: shop, claims: [{name: role, values: [clerk, robot]}]}}
`, `  jwt:
    providers:
    - {name: shop, issuer: "https://idp.example.com/realms/shop", audiences: [shop], localJWKS: ` + inline(idp) + `}
`}
}

// code of a refusal.
func (a answer) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &problem) // to HEAD there is none
	return problem.Code
}

// randomToken is a token in the header, a bad one, or none.
func randomToken(r *rand.Rand) (name string, headers [][2]string) {
	one := func(list ...any) any { return list[r.IntN(len(list))] }
	now := time.Now().Unix()
	c := map[string]any{"iss": issuer, "sub": "alice", "aud": one("shop", "shop", "shop", "mobile", "bank",
		[]string{"bank", "shop"}), "exp": now + 3600}
	for name, values := range map[string][]any{
		"scope":  {"orders:read", "orders:write", "orders:read orders:write", "orders", "", nil},
		"role":   {"clerk", "robot", "admin", []string{"robot"}, nil, nil},
		"groups": {[]string{"admins"}, []string{"staff", "owners"}, []string{"staff"}, "admins", nil},
	} {
		if v := values[r.IntN(len(values))]; v != nil {
			c[name] = v
		}
	}
	key := idp
	switch kind := r.IntN(16); kind {
	case 0:
		return "no token", nil
	case 1:
		return "no JWT", [][2]string{bearer("abc.def.ghi")}
	case 2:
		return "Basic", [][2]string{{"Authorization", "Basic YTpi"}}
	case 3:
		name, c["exp"] = "expired", now-3600
	case 4:
		name, c["nbf"] = "not yet", now+3600
	case 5:
		name, c["iss"] = "another issuer", "https://evil.example.com"
	case 6:
		name, key = "forged", forger
	case 7:
		name, key = "another key", mint.New("unknown", jose.ES256)
	case 8, 9, 10:
		name, key, c["iss"] = "partner's", partner, "https://partner.example.net"
	default:
		name = "good"
	}
	token := key.Token(c)
	if r.IntN(40) == 0 {
		name, token = name+", cut", token[:len(token)-4]
	}
	return fmt.Sprintf("%s %v", name, c), [][2]string{bearer(token)}
}

// gatewayMigrate puts the same requests to SecurityPolicies and to what tollgate migrate makes of them.
func (g *gatewayLab) gatewayMigrate(t *testing.T) {
	var policies, routes string
	for i, spec := range securities() {
		name := fmt.Sprint("before-", i)
		kind, target := "HTTPRoute", name
		if i == 0 {
			kind, target = "Gateway", "before"
		}
		policies += securityPolicy(name, kind, target, spec)
		routes += route(name, "before", fmt.Sprintf("h%d.example.com", i), "/")
	}
	after := strings.NewReplacer("before", "after")
	if err := os.WriteFile(filepath.Join(g.work(), "policies.yaml"), []byte(after.Replace(policies)), 0o644); err != nil {
		t.Fatal(err)
	}
	digest := g.image(t, "jwt-scope")
	migrated := g.sh(t, "tollgate migrate policies.yaml --url ghcr.io/tollgate-wasm/jwt-scope:0.1.0@sha256:"+digest)
	// The cluster that Envoy Gateway makes for a SecurityPolicy goes with it: the command says so.
	migrated = strings.ReplaceAll(migrated, "idp_example_com_443", "idp")
	g.Apply(t, migrated+policies)
	both := plainGateway("before", "tollgate") + routes
	both += after.Replace(both)
	g.Apply(t, both)
	defer g.remove(t, migrated+policies+both)
	begin := time.Now()
	good := bearer(idp.Token(claims("role", "clerk")))
	forged := bearer(forger.Token(claims()))
	sides := [2]string{"before", "after"}
	var clients [2]*http.Client
	for i, side := range sides {
		address := net.JoinHostPort(g.proxy(t, side).Status.PodIP, "10080")
		clients[i] = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			Dial: func(network, _ string) (net.Conn, error) { return net.Dial(network, address) }}}
	}
	put := func(side, policy int, method, path string, headers ...[2]string) answer {
		request, err := http.NewRequest(method, fmt.Sprintf("http://h%d.example.com%s", policy, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		return do(clients[side], request, headers...)
	}
	for side := range sides {
		for i := range securities() {
			cluster.Eventually(t, fmt.Sprint(sides[side], " decides by policy ", i), func() bool {
				return put(side, i, "GET", "/orders/7", good).status == 200 &&
					put(side, i, "GET", "/orders/7", forged).status == 401
			})
		}
	}
	t.Logf("measured: both Gateways decide after %.1f s", time.Since(begin).Seconds())
	begin = time.Now()
	r := rand.New(rand.NewPCG(19, 1))
	statuses, differ := map[string]int{}, map[string]int{}
	const most = 6000
	for n := range most {
		method := []string{"GET", "GET", "HEAD", "POST", "PUT", "DELETE"}[r.IntN(6)]
		path := []string{"/orders/7", "/orders/7?x=1", "/orders/admin", "/orders/admin/x", "/orders/administration", "/",
			"/orders/7/lines"}[r.IntN(7)]
		name, headers := randomToken(r)
		policy := n % len(securities())
		was, is := put(0, policy, method, path, headers...), put(1, policy, method, path, headers...)
		statuses[fmt.Sprint(was.status)]++
		// Envoy answers 403 to a token for others, and jwt-scope 401; and jwt-scope does not look at the token of a request
		// that no rule is for.
		differs := was.status != is.status
		if differs && was.status == 403 && is.status == 401 && is.code() != "token_missing" || was.status == 401 &&
			is.status == 403 && (is.code() == "no_rule" || method == "HEAD") {
			differ[fmt.Sprintf("%d, migrated %d %s", was.status, is.status, is.code())]++
		} else if differs {
			t.Errorf("policy %d: %s %s with %s: %d, migrated %s", policy, method, path, name, was.status, is)
		}
	}
	t.Logf("measured: %d requests put to both in %.1f s, answered %v; different: %v", most, time.Since(begin).Seconds(),
		statuses, differ)
	for _, status := range []string{"200", "401", "403"} {
		if statuses[status] < most/20 {
			t.Errorf("of %d requests %d are answered %s: too little is tried", most, statuses[status], status)
		}
	}
}
