// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/build/advice"
	"github.com/tollgate-wasm/tollgate/build/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose/josetest"
)

// A workload of these tests is what Istio's selection sees of it.
type workload struct {
	labels            map[string]string
	gateway, waypoint string // its name, of the one kind or the other
	service           string // behind a waypoint: that of the request
}

func (w workload) fits(s string, namespace string) bool {
	if strings.Contains(s, "targetRefs") {
		for _, kind := range [][2]string{{"Gateway", w.gateway}, {"Gateway", w.waypoint}, {"Service", w.service}} {
			if kind[1] != "" && strings.Contains(s, fmt.Sprintf("kind: %s, name: %s}", kind[0], kind[1])) {
				return true
			}
		}
		return false
	}
	if w.waypoint != "" {
		return false
	}
	for _, label := range []string{"app: orders", "app: bills", "tier: web"} {
		name, value, _ := strings.Cut(label, ": ")
		if strings.Contains(s, label) && w.labels[name] != value {
			return false
		}
	}
	return true
}

var workloads = []workload{
	{}, {labels: map[string]string{"app": "orders"}}, {labels: map[string]string{"app": "bills"}}, {labels: map[string]string{"tier": "web"}},
	{labels: map[string]string{"app": "orders", "tier": "web"}}, {labels: map[string]string{"app": "bills", "tier": "web"}},
	{gateway: "g"}, {gateway: "g", labels: map[string]string{"app": "orders"}}, {waypoint: "g"}, {waypoint: "g", service: "s"}, {waypoint: "h", service: "s"},
}

// placed is a resource of these tests.
type placed struct {
	namespace, selection string
	issuer               int // of a RequestAuthentication
	place                string
	keep                 bool // forwardOriginalToken: two of one issuer then say two things
	policy               iPolicy
	unreadable           bool // it has something in it that is not carried over as a whole
}

func (p placed) text(i int) string {
	name := fmt.Sprintf("metadata: {name: r%d, namespace: %s}", i, p.namespace)
	if p.issuer > 0 {
		places := map[string]string{"header": "", "x-token": ", fromHeaders: [{name: x-token}]"}[p.place]
		return fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: RequestAuthentication, %s, spec: {%sjwtRules: [{issuer: %q, jwks: %q, forwardOriginalToken: %t%s}]}}\n", name, p.selection, issuerURL(p.issuer), mint.Set(keys[p.issuer-1]), p.keep, places)
	}
	spec, err := json.Marshal(p.policy)
	if err != nil {
		panic(err)
	}
	if p.unreadable {
		p.selection += "news: {}, "
	}
	return fmt.Sprintf("---\n{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, %s, spec: {%s%s}\n", name, p.selection, spec[1:])
}

func randomResources(r *rand.Rand, targets bool) (list []placed) {
	selections := []string{"", "", "selector: {matchLabels: {app: orders}}, ", "selector: {matchLabels: {tier: web}}, ", "selector: {matchLabels: {app: bills}}, ", "selector: {matchLabels: {tier: web, app: orders}}, "}
	if targets {
		selections = []string{"", "selector: {matchLabels: {app: orders}}, ",
			"targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], ", "targetRefs: [{name: g, kind: Gateway, group: gateway.networking.k8s.io}, {group: '', kind: Service, name: s}], ", "targetRefs: [{kind: Service, name: s}], ",
			"targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: h}], "}
	}
	// As fits reads them.
	write := func(s string) string {
		return strings.NewReplacer("group: gateway.networking.k8s.io, kind: Gateway, name: g}", "group: gateway.networking.k8s.io, kind: Gateway, name: g}").Replace(s)
	}
	at := func() (string, string) {
		namespace := "shop"
		s := selections[r.IntN(len(selections))]
		if r.IntN(4) == 0 && !strings.Contains(s, "targetRefs") {
			namespace = "istio-system"
		}
		return namespace, write(s)
	}
	for range 1 + r.IntN(3) {
		namespace, s := at()
		list = append(list, placed{namespace: namespace, selection: s, issuer: 1 + r.IntN(2), place: []string{"header", "header", "x-token"}[r.IntN(3)], keep: r.IntN(4) == 0})
	}
	for range 1 + r.IntN(4) {
		for _, p := range randomPolicies(r, r.IntN(2) == 0)[:1] {
			namespace, s := at()
			list = append(list, placed{namespace: namespace, selection: s, policy: p, unreadable: r.IntN(12) == 0})
		}
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// sent is a request with tokens in two places.
type sent struct {
	ask
	elsewhere *ask // whose token is in x-token
}

// istio decides as jwt_authn and rbac do: of several issuers one must find its token and accept it, and where none has one, no token is fine.
func (s sent) istio(w workload, resources []placed) bool {
	var providers []placed
	var policies []iPolicy
	for _, p := range resources {
		switch {
		case !w.fits(reordered(p.selection), p.namespace):
		case p.issuer > 0:
			providers = append(providers, p)
		default:
			policies = append(policies, p.policy)
		}
	}
	slices.SortStableFunc(providers, func(a, b placed) int { return a.issuer - b.issuer })
	missing := true
	who := s.ask
	who.issuer, who.claims = 0, nil
	for _, p := range providers {
		there := &s.ask
		if p.place == "x-token" {
			there = s.elsewhere
		}
		if there == nil || there.issuer == 0 {
			continue
		}
		if there.issuer == p.issuer {
			who.issuer, who.claims = there.issuer, there.claims
			return istioAdmits(policies, who)
		}
		missing = false
	}
	return missing && istioAdmits(policies, who)
}

// reordered has the members of a target in the order that fits looks for.
func reordered(s string) string {
	return strings.NewReplacer("{name: g, kind: Gateway, group: gateway.networking.k8s.io}", "{kind: Gateway, name: g}", "{group: '', kind: Service, name: s}", "{kind: Service, name: s}").Replace(s)
}

// chain are the policies of the plugins that a workload has, in Istio's order.
func chain(t *testing.T, w workload, list []Configuration, order []int) (chain []*scope.Policy) {
	var own []Configuration
	for _, i := range order { // of creation
		c := list[i]
		s := ""
		if c.targets != nil {
			s = "targetRefs: ["
			for _, one := range c.targets {
				s += fmt.Sprintf("{kind: %s, name: %s}", one.kind, one.name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.selection.labels)) {
			s += name + ": " + c.selection.labels[name] + ", "
		}
		if w.fits(s, c.selection.namespace) {
			own = append(own, c)
		}
	}
	slices.SortStableFunc(own, func(a, b Configuration) int { return b.priority - a.priority })
	for _, c := range own {
		p, err := scope.Parse(c.JSON)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, p)
	}
	return chain
}

// passes sends a request through a chain: each sees the headers as the one before has left them.
func (s sent) passes(t *testing.T, chain []*scope.Policy) bool {
	t.Helper()
	headers := [][2]string{{":method", s.method}, {":authority", s.host}, {":path", s.path}}
	if s.issuer > 0 {
		headers = append(headers, [2]string{"authorization", "Bearer " + s.token()})
	}
	if s.elsewhere != nil {
		headers = append(headers, [2]string{"x-token", s.elsewhere.token()})
	}
	for _, p := range chain {
		d := &scope.Decision{}
		p.Decide(d, headers, now)
		for d.Step() != scope.Done {
			v, _ := d.Signature()
			d.SignatureChecked(josetest.Verify(v))
		}
		if !d.Verdict().Admits() {
			return false
		}
		var e forward.Effect
		d.Effect(&e)
		headers = slices.DeleteFunc(slices.Clone(headers), func(h [2]string) bool { return slices.Contains(e.Remove, h[0]) })
	}
	return true
}

// Whatever resources meet on a workload, and in whatever order they have been created: what its plugins admit one behind the other, Istio admits.
func TestChains(t *testing.T) {
	base := asks()
	requests, admitted, chained, written := 0, 0, 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		resources := randomResources(r, seed%2 == 1)
		text := ""
		for i, p := range resources {
			text += p.text(i)
		}
		m := &Migrator{}
		m.Add("p.yaml", []byte(text))
		result := m.Result()
		written += len(result.Configurations)
		for _, w := range workloads {
			c := chain(t, w, result.Configurations, r.Perm(len(result.Configurations)))
			if len(c) == 0 {
				continue // the policies stay
			}
			staying := stay(m, resources, result.Configurations, w)
			if len(c) > 1 {
				chained++
			}
			for range 60 {
				s := sent{ask: base[r.IntN(len(base))]}
				if r.IntN(3) == 0 {
					if other := base[r.IntN(len(base))]; other.issuer > 0 {
						s.elsewhere = &other
					}
				}
				requests++
				bare := s.ask
				bare.issuer, bare.claims = 0, nil
				if !s.passes(t, c) || !istioAdmits(staying, bare) {
					continue
				}
				admitted++
				created := slices.Clone(resources) // in an order that is not that of the file
				r.Shuffle(len(created), func(i, j int) { created[i], created[j] = created[j], created[i] })
				if !s.istio(w, created) {
					t.Fatalf("seed %d: %+v admits %+v (and %+v), and Istio refuses it:\n%s\n%s", seed, w, s.ask, s.elsewhere, text, dump(t, result))
				}
			}
		}
	}
	t.Logf("%d plugins; %d requests, %d admitted; %d workloads with several plugins", written, requests, admitted, chained)
	if admitted < requests/20 || chained < 100 {
		t.Error("the resources show too little")
	}
}

// stay are the policies for a workload of which a finding says that they have to stay: some of their targets have got no plugin. Behind a chain they see no token.
func stay(m *Migrator, resources []placed, written []Configuration, w workload) (list []iPolicy) {
	with := map[string]bool{}
	for _, c := range written {
		with[c.selection.key()] = true
		for _, one := range c.targets {
			with[selection{namespace: c.selection.namespace, target: one}.key()] = true
		}
	}
	for i, p := range resources {
		if p.issuer > 0 || !w.fits(reordered(p.selection), p.namespace) {
			continue
		}
		for _, a := range m.authorizations {
			if a.name == fmt.Sprint("r", i) && slices.ContainsFunc(a.selections, func(s selection) bool { return !with[s.key()] }) {
				list = append(list, p.policy)
			}
		}
	}
	return list
}

func dump(t *testing.T, r Result) string {
	t.Helper()
	var b strings.Builder
	for _, c := range r.Configurations {
		text, err := c.Resource("oci://x", false)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(text + "---\n")
	}
	for _, f := range r.Findings {
		if f.Severity == advice.Error {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}
