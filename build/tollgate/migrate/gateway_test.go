// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate/policytest"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
)

// Envoy Gateway's authorization, as it is written and as plainly as can be.

type gRule struct {
	Action    string      `json:"action"`
	Operation *gOperation `json:"operation,omitempty"`
	Principal *gPrincipal `json:"principal,omitempty"`
}

type gOperation struct {
	Methods []string `json:"methods,omitempty"`
	Path    *gPath   `json:"path,omitempty"`
}

type gPath struct {
	Type   string `json:"type,omitempty"`
	Value  string `json:"value"`
	Invert bool   `json:"invert,omitempty"`
}

type gPrincipal struct {
	ClientCIDRs []string  `json:"clientCIDRs,omitempty"`
	Headers     []gHeader `json:"headers,omitempty"`
	JWT         *gJWT     `json:"jwt,omitempty"`
}

type gHeader struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

type gJWT struct {
	Provider string   `json:"provider"`
	Scopes   []string `json:"scopes,omitempty"`
	Claims   []gClaim `json:"claims,omitempty"`
}

type gClaim struct {
	Name      string   `json:"name"`
	ValueType string   `json:"valueType,omitempty"`
	Values    []string `json:"values"`
}

// gatewayAdmits asks the rules one after the other: the first that fits decides.
func gatewayAdmits(rules []gRule, optional, otherwise bool, a ask) bool {
	if a.issuer == 0 && !optional {
		return false
	}
	for _, r := range rules {
		if r.fits(a) {
			return r.Action == "Allow"
		}
	}
	return otherwise
}

func (r gRule) fits(a ask) bool {
	if o := r.Operation; o != nil {
		if len(o.Methods) > 0 && !slices.Contains(o.Methods, a.method) {
			return false
		}
		if p := o.Path; p != nil {
			fits := a.path == p.Value
			if p.Type != "Exact" {
				value := strings.TrimSuffix(p.Value, "/")
				fits = a.path == value || strings.HasPrefix(a.path, value+"/")
			}
			if fits == p.Invert {
				return false
			}
		}
	}
	if p := r.Principal; p != nil {
		if len(p.ClientCIDRs) > 0 && !a.inside {
			return false
		}
		for _, h := range p.Headers { // * is a letter
			var values []string
			for _, own := range a.headers {
				if strings.EqualFold(own[0], h.Name) {
					values = append(values, own[1])
				}
			}
			if values == nil || !slices.Contains(h.Values, strings.Join(values, ",")) {
				return false
			}
		}
		if j := p.JWT; j != nil {
			if a.issuer == 0 || j.Provider != fmt.Sprintf("idp%d", a.issuer) {
				return false
			}
			items := func(name string) (list []string) {
				list, _ = a.claims[name].([]string)
				if text, ok := a.claims[name].(string); ok && (name == "scope" || name == "scp") {
					list = strings.Fields(text)
				}
				return list
			}
			for _, s := range j.Scopes {
				if !slices.Contains(items("scope"), s) && !slices.Contains(items("scp"), s) {
					return false
				}
			}
			for _, c := range j.Claims {
				text, isText := a.claims[c.Name].(string)
				fits := func(v string) bool { return isText && c.Name != "scope" && v == text }
				if c.ValueType == "StringArray" {
					fits = func(v string) bool { return slices.Contains(items(c.Name), v) }
				}
				if !slices.ContainsFunc(c.Values, fits) {
					return false
				}
			}
		}
	}
	return true
}

func randomGateway(r *rand.Rand, exact bool) (rules []gRule) {
	for range r.IntN(5) {
		rule := gRule{Action: []string{"Allow", "Deny"}[r.IntN(2)]}
		if r.IntN(3) > 0 {
			o := &gOperation{}
			if r.IntN(2) == 0 {
				o.Methods = policytest.Some(r, []string{"GET", "POST"})
			}
			if r.IntN(3) > 0 {
				o.Path = &gPath{Type: []string{"", "PathPrefix", "Exact"}[r.IntN(3)],
					Value: []string{"/", "/a", "/a/", "/a/b", "/x"}[r.IntN(5)], Invert: r.IntN(4) == 0}
			}
			rule.Operation = o
		}
		if r.IntN(4) > 0 {
			p := &gPrincipal{}
			if !exact && r.IntN(4) == 0 {
				p.ClientCIDRs = []string{"10.0.0.0/8"}
			}
			if r.IntN(4) > 0 {
				p.JWT = &gJWT{Provider: fmt.Sprintf("idp%d", 1+r.IntN(2))}
				if r.IntN(2) == 0 {
					p.JWT.Scopes = policytest.Some(r, []string{"r", "w"})
				}
				for r.IntN(2) == 0 {
					c := gClaim{"role", []string{"", "String", "StringArray"}[r.IntN(3)], policytest.Some(r, []string{"a", "b"})}
					if r.IntN(3) == 0 {
						c = gClaim{"scope", c.ValueType, policytest.Some(r, []string{"r", "w"})}
					}
					p.JWT.Claims = append(p.JWT.Claims, c)
				}
			}
			for r.IntN(3) == 0 {
				p.Headers = append(p.Headers, gHeader{[]string{"x-a", "X-B"}[r.IntN(2)],
					policytest.Some(r, []string{"a", "ab", "b", "*"})})
			}
			rule.Principal = p
		}
		rules = append(rules, rule)
	}
	return rules
}

// Whatever the rules: what the migrated configuration admits, Envoy Gateway's admit. Where nothing
// is said to be lost, it admits as much.
func TestGatewayNeverLessStrict(t *testing.T) {
	list := asks()
	exactly, stricter, asked := 0, 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		rules, optional, otherwise := randomGateway(r, seed%2 == 0), r.IntN(2) == 0, r.IntN(2) == 0
		action := map[bool]string{true: "Allow", false: "Deny"}[otherwise]
		text, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		var providers []string
		for i, k := range keys {
			providers = append(providers,
				fmt.Sprintf("{name: idp%d, issuer: %q, localJWKS: {type: Inline, inline: %q}}", i+1, issuerURL(i+1), mint.Set(k)))
		}
		policy := fmt.Sprintf("{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: "+
			"p, namespace: shop}, spec: {jwt: {optional: %v, providers: [%s]}, authorization: {defaultAction: %s, rules: %s}}}",
			optional, strings.Join(providers, ", "), action, text)
		result := migrateText(policy)
		if len(result.Configurations) != 1 {
			t.Fatalf("seed %d: %s", seed, lines(result.Findings))
		}
		p, err := scope.Parse(result.Configurations[0].JSON, scope.Surroundings{})
		if err != nil {
			t.Fatal(err)
		}
		lost := slices.ContainsFunc(result.Findings, func(f check.Finding) bool { return f.Severity == check.Error })
		if !lost {
			exactly++
		}
		for i, a := range list {
			a.headers = list[(i+int(seed))%len(list)].headers
			asked++
			ours, theirs := admits(t, p, a), gatewayAdmits(rules, optional, otherwise, a)
			switch {
			case ours && !theirs:
				t.Fatalf("seed %d: %+v is admitted, and Envoy Gateway refuses it:\n%s\n%s", seed, a, policy,
					result.Configurations[0].JSON)
			case theirs && !ours && !lost && !a.public().Ambiguous():
				t.Fatalf("seed %d: %+v is refused, Envoy Gateway admits it, and no finding says so:\n%s\n%s", seed, a,
					policy, result.Configurations[0].JSON)
			case theirs && !ours:
				stricter++
			}
		}
	}
	t.Logf("%d without a loss; of %d requests %d refused that Envoy Gateway admits", exactly, asked, stricter)
	if exactly < 75 || stricter == 0 || asked < 100_000 {
		t.Error("the policies show too little")
	}
}

// An EnvoyExtensionPolicy that is there already may keep what is made of a SecurityPolicy from
// being applied where that was.
func TestBesideExtensions(t *testing.T) {
	at := func(text, ref string) string {
		return strings.Replace(text, "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}", ref, 1)
	}
	lua := func(ref, more string) string {
		return "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyExtensionPolicy, metadata: {name: lua, " +
			"namespace: shop}, spec: {targetRefs: [" + ref + "]" + more + ", lua: [{type: Inline, inline: x}]}}\n---\n"
	}
	const gateway, other, route, listener = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
		"{group: gateway.networking.k8s.io, kind: Gateway, name: other}", "{group: gateway.networking.k8s.io, kind: " +
			"HTTPRoute, name: r}",
		"{name: edge, kind: Gateway, group: gateway.networking.k8s.io, sectionName: https}"
	const set = "{group: gateway.networking.k8s.io, kind: ListenerSet, name: more}"
	for _, c := range []struct {
		name, text, want string
		configurations   int
	}{
		{"alone", at(envoyGateway(t, "", ""), gateway), "", 1},
		{"one on a route", at(envoyGateway(t, "", ""), gateway) + lua(route, ""),
			"error: SecurityPolicy shop/policy: spec.targetRefs: has its tokens verified on what " +
				"EnvoyExtensionPolicy shop/lua is attached to", 0},
		{"one on a route in another namespace", at(envoyGateway(t, "", ""), gateway) +
			strings.Replace(lua(route, ""), "namespace: shop", "namespace: bank", 1), "EnvoyExtensionPolicy bank/lua", 0},
		{"one on a route, merged", at(envoyGateway(t, "", ""), gateway) + lua(route, ", mergeType: StrategicMerge"), "", 1},
		{"one on a route, merged as JSON", at(envoyGateway(t, "", ""), gateway) + lua(route, ", mergeType: JSONMerge"),
			"", 1},
		{"one on a route, in a word that merges nothing", at(envoyGateway(t, "", ""), gateway) +
			lua(route, ", mergeType: strategicMerge"), "and has no mergeType: want StrategicMerge or JSONMerge", 0},
		{"one on a route that replaces", at(envoyGateway(t, "", ""), gateway) + lua(route, ", mergeType: Replace"),
			"and has no mergeType: want StrategicMerge or JSONMerge", 0},
		{"one on a route, merged, with wasm of its own", at(envoyGateway(t, "", ""), gateway) +
			lua(route, ", mergeType: StrategicMerge, wasm: [{name: other}]"), "and its own wasm replaces the " +
			"Gateway's, whatever its mergeType", 0},
		{"one on a route, merged as JSON, with wasm that is empty", at(envoyGateway(t, "", ""), gateway) +
			lua(route, ", mergeType: JSONMerge, wasm: []"), "and its own wasm replaces the Gateway's, whatever " +
			"its mergeType", 0},
		{"one on a route, with wasm of its own", at(envoyGateway(t, "", ""), gateway) +
			lua(route, ", wasm: [{name: other}]"), "and its own wasm replaces the Gateway's, whatever its mergeType", 0},
		{"one on a ListenerSet", at(envoyGateway(t, "", ""), gateway) + lua(set, ""), "EnvoyExtensionPolicy shop/lua", 0},
		{"one on a listener of a ListenerSet", at(envoyGateway(t, "", ""), set) +
			lua(strings.Replace(set, "}", ", sectionName: https}", 1), ""), "EnvoyExtensionPolicy shop/lua", 0},
		{"one on a route, beside a policy of a ListenerSet", at(envoyGateway(t, "", ""), set) + lua(route, ""),
			"EnvoyExtensionPolicy shop/lua", 0},
		{"one on a ListenerSet, beside a policy of a listener", at(envoyGateway(t, "", ""), listener) + lua(set, ""),
			"EnvoyExtensionPolicy shop/lua", 0},
		{"one on a kind that nobody knows", at(envoyGateway(t, "", ""), gateway) + lua("{kind: Doors, name: a}", ""),
			"EnvoyExtensionPolicy shop/lua", 0},
		{"one on a kind that nobody knows, beside a policy of a route", envoyGateway(t, "", "") +
			lua("{kind: Doors, name: a}", ""), "EnvoyExtensionPolicy shop/lua", 0},
		{"one on a route, beside a policy of a kind that nobody knows",
			at(envoyGateway(t, "", ""), "{kind: Doors, name: a}") + lua(route, ""), "EnvoyExtensionPolicy shop/lua", 0},
		{"one on another ListenerSet", at(envoyGateway(t, "", ""), set) +
			lua(strings.Replace(set, "name: more", "name: others", 1), ""), "", 1},
		{"one on the ListenerSet of the route", envoyGateway(t, "", "") + lua(set, ""),
			"takes the place of EnvoyExtensionPolicy shop/lua", 1},
		{"one on a listener", at(envoyGateway(t, "", ""), gateway) + lua(listener, ""),
			"has its tokens verified on what EnvoyExtensionPolicy shop/lua is attached to", 0},
		{"one on routes that are selected", at(envoyGateway(t, "", ""), gateway) +
			strings.Replace(lua("", ""), "targetRefs: []", "targetSelectors: [{kind: HTTPRoute, matchLabels: {a: b}}]",
				1), "EnvoyExtensionPolicy shop/lua", 0},
		{"one on the same", at(envoyGateway(t, "", ""), gateway) + lua(gateway, ""),
			"has a target that EnvoyExtensionPolicy shop/lua has as well", 0},
		{"one on another Gateway", at(envoyGateway(t, "", ""), gateway) + lua(other, ""), "", 1},
		{"one on the Gateway of the route", envoyGateway(t, "", "") + lua(gateway, ""),
			"takes the place of EnvoyExtensionPolicy shop/lua", 1},
		{"two SecurityPolicies on one target", envoyGateway(t, "", "") + envoyGateway(t, "", "authorization: {}"),
			"has a target that SecurityPolicy shop/policy-2 has as well", 0},
		{"two SecurityPolicies, of a Gateway and of a route", envoyGateway(t, "", "") +
			at(envoyGateway(t, "", ""), gateway), "", 2},
	} {
		r := migrateText(c.text)
		if len(r.Configurations) != c.configurations || !strings.Contains(lines(r.Findings), c.want) || c.want == "" &&
			strings.Contains(lines(r.Findings), "error:") {
			t.Errorf("%s: %d configurations; want %q:\n%s", c.name, len(r.Configurations), c.want, lines(r.Findings))
		}
	}
}
