// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// Three teams with rights of their own: what each may write, and what the API server refuses it. Nothing is written:
// the API server is asked for a dry run, which goes through authorization, admission and Istio's webhook all the
// same.
func (l *lab) istioTeams(t *testing.T) {
	l.namespaces(t)
	lines, _ := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "Who owns what, and in which order")
	l.lifted(t)
	for _, line := range lines {
		l.sh(t, line)
		t.Cleanup(func() { l.sh(t, strings.Replace(line, " apply ", " delete ", 1)) })
		_, folder, ok := strings.Cut(line, "kubectl apply -k ")
		if !ok {
			t.Fatalf("%q applies no folder", line)
		}
		l.clean(t, folder)
	}
	users := map[string]string{}
	for user, group := range map[string]string{"paula": "platform", "anna": "shop", "mona": "shop-orders"} {
		kubeconfig, err := l.User(user, group)
		if err != nil {
			t.Fatal(err)
		}
		users[user] = kubeconfig
	}
	write := func(user, verb, text string) string {
		t.Helper()
		out, err := cluster.Tool{Kubeconfig: users[user], Input: text}.Run("kubectl", verb, "--dry-run=server", "-f", "-")
		if err == nil {
			return ""
		}
		return out
	}
	const (
		forbidden = "is forbidden: User"
		layers    = "ValidatingAdmissionPolicy 'tollgate-layers' with binding 'tollgate-layers' denied request: "
		notFirst  = layers + "priorities from 500"
		notAuthn  = layers + "what comes before authentication"
		notTheirs = layers + "select a workload of yours"
	)
	// The policy's binding counts a moment after it is written.
	cluster.Eventually(t, "the policy counts", func() bool {
		return strings.Contains(write("mona", "create", l.file(t, "jwt-scope/namespace/wasmplugin.yaml")), notFirst)
	})

	everything := map[string]string{"paula": "", "anna": "", "mona": ""}
	for _, c := range []struct {
		place string
		want  map[string]string // by user: the reason of the refusal
	}{
		{"tollgate/gateway", map[string]string{"paula": "", "anna": forbidden, "mona": forbidden}},
		{"edge-stamp/mesh", map[string]string{"paula": "", "anna": forbidden, "mona": forbidden}},
		{"jwt-scope/mesh", map[string]string{"paula": "", "anna": forbidden, "mona": forbidden}},
		{"jwt-scope/namespace", map[string]string{"paula": forbidden, "anna": "", "mona": notFirst}},
		{"rate-limit/namespace", map[string]string{"paula": forbidden, "anna": "", "mona": notFirst}},
		{"jwt-scope/waypoint", map[string]string{"paula": forbidden, "anna": "", "mona": notFirst}},
		{"jwt-scope/workload", map[string]string{"paula": forbidden, "anna": "", "mona": ""}},
		{"rate-limit/workload", map[string]string{"paula": forbidden, "anna": "", "mona": ""}},
	} {
		for _, kind := range []string{"wasmplugin", "trafficextension"} {
			for user := range everything {
				got := write(user, "create", l.file(t, c.place+"/"+kind+".yaml"))
				if want := c.want[user]; (got == "") != (want == "") || !strings.Contains(got, want) {
					t.Errorf("%s writes %s/%s: %q, want %q", user, c.place, kind, got, want)
				}
			}
		}
	}
	for _, kind := range []string{"wasmplugin", "trafficextension"} {
		own := l.file(t, "jwt-scope/workload/"+kind+".yaml")
		for _, c := range []struct{ from, to, want string }{
			{"ghcr.io/tollgate-wasm", "ghcr.io/somebody", layers + "plugins come from"},
			{"ghcr.io/tollgate-wasm", "ghcr.io/tollgate-wasm.example.com", layers + "plugins come from"},
			{"sha256: ", "# ", layers + "plugins are pinned"},
			{"FAIL_RELOAD", "FAIL_OPEN", layers + "failStrategy"},
			{"failStrategy: ", "# ", layers + "failStrategy"},
			{"priority: 100", "priority: 1000", layers + "priorities from 1000"},
			{"priority: 100", "priority: 500", notFirst},
			{"phase: AUTHZ", "phase: AUTHN", notAuthn},
			{"  selector:\n    matchLabels:\n      app: orders\n", "", notTheirs},
			{"app: orders\n", "app: payments\n", notTheirs},
			{"app: orders\n", "security.istio.io/tlsMode: istio\n", notTheirs},
			{"  selector:\n    matchLabels:\n      app: orders\n", "  targetRefs: [{group: '', kind: Service, name: payments}]\n", notTheirs},
			{"  selector:\n    matchLabels:\n      app: orders\n",
				"  targetRefs: [{group: '', kind: Service, name: orders}, {group: '', kind: Service, name: payments}]\n", notTheirs},
			{"  selector:\n    matchLabels:\n      app: orders\n",
				"  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: orders}]\n", notTheirs},
			{"  selector:\n    matchLabels:\n      app: orders\n", "  targetRefs: [{group: '', kind: Service, name: orders}]\n", ""},
			{"ghcr.io/tollgate-wasm/", "ghcr.io/tollgate-wasm/../somebody/", layers + "plugins come from"},
			{"ghcr.io/tollgate-wasm/", "ghcr.io/tollgate-wasm/%2e%2e/somebody/", layers + "plugins come from"},
			{":0.1.0", ":0.1.0#@sha256:" + zeros, layers + "plugins come from"},
			{"namespace: shop", "namespace: istio-system", forbidden},
			{"namespace: shop", "namespace: default", forbidden},
		} {
			changed := strings.Replace(own, c.from, c.to, 1)
			if changed == own {
				t.Fatalf("%s: there is no %q", kind, c.from)
			}
			if got := write("mona", "create", changed); !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%s with %q for %q: %q, want %q", kind, c.to, c.from, got, c.want)
			}
		}
		// What is the application's stays so, whatever is put in its place, or nothing.
		theirs := l.file(t, "jwt-scope/namespace/"+kind+".yaml")
		l.Apply(t, theirs)
		if got := write("mona", "delete", theirs); !strings.Contains(got, notFirst) {
			t.Errorf("a microservice's team deletes the application's %s: %q", kind, got)
		}
		lowered := strings.Replace(theirs, "priority: 500", "priority: 100\n  selector: {matchLabels: {app: orders}}", 1)
		if got := write("mona", "apply", lowered); !strings.Contains(got, notFirst) {
			t.Errorf("a microservice's team narrows the application's %s: %q", kind, got)
		}
		if got := write("anna", "apply", lowered); got != "" {
			t.Errorf("the application's team narrows its own %s: %q", kind, got)
		}
		if got := write("anna", "delete", theirs); got != "" {
			t.Errorf("the application's team deletes its own %s: %q", kind, got)
		}
		l.Delete(t, theirs)
	}
	// Another microservice's stays, too.
	payments := strings.ReplaceAll(l.file(t, "jwt-scope/workload/wasmplugin.yaml"), "app: orders", "app: payments")
	l.Apply(t, payments)
	if got := write("mona", "delete", payments); !strings.Contains(got, notTheirs) {
		t.Errorf("the team of orders deletes the plugin of payments: %q", got)
	}
	if got := write("mona", "apply", strings.Replace(payments, "app: payments", "app: orders",
		1)); !strings.Contains(got, notTheirs) {
		t.Errorf("the team of orders takes the plugin of payments: %q", got)
	}
	l.Delete(t, payments)
	lua := `{apiVersion: extensions.istio.io/v1alpha1, kind: TrafficExtension, metadata: {name: lua, namespace: shop},
      spec: {selector: {matchLabels: {app: orders}}, lua: {inlineCode: "function envoy_on_request(handle) end"}}}`
	if got := write("mona", "create", lua); !strings.Contains(got, layers+"plugins come from") {
		t.Errorf("Lua: %q", got)
	}
	// What is in a namespace goes with it.
	l.sh(t, "kubectl create namespace passing")
	l.Apply(t, strings.ReplaceAll(l.file(t, "jwt-scope/namespace/wasmplugin.yaml"), "namespace: shop",
		"namespace: passing"))
	l.sh(t, "kubectl delete namespace passing --timeout 60s")
	// And rights do not reach further than plugins.
	for _, line := range []string{"get secrets --namespace istio-ingress", "delete requestauthentications --all --namespace istio-system",
		"delete validatingadmissionpolicies tollgate-layers"} {
		for user, kubeconfig := range users {
			if out, err := (cluster.Tool{Kubeconfig: kubeconfig}).Run("kubectl", strings.Fields(line)...); err == nil ||
				!strings.Contains(out, "forbidden") {
				t.Errorf("%s may: kubectl %s: %s", user, line, out)
			}
		}
	}
}

// lifted has a test end only when the admission policy, which it takes away, no longer counts: the API server goes by
// it for a moment more.
func (l *lab) lifted(t *testing.T) {
	t.Cleanup(func() {
		other := strings.Replace(l.file(t, "jwt-scope/workload/wasmplugin.yaml"), "ghcr.io/tollgate-wasm",
			"ghcr.io/somebody", 1)
		cluster.Eventually(t, "the policy no longer counts", func() bool {
			_, err := cluster.Tool{Kubeconfig: l.Kubeconfig, Input: other}.Run("kubectl", "apply", "--dry-run=server", "-f", "-")
			return err == nil
		})
	})
}

// file is one of WasmPlugin.
func (l *lab) file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.Root, "WasmPlugin", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
