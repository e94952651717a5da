// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// The set for ambient mode: pods without sidecars, a waypoint in front of a namespace that Istio makes of a Gateway,
// and plugins that are bound to it and to its services by targetRefs. The edge speaks HBONE to the waypoint (mTLS,
// CONNECT), as ztunnel does for clients within the mesh; from the waypoint to a pod without ztunnel it is plain HTTP.
func (l *lab) istioWaypoint(t *testing.T) {
	l.readme(t)
	l.sh(t, "helm uninstall tollgate --namespace istio-system --ignore-not-found")
	// orders and storefront, outside of the mesh's sidecars.
	l.sh(t, "kubectl label namespace shop istio-injection=disabled --overwrite")
	l.Apply(t, workload("shop", "orders", "echo", 8080, `{app: orders}`, "")+
		workload("shop", "storefront", "echo", 8080, `{app: storefront}`, ""))
	l.sh(t, "kubectl rollout restart deployment orders --namespace shop")
	t.Cleanup(func() {
		l.sh(t, "kubectl label namespace shop istio-injection=enabled --overwrite")
		l.sh(t, "kubectl delete --ignore-not-found -k WasmPlugin/istio/waypoint")
		l.sh(t, "kubectl label service orders storefront --namespace shop istio.io/use-waypoint- istio.io/ingress-use-waypoint-")
		l.sh(t, "kubectl rollout restart deployment orders --namespace shop")
	})
	l.Apply(t, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: storefront, namespace: shop}
spec:
  parentRefs: [{name: edge, namespace: istio-ingress, sectionName: api}]
  hostnames: [api.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /store}}]
    backendRefs: [{name: storefront, port: 80}]
`)
	begin := time.Now()
	lines, _ := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "Waypoints")
	for _, line := range lines {
		if line == "kubectl apply -k WasmPlugin/overlays/ambient" {
			// With the digest in place of the zeros: an agent that has tried an image that is not there does not try again by
			// itself.
			digest := l.push(t, "tollgate", "ghcr.io/tollgate-wasm/tollgate:0.1.0")
			t.Cleanup(func() { l.sh(t, "kubectl delete -k WasmPlugin/overlays/ambient") })
			l.Apply(t, strings.ReplaceAll(l.sh(t, "kubectl kustomize WasmPlugin/overlays/ambient"), zeros, digest))
			continue
		}
		l.sh(t, line)
	}
	l.clean(t, "WasmPlugin/istio/waypoint")
	waypoint := l.proxyOf(t, "shop", "waypoint")
	t.Logf("measured: the waypoint is ready after %.1f s", time.Since(begin).Seconds())
	edge := l.proxyOf(t, "istio-ingress", "edge")
	orders, storefront := l.pod(t, "shop", "app", "orders"), l.pod(t, "shop", "app", "storefront")

	good := bearer(idp.Token(claims()))
	ask := func(method, path string, headers ...[2]string) answer {
		return l.ask(edge, apiHost, method, path, headers...)
	}
	took := cluster.Eventually(t, "a good request passes the edge and the waypoint", func() bool {
		return len(l.plugins(waypoint)) == 3 && ask("GET", "/orders/7").status == 401 &&
			ask("GET", "/orders/7", good).status == 200 && ask("GET", "/store/7", good).status == 200
	})
	t.Logf("measured: the set counts after %.1f s", took.Seconds())

	// orders is not behind edge-stamp there, which takes the stamp away.
	l.decides(t, []asked{
		{"a good request", "GET", "/orders/7", idp.Token(claims()), 200, "", true},
		{"no token: the edge", "GET", "/orders/7", "", 401, "token_missing", false},
		{"writing: the waypoint", "POST", "/orders/7", idp.Token(claims()), 403, "insufficient_scope", false},
		{"writing with the scope", "POST", "/orders/7", idp.Token(claims("scope", "orders:write")), 200, "", true},
		{"another service", "GET", "/store/7", idp.Token(claims()), 200, "", false},
		{"no tenant: the waypoint", "GET", "/store/7", idp.Token(claims("tenant", nil)), 403, "claim_mismatch", false},
		{"a payload of one's own", "GET", "/store/7", "", 401, "token_missing", false},
	}, func(method, path string, headers ...[2]string) answer {
		return ask(method, path, append(headers,
			[2]string{"X-Jwt-Payload", "eyJzY29wZSI6Im9yZGVyczp3cml0ZSIsInRlbmFudCI6ImFjbWUifQ"})...)
	}, orders, storefront)

	// Around the edge, over another gateway to the same waypoint: storefront wants a stamp.
	l.Apply(t, httpGateway("shop", "around", "Same")+`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: around, namespace: shop}
spec:
  parentRefs: [{name: around}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /store}}]
    backendRefs: [{name: storefront, port: 80}]
  - backendRefs: [{name: orders, port: 80}]
`)
	t.Cleanup(func() { l.sh(t, "kubectl delete gateway/around httproute/around --namespace shop") })
	around := l.proxyOf(t, "shop", "around")
	var a answer
	cluster.Eventually(t, "the waypoint refuses what has gone around the edge", func() bool {
		a = l.askPlain(around, apiHost, "GET", "/store/7", good)
		return a.status == 401
	})
	if !strings.Contains(a.body, "stamp_rejected") {
		t.Errorf("around the edge: %s", a)
	}
}
