// Copyright 2026 The Tollgate authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tollgate-wasm/tollgate/build/tools/process"
)

// pod is one that the node runs.
type pod struct {
	node *Node
	pod  *corev1.Pod
	ip   string
	name string // of its network namespace
	done chan struct{}

	mu      sync.Mutex
	running map[string]*container
	waiting string // why it does not start
}

// container is one of a pod's.
type container struct {
	process  *process.Process // of the last run
	before   string           // the logs of those before
	restarts int32
	ended    bool // for good: an init container that has done its work, or one of a Job's
	failed   bool // it has ended so
	started  bool // its startup probe has succeeded
	ready    bool
}

// containers are all of the pod's, in the order in which they start.
func (p *pod) containers() []corev1.Container {
	return append(append([]corev1.Container{}, p.pod.Spec.InitContainers...), p.pod.Spec.Containers...)
}

// run starts the pod, and goes on with its probes until it is stopped.
func (p *pod) run() {
	p.mu.Lock()
	p.running = map[string]*container{}
	p.mu.Unlock()
	p.status()
	if err := p.network(); err != nil {
		p.fail(err)
		return
	}
	var volumes map[string]string
	for { // what a pod needs may come after it, as in any cluster
		var err error
		if volumes, err = p.volumes(); err == nil {
			break
		}
		p.fail(err)
		if p.sleep(pause) {
			return
		}
	}
	for _, c := range p.pod.Spec.InitContainers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		policy := corev1.RestartPolicyOnFailure
		if sidecar {
			policy = corev1.RestartPolicyAlways
		}
		go p.keep(&c, volumes, policy)
		for !p.state(c.Name, func(r *container) bool { return r.ended || sidecar && r.started }) {
			if p.sleep(pause) {
				return
			}
		}
	}
	for _, c := range p.pod.Spec.Containers {
		go p.keep(&c, volumes, p.pod.Spec.RestartPolicy)
	}
	was := false
	for tick := 0; ; tick++ {
		is := true
		for _, c := range p.containers() {
			is = is && p.state(c.Name, func(r *container) bool { return r.ready || r.ended })
		}
		if is != was || tick == 0 {
			was = is
			p.status()
		}
		if p.finished() {
			p.status()
			return
		}
		if p.sleep(pause) {
			return
		}
	}
}

// finished reports whether all of the pod's containers have ended for good, as a Job's do.
func (p *pod) finished() bool {
	for _, c := range p.pod.Spec.Containers {
		if !p.state(c.Name, func(r *container) bool { return r.ended }) {
			return false
		}
	}
	return true
}

// keep runs a container until it may end, and its probes.
func (p *pod) keep(c *corev1.Container, volumes map[string]string, policy corev1.RestartPolicy) {
	r := &container{}
	p.mu.Lock()
	p.running[c.Name] = r
	p.mu.Unlock()
	for {
		command, err := p.command(c, volumes)
		if err == nil {
			var run *process.Process
			if run, err = process.Start(command); err == nil {
				p.mu.Lock()
				if r.process != nil {
					r.before += r.process.Log()
				}
				r.process = run
				p.mu.Unlock()
				p.probe(c, r, run)
				select {
				case <-p.done:
					run.Stop()
					return
				default:
				}
				failed := run.Err() != nil
				if policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && !failed {
					p.mu.Lock()
					r.ended, r.failed = true, failed
					p.mu.Unlock()
					return
				}
				p.mu.Lock()
				r.restarts++
				p.mu.Unlock()
			}
		}
		if err != nil {
			p.fail(fmt.Errorf("container %s: %w", c.Name, err))
		}
		p.status()
		if p.sleep(time.Second) {
			return
		}
	}
}

// probe asks whether a container has started, and is ready, until it ends or the pod does.
func (p *pod) probe(c *corev1.Container, r *container, run *process.Process) {
	for {
		started := r.started || p.asks(c, c.StartupProbe)
		is := started && p.asks(c, c.ReadinessProbe)
		p.mu.Lock()
		r.started, r.ready = started, is
		p.mu.Unlock()
		select {
		case <-run.Done():
			p.mu.Lock()
			r.started, r.ready = false, false
			p.mu.Unlock()
			return
		case <-p.done:
			return
		case <-time.After(4 * pause):
		}
	}
}

// asks is whether a probe succeeds. Those that run a program are taken to: nothing here has one.
func (p *pod) asks(c *corev1.Container, probe *corev1.Probe) bool {
	port := func(of intstr.IntOrString) string {
		for _, known := range c.Ports {
			if of.Type == intstr.String && known.Name == of.StrVal {
				return fmt.Sprint(known.ContainerPort)
			}
		}
		return of.String()
	}
	switch {
	case probe == nil:
		return true
	case probe.HTTPGet != nil:
		client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + net.JoinHostPort(p.ip, port(probe.HTTPGet.Port)) + "/" +
			strings.TrimPrefix(probe.HTTPGet.Path, "/"))
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode < 400
	case probe.TCPSocket != nil:
		return listens(net.JoinHostPort(p.ip, port(probe.TCPSocket.Port)))
	}
	return true
}

// state asks something of a container's state, false before it runs.
func (p *pod) state(name string, is func(*container) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.running[name]
	return r != nil && is(r)
}

// log is what a container has printed.
func (p *pod) log(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.running[name]
	if r == nil || r.process == nil {
		return p.waiting
	}
	return r.before + r.process.Log()
}

// sleep waits, and says whether the pod has been stopped meanwhile.
func (p *pod) sleep(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// stop ends all containers.
func (p *pod) stop() {
	close(p.done)
	p.mu.Lock()
	var all sync.WaitGroup
	for _, r := range p.running {
		if r.process != nil {
			all.Go(r.process.Stop)
		}
	}
	p.mu.Unlock()
	all.Wait()
	_ = command("ip netns del " + p.name) // where it was never made, there is none
}

// fail says in the pod's status why it does not start.
func (p *pod) fail(err error) {
	p.mu.Lock()
	same := p.waiting == err.Error()
	p.waiting = err.Error()
	p.mu.Unlock()
	if !same {
		p.status()
	}
}

// status writes what there is to say of the pod.
func (p *pod) status() {
	now := metav1.Now()
	status := corev1.PodStatus{Phase: corev1.PodPending, HostIP: hostIP, PodIP: p.ip,
		PodIPs: []corev1.PodIP{{IP: p.ip}}, StartTime: &now}
	p.mu.Lock()
	all := true
	state := func(c *corev1.Container) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: c.Name, Image: c.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "Waiting", Message: p.waiting}}}
		if r := p.running[c.Name]; r != nil && r.process != nil {
			s.RestartCount, s.Ready, s.Started = r.restarts, r.ready || r.ended, &r.started
			s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
			if r.ended {
				s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}
			}
			if r.failed {
				s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}}
			}
		}
		all = all && s.Ready
		return s
	}
	for i := range p.pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, state(&p.pod.Spec.InitContainers[i]))
	}
	finished, failed := true, false
	for i := range p.pod.Spec.Containers {
		s := state(&p.pod.Spec.Containers[i])
		if s.State.Running != nil {
			status.Phase = corev1.PodRunning
		}
		finished = finished && s.State.Terminated != nil
		failed = failed || s.State.Terminated != nil && s.State.Terminated.ExitCode != 0
		status.ContainerStatuses = append(status.ContainerStatuses, s)
	}
	p.mu.Unlock()
	switch {
	case finished && failed:
		status.Phase = corev1.PodFailed
	case finished:
		status.Phase = corev1.PodSucceeded
	}
	is := corev1.ConditionFalse
	if all && !finished {
		is = corev1.ConditionTrue
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady,
		corev1.PodReady} {
		condition := corev1.PodCondition{Type: kind, Status: is, LastTransitionTime: now}
		if kind == corev1.PodScheduled {
			condition.Status = corev1.ConditionTrue
		}
		status.Conditions = append(status.Conditions, condition)
	}
	client := p.node.cluster.Client.CoreV1().Pods(p.pod.Namespace)
	for range 5 { // others write to it, too; where it is gone, there is nothing to say
		current, err := client.Get(context.Background(), p.pod.Name, metav1.GetOptions{})
		if err != nil || current.UID != p.pod.UID {
			return
		}
		current.Status = status
		if _, err = client.UpdateStatus(context.Background(), current, metav1.UpdateOptions{}); err == nil {
			return
		}
	}
}

// network makes the pod's network namespace, and hangs it on the bridge.
func (p *pod) network() error {
	for _, line := range []string{
		"ip netns add " + p.name,
		"ip link add " + p.name + " type veth peer name eth0 netns " + p.name,
		"ip link set " + p.name + " master " + bridge + " up",
		"ip -n " + p.name + " addr add " + p.ip + "/16 dev eth0",
		"ip -n " + p.name + " link set eth0 up",
		"ip -n " + p.name + " link set lo up",
		"ip -n " + p.name + " route add default via " + hostIP,
	} {
		if err := command(line); err != nil {
			return err
		}
	}
	if security := p.pod.Spec.SecurityContext; security != nil {
		for _, s := range security.Sysctls {
			if err := command("ip netns exec " + p.name + " sysctl -qw " + s.Name + "=" + s.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// dial opens a connection from within the pod's network namespace. A thread that has entered it is never used again.
func (p *pod) dial(network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with this function
		namespace, err := os.Open("/run/netns/" + p.name)
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := net.Dial(network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
