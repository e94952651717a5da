// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"io"
	"log"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// private is a registry that wants credentials.
const private = "private.example.com"

// A plugin whose image wants credentials: without the Secret every request is refused, with it the plugin decides.
func (l *lab) istioPullSecret(t *testing.T) {
	locked := &images{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	if _, err := l.World.Serve(locked, private); err != nil {
		t.Fatal(err)
	}
	digest := l.push(t, "jwt-scope", private+"/tollgate/jwt-scope:1")
	locked.lock("puller:a secret of a test")
	l.sh(t, "kubectl create namespace private")
	l.gateway(t, "private")
	proxy := l.proxyOf(t, "private", "gateway")
	plugin := func(priority string) string {
		return `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: policy, namespace: private}
spec:
  phase: AUTHN
  priority: ` + priority + `
  url: oci://` + private + `/tollgate/jwt-scope:1
  sha256: ` + digest + `
  imagePullSecret: registry
  failStrategy: FAIL_RELOAD
  pluginConfig:
    providers: [{name: corp, issuer: "` + issuer + `", audiences: [shop], jwks: {inline: ` + string(mint.Set(idp)) + `}}]
    rules: [{name: all, access: required}]
`
	}
	ask := func(headers ...[2]string) int { return l.askPlain(proxy, apiHost, "GET", "/", headers...).status }
	good := bearer(idp.Token(claims()))
	l.Apply(t, plugin("1"))
	cluster.Eventually(t, "without the Secret all is refused", func() bool { return ask(good) == 403 && ask() == 403 })
	l.sh(t, "kubectl create secret docker-registry registry --namespace private --docker-server "+private+
		" --docker-username puller --docker-password 'a secret of a test'")
	l.Apply(t, plugin("2")) // the agent does not try again by itself
	took := cluster.Eventually(t, "with the Secret the plugin decides", func() bool {
		return ask(good) == 200 &&
			ask() == 401
	})
	t.Logf("measured: a plugin with a pull secret decides after %.1f s", took.Seconds())
	for _, p := range []string{proxy.Namespace, "istio-system"} {
		if out := l.sh(t, "kubectl get wasmplugins,trafficextensions --output yaml --namespace "+p); strings.Contains(out, "a secret of a test") {
			t.Errorf("the password stands in a resource of %s", p)
		}
	}
	if dump := l.admin(proxy, "/config_dump?include_eds"); dump == "" || strings.Contains(dump, "a secret of a test") {
		t.Errorf("the password stands in the proxy's configuration, or there is none (%d bytes)", len(dump))
	}
}

// What a user sees of what is wrong: refusals of Istio's webhook, and conditions in the status.
func (l *lab) istioStatus(t *testing.T) {
	l.namespaces(t)
	good := l.file(t, "tollgate/gateway/wasmplugin.yaml")
	for _, c := range []struct{ name, from, to, want string }{
		{"a phase that is none", "phase: AUTHN", "phase: BEFORE", "phase"},
		{"a key that is none", "failStrategy:", "failureStrategy:", `unknown field "spec.failureStrategy"`},
		{"no url", "url: oci://ghcr.io/tollgate-wasm/tollgate:0.1.0", "url: ''", "url"},
		{"a digest that is none", `sha256: "000`, `sha256: "xyz`, "sha256"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		if text == good {
			t.Fatalf("%s: there is no %q", c.name, c.from)
		}
		out, err := cluster.Tool{Kubeconfig: l.Kubeconfig, Input: text}.Run("kubectl", "apply", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v %s, want %q", c.name, err, out, c.want)
		}
	}
	condition := func(what, kind string) string {
		return l.sh(t, "kubectl get "+what+` --output jsonpath='{range .status..conditions[?(@.type=="`+kind+`")]}{.status} {.reason} {.message}{"\n"}{end}'`)
	}
	l.sh(t, "kubectl create namespace wrong")
	l.Apply(t, `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: wrong}
spec:
  gatewayClassName: istio
  listeners: [{name: api, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: missing}]}}]
---
`+strings.ReplaceAll(strings.Replace(good, "name: edge\n", "name: nowhere\n", 1), "namespace: istio-ingress", "namespace: wrong"))
	cluster.Eventually(t, "the Gateway says that its certificate is missing", func() bool {
		return strings.Contains(condition("gateway edge --namespace wrong", "ResolvedRefs"), "False InvalidCertificateRef")
	})
	// And of a plugin whose target is not there Istio says nothing, here or anywhere: WasmPlugin/README.md warns of it.
	if said := l.sh(t, "kubectl get wasmplugin tollgate-gateway --namespace wrong --output jsonpath='{.status}'"); said != "" {
		t.Errorf("Istio has learnt to tell of a missing target: %s", said)
	}
	// Nor are there events: what is wrong stands in the status, in the proxies' logs and in their metrics.
	if said := l.sh(t, "kubectl get events --all-namespaces --field-selector involvedObject.kind=WasmPlugin --output name"); said != "" {
		t.Errorf("Istio has learnt to write events of plugins: %s", said)
	}
}
