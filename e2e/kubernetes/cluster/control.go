// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tollgate-wasm/tollgate/build/tools/envoybin"
	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// apiPort is the API server's: the network is the cluster's own, so that ports need not be looked for.
const apiPort = "6443"

// startTimeout covers a busy machine.
const startTimeout = 2 * time.Minute

// Cluster is a running one.
type Cluster struct {
	Node       *Node
	World      *World
	Kubeconfig string // of a cluster administrator
	Client     *kubernetes.Clientset

	dir       string
	authority *Authority
	processes []*process.Process
}

// Program is the path of one that make kubernetes compiles: etcd, kube-apiserver, kube-controller-manager,
// kubectl, helm.
func Program(name string) (string, error) {
	cache, err := envoybin.Cache()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "kubernetes", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w; run: make kubernetes", err)
	}
	return path, nil
}

// Start runs a cluster with one node that has these images.
func Start(dir string, images []Image) (_ *Cluster, err error) {
	c := &Cluster{dir: dir, Kubeconfig: filepath.Join(dir, "admin.conf")}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, c.Logs())
			c.Stop()
		}
	}()
	if c.authority, err = newAuthority("kubernetes"); err != nil {
		return nil, err
	}
	if err := c.files(); err != nil {
		return nil, err
	}
	const etcd = "http://127.0.0.1:2379"
	if err := c.run("etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", etcd,
		"--advertise-client-urls", etcd, "--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync",
		"--log-level", "error"); err != nil {
		return nil, err
	}
	if err := c.await("etcd", func() bool { return listens("127.0.0.1:2379") }); err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := c.run("kube-apiserver", "--etcd-servers", etcd, "--bind-address", "0.0.0.0", "--secure-port", apiPort,
		"--advertise-address", hostIP, "--tls-cert-file", file("server.pem"), "--tls-private-key-file",
		file("server-key.pem"), "--client-ca-file", file("ca.pem"), "--service-account-issuer",
		"https://kubernetes.default.svc.cluster.local", "--service-account-key-file", file("server-public.pem"),
		"--service-account-signing-key-file", file("server-key.pem"), "--service-cluster-ip-range", services,
		"--authorization-mode", "RBAC", "--allow-privileged", "--enable-aggregator-routing", // to pods, not services
		"--v", "0"); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 1000, 1000
	config.WarningHandler = rest.NoWarnings{}
	if c.Client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if err := c.await("kube-apiserver", func() bool {
		body, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err == nil && string(body) == "ok"
	}); err != nil {
		return nil, err
	}
	// Leases of nodes are not renewed here: nobody is to evict pods for it.
	if err := c.run("kube-controller-manager", "--kubeconfig", c.Kubeconfig, "--service-account-private-key-file",
		file("server-key.pem"), "--root-ca-file", file("ca.pem"), "--use-service-account-credentials",
		"--leader-elect=false", "--controllers", "*,-node-lifecycle-controller,-taint-eviction-controller",
		"--v", "0"); err != nil {
		return nil, err
	}
	if c.World, err = newWorld(); err != nil {
		return nil, err
	}
	c.Node, err = c.join(images)
	return c, err
}

// files makes the certificates, and the administrator's kubeconfig.
func (c *Cluster) files() error {
	server, key, err := c.authority.Issue("kube-apiserver", nil, "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "localhost", "127.0.0.1", hostIP, "10.96.0.1")
	if err != nil {
		return err
	}
	public, err := publicKey(server)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"ca.pem": c.authority.PEM, "server.pem": server, "server-key.pem": key,
		"server-public.pem": public} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	_, err = c.User("admin", "system:masters")
	return err
}

// User makes the kubeconfig of a user in groups, authenticated by a certificate, and returns its path.
func (c *Cluster) User(name string, groups ...string) (string, error) {
	cert, key, err := c.authority.Issue(name, groups)
	if err != nil {
		return "", err
	}
	for file, text := range map[string]string{name + ".pem": cert, name + "-key.pem": key} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path := filepath.Join(c.dir, name+".conf")
	return path, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: %[1]s}}]
clusters: [{name: test, cluster: {server: "https://%[2]s:%[3]s", certificate-authority: %[4]s/ca.pem}}]
users: [{name: %[1]s, user: {client-certificate: %[4]s/%[1]s.pem, client-key: %[4]s/%[1]s-key.pem}}]
`, name, hostIP, apiPort, c.dir), 0o600)
}

func (c *Cluster) run(name string, args ...string) error {
	path, err := Program(name)
	if err != nil {
		return err
	}
	p, err := process.Start(exec.Command(path, args...))
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

// await waits for the program that was started last.
func (c *Cluster) await(what string, ready func() bool) error {
	if err := c.processes[len(c.processes)-1].Await(ready, startTimeout); err != nil {
		return fmt.Errorf("%s is not ready: %w", what, err)
	}
	return nil
}

// Stop ends the cluster, and all that it runs.
func (c *Cluster) Stop() {
	if c.Node != nil {
		c.Node.stop()
	}
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
}

// Logs are the last lines of the control plane's.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for i, p := range c.processes {
		log := p.Log()
		fmt.Fprintf(&b, "== program %d\n%s\n", i, log[max(0, len(log)-4000):])
	}
	return b.String()
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
