// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/filters/yamlnode"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

// authn is a RequestAuthentication whose one jwtRule has these fields besides.
func authn(fields string) string {
	return fmt.Sprintf("{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: idp, "+
		"namespace: shop}, spec: {jwtRules: [{issuer: %q%s}]}}\n---\n", issuerURL(1), fields)
}

func withKeys(t testing.TB) string {
	t.Helper()
	return authn(fmt.Sprintf(", jwks: %q", mint.Set(keys[0])))
}

// two are RequestAuthentications of two issuers, with keys, and with these fields besides.
func two(t testing.TB, first, second string) string {
	t.Helper()
	return authn(fmt.Sprintf(", jwks: %q%s", mint.Set(keys[0]), first)) +
		strings.ReplaceAll(authn(fmt.Sprintf(", jwks: %q%s", mint.Set(keys[1]), second)), issuerURL(1), issuerURL(2))
}

func authz(spec string) string {
	return "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: policy, namespace: " +
		"shop}, spec: " + spec + "}\n---\n"
}

// envoyGateway is a SecurityPolicy with these members of its spec, and a provider called idp with these fields.
func envoyGateway(t testing.TB, provider, spec string) string {
	t.Helper()
	return fmt.Sprintf("{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: policy, "+
		"namespace: shop}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], "+
		"jwt: {providers: [{name: idp, issuer: %q, localJWKS: {type: Inline, inline: %q}%s}]}, %s}}\n---\n",
		issuerURL(1), mint.Set(keys[0]), provider, spec)
}

// migrateText migrates resources of which each gets a name of its own.
func migrateText(text string) Result {
	m := &Migrator{}
	m.Add("p.yaml", []byte(numbered(text)))
	return m.Result()
}

// numbered has the second resource of a name called by another one.
func numbered(text string) string {
	documents := strings.Split(text, "---\n")
	for i := range documents {
		for _, name := range []string{"{name: idp,", "{name: policy,"} {
			if n := strings.Count(strings.Join(documents[:i], ""), name); n > 0 {
				documents[i] = strings.Replace(documents[i], name, fmt.Sprintf("%s-%d,", strings.TrimSuffix(name, ","), n+1), 1)
			}
		}
	}
	return strings.Join(documents, "---\n")
}

// dryRun is a policy with that in the annotation.
func dryRun(spec, word string) string {
	return strings.Replace(authz(spec), "namespace: shop",
		fmt.Sprintf("namespace: shop, annotations: {istio.io/dry-run: %q}", word), 1)
}

// Istio reads the annotation as strconv.ParseBool does.
func TestDryRuns(t *testing.T) {
	person, bare := ask{host: "x", method: "GET", path: "/a", issuer: 1}, ask{host: "x", method: "GET", path: "/a"}
	for _, word := range []string{"1", "t", "T", "TRUE", "True", "true"} {
		r := migrateText(withKeys(t) + dryRun("{rules: [{}]}", word) + authz("{rules: []}"))
		if len(r.Configurations) != 1 {
			t.Fatalf("%s: %s", word, lines(r.Findings))
		}
		p, err := scope.Parse(r.Configurations[0].JSON, scope.Surroundings{})
		if err != nil || admits(t, p, person) || admits(t, p, bare) {
			t.Errorf("%s: %v: a dry run admits:\n%s", word, err, r.Configurations[0].JSON)
		}
	}
	for _, word := range []string{"", "yes", "tRUE", " true", "on", "2"} {
		if r := migrateText(withKeys(t) + dryRun("{rules: [{}]}", word)); len(r.Configurations) != 0 ||
			!strings.Contains(lines(r.Findings), "Istio does not read it") {
			t.Errorf("%q: %d configurations\n%s", word, len(r.Configurations), lines(r.Findings))
		}
	}
	for _, word := range []string{"0", "f", "F", "FALSE", "False", "false"} {
		if r := migrateText(withKeys(t) + dryRun("{action: DENY, rules: [{}]}", word)); len(r.Configurations) != 1 ||
			strings.Contains(lines(r.Findings), "dry-run") {
			t.Errorf("%q: %d configurations\n%s", word, len(r.Configurations), lines(r.Findings))
		}
	}
}

func lines(findings []check.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// Everything that is not carried over is named with its place, and what could have refused a request refuses it.
func TestFindings(t *testing.T) {
	inline := withKeys(t)
	person := ask{host: "x.example.com", method: "GET", path: "/a", issuer: 1,
		claims: map[string]any{"sub": "ann", "scope": "r", "role": "a"}}
	bare := ask{host: "x.example.com", method: "GET", path: "/a"}
	on := func(a ask, path string) ask { a.path = path; return a }
	sends := func(a ask, headers ...string) ask { // names and values
		for i := 0; i < len(headers); i += 2 {
			a.headers = append(a.headers, [2]string{headers[i], headers[i+1]})
		}
		return a
	}
	has := func(name string, v any) ask {
		return ask{host: "x.example.com", method: "GET", path: "/a", issuer: 1, claims: map[string]any{name: v}}
	}
	asks := func(action, conditions string) string {
		return inline + authz(fmt.Sprintf(`{action: %s, rules: [{when: [%s]}]}`, action, conditions))
	}
	of2 := func(claims map[string]any) ask {
		return ask{host: "x.example.com", method: "GET", path: "/a", issuer: 2, claims: claims}
	}
	const xa, comes = `{key: "request.headers[X-A]", `, "compares the header as it comes"
	for _, c := range []struct {
		name     string
		text     string
		want     string // in a finding; empty: none but notes
		severity check.Severity
		admitted []ask
		refused  []ask
		no       bool // configuration
	}{
		{name: "nothing but a RequestAuthentication", text: inline, admitted: []ask{person, bare}},
		{name: "allow nothing, without a spec", text: inline + authz("{}"), refused: []ask{person, bare}},
		{name: "allow nothing, without a spec at all", text: inline + strings.Replace(authz("{}"), ", spec: {}", "", 1),
			refused: []ask{person, bare}},
		{name: "allow everything", text: inline + authz("{rules: [{}]}"), admitted: []ask{person, bare}},
		{name: "deny everything", text: inline + authz("{action: DENY, rules: [{}]}"), refused: []ask{person, bare}},
		{name: "a DENY without rules", text: inline + authz("{action: DENY}"), admitted: []ask{person, bare}},
		{name: "DENY without a condition on the token",
			text: inline + authz("{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}"), refused: []ask{person,
				bare}, admitted: []ask{on(person, "/b"), on(bare, "/b")}},
		{name: "DENY of every token",
			text:    inline + authz(`{action: DENY, rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}`),
			refused: []ask{person}, admitted: []ask{bare}, want: "without a letter in it", severity: check.Warning},
		{name: "a token is needed", text: inline + authz(`{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}`),
			admitted: []ask{person}, refused: []ask{bare}},

		{name: "ALLOW and DENY of paths in common",
			text: inline + authz(`{rules: [{to: [{operation: {paths: ["/{*}/b"]}}]}]}`) +
				authz(`{action: DENY, rules: [{to: [{operation: {paths: ["/a/*"]}}]}]}`),
			refused: []ask{on(person, "/a/b"), on(person, "/a/c")}, admitted: []ask{on(person, "/x/b"), on(bare, "/x/b")}},
		{name: "two ALLOW rules for paths in common",
			text: inline + authz(
				`{rules: [{to: [{operation: {paths: ["/a/{*}"]}}], when: [{key: "request.auth.claims[scope]", values: [w]}]}, {to: [{operation: {paths: ["/{*}/b"]}}], when: [{key: "request.auth.claims[scope]", values: [r]}]}]}`),
			refused: []ask{on(person, "/a/c"), on(bare, "/a/b")}, admitted: []ask{on(person, "/a/b"), on(person, "/x/b")}},

		{name: "peers in ALLOW",
			text: inline + authz("{rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]}, {to: "+
				"[{operation: {paths: [/b]}}]}]}"),
			want: "spec.rules[0].from[0].source.principals: jwt-scope does not look at it: what the rule admits by " +
				"it is refused", refused: []ask{person, bare}, admitted: []ask{on(person, "/b")}},
		{name: "peers in DENY", text: inline +
			authz("{action: DENY, rules: [{from: [{source: {notNamespaces: [a]}}], to: [{operation: {paths: [/a]}}]}]}"),
			want: "all that the rule could refuse is refused", refused: []ask{person, bare},
			admitted: []ask{on(person, "/b"), on(bare, "/b")}},
		{name: "a peer and a claim in DENY",
			text: inline + authz(`{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}], when: [{key: "request.auth.claims[role]", values: [a]}]}]}`),
			want: "ipBlocks", refused: []ask{person}, admitted: []ask{bare}},
		{name: "ports", text: inline + authz(`{rules: [{to: [{operation: {ports: ["80"]}}]}]}`),
			want: "spec.rules[0].to[0].operation.ports", refused: []ask{person}},
		{name: "the SNI", text: inline + authz(`{action: DENY, rules: [{when: [{key: connection.sni, values: [a]}]}]}`),
			want: "spec.rules[0].when[0].key", refused: []ask{person, bare}},
		{name: "a header", text: asks("ALLOW", xa+"values: [a]}"), want: comes, severity: check.Warning,
			admitted: []ask{sends(person, "x-a", "a"), sends(bare, "x-a", "a")}, refused: []ask{person, bare,
				sends(person, "x-a", "ab"), sends(person, "x-a", "a", "x-a", "a"), sends(person, "x-a", "a", "x_a", "b"),
				sends(person, "x-b", "a")}},
		{name: "a header in DENY", text: asks("DENY", xa+"values: [a, c]}"), want: comes, severity: check.Warning,
			admitted: []ask{person, bare, sends(person, "x-a", "ab"), sends(person, "x-a", "")},
			refused: []ask{sends(person, "x-a", "a"), sends(bare, "x-a", "c"), sends(person, "x-a", "a", "x-a", "b"),
				sends(person, "x_a", "a")}},
		{name: "the beginning of a header", text: asks("ALLOW", xa+`values: ["a*"]}`), want: comes,
			severity: check.Warning, admitted: []ask{sends(person, "x-a", "a"), sends(person, "x-a", "ab")},
			refused: []ask{person, sends(person, "x-a", "ba"), sends(person, "x-a", "")}},
		{name: "a header that must be there", text: asks("ALLOW", xa+`values: ["*"]}`), want: comes,
			severity: check.Warning, admitted: []ask{sends(person, "x-a", ""), sends(person, "x-a", "a", "x-a", "b")},
			refused: []ask{person}},
		{name: "a header that must not be there", text: asks("ALLOW", xa+`notValues: ["*"]}`), want: comes,
			severity: check.Warning, admitted: []ask{person},
			refused: []ask{sends(person, "x-a", ""), sends(person, "x_a", "")}},
		{name: "values that a header must not have", text: asks("ALLOW", xa+`notValues: [a, "b*"]}`), want: comes,
			severity: check.Warning, admitted: []ask{person, sends(person, "x-a", "ab"), sends(person, "x-a", "")},
			refused: []ask{sends(person, "x-a", "a"), sends(person, "x-a", "bc")}},
		{name: "a header that is needed, by DENY", text: asks("DENY", xa+`notValues: [a]}`), want: comes,
			severity: check.Warning, admitted: []ask{sends(person, "x-a", "a")},
			refused: []ask{person, sends(person, "x-a", "b")}},
		{name: "a header that begins so, but for one value", text: asks("DENY", xa+`values: ["a*"], notValues: [ab]}`),
			want: comes, severity: check.Warning, admitted: []ask{person, sends(person, "x-a", "ab")},
			refused: []ask{sends(person, "x-a", "a"), sends(person, "x-a", "abc")}},
		{name: "a beginning within another", text: asks("ALLOW", xa+`values: ["a*"], notValues: ["ab*"]}`), want: comes,
			severity: check.Warning, admitted: []ask{sends(person, "x-a", "ac")}, refused: []ask{sends(person, "x-a", "abc")}},
		{name: "a header that can have no value", text: asks("ALLOW", xa+"values: [a]}, "+xa+"values: [b]}"), want: comes,
			severity: check.Warning, refused: []ask{sends(person, "x-a", "a"), sends(person, "x-a", "b")}},
		{name: "the end of a header", text: asks("ALLOW", strings.Replace(xa, "X-A", "x-a", 1)+`values: ["*a"]}`),
			want: "rules[0].when[0]", severity: check.Error, refused: []ask{person, sends(person, "x-a", "a")}},
		{name: "the end of a header in DENY", text: asks("DENY", xa+`values: ["*a"]}`), want: "rules[0].when[0]",
			severity: check.Error, admitted: []ask{person, bare}, refused: []ask{sends(person, "x-a", "b")}},
		{name: "the end of a header that must not be so", text: asks("ALLOW", xa+`notValues: ["*a"]}`),
			want: "rules[0].when[0]", severity: check.Error, admitted: []ask{person}, refused: []ask{sends(person, "x-a", "b")}},
		{name: "the end of a header that must not be so in DENY", text: asks("DENY", xa+`values: ["*"], notValues: ["*a"]}`),
			want: "rules[0].when[0]", severity: check.Error, admitted: []ask{person}, refused: []ask{sends(person, "x-a", "a")}},
		{name: "a header without a value", text: asks("ALLOW", xa+`values: [""]}`), want: "rules[0].when[0]",
			severity: check.Error, refused: []ask{person, sends(person, "x-a", "")}},
		{name: "a header with a space behind", text: asks("DENY", xa+`values: ["a "]}`), want: "rules[0].when[0]",
			severity: check.Error, admitted: []ask{person}, refused: []ask{sends(person, "x-a", "b")}},
		{name: "the host as a header", text: asks("ALLOW", `{key: "request.headers[:authority]", values: ["*"]}`),
			want: "is part of the request line", refused: []ask{person}},
		{name: "the host by its old name", text: asks("DENY", `{key: "request.headers[Host]", values: ["*"]}`),
			want: "is part of the request line", refused: []ask{person}},
		{name: "a key that names no header", text: asks("ALLOW", `{key: "request.headers.x", values: ["*"]}`),
			want: "names no header", refused: []ask{sends(person, ".x", "a"), sends(person, "x", "a")}},
		{name: "a header in two spellings",
			text: asks("ALLOW", `{key: "request.headers[x-a]", values: [a]}, {key: "request.headers[x_a]", values: [a]}`),
			want: "when[", severity: check.Error, refused: []ask{sends(person, "x-a", "a"), sends(person, "x_a", "a")}},
		{name: "a header that is written from a claim", text: authn(fmt.Sprintf(
			", jwks: %q, outputClaimToHeaders: [{claim: role, header: X-a}]", mint.Set(keys[0]))) +
			authz(`{rules: [{when: [{key: "request.headers[x-a]", values: [a]}]}]}`),
			want: "is written from the token's claims", refused: []ask{sends(person, "x-a", "a"), sends(bare, "x-a", "a")}},
		{name: "a header that has the payload", text: authn(fmt.Sprintf(", jwks: %q, outputPayloadToHeader: X-a",
			mint.Set(keys[0]))) + authz(`{rules: [{when: [{key: "request.headers[x-a]", values: ["*"]}]}]}`),
			want: "is written from the token's claims", refused: []ask{sends(person, "x-a", "a")}},
		{name: "the header of the token", text: asks("ALLOW", `{key: "request.headers[authorization]", values: ["Bearer*"]}`),
			want: "is written from the token's claims, or taken away", refused: []ask{person}},
		{name: "the header of a token that is forwarded", text: authn(fmt.Sprintf(", jwks: %q, forwardOriginalToken: true",
			mint.Set(keys[0]))) + authz(`{rules: [{when: [{key: "request.headers[authorization]", values: ["Bearer e*"]}]}]}`),
			want: comes, severity: check.Warning, admitted: []ask{person}, refused: []ask{bare}},
		{name: "a header that an authorizer may set", text: asks("ALLOW", xa+"values: [a]}") +
			authz("{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/b]}}]}]}"),
			want: "CUSTOM", refused: []ask{sends(person, "x-a", "a")}},
		{name: "a header that an authorizer may set, for a target",
			text: strings.ReplaceAll(inline+authz(`{rules: [{when: [`+xa+`values: [a]}]}]}`), "spec: {",
				"spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: g}], ") +
				authz("{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/b]}}]}]}"),
			want: "u", refused: []ask{sends(person, "x-a", "a")}},
		{name: "a header that an authorizer may not set", text: strings.ReplaceAll(asks("ALLOW", xa+"values: [a]}")+
			dryRun("{action: CUSTOM, provider: {name: x}, rules: [{}]}", "true"), "dry-run: \"true\"", "dry-run: 'true'"),
			want: comes, severity: check.Warning, admitted: []ask{sends(person, "x-a", "a")}},
		{name: "a header with two values in DENY", text: asks("DENY", xa+"values: [a]}, "+xa+`values: ["b*"]}`),
			want: "rules[0]", severity: check.Error, refused: []ask{sends(person, "x-a", "a", "x-a", "b")}},
		{name: "a header with two values that no rule admits", text: inline + authz(`{rules: [{when: [`+xa+`notValues: [a]}]}, {when: [`+xa+`values: [a], notValues: [b]}]}]}`),
			want: "rules[", severity: check.Error, refused: []ask{sends(person, "x-a", "a", "x-a", "b")}},
		{name: "a header with two values, of which one decides", text: asks("DENY", xa+"values: [a]}, "+xa+`values: ["*"]}`),
			want: comes, severity: check.Warning, admitted: []ask{person, sends(person, "x-a", "b")},
			refused: []ask{sends(person, "x-a", "a"), sends(person, "x-a", "a", "x-a", "b")}},
		{name: "a header or a token", text: inline + authz(`{rules: [{when: [`+xa+`values: [a]}]}, {from: [{source: {requestPrincipals: ["*"]}}]}]}`),
			want: comes, severity: check.Warning, admitted: []ask{person, sends(bare, "x-a", "a")},
			refused: []ask{bare, sends(bare, "x-a", "b")}},
		{name: "too many headers", text: inline + authz(`{rules: [{when: [`+manyHeaders(13)+`]}, {to: [{operation: {paths: [/b]}}]}]}`),
			want: "hea", severity: check.Error, admitted: []ask{on(person, "/b")}, refused: []ask{person}},
		{name: "too many headers in DENY", text: inline + authz(`{action: DENY, rules: [{when: [`+manyHeaders(13)+`], to: [{operation: {paths: [/b]}}]}]}`),
			want: "hea", severity: check.Error, admitted: []ask{person}, refused: []ask{on(person, "/b")}},
		{name: "a key that names no claim",
			text: inline + authz(`{rules: [{when: [{key: "request.auth.claims", values: [a]}]}]}`),
			want: "names no claim", refused: []ask{person}},
		{name: "CUSTOM", text: inline +
			authz("{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/a]}}]}]}"),
			want: "CUSTOM asks an authorizer", refused: []ask{person, bare}, admitted: []ask{on(bare, "/b")}},
		{name: "AUDIT", text: inline + authz("{action: AUDIT, rules: [{}]}"), want: "AUDIT decides nothing",
			severity: check.Note, admitted: []ask{person, bare}},
		{name: "a dry run", text: inline + strings.Replace(authz("{action: DENY, rules: [{}]}"), "namespace: shop",
			`namespace: shop, annotations: {"istio.io/dry-run": "true"}`, 1), want: "istio.io/dry-run",
			severity: check.Note, admitted: []ask{person}},
		{name: "a dry run of an ALLOW, in another word", text: inline + dryRun("{rules: [{}]}", "T") +
			authz("{rules: []}"), want: "istio.io/dry-run", severity: check.Note, refused: []ask{person, bare}},
		{name: "a dry run that is false", text: inline + dryRun("{action: DENY, rules: [{}]}", "F"),
			refused: []ask{person, bare}},
		{name: "a dry run in a word that Istio does not read",
			text: inline + dryRun("{action: DENY, rules: [{}]}", "yes"),
			want: "metadata.annotations[istio.io/dry-run]: Istio does not read it, and applies the policy", no: true},
		{name: "a dry run of an ALLOW in a word that Istio does not read",
			text: inline + dryRun("{rules: [{}]}", "tRUE"), want: "Istio does not read it", no: true},
		{name: "another action", text: inline + authz("{action: LOG}"), want: "want ALLOW, DENY, AUDIT or CUSTOM", no: true},

		{name: "a path with a star at its end in ALLOW",
			text: inline + authz(`{rules: [{to: [{operation: {paths: ["/a*"]}}]}]}`),
			want: "operation.paths[0]: has no counterpart", refused: []ask{person}},
		{name: "a path with a star in front in DENY",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {paths: ["*.png"]}}]}]}`),
			want: "operation.paths[0]: has no counterpart", refused: []ask{person, bare}},
		{name: "a path with a star at its end in DENY refuses what is beside it",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {paths: ["/x/a*"]}}]}]}`), want: "has no counterpart",
			refused: []ask{on(person, "/x/b"), on(person, "/x/ab")}, admitted: []ask{person, on(person, "/y")}},
		{name: "a notPath without counterpart in ALLOW",
			text: inline + authz(`{rules: [{to: [{operation: {notPaths: ["/x/a*"]}}]}]}`), want: "has no counterpart",
			refused: []ask{on(person, "/x/b")}, admitted: []ask{person}},
		{name: "a notPath without counterpart in DENY",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {notPaths: ["/a*", /b]}}]}]}`),
			want: "has no counterpart", refused: []ask{person}, admitted: []ask{on(person, "/b")}},
		{name: "{**} in the middle", text: inline + authz(`{rules: [{to: [{operation: {paths: ["/a/{**}/b"]}}]}]}`),
			want: "has no counterpart", refused: []ask{on(person, "/a/x/b")}},
		{name: "a host with a star behind", text: inline + authz(`{rules: [{to: [{operation: {hosts: ["x.*"]}}]}]}`),
			want: "is no host name", refused: []ask{person}},
		{name: "a host with a star behind in DENY",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {hosts: ["y.*"]}}]}]}`),
			want: "is no host name", refused: []ask{person, bare}},
		{name: "a host with a port",
			text: inline + authz(`{rules: [{to: [{operation: {hosts: ["x.example.com:8080"]}}]}]}`),
			want: "ports are not compared", refused: []ask{person}},
		{name: "a host without a port",
			text: inline + authz(`{rules: [{to: [{operation: {hosts: [x.example.com]}}]}]}`),
			want: "x.example.com:8080 is this host, too", severity: check.Warning, admitted: []ask{person}},
		{name: "a host with any port",
			text:     inline + authz(`{rules: [{to: [{operation: {hosts: [X.example.com, "x.example.com:*"]}}]}]}`),
			admitted: []ask{person}},
		{name: "a part of a method", text: inline + authz(`{rules: [{to: [{operation: {methods: ["G*"]}}]}]}`),
			want: "methods are compared as a whole", refused: []ask{person}},
		{name: "a part of a method in DENY",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {methods: ["P*"]}}]}]}`),
			want: "methods are compared as a whole", refused: []ask{person}},
		{name: "a method in lower case", text: inline + authz(`{rules: [{to: [{operation: {methods: [get]}}]}]}`),
			want: "not in upper case", severity: check.Note, refused: []ask{person}},

		{name: "a part of a scope",
			text:     inline + authz(`{rules: [{when: [{key: "request.auth.claims[scope]", values: ["r*", w]}]}]}`),
			admitted: []ask{person, has("scope", "x ra"), has("scope", []string{"x", "r"})},
			refused:  []ask{has("scope", "xr"), has("scope", []string{"x r"})}},
		{name: "a star within a scope",
			text: inline + authz(`{rules: [{when: [{key: "request.auth.claims[scope]", values: ["*r*"]}]}]}`),
			want: "a * that stands for itself", refused: []ask{person}},
		{name: "a scope with a space",
			text:     inline + authz(`{rules: [{when: [{key: "request.auth.claims[scope]", values: ["r w"]}]}]}`),
			admitted: []ask{has("scope", []string{"r w"})},
			refused:  []ask{person, has("scope", "r w")}},
		{name: "two claims with scopes",
			text:     inline + authz(`{rules: [{when: [{key: "request.auth.claims[scope]", values: [r]}]}, {when: [{key: "request.auth.claims[permission]", values: [r]}]}]}`),
			admitted: []ask{person, has("permission", "a r"), has("permission", []string{"r"})},
			refused:  []ask{has("permission", "ar"), has("permission", []string{"a r"})}},
		{name: "a claim whose name is a star",
			text: inline + authz(`{rules: [{when: [{key: "request.auth.claims[role][*]", values: [a]}]}]}`),
			want: "names no claim", refused: []ask{has("role", []string{"a"})}},
		{name: "permissions alone are scopes",
			text:     inline + authz(`{rules: [{when: [{key: "request.auth.claims[permission]", values: [r]}]}]}`),
			refused:  []ask{person},
			admitted: []ask{{host: "x", method: "GET", path: "/", issuer: 1, claims: map[string]any{"permission": "w r"}}}},
		{name: "a claim that must not begin so",
			text: inline + authz(`{rules: [{when: [{key: "request.auth.claims[role]", notValues: ["b*"]}]}]}`),
			want: "must not begin or end so", refused: []ask{person}, admitted: []ask{bare}},
		{name: "a star within a claim's pattern",
			text: inline + authz(`{rules: [{when: [{key: "request.auth.claims[role]", values: ["*a*"]}]}]}`),
			want: "a * that stands for itself", refused: []ask{person}},
		{name: "a scope or a claim",
			text:     inline + authz(`{rules: [{when: [{key: "request.auth.claims[scope]", values: [w]}]}, {when: [{key: "request.auth.claims[role]", values: [a]}]}]}`),
			admitted: []ask{person, has("scope", "w")}, refused: []ask{bare, has("role", "b")}},
		{name: "two choices of scopes", text: asks("ALLOW", `{key: "request.auth.claims[scope]", values: [r, w]}, {key: "request.auth.claims[scope]", values: [x, y]}, {key: "request.auth.claims[scope]", values: [r, z]}`),
			admitted: []ask{has("scope", "r y"), has("scope", "w x z")},
			refused: []ask{person, has("scope", "r w z"), has("scope", "w x"),
				has("scope", "x z")}},
		{name: "issuers with claims of their own", text: two(t, "", "") + authz(fmt.Sprintf(`{rules: [{from: [{source: {requestPrincipals: ["%s/*"]}}], when: [{key: "request.auth.claims[role]", values: [a]}]}, {from: [{source: {requestPrincipals: ["%s/bob"]}}]}]}`, issuerURL(1), issuerURL(2))),
			admitted: []ask{person, of2(map[string]any{"sub": "bob"})},
			refused:  []ask{bare, has("sub", "bob"), of2(map[string]any{"sub": "ann", "role": "a"})}},
		{name: "too many cases", text: inline + authz(`{rules: [{to: [{operation: {paths: [`+manyPaths(700)+`]}}]}]}`),
			want: "more cases than can be told apart", no: true},

		{name: "no jwksUri", text: authn(""), want: "has no jwksUri: the proxy finds the keys by the issuer's metadata",
			severity: check.Warning, refused: []ask{person}, admitted: []ask{bare}},
		{name: "no jwksUri, and an issuer that is no address", text: strings.Replace(authn(""), issuerURL(1), "shop@example.com", 1),
			want: "is no address under which metadata could be found", admitted: []ask{bare}},
		{name: "no jwksUri, and an issuer with a query",
			text: strings.Replace(authn(""), issuerURL(1), issuerURL(1)+"?a=b", 1),
			want: "is no address under which metadata could be found", admitted: []ask{bare}},
		{name: "a jwksUri that is none", text: authn(", jwksUri: idp.example.com"),
			want: "is no address that keys could be fetched from", refused: []ask{person}},
		{name: "keys that are none", text: authn(`, jwks: "{}"`), want: "is no JWK Set", refused: []ask{person}},
		{name: "no issuer", text: inline + strings.Replace(authn(""), fmt.Sprintf("issuer: %q", issuerURL(1)),
			"audiences: [a]", 1), want: "has no issuer", admitted: []ask{person}, refused: []ask{bare}},
		{name: "an issuer twice", text: inline + authn(", audiences: [a]"), want: "has a provider already",
			admitted: []ask{person}, refused: []ask{bare}},
		{name: "an issuer twice, for two audiences",
			text: authn(fmt.Sprintf(", audiences: [a], jwks: %q", mint.Set(keys[0]))) +
				authn(fmt.Sprintf(", audiences: [b], jwks: %q", mint.Set(keys[0]))),
			admitted: []ask{bare, has("aud", "a"), has("aud", "b")},
			refused:  []ask{person, has("aud", "c")}},
		{name: "an issuer twice, once for every audience", text: authn(fmt.Sprintf(", audiences: [a], jwks: %q", mint.Set(keys[0]))) +
			inline, admitted: []ask{person}},
		{name: "an issuer twice, for two audiences in two places",
			text: authn(fmt.Sprintf(", audiences: [a], jwks: %q", mint.Set(keys[0]))) +
				authn(fmt.Sprintf(", audiences: [b], fromHeaders: [{name: x-b}], jwks: %q", mint.Set(keys[0]))),
			want: "has a provider already", admitted: []ask{has("aud", "a")},
			refused: []ask{has("aud", "b")}},
		{name: "an issuer twice, in the same words",
			text: inline + strings.Replace(inline, "name: idp", "name: other", 1), admitted: []ask{person, bare}},
		{name: "a prefix that is no scheme",
			text: authn(fmt.Sprintf(`, jwks: %q, fromHeaders: [{name: authorization, prefix: "Bearer"}]`,
				mint.Set(keys[0]))), want: "is no scheme", refused: []ask{person}, admitted: []ask{bare}},
		{name: "a cookie with a dot",
			text: authn(fmt.Sprintf(`, jwks: %q, fromCookies: [a.b, "__Host-t", "!#$%%&'*+-.^_|~"]`,
				mint.Set(keys[0]))), admitted: []ask{bare}},
		{name: "a cookie that is none", text: authn(fmt.Sprintf(`, jwks: %q, fromCookies: ["a b"]`, mint.Set(keys[0]))),
			want: "is no name of a cookie", refused: []ask{bare}},
		{name: "a parameter with a dot", text: authn(fmt.Sprintf(`, jwks: %q, fromParams: [a.b]`, mint.Set(keys[0]))),
			want: "has characters besides", refused: []ask{bare}},
		{name: "a payload in two headers", text: two(t, ", outputPayloadToHeader: x-a", ", outputPayloadToHeader: x-b"),
			want: "one header for all", no: true},
		{name: "tokens that are forwarded of one issuer", text: two(t, ", forwardOriginalToken: true", ""),
			want: "no token is forwarded", admitted: []ask{bare}},
		{name: "a claim for authorization",
			text: two(t, ", outputClaimToHeaders: [{claim: sub, header: authorization}]",
				", outputClaimToHeaders: [{claim: sub, header: authorization}]"),
			want: "jwt-scope refuses what would be its forward.claimHeaders[0].header", no: true},
		{name: "no RequestAuthentication", text: authz("{}"), want: "no RequestAuthentication with jwtRules", no: true},
		{name: "spaceDelimitedClaims of one issuer", text: two(t, ", spaceDelimitedClaims: [role]", "") +
			authz(`{rules: [{when: [{key: "request.auth.claims[role]", values: [a]}]}]}`),
			admitted: []ask{person, has("role", "b a"), of2(map[string]any{"role": "a"})},
			refused:  []ask{bare, of2(map[string]any{"role": "b a"})}},

		{name: "spaceDelimitedClaims of one issuer, for a text with a space",
			text: two(t, ", spaceDelimitedClaims: [role]", "") +
				authz(`{rules: [{when: [{key: "request.auth.claims[role]", values: ["b a"]}]}]}`),
			admitted: []ask{has("role", []string{"b a"}), of2(map[string]any{"role": "b a"})},
			refused:  []ask{person, has("role", "b a")}},

		{name: "an unknown field of a policy", text: inline + authz("{selectors: {}}"),
			want: "spec.selectors: is unknown here", no: true},
		{name: "an unknown field of a source", text: inline + authz("{rules: [{from: [{source: {planets: [x]}}]}]}"),
			want: "spec.rules[0].from[0].source.planets: is unknown here", no: true},
		{name: "an unknown field of a jwtRule", text: two(t, ", issuers: []", ""),
			want: "spec.jwtRules[0].issuers: is unknown here", no: true},
		{name: "a number for a text", text: inline + authz(`{rules: [{to: [{operation: {methods: [true]}}]}]}`),
			want: "methods[0]: want a text", no: true},
		{name: "a text for a list", text: inline + authz(`{rules: [{to: [{operation: {paths: /a}}]}]}`),
			want: "want a list", no: true},
		{name: "a list for an object", text: inline + authz(`{rules: [[]]}`), want: "want an object", no: true},
		{name: "a rule that is null", text: inline + authz(`{rules: [null]}`), want: "spec.rules[0]: is null", no: true},
		{name: "a name twice", text: inline + authz(`{action: ALLOW, action: DENY}`), want: "stands here twice", no: true},
		{name: "another version", text: strings.Replace(inline, "security.istio.io/v1", "security.istio.io/v9", 1),
			want: "want security.istio.io/v1 or", no: true},
		{name: "no YAML", text: inline + "{", want: "nobody knows what this file would refuse", no: true},
		{name: "another kind", text: inline + "{kind: Service, metadata: {name: a}}", want: "was not looked at",
			severity: check.Note, admitted: []ask{bare}},
		{name: "selector and targetRefs",
			text: strings.Replace(inline, "spec: {",
				"spec: {selector: {matchLabels: {a: b}}, targetRefs: [{kind: Gateway, name: a}], ", 1),
			want: "more than one of selector", no: true},

		{name: "connections that are not HTTP",
			text: inline + authz(`{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}`),
			want: "a WasmPlugin sees HTTP only", severity: check.Warning, admitted: []ask{person}},
		{name: "connections that are not HTTP, refused",
			text: inline + authz(`{action: DENY, rules: [{to: [{operation: {paths: [/b]}}]}]}`),
			want: "a WasmPlugin sees HTTP only", severity: check.Warning, admitted: []ask{person}},
		{name: "a path with an escape", text: inline + authz(`{rules: [{to: [{operation: {paths: [/users/@me]}}]}]}`),
			want: "/users/%40me is this path, too", severity: check.Warning, admitted: []ask{on(person, "/users/%40me")}},
		{name: "an escape that is refused",
			text:    inline + authz(`{action: DENY, rules: [{to: [{operation: {paths: [/users/@me]}}]}]}`),
			refused: []ask{on(person, "/users/%40me")}},
		{name: "certificates by kid", text: authn(`, jwksUri: "https://www.googleapis.com/oauth2/v1/certs"`),
			want: "the issuer's is at https://www.googleapis.com/oauth2/v3/certs", severity: check.Warning},
		{name: "certificates by kid, of Firebase",
			text: authn(`, jwksUri: "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"`), want: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com", severity: check.Warning},
		{name: "certificates by kid, of somebody", text: authn(`, jwksUri: "https://idp.example.com/x509/keys"`),
			want: "it wants a JWK Set, and every token would be answered 503", severity: check.Warning},

		{name: "Envoy Gateway: a token is needed", text: envoyGateway(t, "", ""), admitted: []ask{person},
			refused: []ask{bare}},
		{name: "Envoy Gateway: no authorization decides, by default", text: envoyGateway(t, "", "authorization: {}"),
			refused: []ask{person, bare}},
		{name: "Envoy Gateway: the first rule decides",
			text: envoyGateway(t, "",
				"authorization: {rules: [{action: Allow, operation: {path: {value: /a}}}, {action: Deny}]}"),
			admitted: []ask{person}, refused: []ask{on(person, "/b"), bare}},
		{name: "Envoy Gateway: what no rule fits, by defaultAction",
			text: envoyGateway(t, "",
				"authorization: {defaultAction: Allow, rules: [{action: Deny, operation: {methods: [POST]}}]}"),
			admitted: []ask{person}},
		{name: "Envoy Gateway: addresses",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {clientCIDRs: [10.0.0.0/8]}}]}`),
			want: "principal.clientCIDRs: jwt-scope does not look at it", refused: []ask{person}},
		{name: "Envoy Gateway: headers that refuse",
			text: envoyGateway(t, "",
				`authorization: {defaultAction: Allow, rules: [{action: Deny, principal: {headers: [{name: A, values: [b, "*"]}]}}]}`), want: comes, severity: check.Warning,
			admitted: []ask{person, sends(person, "a", "c")}, refused: []ask{sends(person, "a", "b"), sends(person, "a", "*")}},
		{name: "Envoy Gateway: a header that is written from a claim",
			text: envoyGateway(t, ", claimToHeaders: [{claim: role, header: x-role}]",
				`authorization: {rules: [{action: Allow, principal: {headers: [{name: X-Role, values: [a]}]}}]}`),
			want: "is written from the token's claims", refused: []ask{sends(person, "x-role", "a")}},
		{name: "Envoy Gateway: two headers",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {headers: [{name: a, values: [b]}, {name: c, values: [d]}]}}]}`),
			want: comes, severity: check.Warning, admitted: []ask{sends(person, "a", "b", "c", "d")},
			refused: []ask{person, sends(person, "a", "b"), sends(person, "c", "d")}},
		{name: "Envoy Gateway: a regular expression",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, operation: {path: {type: RegularExpression, value: /a}}}]}`),
			want: "has no counterpart", refused: []ask{person}},
		{name: "Envoy Gateway: a regular expression that refuses",
			text: envoyGateway(t, "",
				`authorization: {defaultAction: Allow, rules: [{action: Deny, operation: {path: {type: RegularExpression, value: /b, invert: true}}}]}`), want: "has no counterpart", refused: []ask{person, on(person, "/b")}},
		{name: "Envoy Gateway: all paths but one",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, operation: {path: {value: /b, invert: true}}}]}`),
			admitted: []ask{person}, refused: []ask{on(person, "/b/c")}},
		{name: "Envoy Gateway: CEL",
			text: envoyGateway(t, "", `authorization: {rules: [{action: Allow, cel: "true"}]}`),
			want: "cel: jwt-scope does not look at it", refused: []ask{person}},
		{name: "Envoy Gateway: a text",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: role, values: [a]}]}}}]}`),
			admitted: []ask{person}, refused: []ask{has("role", []string{"a"})}},
		{name: "Envoy Gateway: a list",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: role, valueType: StringArray, values: [a]}]}}}]}`),
			admitted: []ask{has("role", []string{"b", "a"})},
			refused:  []ask{person, has("role", [][]string{{"a"}})}},
		{name: "Envoy Gateway: a claim that is split",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: scope, valueType: StringArray, values: [r]}]}}}]}`),
			admitted: []ask{person, has("scope", "w r")}, refused: []ask{has("scp", "r")}},
		{name: "Envoy Gateway: a claim that is split, as a text",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: scope, values: [r]}]}}}]}`),
			want: "never fits", severity: check.Warning, refused: []ask{person}},
		{name: "Envoy Gateway: a claim whose name is a star",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: "role.*", values: [a]}]}}}]}`),
			want: "names no claim", refused: []ask{has("role", []string{"a"})}},
		{name: "Envoy Gateway: another type",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, claims: [{name: role, valueType: Number, values: [a]}]}}}]}`),
			want: "want String or StringArray", no: true},
		{name: "Envoy Gateway: an unknown provider",
			text: envoyGateway(t, "",
				`authorization: {rules: [{action: Allow, principal: {jwt: {provider: x, scopes: [r]}}}]}`), refused: []ask{person}},
		{name: "Envoy Gateway: another authorizer", text: envoyGateway(t, "", "extAuth: {}"),
			want: "jwt-scope does not do this: every request is refused", refused: []ask{person}},
		{name: "Envoy Gateway: a policy that is merged", text: envoyGateway(t, "", "mergeType: StrategicMerge"),
			want: "spec.mergeType", refused: []ask{person}},
		{name: "Envoy Gateway: CORS", text: envoyGateway(t, "", "cors: {}"), want: "stays in the SecurityPolicy",
			severity: check.Warning, admitted: []ask{person}},
		{name: "Envoy Gateway: routes chosen anew", text: envoyGateway(t, ", recomputeRoute: true", ""),
			want: "chosen anew", admitted: []ask{person}},
		{name: "Envoy Gateway: a field that is unknown", text: envoyGateway(t, "", "dance: {}"),
			want: "spec.dance: is unknown here", no: true},
		{name: "Envoy Gateway: bad tokens that pass",
			text: strings.Replace(envoyGateway(t, "", ""), "jwt: {", "jwt: {failOpen: true, ", 1),
			want: "jwt-scope refuses them", admitted: []ask{person, bare}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := migrateText(c.text)
			if c.severity == "" {
				c.severity = check.Error
			}
			found := false
			for _, f := range r.Findings {
				matches := c.want != "" && strings.Contains(f.String(), c.want)
				found = found || matches && f.Severity == c.severity
				if f.Severity != check.Note && !matches && !strings.Contains(f.Problem, "connections that are not HTTP") {
					t.Errorf("found: %s", f)
				}
				if matches && f.Line == 0 && f.Path == "" && !c.no {
					t.Errorf("without a place: %s", f)
				}
			}
			if c.want != "" && !found {
				t.Errorf("no %s has %q:\n%s", c.severity, c.want, lines(r.Findings))
			}
			if c.no != (len(r.Configurations) == 0) {
				t.Fatalf("%d configurations\n%s", len(r.Configurations), lines(r.Findings))
			}
			if c.no {
				return
			}
			p, err := scope.Parse(r.Configurations[0].JSON, scope.Surroundings{})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range c.admitted {
				if !admits(t, p, a) {
					t.Errorf("%+v is refused:\n%s", a, r.Configurations[0].JSON)
				}
			}
			for _, a := range c.refused {
				if admits(t, p, a) {
					t.Errorf("%+v is admitted:\n%s", a, r.Configurations[0].JSON)
				}
			}
		})
	}
}

// The metadata is where Istio looks for it.
func TestDiscovery(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://idp.example.com": `{"cluster":"outbound|443||idp.example.com","authority":"idp.example.com",` +
			`"path":"/.well-known/openid-configuration","discover":true}`,
		"http://idp.shop:8080/realms/shop/": `{"cluster":"outbound|8080||idp.shop","authority":"idp.shop:8080",` +
			`"path":"/realms/shop/.well-known/openid-configuration","discover":true}`,
		"https://accounts.google.com": `{"cluster":"outbound|443||accounts.google.com","authority":"accounts.google.com",` +
			`"path":"/.well-known/openid-configuration","discover":true,` +
			`"discoverAuthorities":{"www.googleapis.com":"outbound|443||www.googleapis.com"}}`,
	} {
		r := migrateText(strings.Replace(authn(""), issuerURL(1), issuer, 1))
		if len(r.Configurations) != 1 || !strings.Contains(r.Configurations[0].JSON, `"remote":`+want) {
			t.Errorf("%s: %s\n%v", issuer, lines(r.Findings), r.Configurations)
		}
	}
}

func manyHeaders(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{key: "request.headers[x-%d]", values: [a]}`, i))
	}
	return strings.Join(list, ", ")
}

func manyPaths(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("/p%d", i))
	}
	return strings.Join(list, ", ")
}

// What could not be read could have been for any workload, so none gets a configuration.
func TestNothingOfAPart(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":                  "a: [",
		"a selector that is none":  authz("{action: DENY, selector: {matchLabels: [a]}, rules: [{}]}"),
		"a selector with a number": authz("{action: DENY, selector: {matchLabels: {a: 7}}, rules: [{}]}"),
		"an unknown way to select": authz("{action: DENY, selector: {matchExpressions: []}, rules: [{}]}"),
		"a kind in another case": strings.Replace(authz("{action: DENY, rules: [{}]}"), "AuthorizationPolicy",
			"authorizationpolicy", 1),
		"an item without a kind":    "{kind: List, items: [{metadata: {name: a}, spec: {action: DENY, rules: [{}]}}]}",
		"aliases without an end":    "a: &a [*a]",
		"a spec that is no mapping": authz("[]"),
	} {
		m := &Migrator{}
		m.Add("good.yaml", []byte(withKeys(t)))
		m.Add("bad.yaml", []byte(text))
		if r := m.Result(); len(r.Configurations) != 0 || !strings.Contains(lines(r.Findings), "bad.yaml") {
			t.Errorf("%s: %d configurations\n%s", name, len(r.Configurations), lines(r.Findings))
		}
	}
}

// Each selection of workloads gets what Istio would put together for it.
func TestWorkloads(t *testing.T) {
	in := func(text, namespace, spec string) string {
		text = strings.Replace(text, "namespace: shop", "namespace: "+namespace, 1)
		return strings.Replace(text, "spec: {", "spec: {"+spec, 1)
	}
	const orders, bills = "selector: {matchLabels: {app: orders}}, ", "selector: {matchLabels: {app: bills}}, "
	for _, c := range []struct {
		name string
		text string
		want []string // the resource's name, namespace, and how many resources it was made of
		says string
	}{
		{"one workload", in(authn(""), "shop", orders) + in(authz("{rules: []}"), "shop", orders),
			[]string{"jwt-scope-orders shop 2"}, ""},
		{"two workloads", in(authn(""), "shop", orders) + in(authn(""), "shop", bills),
			[]string{"jwt-scope-orders shop 1", "jwt-scope-bills shop 1"}, ""},
		{"a namespace", authn("") + authz("{rules: []}"), []string{"jwt-scope shop 2"}, ""},
		{"two namespaces", authn("") + in(authn(""), "bank", ""), []string{"jwt-scope shop 1", "jwt-scope bank 1"}, ""},
		{"a policy of another namespace", authn("") + in(authz("{rules: []}"), "bank", ""),
			[]string{"jwt-scope shop 1"}, "no RequestAuthentication with jwtRules is for bank"},
		{"a namespace and a workload", authn("") + in(authz("{rules: []}"), "shop", orders),
			[]string{"jwt-scope shop 1", "jwt-scope-orders shop 2"}, "app=orders in shop get a plugin of their own"},
		{"the root namespace", in(authn(""), "istio-system", "") + authz("{rules: []}"),
			[]string{"jwt-scope istio-system 1", "jwt-scope shop 2"}, "shop get a plugin of their own"},
		{"labels and more labels", in(authn(""), "shop", orders) +
			in(authz("{rules: []}"), "shop", "selector: {matchLabels: {app: orders, tier: web}}, "),
			[]string{"jwt-scope-orders shop 1", "jwt-scope-orders-web shop 2"}, "app=orders,tier=web in shop get"},
		{"labels that a workload may both have", in(authn(""), "shop", orders) +
			in(authn(""), "shop", "selector: {matchLabels: {tier: web}}, "), []string{"jwt-scope-orders shop 1",
			"jwt-scope-web shop 1", "jwt-scope-orders-web shop 2"},
			"the workloads of app=orders,tier=web in shop get a plugin of their own with all that is for them, which " +
				"comes before the one for tier=web in shop"},
		{"a gateway", in(authn(""), "shop",
			"targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: edge}], "),
			[]string{"jwt-scope-edge shop 1"}, ""},
		{"a gateway and its namespace", in(authn(""), "shop", "targetRef: {kind: Gateway, name: edge}, ") +
			authz("{rules: [{}]}"), []string{"jwt-scope-edge shop 1"}, "What they refuse is refused, and what they " +
			"admit is not admitted"},
		{"a gateway, and the same with its members in another order",
			in(authn(""), "shop", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], ") +
				in(authz("{action: DENY, rules: [{}]}"), "shop",
					"targetRefs: [{kind: Gateway, name: edge, group: gateway.networking.k8s.io}], "),
			[]string{"jwt-scope-edge shop 2"}, ""},
		{"the core group in both spellings", in(authn(""), "shop", "targetRefs: [{kind: Service, name: s}], ") +
			in(authz("{rules: []}"), "shop", "targetRefs: [{group: core, kind: Service, name: s}], "),
			[]string{"jwt-scope-s shop 2"}, ""},
		{"two targets, and one of them",
			in(authn(""), "shop", "targetRefs: [{kind: Service, name: a}, {kind: Service, name: b}], ") +
				in(authz("{rules: []}"), "shop", "targetRefs: [{kind: Service, name: b}], "),
			[]string{"jwt-scope-a shop 1", "jwt-scope-b shop 2"}, ""},
		{"two targets with the same",
			in(authn(""), "shop", "targetRefs: [{kind: Service, name: a}, {kind: Service, name: b}], "),
			[]string{"jwt-scope-a-b shop 1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := migrateText(c.text)
			var got []string
			for _, one := range r.Configurations {
				got = append(got, fmt.Sprintf("%s %s %d", one.name, one.selection.namespace, len(one.From)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q\n%s", got, lines(r.Findings))
			}
			if !strings.Contains(lines(r.Findings), c.says) {
				t.Errorf("no finding has %q:\n%s", c.says, lines(r.Findings))
			}
		})
	}
}

// A resource without a namespace could be in that of any other.
func TestWithoutNamespace(t *testing.T) {
	without := func(text, word string) string { return strings.Replace(text, ", namespace: shop", word, 1) }
	selecting := func(text, label string) string {
		return strings.Replace(text, "spec: {", "spec: {selector: {matchLabels: {"+label+"}}, ", 1)
	}
	deny := authz(`{action: DENY, rules: [{when: [{key: "request.auth.claims[role]", values: [robot]}]}]}`)
	const says = "metadata.namespace: is not there, and others have one"
	at := func(ref string) string {
		return strings.Replace(envoyGateway(t, "", ""), "kind: HTTPRoute, name: r", ref, 1)
	}
	lua := "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyExtensionPolicy, metadata: {name: lua}, spec: " +
		"{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], lua: [{type: Inline, inline: x}]}}\n"
	for _, c := range []struct {
		name, text, want string
		configurations   int
	}{
		{"all of them", without(withKeys(t), "") + without(deny, ""), "", 1},
		{"a DENY", withKeys(t) + without(deny, ""), "AuthorizationPolicy policy: " + says, 0},
		{"a DENY whose namespace is null", withKeys(t) + without(deny, ", namespace: null"), says, 0},
		{"a DENY whose namespace is empty", withKeys(t) + without(deny, `, namespace: ""`), says, 0},
		{"a DENY of workloads that may have the plugin", selecting(withKeys(t), "app: orders") +
			selecting(without(deny, ""), "tier: web"), says, 0},
		{"a DENY of others", selecting(withKeys(t), "app: orders") + selecting(without(deny, ""), "app: bills"), says, 1},
		{"a DENY of a target", withKeys(t) +
			strings.Replace(without(deny, ""), "spec: {", "spec: {targetRefs: [{kind: Gateway, name: edge}], ", 1), says, 0},
		{"a DENY beside the root namespace", strings.Replace(withKeys(t), "shop", "istio-system", 1) +
			without(deny, ""), says, 0},
		{"a RequestAuthentication", without(withKeys(t), "") + deny, "RequestAuthentication idp: " + says, 0},
		{"an EnvoyExtensionPolicy on the same", at("kind: Gateway, name: edge") + lua,
			"has a target that EnvoyExtensionPolicy lua has as well", 0},
		{"an EnvoyExtensionPolicy on another", at("kind: Gateway, name: other") + lua, "", 1},
	} {
		r := migrateText(c.text)
		if len(r.Configurations) != c.configurations || !strings.Contains(lines(r.Findings), c.want) || c.want == "" &&
			strings.Contains(lines(r.Findings), "error:") {
			t.Errorf("%s: %d configurations; want %q:\n%s", c.name, len(r.Configurations), c.want, lines(r.Findings))
		}
	}
}

// A name that stands in the files twice is one resource to a cluster.
func TestTwice(t *testing.T) {
	person := ask{host: "x", method: "GET", path: "/a", issuer: 1}
	for _, c := range []struct {
		name, first, second string
		want                string
		configurations      int
	}{
		{"the same", authz("{action: DENY, rules: [{}]}"), authz("{action: DENY, rules: [{}]}"),
			"warning: AuthorizationPolicy shop/policy: metadata.name: stands in a.yaml already", 1},
		{"another", authz("{action: DENY, rules: [{}]}"), authz("{rules: [{}]}"),
			"error: AuthorizationPolicy shop/policy: metadata.name: stands in a.yaml as well, with another spec", 0},
		{"for others", authz("{action: DENY, rules: [{}]}"),
			authz("{selector: {matchLabels: {a: b}}, action: DENY, rules: [{}]}"), "error: AuthorizationPolicy " +
				"shop/policy: metadata.name: stands in b.yaml as well", 0},
		{"a RequestAuthentication", withKeys(t), authn(""),
			"error: RequestAuthentication shop/idp: metadata.name: stands in a.yaml as well", 0},
		{"a dry run", authz("{rules: []}"),
			strings.Replace(authz("{rules: []}"), "name: policy,",
				"name: policy, annotations: {istio.io/dry-run: 'true'},", 1), "error: AuthorizationPolicy " +
				"shop/policy: metadata.name: stands in a.yaml as well", 0},
	} {
		m := &Migrator{}
		if c.name != "a RequestAuthentication" {
			m.Add("idp.yaml", []byte(withKeys(t)))
		}
		m.Add("a.yaml", []byte(c.first))
		m.Add("b.yaml", []byte(c.second))
		r := m.Result()
		if !strings.Contains(lines(r.Findings), c.want) || len(r.Configurations) != c.configurations {
			t.Errorf("%s: %d configurations; no %q in\n%s", c.name, len(r.Configurations), c.want, lines(r.Findings))
		}
		for _, one := range r.Configurations {
			if p, err := scope.Parse(one.JSON, scope.Surroundings{}); err != nil || admits(t, p, person) {
				t.Errorf("%s: %v, or a request is admitted", c.name, err)
			}
		}
	}
}

// The namespace verifies, one workload refuses robots: its plugin comes first, and leaves the token
// where the one behind it decides by it, too.
func TestTokenStaysForTheNext(t *testing.T) {
	robots := strings.Replace(
		authz(`{action: DENY, rules: [{when: [{key: "request.auth.claims[client_kind]", values: [robot]}]}]}`),
		"spec: {", "spec: {selector: {matchLabels: {app: orders}}, ", 1)
	for _, c := range []struct {
		name, text string
		token      string // what becomes of it at the first
	}{
		{"verified, and no more", withKeys(t) + robots, "strip"},
		{"with a policy that refuses", withKeys(t) + robots +
			authz(`{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}], from: [{source: {notRequestPrincipals: ["*"]}}]}]}`), "keep"},
		{"with claims in headers",
			authn(fmt.Sprintf(", outputClaimToHeaders: [{claim: sub, header: x-user}], jwks: %q", mint.Set(keys[0]))) +
				robots, "keep"},
	} {
		r := migrateText(c.text)
		if len(r.Configurations) != 2 {
			t.Fatalf("%s: %d configurations\n%s", c.name, len(r.Configurations), lines(r.Findings))
		}
		var checker check.Checker
		for _, one := range r.Configurations {
			priority, token := 10, "strip"
			if one.selection.labels["app"] != "" {
				priority, token = 20, c.token
			}
			text, err := one.Resource("oci://x", false)
			if err != nil || !strings.Contains(text, fmt.Sprintf("priority: %d\n", priority)) ||
				yamlnode.Text(yamlnode.Member(one.node, "forward", "token")) != token {
				t.Errorf("%s: %v: want %d %s in\n%s", c.name, err, priority, token, text)
			}
			if stays := strings.Contains(text, "# The token stays for shop/jwt-scope,"); stays != (token == "keep") {
				t.Errorf("%s: the comment about the token: %t\n%s", c.name, stays, text)
			}
			checker.File("made.yaml", []byte(text))
		}
		for _, f := range append(r.Findings, checker.Findings()...) {
			if f.Severity == check.Error {
				t.Errorf("%s: found: %s", c.name, f)
			}
		}
	}
}

// Whatever an issuer signs with, Istio takes: so does what is made of its address.
func TestAlgorithmsOfPublishedKeys(t *testing.T) {
	r := migrateText(authn(`, jwksUri: "https://idp.example.com/certs"`))
	for _, alg := range []string{"RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		if len(r.Configurations) != 1 || !strings.Contains(r.Configurations[0].JSON, `"`+alg+`"`) {
			t.Errorf("no %s in %v\n%s", alg, r.Configurations, lines(r.Findings))
		}
	}
	if strings.Contains(r.Configurations[0].JSON, "HS256") {
		t.Error("a secret could be published")
	}
}

// Of a target of which it is not known what applies to it, nothing is admitted that may be refused.
func TestTargetsTakeWhatRefuses(t *testing.T) {
	target := strings.Replace(withKeys(t), "spec: {", "spec: {targetRefs: [{kind: Gateway, name: edge}], ", 1)
	person := ask{host: "x", method: "GET", path: "/a", issuer: 1}
	for name, policy := range map[string]string{
		"DENY":                  authz("{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}"),
		"ALLOW":                 authz("{rules: [{}]}"),
		"of the root namespace": strings.Replace(authz("{rules: [{}]}"), "namespace: shop", "namespace: istio-system", 1),
		"CUSTOM":                authz("{action: CUSTOM, rules: [{}]}"),
		"DENY of an own and all": authz("{action: DENY, rules: [{}]}") +
			strings.Replace(authz("{rules: [{}]}"), "spec: {", "spec: {targetRefs: [{kind: Gateway, name: edge}], ", 1),
	} {
		r := migrateText(target + policy)
		if len(r.Configurations) != 1 {
			t.Fatalf("%s: %s", name, lines(r.Findings))
		}
		p, err := scope.Parse(r.Configurations[0].JSON, scope.Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		if admits(t, p, person) {
			t.Errorf("%s: admitted: %s", name, r.Configurations[0].JSON)
		}
	}
}

// What is written is read again as what it is, by the filter and by tollgate check.
func TestWritten(t *testing.T) {
	text := withKeys(t) + authz(
		`{selector: {matchLabels: {app: "yes"}}, rules: [{to: [{operation: {paths: ["/on", "/a/*"]}}], when: [{key: "request.auth.claims[on]", values: ["no", "1", "null", "a: b", "#"]}]}]}`)
	text += envoyGateway(t, ", claimToHeaders: [{claim: a.b, header: X-A}]",
		`authorization: {rules: [{action: Allow, principal: {jwt: {provider: idp, scopes: [a, b]}}}]}`)
	r := migrateText(text)
	if len(r.Configurations) != 3 {
		t.Fatalf("%d configurations:\n%s", len(r.Configurations), lines(r.Findings))
	}
	for _, c := range r.Configurations {
		held(t, c)
	}
	plugin, err := r.Configurations[1].Resource("oci://example.com/jwt-scope@sha256:0", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Made by tollgate migrate of RequestAuthentication shop/idp, AuthorizationPolicy " +
		"shop/policy.\n", "kind: WasmPlugin", "name: jwt-scope-yes", `selector: {matchLabels: {app: "yes"}}`,
		"phase: AUTHN", "failStrategy: FAIL_RELOAD", `"no"`} {
		if !strings.Contains(plugin, want) {
			t.Errorf("no %q in\n%s", want, plugin)
		}
	}
	extension, err := r.Configurations[1].Resource("oci://example.com/jwt-scope@sha256:0", true)
	if err != nil || !strings.Contains(extension, "kind: TrafficExtension") ||
		!strings.Contains(extension, "  wasm:\n    url: oci://example.com/jwt-scope@sha256:0\n") {
		t.Errorf("%v:\n%s", err, extension)
	}
	gateway, err := r.Configurations[2].Resource("oci://example.com/jwt-scope:1", false)
	if err != nil || !strings.Contains(gateway, "kind: EnvoyExtensionPolicy") ||
		!strings.Contains(gateway, "url: example.com/jwt-scope:1") ||
		!strings.Contains(gateway, "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]") {
		t.Errorf("%v:\n%s", err, gateway)
	}
}

// held holds what is written of a configuration against what it is.
func held(t testing.TB, c Configuration) {
	t.Helper()
	if _, err := scope.Parse(c.JSON, scope.Surroundings{}); err != nil {
		t.Fatalf("the filter refuses what was made for it: %v\n%s", err, c.JSON)
	}
	bare, err := c.Bare()
	if err != nil {
		t.Fatal(err)
	}
	documents, err := check.Documents([]byte(bare))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%d documents, %v:\n%s", len(documents), err, bare)
	}
	if again, err := check.ToJSON(documents[0]); err != nil || string(again) != c.JSON {
		t.Fatalf("%v: written and read again, the configuration is\n%s\nand was\n%s", err, again, c.JSON)
	}
	for _, extension := range []bool{false, true} {
		resource, err := c.Resource("oci://example.com/jwt-scope@sha256:"+strings.Repeat("7a", 32), extension)
		if err != nil {
			t.Fatal(err)
		}
		checker := &check.Checker{}
		checker.File("made.yaml", []byte(resource))
		for _, f := range checker.Findings() {
			if strings.Contains(f.Problem, "does not say which listeners") &&
				strings.Contains(resource, "# Where it selects sidecars,") {
				continue // for whoever reads it to say
			}
			if f.Severity == check.Note && strings.Contains(f.Problem, "is a route: ") {
				continue // the SecurityPolicy is there until what is made of it decides
			}
			if strings.Contains(f.Problem, "has a brace, and is compared byte for byte") {
				continue // as the policy has it, too
			}
			t.Fatalf("tollgate check finds %s:\n%s", f, resource)
		}
		text, err := c.ResourceJSON("x", extension)
		if err != nil || !json.Valid(text) {
			t.Fatalf("%v: %s", err, text)
		}
	}
}

// Whatever the files: what comes of them is what the filter takes, and what tollgate check finds nothing in.
func FuzzMigrate(f *testing.F) {
	inline := withKeys(f)
	f.Add(inline + authz(`{rules: [{to: [{operation: {paths: ["/a/*", "/{*}/b"], notPaths: ["/a/{**}"], hosts: ["*.example.com", "x:*"], methods: [GET]}}], from: [{source: {requestPrincipals: ["*", "a/*"], ipBlocks: [::1]}}], when: [{key: "request.auth.claims[a][b]", values: ["a", "b*"], notValues: ["*"]}]}]}`))
	f.Add(authn(`, jwksUri: "http://a:1/b?c", audiences: [a], fromHeaders: [{name: a, prefix: "b "}], fromParams: [c], fromCookies: [d], forwardOriginalToken: true, outputPayloadToHeader: e, outputClaimToHeaders: [{claim: f.g, header: h}], spaceDelimitedClaims: [i], timeout: 1s`) +
		authz(`{action: DENY, selector: {matchLabels: {app: "yes"}}, rules: [{when: [{key: "request.auth.claims[i]", notValues: ["x"]}]}]}`))
	f.Add(envoyGateway(f, ", extractFrom: {headers: [{name: a}]}",
		`authorization: {defaultAction: Allow, rules: [{action: Deny, operation: {path: {value: /a}}, principal: {jwt: {provider: idp, scopes: [a], claims: [{name: a.b, values: [c]}]}}}]}`))
	f.Add(authn("") + inline + authz(`{rules: [{when: [{key: "request.headers[X-a]", values: ["a", "b*", "*"], notValues: ["*c", " "]}, {key: "request.auth.claims[scope]", values: ["r*", "*w", "a b"]}]}, {when: [{key: "request.headers[x_a]", notValues: [a]}, {key: "request.auth.claims[permission]", notValues: [r]}]}]}`))
	f.Add("kind: List\nitems:\n- " + strings.TrimSuffix(authz("{}"), "---\n"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range migrateText(text).Configurations {
			held(t, c)
		}
	})
}
