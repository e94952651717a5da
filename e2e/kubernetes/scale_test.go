// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

const namespaces = 1000

// A thousand namespaces with a plugin each: what istiod pushes and how long it takes, until a change of one of them
// counts, and what its memory becomes.
func (l *lab) istioScale(t *testing.T) {
	each(t, func(name string) error {
		_, err := l.Client.CoreV1().Namespaces().Create(context.Background(),
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	})
	const own = "team-500"
	l.gateway(t, own)
	proxy := l.proxyOf(t, own, "gateway")
	istiod := l.pod(t, "istio-system", "app", "istiod")
	reference := "ghcr.io/tollgate-wasm/tollgate:scale@sha256:" + l.push(t, "tollgate", "ghcr.io/tollgate-wasm/tollgate:scale")
	before, sentBefore := l.metrics(istiod, nil), l.metrics(istiod, ofPlugins)

	plugins := func(path string, only string) string {
		var b strings.Builder
		for i := range namespaces {
			name := fmt.Sprintf("team-%d", i)
			if only != "" && only != name {
				continue
			}
			fmt.Fprintf(&b, `---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: policy, namespace: %s, labels: {scale: "yes"}}
spec:
  phase: AUTHN
  url: oci://%s
  failStrategy: FAIL_RELOAD
  pluginName: jwt-scope
  pluginConfig:
    filter: jwt-scope
    providers: [{name: corp, issuer: %q, audiences: [%s], jwks: {inline: %s}}]
    rules:
    - {name: open, match: [{paths: [%q]}], access: public}
    - {name: read, match: [{paths: ["/{**}"], methods: [GET]}], require: {scopes: {any: ["%s:read"]}}}
    - {name: write, match: [{paths: ["/{**}"]}], require: {scopes: {all: ["%s:write"]}}}
`, name, reference, issuer, name, mint.Set(idp), path, name, name)
		}
		return b.String()
	}
	begin := time.Now()
	text := plugins("/open", "")
	l.Apply(t, text)
	applied := time.Since(begin)
	t.Cleanup(func() {
		each(t, func(name string) error {
			return l.Client.RESTClient().Delete().AbsPath("/apis/extensions.istio.io/v1alpha1/namespaces/" + name +
				"/wasmplugins/policy").Do(context.Background()).Error()
		})
	})
	ask := func(path string) int { return l.askPlain(proxy, apiHost, "GET", path).status }
	took := cluster.Eventually(t, "the plugin of one of them decides",
		func() bool { return ask("/other") == 401 && ask("/open") == 200 })
	t.Logf("measured: %d plugins in %d namespaces, %.1f MB: applied in %.1f s, and the last counts %.1f s after that",
		namespaces, namespaces, float64(len(text))/1e6, applied.Seconds(), took.Seconds())
	after, sent := l.metrics(istiod, nil), l.metrics(istiod, ofPlugins)
	t.Logf("measured: istiod's memory %.0f MiB before and %.0f MiB after; %.0f pushes, %.1f ms each until proxies have them",
		before["process_resident_memory_bytes"]/(1<<20), after["process_resident_memory_bytes"]/(1<<20),
		after["pilot_proxy_convergence_time_count"]-before["pilot_proxy_convergence_time_count"],
		1000*mean(before, after, "pilot_proxy_convergence_time"))
	t.Logf("measured: %.0f pushes of plugins, %.2f ms each, with %.0f bytes each",
		sent["pilot_xds_push_time_count"]-sentBefore["pilot_xds_push_time_count"],
		1000*mean(sentBefore, sent, "pilot_xds_push_time"), mean(sentBefore, sent, "pilot_xds_config_size_bytes"))
	if sent["pilot_xds_push_time_count"] == sentBefore["pilot_xds_push_time_count"] {
		t.Error("istiod counts no push of plugins: its metrics have other names")
	}
	if dump := l.admin(proxy, "/config_dump?resource=ecds_filters"); strings.Count(dump, "jwt-scope") == 0 ||
		strings.Contains(dump, "team-499:read") {
		t.Errorf("the proxy has not the plugin of its namespace alone: %d bytes", len(dump))
	} else {
		t.Logf("measured: a proxy has %d bytes of plugins, in JSON", len(dump))
	}
	begin = time.Now()
	l.Apply(t, plugins("/opened", own))
	written := time.Since(begin)
	took = cluster.Eventually(t, "a change counts", func() bool { return ask("/open") == 401 && ask("/opened") == 200 })
	t.Logf("measured: a change of one of %d plugins counts %.1f s after kubectl has written it (%.1f s)", namespaces,
		took.Seconds(), written.Seconds())
}

// each does something about each of the namespaces, some at a time.
func each(t *testing.T, do func(namespace string) error) {
	t.Helper()
	var all sync.WaitGroup
	work := make(chan string)
	for range 16 {
		all.Go(func() {
			for name := range work {
				if err := do(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range namespaces {
		work <- fmt.Sprintf("team-%d", i)
	}
	close(work)
	all.Wait()
}

// gateway makes one of the Gateway API in a namespace, on port 80, in front of the service echo.
func (l *lab) gateway(t *testing.T, namespace string) {
	t.Helper()
	l.Apply(t, workload(namespace, "service", "echo", 8080, `{app: service}`, "")+httpGateway(namespace, "gateway", "Same")+fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: %[1]s}
spec:
  parentRefs: [{name: gateway}]
  rules: [{backendRefs: [{name: service, port: 80}]}]
`, namespace))
	proxy := l.proxyOf(t, namespace, "gateway")
	cluster.Eventually(t, "the gateway routes", func() bool {
		return l.askPlain(proxy, apiHost, "GET", "/").status == 200
	})
}

// httpGateway is one of the Gateway API in Istio, on port 80, for routes of its own namespace (Same) or of All.
func httpGateway(namespace, name, routes string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: %s}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: %s}}}]
`, name, namespace, routes)
}

// ofPlugins finds the metrics of what istiod sends of plugins, by their label type: short for times, the type's whole
// name for sizes.
var ofPlugins = regexp.MustCompile(`type="(ecds|.*TypedExtensionConfig)"`)

// mean of what a histogram has got since before.
func mean(before, after map[string]float64, histogram string) float64 {
	return (after[histogram+"_sum"] - before[histogram+"_sum"]) /
		max(1, after[histogram+"_count"]-before[histogram+"_count"])
}

// metrics are a control plane's, by name: those that a pattern finds (nil: all), summed up.
func (l *lab) metrics(istiod *corev1.Pod, of *regexp.Regexp) map[string]float64 {
	values := map[string]float64{}
	for line := range strings.Lines(l.Node.Get(istiod, 15014, "/metrics")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") || of != nil && !of.MatchString(line) {
			continue
		}
		name, rest, labels := strings.Cut(name, "{")
		if labels {
			_, value, _ = strings.Cut(rest+" "+value, "} ")
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] += n
		}
	}
	return values
}
