// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tollgate-wasm/tollgate/build/tollgate/mint"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// RootNamespace is where resources for the whole mesh are.
const RootNamespace = "istio-system"

// startTimeout covers a busy machine.
const startTimeout = 60 * time.Second

// Options of a mesh.
type Options struct {
	TrustDomain string   // default: cluster.local
	Aliases     []string // see SetAliases
	// folder with ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem, as in Istio's Secret
	// cacerts; empty: a self-signed one
	CA        string
	Resources map[string]string // YAML by file names
	Secrets   []string          // YAML of Kubernetes Secrets
	Env       []string          // "NAME=value": istiod's feature flags
}

// Mesh is a control plane.
type Mesh struct {
	t       testing.TB
	istiod  *process.Process
	dir     string
	domain  string
	xds     string // address
	debug   string // address
	proxies []*Proxy
}

// Start runs a control plane until the test ends.
func Start(t testing.TB, o Options) *Mesh {
	t.Helper()
	m := &Mesh{t: t, dir: t.TempDir(), domain: o.TrustDomain}
	if m.domain == "" {
		m.domain = "cluster.local"
	}
	for _, sub := range []string{"config", "secrets"} {
		if err := os.Mkdir(m.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range o.Resources {
		m.Apply(name, text)
	}
	for i, text := range o.Secrets {
		m.write("secrets", fmt.Sprintf("%d", i), text)
	}
	ports := FreePorts(t, 3)
	m.xds, m.debug = address(ports[0]), address(ports[1])
	m.SetAliases(o.Aliases...)
	ca := o.CA
	if ca == "" {
		ca = m.path("no-ca")
	}
	cmd := exec.Command(Program(t, "istiod"), "-config", m.path("config"), "-mesh", m.path("mesh.yaml"), "-xds", m.xds,
		"-http", m.debug, "-monitoring", address(ports[2]),
		"-root", m.path("root.pem"), "-secrets", m.path("secrets"))
	cmd.Dir = m.dir
	rule, err := json.Marshal(map[string]any{"issuer": accounts().issuer, "jwks_uri": accounts().issuer + "/keys",
		"audiences": []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(append(os.Environ(), o.Env...), "ROOT_CA_DIR="+ca, "JWT_RULE="+string(rule), "POD_NAME=istiod",
		"POD_NAMESPACE="+RootNamespace,
		"PILOT_CERT_PROVIDER=istiod", "ENABLE_CA_SERVER=true", "XDS_AUTH=true",
		// What this Envoy does not know: see the package comment.
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false", "UNSAFE_ENABLE_ADMIN_ENDPOINTS=true")
	if m.istiod, err = process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.istiod.Stop()
		if t.Failed() {
			t.Logf("the log of istiod:\n%s", last(m.istiod.Log(), 6000))
		}
	})
	if err := m.istiod.Await(func() bool {
		r, err := http.Get("http://" + m.debug + "/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	}, startTimeout); err != nil {
		t.Fatalf("istiod is not ready: %v", err)
	}
	return m
}

func (m *Mesh) path(name string) string { return filepath.Join(m.dir, name) }

// write writes a file at once, so that a reader never sees half of it.
func (m *Mesh) write(dir, name, text string) {
	m.t.Helper()
	temporary := filepath.Join(m.dir, dir, name+".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(m.dir, dir, name+".yaml")); err != nil {
		m.t.Fatal(err)
	}
}

// Apply sets resources, and replaces those that were applied under that name.
func (m *Mesh) Apply(name, text string) {
	m.t.Helper()
	m.write("config", name, text)
}

// SetAliases sets the trust domains of other meshes, whose workloads are taken for this one's.
func (m *Mesh) SetAliases(domains ...string) {
	m.t.Helper()
	m.write(".", "mesh", fmt.Sprintf(`rootNamespace: %s
trustDomain: %s
trustDomainAliases: [%s]
enablePrometheusMerge: false
defaultProviders: {accessLogging: [envoy]}   # and none of metrics: this Envoy has no istio.stats
accessLogFile: /dev/stdout
defaultConfig: {discoveryAddress: "%s", concurrency: 2, controlPlaneAuthPolicy: MUTUAL_TLS}
`, RootNamespace, m.domain, strings.Join(domains, ", "), m.xds))
}

// Delete takes away what was applied under that name.
func (m *Mesh) Delete(name string) {
	m.t.Helper()
	if err := os.Remove(m.path("config/" + name + ".yaml")); err != nil {
		m.t.Fatal(err)
	}
}

// Root is the root certificate of the mesh, in PEM.
func (m *Mesh) Root() string {
	m.t.Helper()
	b, err := os.ReadFile(m.path("root.pem"))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// Log is what istiod has printed.
func (m *Mesh) Log() string { return m.istiod.Log() }

// audience is that of the tokens with which pods ask for certificates.
const audience = "istio-ca"

// issuer stands for the API server of Kubernetes, which gives each pod a token for its service account.
type issuer struct {
	issuer string
	key    *mint.Key
}

var accounts = sync.OnceValue(func() *issuer {
	key := mint.New("accounts", jose.RS256)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = w.Write(mint.Set(key))
	}))
	return &issuer{server.URL, key} // until the tests end: every mesh has the same
})

func (i *issuer) token(namespace, account string) string {
	return i.key.Token(map[string]any{"iss": i.issuer, "aud": []string{audience}, "sub": "system:serviceaccount:" +
		namespace + ":" + account,
		"iat": time.Now().Unix(), "exp": time.Now().Add(24 * time.Hour).Unix()})
}
