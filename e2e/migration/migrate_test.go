// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

// migrated are the configurations that are made of resources which all meet on one workload, in the
// order in which it has them.
func migrated(t *testing.T, resources string) (configs []string, findings []check.Finding) {
	t.Helper()
	m := &migrate.Migrator{}
	m.Add("policies.yaml", []byte(resources))
	result := m.Result()
	slices.SortStableFunc(result.Configurations,
		func(a, b migrate.Configuration) int { return b.Priority() - a.Priority() })
	for _, c := range result.Configurations {
		configs = append(configs, c.JSON)
	}
	if configs == nil {
		t.Fatalf("no configuration was made:\n%v", result.Findings)
	}
	return configs, result.Findings
}

func resourcesOf(t *testing.T, yaml string) []Resource {
	t.Helper()
	c := Case{}
	if _, err := c.readSamples("```yaml\n" + yaml + "```\n```yaml\npluginConfig: {rules: []}\n```\n"); err != nil {
		t.Fatal(err)
	}
	return c.Istio
}

func documentsOf(resources []Resource) string {
	var list []string
	for _, r := range resources {
		list = append(list, string(r.JSON))
	}
	return strings.Join(list, "\n---\n")
}

const bothSides = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: shop, namespace: shop}
spec:
  jwtRules:
  - issuer: https://idp.example.com/realms/shop
    audiences: [orders-api]
    jwksUri: https://idp.example.com/realms/shop/certs
    fromHeaders: [{name: authorization, prefix: "Bearer "}]
---
`

// policy is an AuthorizationPolicy of that name and spec, in flow style.
func policy(name, spec string) string {
	return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
		", namespace: shop}\nspec: " + spec + "\n---\n"
}

// more are cases besides the notes'. Each names what is not carried over, in words of the findings,
// and the requests that are therefore refused.
var more = []struct {
	name      string
	resources string
	lost      []string // in the findings
	stricter  []string // names of requests that Istio admits and the migrated configuration does not
	requests  func() []request
}{
	{
		name: "ALLOW policies that overlap",
		resources: bothSides +
			policy("read", `{rules: [{to: [{operation: {paths: ["/orders/*"], methods: [GET]}}], when: [{key: "request.auth.claims[scope]", values: [read]}]}]}`) +
			policy("own", `{rules: [{to: [{operation: {paths: ["/orders/{*}/mine", "/{*}/7/{**}"]}}], when: [{key: "request.auth.claims[scope]", values: [own]}]}]}`),
		requests: func() []request {
			b := base(claim("scope", "read own"))
			list := []request{b.ask("both scopes")}
			for _, scope := range []string{"read", "own", "none"} {
				for _, path := range []string{"/orders", "/orders/", "/orders/7", "/orders/7/mine", "/orders/8/mine",
					"/orders/8", "/bills/7/x", "/bills/8/x", "/orders/7/mine/x", "/bills/7", "/bills/7/"} {
					for _, method := range []string{"GET", "POST"} {
						list = append(list, b.ask(scope+" "+method+" "+path, claim("scope", scope), onPath(path), withMethod(method)))
					}
				}
			}
			return list
		},
	},
	{
		name: "DENY beside ALLOW",
		resources: bothSides +
			policy("staff", `{rules: [{to: [{operation: {paths: ["/orders", "/orders/*"]}}], from: [{source: {requestPrincipals: ["*"]}}]}, {to: [{operation: {paths: [/healthz]}}]}]}`) +
			policy("no-robots", `{action: DENY, rules: [{to: [{operation: {paths: ["/orders/{*}/payment"]}}], when: [{key: "request.auth.claims[client_kind]", values: [robot, crawler]}]}]}`) +
			policy("writers", `{action: DENY, rules: [{to: [{operation: {methods: [POST, DELETE]}}], when: [{key: "request.auth.claims[realm_access][roles]", notValues: [writer]}]}]}`),
		requests: func() []request {
			b := base()
			list := []request{b.ask("a person")}
			roles := claim("realm_access", claims{"roles": []string{"writer", "x"}})
			for _, path := range []string{"/orders", "/orders/7", "/orders/7/payment", "/orders/7/payment/x", "/healthz", "/x"} {
				for _, method := range []string{"GET", "POST"} {
					list = append(list,
						b.ask(method+" "+path, onPath(path), withMethod(method)),
						b.ask(method+" "+path+" without a token", onPath(path), withMethod(method), noToken),
						b.ask(method+" "+path+" by a robot", onPath(path), withMethod(method), claim("client_kind", "robot")),
						b.ask(method+" "+path+" by a writer", onPath(path), withMethod(method), roles),
						b.ask(method+" "+path+" by a writing crawler", onPath(path), withMethod(method), roles,
							claim("client_kind", []string{"crawler"})))
				}
			}
			return list
		},
	},
	{
		name: "notPaths, notMethods and notHosts",
		resources: bothSides +
			policy("guard", `{action: DENY, rules: [{to: [{operation: {notPaths: [/healthz, "/public/*"], notMethods: [OPTIONS]}}], from: [{source: {notRequestPrincipals: ["*"]}}]}]}`) +
			policy("inside", `{rules: [{to: [{operation: {notHosts: ["internal.example.com", "internal.example.com:*"], notPaths: ["/admin/*", /admin]}}]}, {to: [{operation: {paths: ["/admin/*"]}}], when: [{key: "request.auth.claims[scope]", values: [admin]}]}]}`),
		requests: func() []request {
			b := base()
			list := []request{b.ask("a person")}
			for _, host := range []string{"api.example.com", "internal.example.com"} {
				for _, path := range []string{"/healthz", "/public", "/public/", "/public/x", "/admin", "/admin/x", "/x"} {
					for _, method := range []string{"GET", "OPTIONS"} {
						name := method + " " + host + path
						list = append(list,
							b.ask(name, onHost(host), onPath(path), withMethod(method)),
							b.ask(name+" without a token", onHost(host), onPath(path), withMethod(method), noToken),
							b.ask(name+" by an admin", onHost(host), onPath(path), withMethod(method), claim("scope", "admin")))
					}
				}
			}
			return list
		},
	},
	{
		name: "a scope or a claim",
		resources: bothSides +
			policy("readers", `{rules: [{to: [{operation: {paths: [/orders/7]}}], when: [{key: "request.auth.claims[scope]", values: [read]}]}]}`) +
			policy("clerks", `{rules: [{to: [{operation: {paths: [/orders/7, /bills]}}], when: [{key: "request.auth.claims[role]", values: [clerk], notValues: [left]}]}]}`),
		requests: func() []request {
			b := base(claim("scope", "read"))
			list := []request{b.ask("a reader")}
			for _, path := range []string{"/orders/7", "/bills"} {
				list = append(list,
					b.ask("a clerk on "+path, onPath(path), without("scope"), claim("role", "clerk")),
					b.ask("a clerk who reads, on "+path, onPath(path), claim("role", "clerk")),
					b.ask("a clerk who has left, on "+path, onPath(path), without("scope"), claim("role", []string{"clerk", "left"})),
					b.ask("a clerk who has left and reads, on "+path, onPath(path), claim("role", []string{"clerk", "left"})),
					b.ask("nobody on "+path, onPath(path), without("scope")),
					b.ask("no token on "+path, onPath(path), noToken))
			}
			return list
		},
	},
	{
		name: "headers that open and close",
		resources: bothSides +
			policy("open", `{rules: [{to: [{operation: {paths: ["/orders/*"]}}], when: [{key: "request.headers[x-channel]", values: ["app-*"], notValues: [app-old, "app-0*"]}]}, {to: [{operation: {methods: [GET]}}], when: [{key: "request.auth.claims[role]", values: [clerk]}, {key: "request.headers[x-mode]", notValues: ["*"]}]}]}`) +
			policy("closed", `{action: DENY, rules: [{when: [{key: "request.headers[x-channel]", values: [app-lost, lost]}, {key: "request.auth.claims[role]", notValues: [boss]}]}, {when: [{key: "request.headers[X-Mode]", values: ["*-test"]}]}]}`),
		lost: []string{"not how it ends"},
		stricter: []string{"app-1 GET mode", "app-1 POST mode", "app-1 GET clerk mode", "app-1 POST clerk mode",
			"app-1 GET boss mode", "app-1 POST boss mode", "app-lost GET boss mode", "app-lost POST boss mode"},
		requests: func() []request {
			var list []request
			for _, channel := range []string{"app-1", "app-old", "app-0x", "app-lost", "lost", "web", ""} {
				for _, method := range []string{"GET", "POST"} {
					b := base(withMethod(method))
					if channel != "" {
						b = base(withMethod(method), withHeader("X-Channel", channel))
					}
					name := channel + " " + method
					list = append(list, b.ask(name), b.ask(name+" mode", withHeader("x-mode", "a")),
						b.ask(name+" mode for tests", withHeader("x-mode", "a-test")))
					for _, role := range []string{"clerk", "boss"} {
						list = append(list, b.ask(name+" "+role, claim("role", role)),
							b.ask(name+" "+role+" mode", claim("role", role), withHeader("x-mode", "a")))
					}
				}
			}
			return list
		},
	},
	{
		name: "scopes in part, and two claims that are split",
		resources: bothSides +
			policy("parts", `{rules: [{to: [{operation: {paths: ["/orders/*"]}}], when: [{key: "request.auth.claims[scope]", values: ["orders:*", "*:admin"]}]}, {to: [{operation: {paths: [/bills]}}], when: [{key: "request.auth.claims[scope]", values: [bills]}, {key: "request.auth.claims[permission]", values: [read]}]}]}`),
		requests: func() []request {
			b := base(claim("scope", "bills"))
			list := []request{b.ask("neither"), b.ask("no scope", without("scope"))}
			for _, one := range []any{"orders:read", "a orders:read", "orders:read a", "a orders:read b", "xorders:read",
				"a xorders:read", "orders:", "x:admin", "x:admin a", "a x:admin", "a x:admin b", "x:administrator",
				"a:administrator b",
				[]string{"a", "orders:read"}, []string{"a orders:read"}, []string{"x:admin a"}, []string{"a x:admin"}, []string{},
				claims{"orders:read": true}, "a  orders:read"} {
				list = append(list, b.ask(fmt.Sprint(one, " for a scope"), claim("scope", one)))
			}
			bills := base(claim("scope", "bills"), onPath("/bills"))
			for _, one := range []any{"read", "a read", "read a", "a read b", "reads", "a reads", "aread b", "a  read  b",
				[]string{"a", "read"}, []string{"a read"}, []any{[]string{"read"}}, 7, true, nil} {
				list = append(list, bills.ask(fmt.Sprint(one, " for a permission"), claim("permission", one)))
			}
			return list
		},
	},
	{
		name: "keys that the metadata names",
		resources: strings.Replace(bothSides, "    jwksUri: https://idp.example.com/realms/shop/certs\n", "", 1) +
			policy("tokens", `{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}`),
		requests: func() []request {
			b := base()
			return []request{b.ask("ann"), b.ask("no token", noToken), b.ask("a forged token", by(forger)),
				b.ask("the other key", by(rsaKey)), b.ask("another audience", claim("aud", "billing"))}
		},
	},
	{
		name: "two rules of one issuer, for two audiences",
		resources: strings.Replace(bothSides, "---\n", `  - issuer: https://idp.example.com/realms/shop
    audiences: [bills-api]
    jwksUri: https://idp.example.com/realms/shop/certs
    fromHeaders: [{name: authorization, prefix: "Bearer "}]
---
`, 1) + policy("tokens", `{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}`),
		requests: func() []request {
			b := base()
			return []request{b.ask("orders"), b.ask("bills", claim("aud", "bills-api")),
				b.ask("both", claim("aud", []string{"bills-api", "orders-api"})), b.ask("another", claim("aud", "x")),
				b.ask("none", without("aud")), b.ask("no token", noToken), b.ask("a forged token", by(forger))}
		},
	},
	{
		name: "what jwt-scope cannot compare",
		resources: bothSides +
			policy("some", `{rules: [{to: [{operation: {paths: ["/api*", "/files/*"]}}]}, {to: [{operation: {paths: [/late]}}], when: [{key: "request.auth.claims[kind]", notValues: ["bot-*"]}]}]}`) +
			policy("never", `{action: DENY, rules: [{to: [{operation: {paths: ["/files/secret*"]}}]}, {to: [{operation: {paths: [/files/a, /late]}}], when: [{key: "request.auth.claims[kind]", values: ["*-robot"]}]}]}`),
		lost: []string{"has no counterpart among jwt-scope's path patterns", "must not begin or end so"},
		stricter: []string{"/apis", "/apis a person's", "/apis without a token", "/files/b", "/files/b a person's",
			"/files/b without a token", "/files/a", "/files/a a person's", "/files/a without a token", "/late a person's",
			"/apis a bot's", "/apis a robot's", "/files/b a bot's", "/files/b a robot's", "/files/a a bot's"},
		requests: func() []request {
			b := base()
			list := []request{b.ask("no kind of client", onPath("/late"))}
			for _, path := range []string{"/apis", "/files/b", "/files/a", "/files/secrets", "/late"} {
				list = append(list,
					b.ask(path, onPath(path)),
					b.ask(path+" without a token", onPath(path), noToken),
					b.ask(path+" a person's", onPath(path), claim("kind", "person")),
					b.ask(path+" a bot's", onPath(path), claim("kind", "bot-7")),
					b.ask(path+" a robot's", onPath(path), claim("kind", []string{"x", "a-robot"})))
			}
			return list
		},
	},
	{
		name: "the namespace's policies and the workload's",
		resources: bothSides +
			policy("nobody", `{action: DENY, rules: [{when: [{key: "request.auth.claims[blocked]", values: ["yes"]}]}]}`) +
			policy("workload", `{selector: {matchLabels: {app: orders}}, rules: [{to: [{operation: {paths: ["/orders/*"]}}], from: [{source: {requestPrincipals: ["https://idp.example.com/realms/shop/*"], notRequestPrincipals: ["https://idp.example.com/realms/shop/eve"]}}]}]}`),
		lost: []string{"get a plugin of their own"},
		requests: func() []request {
			b := base()
			return []request{
				b.ask("ann"),
				b.ask("ann, elsewhere", onPath("/x")),
				b.ask("ann, on the path itself", onPath("/orders")),
				b.ask("ann, blocked", claim("blocked", "yes")),
				b.ask("ann, blocked in a list", claim("blocked", []string{"no", "yes"})),
				b.ask("ann, not blocked", claim("blocked", "no")),
				b.ask("eve", claim("sub", "eve")),
				b.ask("eve's sister", claim("sub", "eve2")),
				b.ask("no subject", without("sub")),
				b.ask("a subject without letters", claim("sub", "")),
				b.ask("no token", noToken),
				b.ask("a forged token", by(forger)),
			}
		},
	},
	{
		name: "a namespace that verifies, and a workload that refuses robots",
		resources: bothSides +
			policy("no-robots", `{action: DENY, selector: {matchLabels: {app: orders}}, rules: [{when: [{key: "request.auth.claims[client_kind]", values: [robot]}]}]}`),
		requests: func() []request {
			b := base()
			return []request{
				b.ask("ann"), b.ask("no token", noToken), b.ask("a forged token", by(forger)),
				b.ask("a robot", claim("client_kind", "robot")), b.ask("a robot in a list",
					claim("client_kind", []string{"person", "robot"})), b.ask("a person", claim("client_kind", "person")),
			}
		},
	},
	{
		name:      "Envoy Gateway",
		resources: securityPolicy,
		requests: func() []request {
			b := base(claim("scope", "orders:read openid"))
			list := []request{b.ask("the scope"), b.ask("no token", noToken), b.ask("a forged token", by(forger)),
				b.ask("an expired token", claim("exp", ago(3600e9)))}
			for _, path := range []string{"/orders/7", "/orders/7;v=1", "/orders/7?a=b", "/orders", "/ordersx",
				"/orders/", "/admin", "/admin/x", "/x"} {
				for _, method := range []string{"GET", "POST", "DELETE"} {
					name := method + " " + path
					at := []change{onPath(path), withMethod(method)}
					list = append(list,
						b.ask(name, at...),
						b.ask(name+" with scp", append(at, without("scope"), claim("scp", []string{"orders:read"}))...),
						b.ask(name+" without a scope", append(at, without("scope"))...),
						b.ask(name+" with both scopes", append(at, claim("scope", "orders:write orders:read"))...),
						b.ask(name+" as a canary", append(at, withHeader("x-canary", "on"))...),
						b.ask(name+" as a star", append(at, withHeader("x-canary", "*"))...),
						b.ask(name+" as no canary", append(at, withHeader("x-canary", "off"))...),
						b.ask(name+" by one that is a clerk", append(at, claim("realm_access", claims{"roles": "clerk"}))...),
						b.ask(name+" by some that are suspended", append(at, claim("status", []string{"suspended"}))...),
						b.ask(name+" by a clerk", append(at, claim("realm_access", claims{"roles": []string{"x", "clerk"}}))...),
						b.ask(name+" by somebody who is suspended", append(at, claim("status", "suspended"))...),
						b.ask(name+" without a token", append(at, noToken)...))
				}
			}
			return list
		},
	},
}

const securityPolicy = `apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs:
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}
  jwt:
    providers:
    - name: shop
      issuer: https://idp.example.com/realms/shop
      audiences: [orders-api]
      remoteJWKS: {uri: https://idp.example.com/realms/shop/certs}
      extractFrom: {headers: [{name: Authorization, valuePrefix: "Bearer "}]}
      claimToHeaders: [{claim: sub, header: x-user-id}]
  authorization:
    defaultAction: Deny
    rules:
    - name: suspended
      action: Deny
      principal: {jwt: {provider: shop, claims: [{name: status, values: [suspended]}]}}
    - name: admin
      action: Deny
      operation: {path: {type: Exact, value: /admin}}
    - name: canary
      action: Deny
      principal: {headers: [{name: X-Canary, values: [on, "*"]}]}
    - name: write
      action: Allow
      operation: {methods: [POST, PUT], path: {value: /orders}}
      principal: {jwt: {provider: shop, scopes: ["orders:read", "orders:write"]}}
    - name: delete
      action: Allow
      operation: {methods: [DELETE], path: {type: PathPrefix, value: /orders/}}
      principal: {jwt: {provider: shop, claims: [{name: realm_access.roles, valueType: StringArray, values: [clerk, boss]}]}}
    - name: read
      action: Allow
      operation: {methods: [GET]}
      principal: {jwt: {provider: shop, scopes: ["orders:read"]}}
`

// gatewayFilters are what Envoy Gateway makes of securityPolicy, written by hand from
// envoyproxy/gateway at commit d32f28294245: internal/xds/translator/jwt.go and authorization.go,
// with the per-route configurations at the filters themselves.
func gatewayFilters() []bootstrap.M {
	const jwt, rbac = "extensions.filters.http.jwt_authn.v3.JwtAuthentication", "extensions.filters.http.rbac.v3.RBAC"
	authn := bootstrap.Filter("envoy.filters.http.jwt_authn", jwt, bootstrap.M{
		"providers": bootstrap.M{"shop": bootstrap.M{
			"issuer": shop, "audiences": []string{"orders-api"}, "payload_in_metadata": "shop", "forward": true,
			"normalize_payload_in_metadata": bootstrap.M{"space_delimited_claims": []string{"scope", "scp"}},
			"claim_to_headers":              []bootstrap.M{{"header_name": "x-user-id", "claim_name": "sub"}},
			"from_headers":                  []bootstrap.M{{"name": "Authorization", "value_prefix": "Bearer "}},
			"local_jwks":                    bootstrap.M{"inline_string": published()["idp.example.com/realms/shop/certs"]},
		}},
		"rules": []bootstrap.M{{"match": bootstrap.M{"prefix": "/"}, "requires": bootstrap.M{"provider_name": "shop"}}},
	})
	typed := func(name, typeName string, fields bootstrap.M) bootstrap.M {
		return bootstrap.M{"name": name, "typed_config": bootstrap.Typed(typeName, fields)}
	}
	metadata := func(value bootstrap.M, path ...string) bootstrap.M {
		var keys []bootstrap.M
		for _, key := range append([]string{"shop"}, path...) {
			keys = append(keys, bootstrap.M{"key": key})
		}
		return bootstrap.M{"single_predicate": bootstrap.M{
			"input": typed("claim", "extensions.matching.common_inputs.network.v3.DynamicMetadataInput",
				bootstrap.M{"filter": "envoy.filters.http.jwt_authn", "path": keys}),
			"custom_match": typed("claim_matcher", "extensions.matching.input_matchers.metadata.v3.Metadata",
				bootstrap.M{"value": value}),
		}}
	}
	is := func(value string) bootstrap.M { return bootstrap.M{"string_match": bootstrap.M{"exact": value}} }
	has := func(value string) bootstrap.M { return bootstrap.M{"list_match": bootstrap.M{"one_of": is(value)}} }
	or := func(list ...bootstrap.M) bootstrap.M {
		return bootstrap.M{"or_matcher": bootstrap.M{"predicate": list}}
	}
	and := func(list ...bootstrap.M) bootstrap.M {
		return bootstrap.M{"and_matcher": bootstrap.M{"predicate": list}}
	}
	scope := func(name string) bootstrap.M { return or(metadata(has(name), "scope"), metadata(has(name), "scp")) }
	header := func(name string, value bootstrap.M) bootstrap.M {
		return bootstrap.M{"single_predicate": bootstrap.M{
			"input":       typed(name, "type.matcher.v3.HttpRequestHeaderMatchInput", bootstrap.M{"header_name": name}),
			"value_match": value}}
	}
	method := func(name string) bootstrap.M { return header(":method", bootstrap.M{"exact": name}) }
	pathIs := func(regex string) bootstrap.M {
		return header(":path", bootstrap.M{"safe_regex": bootstrap.M{"google_re2": bootstrap.M{}, "regex": regex}})
	}
	const below = `^/orders(/.*|\?.*|#.*|;.*|$)` // internal/utils/regex/regex.go: PathSeparatedPrefixRegex
	action := func(name, what string) bootstrap.M {
		return bootstrap.M{"action": typed(name, "config.rbac.v3.Action", bootstrap.M{"name": what, "action": what})}
	}
	rule := func(name, what string, predicate bootstrap.M) bootstrap.M {
		return bootstrap.M{"predicate": predicate, "on_match": action(name, what)}
	}
	return []bootstrap.M{authn, bootstrap.Filter("envoy.filters.http.rbac", rbac, bootstrap.M{"matcher": bootstrap.M{
		"matcher_list": bootstrap.M{"matchers": []bootstrap.M{
			rule("suspended", "DENY", metadata(is("suspended"), "status")),
			rule("admin", "DENY", pathIs(`^/admin(\?.*|#.*|;.*|$)`)),
			rule("canary", "DENY", or(header("X-Canary", bootstrap.M{"exact": "on"}), header("X-Canary",
				bootstrap.M{"exact": "*"}))),
			rule("write", "ALLOW", and(or(method("POST"), method("PUT")), pathIs(below), scope("orders:read"),
				scope("orders:write"))),
			rule("delete", "ALLOW", and(method("DELETE"), pathIs(below),
				or(metadata(has("clerk"), "realm_access", "roles"), metadata(has("boss"), "realm_access", "roles")))),
			rule("read", "ALLOW", and(method("GET"), scope("orders:read"))),
		}},
		"on_no_match": action("default", "DENY"),
	}})}
}

// What tollgate migrate makes of every sample of the notes, and of more, decides as the originals
// do, in one Envoy, with the same requests: but for the differences that the notes explain, it
// never admits what those refuse, and it refuses what those admit where a finding says so.
func TestMigrate(t *testing.T) {
	notes := read(t)
	harness.Each(t, func(t *testing.T, version string) {
		up := harness.StartUpstream(t)
		idp := startIssuers(t)
		clusters := []bootstrap.M{bootstrap.Cluster("upstream", up.Port(), false)}
		for _, name := range []string{"outbound|443||idp.example.com", "outbound|443||partner.example.net",
			"idp_example_com_443"} {
			clusters = append(clusters, bootstrap.Cluster(name, idp, false))
		}
		var listeners []bootstrap.M
		add := func(name string, originals []bootstrap.M, configs []string) {
			var plugins []bootstrap.M
			for _, config := range configs {
				plugins = append(plugins, harness.Filter(t, "jwt-scope", config))
			}
			http := bootstrap.M{"normalize_path": true, "delayed_close_timeout": "0.001s"}
			listeners = append(listeners, bootstrap.Listener(name+": Istio", 0, originals, bootstrap.To("upstream"), http),
				bootstrap.Listener(name+": migrated", 0, plugins, bootstrap.To("upstream"), http))
		}
		translate := func(name string, resources []Resource) []bootstrap.M {
			list, err := filters(resources, published())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return list
		}
		for _, c := range notes.Cases {
			configs, findings := migrated(t, documentsOf(c.Istio))
			for _, f := range findings {
				if f.Severity == check.Error && !strings.Contains(f.Problem, "no RequestAuthentication") &&
					!strings.Contains(f.Problem, "get a plugin of their own") {
					t.Errorf("%s: of what the notes translate, this is not carried over: %s", c.Name, f)
				}
			}
			add(c.Name, translate(c.Name, c.Istio), configs)
		}
		for _, c := range more {
			configs, findings := migrated(t, c.resources)
			for _, f := range findings {
				if f.Severity == check.Error && !containsOne(f.Problem, c.lost) {
					t.Errorf("%s: not carried over: %s", c.name, f)
				}
			}
			for _, words := range c.lost {
				if !strings.Contains(lines(findings), words) {
					t.Errorf("%s: no finding has %q: %v", c.name, words, findings)
				}
			}
			originals := gatewayFilters()
			if c.resources != securityPolicy {
				originals = translate(c.name, resourcesOf(t, strings.TrimSuffix(c.resources, "---\n")))
			}
			add(c.name, originals, configs)
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners, Clusters: clusters})
		everywhere := newExplanations(notes.Differences, version)
		for _, c := range notes.Cases {
			t.Run(c.Name, func(t *testing.T) {
				here := newExplanations(c.Differences, version)
				hold(t, c.Name, requests[c.Name](), nil, up, envoy, here, everywhere)
			})
		}
		for _, c := range more {
			t.Run(c.name, func(t *testing.T) {
				hold(t, c.name, c.requests(), c.stricter, up, envoy, newExplanations(nil, version), newExplanations(nil, version))
			})
		}
	})
}

func lines(findings []check.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func containsOne(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// The notes show what the command makes of the third sample.
func TestByCommand(t *testing.T) {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?ms)^```yml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(shown) != 1 {
		t.Fatalf("%s shows %d configurations that the command makes", File, len(shown))
	}
	m := &migrate.Migrator{}
	m.Add("policies.yaml", []byte(documentsOf(read(t).Cases[2].Istio)))
	result := m.Result()
	if len(result.Configurations) != 1 {
		t.Fatalf("%d configurations: %s", len(result.Configurations), lines(result.Findings))
	}
	made, err := result.Configurations[0].Bare()
	if err != nil {
		t.Fatal(err)
	}
	if _, rules, _ := strings.Cut(made, "\nrules:\n"); "rules:\n"+rules != string(shown[0][1]) {
		t.Errorf("%s does not show what the command makes:\n%s", File, made)
	}
}

// hold sends the requests to both sides and holds each difference against what explains it.
func hold(t *testing.T, name string, list []request, stricter []string, up *harness.Upstream, envoy *harness.Envoy,
	here, everywhere *explanations) {
	before, after := harness.NewClient1(t, envoy.Address(name+": Istio")), harness.NewClient1(t,
		envoy.Address(name+": migrated"))
	lost := map[string]bool{}
	for _, s := range stricter {
		lost[s] = true
	}
	allowed, refused, differ := 0, 0, 0
	for _, r := range list {
		text, token := r.wire()
		original, _ := send(t, before, up, r.method, text, token)
		own, answer := send(t, after, up, r.method, text, token)
		checkChallenge(t, r.name, answer)
		a, b := original.text(own), own.text(original)
		switch {
		case a == b && original.status == 200:
			allowed++
		case a == b:
			refused++
		case lost[r.name] && original.status == 200 && own.status != 200:
			delete(lost, r.name)
		case here.explain(r.name, a, b) || everywhere.explain(r.name, a, b):
			differ++
		case (original.status == 401 || original.status == 403) && (own.status == 401 || own.status == 403):
			differ++ // whether the token or the policy is asked first, and a challenge where Istio has none
		default:
			t.Errorf("| %s | %s | %s | not explained", r.name, a, b)
		}
	}
	for s := range lost {
		t.Errorf("%s: is refused no more than before", s)
	}
	t.Logf("%d requests: %d allowed by both, %d refused alike, %d explained", len(list), allowed, refused, differ)
	if allowed == 0 || refused == 0 {
		t.Error("the requests show too little")
	}
}
