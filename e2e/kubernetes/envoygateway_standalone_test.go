// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Envoy Gateway without Kubernetes: its resources are files, and its Envoy a process beside it.
func TestEnvoyGatewayStandalone(t *testing.T) {
	f := found(t)
	program, _ := envoyGateway(t, f)
	module, err := os.ReadFile(filepath.Join(f.Root, "build/out/tollgate.wasm"))
	if err != nil {
		t.Fatalf("%v; run: make build", err)
	}
	downloads := &files{byPath: map[string][]byte{"/tollgate.wasm": module}}
	code, service := httptest.NewServer(downloads), httptest.NewServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Edge-Stamp") != "") }))
	defer code.Close()
	defer service.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Where Envoy Gateway keeps those Envoys that it has fetched.
	versions := filepath.Join(dir, "data/envoy-versions/1.40.0/bin")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.Envoy, filepath.Join(versions, "envoy")); err != nil {
		t.Fatal(err)
	}
	key := mint.New("edge-2026-11", jose.ES256)
	_, port, _ := net.SplitHostPort(service.Listener.Addr().String())
	resources := `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tollgate}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: host, namespace: envoy-gateway-system}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: host, namespace: envoy-gateway-system}
spec: {provider: {type: Host, host: {envoyVersion: 1.40.0}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  gatewayClassName: tollgate
  listeners: [{name: http, port: 8888, protocol: HTTP}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: orders, namespace: edge}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: ` + port + `}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: edge}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: orders}]}]
`
	config := `{"chain": [{"name": "who", "filter": "jwt-scope", "config": {"providers": [{"name": "idp", "issuer": ` +
		`"https://idp.example.com/realms/shop", "audiences": ["shop"], "jwks": {"inline": ` + string(mint.Set(idp)) +
		`}}], "rules": [{"name": "all"}]}}, {"name": "stamp", "filter": "edge-stamp", "config": {"role": "sign", ` +
		`"issuer": "https://edge.example.com", "audience": "mesh.internal", "keys": [{"kid": "edge-2026-11", "alg": ` +
		`"ES256", "env": "EDGE_STAMP_KEY"}], "rules": [{"name": "all", "sign": true}]}}]}`
	policy := extensionPolicy("tollgate", "Gateway", edge,
		fmt.Sprintf("{type: HTTP, http: {url: %q, sha256: '%s'}}", code.URL+"/tollgate.wasm", sum(module)), config)
	policy = strings.TrimPrefix(policy, "---\n") + "    env: {hostKeys: [EDGE_STAMP_KEY]}\n"
	write("resources/edge.yaml", resources)
	write("resources/policy.yaml", policy)
	configuration := write("envoy-gateway.yaml", fmt.Sprintf(`apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [%[1]s/resources]}}
    infrastructure:
      type: Host
      host: {configHome: %[1]s/config, dataHome: %[1]s/data, stateHome: %[1]s/state, runtimeDir: %[1]s/run}
logging: {level: {default: info}}
extensionApis: {enableBackend: true}
`, dir))
	env := append(os.Environ(), "HOME="+dir, "EDGE_STAMP_KEY="+key.PrivatePEM(), "ENVOY_GATEWAY_NAMESPACE="+egNamespace)
	certificates := exec.Command(program, "certgen", "--local", "--config-home", filepath.Join(dir, "config"))
	certificates.Env = env
	if out, err := certificates.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Else Envoy Gateway gives its proxy a certificate for the modules that it does not take itself.
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: envoy, namespace: envoy-gateway-system}\ntype: " +
		"kubernetes.io/tls\ndata:\n"
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		text, err := os.ReadFile(filepath.Join(dir, "config/certs/envoy", name))
		if err != nil {
			t.Fatal(err)
		}
		secret += "  " + name + ": " + base64.StdEncoding.EncodeToString(text) + "\n"
	}
	write("resources/secret.yaml", secret)
	// Its proxy looks for the modules under the name that Envoy Gateway has on Kubernetes, with the certificates there:
	// a machine needs both.
	const machine = `set -e; mkdir "$1/root"; mount -t tmpfs tmpfs "$1/root"; cd "$1/root"; mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; cd root
for d in /proc /dev /sys /tmp "$2"; do mkdir -p ".$d"; mount --rbind "$d" ".$d"; done
mount -t tmpfs tmpfs dev/shm; mkdir certs; cp "$1"/config/certs/envoy/* certs; echo "127.0.0.1 $3" >>etc/hosts; shift 3; exec chroot . "$@"`
	server := exec.Command("unshare", "--mount", "sh", "-c", machine, "sh", dir, f.Cache,
		"envoy-gateway."+egNamespace+".svc.cluster.local", program, "server", "--config-path", configuration)
	server.Env = env
	begin := time.Now()
	running, err := process.Start(server)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop()
	ask := func(headers ...[2]string) answer {
		request, err := http.NewRequest("GET", "http://127.0.0.1:8888/orders/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		return do(&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, request,
			headers...)
	}
	good := bearer(idp.Token(claims()))
	if err := running.Await(func() bool {
		if a := ask(); a.status == 200 {
			t.Errorf("without a token: %s", a)
		}
		return ask(good).status == 200
	}, time.Minute); err != nil {
		t.Fatalf("%v: %s, %s\n%s", err, ask(good), ask(), running.Log())
	}
	t.Logf("measured: standalone, a good request passes after %.1f s", time.Since(begin).Seconds())
	if a := ask(good); a.body != "true" {
		t.Errorf("a good request, is it stamped: %s", a)
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{"a token that has expired": {expired(), 401}, "no token": {"", 401}, "forged": {forger.Token(claims()), 401}} {
		if a := ask(bearer(c.token)); a.status != c.status {
			t.Errorf("%s: %s, want %d", name, a, c.status)
		}
	}
	// Files are watched.
	write("resources/policy.yaml", strings.ReplaceAll(policy, sum(module), zeros))
	begin = time.Now()
	if err := running.Await(func() bool { return ask(good).status == 500 }, time.Minute); err != nil {
		t.Fatalf("another digest: %v: %s\n%s", err, ask(good), running.Log())
	}
	t.Logf("measured: standalone, another digest counts after %.1f s: 500", time.Since(begin).Seconds())
}
