// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package policytest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Workload is what Istio's selection sees of a proxy in the namespace shop.
type Workload struct {
	Labels            map[string]string
	Gateway, Waypoint string // its name, of the one kind or the other
	Service           string // behind a waypoint: that of the request
}

// Fits reports whether a resource with such a selection is for the workload. Targets are written
// with kind and name at their end.
func (w Workload) Fits(selection string) bool {
	if strings.Contains(selection, "targetRefs") {
		for _, kind := range [][2]string{{"Gateway", w.Gateway}, {"Gateway", w.Waypoint}, {"Service", w.Service}} {
			if kind[1] != "" && strings.Contains(inOrder.Replace(selection),
				fmt.Sprintf("kind: %s, name: %s}", kind[0], kind[1])) {
				return true
			}
		}
		return false
	}
	if w.Waypoint != "" {
		return false
	}
	for _, label := range []string{"app: orders", "app: bills", "tier: web"} {
		name, value, _ := strings.Cut(label, ": ")
		if strings.Contains(selection, label) && w.Labels[name] != value {
			return false
		}
	}
	return true
}

// inOrder puts the members of targets into one order.
var inOrder = strings.NewReplacer("{name: g, kind: Gateway, group: gateway.networking.k8s.io}",
	"{kind: Gateway, name: g}", "{group: '', kind: Service, name: s}", "{kind: Service, name: s}")

// Workloads are those that the resources tell apart.
var Workloads = []Workload{
	{}, {Labels: map[string]string{"app": "orders"}}, {Labels: map[string]string{"app": "bills"}},
	{Labels: map[string]string{"tier": "web"}},
	{Labels: map[string]string{"app": "orders", "tier": "web"}},
	{Labels: map[string]string{"app": "bills", "tier": "web"}},
	{Gateway: "g"}, {Gateway: "g", Labels: map[string]string{"app": "orders"}}, {Waypoint: "g"}, {Waypoint: "g",
		Service: "s"}, {Waypoint: "h", Service: "s"},
}

// Resource is a RequestAuthentication of one issuer, or an AuthorizationPolicy.
type Resource struct {
	Namespace, Selection string
	Issuer               int    // of a RequestAuthentication
	Place                string // of its tokens: header, for Authorization, or x-token
	Keep                 bool   // forwardOriginalToken: two of one issuer then say two things
	Policy               Policy
	Unreadable           bool // it has something in it that is not carried over as a whole
}

// Text is the resource in YAML, called r and its number. jwks are the issuers' key sets.
func (p Resource) Text(i int, jwks func(issuer int) string) string {
	metadata := fmt.Sprintf("metadata: {name: r%d, namespace: %s}", i, p.Namespace)
	if p.Issuer > 0 {
		places := map[string]string{"header": "", "x-token": ", fromHeaders: [{name: x-token}]"}[p.Place]
		return fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: RequestAuthentication, %s, spec: "+
			"{%sjwtRules: [{issuer: %q, jwks: %q, forwardOriginalToken: %t%s}]}}\n",
			metadata, p.Selection, IssuerURL(p.Issuer), jwks(p.Issuer), p.Keep, places)
	}
	spec, err := json.Marshal(p.Policy)
	if err != nil {
		panic(err) // texts marshal
	}
	selection := p.Selection
	if p.Unreadable {
		selection += "news: {}, "
	}
	return fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, %s, spec: {%s%s}\n",
		metadata, selection, spec[1:])
}

const group = "group: gateway.networking.k8s.io, "

// RandomResources are some in the namespaces shop and istio-system, with selectors or, where
// targets is set, targetRefs.
func RandomResources(r *rand.Rand, targets bool) (list []Resource) {
	selections := []string{"", "", "selector: {matchLabels: {app: orders}}, ", "selector: {matchLabels: {tier: web}}, ",
		"selector: {matchLabels: {app: bills}}, ", "selector: {matchLabels: {tier: web, app: orders}}, "}
	if targets {
		selections = []string{"", "selector: {matchLabels: {app: orders}}, ",
			"targetRefs: [{" + group +
				"kind: Gateway, name: g}], ", "targetRefs: [{name: g, kind: Gateway, group: " +
				"gateway.networking.k8s.io}, {group: '', kind: Service, name: s}], ", "targetRefs: [{kind: Service, name: s}], ",
			"targetRefs: [{" + group + "kind: Gateway, name: h}], "}
	}
	at := func() (p Resource) {
		p.Namespace, p.Selection = "shop", selections[r.IntN(len(selections))]
		if r.IntN(4) == 0 && !strings.Contains(p.Selection, "targetRefs") {
			p.Namespace = "istio-system"
		}
		return p
	}
	for range 1 + r.IntN(3) {
		p := at()
		p.Issuer, p.Place, p.Keep = 1+r.IntN(2), []string{"header", "header", "x-token"}[r.IntN(3)], r.IntN(4) == 0
		list = append(list, p)
	}
	for range 1 + r.IntN(4) {
		p := at()
		p.Policy, p.Unreadable = RandomPolicies(r, r.IntN(2) == 0)[0], r.IntN(12) == 0
		list = append(list, p)
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
