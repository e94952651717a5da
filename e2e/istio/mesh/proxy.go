// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// Workload is what a proxy runs for.
type Workload struct {
	Name      string
	Namespace string
	Account   string // default: Name
	IP        string // of its pod; default: a new one
	Labels    map[string]string
	Gateway   bool     // a gateway's proxy, not a sidecar
	Env       []string // "NAME=value" in the proxy's environment, where valueFrom: HOST reads
	Root      string   // the root certificate that the agent trusts istiod by, in PEM; default: the mesh's
}

// Proxy is a pilot-agent with its Envoy.
type Proxy struct {
	*process.Process
	IP    string // its pod's
	admin string // address
	t     testing.TB
}

var pods atomic.Int32

// NewIP is an address for a pod or a service.
func NewIP() string {
	n := pods.Add(1)
	return fmt.Sprintf("127.1.%d.%d", n/250, n%250+1)
}

// Proxy runs a proxy until the test ends; it returns when Envoy has its first configuration.
func (m *Mesh) Proxy(w Workload) *Proxy {
	t := m.t
	t.Helper()
	binary, err := envoy()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.dir, "proxies", w.Namespace, w.Name)
	if w.Account == "" {
		w.Account = w.Name
	}
	if w.Root == "" {
		w.Root = m.Root()
	}
	files := map[string]string{"root.pem": w.Root,
		"var/run/secrets/tokens/istio-token": accounts().token(w.Namespace, w.Account)}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	labels, err := json.Marshal(w.Labels)
	if err != nil {
		t.Fatal(err)
	}
	ports := FreePorts(t, 4)
	if w.IP == "" {
		w.IP = NewIP()
	}
	p := &Proxy{IP: w.IP, admin: address(ports[0]), t: t}
	config, err := json.Marshal(map[string]any{
		"configPath": filepath.Join(dir, "proxy"), "binaryPath": binary,
		"proxyBootstrapTemplatePath": Source(t, "tools/packaging/common/envoy_bootstrap.json"),
		"discoveryAddress":           m.xds, "controlPlaneAuthPolicy": "MUTUAL_TLS", "proxyAdminPort": ports[0],
		"statusPort": ports[1], "concurrency": 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	kind := "sidecar"
	if w.Gateway {
		kind = "router"
	}
	// The agent keeps modules in /var/lib/istio/data and nowhere else. It gets a folder of its own
	// there: a file system in memory, in a namespace of mounts that nobody else sees.
	cmd := exec.Command("unshare",
		append(unshare(), "sh", "-c", `mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec "$@"`, "sh",
			Program(t, "pilot-agent"), "proxy", kind, "--domain", w.Namespace+
				".svc.cluster.local", "--proxyLogLevel=warning,wasm:info")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{
		"POD_NAME=" + w.Name, "POD_NAMESPACE=" + w.Namespace, "INSTANCE_IP=" + p.IP, "SERVICE_ACCOUNT=" +
			w.Account, "ISTIO_META_CLUSTER_ID=cluster", "ISTIO_METAJSON_LABELS=" + string(labels),
		"ISTIO_META_INTERCEPTION_MODE=NONE", "TRUST_DOMAIN=" + m.domain, "PROXY_CONFIG=" +
			string(config), "ISTIOD_SAN=istiod." + RootNamespace + ".svc",
		"CREDENTIAL_FETCHER_TYPE=JWT", "XDS_ROOT_CA=" + filepath.Join(dir, "root.pem"), "CA_ROOT_CA=" +
			filepath.Join(dir, "root.pem"),
		"PEER_METADATA_DISCOVERY=false", "GRPC_XDS_BOOTSTRAP=", "ENVOY_STATUS_PORT=" +
			strconv.Itoa(ports[2]), "ENVOY_PROMETHEUS_PORT=" + strconv.Itoa(ports[3]),
	}, w.Env...)...)
	if p.Process, err = process.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("the log of %s/%s:\n%s", w.Namespace, w.Name, last(p.Log(), 6000))
		}
	})
	if err := p.Await(func() bool {
		state, err := p.Admin("/ready")
		return err == nil && strings.HasPrefix(state, "LIVE")
	}, startTimeout); err != nil {
		t.Fatalf("%s/%s is not ready: %v", w.Namespace, w.Name, err)
	}
	return p
}

// unshare are the options for a namespace of mounts: one's own user namespace besides, where one is not root.
func unshare() []string {
	if os.Geteuid() == 0 {
		return []string{"--mount"}
	}
	return []string{"--mount", "--map-root-user"}
}

// Admin asks Envoy's admin interface.
func (p *Proxy) Admin(path string) (string, error) {
	r, err := http.Get("http://" + p.admin + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return string(b), err
}

// Stat is the value of a counter or gauge of Envoy; one that it does not know yet is 0.
func (p *Proxy) Stat(name string) uint64 {
	p.t.Helper()
	text, err := p.Admin("/stats")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// Plugins are the names of the Wasm filters that Envoy has taken from istiod, in no order.
func (p *Proxy) Plugins() (names []string) {
	p.t.Helper()
	text, err := p.Admin("/config_dump?resource=ecds_filters")
	if err != nil {
		return nil // 404: none
	}
	var dump struct {
		Configs []struct {
			Filter struct {
				Name string `json:"name"`
			} `json:"ecds_filter"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(text), &dump); err != nil {
		p.t.Fatal(err)
	}
	for _, c := range dump.Configs {
		names = append(names, c.Filter.Name)
	}
	return names
}

// FreePorts are ports that nobody listens on.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports, err := process.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// last are the last bytes of a text.
func last(text string, n int) string { return text[max(0, len(text)-n):] }

// Eventually waits until what is asked for is so, and returns how long that took.
func Eventually(t testing.TB, what string, is func() bool) time.Duration {
	t.Helper()
	const limit = 3 * time.Minute // of a machine that does much else
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if is() {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
