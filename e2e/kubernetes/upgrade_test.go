// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// What a running cluster goes through: upgrades with each of the README's values, a rollback, and changes of a
// plugin, a Secret and a ConfigMap, each live within seconds.
func (l *lab) istioUpgrade(t *testing.T) {
	l.readme(t)
	const upgrade = "helm upgrade --install tollgate WasmPlugin --namespace istio-system "
	l.sh(t, upgrade+"--values values.yaml") // another test may have taken it away
	edge := l.proxyOf(t, "istio-ingress", "edge")
	good := bearer(idp.Token(claims()))
	asks := func(headers ...[2]string) int { return l.ask(edge, apiHost, "GET", ordersPath, headers...).status }
	cluster.Eventually(t, "the edge decides", func() bool { return asks() == 401 && asks(good) == 200 })

	lines, yaml := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "Apply")
	tried := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "helm ") {
			l.sh(t, line+" --dry-run=server")
			tried++
		}
	}
	_, more := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "One module or single modules")
	_, team := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "Layers of a team")
	for i, text := range slices.Concat(yaml, more, team) {
		if strings.Contains(text, "kind: Kustomization") {
			continue // istioOverlays
		}
		values := filepath.Join(l.work(), fmt.Sprintf("example-%d.yaml", i))
		if err := os.WriteFile(values, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "shop-production") {
			l.sh(t, "kubectl create namespace shop-production")
		}
		l.sh(t, upgrade+"--dry-run=server --values "+values)
		tried++
	}
	if tried != 5 {
		t.Errorf("%d lines and values of the README were tried", tried)
	}

	// A plugin.
	l.sh(t, upgrade+"--values values.yaml --set mode=shadow")
	took := cluster.Eventually(t, "the edge lets everything through", func() bool { return asks() == 200 })
	t.Logf("measured: an upgrade (mode: shadow) counts after %.1f s", took.Seconds())
	l.sh(t, "helm rollback tollgate 1 --namespace istio-system")
	took = cluster.Eventually(t, "the edge refuses again", func() bool { return asks() == 401 && asks(good) == 200 })
	t.Logf("measured: a rollback counts after %.1f s", took.Seconds())

	// A Secret: the listener's certificate.
	served := func() string {
		conn, err := tls.Dial("tcp", net.JoinHostPort(edge.Status.PodIP, "443"),
			&tls.Config{ServerName: apiHost, RootCAs: l.World.Authority.Pool()})
		if err != nil {
			return ""
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := served()
	l.certificate(t, "istio-ingress", apiHost)
	took = cluster.Eventually(t, "the new certificate is served", func() bool {
		is := served()
		return is != "" &&
			is != before
	})
	t.Logf("measured: a changed Secret counts after %.1f s", took.Seconds())

	// TrafficExtensions take the plugins' places.
	were := strings.Join(l.plugins(edge), " ")
	l.sh(t, upgrade+"--values values.yaml --set kind=TrafficExtension")
	for _, namespace := range []string{"istio-system", "istio-ingress", "shop"} {
		if out := l.Kubectl(t, "get", "wasmplugins", "--namespace", namespace, "--output", "name"); out != "" {
			t.Errorf("there are still %s in %s", out, namespace)
		}
	}
	took = cluster.Eventually(t, "all layers decide", func() bool {
		return strings.Join(l.plugins(edge), " ") != were && asks(good) == 200 && asks() == 401 &&
			asks(bearer(idp.Token(claims("tenant", "other")))) == 403
	})
	t.Logf("measured: TrafficExtensions for WasmPlugins count after %.1f s", took.Seconds())

	l.sh(t, "helm rollback tollgate 1 --namespace istio-system")
	cluster.Eventually(t, "the plugins decide again", func() bool {
		return strings.Join(l.plugins(edge), " ") == were && asks(good) == 200 && asks() == 401
	})

	// Another image of a plugin that runs.
	digest := l.push(t, "tollgate-lean", "registry.example.com/tollgate/tollgate:0.1.1")
	l.sh(t, upgrade+"--values values.yaml --set image.tag=0.1.1 --set image.sha256.tollgate="+digest)
	took = cluster.Eventually(t, "the new image decides", func() bool {
		if a := l.ask(edge, apiHost, "GET", ordersPath, good); a.status != 200 {
			t.Fatalf("a good request meanwhile: %s", a)
		}
		if status := asks(); status != 401 {
			t.Fatalf("a request without a token meanwhile: %d", status)
		}
		return l.runs(edge, digest)
	})
	t.Logf("measured: another image of a running plugin counts after %.1f s, and no request fails", took.Seconds())
	l.sh(t, "helm rollback tollgate 1 --namespace istio-system")

	// A ConfigMap: what Istio merges into the gateway's Deployment makes new pods.
	text := l.file(t, "istio/gateway-key/edge-options.yaml")
	const variables = "            env:\n"
	if !strings.Contains(text, variables) {
		t.Fatalf("where are the variables? %s", text)
	}
	l.Apply(t, strings.Replace(text, variables, variables+"            - {name: CHANGED, value: again}\n", 1))
	old := edge.Name
	took = cluster.Eventually(t, "a new pod is there, and decides", func() bool {
		p := l.Node.Pod("istio-ingress", map[string]string{"gateway.networking.k8s.io/gateway-name": "edge"})
		if p == nil || p.Name == old {
			return false
		}
		edge = p
		l.World.Name(edgeHost, p.Status.PodIP)
		return asks() == 401 && asks(good) == 200
	})
	t.Logf("measured: a changed ConfigMap counts after %.1f s, in a new pod", took.Seconds())
}

// runs says whether a pod's Envoy has the image with that digest: its agent writes modules to files of that name.
func (l *lab) runs(p *corev1.Pod, digest string) bool {
	return strings.Contains(l.admin(p, "/config_dump?resource=ecds_filters"), "/"+digest+".wasm")
}

// Each set for kustomize is taken as it is by the API server and by Istio's webhook, and is then what is there.
func (l *lab) istioOverlays(t *testing.T) {
	l.readme(t)
	l.sh(t, "helm uninstall tollgate --namespace istio-system --ignore-not-found")
	folders, err := filepath.Glob(filepath.Join(l.Root, "WasmPlugin/overlays/*"))
	if err != nil || len(folders) < 6 {
		t.Fatalf("%d overlays, %v", len(folders), err)
	}
	for _, folder := range folders {
		folder = "WasmPlugin/overlays/" + filepath.Base(folder)
		l.applied(t, folder)
	}
	for _, folder := range []string{"bound-bodies", "classic-gateway"} {
		l.applied(t, "WasmPlugin/istio/"+folder)
	}
}

// applied applies a folder, sees that it is there as it is, and takes it away.
func (l *lab) applied(t *testing.T, folder string) {
	t.Helper()
	l.sh(t, "kubectl apply -k "+folder)
	l.clean(t, folder)
	l.sh(t, "kubectl delete -k "+folder)
}
