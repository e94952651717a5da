// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

const nodeName = "node"

// Node runs the pods.
type Node struct {
	cluster *Cluster
	images  map[string]Image
	dir     string // of resolv.conf, certificates, and a folder for each pod
	done    chan struct{}

	mu   sync.Mutex
	pods map[types.UID]*pod
	ips  int
}

// join makes the node, and has it run what pods there are.
func (c *Cluster) join(images []Image) (*Node, error) {
	n := &Node{cluster: c, images: map[string]Image{}, dir: "/run/node", done: make(chan struct{}),
		pods: map[types.UID]*pod{}}
	for _, i := range images {
		n.images[i.Name] = i
	}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return nil, err
	}
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for name, text := range map[string]string{
		"roots.pem":   string(roots) + c.World.Authority.PEM,
		"resolv.conf": resolv("default"),
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	// For the tests, too, which are in a mount namespace of their own.
	if err := command("mount --bind " + filepath.Join(n.dir, "resolv.conf") + " /etc/resolv.conf"); err != nil {
		return nil, err
	}
	if err := (&resolver{c.Client, c.World}).serve(); err != nil {
		return nil, err
	}
	ctx := context.Background()
	capacity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16"),
		corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("500")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName,
		Labels: map[string]string{"kubernetes.io/os": "linux", "kubernetes.io/hostname": nodeName}}}
	if node, err = c.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	node.Status = corev1.NodeStatus{Capacity: capacity, Allocatable: capacity,
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hostIP}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}
	if _, err := c.Client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(c.Client, 0)
	if err := watch(factory.Core().V1().Pods().Informer(), n.see); err != nil {
		return nil, err
	}
	if err := watch(factory.Core().V1().Services().Informer(), n.balance); err != nil {
		return nil, err
	}
	factory.Start(n.done)
	factory.WaitForCacheSync(n.done)
	return n, nil
}

// watch has an object seen when it is there first, and whenever it has changed.
func watch[T any](informer cache.SharedIndexInformer, see func(T)) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { see(object.(T)) },
		UpdateFunc: func(_, object any) { see(object.(T)) }})
	return err
}

// resolv is what a pod of a namespace has as its resolver's configuration.
func resolv(namespace string) string {
	return "nameserver " + hostIP + "\nsearch " + namespace + ".svc.cluster.local svc.cluster.local cluster.local\n" +
		"options ndots:5\n"
}

// see does what is to be done about a pod: take it, run it, end it.
func (n *Node) see(p *corev1.Pod) {
	ctx := context.Background()
	client := n.cluster.Client.CoreV1().Pods(p.Namespace)
	switch {
	case p.DeletionTimestamp != nil:
		n.mu.Lock()
		running := n.pods[p.UID]
		delete(n.pods, p.UID)
		n.mu.Unlock()
		go func() {
			if running != nil {
				running.stop()
			}
			now := int64(0)
			_ = client.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now,
				Preconditions: &metav1.Preconditions{UID: &p.UID}})
		}()
	case p.Spec.NodeName == "":
		// Whoever else takes it, or deletes it, in this moment is right, too.
		_ = client.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, UID: p.UID},
			Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}}, metav1.CreateOptions{})
	case p.Status.Phase == corev1.PodPending || p.Status.Phase == "":
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.pods[p.UID] == nil {
			n.ips++
			running := &pod{node: n, pod: p.DeepCopy(), ip: fmt.Sprintf("10.244.%d.%d", 1+n.ips/250, 1+n.ips%250),
				name: fmt.Sprintf("p%d", n.ips), done: make(chan struct{})}
			n.pods[p.UID] = running
			go running.run()
		}
	}
}

// balance gives a service that wants a load balancer an address.
func (n *Node) balance(s *corev1.Service) {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 {
		return
	}
	s = s.DeepCopy()
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: s.Spec.ClusterIP}}
	// Where it has changed meanwhile, that is another event.
	_, _ = n.cluster.Client.CoreV1().Services(s.Namespace).UpdateStatus(context.Background(), s, metav1.UpdateOptions{})
}

// Pod is a running pod with these labels, or nil.
func (n *Node) Pod(namespace string, labels map[string]string) *corev1.Pod {
	list, err := n.cluster.Client.CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{
		LabelSelector: metav1.FormatLabelSelector(metav1.SetAsLabelSelector(labels))})
	if err != nil {
		return nil
	}
	var newest *corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		if p.DeletionTimestamp == nil && p.Status.PodIP != "" && ready(p) &&
			(newest == nil || newest.CreationTimestamp.Before(&p.CreationTimestamp)) {
			newest = p
		}
	}
	return newest
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Log is what a container of a pod has printed so far, over all its runs.
func (n *Node) Log(p *corev1.Pod, container string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if running := n.pods[p.UID]; running != nil {
		return running.log(container)
	}
	return ""
}

// Logs are the last lines of all containers, for a test that has failed.
func (n *Node) Logs(most int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := ""
	for _, p := range n.pods {
		for _, c := range p.containers() {
			log := p.log(c.Name)
			text += fmt.Sprintf("== %s/%s %s\n%s\n", p.pod.Namespace, p.pod.Name, c.Name, log[max(0, len(log)-most):])
		}
	}
	return text
}

func (n *Node) stop() {
	close(n.done)
	n.mu.Lock()
	defer n.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range n.pods {
		all.Go(p.stop)
	}
	all.Wait()
}

// pause is between two looks at something that has no event of its own.
const pause = 50 * time.Millisecond

// Roots is a file with the certificates that pods trust: this machine's, and the world's.
func (n *Node) Roots() string { return filepath.Join(n.dir, "roots.pem") }

// Get asks a server within a pod, on its loopback interface; "" where it does not answer 200.
func (n *Node) Get(p *corev1.Pod, port int, path string) string {
	n.mu.Lock()
	running := n.pods[p.UID]
	n.mu.Unlock()
	if running == nil {
		return ""
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		Dial: func(network, address string) (net.Conn, error) { return running.dial(network, address) }}}
	r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}
