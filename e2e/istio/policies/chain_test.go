// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

// Package policies holds what tollgate migrate makes of policies against istiod's own code, without
// a mesh: its filters for a workload, in one listener of a real Envoy, and the workload's plugins,
// in its order, in another.
package policies

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/go-jose/go-jose/v4"
	"google.golang.org/protobuf/encoding/protojson"

	extensions "istio.io/api/extensions/v1alpha1"
	typeapi "istio.io/api/type/v1beta1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	istionetworking "istio.io/istio/pilot/pkg/networking"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/security/authn"
	"istio.io/istio/pilot/pkg/security/authz/builder"
	"istio.io/istio/pilot/pkg/security/trustdomain"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/log"

	"github.com/tollgate-wasm/tollgate/build/tollgate/check"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate"
	"github.com/tollgate-wasm/tollgate/build/tollgate/migrate/policytest"
	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/bootstrap"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
)

var keys = []*mint.Key{mint.New("one", jose.ES256), mint.New("two", jose.ES256)}

func keySet(issuer int) string { return string(mint.Set(keys[issuer-1])) }

// token is that of a request; each is signed once.
var tokens = map[string]string{}

func token(a policytest.Ask) string {
	claims := map[string]any{"iss": policytest.IssuerURL(a.Issuer),
		"exp": time.Now().Add(24 * time.Hour).Truncate(24 * time.Hour).Unix()}
	for name, v := range a.Claims {
		claims[name] = v
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err) // claims of these tests marshal
	}
	if tokens[string(text)] == "" {
		tokens[string(text)] = keys[a.Issuer-1].Token(json.RawMessage(text))
	}
	return tokens[string(text)]
}

// control is istiod's view of resources that have been created in a random order.
type control struct {
	t    *testing.T
	push *model.PushContext
	test *core.ConfigGenTest
}

func valid(text string) bool {
	list, _, err := crd.ParseInputs(text)
	return err == nil && len(list) == 1
}

func newControl(t *testing.T, r *rand.Rand, text string) *control {
	t.Helper()
	list, unknown, err := crd.ParseInputs(text)
	if err != nil || len(unknown) > 0 {
		t.Fatalf("%v %v\n%s", err, unknown, text)
	}
	for i := range list {
		list[i].CreationTimestamp = time.Unix(1_700_000_000+int64(r.IntN(1000)), 0)
	}
	test := core.NewConfigGenTest(t, core.TestOptions{Configs: list})
	return &control{t, test.PushContext(), test}
}

// proxy is a workload's, with the service that its requests are for, if it is a waypoint.
func (c *control) proxy(w policytest.Workload) (*model.Proxy, *model.Service) {
	p := &model.Proxy{Type: model.SidecarProxy, ConfigNamespace: "shop", Labels: map[string]string{}}
	for name, value := range w.Labels {
		p.Labels[name] = value
	}
	switch {
	case w.Gateway != "":
		p.Type, p.Labels["gateway.networking.k8s.io/gateway-name"] = model.Router, w.Gateway
	case w.Waypoint != "":
		p.Type, p.Labels["gateway.networking.k8s.io/gateway-name"] = model.Waypoint, w.Waypoint
	}
	p = c.test.SetupProxy(p)
	if w.Service == "" {
		return p, nil
	}
	return p, &model.Service{Attributes: model.ServiceAttributes{Name: w.Service, Namespace: "shop",
		ServiceRegistry: provider.Kubernetes}}
}

// policies are istiod's filters for a workload: of RequestAuthentication, unless without, and of
// the AuthorizationPolicies, or those of them that stay.
func (c *control) policies(w policytest.Workload, authentication bool,
	stay func(name string) bool) (filters []bootstrap.M) {
	p, service := c.proxy(w)
	var list []*hcm.HttpFilter
	if authentication {
		if jwt := authn.NewPolicyApplier(c.push, p, service).JwtFilter(false); jwt != nil {
			list = append(list, jwt)
		}
	}
	all := c.push.AuthzPolicies.ListAuthorizationPolicies(
		model.PolicyMatcherForProxy(p).WithService(service).WithRootNamespace(c.push.Mesh.RootNamespace))
	for _, of := range []*[]model.AuthorizationPolicy{&all.Allow, &all.Deny} {
		*of = slices.DeleteFunc(slices.Clone(*of), func(a model.AuthorizationPolicy) bool { return !stay(a.Name) })
	}
	if b := builder.New(trustdomain.NewBundle("cluster.local", nil), c.push, all, builder.Option{}); b != nil {
		list = append(list, b.BuildHTTP()...)
	}
	for _, f := range list {
		text, err := protojson.Marshal(f)
		if err != nil {
			c.t.Fatal(err)
		}
		var m bootstrap.M
		if err := json.Unmarshal(text, &m); err != nil {
			c.t.Fatal(err)
		}
		filters = append(filters, m)
	}
	return filters
}

// plugins are those of a workload, in istiod's order.
func (c *control) plugins(w policytest.Workload) (filters []bootstrap.M) {
	p, service := c.proxy(w)
	class := istionetworking.ListenerClassSidecarInbound
	if w.Gateway != "" {
		class = istionetworking.ListenerClassGateway
	}
	byPhase := c.push.TrafficExtensionsByListenerInfo(p, model.ListenerInfo{Class: class}.WithService(service),
		model.FilterChainTypeHTTP)
	for phase := range byPhase {
		if phase != extensions.TrafficExtension_AUTHN {
			c.t.Fatalf("a plugin is in phase %v", phase)
		}
	}
	for _, e := range byPhase[extensions.TrafficExtension_AUTHN] {
		text, err := e.GetWasm().PluginConfig.MarshalJSON()
		if err != nil {
			c.t.Fatal(err)
		}
		filters = append(filters, harness.Filter(c.t, "jwt-scope", string(text)))
	}
	return filters
}

// covered reports whether there is a plugin for each selection of a resource: if not, migrate says
// that its policy has to stay.
func covered(p policytest.Resource, plugins []config.Config) bool {
	has := func(ref string, selector string) bool {
		return slices.ContainsFunc(plugins, func(c config.Config) bool {
			e := c.Spec.(*extensions.TrafficExtension)
			if ref == "" {
				want := map[string]string{}
				for _, label := range []string{"app: orders", "app: bills", "tier: web"} {
					if name, value, _ := strings.Cut(label, ": "); strings.Contains(selector, label) {
						want[name] = value
					}
				}
				got := e.GetSelector().GetMatchLabels()
				return c.Namespace == p.Namespace && len(e.TargetRefs) == 0 && fmt.Sprint(got) == fmt.Sprint(want)
			}
			return slices.ContainsFunc(e.TargetRefs,
				func(t *typeapi.PolicyTargetReference) bool { return t.Kind+" "+t.Name == ref })
		})
	}
	if !strings.Contains(p.Selection, "targetRefs") {
		return has("", p.Selection)
	}
	for _, ref := range []string{"Gateway g", "Gateway h", "Service s"} {
		kind, name, _ := strings.Cut(ref, " ")
		if strings.Contains(p.Selection, "kind: "+kind+", name: "+name+"}") ||
			strings.Contains(p.Selection, "name: "+name+", kind: "+kind) {
			if !has(ref, "") {
				return false
			}
		}
	}
	return true
}

// robots are refused at one workload of a namespace whose tokens are verified for all: the plugin
// of all of them must leave the token to that of the one.
var robots = []policytest.Resource{
	{Namespace: "shop", Issuer: 1, Place: "header"},
	{Namespace: "shop", Selection: "selector: {matchLabels: {app: orders}}, ",
		Policy: policytest.Policy{Action: "DENY",
			Rules: []policytest.Rule{
				{When: []policytest.When{{Key: "request.auth.claims[role]", Values: []string{"a", "b"}}}}}}},
}

// pair is a workload in two listeners: with its policies, and with what has been made of them.
type pair struct {
	name, text string
}

// Whatever resources meet on a workload, and in whatever order they have been created: nothing
// passes its plugins, one behind the other as istiod has them, that istiod's filters for the
// resources refuse.
func TestChains(t *testing.T) {
	const sets, perPair = 90, 54
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	up := harness.StartUpstream(t)
	base := policytest.Asks()
	harness.Each(t, func(t *testing.T, version string) {
		var pairs []pair
		var listeners []bootstrap.M
		several := 0
		for seed := range uint64(sets) {
			r := rand.New(rand.NewPCG(seed, 3))
			resources := policytest.RandomResources(r, seed%3 == 2)
			if seed == 0 {
				resources = robots
			}
			text := ""
			for i := range resources {
				resources[i].Unreadable = false // the API server would take the field away
				// Istio's webhook refuses some that say nothing.
				if one := resources[i].Text(i, keySet); valid(one) {
					text += one
				}
			}
			var m migrate.Migrator
			m.Add("policies.yaml", []byte(text))
			migrated := ""
			for _, c := range m.Result().Configurations {
				one, err := c.Resource("oci://example.com/jwt-scope", true)
				if err != nil {
					t.Fatal(err)
				}
				migrated += one + "---\n"
			}
			if migrated == "" {
				continue
			}
			before, after := newControl(t, r, text), newControl(t, r, migrated)
			plugins, _, err := crd.ParseInputs(migrated)
			if err != nil {
				t.Fatal(err)
			}
			stays := func(name string) bool {
				var i int
				if _, err := fmt.Sscanf(name, "r%d", &i); err != nil {
					t.Fatal(err)
				}
				return !covered(resources[i], plugins)
			}
			for i, w := range policytest.Workloads {
				chain := after.plugins(w)
				if len(chain) == 0 {
					continue // its policies stay
				}
				if len(chain) > 1 {
					several++
				}
				name := fmt.Sprintf("%d-%d", seed, i)
				pairs = append(pairs, pair{name, text + "\n" + migrated + findings(m.Result().Findings)})
				http := bootstrap.M{"normalize_path": true, "delayed_close_timeout": "0.001s"}
				// What stays is asked behind the plugins, which have taken the token away, and RequestAuthentication has gone.
				listeners = append(listeners,
					bootstrap.Listener(name+"-before", 0, before.policies(w, true, func(string) bool { return true }),
						bootstrap.To("upstream"), http),
					bootstrap.Listener(name+"-after", 0, append(chain, before.policies(w, false, stays)...),
						bootstrap.To("upstream"), http))
			}
		}
		envoy := harness.Start(t, harness.Config{Version: version, Listeners: listeners, Upstream: up.Port()})
		asked, admitted, stricter := 0, 0, 0
		for n, p := range pairs {
			r := rand.New(rand.NewPCG(uint64(n), 4))
			before, after := harness.NewClient1(t, envoy.Address(p.name+"-before")), harness.NewClient1(t,
				envoy.Address(p.name+"-after"))
			for range perPair {
				a := base[r.IntN(len(base))]
				text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", a.Method, a.Path, a.Host)
				for _, h := range base[r.IntN(len(base))].Headers {
					text += h[0] + ": " + h[1] + "\r\n"
				}
				if a.Method != "GET" {
					text += "Content-Length: 0\r\n"
				}
				if a.Issuer > 0 {
					text += "Authorization: Bearer " + token(a) + "\r\n"
				}
				if other := base[r.IntN(len(base))]; other.Issuer > 0 && r.IntN(3) == 0 {
					text += "X-Token: " + token(other) + "\r\n"
				}
				text += "\r\n"
				own, original := after.Do(text), before.Do(text)
				up.Take()
				asked++
				switch passes := own.Status() == 200; {
				case passes && original.Status() != 200:
					t.Fatalf("%s: %d before, %d after:\n%s\n%s", p.name, original.Status(), own.Status(), text, p.text)
				case passes:
					admitted++
				case original.Status() == 200:
					stricter++
				case own.Status()/100 != 4:
					t.Fatalf("%s: answered %s:\n%s", p.name, own.Start, text)
				}
			}
		}
		t.Logf("%d sets, %d workloads, %d of them with several plugins: of %d requests both admit %d, and %d more "+
			"are refused than before", sets, len(pairs), several, asked, admitted, stricter)
		if asked < 10_000 || admitted < asked/20 || several < 40 {
			t.Error("this shows too little")
		}
	})
}

func findings(list []check.Finding) string {
	var b strings.Builder
	for _, f := range list {
		if f.Severity != check.Note {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}
