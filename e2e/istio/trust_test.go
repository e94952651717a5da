// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package istio

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/e2e/harness"
	"github.com/tollgate-wasm/tollgate/e2e/istio/mesh"
)

// The two meshes.
const (
	edgeDomain      = "edge.example.com"
	internalDomain  = "internal.example.com"
	gatewayIdentity = "spiffe://edge.example.com/ns/edge/sa/gateway"
	ingressIdentity = "spiffe://internal.example.com/ns/edge/sa/ingress"
)

// twoMeshes are the gateway's mesh and the internal one, each with an istiod of its own. The
// gateway calls the ingress of the internal mesh with the certificate of its workload.
type twoMeshes struct {
	edge, internal lab
}

func newTwoMeshes(t *testing.T, edgeCA, internalCA string, env ...string) *twoMeshes {
	ports := mesh.FreePorts(t, 2)
	registry, up := mesh.StartRegistry(t), harness.StartUpstream(t)
	m := &twoMeshes{edge: lab{t: t, up: up, registry: registry, port: ports[0]},
		internal: lab{t: t, up: up, registry: registry, port: ports[1]}}
	m.internal.Mesh = mesh.Start(t,
		mesh.Options{TrustDomain: internalDomain, Aliases: []string{edgeDomain}, CA: internalCA, Resources: map[string]string{
			"ingress": gatewayTo("ingress", fmt.Sprintf("{number: %d, name: https, protocol: HTTPS}", ports[1]),
				"{mode: ISTIO_MUTUAL}", "upstream.shop.internal") + external(up.Port()),
		}})
	m.edge.Mesh = mesh.Start(t, mesh.Options{TrustDomain: edgeDomain, CA: edgeCA, Resources: map[string]string{
		"gateway": gatewayTo("gateway", fmt.Sprintf("{number: %d, name: http, protocol: HTTP}", ports[0]), "",
			"orders.shop.internal") + orders("127.0.0.1", ports[1], ingressIdentity),
	}})
	m.internal.proxy = m.internal.Proxy(mesh.Workload{Name: "ingress", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "ingress"}})
	m.edge.proxy = m.edge.Proxy(mesh.Workload{Name: "gateway", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "gateway"}, Env: env})
	return m
}

// chain is what the internal mesh's ingress shows to who connects.
func (m *twoMeshes) chain() []*x509.Certificate {
	m.edge.t.Helper()
	var chain []*x509.Certificate
	mesh.Eventually(m.edge.t, "the ingress shows a certificate", func() bool {
		// No name is looked at: whom the certificate is for stands in its SPIFFE ID. The chain is verified below.
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.internal.port), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		chain = c.ConnectionState().PeerCertificates
		c.Close()
		return true
	})
	return chain
}

// verify holds a chain against a root certificate, for an identity.
func verify(chain []*x509.Certificate, root, identity string) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(root)) {
		return fmt.Errorf("no certificate in %q", root)
	}
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates}); err != nil {
		return err
	}
	if len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != identity {
		return fmt.Errorf("the certificate is for %v, want %s", chain[0].URIs, identity)
	}
	return nil
}

func describe(chain []*x509.Certificate) string {
	var lines []string
	for _, c := range chain {
		lines = append(lines, fmt.Sprintf("%v %q, issued by %q", c.URIs, c.Subject, c.Issuer))
	}
	return strings.Join(lines, "\n\t")
}

// Two meshes that do not know each other's root: the gateway believes none of the certificates that the other shows.
func TestForeignMeshes(t *testing.T) {
	m := newTwoMeshes(t, "", "")
	chain := m.chain()
	t.Logf("shown by the internal mesh:\n\t%s", describe(chain))
	if err := verify(chain, m.internal.Root(), ingressIdentity); err != nil {
		t.Errorf("by its own mesh's root: %v", err)
	}
	if err := verify(chain, m.edge.Root(), ingressIdentity); err == nil {
		t.Error("the gateway's mesh has the same root: nothing is tried here")
	}
	m.edge.until("the gateway refuses the other mesh's certificate", func(a answer) bool {
		return a.status == 503 && strings.Contains(m.edge.proxy.Log(), "CERTIFICATE_VERIFY_FAILED")
	}, "GET", "/orders/7")
	if passed := m.edge.up.Take(); len(passed) > 0 {
		t.Errorf("%d requests got through", len(passed))
	}
}

// authorities makes one root and an intermediate for each mesh with the script that is shipped, and
// returns their folder.
func authorities(t *testing.T, meshes ...string) string {
	root, err := envoybin.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command(filepath.Join(root, "WasmPlugin", "trust", "make-ca.sh"),
		append([]string{dir}, meshes...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// One root with an intermediate for each mesh: the call passes, edge-stamp takes the gateway's
// stamps from nobody but the gateway, and jwt-scope decides behind it.
func TestEnterpriseRoot(t *testing.T) {
	ca := authorities(t, "edge", "internal")
	key := mint.New("edge-1", jose.ES256)
	m := newTwoMeshes(t, filepath.Join(ca, "edge"), filepath.Join(ca, "internal"), "EDGE_STAMP_KEY="+key.PrivateJWK())
	rootCertificate, err := os.ReadFile(filepath.Join(ca, "root-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	chain := m.chain()
	t.Logf("shown by the internal mesh:\n\t%s", describe(chain))
	if err := verify(chain, string(rootCertificate), ingressIdentity); err != nil {
		t.Error(err)
	}
	if len(chain) < 2 || !strings.Contains(chain[0].Issuer.String(), "Intermediate of internal") ||
		!strings.Contains(chain[1].Issuer.String(), "CN=Root") {
		t.Error("the chain does not go over the internal mesh's intermediate to the root")
	}
	m.edge.until("the call passes", isStatus(200), "GET", "/orders/7")

	stamp, scope := push(t, m.edge.registry, "edge-stamp"), push(t, m.edge.registry, "jwt-scope")
	m.internal.Apply("plugins", plugin("stamp", "edge", "ingress", stamp.Pinned(), verifying(key, gatewayIdentity),
		"phase: AUTHN", "priority: 100")+"---\n"+
		plugin("scope", "edge", "ingress", scope.Pinned(), policy("/"), "phase: AUTHN", "priority: 50"))
	stampless := func(a answer) bool { return a.status == 401 && strings.Contains(a.body, "stamp_rejected") }
	m.edge.until("the mesh wants stamps", stampless, "GET", "/orders/7", bearer(idp.Token(claims())))
	signer := func(name string) string {
		return plugin("stamp", "edge", name, stamp.Pinned(), signing, "phase: AUTHN",
			"vmConfig: {env: [{name: EDGE_STAMP_KEY, valueFrom: HOST}]}")
	}
	m.edge.Apply("plugin", signer("gateway"))
	m.edge.until("the gateway signs", isStatus(200), "GET", "/orders/7", bearer(idp.Token(claims())))
	m.edge.decides("over both meshes")

	// Another workload of the gateway's mesh has the key, too, but not the gateway's identity.
	port := mesh.FreePorts(t, 1)[0]
	m.edge.Apply("other", gatewayTo("other", fmt.Sprintf("{number: %d, name: http, protocol: HTTP}", port), "",
		"orders.shop.internal")+"---\n"+strings.Replace(signer("other"), "name: stamp", "name: other", 1))
	other := m.edge
	other.port = port
	other.proxy = m.edge.Proxy(mesh.Workload{Name: "other", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "other"}, Env: []string{"EDGE_STAMP_KEY=" + key.PrivateJWK()}})
	const untrusted = "wasmcustom.tollgate.edge_stamp.rule.everything.outcome.denied.code.peer_untrusted"
	before := m.internal.proxy.Stat(untrusted)
	m.edge.up.Take()
	other.until("the other workload's stamp is refused", stampless, "GET", "/orders/7", bearer(idp.Token(claims())))
	if n := m.internal.proxy.Stat(untrusted); n <= before {
		t.Errorf("%s is %d, as before: it was not refused for its identity", untrusted, n)
	}
	if passed := m.edge.up.Take(); len(passed) > 0 {
		t.Errorf("%d requests got through", len(passed))
	}
}

// With one root, too, a sidecar takes no workload of another trust domain for one of its mesh,
// unless that is among the aliases of its own.
func TestTrustDomainAliases(t *testing.T) {
	ca := authorities(t, "edge", "internal")
	ports := mesh.FreePorts(t, 2)
	ip := mesh.NewIP()
	up := harness.StartUpstream(t)
	internal := mesh.Start(t,
		mesh.Options{TrustDomain: internalDomain, CA: filepath.Join(ca, "internal"),
			Resources: map[string]string{"sidecar": sidecar(ip, ports[1], up.Port(), "") + strict}})
	edge := lab{t: t, up: up, port: ports[0],
		Mesh: mesh.Start(t, mesh.Options{TrustDomain: edgeDomain, CA: filepath.Join(ca, "edge"), Resources: map[string]string{
			"gateway": gatewayTo("gateway", fmt.Sprintf("{number: %d, name: http, protocol: HTTP}", ports[0]), "",
				"orders.shop.internal") + orders(ip, ports[1], "spiffe://internal.example.com/ns/shop/sa/orders"),
		}})}
	internal.Proxy(mesh.Workload{Name: "orders", Namespace: "shop", IP: ip, Labels: map[string]string{"app": "orders"}})
	edge.proxy = edge.Proxy(mesh.Workload{Name: "gateway", Namespace: "edge", Gateway: true,
		Labels: map[string]string{"app": "gateway"}})
	edge.until("the gateway has its configuration", isStatus(503), "GET", "/orders/7")
	edge.until("the sidecar takes the connection, and ends it", func(a answer) bool {
		return a.status == 503 && strings.Contains(edge.proxy.Log(), "connection_termination")
	}, "GET", "/orders/7")
	if passed := up.Take(); len(passed) > 0 {
		t.Errorf("%d requests got through", len(passed))
	}
	internal.SetAliases(edgeDomain)
	edge.until("with the alias it takes it in", isStatus(200), "GET", "/orders/7")
}

// TLS ends at the sidecar of the API gateway's own pod (Sidecar ingress tls: SIMPLE, mTLS turned
// off for that port only), and the filters stand there: jwt-scope decides and edge-stamp signs
// before the API gateway sees a request. The other ports of the mesh stay with mTLS.
func TestGatewaysOwnSidecar(t *testing.T) {
	ports := mesh.FreePorts(t, 2)
	key := mint.New("edge-1", jose.ES256)
	ip := mesh.NewIP()
	authority := harness.NewAuthority(t)
	files := serverFiles(t, authority.Issue("spiffe://public/api"))
	l := lab{t: t, up: harness.StartUpstream(t), registry: mesh.StartRegistry(t), port: ports[0]}
	resources := sidecar(ip, ports[0], l.up.Port(),
		fmt.Sprintf("{mode: SIMPLE, serverCertificate: %q, privateKey: %q}", files.certificate, files.key))
	// A second port of the same pod, for the mesh.
	resources += fmt.Sprintf("  - {port: {number: %d, name: http-mesh, protocol: HTTP}, bind: %s, captureMode: NONE, "+
		"defaultEndpoint: \"127.0.0.1:%d\"}\n", ports[1], ip, l.up.Port())
	resources += strict + fmt.Sprintf(`---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  mtls: {mode: STRICT}
  portLevelMtls: {%d: {mode: DISABLE}}
`, ports[0])
	l.Mesh = mesh.Start(t, mesh.Options{Env: []string{"ENABLE_TLS_ON_SIDECAR_INGRESS=true"},
		Resources: map[string]string{"sidecar": resources}})
	l.proxy = l.Proxy(mesh.Workload{Name: "orders", Namespace: "shop", IP: ip,
		Labels: map[string]string{"app": "orders"}, Env: []string{"EDGE_STAMP_KEY=" + key.PrivateJWK()}})

	client := insecure()
	public := fmt.Sprintf("https://%s:%d/orders/7", ip, ports[0])
	mesh.Eventually(t, "the sidecar ends TLS", func() bool { return ask(client, "GET", public).status == 200 })
	stamp, scope := push(t, l.registry, "edge-stamp"), push(t, l.registry, "jwt-scope")
	l.Apply("plugins", plugin("scope", "shop", "orders", scope.Pinned(), policy("/"), "phase: AUTHN", "priority: 100",
		"match: [{mode: SERVER}]")+"---\n"+
		plugin("stamp", "shop", "orders", stamp.Pinned(), signing, "phase: AUTHN", "priority: 50",
			"match: [{mode: SERVER}]", "vmConfig: {env: [{name: EDGE_STAMP_KEY, valueFrom: HOST}]}"))
	mesh.Eventually(t, "jwt-scope decides", func() bool { return ask(client, "GET", public).status == 401 })
	l.up.Take()
	if a := ask(client, "GET", public, bearer(idp.Token(claims()))); !a.is(200) {
		t.Errorf("a good token: %d %s", a.status, a.body)
	}
	passed := l.up.Take()
	if len(passed) != 1 || passed[0].Header("x-edge-stamp") == "" {
		t.Errorf("the API gateway has got %+v, want one request with a stamp", passed)
	}
	if a := ask(client, "GET", public, bearer(forger.Token(claims())), [2]string{"X-Edge-Stamp", "forged"}); !a.is(401) {
		t.Errorf("a forged token: %d %s", a.status, a.body)
	}
	for name, url := range map[string]string{
		"the public port without TLS":           fmt.Sprintf("http://%s:%d/orders/7", ip, ports[0]),
		"the mesh's port without TLS":           fmt.Sprintf("http://%s:%d/orders/7", ip, ports[1]),
		"the mesh's port without a certificate": fmt.Sprintf("https://%s:%d/orders/7", ip, ports[1]),
	} {
		if a := ask(client, "GET", url, bearer(idp.Token(claims()))); a.status != 0 {
			t.Errorf("%s answers %d %s", name, a.status, a.body)
		}
	}
	if passed := l.up.Take(); len(passed) > 0 {
		t.Errorf("%d of these requests got through", len(passed))
	}
}

type keyPair struct{ certificate, key string }

// serverFiles are the files of a certificate.
func serverFiles(t *testing.T, c *harness.Certificate) keyPair {
	dir := t.TempDir()
	p := keyPair{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	for path, text := range map[string]string{p.certificate: c.Chain, p.key: c.KeyPEM} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
