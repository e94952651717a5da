// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/e2e/kubernetes/cluster"
)

// snippets are what a section of a page shows: lines of shell, and documents in YAML.
func snippets(t *testing.T, page, section string) (lines, yaml []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "# "+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", page, section)
	}
	if next := regexp.MustCompile("(?m)^##").FindStringIndex(rest); next != nil {
		rest = rest[:next[0]]
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(rest, -1) {
		switch m[1] {
		case "sh":
			lines = append(lines, strings.Split(strings.TrimSpace(m[2]), "\n")...)
		case "yaml":
			yaml = append(yaml, m[2])
		default:
			t.Errorf("%s, %s: a snippet in %s", page, section, m[1])
		}
	}
	return lines, yaml
}

// sh runs a line of a README in the project's folder, as the administrator: with the command, kubectl and helm of these
// tests on PATH.
func (l *lab) sh(t *testing.T, line string) string {
	t.Helper()
	out, err := l.try(l.Kubeconfig, line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// line runs a line of a README, as sh does, and then what tests do after it. Lines that make namespaces stand in
// several places, and tests share a cluster: they are run once.
func (l *lab) line(t *testing.T, line string, after hooks) string {
	t.Helper()
	out := ""
	if once := isNamespace(line); !once || !l.lines[line] {
		out = l.sh(t, line)
		if l.lines == nil {
			l.lines = map[string]bool{}
		}
		l.lines[line] = once
	}
	if hook := after[line]; hook != nil {
		delete(after, line)
		hook(t)
	}
	return out
}

// isNamespace reports whether a line makes or labels a namespace.
func isNamespace(line string) bool {
	return strings.HasPrefix(line, "kubectl create namespace ") || strings.HasPrefix(line, "kubectl label namespace ")
}

// hooks are what tests make of their own after a line of a README: what they need in a namespace, once that is there.
type hooks map[string]func(*testing.T)

// done says which lines were not there.
func (h hooks) done(t *testing.T) {
	t.Helper()
	for line := range h {
		t.Fatalf("the README has no line %s any more, after which the test makes what it needs", line)
	}
}

// Lines of the READMEs that make the namespaces of the shipped resources.
const (
	makesIngress = "kubectl create namespace istio-ingress"
	labelsShop   = "kubectl label namespace shop istio-injection=enabled"
)

// shop makes what the shipped resources speak of, and a reader has: certificates in the gateway's namespace, the
// service orders in that of the services, and the rate-limit service with its limits.
func (l *lab) shop() hooks {
	return hooks{
		makesIngress: func(t *testing.T) {
			l.certificate(t, "istio-ingress", apiHost)
			l.certificate(t, "istio-ingress", edgeHost)
		},
		labelsShop: l.services,
	}
}

func (l *lab) services(t *testing.T) {
	t.Helper()
	l.ratelimit(t)
	limits := l.sh(t, "tollgate descriptors WasmPlugin/rate-limit/workload/wasmplugin.yaml")
	l.Apply(t, workload("shop", "orders", "echo", 8080, `{app: orders, edge-stamp: required}`, "")+
		workload("ratelimit", "redis", "redis", 6379, `{app: redis, sidecar.istio.io/inject: "false"}`, `
        args: [--save, "", --appendonly, "no", --dir, /tmp, --protected-mode, "no"]`)+
		workload("ratelimit", "ratelimit", "ratelimit", 8081, `{app: ratelimit}`, `
        env:
        - {name: USE_STATSD, value: "false"}
        - {name: DISABLE_STATS, value: "true"}
        - {name: REDIS_SOCKET_TYPE, value: tcp}
        - {name: REDIS_URL, value: "redis.ratelimit.svc.cluster.local:6379"}
        - {name: RUNTIME_ROOT, value: /data}
        - {name: RUNTIME_SUBDIRECTORY, value: ratelimit}
        - {name: RUNTIME_WATCH_ROOT, value: "false"}
        volumeMounts: [{name: config, mountPath: /data/ratelimit/config}]
      volumes: [{name: config, configMap: {name: ratelimit}}]`)+`---
apiVersion: v1
kind: ConfigMap
metadata: {name: ratelimit, namespace: ratelimit}
data:
  tollgate.yaml: |
`+indent(limits, 4))
}

// namespaces makes those that the shipped resources have, by the lines of the README.
func (l *lab) namespaces(t *testing.T) {
	t.Helper()
	lines, _ := snippets(t, filepath.Join(l.Root, "README.md"), "Install a release")
	want := hooks{makesIngress: func(*testing.T) {}, labelsShop: l.ratelimit}
	for _, line := range lines {
		if isNamespace(line) {
			l.line(t, line, want)
		}
	}
	want.done(t)
}

// ratelimit makes the namespace of the rate-limit service, which readers have where they like.
func (l *lab) ratelimit(t *testing.T) {
	t.Helper()
	l.Apply(t, `{apiVersion: v1, kind: Namespace, metadata: {name: ratelimit, labels: {istio-injection: enabled}}}`)
}

// workload is a Deployment with a Service and an account, all of one name; more stands behind its container's ports.
func workload(namespace, name, image string, port int, labels, more string) string {
	protocol := "http"
	switch name {
	case "redis":
		protocol = "tcp-redis"
	case "ratelimit":
		protocol = "grpc"
	}
	servicePort := map[bool]int{true: 80, false: port}[image == "echo"]
	return fmt.Sprintf(`---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: %[2]s, namespace: %[1]s}}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {app: %[2]s}
  ports: [{name: %[7]s, port: %[8]d, targetPort: %[4]d}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: %[5]s}
    spec:
      serviceAccountName: %[2]s
      containers:
      - name: %[2]s
        image: docker.io/test/%[3]s:1
        ports: [{containerPort: %[4]d}]%[6]s
`, namespace, name, image, port, labels, more, protocol, servicePort)
}

func indent(text string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+pad) + "\n"
}

// installed is what the READMEs' ways to a cluster lead to.
type installed struct {
	sync.Once
	ready bool
}

// readme goes the READMEs' ways to a cluster, line by line and as they stand there: the namespaces and the edge's key,
// what the plugins live with, the image, the chart. It is done once, and begun anew where it was taken away.
func (l *lab) readme(t *testing.T) {
	t.Helper()
	l.once.Do(func() {
		lines, _ := snippets(t, filepath.Join(l.Root, "WasmPlugin/README.md"), "The edge's key")
		shop := l.shop()
		for _, line := range lines {
			l.line(t, line, shop)
		}
		shop.done(t)
		for _, folder := range []string{"gateway", "gateway-key", "stats"} {
			l.sh(t, "kubectl apply -k WasmPlugin/istio/"+folder)
			l.clean(t, "WasmPlugin/istio/"+folder)
		}
		l.World.Name(edgeHost, l.proxyOf(t, "istio-ingress", "edge").Status.PodIP)
		lines, yaml := snippets(t, filepath.Join(l.Root, "README.md"), "On Istio")
		text := strings.Join(yaml, "")
		for _, line := range lines {
			out := l.sh(t, line)
			if !strings.HasPrefix(line, "tollgate image push ") {
				continue
			}
			if !strings.Contains(text, zeros) {
				t.Fatalf("%s: there is no place for the digest in %s", line, text)
			}
			text = strings.Replace(text, zeros, printedDigest(t, out), 1)
			if err := os.WriteFile(filepath.Join(l.work(), "values.yaml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l.once.ready = true
	})
	if !l.once.ready {
		t.Fatal("the READMEs' ways have failed before")
	}
}

// push pushes an image, and returns its digest.
func (l *lab) push(t *testing.T, module, reference string) string {
	t.Helper()
	return printedDigest(t, l.sh(t, "tollgate image push "+module+" "+reference))
}

// printedDigest is the one that tollgate image push has printed.
func printedDigest(t *testing.T, out string) string {
	t.Helper()
	_, digest, ok := strings.Cut(strings.TrimSpace(out), "@sha256:")
	if !ok {
		t.Fatalf("no digest is printed: %s", out)
	}
	return digest
}

// ordersPath is one that the route of WasmPlugin/istio/gateway has.
const ordersPath = "/tenants/acme/orders/7"

// zeros stand for a digest.
var zeros = strings.Repeat("0", 64)

// clean says that what was applied is what is there.
func (l *lab) clean(t *testing.T, folder string) {
	t.Helper()
	if out, err := l.try(l.Kubeconfig, "kubectl diff -k "+folder); err != nil || out != "" {
		t.Errorf("kubectl diff -k %s, after it was applied: %v\n%s", folder, err, out)
	}
}

// The READMEs' ways to a cluster, and then requests.
func (l *lab) istioReadme(t *testing.T) {
	l.readme(t)
	for _, folder := range []string{"services", "mtls"} {
		l.clean(t, "WasmPlugin/istio/"+folder)
	}
	edge, orders := l.proxyOf(t, "istio-ingress", "edge"), l.pod(t, "shop", "app", "orders")
	cluster.Eventually(t, "all plugins are there", func() bool {
		return len(l.plugins(edge)) == 1 && len(l.plugins(orders)) == 6
	})
	good := bearer(idp.Token(claims()))
	took := cluster.Eventually(t, "a good request passes all of them", func() bool {
		return l.ask(edge, apiHost, "GET", ordersPath, good).status == 200
	})
	t.Logf("measured: a good request passes %.1f s after the pods have their plugins", took.Seconds())
	l.decides(t, []asked{
		{"a good request", "GET", ordersPath, idp.Token(claims()), 200, "", false},
		{"no token", "GET", ordersPath, "", 401, "token_missing", false},
		{"a token that has expired", "GET", ordersPath, idp.Token(claims("exp", time.Now().Add(-time.Hour).Unix())), 401,
			"token_expired", false},
		{"another tenant: the application's layer", "GET", "/tenants/other/orders/7", idp.Token(claims()), 403,
			"claim_mismatch", false},
		{"writing: the service's layer", "POST", ordersPath, idp.Token(claims()), 403, "insufficient_scope", false},
	}, func(method, path string, headers ...[2]string) answer {
		return l.ask(edge, apiHost, method, path, headers...)
	}, orders)
	l.around(t, orders)
}

// around goes around the edge, over a gateway without plugins that the mesh trusts as it does any workload: the sidecar
// of orders wants a stamp, whatever else a request has.
func (l *lab) around(t *testing.T, orders *corev1.Pod) {
	t.Helper()
	l.sh(t, "kubectl create namespace around")
	resources := httpGateway("around", "around", "All") + `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: around, namespace: shop}
spec:
  parentRefs: [{name: around, namespace: around}]
  rules: [{backendRefs: [{name: orders, port: 80}]}]
`
	l.Apply(t, resources)
	t.Cleanup(func() {
		l.Delete(t, resources)
		l.sh(t, "kubectl delete namespace around --timeout 60s")
	})
	gateway := l.proxyOf(t, "around", "around")
	ask := func(method, path string, headers ...[2]string) answer {
		return l.askPlain(gateway, apiHost, method, path, headers...)
	}
	var last answer
	cluster.Eventually(t, "the way around the edge leads to orders", func() bool {
		last = ask("GET", ordersPath)
		return last.status != 0 && last.status != 404 && last.status != 503
	})
	own := [2]string{"X-Edge-Stamp", mint.New("edge-2026-11", jose.ES256).Token(map[string]any{
		"iss": "https://" + edgeHost, "aud": "mesh.internal", "sub": "alice", "exp": time.Now().Add(time.Minute).Unix()})}
	for name, headers := range map[string][][2]string{"nothing": nil, "a token": {bearer(idp.Token(claims()))},
		"a stamp of one's own": {bearer(idp.Token(claims())), own},
		"claims of one's own":  {{"X-Jwt-Payload", "eyJzY29wZSI6Im9yZGVyczpyZWFkIiwidGVuYW50IjoiYWNtZSJ9"}}} {
		before := l.reached(t, orders)
		if a := ask("GET", ordersPath, headers...); a.status != 401 || !strings.Contains(a.body, "stamp_rejected") ||
			l.reached(t, orders) != before {
			t.Errorf("around the edge with %s: %s", name, a)
		}
	}
}

// reached is how many requests a pod's service echo has got.
func (l *lab) reached(t *testing.T, p *corev1.Pod) int {
	t.Helper()
	n, err := strconv.Atoi(l.Node.Get(p, 8080, cluster.Count))
	if err != nil {
		t.Fatalf("%s does not say what has reached it: %v", p.Name, err)
	}
	return n
}
