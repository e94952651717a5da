// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/tollgate-wasm/tollgate/build/filters"
	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate/policytest"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/filters/jwt-scope/scope"
	tollgate "github.com/tollgate-wasm/tollgate/filters/tollgate/chain"
	"github.com/tollgate-wasm/tollgate/shared/decide"
	"github.com/tollgate-wasm/tollgate/shared/forward"
	"github.com/tollgate-wasm/tollgate/shared/jose/proxycrypto"
)

// sent is a request with tokens in two places.
type sent struct {
	ask
	elsewhere *ask // whose token is in x-token
}

// istio decides as jwt_authn and rbac do: of several issuers one must find its token and accept it,
// and where none has one, no token is fine.
func (s sent) istio(w policytest.Workload, resources []policytest.Resource) bool {
	var providers []policytest.Resource
	var policies []policytest.Policy
	for _, p := range resources {
		switch {
		case !w.Fits(p.Selection):
		case p.Issuer > 0:
			providers = append(providers, p)
		default:
			policies = append(policies, p.Policy)
		}
	}
	slices.SortStableFunc(providers, func(a, b policytest.Resource) int { return a.Issuer - b.Issuer })
	missing := true
	who := s.ask
	who.issuer, who.claims = 0, nil
	for _, p := range providers {
		there := &s.ask
		if p.Place == "x-token" {
			there = s.elsewhere
		}
		if there == nil || there.issuer == 0 {
			continue
		}
		if there.issuer == p.Issuer {
			who.issuer, who.claims = there.issuer, there.claims
			return policytest.Admits(policies, who.public())
		}
		missing = false
	}
	return missing && policytest.Admits(policies, who.public())
}

// chain are the policies of the plugins that a workload has, in Istio's order.
func chain(t *testing.T, w policytest.Workload, list []Configuration, order []int) (chain []*scope.Policy) {
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
		if w.Fits(s) {
			own = append(own, c)
		}
	}
	slices.SortStableFunc(own, func(a, b Configuration) int { return b.priority - a.priority })
	for _, c := range own {
		for _, step := range steps(t, c.JSON) {
			p, err := scope.Parse(step, scope.Surroundings{})
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, p)
		}
	}
	return chain
}

// steps are what the plugin decides by, one behind the other: of a configuration for the module with
// all filters, as that takes it apart.
func steps(t *testing.T, config string) (list []string) {
	t.Helper()
	if !gjson.Get(config, "filter").Exists() && !gjson.Get(config, "chain").Exists() {
		return []string{config}
	}
	c, err := tollgate.Parse(config, filters.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Steps {
		if s.Filter != "jwt-scope" {
			t.Fatalf("%s is made of Istio's policies", s.Filter)
		}
		list = append(list, s.Config)
	}
	return list
}

// passes sends a request through a chain: each sees the headers as the one before has left them.
func (s sent) passes(t *testing.T, chain []*scope.Policy) bool {
	t.Helper()
	headers := append([][2]string{{":method", s.method}, {":authority", s.host}, {":path", s.path}}, s.headers...)
	if s.issuer > 0 {
		headers = append(headers, [2]string{"authorization", "Bearer " + s.token()})
	}
	if s.elsewhere != nil {
		headers = append(headers, [2]string{"x-token", s.elsewhere.token()})
	}
	for _, p := range chain {
		d := &scope.Decision{}
		p.Decide(d, &decide.Request{Headers: headers, Now: now})
		d.Run(&decide.World{Verify: proxycrypto.Verify})
		if !d.Verdict().Admits() {
			return false
		}
		var e forward.Effect
		d.Effect(&e)
		headers = slices.DeleteFunc(slices.Clone(headers), func(h [2]string) bool { return slices.Contains(e.Remove, h[0]) })
	}
	return true
}

// Whatever resources meet on a workload, and in whatever order they have been created: what its
// plugins admit one behind the other, Istio admits.
func TestChains(t *testing.T) {
	base := asks()
	requests, admitted, chained, written := 0, 0, 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		resources := policytest.RandomResources(r, seed%2 == 1)
		text := ""
		for i, p := range resources {
			text += p.Text(i, func(issuer int) string { return string(mint.Set(keys[issuer-1])) })
		}
		m := &Migrator{}
		m.Add("p.yaml", []byte(text))
		result := m.Result()
		written += len(result.Configurations)
		ofModule := &Migrator{Module: filters.Module}
		ofModule.Add("p.yaml", []byte(text))
		inModule := ofModule.Result()
		for _, w := range policytest.Workloads {
			created := r.Perm(len(result.Configurations))
			c, other := chain(t, w, result.Configurations, created), chain(t, w, inModule.Configurations, created)
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
				passes := s.passes(t, c)
				if s.passes(t, other) != passes {
					t.Fatalf("seed %d: %+v: jwt-scope's plugins say %t to %+v, and the module's another", seed, w, passes, s.ask)
				}
				if !passes || !policytest.Admits(staying, bare.public()) {
					continue
				}
				admitted++
				created := slices.Clone(resources) // in an order that is not that of the file
				r.Shuffle(len(created), func(i, j int) { created[i], created[j] = created[j], created[i] })
				if !s.istio(w, created) {
					t.Fatalf("seed %d: %+v admits %+v (and %+v), and Istio refuses it:\n%s\n%s", seed, w, s.ask,
						s.elsewhere, text, dump(t, result))
				}
			}
		}
	}
	t.Logf("%d plugins; %d requests, %d admitted; %d workloads with several plugins", written, requests, admitted, chained)
	if admitted < requests/20 || chained < 100 {
		t.Error("the resources show too little")
	}
}

// stay are the policies for a workload of which a finding says that they have to stay: some of
// their targets have got no plugin. Behind a chain they see no token.
func stay(m *Migrator, resources []policytest.Resource, written []Configuration,
	w policytest.Workload) (list []policytest.Policy) {
	with := map[string]bool{}
	for _, c := range written {
		with[c.selection.key()] = true
		for _, one := range c.targets {
			with[selection{namespace: c.selection.namespace, target: one}.key()] = true
		}
	}
	for i, p := range resources {
		if p.Issuer > 0 || !w.Fits(p.Selection) {
			continue
		}
		for _, a := range m.authorizations {
			if a.name == fmt.Sprint("r", i) &&
				slices.ContainsFunc(a.selections, func(s selection) bool { return !with[s.key()] }) {
				list = append(list, p.Policy)
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
		if f.Severity == check.Error {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}
